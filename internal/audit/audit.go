// Package audit is the vocabulary of the audit log: one constructor for each
// thing that is told. It owns the names and the fields of events, and the
// counting of what is too frequent for an event each.
//
// An event is appended by internal/store in the transaction of what it tells of;
// only what changes nothing is recorded here. It never holds a secret.
package audit

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// The outcomes of an event.
const (
	Success = "success"
	Refused = "refused"
)

func by(p tenure.Principal, action string) tenure.AuditEvent {
	id := string(p.User())
	if id == "" {
		id = string(p.Token())
	}
	return tenure.AuditEvent{
		Tenant: p.Tenant(), Action: action, Outcome: Success,
		ActorKind: p.Kind().String(), ActorID: id, Actor: p.Label(),
	}
}

func aboutUser(e tenure.AuditEvent, u tenure.User) tenure.AuditEvent {
	e.Tenant, e.ObjectID, e.Object = u.Tenant, string(u.ID), u.UserName
	return e
}

func aboutToken(e tenure.AuditEvent, t tenure.Token) tenure.AuditEvent {
	e.Tenant, e.Workspace, e.ObjectID, e.Object = t.Tenant, t.Workspace, string(t.ID), t.Name
	e.Detail = map[string]string{"kind": string(t.Kind), "prefix": t.Prefix, "owner": t.UserName}
	if t.ServiceAccount != "" {
		e.Detail["owner"], e.Detail["service_account"] = t.AccountName, string(t.ServiceAccount)
	}
	return e
}

// SignedIn tells of a new browser session.
func SignedIn(s tenure.Session) tenure.AuditEvent {
	e := tenure.AuditEvent{
		Tenant: s.Tenant, Action: "session.opened", Outcome: Success, ActorKind: tenure.AssertedIdentity.String(),
		ActorID: string(s.User), Actor: s.UserName, ObjectID: string(s.ID), Address: s.Address, Detail: map[string]string{"via": s.Via},
	}
	if s.Via == "oidc" {
		e.Detail["connection"], e.Detail["acr"], e.Detail["amr"] = string(s.Connection), s.ACR, s.AMR
		e.Detail["authenticated_at"] = s.AuthAt.UTC().Format(time.RFC3339)
	}
	if s.Via == "proxy" && s.ACR+s.AMR != "" {
		e.Detail["acr"], e.Detail["amr"] = s.ACR, s.AMR
	}
	if s.Exception != "" {
		e.Detail["exception"] = string(s.Exception)
	}
	if s.User == "" {
		e.ActorKind, e.ActorID, e.Actor = tenure.RootToken.String(), string(s.Token), tenure.RootToken.String()
	}
	return e
}

// SessionEnded tells of a session that somebody, or a rule, ended.
func SessionEnded(p tenure.Principal, s tenure.Session, reason string) tenure.AuditEvent {
	e := bySystem(p, "session.ended", "configuration")
	e.Tenant, e.ObjectID, e.Object, e.Reason = s.Tenant, string(s.ID), s.UserName, reason
	return e
}

