package limits

import (
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Requests are counted in spans of five seconds, and those of the last minute are the
// spans that a minute touches: so no 60 seconds have more than the limit, and whoever
// was at it waits for up to 65.
const (
	span      = 5 * time.Second
	spans     = int64(time.Minute/span) + 1
	ringSpans = 16 // at least spans, a power of two
)

// spanOf is the span of an instant.
func spanOf(now time.Time) int64 { return now.UnixNano() / int64(span) }

// ring counts requests by spans. Each slot has a span in its upper half and a count in
// its lower, so that whoever counts waits for nobody.
type ring [ringSpans]atomic.Uint64

func (r *ring) at(s int64) int64 {
	v := r[s%ringSpans].Load()
	if v>>32 != uint64(s) {
		return 0
	}
	return int64(v & (1<<32 - 1))
}

// add counts n more, or less, in a span.
func (r *ring) add(s, n int64) {
	slot := &r[s%ringSpans]
	for {
		v := slot.Load()
		count := int64(0)
		if v>>32 == uint64(s) {
			count = int64(v & (1<<32 - 1))
		}
		if slot.CompareAndSwap(v, uint64(s)<<32|uint64(max(0, count+n))) {
			return
		}
	}
}

func (r *ring) set(s, n int64) { r[s%ringSpans].Store(uint64(s)<<32 | uint64(n)) }

// asked counts the requests under one limit: those that this replica admitted, and
// those of all others as the database had them last.
type asked struct{ own, others ring }

// lately is how many requests there were in the last minute.
func (a *asked) lately(now int64) int64 {
	var n int64
	for s := now - spans + 1; s <= now; s++ {
		n += a.own.at(s) + a.others.at(s)
	}
	return n
}

// take counts one request more, unless there would be more than most.
func (a *asked) take(now, most int64) (left int64, ok bool) {
	a.own.add(now, 1)
	n := a.lately(now)
	if n > most {
		a.own.add(now, -1)
		return 0, false
	}
	return most - n, true
}

// free is when there will be room for a request again.
func (a *asked) free(now time.Time, most int64) time.Duration {
	at := spanOf(now)
	n := a.lately(at)
	for s := at - spans + 1; s <= at; s++ {
		if n -= a.own.at(s) + a.others.at(s); n < most {
			return gone(now, s)
		}
	}
	return time.Minute
}

// gone is how long a span counts on.
func gone(now time.Time, s int64) time.Duration {
	return time.Unix(0, (s+spans)*int64(span)).Sub(now)
}

// What bounds a limit has, for figures and for the log.
const (
	boundRequests = iota
	boundTokens
	boundSpend
	bounds
)

var boundNames = [bounds]string{"requests_per_minute", "tokens_per_day", "spend_per_month"}

// counter counts in one window of time: a day, or a month. One at a time writes it,
// the window last.
type counter struct{ window, n atomic.Int64 }

// in is what was counted in a window.
func (c *counter) in(window int64) int64 {
	if c.window.Load() != window {
		return 0
	}
	return c.n.Load()
}

func (c *counter) add(window, n int64) {
	switch have := c.window.Load(); {
	case have == window:
		c.n.Store(plus(c.n.Load(), n))
	case have < window:
		c.set(window, n)
	}
}

func (c *counter) set(window, n int64) {
	c.n.Store(n)
	c.window.Store(window)
}

// plus adds what was used; what a provider claims may be as large as it likes.
func plus(a, b int64) int64 { return min(a+b, 1<<61) }

// monthOf is the month of a day, in UTC.
func monthOf(day int64) int64 {
	t := store.DayTime(day)
	return int64(t.Year())*12 + int64(t.Month())
}

// gauge is a limit with what was used of it.
type gauge struct {
	of     tenure.UsageLimit
	asked  *asked
	tokens counter // of a day
	// Of a month: in millionths, and requests of which nobody knows what they cost.
	spend, unpriced counter
	told            *[bounds]atomic.Int64 // the window of the last refusal that was told
}

// add counts a use. One at a time does.
func (g *gauge) add(n store.NotedUse) {
	month := monthOf(n.Day)
	g.tokens.add(n.Day, n.Tokens)
	g.spend.add(month, n.Spend)
	g.unpriced.add(month, n.Unpriced)
}

// table finds the limits that bear on a request. What it holds is not changed.
type table struct {
	tenants map[tenure.TenantID]*ofTenant
	gauges  []*gauge
}

// sums are what was used of a limit.
type sums struct{ tokens, spend, unpriced int64 }

// ofTenant are the limits of one tenant: on itself, and by whose they are. People and
// service accounts have ids of one kind.
type ofTenant struct {
	whole    *gauge
	spaces   map[tenure.WorkspaceID]*gauge
	owners   map[string]*gauge
	ownersIn map[placed]*gauge
	tokens   map[tenure.TokenID]*gauge
	tokensIn map[placed]*gauge
}

// placed is a subject in one workspace.
type placed struct {
	id    string
	space tenure.WorkspaceID
}

// newTable makes a table of limits, which go on counting requests where one before it
// stopped.
func newTable(limits []tenure.UsageLimit, before *table) *table {
	t := &table{tenants: map[tenure.TenantID]*ofTenant{}}
	was := map[tenure.LimitID]*gauge{}
	if before != nil {
		for _, g := range before.gauges {
			was[g.of.ID] = g
		}
	}
	for _, l := range limits {
		if !l.Bounds.Some() {
			continue
		}
		g := &gauge{of: l, asked: &asked{}, told: new([bounds]atomic.Int64)}
		if old := was[l.ID]; old != nil {
			g.asked, g.told = old.asked, old.told
		}
		t.gauges = append(t.gauges, g)
		o := t.tenants[l.Tenant]
		if o == nil {
			o = &ofTenant{
				spaces: map[tenure.WorkspaceID]*gauge{}, owners: map[string]*gauge{}, ownersIn: map[placed]*gauge{},
				tokens: map[tenure.TokenID]*gauge{}, tokensIn: map[placed]*gauge{},
			}
			t.tenants[l.Tenant] = o
		}
		o.put(g)
	}
	return t
}

func (o *ofTenant) put(g *gauge) {
	in := placed{g.of.Subject, g.of.Workspace}
	if g.of.Kind == tenure.LimitToken {
		in.id = g.of.Line
	}
	switch g.of.Kind {
	case tenure.LimitTenant:
		o.whole = g
	case tenure.LimitWorkspace:
		o.spaces[tenure.WorkspaceID(g.of.Subject)] = g
	case tenure.LimitUser, tenure.LimitAccount:
		if in.space != "" {
			o.ownersIn[in] = g
			break
		}
		o.owners[in.id] = g
	case tenure.LimitToken:
		if in.space != "" {
			o.tokensIn[in] = g
			break
		}
		o.tokens[tenure.TokenID(in.id)] = g
	}
}

// most is how many limits bear on one request.
const most = 6

// bearing gives the limits that bear on what somebody asks in a workspace.
func (t *table) bearing(tenant tenure.TenantID, space tenure.WorkspaceID, owner string, token tenure.TokenID, out *[most]*gauge) int {
	o := t.tenants[tenant]
	if o == nil {
		return 0
	}
	n := 0
	for _, g := range [most]*gauge{
		o.whole, o.spaces[space], find(o.owners, owner), find(o.ownersIn, placed{owner, space}),
		find(o.tokens, token), find(o.tokensIn, placed{string(token), space}),
	} {
		if g != nil {
			out[n] = g
			n++
		}
	}
	return n
}

// find looks into a map that is mostly empty.
func find[K comparable](m map[K]*gauge, key K) *gauge {
	if len(m) == 0 {
		return nil
	}
	return m[key]
}
