package beliefs

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
)

// Limits of a socket.
const (
	// maxMessage is the longest message: what beliefs are drawn out of, as JSON writes it.
	maxMessage = 2 * tenure.MaxExtractTurn
	// maxSkipped is how much of a longer one is read, to answer it; after that it ends.
	maxSkipped = 8 << 20
	maxQueue   = 64               // messages that wait to leave
	writeTime  = 5 * time.Second  // for one of them to leave
	lastWords  = time.Second / 2  // for it to leave after the socket's end
	farewell   = time.Second      // for the handshake of closing: who does not take part is cut off
	wholeTime  = 60 * time.Second // for a message to come, from its first byte to its last
	askTime    = 2 * time.Second  // to know who somebody is by now
	actTime    = 15 * time.Second // for a request: less than pongTime, as nothing is read meanwhile
	logEvery   = time.Second
	// assertedFor is how long a socket lives that a proxy's assertion opened: it asserts a
	// request, and not what goes on after it.
	assertedFor = 15 * time.Minute
	pingEvery   = 30 * time.Second // to know whether the client is there
	pongTime    = 20 * time.Second
	sureFor     = 30 * time.Second // a principal is as good as it was
	perSecond   = 20.0             // requests, in the long run
	burst       = 100.0            // requests at once
	floodBurst  = 2000.0           // of those beyond, that are answered
	resyncEvery = time.Second
)

// socket is one open socket. What it reads is one goroutine's, and so are the requests on
// it: they are answered in their order. What it writes is another's.
type socket struct {
	edge  *Sockets
	user  tenure.UserID
	conn  *websocket.Conn
	rc    *http.ResponseController // reaches the connection below conn
	ctx   context.Context          // ends with the flight, or by stop
	stop  context.CancelCauseFunc
	out   chan outgoing
	owner *owner
	flood bucket
	// logged is when the log was last told of a fault here.
	logged time.Time
	// signedIn tells that it is a session's, or of whom a proxy asserts.
	signedIn bool

	mu     sync.Mutex
	who    tenure.Principal // as of when it was last asked
	scopes map[tenure.BeliefScope]bool
	told   map[tenure.BeliefID]tenure.BeliefScope // what the client knows of
	news   []change
	behind bool // more was changed than news holds, or something that cannot be told singly
	busy   bool // tell runs
	ended  bool
	tells  sync.WaitGroup
}

// outgoing is a message on its way. left is told when it has left; nil is not.
type outgoing struct {
	body []byte
	left chan<- struct{}
}

// closing is why a socket ends, where its authority does not.
type closing struct {
	code   websocket.StatusCode
	reason string
}

// Error implements error.
func (c *closing) Error() string { return c.reason }

// Ends of sockets.
var (
	errLeft  = &closing{websocket.StatusNormalClosure, ""}
	errSlow  = &closing{4008, "slow_client"}
	errFlood = &closing{4429, "rate_limit_exceeded"}
	errHuge  = &closing{websocket.StatusMessageTooBig, "message_too_large"}
	errFault = &closing{websocket.StatusInternalError, "internal_error"}
	// errAsserted ends a socket whose person must be asserted anew.
	errAsserted = &closing{4401, "assertion_expired"}
)

func newSocket(ctx context.Context, e *Sockets, p tenure.Principal, w http.ResponseWriter) *socket {
	s := &socket{
		edge: e, user: p.User(), who: p, signedIn: p.Kind() != tenure.PAT, out: make(chan outgoing, maxQueue), flood: bucket{floodBurst, time.Now()}, rc: http.NewResponseController(w),
		scopes: map[tenure.BeliefScope]bool{}, told: map[tenure.BeliefID]tenure.BeliefScope{},
	}
	s.ctx, s.stop = context.WithCancelCause(ctx)
	return s
}

// serve is the life of a socket. It gives the code of what cut it, or "".
func (s *socket) serve(setting belief.Setting) string {
	s.conn.SetReadLimit(-1) // read measures
	var tending sync.WaitGroup
	tending.Go(func() { s.guard(s.tend); s.bye() })
	s.answer(s.ready(setting))
	for s.ctx.Err() == nil {
		data, err := s.read()
		if s.ctx.Err() != nil {
			break
		}
		if end := (*closing)(nil); errors.As(err, &end) {
			s.stop(end)
			break
		}
		s.request(data, err)
	}
	tending.Wait()
	_, why := ending(context.Cause(s.ctx))
	return why
}

// over waits for what is still done for a socket, which nothing is told any more.
func (s *socket) over() {
	s.stop(errLeft)
	s.edge.leave(s)
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.tells.Wait()
	if s.conn != nil {
		_ = s.conn.CloseNow()
	}
}

// Errors of messages that are none.
var (
	errBinary   = &tenure.Error{Kind: tenure.UnsupportedMedia, Code: "binary_message", Msg: "messages are JSON, in text frames"}
	errTooLarge = &tenure.Error{Kind: tenure.TooLarge, Code: "message_too_large", Msg: "the message is too large; ready tells how large one may be"}
)

// read reads the next message. An error is a closing, or what the message is answered with.
func (s *socket) read() ([]byte, error) {
	// A read that is cancelled ends the connection without a word: it ends by tend.
	kind, r, err := s.conn.Reader(context.WithoutCancel(s.ctx))
	if err != nil {
		return nil, errLeft
	}
	s.readUntil(time.Now().Add(wholeTime))
	defer s.readUntil(time.Time{})
	data, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err != nil {
		return nil, errLeft
	}
	if len(data) > maxMessage {
		switch n, err := io.Copy(io.Discard, io.LimitReader(r, maxSkipped)); {
		case err != nil:
			return nil, errLeft
		case n == maxSkipped:
			return nil, errHuge
		}
		return nil, errTooLarge
	}
	if kind != websocket.MessageText {
		return nil, errBinary
	}
	return data, nil
}

