package evidence

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A logLine is one line of the log: an event at the next place of the tree, or the root of
// a subtree of 2^level places that are not told, or an event that has no place yet.
type logLine struct {
	Place *int64     `json:"place,omitempty"`
	Event *logEvent  `json:"event,omitempty"`
	Level *int       `json:"level,omitempty"`
	Hash  *tlog.Hash `json:"hash,omitempty"`
}

// logEvent is an event with all that its leaf is made of, but the salt.
type logEvent struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
	Workspace string            `json:"workspace,omitempty"`
	Action    string            `json:"action"`
	ActorKind string            `json:"actor_kind"`
	ActorID   string            `json:"actor_id,omitempty"`
	Actor     string            `json:"actor,omitempty"`
	ObjectID  string            `json:"object_id,omitempty"`
	Object    string            `json:"object,omitempty"`
	Outcome   string            `json:"outcome"`
	Reason    string            `json:"reason,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Address   string            `json:"address,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
	// Bound binds what may be about a person to the leaf.
	Bound []byte `json:"bound,omitempty"`
}

func showEvent(e tenure.AuditEvent) *logEvent {
	return &logEvent{
		ID: e.ID, At: e.At.UTC(), Workspace: string(e.Workspace), Action: e.Action, ActorKind: e.ActorKind, ActorID: e.ActorID, Actor: e.Actor,
		ObjectID: e.ObjectID, Object: e.Object, Outcome: e.Outcome, Reason: e.Reason, RequestID: e.RequestID, Address: e.Address, Detail: e.Detail,
		Bound: audit.Commitment(e),
	}
}

// leaf is the leaf of an event of a tenant.
func (e *logEvent) leaf(tenant string) tlog.Hash {
	return audit.Leaf(tenure.AuditEvent{
		ID: e.ID, At: e.At, Tenant: tenure.TenantID(tenant), Workspace: tenure.WorkspaceID(e.Workspace), Action: e.Action, ActorKind: e.ActorKind,
		Outcome: e.Outcome, RequestID: e.RequestID, Erased: e.Bound,
	})
}

// A node is the root of a subtree: of 2^level places from a place on that such a subtree
// can begin with.
type node struct {
	level int
	hash  tlog.Hash
}

// nodes are subtrees beside each other, the first one first. Two of one size that are the
// halves of another are that one.
type nodes struct {
	next int64 // the place behind them
	all  []node
}

// add adds a subtree that begins at next.
func (n *nodes) add(one node) {
	begin := n.next
	n.next += 1 << one.level
	for last := len(n.all) - 1; last >= 0 && n.all[last].level == one.level && begin>>one.level&1 == 1; last-- {
		begin -= 1 << one.level
		one = node{one.level + 1, tlog.NodeHash(n.all[last].hash, one.hash)}
		n.all = n.all[:last]
	}
	n.all = append(n.all, one)
}

// root is the root over all, where they begin at place 0.
func (n *nodes) root() tlog.Hash {
	if len(n.all) == 0 {
		return tlog.Hash{}
	}
	root := n.all[len(n.all)-1].hash
	for i := len(n.all) - 2; i >= 0; i-- {
		root = tlog.NodeHash(n.all[i].hash, root)
	}
	return root
}

// between are the levels of the largest subtrees from a place to another.
func between(from, to int64) []int {
	var out []int
	for from < to {
		level := bits.Len64(uint64(to-from)) - 1
		if from > 0 {
			level = min(level, bits.TrailingZeros64(uint64(from)))
		}
		out = append(out, level)
		from += 1 << level
	}
	return out
}

// auditLog writes the audit events of the period, with what proves their places.
func (x *export) auditLog(ctx context.Context) error {
	last, err := x.LastCheckpoint(ctx)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return err
	}
	first, end, err := x.PlacesAround(ctx, x.tenant.ID, x.query.From, x.query.To, slack, last.Size)
	if err != nil {
		return err
	}
	x.log.Checkpoint = last.Note
	x.standing()
	h := &holding{x: x, next: first}
	if err = h.tellers(ctx); err != nil {
		return err
	}
	if err = x.kept(ctx, h.removed); err != nil {
		return err
	}
	if err := x.EachOfAll(ctx, first, end, h.place); err != nil {
		return err
	}
	h.upTo(end)
	w := &logWriter{x: x, size: last.Size}
	err = x.bundle.file(logFile, func(to io.Writer) (int64, error) {
		out := bufio.NewWriterSize(to, 64<<10)
		w.out = json.NewEncoder(out)
		if err := w.write(ctx, first, end); err != nil {
			return 0, err
		}
		return x.log.Events, out.Flush()
	})
	x.judge("log.unchanged", h.tally, h.note(), logFile)
	return err
}

