package backup

import (
	"slices"
	"time"

	"github.com/tenure-gateway/tenure/internal/store"
)

// renewals are what all lists together tell of exceptions that took the place of others.
type renewals struct {
	next  map[string]string    // the one that took its place, by its id
	until map[string]time.Time // its end, of those of which it is told that they were asked for
	over  map[string]bool      // it was ended, or what compensates was found failing
}

func (e Ends) renewals() renewals {
	var events []event
	for _, l := range e.lists {
		events = append(events, l.exceptions...)
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.At.Compare(b.At) })
	r := renewals{map[string]string{}, map[string]time.Time{}, map[string]bool{}}
	for _, ev := range events {
		switch ev.Action {
		case "exception.asked":
			r.until[ev.ObjectID], _ = time.Parse(time.RFC3339, ev.Detail["until"])
		case "exception.renewed":
			r.next[ev.Detail["renews"]] = ev.ObjectID
		case "exception.revoked", "exception.remediated", "exception.failed":
			r.over[ev.ObjectID] = true
		case "exception.approved": // again, after its control had failed
			delete(r.over, ev.ObjectID)
		}
	}
	return r
}

// judge gives what has ended of an exception in whose place another came. The last of
// those is lost with the database: where it is known to be in force at now, the one before
// is as it was, until the end of the last at most. Otherwise it has ended.
func (r renewals) judge(e store.Ending, now time.Time) store.Ending {
	if e.Kind != "exception_renewed" {
		return e
	}
	last := e.Less
	for range len(r.next) { // however the lists go round
		if r.next[last] == "" {
			break
		}
		last = r.next[last]
	}
	if until := r.until[last]; !r.over[last] && until.After(now) {
		e.Kind, e.Less = "exception_shortened", until.UTC().Format(time.RFC3339)
	}
	return e
}
