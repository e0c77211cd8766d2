package audit

import (
	"time"

	"github.com/tenure-gateway/tenure"
)

func aboutException(e tenure.AuditEvent, x tenure.Exception) tenure.AuditEvent {
	e.Tenant, e.Workspace, e.ObjectID, e.Object = x.Tenant, x.Workspace, string(x.ID), x.Title
	e.Detail = map[string]string{"rule": string(x.Rule), "subject_kind": x.Kind, "subject_id": x.Subject}
	if x.BaseURL != "" {
		e.Detail["base_url"] = x.BaseURL
	}
	return e
}

// ExceptionAsked tells that somebody asks for an exception, with all that it is to be.
func ExceptionAsked(p tenure.Principal, x tenure.Exception) tenure.AuditEvent {
	e := aboutException(by(p, "exception.asked"), x)
	e.Reason = x.Reason
	e.Detail["from"], e.Detail["until"] = x.From.UTC().Format(time.RFC3339), x.End().UTC().Format(time.RFC3339)
	e.Detail["risk_before"], e.Detail["risk_after"] = x.Before.Rating(), x.After.Rating()
	e.Detail["owner"], e.Detail["remedy_by"] = x.OwnerName, x.RemedyBy.UTC().Format(time.RFC3339)
	if x.Renews != "" {
		e.Detail["renews"] = string(x.Renews)
	}
	return e
}

// ExceptionChanged tells that an exception was "approved", "rejected", "withdrawn",
// "revoked" or "remediated", and why.
func ExceptionChanged(p tenure.Principal, x tenure.Exception, what, why string) tenure.AuditEvent {
	e := aboutException(by(p, "exception."+what), x)
	e.Reason = why
	e.Detail["requested_by"] = x.RequestedBy
	return e
}

// ExceptionFailed tells that the live check of an exception failed, and why: it is out of
// force.
func ExceptionFailed(x tenure.Exception, why string) tenure.AuditEvent {
	e := aboutException(bySystem(tenure.Principal{}, "exception.failed", "live check"), x)
	e.Reason = why
	e.Detail["check"], e.Detail["owner"] = x.Check, string(x.Owner)
	return e
}

// ExceptionRenewed tells that an exception took the place of the one before.
func ExceptionRenewed(p tenure.Principal, x tenure.Exception) tenure.AuditEvent {
	e := aboutException(by(p, "exception.renewed"), x)
	e.Detail["renews"] = string(x.Renews)
	return e
}
