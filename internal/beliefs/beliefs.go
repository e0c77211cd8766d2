// Package beliefs is the WebSocket by which people's clients read, change and watch their
// beliefs. It owns the protocol: the handshake, the messages, what is pushed to whom, and
// with which code a socket ends.
//
// It keeps no beliefs and decides nothing about them: internal/belief does. It decides
// nothing about authority either: a socket is a flight like a stream, and each message on
// it is judged by what its principal may do by then.
package beliefs

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Protocol is the subprotocol that is spoken, whether a client offers it or offers none.
const Protocol = "tenure.beliefs.v1"

// PerOwner is how many sockets one person may have open on a replica, so that nobody takes
// the room of all.
const PerOwner = 20

// Sockets are the open sockets of this process. Its fields are set before first use.
type Sockets struct {
	Beliefs *belief.Beliefs
	Live    *live.Live
	// Ours answers an error to a request that a page of another origin makes, or may have
	// made.
	Ours func(*http.Request, tenure.Principal) error
	// Refuse answers in the shape of the routes below /v1.
	Refuse func(http.ResponseWriter, *http.Request, error)
	Log    *slog.Logger

	mu sync.Mutex
	of map[tenure.UserID]*owner
}

// owner is a person with open sockets: what they ask for on all of them together is bounded.
type owner struct {
	sockets map[*socket]struct{}
	hands   chan struct{} // requests that are worked on
	mu      sync.Mutex
	rate    bucket
}

// take takes n requests out of the person's rate, if there are so many.
func (o *owner) take(n float64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rate.take(time.Now(), n, perSecond, burst)
}

// Routes are the socket's one.
func (e *Sockets) Routes() []web.Route {
	return []web.Route{{Pattern: "GET /v1/ws/beliefs", Action: tenure.ConnectBeliefs, Handle: e.open, Fail: e.fail, Streams: true}}
}

// Errors of the handshake.
var (
	errUpgrade = &tenure.Error{
		Kind: tenure.UpgradeRequired, Code: "upgrade_required",
		Msg: "this is a WebSocket: open it as RFC 6455 has it, version 13, by HTTP/1.1",
	}
	errProtocol = &tenure.Error{
		Kind: tenure.Invalid, Code: "unknown_subprotocol",
		Msg: "the subprotocol spoken here is " + Protocol + ": offer it, or none",
	}
	errTooManySockets = &tenure.Error{
		Kind: tenure.TooMany, Code: "too_many_sockets",
		Msg: "you have as many sockets open here as one person may: close one",
	}
)

// fail refuses a handshake. RFC 9110 §15.5.22 wants it said to what to upgrade; in HTTP/2
// there is no such header.
func (e *Sockets) fail(w http.ResponseWriter, r *http.Request, err error) {
	if tenure.IsKind(err, tenure.UpgradeRequired) && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	e.Refuse(w, r, err)
}

// open makes a socket of a request, and serves it until it ends.
func (e *Sockets) open(w http.ResponseWriter, r *http.Request) error {
	ev := web.EventOf(r.Context())
	p := ev.Principal
	setting, err := e.Beliefs.Own(r.Context(), p)
	if err == nil {
		err = handshake(r)
	}
	if err == nil {
		err = e.Ours(r, p)
	}
	if err != nil {
		return err
	}
	ctx, flight, err := e.Live.Enter(r.Context(), p, tenure.ConnectBeliefs, nil)
	if err != nil {
		return err
	}
	defer e.Live.Leave(flight)
	s := newSocket(ctx, e, p, w)
	if !e.enter(s) {
		ev.Shed = web.ShedOwner
		full := *errTooManySockets
		full.RetryAfter = web.Later()
		return &full
	}
	defer s.over()
	// The origin has been judged. Nothing is compressed: the length of what is would tell
	// of what it says (CRIME), and each socket would keep a window.
	if s.conn, err = websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Protocol}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled}); err != nil {
		return err
	}
	ev.Cut = s.serve(setting) //nolint:contextcheck // a socket has the flight's context
	return nil
}

// handshake judges what websocket.Accept would, which answers in a shape of its own.
func handshake(r *http.Request) error {
	has := func(header, token string) bool {
		for v := range strings.SplitSeq(strings.Join(r.Header.Values(header), ","), ",") {
			if strings.EqualFold(strings.TrimSpace(v), token) {
				return true
			}
		}
		return false
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if r.ProtoMajor != 1 || !r.ProtoAtLeast(1, 1) || r.Method != http.MethodGet || !has("Connection", "Upgrade") || !has("Upgrade", "websocket") ||
		r.Header.Get("Sec-WebSocket-Version") != "13" || len(keys) != 1 {
		return errUpgrade
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return errUpgrade
	}
	if len(r.Header.Values("Sec-WebSocket-Protocol")) > 0 && !has("Sec-WebSocket-Protocol", Protocol) {
		return errProtocol
	}
	return nil
}

// enter notes a socket, unless its owner has too many.
func (e *Sockets) enter(s *socket) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.of[s.user]
	if o == nil {
		o = &owner{sockets: map[*socket]struct{}{}, hands: make(chan struct{}, inHand), rate: bucket{burst, time.Now()}}
	}
	if len(o.sockets) >= PerOwner {
		return false
	}
	if e.of == nil {
		e.of = map[tenure.UserID]*owner{}
	}
	e.of[s.user], o.sockets[s], s.owner = o, struct{}{}, o
	return true
}

func (e *Sockets) leave(s *socket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.of[s.user]; o == s.owner && o != nil {
		if delete(o.sockets, s); len(o.sockets) == 0 {
			delete(e.of, s.user)
		}
	}
}

// Changed takes in what the change feed tells: of kind "belief" or "extraction" a person
// and one thing of theirs, or all of them; "" is everything. It waits for nothing, and
// where nobody of that person has a socket open, nothing is read.
func (e *Sockets) Changed(kind, id string) {
	if !slices.Contains([]string{"", "belief", "extraction"}, kind) {
		return
	}
	user, thing, _ := strings.Cut(id, "/")
	e.mu.Lock()
	defer e.mu.Unlock()
	if kind != "" {
		if o := e.of[tenure.UserID(user)]; o != nil {
			for s := range o.sockets {
				s.note(change{kind, thing})
			}
		}
		return
	}
	for _, o := range e.of {
		for s := range o.sockets {
			s.note(change{})
		}
	}
}
