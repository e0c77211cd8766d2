// Package gateway is the data plane: the OpenAI and Anthropic routes. It owns
// the way of a model request: the body, the model's name, the provider, the
// swap of credentials, the stream, and how a stream ends when access does.
//
// It decides nothing about authority (which models a token may ask is the answer
// of internal/access) and never decodes more of a request or an
// answer than it needs.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Gateway serves the model routes. Make it with New.
type Gateway struct {
	Vault  *vault.Vault
	Live   *live.Live
	Limits Limits
	// Bounds are the limits on the use of models; nil: there are none.
	Bounds *limits.Limits
	// Turned is told of each completed turn out of which beliefs are to be drawn; nil: none
	// are. It does not wait.
	Turned func(Turn)
	// Inside serves a request of the gateway's own, as one of the principal's, as
	// web.Router does. Ask needs it.
	Inside func(http.ResponseWriter, *http.Request, tenure.Principal, tenure.Origin) *web.Event

	proxy     *httputil.ReverseProxy
	catalogue catalogue
	bodies    *sync.Pool
	shares    shares
}

// Limits bound a model request. Each is a setting.
type Limits struct {
	MaxBody int64 // bytes of a request body
	// BodyTimeout is how long a client may take to send its request.
	BodyTimeout time.Duration
	// ConnectTimeout is how long connecting to a provider may take.
	ConnectTimeout time.Duration
	// FirstByteTimeout is how long a provider may think before it answers.
	FirstByteTimeout time.Duration
	// IdleTimeout is how long an answer may pause.
	IdleTimeout time.Duration
	// MaxPerOwner is how many requests one person or service account may have in
	// flight; 0 is as many as come.
	MaxPerOwner int
}

// New makes a gateway.
func New(v *vault.Vault, l *live.Live, guard *egress.Guard, limits Limits, logger *slog.Logger) *Gateway {
	g := &Gateway{Vault: v, Live: l, Limits: limits, bodies: newBodies(), shares: shares{max: limits.MaxPerOwner}}
	g.catalogue = newCatalogue(v, &rota{next: newTransport(guard, limits), anew: v.Anew}, logger)
	g.catalogue.refusals = &refusals{}
	g.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite, ModifyResponse: g.answer, ErrorHandler: g.unreachable,
		Transport: g.catalogue.rota, BufferPool: newBuffers(),
		// What went wrong is in the request's own log line.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return g
}

// Routes are the model routes and the catch-all of /v1/.
func (g *Gateway) Routes() []web.Route {
	chat := g.model(&openAI, tenure.ChatCompletions, "/chat/completions")
	responses := g.model(&openAIResponses, tenure.CreateResponse, "/responses")
	embeddings := g.model(&openAI, tenure.CreateEmbedding, "/embeddings")
	messages := g.model(&anthropic, tenure.CreateMessage, "/v1/messages")
	count := g.model(&anthropic, tenure.CountTokens, "/v1/messages/count_tokens")
	return []web.Route{
		{Pattern: "POST /v1/chat/completions", Action: tenure.ChatCompletions, Handle: chat, Fail: openAI.fail, Streams: true},
		{Pattern: "POST /v1/responses", Action: tenure.CreateResponse, Handle: responses, Fail: openAI.fail, Streams: true},
		{Pattern: "POST /v1/embeddings", Action: tenure.CreateEmbedding, Handle: embeddings, Fail: openAI.fail, Streams: true},
		{Pattern: "POST /v1/messages", Action: tenure.CreateMessage, Handle: messages, Fail: anthropic.fail, Streams: true},
		{Pattern: "POST /v1/messages/count_tokens", Action: tenure.CountTokens, Handle: count, Fail: anthropic.fail, Streams: true},
		{Pattern: "GET /v1/models", Action: tenure.ListModels, Handle: g.shared(g.listModels), Fail: Fail},
		{Pattern: "GET /v1/models/{id...}", Action: tenure.ReadModel, Handle: g.shared(g.readModel), Fail: Fail},
		{Pattern: "/v1/", Action: tenure.Unrouted, Handle: nothingHere, Fail: Fail},
	}
}

