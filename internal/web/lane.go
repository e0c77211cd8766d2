package web

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Lane bounds how many requests of its routes are in hand at once. What comes beyond
// is refused at once, before anybody asks who it is: that costs little, and leaves
// the other lanes their room. Its fields are set before the first request.
type Lane struct {
	// Name is for the figures.
	Name string
	// Max is the most requests in hand.
	Max int64
	// Busy tells of one request that it must be refused though there is room, since
	// the machine does not keep up; nil: never.
	Busy func() bool

	inHand atomic.Int64
}

// Why a request was refused for want of room, as Event.Shed has it.
const (
	ShedFull  = "full"  // its lane is full
	ShedBusy  = "busy"  // the processors do not keep up
	ShedOwner = "owner" // whoever asks has as much in hand as they may
)

// enter takes room for one request, or tells why there is none. A nil lane has room
// for everything.
func (l *Lane) enter(ev *Event) error {
	switch {
	case l == nil:
		return nil
	case l.inHand.Add(1) > l.Max:
		ev.Shed = ShedFull
	case l.Busy != nil && l.Busy():
		ev.Shed = ShedBusy
	default:
		return nil
	}
	l.leave()
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "overloaded", RetryAfter: Later(),
		Msg: "the gateway has more requests in hand than it can serve at the moment; try again",
	}
}

func (l *Lane) leave() {
	if l != nil {
		l.inHand.Add(-1)
	}
}

// Later is when whoever was refused for want of room should come again: not all of
// them in the same second.
func Later() time.Duration { return time.Duration(1+rand.IntN(4)) * time.Second } //nolint:gosec // no secret
