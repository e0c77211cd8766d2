package audit

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
)

func aboutReview(e tenure.AuditEvent, r tenure.Review) tenure.AuditEvent {
	e.Tenant, e.ObjectID, e.Object = r.Tenant, string(r.ID), r.Title
	return e
}

// ReviewOpened tells of a new access review, and the hash over what it is about.
func ReviewOpened(p tenure.Principal, r tenure.Review) tenure.AuditEvent {
	e := aboutReview(bySystem(p, "review.opened", "policy"), r)
	e.Detail = map[string]string{"items": strconv.FormatInt(r.Items, 10), "snapshot": r.Snapshot, "due_at": r.DueAt.UTC().Format(time.RFC3339), "unanswered": r.Unanswered}
	return e
}

// ReviewClosed tells of the end of an access review.
func ReviewClosed(p tenure.Principal, r tenure.Review, unresolved int64) tenure.AuditEvent {
	e := aboutReview(bySystem(p, "review.closed", "policy"), r)
	e.Reason = r.CloseWhy
	e.Detail = map[string]string{"items": strconv.FormatInt(r.Items, 10), "unresolved": strconv.FormatInt(unresolved, 10)}
	return e
}

func aboutItem(e tenure.AuditEvent, i tenure.ReviewItem) tenure.AuditEvent {
	e.Tenant, e.Workspace, e.ObjectID, e.Object = i.Tenant, i.Workspace, i.Subject, i.Name
	e.Detail = map[string]string{"review": string(i.Review), "item": strconv.FormatInt(i.N, 10), "kind": string(i.Kind), "grant": i.Grant}
	return e
}

// ReviewItemDecided tells what was decided about an item, and what was before.
func ReviewItemDecided(p tenure.Principal, i tenure.ReviewItem, before tenure.Decision) tenure.AuditEvent {
	e := aboutItem(bySystem(p, "review.item_decided", "policy"), i)
	e.Reason = i.Reason
	e.Detail["decision"], e.Detail["together"] = string(i.Decision), strconv.FormatInt(i.Together, 10)
	if before != "" {
		e.Detail["decision_before"] = string(before)
	}
	if i.Change != "" {
		e.Detail["change"] = i.Change
	}
	if i.ChangeOwner != "" {
		e.Detail["change_owner"], e.Detail["change_due_at"] = i.ChangeOwner, i.ChangeDue.UTC().Format(time.RFC3339)
	}
	return e
}

// ReviewItemEnded tells that what was revoked was tried, and is dead.
func ReviewItemEnded(p tenure.Principal, i tenure.ReviewItem) tenure.AuditEvent {
	e := aboutItem(bySystem(p, "review.item_ended", "policy"), i)
	e.Detail["took_ms"] = fmt.Sprintf("%.3f", float64(i.Took.Microseconds())/1000)
	return e
}

// ReviewItemGone tells that what an item is about was gone, or another thing, before
// anybody decided.
func ReviewItemGone(i tenure.ReviewItem) tenure.AuditEvent {
	e := aboutItem(bySystem(tenure.Principal{}, "review.item_gone", "policy"), i)
	e.Reason = i.GoneWhy
	return e
}

// ReviewItemReassigned tells that somebody else is to decide an item.
func ReviewItemReassigned(p tenure.Principal, i tenure.ReviewItem, from, to, reason string) tenure.AuditEvent {
	e := aboutItem(bySystem(p, "review.item_reassigned", "policy"), i)
	e.Reason, e.Detail["reviewer_before"], e.Detail["reviewer"] = reason, from, to
	return e
}