func nothingHere(_ http.ResponseWriter, r *http.Request) error {
	return &tenure.Error{
		Kind: tenure.NotFound, Code: "not_found",
		Msg: fmt.Sprintf("there is no %s here; the model routes are /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/messages and /v1/models", r.URL.Path),
	}
}

// call is one model request on its way.
type call struct {
	protocol *protocol
	path     string // appended to the provider's base URL
	target   target
	keys     []vault.OpenedKey // that it may go out with
	key      tenure.Secret     // that it went out with
	answer   http.Response     // without what the transport still adds to its own
	body     body
	asked    live.Model // what the provider is asked for, as its flight knows it
	way      egress.Reach
	edits    edits
	hide     bool // the figures of use were asked for by us alone
	event    *web.Event
	turn     *turn // its copy; nil: none is made
	flight   *live.Flight
	rc       http.ResponseController
	sending  atomic.Bool   // the body has been read
	upload   time.Duration // the client's part of the time before sent
}

type callKey struct{}

// unblock frees a request that is cut from a client that holds it up: while the
// body is read, one that does not send; later, one that does not read. (After
// the body, the server itself reads ahead, and must not be disturbed.)
func (c *call) unblock() {
	if c.sending.Load() {
		_ = c.rc.SetWriteDeadline(time.Now().Add(lastWords))
		return
	}
	_ = c.rc.SetReadDeadline(time.Now())
}

// model makes the handler of a route that asks a model.
func (g *Gateway) model(pr *protocol, action tenure.Action, path string) func(http.ResponseWriter, *http.Request) error {
	return g.shared(func(w http.ResponseWriter, r *http.Request) error {
		p := web.Principal(r.Context())
		c := &call{protocol: pr, path: path, event: web.EventOf(r.Context()), rc: *http.NewResponseController(w)}
		if action == tenure.ChatCompletions || action == tenure.CreateMessage {
			if err := g.listen(r.Header, p, c); err != nil {
				return err
			}
		}
		ctx, flight, err := g.Live.Enter(r.Context(), p, action, c.unblock)
		if err != nil {
			return err
		}
		defer g.Live.Leave(flight)
		c.flight = flight
		if err := g.bounded(w, pr, p, c.event.Origin, c.event.Start); err != nil {
			return err
		}
		if err := g.prepare(ctx, w, r, p, c); err != nil {
			if cut := live.Cause(ctx); cut != nil {
				c.event.Cut = cut.Code
				w.Header().Set("Connection", "close") // the rest of the body is not read
				return cut
			}
			return err
		}
		defer c.body.release()
		defer c.turn.drop()
		g.proxy.ServeHTTP(w, r.WithContext(context.WithValue(ctx, callKey{}, c)))
		if c.event.Cut != "" {
			_ = c.rc.SetWriteDeadline(time.Time{})
		}
		g.turned(ctx, p, c)
		return c.event.Err
	})
}

// What ends a request in which nothing moves.
var (
	errSlowClient = &tenure.Error{Kind: tenure.TooSlow, Code: "request_timeout", Msg: "the request body did not arrive in time"}
	// errSlowProvider comes before the first byte of an answer.
	errSlowProvider = &tenure.Error{Kind: tenure.GatewayTimeout, Code: "provider_timeout", Msg: "the provider did not answer in time"}
	// errStalled comes in the middle of one.
	errStalled = &tenure.Error{Kind: tenure.GatewayTimeout, Code: "provider_stalled", Msg: "nothing has moved for too long in the middle of the answer"}
)

// lastWords is how long a cut stream has for its error event.
const lastWords = 500 * time.Millisecond

