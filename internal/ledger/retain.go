package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

const (
	// removedAtOnce is how many events are removed in a transaction, and told by one event.
	removedAtOnce = 500
	// removeEvery is how often it is looked whether something is old enough; of a tenant where
	// something is in its way, it is looked again soon.
	removeEvery, removeSoon = time.Hour, 10 * time.Second
)

// metaRemoved is swapped by whoever removes: of two replicas one finds it changed.
const metaRemoved = "audit.removed"

// KeepHouse removes what is older than the tenants want it kept, until ctx ends. Of the
// replicas one does it at a time.
func (l *Ledger) KeepHouse(ctx context.Context, report func(error)) {
	tick := time.NewTicker(removeSoon)
	defer tick.Stop()
	var due time.Time // for all of them
	var waiting []tenure.TenantID
	before := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		only := waiting
		if now := time.Now(); !now.Before(due) {
			only, due = nil, now.Add(removeEvery)
		} else if len(only) == 0 {
			continue
		}
		var err error
		waiting, err = l.Retain(ctx, only...)
		if err != nil && len(waiting) == 0 { // not even whose it is was known
			due = time.Time{}
		}
		why := ""
		if err != nil && ctx.Err() == nil {
			if why = err.Error(); why != before {
				report(fmt.Errorf("retention of the audit log: %w", err))
			}
		}
		before = why
	}
}

// Retain removes, of each tenant that says how long its events are kept, or of those alone
// that are given, what is older, but nothing that is younger than 90 days, that no
// checkpoint is over, that is not verified, that a sink does not have yet, or that
// verification stands on; and of a tenant under a legal hold nothing. waiting: the tenants
// of which one of these, another replica, or an error was in the way.
func (l *Ledger) Retain(ctx context.Context, only ...tenure.TenantID) (waiting []tenure.TenantID, err error) {
	ctx = tenure.Everywhere(ctx)
	tenants, err := l.DB.PoliciesOf(ctx, "audit_retention")
	if err != nil {
		return only, err
	}
	for _, t := range tenants {
		var p tenure.Policy
		if len(only) > 0 && !slices.Contains(only, t.Tenant) || p.Set("audit_retention", t.Value) != nil || p.AuditRetention == 0 {
			continue
		}
		waits, failed := l.retain(ctx, t.Tenant, max(p.AuditRetention, tenure.KeptAtLeast))
		if waits || failed != nil {
			waiting = append(waiting, t.Tenant)
		}
		err = errors.Join(err, failed)
	}
	return waiting, err
}

// retain removes what of a tenant is older than its events are kept. The cut is at a whole
// day (UTC): what grows old hour by hour is told once a day.
func (l *Ledger) retain(ctx context.Context, tenant tenure.TenantID, keep time.Duration) (waits bool, err error) {
	if _, err := l.DB.HoldInForce(ctx, tenant); !tenure.IsKind(err, tenure.NotFound) {
		return true, err
	}
	f := store.Removable{Tenant: tenant, Before: l.DB.Now().Add(-keep).Truncate(24 * time.Hour), Except: audit.Lasting()}
	for {
		if f.UpTo, err = l.DB.UpToEvents(ctx, tenant, f.After, part); err != nil || f.UpTo == 0 {
			return false, err
		}
		if old, err := l.DB.OldEvents(ctx, f); err != nil || !old {
			return false, err // and what is behind is younger
		}
		if waits, err = l.retainPart(ctx, f, keep); err != nil || waits {
			return waits, err
		}
		f.After = f.UpTo
	}
}

// retainPart removes what is old enough of a part of a tenant's log, a transaction after the
// other.
func (l *Ledger) retainPart(ctx context.Context, f store.Removable, keep time.Duration) (waits bool, err error) {
	for {
		start := time.Now()
		some, err := l.DB.RemovableEvents(ctx, f, removedAtOnce)
		if err != nil || len(some) == 0 {
			return false, err
		}
		// All of them, or none yet: else where a sink is slow, few would be told at a time.
		upTo, err := l.removableUpTo(ctx, f.Tenant)
		if err != nil || some[len(some)-1].Place >= upTo {
			return true, err
		}
		if err := l.unchanged(some); err != nil {
			return true, err
		}
		if err := l.remove(ctx, f, keep, some); errors.Is(err, errRemoving) || tenure.IsKind(err, tenure.Conflict) {
			return true, nil // it is looked again soon
		} else if err != nil {
			return true, err
		}
		l.watch.removed.Add(int64(len(some)))
		select { // others write for much longer than this has
		case <-ctx.Done():
			return true, ctx.Err()
		case <-time.After(5 * time.Since(start)):
		}
	}
}

