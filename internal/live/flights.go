package live

import (
	"slices"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// flights are the requests in flight. One list under one lock: entering and
// leaving cost a few nanoseconds; a cut walks the list, which at 10,000 streams
// takes well under a millisecond and happens seldom.
type flights struct {
	mu   sync.Mutex
	head *Flight
	open int
	// untold are those that the change feed ended lately: the act that ended
	// their authority may not have come to count them yet.
	untold []ending
}

// ending is the end of a flight that the feed was quicker to tell of.
type ending struct {
	of *tenure.Standing
	at time.Time
}

// How long, and how many, ends wait for the act that is their cause.
const (
	untoldFor = 5 * time.Second
	untoldMax = 100_000
)

func (fs *flights) add(f *Flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.next, f.in = fs.head, true
	if fs.head != nil {
		fs.head.prev = f
	}
	fs.head = f
	fs.open += f.counted()
}

func (fs *flights) remove(f *Flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !f.in {
		return
	}
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		fs.head = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	}
	f.prev, f.next, f.in = nil, nil, false
	fs.open -= f.counted()
}

// counted is 1 for a stream, and 0 for a page that listens.
func (f *Flight) counted() int {
	if f.Listens {
		return 0
	}
	return 1
}

// cut ends the chosen flights, and counts the streams among them. It runs under the lock, so that a flight that
// has left is not touched: its connection may serve somebody else by then.
func (fs *flights) cut(chosen func(*Flight) bool, cause error) int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := 0
	for f := fs.head; f != nil; f = f.next {
		if !f.cut && chosen(f) {
			f.stop(cause)
			n += f.counted()
		}
	}
	return n
}

// stop needs the lock.
func (f *Flight) stop(cause error) {
	f.cut = true
	f.cancel(cause)
	if f.unblock != nil {
		f.unblock()
	}
}

// end ends one flight whose authority has ended. untold notes it for the act
// behind it, than which the feed was quicker: one that counts what it ends.
func (fs *flights) end(f *Flight, cause *tenure.Error, untold bool, now time.Time) int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !f.in || f.cut {
		return 0
	}
	f.stop(cause)
	if f.Listens || !untold || cause != tenure.ErrRevoked {
		return f.counted()
	}
	if len(fs.untold) > 0 && now.Sub(fs.untold[0].at) > untoldFor {
		fs.untold = slices.DeleteFunc(fs.untold, func(e ending) bool { return now.Sub(e.at) > untoldFor })
	}
	if len(fs.untold) < untoldMax {
		fs.untold = append(fs.untold, ending{f.Principal.Standing(), now})
	}
	return 1
}

// claim counts the ends of a subject that nobody has counted yet.
func (fs *flights) claim(who Subject, now time.Time) int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := 0
	fs.untold = slices.DeleteFunc(fs.untold, func(e ending) bool {
		if now.Sub(e.at) > untoldFor {
			return true
		}
		if !who(e.of) {
			return false
		}
		n++
		return true
	})
	return n
}

func (fs *flights) list(who Subject) []*Flight {
	return fs.choose(func(f *Flight) bool { return who(f.Principal.Standing()) })
}

func (fs *flights) choose(chosen func(*Flight) bool) []*Flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var out []*Flight
	for f := fs.head; f != nil; f = f.next {
		if !f.cut && chosen(f) {
			out = append(out, f)
		}
	}
	return out
}