// TokenMinted tells of a new token.
func TokenMinted(p tenure.Principal, t tenure.Token) tenure.AuditEvent {
	e := narrowed(aboutToken(by(p, "token.minted"), t), t.Scopes, t.Models, tenure.NetworkNames(t.Networks))
	if !t.ExpiresAt.IsZero() {
		e.Detail["expires_at"] = t.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if t.Exception != "" {
		e.Detail["exception"] = string(t.Exception)
	}
	return e
}

// TokenRevoked tells of a token's end.
func TokenRevoked(p tenure.Principal, t tenure.Token, reason string) tenure.AuditEvent {
	e := aboutToken(bySystem(p, "token.revoked", "policy"), t)
	e.Reason = reason
	return e
}

// TokenRevokedByHolder tells of a token that was ended by whoever presented it.
func TokenRevokedByHolder(s *tenure.Standing, t tenure.Token, reason string) tenure.AuditEvent {
	e := aboutToken(tenure.AuditEvent{
		Action: "token.revoked", Outcome: Success, ActorKind: s.Kind.String(), ActorID: cmp.Or(string(s.User), string(s.Token)), Actor: s.Label(),
	}, t)
	e.Reason = reason
	return e
}

// TokenFirstUsed tells of the first request that a token authenticated.
func TokenFirstUsed(t tenure.Token) tenure.AuditEvent {
	return aboutToken(tenure.AuditEvent{
		Action: "token.first_used", Outcome: Success,
		ActorKind: string(t.Kind), ActorID: string(t.ID), Actor: cmp.Or(t.UserName, t.AccountName),
	}, t)
}

// UserProvisioned tells of a new person and where they came from.
func UserProvisioned(p tenure.Principal, u tenure.User) tenure.AuditEvent {
	e := aboutUser(by(p, "user.provisioned"), u)
	if !p.Valid() { // first sight of an asserted identity: nobody is behind it yet
		e.ActorKind, e.Actor = tenure.AssertedIdentity.String(), u.UserName
	}
	e.Detail = map[string]string{"source": string(u.Source)}
	return e
}

// UserUpdated tells of changed attributes, a rename among them.
func UserUpdated(p tenure.Principal, before, after tenure.User) tenure.AuditEvent {
	e := aboutUser(by(p, "user.updated"), after)
	if before.UserName != after.UserName {
		e.Detail = map[string]string{"user_name_before": before.UserName}
	}
	return e
}

// UserDeactivated tells of a person's end and of what ended with it.
func UserDeactivated(p tenure.Principal, u tenure.User, ended tenure.Ended, reason string) tenure.AuditEvent {
	return withEnded(aboutUser(by(p, "user.deactivated"), u), ended, reason)
}

// UserReactivated tells that a person may sign in again; nothing was revived.
func UserReactivated(p tenure.Principal, u tenure.User) tenure.AuditEvent {
	return aboutUser(by(p, "user.reactivated"), u)
}

// UserDeleted tells of a tombstone.
func UserDeleted(p tenure.Principal, u tenure.User, ended tenure.Ended) tenure.AuditEvent {
	return withEnded(aboutUser(by(p, "user.deleted"), u), ended, "")
}

// AccessEnded tells that the last stream of somebody who was deactivated or
// deleted was told to end: how many there were, and how long the whole act took.
// It is told after the act, and may be lacking when the database failed by then.
func AccessEnded(p tenure.Principal, u tenure.User, streams int, took time.Duration) tenure.AuditEvent {
	e := aboutUser(by(p, "user.access_ended"), u)
	e.Detail = map[string]string{"streams": strconv.Itoa(streams), "took_ms": strconv.FormatFloat(float64(took.Microseconds())/1000, 'f', 3, 64)}
	return e
}

// AllRevoked tells that everything of a person was ended, the person staying.
func AllRevoked(p tenure.Principal, u tenure.User, ended tenure.Ended) tenure.AuditEvent {
	return withEnded(aboutUser(by(p, "user.all_revoked"), u), ended, "")
}

func withEnded(e tenure.AuditEvent, ended tenure.Ended, reason string) tenure.AuditEvent {
	e.Reason = reason
	e.Detail = map[string]string{"tokens": strconv.Itoa(ended.Tokens), "sessions": strconv.Itoa(ended.Sessions), "orphans": strconv.Itoa(ended.Orphans), "service_accounts": strconv.Itoa(len(ended.Accounts))}
	return e
}

// RoleGranted tells of a role in the tenant.
func RoleGranted(p tenure.Principal, u tenure.User, role tenure.Role, reason string) tenure.AuditEvent {
	e := aboutUser(by(p, "user.role_granted"), u)
	if !p.Valid() {
		e.ActorKind, e.Actor = "system", "configuration"
	}
	e.Reason, e.Detail = reason, map[string]string{"role": string(role)}
	return e
}

// ProviderChanged tells of a provider that was "created", "renamed" or "deleted", or gets
// other headers ("headers_changed"): their names, and not what they say.
func ProviderChanged(p tenure.Principal, v tenure.Provider, what string) tenure.AuditEvent {
	e := by(p, "provider."+what)
	if !p.Valid() {
		e.ActorKind, e.Actor = "system", "configuration"
	}
	e.Tenant, e.Workspace, e.ObjectID, e.Object = v.Tenant, v.Workspace, string(v.ID), v.Name
	e.Detail = map[string]string{"kind": string(v.Kind), "base_url": v.BaseURL}
	if v.Reference != "" {
		e.Detail["key_reference"] = v.Reference
	}
	if v.Exception != "" {
		e.Detail["exception"] = string(v.Exception)
	}
	if len(v.Headers) > 0 {
		names := make([]string, len(v.Headers))
		for i, h := range v.Headers {
			names[i] = h.Name
		}
		e.Detail["headers"] = strings.Join(names, ",")
	}
	return e
}

// ProviderAddressRefused tells that nothing connected to a provider, and why.
func ProviderAddressRefused(v tenure.Provider, why string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: v.Tenant, Workspace: v.Workspace, Action: "provider.address_refused", Outcome: Refused, ActorKind: "system", Actor: "policy",
		ObjectID: string(v.ID), Object: v.Name, Reason: why, Detail: map[string]string{"kind": string(v.Kind), "base_url": v.BaseURL},
	}
}