// verifiedLately is how old the last verification of the whole log may be: it is made
// once a day.
const verifiedLately = 2 * day

// standing judges what the installation knows of its log.
func (x *export) standing() {
	s := x.log.Standing
	if s == nil || s.WholeAt == nil && s.Fault == "" {
		x.unassessed("log.verified", "The log was not verified yet: who serves begins with it within minutes, and \"tenure audit verify\" does it at once.")
		return
	}
	var t tally
	why := ""
	switch {
	case s.Fault != "":
		why = "at place " + strconv.FormatInt(*s.FaultPlace, 10) + " " + s.Fault + ", found " + s.FaultAt.UTC().Format(time.RFC3339)
	case s.SignedAt == nil:
		why = "no checkpoint is signed"
	case x.At.Sub(*s.WholeAt) > verifiedLately:
		why = "all of it was verified last on " + s.WholeAt.UTC().Format(time.RFC3339)
	}
	t.item("the log", why)
	x.judge("log.verified", t, "This is the installation's own word: \"tenure audit verify\" asks the log itself.", manifestFile)
}

// holding holds places of the tree against their events, those of other tenants and of
// another time among them: an event that was moved there, or deleted, is none of the
// period any more, and its leaf would be one more hash that nobody asks about.
type holding struct {
	x     *export
	next  int64
	tally tally

	told   map[string]bool // tenant and id of the events of which others tell that they were erased
	erased int             // events of the period that were erased by an act

	removals map[string]bool     // ids of the events that tell which others were removed, and do
	removed  []tenure.AuditEvent // those that tell of the tenant's that may be of the period
}

func (h *holding) place(p store.Placed) error {
	h.x.bundle.row("places of the log")
	h.upTo(p.Place)
	h.next = p.Place + 1
	e, what, why := p.Event, "place "+strconv.FormatInt(p.Place, 10), ""
	told := e != nil && e.Tenant == h.x.tenant.ID && h.x.within(e.At)
	if told {
		what = e.ID
	}
	switch {
	case e == nil && p.ToldBy != "" && h.removals[p.ToldBy]:
	case e == nil:
		why = "its event was removed, and no event tells that it was"
	case len(e.Erased) > 0 && !h.toldErased(*e): // what is kept of it is taken for what was bound, whatever the fields say
		why = "what may be about a person stands as erased, and no event tells that it was: it was changed"
	case !isLeaf(p.Hash, audit.Leaf(*e)):
		why = "it is not the one of its leaf: it was changed"
	}
	if told || why != "" {
		h.tally.item(what, why)
	}
	return nil
}

// tellers reads what events of all tenants tell of what was erased or removed.
func (h *holding) tellers(ctx context.Context) error {
	tellers, err := h.x.AllTellers(ctx)
	if err != nil {
		return err
	}
	h.told, h.removals = map[string]bool{}, map[string]bool{}
	for _, e := range tellers {
		if e.Action == audit.Erased {
			for id := range strings.FieldsSeq(e.Detail["events"]) {
				h.told[string(e.Tenant)+" "+id] = true
			}
			continue
		}
		n, digest, err := h.x.ToldLeaves(ctx, e.ID)
		if err != nil {
			return err
		}
		h.removals[e.ID] = audit.TellsRemoved(e, n, digest)
		if e.Tenant != h.x.tenant.ID || !audit.RemovedAround(e, h.x.query.From, h.x.query.To) {
			continue
		}
		// No leaf says so where a restore brought the events back, or the tree was begun anew.
		// What was brought back and removed again is told of twice.
		gone := n > 0
		if !gone {
			if _, err = h.x.PlaceOf(ctx, e.Detail["first"]); err != nil && !tenure.IsKind(err, tenure.NotFound) {
				return err
			}
			gone = err != nil
		}
		if gone && !slices.ContainsFunc(h.removed, func(o tenure.AuditEvent) bool { return o.Detail["digest"] == e.Detail["digest"] }) {
			h.removed = append(h.removed, e)
		}
	}
	return nil
}

