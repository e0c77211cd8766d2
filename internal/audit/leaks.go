package audit

import "github.com/tenure-gateway/tenure"

// TokenLeaked tells of a token that somebody found where none must be, and that
// was revoked for it.
func TokenLeaked(reporter string, t tenure.Token, reason string) tenure.AuditEvent {
	e := aboutToken(leaked(reporter), t)
	e.Reason, e.Detail["revoked"] = reason, "true"
	return e
}

// SettingLeaked tells of a token that the operator's settings carry, which only
// they can end.
func SettingLeaked(reporter string, s *tenure.Standing, where string) tenure.AuditEvent {
	e := leaked(reporter)
	e.Tenant, e.Object, e.Outcome = s.Tenant, s.Name, Refused
	e.Reason = "the operator must change this setting and restart"
	e.Detail = map[string]string{"kind": s.Kind.String(), "revoked": "false", "found": where}
	return e
}

func leaked(reporter string) tenure.AuditEvent {
	return tenure.AuditEvent{Action: "token.leaked", Outcome: Success, ActorKind: "system", Actor: reporter}
}