// readUntil bounds how long the client may take to send; zero: for ever. What ends the
// socket bounds it for good.
func (s *socket) readUntil(t time.Time) {
	_ = s.rc.SetReadDeadline(t)
	if s.ctx.Err() != nil {
		_ = s.rc.SetReadDeadline(time.Now().Add(farewell))
	}
}

// guard runs what is not the handler's own goroutine: a fault of ours in it ends this socket,
// and not the process.
func (s *socket) guard(do func()) {
	defer func() {
		if thrown := recover(); thrown != nil {
			s.edge.Log.Error("a socket of beliefs", "request_id", tenure.OriginOf(s.ctx).RequestID, "panic", thrown, "stack", string(debug.Stack()))
			s.stop(errFault)
		}
	}()
	do()
}

// bye ends the connection with its reason. Whoever does not take part in the handshake of
// closing keeps nothing: neither their place nor the connection.
func (s *socket) bye() {
	s.edge.leave(s)
	end, _ := ending(context.Cause(s.ctx))
	by := time.Now().Add(farewell)
	_, _ = s.rc.SetReadDeadline(by), s.rc.SetWriteDeadline(by)
	_ = s.conn.Close(end.code, end.reason)
}

// tend writes what is to be written, and looks after the client.
func (s *socket) tend() {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var asserted <-chan time.Time
	if s.who.Kind() == tenure.AssertedIdentity {
		asserted = time.After(assertedFor)
	}
	var pings sync.WaitGroup
	defer pings.Wait()
	for s.ctx.Err() == nil {
		select {
		case <-s.ctx.Done():
		case m := <-s.out:
			s.write(m)
		case <-asserted:
			s.stop(errAsserted)
		case <-ping.C:
			pings.Go(func() { s.guard(s.ping) })
		}
	}
}

func (s *socket) write(m outgoing) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), writeTime)
	defer cancel()
	// What ends its authority does not wait for a client that does not read.
	whole := context.AfterFunc(s.ctx, func() { time.AfterFunc(lastWords, cancel) })
	defer whole()
	if s.ctx.Err() != nil {
		return
	}
	if err := s.conn.Write(ctx, websocket.MessageText, m.body); err != nil {
		s.stop(errSlow)
	}
	if m.left != nil {
		close(m.left)
	}
}

// ping asks whether the client is there; and whether whoever is signed in still is: a
// session that is not used ends, and a socket is no use of it.
func (s *socket) ping() {
	ctx, cancel := context.WithTimeout(s.ctx, pongTime)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		s.stop(errSlow)
		return
	}
	if !s.signedIn {
		return
	}
	if _, err := s.asker(); tenure.IsKind(err, tenure.Unauthenticated) || tenure.IsKind(err, tenure.Forbidden) {
		s.stop(err)
	}
}

// answer queues what the client has asked for, and waits until it has left: whoever asks
// for much and reads little waits for themselves alone.
func (s *socket) answer(v any) {
	left := make(chan struct{})
	select {
	case <-s.ctx.Done():
		return
	case s.out <- outgoing{encode(v), left}:
	}
	select {
	case <-s.ctx.Done():
	case <-left:
	}
}

// push queues what the client has not asked for. A client that does not take it ends, and
// keeps nobody waiting.
func (s *socket) push(v any) {
	select {
	case s.out <- outgoing{encode(v), nil}:
	default:
		s.stop(errSlow)
	}
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // a fault of ours: the values are our own
		body = []byte(`{"v":1,"type":"error","code":"internal_error","message":"internal error"}`)
	}
	return body
}

// asker gives the principal as of now: while a socket is open, what it may do changes.
func (s *socket) asker() (tenure.Principal, error) {
	s.mu.Lock()
	p := s.who
	s.mu.Unlock()
	l := s.edge.Live
	if err := l.Fresh(); err != nil {
		return p, err
	}
	if l.Generation() == p.AsOf() && l.Options.Now().Sub(p.At()) < sureFor {
		return p, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, askTime)
	defer cancel()
	p, err := l.Recheck(ctx, p)
	if err == nil {
		err = l.Stands(ctx, p.Standing())
	}
	if err == nil {
		err = p.Standing().CheckFrom(tenure.OriginOf(s.ctx).Address)
	}
	if err != nil {
		return p, err
	}
	s.mu.Lock()
	s.who = p
	s.mu.Unlock()
	return p, nil
}

// as is the context of what is done by a principal.
func (s *socket) as(p tenure.Principal) context.Context {
	return context.WithValue(s.ctx, tenure.AskerKey{}, &p)
}

// ending is with what a socket ends for a cause, and how the log has it.
func ending(cause error) (end *closing, cut string) {
	if errors.As(cause, &end) {
		return end, end.reason
	}
	e := &tenure.Error{}
	if !errors.As(cause, &e) { // the request's own context: the connection is gone
		return errLeft, ""
	}
	switch {
	case e.Code == tenure.ErrShutdown.Code:
		return &closing{websocket.StatusServiceRestart, e.Code}, e.Code
	case e.Code == tenure.ErrCut.Code:
		return &closing{4403, e.Code}, e.Code
	case e.Kind == tenure.Unauthenticated || e.Kind == tenure.Forbidden:
		return &closing{4401, e.Code}, e.Code
	}
	return &closing{4503, e.Code}, e.Code
}
