package web

import (
	"math/rand/v2"
	"net/netip"
	"sync"
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
	// PerNetwork is the most of them that one client's network may have of those that
	// nobody is known to have asked; 0: as many as there is room for.
	PerNetwork int

	inHand atomic.Int64
	mu     sync.Mutex
	of     map[netip.Prefix]int // requests of nobody known
}

// Why a request was refused for want of room, as Event.Shed has it.
const (
	ShedFull    = "full"    // its lane is full
	ShedNetwork = "network" // so has nobody known, of its network
	ShedOwner   = "owner"   // whoever asks has as much in hand as they may
)

// enter takes room for one request, or tells why there is none. A nil lane has room
// for everything.
func (l *Lane) enter(ev *Event) error {
	if l == nil || l.inHand.Add(1) <= l.Max {
		return nil
	}
	l.leave()
	ev.Shed = ShedFull
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

// share counts a request of nobody known for the network of its client, and gives what
// is to be called when it is over; or answers TooMany. What cannot be told is one network.
func (l *Lane) share(ev *Event) (give func(), err error) {
	if l == nil || l.PerNetwork == 0 {
		return func() {}, nil
	}
	network, _ := NetworkOf(ev.Origin.Address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[network] >= l.PerNetwork {
		ev.Shed = ShedNetwork
		return nil, &tenure.Error{
			Kind: tenure.TooMany, Code: "rate_limit_exceeded", RetryAfter: Later(),
			Msg: "your network has as many requests in hand here as one may that shows no credential; try again when some of them are over",
		}
	}
	if l.of == nil {
		l.of = make(map[netip.Prefix]int)
	}
	l.of[network]++
	return func() { l.give(network) }, nil
}

func (l *Lane) give(network netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[network]--; l.of[network] == 0 {
		delete(l.of, network)
	}
}

// NetworkOf is what a client's address is counted under: itself, or for IPv6 the /64
// that one customer has at least.
func NetworkOf(address string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, false
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}

// Later is when whoever was refused for want of room should come again: not all of
// them in the same second.
func Later() time.Duration { return time.Duration(1+rand.IntN(4)) * time.Second } //nolint:gosec // no secret