// ProviderKeyJudged tells that a provider does not accept a key any more which is in
// use, or that it does again.
func ProviderKeyJudged(v tenure.Provider, k tenure.ProviderKey, accepted bool) tenure.AuditEvent {
	e := tenure.AuditEvent{
		Tenant: v.Tenant, Workspace: v.Workspace, Action: "provider.key_refused", Outcome: Refused, ActorKind: "system", Actor: "provider",
		ObjectID: string(v.ID), Object: v.Name, Reason: "the provider answered 401",
		Detail: map[string]string{"key": k.Name, "key_id": string(k.ID), "version": strconv.FormatInt(k.Version, 10), "last4": k.Last4},
	}
	if accepted {
		e.Action, e.Outcome, e.Reason = "provider.key_accepted", Success, ""
	}
	return e
}

// SecretOutage tells that the last good value of a secret that is kept elsewhere is
// used while its system cannot be asked ("began"), or no more ("ended", "given_up").
func SecretOutage(tenant tenure.TenantID, address, state string, confirmed time.Time) tenure.AuditEvent {
	e := tenure.AuditEvent{
		Tenant: tenant, Action: "secret.outage_" + state, Outcome: Success, ActorKind: "system", Actor: "secret system", Object: address,
		Detail: map[string]string{"confirmed_at": confirmed.UTC().Format(time.RFC3339)},
	}
	if state == "given_up" {
		e.Outcome = Refused
	}
	return e
}

// KeyRotatedElsewhere tells that the system which keeps a provider's key has another
// there now.
func KeyRotatedElsewhere(k tenure.ProviderKey, fingerprint string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: k.Tenant, Workspace: k.Workspace, Action: "provider_key.rotated_elsewhere", Outcome: Success, ActorKind: "system", Actor: "secret system",
		ObjectID: string(k.ID), Object: k.Name,
		Detail: map[string]string{"provider": string(k.Provider), "reference": k.Reference, "fingerprint_before": k.Fingerprint, "fingerprint": fingerprint},
	}
}

// RootUsed tells of an action that the root token was used for.
func RootUsed(p tenure.Principal, action tenure.Action) tenure.AuditEvent {
	e := by(p, "root_token.used")
	e.Object = string(action)
	return e
}

// RootRefused tells of a route that was refused to the root token.
func RootRefused(p tenure.Principal, route string) tenure.AuditEvent {
	e := by(p, "root_token.refused")
	e.Object, e.Outcome = route, Refused
	return e
}

// RootRotated tells of a new root token; the old one is dead.
func RootRotated(p tenure.Principal, t tenure.Token) tenure.AuditEvent {
	return aboutToken(by(p, "root_token.rotated"), t)
}

// Counted tells how often something was refused, or forged, from one address in
// a span of time: attackers get a counter, not a row each.
func Counted(action, reason, address string, count int, span time.Duration) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenure.DefaultTenant, Action: action, Outcome: Refused, ActorKind: "unknown",
		Reason: reason, Address: address,
		Detail: map[string]string{"count": strconv.Itoa(count), "seconds": strconv.Itoa(int(span.Seconds()))},
	}
}