// unchanged has all of the log verified, and is an error, where one of the events is not
// the one of its leaf: who changed by hand when it was, whose, or what, would have it
// removed before that shows.
func (l *Ledger) unchanged(some []store.Placed) error {
	for _, p := range some {
		leaf := audit.Leaf(*p.Event)
		if string(p.Hash) != string(leaf[:]) || len(p.Event.Erased) > 0 && !audit.Bare(*p.Event) {
			l.watch.asked.Store(true)
			return fmt.Errorf("the event %s, number %d, was changed, or another is in its place: nothing is removed, and all of the log is verified", tenure.Shown(p.Event.ID), p.Seq)
		}
	}
	return nil
}

// removableUpTo is the place from which on nothing of a tenant may go: it is not signed, or
// not verified, or a sink does not have it. While a fault is known nothing may.
func (l *Ledger) removableUpTo(ctx context.Context, tenant tenure.TenantID) (int64, error) {
	v, err := l.verified(ctx)
	if err != nil {
		return 0, err
	}
	tree, err := l.DB.Tree(ctx)
	if err != nil || v.Fault != nil || l.mine(l.DB.Now()).fault != nil || v.Epoch != tree.Epoch {
		return 0, err
	}
	last, err := l.DB.LastCheckpoint(ctx)
	if err != nil {
		return 0, ignoreMissing(err)
	}
	sent, err := l.DB.SlowestSink(ctx, tenant)
	return min(v.Places, last.Size, sent), err
}

func ignoreMissing(err error) error {
	if tenure.IsKind(err, tenure.NotFound) {
		return nil
	}
	return err
}

// errRemoving is why a replica gives way.
var errRemoving = errors.New("another replica removes events of the audit log")

// remove removes events in one transaction, with the event that tells of them. errRemoving:
// another replica does. Conflict: a legal hold was placed.
func (l *Ledger) remove(ctx context.Context, f store.Removable, keep time.Duration, some []store.Placed) error {
	turn, err := l.DB.Meta(ctx, metaRemoved)
	if err != nil {
		return err
	}
	r := audit.Removal{Tenant: f.Tenant, Before: f.Before, Keep: keep, First: some[0].Event.ID, Last: some[0].Event.ID, Oldest: some[0].Event.At, Newest: some[0].Event.At}
	seqs := make([]int64, len(some))
	for i, p := range some {
		seqs[i] = p.Seq
		r.Leaves = append(r.Leaves, p.Hash)
		r.First, r.Last = min(r.First, p.Event.ID), max(r.Last, p.Event.ID)
		if r.Oldest.After(p.Event.At) {
			r.Oldest = p.Event.At
		}
		if r.Newest.Before(p.Event.At) {
			r.Newest = p.Event.At
		}
	}
	return l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.FirstMeta(ctx, metaRemoved, ""); err != nil {
			return err
		}
		teller := tenure.NewID(tx.Now())
		if ours, err := tx.SwapMeta(ctx, metaRemoved, turn, teller); err != nil || !ours {
			return errors.Join(err, errRemoving)
		}
		if err := unheld(ctx, tx, f.Tenant); err != nil {
			return err
		}
		tree, err := tx.Tree(ctx)
		if err != nil {
			return err
		}
		r.Epoch = tree.Epoch
		if err := tx.Append(ctx, audit.EventsRemoved(teller, r)); err != nil {
			return err
		}
		return tx.RemoveEvents(ctx, teller, seqs)
	})
}

// Removed is how many events this process has removed.
func (l *Ledger) Removed() int64 { return l.watch.removed.Load() }

// removalsShown is how many removals are shown, the newest first.
const removalsShown = 100

// Retention tells how long a tenant's events are kept, and what was removed.
type Retention struct {
	Keep     time.Duration // 0: for ever
	Since    time.Time     // when the oldest event was that is there; zero: there is none
	Removals []tenure.AuditEvent
	Holds    []tenure.AuditHold // the newest first
}

// Held is the oldest hold that is in force; nil: none is.
func (r Retention) Held() *tenure.AuditHold {
	for _, h := range slices.Backward(r.Holds) {
		if h.InForce() {
			return &h
		}
	}
	return nil
}
