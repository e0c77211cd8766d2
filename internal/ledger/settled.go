package ledger

import "time"

// settled knows up to which number every event has its place, by this process's own
// clock alone: those of replicas and of the database may differ.
//
// An event may be committed after one of a higher number, but not later than a
// transaction takes. So what has a number that was given a minute ago is there or will
// never be; and once all that had no place then was given one, nothing below it is
// looked at again.
//
// What is settled is noted in the database now and then, where a process that starts begins
// with it. It holds for one history of the log: of another all is looked at.
type settled struct {
	upTo  int64
	noted int64      // what is noted of it
	begun int        // how many histories were begun with; 0: none yet
	seen  []sighting // the oldest first
}

// A sighting is the newest event at an instant.
type sighting struct {
	at  time.Time
	end int64
}

const (
	// settling is how long an event of a lower number may still come: more than a
	// transaction takes.
	settling = time.Minute
	// sightings are so far apart at least.
	sightings = 5 * time.Second
	// noting is how many numbers more are settled when it is noted: what a process that
	// starts looks at again, and has its place already, at most.
	noting = 10_000
)

// begin begins with a history of which all up to a number is settled.
func (s *settled) begin(upTo int64) { *s = settled{upTo: upTo, noted: upTo, begun: s.begun + 1} }

// due reports whether it is time to note what is settled.
func (s *settled) due() bool { return s.upTo-s.noted >= noting }

// saw tells what the newest event was at an instant.
func (s *settled) saw(at time.Time, end int64) {
	if n := len(s.seen); n == 0 || at.Sub(s.seen[n-1].at) >= sightings {
		s.seen = append(s.seen, sighting{at, end})
	}
}

// passed tells that from an instant on all was given places that had none, up to a number.
func (s *settled) passed(began time.Time, upTo int64) {
	for len(s.seen) > 0 && began.Sub(s.seen[0].at) > settling && s.seen[0].end <= upTo {
		s.upTo = max(s.upTo, s.seen[0].end)
		s.seen = s.seen[1:]
	}
}
