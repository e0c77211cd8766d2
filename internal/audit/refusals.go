package audit

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Bounds of the counting.
const (
	refusalsEvery = 5 * time.Second
	refusalsMax   = 1000 // different ones in one span; further ones are counted together
)

// Log records what is no part of a change: single events, and counts of what
// was refused. Whoever tries a million tokens leaves a number, not a million rows.
type Log struct {
	DB *store.DB

	mu     sync.Mutex
	counts map[refusal]int
	since  time.Time
}

type refusal struct{ action, reason, address string }

// Record appends an event that tells of no change, in a transaction of its own.
func (l *Log) Record(ctx context.Context, e tenure.AuditEvent) error {
	return l.DB.Tx(tenure.WithoutAsker(ctx), func(ctx context.Context, tx *store.Tx) error { return tx.Append(ctx, e) })
}

// Count notes one refusal. It never waits for the database.
func (l *Log) Count(action, reason, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts, l.since = make(map[refusal]int), l.DB.Now()
	}
	key := refusal{action, reason, network(address)}
	if _, ok := l.counts[key]; !ok && len(l.counts) >= refusalsMax {
		key.address = "many"
	}
	l.counts[key]++
}

// network is what an address is counted under: itself, or for IPv6 the /64 that
// one customer has at least.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() {
		return address
	}
	p, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

// Run writes the counts until ctx ends, and then once more.
func (l *Log) Run(ctx context.Context, report func(error)) {
	store.WriteBehind(ctx, refusalsEvery, l.Flush, report)
}

// Flush writes what has been counted; what could not be written is kept.
func (l *Log) Flush(ctx context.Context) error {
	l.mu.Lock()
	counts, since := l.counts, l.since
	l.counts = nil
	l.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		span := tx.Now().Sub(since)
		for k, n := range counts {
			if err := tx.Append(ctx, Counted(k.action, k.reason, k.address, n, span)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.counts == nil {
			l.counts, l.since = make(map[refusal]int), since
		}
		for k, n := range counts {
			if _, ok := l.counts[k]; !ok && len(l.counts) >= refusalsMax {
				k.address = "many"
			}
			l.counts[k] += n
		}
	}
	return err
}
