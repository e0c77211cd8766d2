package ledger

import (
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
	Action string          `json:"action" enum:"audit.erased"`
	Events int             `json:"events" doc:"That went, of those that were looked at"`
}

// missing is what a verification has met that is not as it was written, and that no event
// has told of so far.
type missing struct {
	erased map[string]int64 // tenant and id of an event -> its place
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

// notes notes what is missing at a place, and what its event tells of.
func (v *verifier) notes(p store.Placed) {
	if p.Event == nil {
		return
	}
	if len(p.Event.Erased) > 0 {
		v.missing.met(p.Place, p.Event)
	}
	v.told(p.Event)
}

// told takes what an event tells of for gone.
func (v *verifier) told(e *tenure.AuditEvent) {
	if e.Action != audit.Erased {
		return
	}
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

// waits reports whether something is missing, before the fault if there is one, that a
// later event may tell of.
func (v *verifier) waits() bool { return len(v.missing.erased) > 0 }

// unexplained is the first place, before the fault if there is one, that is not as it was
// written and that no event tells of, with the event's id where it is known; -1: none.
func (v *verifier) unexplained() (place int64, id string) {
	place = -1
	for key, at := range v.missing.erased {
		if place < 0 || at < place {
			_, id, _ = strings.Cut(key, " ")
			place = at
		}
	}
	return place, id
}
