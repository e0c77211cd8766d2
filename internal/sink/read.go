// Package sink sends the audit log elsewhere while it grows: to a file of JSON lines,
// and to the receivers that tenants name. It owns how far each of them has come, what is
// tried again, and what is told of a sink that lags.
//
// It appends no event but its own, keeps nothing in memory beyond what it is sending,
// and nobody who acts waits for it: the log itself is the buffer.
package sink

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// page is how many places are read, and sent, at a time.
const page = 500

// A position is how far a sink has come.
type position struct {
	next   int64  // the first place that it does not have
	signed int64  // the checkpoint that it had last is over so many
	last   string // id of the event in the place before next; "" where it is not known
}

// An item is one thing that is sent: an event in its place, or a checkpoint of all
// places before it.
type item struct {
	placed     store.Placed
	checkpoint *store.Checkpoint
	after      string // of a checkpoint: the id of the event before it; "" where it was sent in a request before
	text       json.RawMessage
}

// behind is where a sink that was at a position is behind the item.
func (i item) behind(at position) position {
	if i.checkpoint != nil {
		return position{next: max(at.next, i.checkpoint.Size), signed: i.checkpoint.Size, last: at.last}
	}
	return position{next: i.placed.Place + 1, signed: at.signed, last: i.placed.Event.ID}
}

// mark is a checkpoint as it is sent.
func (i item) mark() audit.Mark {
	return audit.Mark{
		Schema: audit.RecordSchema, Action: audit.MarkCheckpoint, At: i.checkpoint.At.UTC(), Places: i.checkpoint.Size,
		After: i.after, Checkpoint: i.checkpoint.Note,
	}
}

// read gives what comes next behind a position, in order, and the position behind it.
// tenant chooses one tenant's events; "" all. signed: checkpoints go along. There is
// nothing more when the position is at the size of the tree, which it gives too.
func read(ctx context.Context, db *store.DB, tenant tenure.TenantID, at position, places int64, signed bool) (items []item, to position, size int64, err error) {
	if size, err = db.TreeSize(ctx); err != nil {
		return nil, at, 0, err
	}
	end := max(min(at.next+places, size), at.next)
	// A full page ends where it ends: the rest of the window is read the next time.
	rows, err := db.PlacedOf(ctx, tenant, at.next, end, page)
	if err != nil {
		return nil, at, size, err
	}
	if len(rows) == page {
		end = rows[page-1].Place + 1
	}
	var notes []store.Checkpoint
	if signed { // they are in the transaction of their last place, or one behind it
		if notes, err = db.Checkpoints(ctx, at.signed, page+1); err != nil {
			return nil, at, size, err
		}
	}
	to = at
	upTo := func(place int64) {
		for len(notes) > 0 && notes[0].Size <= place {
			items = append(items, item{checkpoint: &notes[0], after: to.last})
			to.signed, notes = notes[0].Size, notes[1:]
		}
	}
	for _, p := range rows {
		upTo(p.Place)
		items = append(items, item{placed: p})
		to.last = p.Event.ID
	}
	upTo(end)
	to.next = end
	return items, to, size, nil
}

// Standing is what is known of how far a sink has come.
type Standing struct {
	Events  int64     // that it does not have yet, as far as they have places
	Since   time.Time // when the first of them was; zero: there is none
	Trouble string    // why it does not go on; "": nothing is wrong
}

// Lag is for how long the sink has been behind.
func (s Standing) Lag(now time.Time) time.Duration {
	if s.Since.IsZero() {
		return 0
	}
	return max(now.Sub(s.Since), 0)
}

// behind tells how far a sink is behind: one of all tenants by places, one of one tenant
// by that tenant's events alone, at most countable of them.
func behind(ctx context.Context, db *store.DB, tenant tenure.TenantID, next int64) (Standing, error) {
	size, err := db.TreeSize(ctx)
	if err != nil || next >= size {
		return Standing{}, err
	}
	for windows := 0; next < size && windows < farthest; windows++ {
		before := min(next+window, size)
		first, err := db.PlacedOf(ctx, tenant, next, before, 1)
		if err != nil {
			return Standing{}, err
		}
		if len(first) > 0 {
			s := Standing{Events: size - next, Since: first[0].Event.At}
			if tenant != "" {
				s.Events, err = db.CountPlacedOf(ctx, tenant, first[0].Place, before, countable)
			}
			return s, err
		}
		next = before
	}
	if next >= size {
		return Standing{}, nil
	}
	// It is not known whether the rest has one for it: it is as far behind as that.
	rest, err := db.PlacedOf(ctx, "", next, size, 1)
	if err != nil || len(rest) == 0 {
		return Standing{}, err
	}
	return Standing{Events: 1, Since: rest[0].Event.At}, nil
}

const (
	window    = 10_000 // places that are looked through for one tenant's at a time
	farthest  = 10     // windows that are looked through for how far behind a sink is
	countable = 1000   // events of a tenant that are counted
)
