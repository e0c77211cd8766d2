package sink

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// How many sinks have a turn at once: one tenant's, whose receivers may be slow, and all.
const (
	atOnceOfTenant = 4
	atOnce         = 256
)

// untilMore is for as long as nothing has come.
const untilMore = time.Duration(1<<63 - 1)

// turns are the sinks of one process that are being sent to, and what is known of all.
type turns struct {
	mu   sync.Mutex
	busy map[tenure.TenantID]int
	of   map[tenure.SinkID]*oneTurn
}

// oneTurn is what is known of one sink.
type oneTurn struct {
	told
	busy    bool
	looked  looked
	nothing time.Time // until then there is nothing to do where nothing has changed
}

// told is what a sink is called in figures, which everybody may read: its id, and no name
// that somebody gave it; with how far behind it is.
type told struct {
	name string
	Standing
}

// looked is what a sink and the log were when a turn began.
type looked struct {
	tree   store.Tree
	cursor int64
	due    bool
}

// keep forgets sinks that are not there any more.
func (t *turns) keep(rows []tenure.AuditSink) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, one := range t.of {
		if !one.busy && !slices.ContainsFunc(rows, func(row tenure.AuditSink) bool { return row.ID == id }) {
			delete(t.of, id)
		}
	}
}

// begin begins a sink's turn, and reports whether it did: it may have one, there may be
// nothing to do, or too many may have theirs.
func (t *turns) begin(row tenure.AuditSink, now looked) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of, t.busy = map[tenure.SinkID]*oneTurn{}, map[tenure.TenantID]int{}
	}
	one := t.of[row.ID]
	if one == nil {
		one = &oneTurn{told: told{name: string(row.ID)}}
		t.of[row.ID] = one
	}
	all := 0
	for _, n := range t.busy {
		all += n
	}
	if one.busy || one.looked == now && time.Now().Before(one.nothing) || t.busy[row.Tenant] >= atOnceOfTenant || all >= atOnce {
		return false
	}
	one.busy, one.looked = true, now
	t.busy[row.Tenant]++
	return true
}

// end ends a sink's turn. nothing is for how long there is nothing to do where nothing
// changes.
func (t *turns) end(row tenure.AuditSink, stands Standing, nothing time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.of[row.ID]
	one.busy, one.Standing = false, stands
	one.nothing = time.Now().Add(min(nothing, 24*time.Hour))
	if t.busy[row.Tenant]--; t.busy[row.Tenant] == 0 {
		delete(t.busy, row.Tenant)
	}
}

// all is how far all sinks are behind, by name.
func (t *turns) all() []told {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]told, 0, len(t.of))
	for _, one := range t.of {
		out = append(out, one.told)
	}
	slices.SortFunc(out, func(a, b told) int { return cmp.Compare(a.name, b.name) })
	return out
}
