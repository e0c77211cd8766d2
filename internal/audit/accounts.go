package audit

import (
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// bySystem is by for what nobody asked for: a rule did it.
func bySystem(p tenure.Principal, action, what string) tenure.AuditEvent {
	e := by(p, action)
	if !p.Valid() {
		e.ActorKind, e.Actor = "system", what
	}
	return e
}

func aboutAccount(e tenure.AuditEvent, a tenure.ServiceAccount) tenure.AuditEvent {
	e.Tenant, e.Workspace, e.ObjectID, e.Object = a.Tenant, a.Workspace, string(a.ID), a.Name
	e.Detail = map[string]string{"owner": a.OwnerName}
	return e
}

// AccountCreated tells of a new service account and who answers for it.
func AccountCreated(p tenure.Principal, a tenure.ServiceAccount) tenure.AuditEvent {
	e := aboutAccount(by(p, "service_account.created"), a)
	e.Detail["expires_at"] = a.ExpiresAt.UTC().Format(time.RFC3339)
	return e
}

// AccountUpdated tells of a new owner, description or end date.
func AccountUpdated(p tenure.Principal, before, after tenure.ServiceAccount) tenure.AuditEvent {
	e := aboutAccount(by(p, "service_account.updated"), after)
	if before.Owner != after.Owner || !before.OrphanedAt.IsZero() && after.OrphanedAt.IsZero() {
		e.Detail["owner_before"] = before.OwnerName
	}
	if !before.ExpiresAt.Equal(after.ExpiresAt) {
		e.Detail["expires_at"] = after.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return e
}

// AccountOrphaned tells that the owner of a service account left, and until when
// it goes on without one.
func AccountOrphaned(p tenure.Principal, a tenure.ServiceAccount) tenure.AuditEvent {
	e := aboutAccount(by(p, "service_account.orphaned"), a)
	e.Detail["grace_ends_at"] = a.GraceEndsAt.UTC().Format(time.RFC3339)
	return e
}

// AccountEnded tells of a service account's end, and of its tokens'.
func AccountEnded(p tenure.Principal, a tenure.ServiceAccount, tokens int, reason string) tenure.AuditEvent {
	e := aboutAccount(bySystem(p, "service_account.ended", "housekeeping"), a)
	e.Reason, e.Detail["tokens"] = reason, strconv.Itoa(tokens)
	return e
}

// narrowed adds what a token is bound to.
func narrowed(e tenure.AuditEvent, scopes tenure.Scopes, models tenure.Models, cidrs []string) tenure.AuditEvent {
	e.Detail["scopes"] = scopes.String()
	if len(models) > 0 && models.String() != tenure.AnyModel {
		e.Detail["models"] = models.String()
	}
	if len(cidrs) > 0 {
		e.Detail["cidrs"] = strings.Join(cidrs, " ")
	}
	return e
}

// TokenRequested tells that somebody asks for a token with scopes of administration.
func TokenRequested(p tenure.Principal, q tenure.TokenRequest) tenure.AuditEvent {
	return narrowed(aboutRequest(by(p, "token_request.made"), q, q.Reason), q.Scopes, q.Models, tenure.NetworkNames(q.Networks))
}

// TokenRequestChanged tells that a request was "approved", "rejected",
// "withdrawn" or "collected".
func TokenRequestChanged(p tenure.Principal, q tenure.TokenRequest, what, why string) tenure.AuditEvent {
	e := aboutRequest(by(p, "token_request."+what), q, why)
	e.Detail["scopes"], e.Detail["requested_by"] = q.Scopes.String(), q.RequestedBy
	return e
}

// WithoutSecond says of an approval that there was no second super admin to give it.
func WithoutSecond(e tenure.AuditEvent) tenure.AuditEvent {
	e.Detail["second_person"] = "there was no other active super admin"
	return e
}

func aboutRequest(e tenure.AuditEvent, q tenure.TokenRequest, why string) tenure.AuditEvent {
	e.Tenant, e.Workspace, e.ObjectID, e.Object, e.Reason = q.Tenant, q.Workspace, string(q.ID), q.Name, why
	e.Detail = map[string]string{"service_account": q.AccountName}
	return e
}