// kept tells whether events of the period may be gone by retention, and so are in no
// population.
func (x *export) kept(ctx context.Context, removed []tenure.AuditEvent) error {
	holds, err := x.AuditHolds(ctx, x.tenant.ID)
	if err != nil {
		return err
	}
	inForce := 0
	for _, h := range holds {
		if h.InForce() {
			inForce++
		}
	}
	note := "Legal holds: " + strconv.Itoa(inForce) + " in force of " + strconv.Itoa(len(holds)) + " that were placed. How long events are kept is audit_retention in policy.csv."
	if len(removed) == 0 {
		x.judge("log.kept", tally{}, note, manifestFile)
		return nil
	}
	var ids []string
	for _, e := range removed {
		n, err := strconv.ParseInt(e.Detail["count"], 10, 64)
		if err != nil {
			return err
		}
		x.log.Removed += n
		ids = append(ids, e.ID)
	}
	x.unassessed("log.kept", "Events of a time that has part in the period were removed by retention, "+strconv.FormatInt(x.log.Removed, 10)+" of them: who left, joined or was granted something in those of the period is in no population, and no other check judges it. "+
		"These events tell of it: "+strings.Join(ids[:min(len(ids), namedRemovals)], " ")+". "+note)
	return nil
}

// namedRemovals is how many events that tell of others that were removed are named.
const namedRemovals = 20

// toldErased reports whether an event was erased by an act: nothing is left of it, and
// another tells so.
func (h *holding) toldErased(e tenure.AuditEvent) bool {
	if !audit.Bare(e) || !h.told[string(e.Tenant)+" "+e.ID] {
		return false
	}
	if e.Tenant == h.x.tenant.ID && h.x.within(e.At) {
		h.erased++
	}
	return true
}

// note tells of what nobody can judge any more.
func (h *holding) note() string {
	if h.erased == 0 {
		return ""
	}
	return "Not assessable here: of " + strconv.Itoa(h.erased) + " events of the period it was erased who did it, on whom and why, and the log tells by whom. The other checks do not judge them."
}

func isLeaf(hash []byte, leaf tlog.Hash) bool { return string(hash) == string(leaf[:]) }

// upTo misses the places before one.
func (h *holding) upTo(place int64) {
	if h.next < place {
		h.tally.item("place "+strconv.FormatInt(h.next, 10), "its leaf was removed")
	}
}

// logWriter writes the log.
type logWriter struct {
	x    *export
	out  *json.Encoder
	size int64 // of the checkpoint
	skip nodes // that are not told, and wait to be written
}

func (w *logWriter) write(ctx context.Context, first, end int64) error {
	if err := w.stored(ctx, 0, first); err != nil {
		return err
	}
	w.skip.next = first
	err := w.x.EachPlace(ctx, w.x.tenant.ID, w.x.query.From, w.x.query.To, first, end, w.place)
	if err == nil {
		err = w.skipped()
	}
	if err == nil {
		err = w.stored(ctx, max(first, end), w.size)
	}
	if err != nil {
		return err
	}
	return w.x.EachUnplaced(ctx, w.x.tenant.ID, w.x.query.From, w.x.query.To, w.size, func(e tenure.AuditEvent) error {
		w.x.log.Events++
		w.x.log.Unproved++
		line := logLine{Event: showEvent(e)}
		line.Event.Bound = nil
		return w.out.Encode(line)
	})
}

// place writes an event, or notes that a place is not told.
func (w *logWriter) place(p store.Placed) error {
	w.x.bundle.row("audit events")
	if p.Event == nil {
		var leaf tlog.Hash
		copy(leaf[:], p.Hash)
		w.skip.add(node{0, leaf})
		return nil
	}
	if err := w.skipped(); err != nil {
		return err
	}
	w.x.log.Events++
	w.skip.next = p.Place + 1
	return w.out.Encode(logLine{Place: &p.Place, Event: showEvent(*p.Event)})
}

// skipped writes the subtrees that wait.
func (w *logWriter) skipped() error {
	for i := range w.skip.all {
		if err := w.out.Encode(logLine{Level: &w.skip.all[i].level, Hash: &w.skip.all[i].hash}); err != nil {
			return err
		}
	}
	w.skip.all = w.skip.all[:0]
	return nil
}

// stored writes subtrees whose places nobody has to read.
func (w *logWriter) stored(ctx context.Context, from, to int64) error {
	read := audit.Stored(func(level int, n int64, count int) ([]tlog.Hash, error) {
		rows, err := w.x.TreeHashes(ctx, level, n, count)
		out := make([]tlog.Hash, len(rows))
		for i, r := range rows {
			out[i] = r
		}
		return out, err
	})
	for _, level := range between(from, to) {
		hashes, err := read.ReadHashes([]int64{tlog.StoredHashIndex(level, from>>level)})
		if err != nil {
			return err
		}
		if err := w.out.Encode(logLine{Level: &level, Hash: &hashes[0]}); err != nil {
			return err
		}
		from += 1 << level
	}
	return nil
}
