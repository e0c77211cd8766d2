package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"maps"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Told is an event that tells what is not in the log any more as it was written.
type Told struct {
	Event  string          `json:"event" doc:"Its id"`
	At     time.Time       `json:"at"`
	Tenant tenure.TenantID `json:"tenant"`
	Action string          `json:"action" enum:"audit.erased,audit.events_removed"`
	Events int             `json:"events" doc:"That went, of those that were looked at"`
}

// missing is what a verification has met that is not as it was written, and that no event
// has told of so far.
type missing struct {
	erased  map[string]int64    // tenant and id of an event -> its place
	removed map[string]*removed // id of the event that is said to tell -> what it is said to tell of
}

// removed are places whose events are gone, of which one event is said to tell: it does, if
// it names as many, and the digest of their leaves. So what is remembered is one line for
// hundreds of events.
type removed struct {
	place  int64 // the first one
	n      int
	leaves hash.Hash
}

// erasedKey names an event of a tenant: what one tenant tells is told of its own alone.
func erasedKey(tenant tenure.TenantID, id string) string { return string(tenant) + " " + id }

// met notes an event that stands as erased.
func (m *missing) met(place int64, e *tenure.AuditEvent) {
	if m.erased == nil {
		m.erased = map[string]int64{}
	}
	m.erased[erasedKey(e.Tenant, e.ID)] = place
}

// lacks notes a place whose event is gone.
func (m *missing) lacks(p store.Placed) {
	if m.removed == nil {
		m.removed = map[string]*removed{}
	}
	r := m.removed[p.ToldBy]
	if r == nil {
		r = &removed{place: p.Place, leaves: sha256.New()}
		m.removed[p.ToldBy] = r
	}
	r.n++
	r.leaves.Write(p.Hash)
}

// before forgets what is missing from a place on: a fault is before it. Of what began before
// it the rest is still counted.
func (m *missing) before(place int64) {
	maps.DeleteFunc(m.erased, func(_ string, at int64) bool { return at >= place })
	maps.DeleteFunc(m.removed, func(_ string, r *removed) bool { return r.place >= place })
}

// notes notes what is missing at a place, and what its event tells of.
func (v *verifier) notes(p store.Placed) {
	if p.Event == nil {
		v.missing.lacks(p)
		return
	}
	if len(p.Event.Erased) > 0 {
		v.missing.met(p.Place, p.Event)
	}
	v.told(p.Event)
}

// behind notes what a place behind a fault says of what is missing before it.
func (v *verifier) behind(p store.Placed) {
	if p.Event != nil {
		v.told(p.Event)
	} else if v.missing.removed[p.ToldBy] != nil {
		v.missing.lacks(p)
	}
}

// told takes what an event tells of for gone.
func (v *verifier) told(e *tenure.AuditEvent) {
	switch e.Action {
	case audit.Erased:
		v.toldErased(e)
	case audit.Removed:
		if r := v.missing.removed[e.ID]; r != nil && audit.TellsRemoved(*e, r.n, hex.EncodeToString(r.leaves.Sum(nil))) {
			v.takes(e, r.n)
		}
	}
}

// takes takes those for gone of which an event is said to tell, and does.
func (v *verifier) takes(e *tenure.AuditEvent, n int) {
	delete(v.missing.removed, e.ID)
	v.Removed += int64(n)
	v.Told = append(v.Told, Told{Event: e.ID, At: e.At, Tenant: e.Tenant, Action: e.Action, Events: n})
}

func (v *verifier) toldErased(e *tenure.AuditEvent) {
	t := Told{Event: e.ID, At: e.At, Tenant: e.Tenant, Action: e.Action}
	for id := range strings.FieldsSeq(e.Detail["events"]) {
		key := erasedKey(e.Tenant, id)
		if _, ok := v.missing.erased[key]; ok {
			delete(v.missing.erased, key)
			t.Events++
		}
	}
	if t.Events > 0 {
		v.Erased += int64(t.Events)
		v.Told = append(v.Told, t)
	}
}

// toldSince takes what an event tells of for gone that has no place among those that were
// looked at. What it tells of may have gone while they were: some of it was met, and some
// was still there.
func (v *verifier) toldSince(ctx context.Context, db *store.DB, e *tenure.AuditEvent) error {
	v.told(e)
	r := v.missing.removed[e.ID]
	if r == nil {
		return nil
	}
	n, digest, err := db.ToldLeaves(ctx, e.ID)
	if err == nil && audit.TellsRemoved(*e, n, digest) {
		v.takes(e, r.n)
	}
	return err
}

// waits reports whether something is missing, before the fault if there is one, that a
// later event may tell of.
func (v *verifier) waits() bool { return len(v.missing.erased)+len(v.missing.removed) > 0 }

// unexplained is the first place, before the fault if there is one, that is not as it was
// written and that no event tells of, with what is wrong with it; nil: there is none.
func (v *verifier) unexplained() *Fault {
	var first *Fault
	earlier := func(place int64) bool { return first == nil || place < first.Place }
	for key, at := range v.missing.erased {
		if earlier(at) {
			_, id, _ := strings.Cut(key, " ")
			first = &Fault{at, id, "its event was changed: what may be about a person stands as erased, and no event tells who did it"}
		}
	}
	for id, r := range v.missing.removed {
		if earlier(r.place) {
			first = &Fault{r.place, "", "its event was removed, and no event tells of it: what is said to, " + tenure.Shown(id) + ", is not there, or tells of others"}
		}
	}
	return first
}
