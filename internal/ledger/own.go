package ledger

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

const (
	// stale is how old the last verification may be before that is told.
	stale = 10 * time.Minute
	// settlesIn is how long after its start a replica looks at all of the log itself for the
	// first time: one that is started again and again leaves it to the others.
	settlesIn = time.Hour
)

// own is what a replica found itself. What the replicas tell each other stands in the database,
// where whoever can write to it can say that all is well; so each looks at all of the log by
// itself once a day, by its own clock, and what it finds holds until it finds it right.
type own struct {
	began time.Time // when it looked first
	due   time.Time // when it is to look at all of it
	fault *Fault
	at    time.Time // when that was found
}

// mine is what this replica found itself.
func (l *Ledger) mine(now time.Time) own {
	l.watch.own.CompareAndSwap(nil, &own{began: now, due: now.Add(settlesIn)})
	return *l.watch.own.Load()
}

// foundMyself keeps what this replica found itself, and reports whether that fault is new.
func (l *Ledger) foundMyself(now time.Time, fault *Fault) bool {
	before := l.mine(now)
	next := own{began: before.began, due: now.Add(whole), fault: fault}
	known := fault != nil && before.fault != nil && *before.fault == *fault
	if fault != nil {
		next.due, next.at = now.Add(faulty), now
	}
	if known {
		next.at = before.at
	}
	l.watch.own.Store(&next)
	return fault != nil && !known
}

// lookAlone verifies all of the log without a word to the other replicas: where one seems to
// verify without an end, or takes what this one has found for its own.
func (l *Ledger) lookAlone(ctx context.Context) error {
	a, err := l.verify(ctx, Question{})
	if err != nil {
		return err
	}
	if !l.foundMyself(l.DB.Now(), a.Fault) {
		return nil
	}
	l.warn("it was changed", "place", a.Fault.Place, "event", a.Fault.Event, "fault", a.Fault.What)
	return l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return l.tellFault(ctx, tx, a.Fault, a.Places) })
}

// tellFault appends the event that tells of a fault.
func (l *Ledger) tellFault(ctx context.Context, tx *store.Tx, f *Fault, places int64) error {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return tx.Append(ctx, audit.Fault(host, f.Event, f.What, map[string]string{
		"place": strconv.FormatInt(f.Place, 10), "places": strconv.FormatInt(places, 10),
	}))
}

// tooOld is since when the log is not verified, where that is too long; zero: it is.
func tooOld(since, now time.Time) time.Time {
	if since.IsZero() || now.Sub(since) <= stale {
		return time.Time{}
	}
	return since
}
