package audit

import (
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
)

func aboutOIDC(e tenure.AuditEvent, c tenure.OIDCConnection) tenure.AuditEvent {
	e.Tenant, e.ObjectID, e.Object = c.Tenant, string(c.ID), c.Name
	e.Detail = map[string]string{"issuer": c.Issuer, "client_id": c.ClientID}
	return e
}

// OIDCCreated tells of a new OIDC connection.
func OIDCCreated(p tenure.Principal, c tenure.OIDCConnection) tenure.AuditEvent {
	e := aboutOIDC(by(p, "oidc_connection.created"), c)
	e.Detail["user_name_claim"], e.Detail["domains"], e.Detail["trust_email"] = c.UserNameClaim, strings.Join(c.Domains, " "), strconv.FormatBool(c.TrustEmail)
	return e
}

// OIDCDeleted tells of a connection's end, and of the sessions that it opened.
func OIDCDeleted(p tenure.Principal, c tenure.OIDCConnection, sessions int) tenure.AuditEvent {
	e := aboutOIDC(by(p, "oidc_connection.deleted"), c)
	e.Detail["sessions"] = strconv.Itoa(sessions)
	return e
}

// UserLinked tells whom a provider's subject was taken for from now on.
func UserLinked(u tenure.User, issuer, subject string) tenure.AuditEvent {
	e := aboutUser(tenure.AuditEvent{
		Action: "user.linked", Outcome: Success, ActorKind: tenure.AssertedIdentity.String(), ActorID: string(u.ID), Actor: u.UserName,
	}, u)
	e.Detail = map[string]string{"issuer": issuer, "subject": subject}
	return e
}

// LinkRefused tells whose account a provider's subject was kept from, and why.
func LinkRefused(u tenure.User, issuer, subject, why string) tenure.AuditEvent {
	e := aboutUser(tenure.AuditEvent{
		Action: "user.link_refused", Outcome: Refused, ActorKind: "identity_provider", ActorID: issuer, Actor: issuer, Reason: why,
	}, u)
	e.Detail = map[string]string{"issuer": issuer, "subject": subject}
	return e
}

// UserUnlinked tells that whoever next signs in by a person's userName is linked.
func UserUnlinked(p tenure.Principal, u tenure.User, issuer, subject string) tenure.AuditEvent {
	e := aboutUser(by(p, "user.unlinked"), u)
	e.Detail = map[string]string{"issuer": issuer, "subject": subject}
	return e
}

// ProviderEnded tells of a session that the identity provider said has ended.
func ProviderEnded(c tenure.OIDCConnection, s tenure.Session, reason string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: s.Tenant, Action: "session.ended", Outcome: Success, ActorKind: "identity_provider", ActorID: string(c.ID), Actor: c.Name,
		ObjectID: string(s.ID), Object: s.UserName, Reason: reason,
	}
}
