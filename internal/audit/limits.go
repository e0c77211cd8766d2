package audit

import (
	"strconv"

	"github.com/tenure-gateway/tenure"
)

func aboutLimit(e tenure.AuditEvent, l tenure.UsageLimit) tenure.AuditEvent {
	e.Tenant, e.Workspace, e.ObjectID, e.Object = l.Tenant, l.Workspace, string(l.ID), l.Name
	e.Detail = map[string]string{"subject_kind": l.Kind, "subject_id": l.Subject}
	return e
}

func bounds(e tenure.AuditEvent, after string, b tenure.UsageBounds) {
	e.Detail["requests_per_minute"+after] = strconv.FormatInt(b.RequestsPerMinute, 10)
	e.Detail["tokens_per_day"+after] = strconv.FormatInt(b.TokensPerDay, 10)
}

// LimitSet tells of the bounds of a limit, before and after; a new one had none.
func LimitSet(p tenure.Principal, l tenure.UsageLimit, before tenure.UsageBounds) tenure.AuditEvent {
	e := aboutLimit(by(p, "limit.set"), l)
	bounds(e, "", l.Bounds)
	bounds(e, "_before", before)
	return e
}

// LimitRemoved tells of the end of a limit.
func LimitRemoved(p tenure.Principal, l tenure.UsageLimit) tenure.AuditEvent {
	e := aboutLimit(by(p, "limit.removed"), l)
	bounds(e, "_before", l.Bounds)
	return e
}

// LimitReached tells of the first request in a window that a limit refused.
func LimitReached(p tenure.Principal, l tenure.UsageLimit, bound string) tenure.AuditEvent {
	e := aboutLimit(by(p, "limit.reached"), l)
	e.Outcome, e.Reason = Refused, bound
	bounds(e, "", l.Bounds)
	return e
}
