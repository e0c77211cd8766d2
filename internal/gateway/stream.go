package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/live"
)

// newTransport makes the one client of all providers. It follows no redirect,
// asks for no compression (events are passed on as they come), and connects to
// where the tenant's policy allows.
func newTransport(guard *egress.Guard, limits Limits) http.RoundTripper {
	return guard.NewTransport(&http.Transport{
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    limits.ConnectTimeout,
		MaxIdleConnsPerHost:    1024,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 256 << 10,
	}, limits.ConnectTimeout, true, reach)
}

type reachKey struct{}

// reach tells where a request to a provider may go, beside the public internet.
func reach(r *http.Request) egress.Reach {
	if c, ok := r.Context().Value(callKey{}).(*call); ok {
		if c.asked.Excepted == "" || time.Now().Before(c.asked.Until) {
			return c.way
		}
		return egress.Reach{Egress: c.target.rules.reach}
	}
	way, _ := r.Context().Value(reachKey{}).(egress.Reach)
	return way
}

// way is where a provider may be at now: by its exception, for as long as that is in force
// and, of an address that is known before it is dialled, needed.
func (r rules) way(p tenure.Provider, base *url.URL, now time.Time) egress.Reach {
	allowed, host := p.Egress(r.reach, now), base.Hostname()
	if allowed == r.reach || egress.JudgeHost(host, 0) != nil && egress.JudgeHost(host, r.reach) == nil {
		return egress.Reach{Egress: r.reach}
	}
	return egress.Reach{Egress: allowed, Once: true}
}

// dropped are headers of a provider that are not the caller's business.
var dropped = [...]string{
	"Set-Cookie", "Www-Authenticate", "Alt-Svc", "Strict-Transport-Security", "Server", "Via", "Location",
	"Openai-Organization", "Openai-Project", "Anthropic-Organization-Id", "Access-Control-Allow-Origin",
	"Clear-Site-Data", "Content-Security-Policy", "Refresh", "Link", "Nel", "Report-To", "Trailer",
}

// answer looks at a provider's answer before it is passed on.
func (g *Gateway) answer(res *http.Response) error {
	ctx := res.Request.Context()
	c, _ := ctx.Value(callKey{}).(*call)
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return &tenure.Error{
			Kind: tenure.BadGateway, Code: "provider_redirect",
			Msg: "the provider answered with a redirect, which is not followed; check its base URL",
		}
	case res.StatusCode == http.StatusUnauthorized:
		return &tenure.Error{
			Kind: tenure.BadGateway, Code: "provider_refused_key",
			Msg: "the provider refused the key that this workspace has for it; an administrator must replace it",
		}
	}
	for _, name := range dropped {
		delete(res.Header, name)
	}
	withoutLimits(res.Header)
	res.Header["X-Content-Type-Options"] = nosniff
	res.Trailer = nil // and whatever comes in its place stays with the transport (rota)
	if id, ok := res.Header["X-Request-Id"]; ok {
		res.Header["X-Provider-Request-Id"] = id
		delete(res.Header, "X-Request-Id")
	}
	forms := c.key.Forms()
	concealHeader(res.Header, forms)
	if res.StatusCode >= 400 {
		return scrub(res, forms)
	}
	c.flight.Within(g.Limits.IdleTimeout, errStalled)
	s := &stream{
		body: res.Body, ctx: ctx, call: c, idle: g.Limits.IdleTimeout,
		events: strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream"),
		meter:  meter{use: &c.event.Use, apart: c.protocol.kind == tenure.Anthropic},
	}
	if len(forms) > 0 {
		s.conceal = newConcealer(res.Body, forms)
		s.body = &s.conceal
	}
	s.meter.events = s.events
	s.hide.on = c.hide && s.events
	if s.hide.on && res.ContentLength >= 0 { // it gets shorter
		res.ContentLength = -1
		delete(res.Header, "Content-Length")
	}
	c.turn.begin(res, s.events, len(c.body.bytes()))
	c.event.Used, res.Body = true, s
	return nil
}

// scrub takes the provider's key out of an error that echoes it.
func scrub(res *http.Response, forms [][]byte) error {
	body := newConcealer(res.Body, forms)
	text, err := io.ReadAll(io.LimitReader(&body, maxError))
	if err != nil {
		return err
	}
	if k := begun(text, forms); k > len(concealed) {
		cover(text[len(text)-k:]) // it was cut there
	}
	_ = res.Body.Close()
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	res.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return nil
}

