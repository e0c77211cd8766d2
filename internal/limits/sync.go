package limits

import (
	"context"
	"iter"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// mostWaiting is how many refusals wait to be written while the database is away.
const mostWaiting = 1000

// Run takes up what changes about limits until ctx ends. What is used comes with each
// flush of the use of models.
func (l *Limits) Run(ctx context.Context, report func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.bell:
			if err := l.Use.Flush(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}

// Forget takes up a change, if it is one of limits or may be.
func (l *Limits) Forget(c store.Change) {
	switch c.Kind {
	case "limit", "":
		l.stale.Store(true)
		select {
		case l.bell <- struct{}{}:
		default:
		}
	}
}

// count counts what was used under the limits that bear on it. One at a time does.
func (l *Limits) count(n store.NotedUse) {
	t := l.table.Load()
	if t == nil || len(t.tenants) == 0 {
		return
	}
	var held [most]*gauge
	for _, g := range held[:t.of(n, &held)] {
		g.add(n.Day, n.Tokens)
	}
}

// of gives the limits that bear on what was used.
func (t *table) of(n store.NotedUse, out *[most]*gauge) int {
	owner := string(n.User)
	if owner == "" {
		owner = string(n.Account)
	}
	return t.bearing(n.Tenant, n.Workspace, owner, n.Token, out)
}

// sync reads what all replicas have used, after this one has written what it noted,
// and the limits themselves if they may have changed. One at a time does.
func (l *Limits) sync(ctx context.Context) error {
	if err := l.writeRefusals(ctx); err != nil {
		return err
	}
	now, t := l.DB.Now(), l.table.Load()
	if l.stale.Swap(false) || t == nil {
		rows, err := l.DB.EveryLimit(ctx)
		if err != nil {
			l.stale.Store(true)
			return err
		}
		t = newTable(rows, t)
	}
	if len(t.gauges) == 0 {
		l.table.Store(t)
		return nil
	}
	if err := l.syncTokens(ctx, t, now); err != nil {
		l.stale.Store(true)
		return err
	}
	return l.syncRequests(ctx, t, now)
}

// syncTokens reads what was used today, adds what is not written yet, and puts the
// table in its place.
func (l *Limits) syncTokens(ctx context.Context, t *table, now time.Time) error {
	used := make(map[*gauge]int64, len(t.gauges))
	today := store.Day(now)
	add := func(n store.NotedUse) {
		var held [most]*gauge
		for _, g := range held[:t.of(n, &held)] {
			if n.Day == today {
				used[g] += n.Tokens
			}
		}
	}
	if t.any(func(b tenure.UsageBounds) bool { return b.TokensPerDay > 0 }) {
		if err := l.DB.LimitedUse(ctx, today, today, add); err != nil {
			return err
		}
	}
	l.Use.Settle(func(waiting iter.Seq[store.NotedUse]) {
		for n := range waiting {
			add(n)
		}
		for _, g := range t.gauges {
			g.set(today, used[g])
		}
		l.table.Store(t)
	})
	return nil
}

// any reports whether some limit has such bounds.
func (t *table) any(such func(tenure.UsageBounds) bool) bool {
	for _, g := range t.gauges {
		if such(g.of.Bounds) {
			return true
		}
	}
	return false
}

// syncRequests tells the other replicas how many requests this one admitted, and
// reads theirs.
func (l *Limits) syncRequests(ctx context.Context, t *table, now time.Time) error {
	if !t.any(func(b tenure.UsageBounds) bool { return b.RequestsPerMinute > 0 }) {
		return nil
	}
	at := spanOf(now)
	oldest := at - spans + 1
	var rows []store.LimitRequests
	for _, g := range t.gauges {
		for s := max(oldest, l.wrote); s <= at; s++ {
			if n := g.asked.own.at(s); n > 0 && g.of.Bounds.RequestsPerMinute > 0 {
				rows = append(rows, store.LimitRequests{Limit: g.of.ID, Tenant: g.of.Tenant, Span: s, Requests: n})
			}
		}
	}
	if len(rows) > 0 {
		err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetLimitRequests(ctx, l.replica, rows, oldest-spans)
		})
		if err != nil {
			return err
		}
	}
	l.wrote = at - 1 // a request may have been counted in the span before, just now
	others, err := l.DB.LimitRequestsElsewhere(ctx, l.replica, oldest)
	if err != nil {
		return err
	}
	type place struct {
		limit tenure.LimitID
		span  int64
	}
	theirs := make(map[place]int64, len(others))
	for _, o := range others {
		theirs[place{o.Limit, o.Span}] = o.Requests
	}
	for _, g := range t.gauges {
		for s := oldest; s <= at; s++ {
			g.asked.others.set(s, theirs[place{g.of.ID, s}])
		}
	}
	return nil
}

// note keeps an event until it can be written. It does not wait for the database.
func (l *Limits) note(e tenure.AuditEvent) {
	l.waiting.mu.Lock()
	defer l.waiting.mu.Unlock()
	if len(l.waiting.events) < mostWaiting {
		l.waiting.events = append(l.waiting.events, e)
	}
}

func (l *Limits) writeRefusals(ctx context.Context) error {
	l.waiting.mu.Lock()
	events := l.waiting.events
	l.waiting.events = nil
	l.waiting.mu.Unlock()
	if len(events) == 0 {
		return nil
	}
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, e := range events {
			if err := tx.Append(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.waiting.mu.Lock()
		defer l.waiting.mu.Unlock()
		l.waiting.events = append(events, l.waiting.events...)[:min(mostWaiting, len(events)+len(l.waiting.events))]
	}
	return err
}