// prepare reads the body and finds where it goes.
func (g *Gateway) prepare(ctx context.Context, w http.ResponseWriter, r *http.Request, p tenure.Principal, c *call) error {
	began := time.Now()
	c.flight.Within(g.Limits.BodyTimeout, errSlowClient)
	if err := g.readBody(&c.body, w, r); err != nil {
		return err
	}
	c.upload = time.Since(began)
	c.flight.Within(g.Limits.FirstByteTimeout, errSlowProvider)
	_ = c.rc.SetReadDeadline(time.Time{}) // the server's own limit is for bodies
	c.sending.Store(true)
	err := g.aim(ctx, p, c)
	if err != nil {
		c.body.release()
	}
	return err
}

func (g *Gateway) aim(ctx context.Context, p tenure.Principal, c *call) error {
	found, err := findModel(c.body.bytes())
	if err != nil {
		return err
	}
	if found.thread && c.protocol == &anthropic {
		return errThread
	}
	var store splice // what is to be said beside the name
	if c.protocol == &openAIResponses {
		if store, err = forgetful(c.body.bytes()); err != nil {
			return err
		}
	}
	c.event.Model = found.model
	if c.target, err = g.catalogue.find(ctx, p, c.protocol.kind, found.model); err != nil {
		return err
	}
	c.event.Provider, c.event.Credential = c.target.provider.Name, c.target.provider.ID
	c.event.Asked = c.target.model
	c.asked = live.Model{Provider: c.target.provider.Name, Name: c.target.model}
	if c.way = c.target.rules.way(c.target.provider, c.target.base, time.Now()); c.way.Once {
		c.asked.Excepted, c.asked.Until = c.target.provider.ID, c.target.provider.ExceptionUntil
	}
	if err := g.Live.Asks(ctx, c.flight, &c.asked); err != nil {
		if errors.Is(err, live.ErrNoModel) {
			return errNoModel(found.model)
		}
		return err
	}
	var name splice
	if c.target.model != found.model {
		name = splice{from: found.from, to: found.to, text: quote(c.target.model)}
	}
	if c.protocol == &openAI && found.stream && c.target.figures() {
		store, c.hide = withUsage(c.body.bytes(), found.options)
	}
	c.edits = inOrder(store, name)
	c.keys, err = g.Vault.Keys(ctx, p.Tenant(), c.target.provider.ID)
	if sealed := sealedOf(err); sealed != nil {
		return sealed
	}
	if err != nil {
		return &tenure.Error{
			Kind: tenure.Unavailable, Code: "provider_key_unavailable", RetryAfter: tenure.AsError(err).RetryAfter,
			Msg: "the provider's key cannot be had; \"tenure doctor\" tells an administrator why", Err: err,
		}
	}
	return nil
}

// errThread refuses conversations that the provider keeps: they would hang on
// the one key that all users of a workspace share, and whoever knew an id could
// go on with somebody else's. Clients fall back to sending the whole history.
var errThread = &tenure.Error{
	Kind: tenure.Invalid, Code: "thread_unsupported_request", Field: "thread",
	Msg: "thread: conversations kept by the provider are not available through this gateway; send the full message history",
}

// passes tells of the caller's headers that a provider gets. Everything else
// stays here: credentials, identity, forwarding, cookies, organisation choice.
func passes(name string) bool {
	switch name {
	case "Accept", "Content-Type", "User-Agent",
		"Anthropic-Version", "Anthropic-Beta", "Openai-Beta", "X-Client-Request-Id":
		return true
	}
	return false
}

// Values of headers that are always the same. Whoever sets a header gives it another
// list; nobody writes into one.
var (
	without  = []string{""}
	identity = []string{"identity"}
	nosniff  = []string{"nosniff"}
)

