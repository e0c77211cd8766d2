package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// late is how long after a checkpoint no event is committed any more whose number is below
// those under it: by far more than a transaction takes, for the clocks of replicas differ.
const late = 10 * time.Minute

// waiting looks at what has no place yet. An event whose number is below those that had their
// places long before the last checkpoint was signed will never get one: a hand has put it
// there, for whoever writes an event gets the next number, or has changed what is settled. What tells of an epoch may wait.
func (v *verifier) waiting(ctx context.Context, db *store.DB, last store.Checkpoint) error {
	if v.Fault != nil || v.Waiting == 0 {
		return nil
	}
	e, err := db.FirstUnplaced(ctx)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return err
	}
	if err == nil {
		before := int64(0)
		if last.Size > 0 {
			if before, err = db.PlacedBefore(ctx, last.At.Add(-late)); err != nil {
				return err
			}
		}
		if e.Seq < max(before, 1) { // numbers begin at 1
			v.fault(v.tree.Size, e.ID, "it has no place and will get none: its number, %d, is below those that have had theirs for long, so that a hand has written it, or kept it back", e.Seq)
		}
	}
	if v.Fault == nil && last.Size > 0 { // behind a number that a hand has made up, nothing is placed any more
		e, err := db.Overtaken(ctx, last.At.Add(late))
		if err != nil && !tenure.IsKind(err, tenure.NotFound) {
			return err
		}
		if err == nil {
			v.fault(v.tree.Size, e.ID, "it has no place and will get none: a higher number than its own, %d, had its place long before it was written, so that a hand has written that", e.Seq)
		}
	}
	for _, action := range audit.Tellers() {
		events, err := db.AuditEvents(ctx, store.AuditFilter{Tenant: tenure.DefaultTenant, Action: action, Limit: page})
		if err != nil {
			return err
		}
		for _, e := range events { // those that have their places were met there
			v.epochs.waiting = append(v.epochs.waiting, e.Detail["epoch"])
		}
	}
	return nil
}

// untold is an epoch that no event tells of; "": each has its event. Of an export it is not
// known what the events tell that have no place yet.
func (v *verifier) untold() string {
	for _, epoch := range v.epochs.named {
		if !slices.Contains(v.epochs.told, epoch) && !slices.Contains(v.epochs.waiting, epoch) {
			return epoch
		}
	}
	return ""
}
