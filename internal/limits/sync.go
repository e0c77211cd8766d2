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
		g.add(n)
	}
}

// of gives the limits that bear on what was used.
func (t *table) of(n store.NotedUse, out *[most]*gauge) int {
	owner := string(n.User)
	if owner == "" {
		owner = string(n.Account)
	}
	return t.bearing(n.Tenant, n.Workspace, owner, n.Line, out)
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
	if err := l.syncUse(ctx, t, now); err != nil {
		l.stale.Store(true)
		return err
	}
	return l.syncRequests(ctx, t, now)
}

// syncUse reads what was used today and in this month, adds what is not written yet, and
// puts the table in its place.
func (l *Limits) syncUse(ctx context.Context, t *table, now time.Time) error {
	today := store.Day(now)
	month, from := monthOf(today), today
	spend := t.any(func(b tenure.UsageBounds) bool { return b.SpendPerMonth > 0 })
	if spend {
		first := today - int64(now.UTC().Day()) + 1
		from = max(first, today-1) // what was asked yesterday may still come
		if err := l.readBefore(ctx, t, now, first, from); err != nil {
			return err
		}
	}
	used := make(map[*gauge]sums, len(t.gauges))
	add := func(n store.NotedUse) { t.add(used, n, today, month) }
	if spend {
		for _, n := range l.read.before.of {
			add(n)
		}
	}
	if spend || t.any(func(b tenure.UsageBounds) bool { return b.TokensPerDay > 0 }) {
		if err := l.DB.LimitedUse(ctx, from, today, add); err != nil {
			return err
		}
	}
	l.Use.Settle(func(waiting iter.Seq[store.NotedUse]) {
		for n := range waiting {
			add(n)
		}
		for _, g := range t.gauges {
			g.tokens.set(today, used[g].tokens)
			g.spend.set(month, used[g].spend)
			g.unpriced.set(month, used[g].unpriced)
		}
		l.table.Store(t)
	})
	return nil
}

// progress is how far sync is.
type progress struct {
	wrote  int64 // the span up to which all is written that this replica counted
	before before
}

// beforeEvery is how often it is read what was used in this month before yesterday:
// it changes where it is reckoned anew, or by hand.
const beforeEvery = 10 * time.Minute

// before is what was used in this month before yesterday, by whom, of the tenants that
// have limits on tokens or spend. It is not read again when a limit changes.
type before struct {
	at      time.Time // when it was read; zero: never
	upTo    int64     // the day after it
	tenants map[tenure.TenantID]bool
	of      []store.NotedUse // all on the first day of the month
}

// readBefore reads what was used from the first of the month to before a day, unless that
// is known.
func (l *Limits) readBefore(ctx context.Context, t *table, now time.Time, first, upTo int64) error {
	counted := map[tenure.TenantID]bool{} // whose use is read
	for _, g := range t.gauges {
		if g.of.Bounds.TokensPerDay > 0 || g.of.Bounds.SpendPerMonth > 0 {
			counted[g.of.Tenant] = true
		}
	}
	known := l.read.before.upTo == upTo && now.Sub(l.read.before.at) < beforeEvery
	for id := range counted {
		known = known && l.read.before.tenants[id]
	}
	if known {
		return nil
	}
	sum := map[store.NotedUse]sums{} // by who used it
	if first < upTo {
		err := l.DB.LimitedUse(ctx, first, upTo-1, func(n store.NotedUse) {
			who := store.NotedUse{Tenant: n.Tenant, Workspace: n.Workspace, User: n.User, Account: n.Account, Line: n.Line, Day: first}
			s := sum[who]
			sum[who] = sums{spend: plus(s.spend, n.Spend), unpriced: plus(s.unpriced, n.Unpriced)}
		})
		if err != nil {
			return err
		}
	}
	read := before{at: now, upTo: upTo, tenants: counted, of: make([]store.NotedUse, 0, len(sum))}
	for n, s := range sum {
		n.Spend, n.Unpriced = s.spend, s.unpriced
		read.of = append(read.of, n)
	}
	l.read.before = read
	return nil
}

// add counts a use under the limits that bear on it.
func (t *table) add(used map[*gauge]sums, n store.NotedUse, today, month int64) {
	var held [most]*gauge
	for _, g := range held[:t.of(n, &held)] {
		s := used[g]
		if n.Day == today {
			s.tokens = plus(s.tokens, n.Tokens)
		}
		if monthOf(n.Day) == month {
			s.spend, s.unpriced = plus(s.spend, n.Spend), plus(s.unpriced, n.Unpriced)
		}
		used[g] = s
	}
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
		for s := max(oldest, l.read.wrote); s <= at; s++ {
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
	l.read.wrote = at - 1 // a request may have been counted in the span before, just now
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
