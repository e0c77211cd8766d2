package signin

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// How many authentications may fail. Nobody guesses a token of 238 random bits:
// what is kept small is the noise, and what whoever tries gets out of it. Each
// try is looked up first, also from who was told to slow down: a token that is
// made up with a right checksum costs one read by index. It is not remembered
// that there is none, since that would cost memory for what anybody makes up.
const (
	// throttleBurst is how many failures a source has before it is told to slow
	// down: a team behind one address, each of whose clients retries a few times
	// with a token that has just expired, stays below it.
	throttleBurst = 30
	// throttleEvery is how long it takes until one more is free. It is slow enough
	// that a script notices, and a person who mistypes never does.
	throttleEvery = 2 * time.Second
	// throttleSources is how many sources are remembered, at most: some 10 MiB.
	// Whoever has more addresses than that makes the oldest forgotten.
	throttleSources = 100_000
)

// Throttle slows down failing authentications, by the client's address and by
// the prefix of the token that is presented. It judges failures only: a good
// credential passes from whatever address, and does not come by here, so nobody
// is locked out by what others do.
type Throttle struct {
	// Now is the clock.
	Now func() time.Time

	refused atomic.Uint64
	mu      sync.Mutex
	young   map[source]int64 // nanoseconds since 1970 at which the source's bucket is full again
	old     map[source]int64 // those that were not seen since young was begun
}

// A source is what failures are counted by: a network or, where that is not
// valid, the prefix of a token.
type source struct {
	network netip.Prefix
	prefix  [tenure.TokenPrefixLength]byte
}

// Refused is how many failures were answered with "slow down".
func (t *Throttle) Refused() uint64 { return t.refused.Load() }

// Failed counts a failure, and tells how long the client should wait before it
// tries again: 0 while it may go on. What was presented is looked at for the
// prefix of a token of ours, and not kept.
func (t *Throttle) Failed(address, presented string) time.Duration {
	var wait time.Duration
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Now().UnixNano()
	if network, ok := web.NetworkOf(address); ok {
		wait = t.take(source{network: network}, now)
	}
	if _, ours := tenure.KindOfToken(presented); ours && len(presented) >= tenure.TokenPrefixLength {
		wait = max(wait, t.take(source{prefix: [tenure.TokenPrefixLength]byte([]byte(presented))}, now))
	}
	if wait > 0 {
		t.refused.Add(1)
	}
	return wait
}

// take takes one out of the source's bucket, or tells how long until it can.
func (t *Throttle) take(s source, now int64) time.Duration {
	const whole = int64(throttleBurst * throttleEvery)
	full, ok := t.young[s]
	if !ok {
		full = t.old[s]
	}
	full = min(max(full, now), now+whole) // also when the clock was set back
	full += int64(throttleEvery)
	if wait := full - now - whole; wait > 0 {
		t.put(s, full-int64(throttleEvery))
		return time.Duration(wait)
	}
	t.put(s, full)
	return 0
}

// put remembers a source. When half of the room is taken, what was not seen
// since the last time is forgotten: no list is kept in order for it.
func (t *Throttle) put(s source, full int64) {
	if _, ok := t.young[s]; !ok && len(t.young) >= throttleSources/2 {
		t.old, t.young = t.young, nil
	}
	if t.young == nil {
		t.young = make(map[source]int64)
	}
	t.young[s] = full
}

// Refuse gives the answer to a request whose authentication failed with err:
// err itself or, when too much has failed from its address or with its token's
// prefix, TooMany. What did not fail, or for another reason than what was
// presented, is err. presented is the token, or "".
func (s *Signin) Refuse(r *http.Request, presented string, err error) error {
	if e := tenure.AsError(err); err == nil || e.Kind != tenure.Unauthenticated || e.Code == tenure.ErrNoCredential.Code {
		return err
	}
	wait := s.Throttle.Failed(s.Carriers.Address(r), presented)
	if wait == 0 {
		return err
	}
	return &tenure.Error{
		Kind: tenure.TooMany, Code: "too_many_failures", RetryAfter: wait,
		Msg: fmt.Sprintf("too many credentials were refused from this address, or of this token's prefix; "+
			"a good one is always taken; try again in %d s", int64((wait+time.Second-1)/time.Second)),
	}
}
