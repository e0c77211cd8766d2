package audit

import (
	"strconv"
	"time"

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
	e.Detail["spend_per_month"+after] = tenure.FormatMoney(b.SpendPerMonth)
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

func aboutPrice(e tenure.AuditEvent, row tenure.ModelPrice) tenure.AuditEvent {
	e.ObjectID, e.Object = string(row.ID), row.Pattern
	e.Detail = map[string]string{
		"from": row.From.UTC().Format(time.DateOnly), "input": tenure.FormatMoney(row.Rates.Input), "cache_read": tenure.FormatMoney(row.Rates.CacheRead),
		"cache_write": tenure.FormatMoney(row.Rates.CacheWrite), "output": tenure.FormatMoney(row.Rates.Output),
	}
	if row.Tenant == "" {
		e.Detail["everyone"] = "true"
	}
	return e
}

// PriceSet tells of a price.
func PriceSet(p tenure.Principal, row tenure.ModelPrice) tenure.AuditEvent {
	return aboutPrice(by(p, "price.set"), row)
}

// PriceRemoved tells of the end of a price.
func PriceRemoved(p tenure.Principal, row tenure.ModelPrice) tenure.AuditEvent {
	return aboutPrice(by(p, "price.removed"), row)
}

// PricesApplied tells that what was used on a day was reckoned anew.
func PricesApplied(p tenure.Principal, day time.Time, rows, unpriced int) tenure.AuditEvent {
	e := by(p, "price.applied")
	e.Detail = map[string]string{"day": day.UTC().Format(time.DateOnly), "rows": strconv.Itoa(rows), "unpriced": strconv.Itoa(unpriced)}
	return e
}
