package gateway

import (
	"cmp"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// shares are how many requests each owner of tokens has in flight, so that nobody
// takes the room of all.
type shares struct {
	copied atomic.Int64 // bytes of turns that are being copied
	max    int          // of one owner; 0: as many as there is room for

	mu sync.Mutex
	of map[string]int // by the id of the person or service account
}

// shared makes a handler that is counted in the share of whoever asks: a list of models
// waits for providers, too.
func (g *Gateway) shared(h func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ev := web.EventOf(r.Context())
		owner, err := g.shares.take(ev.Principal)
		if err != nil {
			ev.Shed = web.ShedOwner
			return err
		}
		defer g.shares.give(owner)
		return h(w, r)
	}
}

// take counts one request more of whoever asks, and gives by what name it is given
// back; or answers TooMany. The root token of single mode is nobody's, and not counted.
func (s *shares) take(p tenure.Principal) (owner string, err error) {
	st := p.Standing()
	owner = cmp.Or(string(st.User), string(st.ServiceAccount))
	if owner == "" || s.max == 0 {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[owner] >= s.max {
		return "", &tenure.Error{
			Kind: tenure.TooMany, Code: "rate_limit_exceeded", RetryAfter: web.Later(),
			Msg: "the owner of this token has as many requests in flight as one may have; try again when some of them are over",
		}
	}
	if s.of == nil {
		s.of = make(map[string]int)
	}
	s.of[owner]++
	return owner, nil
}

// give is called when a request that was taken is over.
func (s *shares) give(owner string) {
	if owner == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[owner]--; s.of[owner] == 0 {
		delete(s.of, owner)
	}
}