// rewrite takes away everything that names the caller; who it is for the provider, a
// key says (rota).
func rewrite(pr *httputil.ProxyRequest) {
	c, _ := pr.In.Context().Value(callKey{}).(*call)
	h := pr.Out.Header
	for name := range h {
		if !passes(name) {
			delete(h, name)
		}
	}
	vault.Put(h, c.target.headers)
	if h["User-Agent"] == nil {
		h["User-Agent"] = without // else the transport would add its own
	}
	h["Accept-Encoding"] = identity // an error event cannot be added to a compressed stream
	// Not sent, for it is empty: it lets the transport try again on a fresh
	// connection when the provider has just closed a kept one, before any answer.
	h["Idempotency-Key"] = []string{}
	out := pr.Out
	out.Host = ""
	out.URL.Scheme, out.URL.Host = c.target.base.Scheme, c.target.base.Host
	out.URL.Path, out.URL.RawPath = c.target.base.Path+c.path, ""
	if pr.In.URL.RawQuery != "beta=true" { // the one query that a client of ours sends
		out.URL.RawQuery = ""
	}
	out.Body = c.body.reader(c.edits)
	out.ContentLength = c.body.size(c.edits)
	out.GetBody = func() (io.ReadCloser, error) { return c.body.reader(c.edits), nil }
	out.TransferEncoding, out.Trailer, out.Form = nil, nil, nil
	c.event.Added = time.Since(c.event.Start) - c.upload
}

// unreachable answers when there is no answer of the provider.
func (g *Gateway) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	c, _ := r.Context().Value(callKey{}).(*call)
	e := failure(r.Context(), err)
	g.catalogue.refusals.tell(r.Context(), c.target.provider, err)
	if cut := live.Cause(r.Context()); cut != nil {
		e, c.event.Cut = cut, cut.Code
	}
	c.event.Err = e
	c.protocol.fail(w, r, e)
}

// failure says what went wrong with a provider.
func failure(ctx context.Context, err error) *tenure.Error {
	var own *tenure.Error
	if errors.As(err, &own) {
		return own
	}
	var timeout interface{ Timeout() bool }
	switch {
	case egress.AsRefused(err) != nil:
		return errAddress(err)
	case errors.Is(context.Cause(ctx), context.Canceled):
		return &tenure.Error{Kind: tenure.ClientClosed, Code: "client_closed", Msg: "the client left", Err: err}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &tenure.Error{Kind: tenure.GatewayTimeout, Code: "provider_timeout", Msg: "the provider did not answer in time", Err: err}
	}
	return &tenure.Error{Kind: tenure.BadGateway, Code: "provider_unreachable", Msg: "the provider could not be reached", Err: err}
}

// Forget drops what is known of providers when something of the kind changes:
// providers, their workspaces, policies, or ("") all.
func (g *Gateway) Forget(kind, id string) { g.catalogue.forget(kind, id) }

func (g *Gateway) listModels(w http.ResponseWriter, r *http.Request) error {
	pr := speaks(r)
	models, err := g.catalogue.models(r.Context(), web.Principal(r.Context()), pr.kind)
	if err != nil {
		return err
	}
	web.WriteJSON(w, "application/json", http.StatusOK, pr.list(models))
	return nil
}

func (g *Gateway) readModel(w http.ResponseWriter, r *http.Request) error {
	pr, id := speaks(r), r.PathValue("id")
	models, err := g.catalogue.models(r.Context(), web.Principal(r.Context()), pr.kind)
	if err != nil {
		return err
	}
	for _, m := range models {
		if m.ID == id || m.Provider+"/"+m.ID == id {
			web.WriteJSON(w, "application/json", http.StatusOK, pr.one(m))
			return nil
		}
	}
	return errNoModel(id)
}

// errNoModel says the same of a model that no provider has and of one that the
// token or its workspace does not allow.
func errNoModel(id string) error {
	return &tenure.Error{
		Kind: tenure.NotFound, Code: "model_not_found", Field: "model",
		Msg: fmt.Sprintf("no provider of this workspace has a model %q for this route, or this token may not ask it; GET /v1/models lists what it may ask", id),
	}
}
