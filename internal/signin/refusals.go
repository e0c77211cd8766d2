package signin

import (
	"context"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Bounds of the counting.
const (
	refusalsEvery = 5 * time.Second
	refusalsMax   = 10_000 // different ones in one span; further ones are counted together
)

// Refusals counts what was refused and writes the counts to the audit log:
// whoever tries a million tokens leaves a number, not a million rows.
type Refusals struct {
	DB *store.DB

	mu     sync.Mutex
	counts map[refusal]int
	since  time.Time
}

type refusal struct{ action, reason, address string }

// Count notes one refusal. It never waits for the database.
func (f *Refusals) Count(action, reason, address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts, f.since = make(map[refusal]int), f.DB.Now()
	}
	key := refusal{action, reason, address}
	if _, ok := f.counts[key]; !ok && len(f.counts) >= refusalsMax {
		key.address = "many"
	}
	f.counts[key]++
}

// Run writes the counts until ctx ends, and then once more.
func (f *Refusals) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(refusalsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := f.Flush(ctx); err != nil {
				report(err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := f.Flush(last); err != nil {
				report(err)
			}
			return
		}
	}
}

// Flush writes what has been counted; what could not be written is kept.
func (f *Refusals) Flush(ctx context.Context) error {
	f.mu.Lock()
	counts, since := f.counts, f.since
	f.counts = nil
	f.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	err := f.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		span := tx.Now().Sub(since)
		for k, n := range counts {
			if err := tx.Append(ctx, audit.Counted(k.action, k.reason, k.address, n, span)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.counts == nil {
			f.counts, f.since = make(map[refusal]int), since
		}
		for k, n := range counts {
			f.counts[k] += n
		}
	}
	return err
}