// stream passes a provider's answer on. When access ends, or the provider breaks
// off or stalls in mid-stream, it ends the event stream with the protocol's own
// error event instead of silence.
type stream struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // the stream's own life
	call   *call
	idle   time.Duration
	events bool // text/event-stream

	last [2]byte // the last bytes passed on
	sent int     // events passed on, where the protocol numbers them
	held []byte  // the beginning of a line, which is of no use to anybody until the rest is here
	long []byte  // what is left of a long line that may be passed on
	tail []byte  // the error event that is still to be passed on
	over bool

	meter   meter
	hide    hider
	conceal concealer
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if s.over {
		n := copy(p, s.tail)
		s.tail = s.tail[n:]
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	if cut := live.Cause(s.ctx); cut != nil {
		return s.end(p, cut)
	}
	for {
		n, err := s.next(p)
		if n > 0 {
			s.note(p[:n])
			s.call.turn.pass(p[:n])
			return n, nil // an error comes again with the next Read
		}
		switch {
		case errors.Is(err, io.EOF):
			s.call.turn.end()
			return 0, err
		case err != nil:
			if cut := live.Cause(s.ctx); cut != nil {
				return s.end(p, cut)
			}
			return s.end(p, s.broken(err))
		}
	}
}

// next reads what can be passed on. Of an event stream, that is whole lines: so
// a cut never falls into the JSON of an event. A line that fills p goes on in
// parts, unless something may have to be taken out of it; what is held when the stream
// ends by itself is passed on then.
func (s *stream) next(p []byte) (int, error) {
	if len(s.long) > 0 || len(s.held) >= len(p) {
		return s.nextLong(p)
	}
	n := copy(p, s.held)
	s.held = s.held[:0]
	m, err := s.body.Read(p[n:])
	n += m
	if m > 0 {
		s.meter.pass(p[n-m : n])
		s.call.flight.Within(s.idle, errStalled)
	}
	whole := n
	if s.events && (n < len(p) || s.hide.on) && !errors.Is(err, io.EOF) {
		if whole = bytes.LastIndexByte(p[:n], '\n') + 1; whole == 0 && n == len(p) && !s.hide.on {
			whole = n
		}
		s.held = append(s.held, p[whole:n]...)
	}
	if s.hide.on {
		whole = s.hide.pass(p[:whole])
	}
	return whole, err
}

// longest is how long a line may be that is passed on as a whole.
const longest = 64 << 10

// nextLong goes on with a line that is longer than p.
func (s *stream) nextLong(p []byte) (int, error) {
	if len(s.long) == 0 {
		m, err := s.body.Read(p)
		if m > 0 {
			s.meter.pass(p[:m])
			s.call.flight.Within(s.idle, errStalled)
		}
		s.held = append(s.held, p[:m]...)
		whole := 0
		if end := bytes.LastIndexByte(p[:m], '\n') + 1; end > 0 {
			whole = len(s.held) - m + end
		} else if errors.Is(err, io.EOF) || len(s.held) > longest {
			whole = len(s.held)
		}
		if whole == 0 {
			return 0, err
		}
		line := s.held[:whole]
		s.held = append([]byte(nil), s.held[whole:]...)
		if s.long = line[:s.hide.pass(line)]; len(s.long) == 0 {
			return 0, err
		}
	}
	n := copy(p, s.long)
	s.long = s.long[n:]
	return n, nil
}

// broken says why the provider's answer broke off.
func (s *stream) broken(err error) *tenure.Error {
	switch {
	case s.ctx.Err() != nil:
		return &tenure.Error{Kind: tenure.ClientClosed, Code: "client_closed", Msg: "the client left", Err: err}
	}
	return &tenure.Error{
		Kind: tenure.BadGateway, Code: "provider_interrupted",
		Msg: "the provider broke off in the middle of its answer", Err: err,
	}
}

// end begins the end of the stream for a reason. What is not an event stream
// cannot tell it, and must not look whole: the connection is broken instead.
func (s *stream) end(p []byte, why *tenure.Error) (int, error) {
	s.call.event.Err = why
	if live.Cause(s.ctx) != nil {
		s.call.event.Cut = why.Code
	}
	if !s.events || why.Kind == tenure.ClientClosed {
		return 0, why
	}
	s.over = true
	_ = s.body.Close()
	if s.last != [2]byte{} && s.last != [2]byte{'\n', '\n'} {
		s.tail = append(s.tail, "\n\n"...) // an event was under way
		s.sent++
	}
	s.tail = append(s.tail, s.call.protocol.event(why, s.sent)...)
	return s.Read(p)
}

// blankLine ends an event.
var blankLine = []byte("\n\n")

func (s *stream) note(b []byte) {
	if s.call.protocol.numbered {
		s.sent += bytes.Count(b, blankLine)
		if s.last[1] == '\n' && b[0] == '\n' {
			s.sent++
		}
	}
	if len(b) == 1 {
		s.last = [2]byte{s.last[1], b[0]}
		return
	}
	s.last = [2]byte(b[len(b)-2:])
}

// Close implements io.Closer.
func (s *stream) Close() error { return s.body.Close() }
