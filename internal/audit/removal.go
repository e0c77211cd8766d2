package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Removal is what retention removes from the log of a tenant in one transaction.
type Removal struct {
	Tenant tenure.TenantID
	Leaves [][]byte // of what goes, in the order of their places
	// The events with the lowest and the highest id, and the times of the oldest and the
	// newest. Ids begin with the time at which they were made.
	First, Last    string
	Oldest, Newest time.Time
	Before         time.Time // older than this may go
	Keep           time.Duration
	Epoch          string // of the tree in which the leaves stay
}

// EventsRemoved tells of events that retention removed: how many, and by the digest of their
// leaves which. Their places would tell how much other tenants do.
func EventsRemoved(id string, r Removal) tenure.AuditEvent {
	sum := sha256.New()
	for _, leaf := range r.Leaves {
		sum.Write(leaf)
	}
	return tenure.AuditEvent{
		ID: id, Tenant: r.Tenant, Action: Removed, Outcome: Success, ActorKind: "system", Actor: "retention", Object: "audit log",
		Detail: map[string]string{
			"count": strconv.Itoa(len(r.Leaves)), "digest": hex.EncodeToString(sum.Sum(nil)), "first": r.First, "last": r.Last,
			"oldest": r.Oldest.UTC().Format(time.RFC3339Nano), "newest": r.Newest.UTC().Format(time.RFC3339Nano),
			"before": r.Before.UTC().Format(time.RFC3339), "audit_retention": tenure.FormatSpan(r.Keep), "epoch": r.Epoch,
		},
	}
}

// TellsRemoved reports whether an event tells that events with some leaves were removed, by
// how many they are and the digest of the leaves, and no others.
func TellsRemoved(e tenure.AuditEvent, n int, digest string) bool {
	return e.Action == Removed && e.Detail["count"] == strconv.Itoa(n) && e.Detail["digest"] == digest
}

// RemovedAround reports whether an event tells of others that were removed and may be of a
// time from an instant on and before another.
func RemovedAround(e tenure.AuditEvent, from, to time.Time) bool {
	oldest, err := time.Parse(time.RFC3339Nano, e.Detail["oldest"])
	newest, failed := time.Parse(time.RFC3339Nano, e.Detail["newest"])
	return e.Action == Removed && (err != nil || failed != nil || oldest.Before(to) && !newest.Before(from))
}

// HoldBegun tells of a legal hold.
func HoldBegun(p tenure.Principal, h tenure.AuditHold) tenure.AuditEvent {
	e := by(p, HoldPlaced)
	e.Tenant, e.ObjectID, e.Object = h.Tenant, string(h.ID), h.Matter
	return e
}

// HoldEnded tells that a legal hold was released, and why.
func HoldEnded(p tenure.Principal, h tenure.AuditHold) tenure.AuditEvent {
	e := by(p, HoldReleased)
	e.Tenant, e.ObjectID, e.Object, e.Reason = h.Tenant, string(h.ID), h.Matter, h.ReleaseReason
	e.Detail = map[string]string{"placed_at": h.PlacedAt.UTC().Format(time.RFC3339), "placed_by": h.PlacedBy}
	return e
}
