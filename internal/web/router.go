// Package web is what every edge stands on: the router that mounts routes with
// their actions, the record of each request, the credential's way out of a
// request, and the client's address.
//
// It owns the order of things in a request: record, room, credential, principal,
// action, handler, log line. It speaks no protocol of its own: each route brings
// the function that renders its errors. It resolves no credential and judges no
// action: it is given both functions.
package web

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Route is one entry of the product's outside.
type Route struct {
	// Pattern is as http.ServeMux has it: "POST /v1/chat/completions".
	Pattern string
	// Action is what a request on this route asks for.
	Action tenure.Action
	// Handle answers the request, or returns an error that Fail renders.
	Handle func(http.ResponseWriter, *http.Request) error
	// Fail answers in the shape of the route's own protocol.
	Fail func(http.ResponseWriter, *http.Request, error)
	// Lane bounds how many requests are in hand; nil bounds nothing.
	Lane *Lane
	// Streams is set where the handler keeps the time of its own answer, which may
	// stand still for long.
	Streams bool
}

// Router serves routes. Its fields are set before Mount.
type Router struct {
	// Authenticate establishes the principal of a request that asks for action.
	Authenticate func(r *http.Request, action tenure.Action) (tenure.Principal, error)
	// Check judges an action; Known tells whether there is a rule for it.
	Check func(context.Context, tenure.Principal, tenure.Action) error
	Known func(tenure.Action) bool
	// Address tells the client's address.
	Address func(*http.Request) string
	// Observe is told of each request when it is over, refused ones included.
	Observe func(*http.Request, *Event)
	Log     *LogWriter
	Metrics *Metrics
	Now     func() time.Time
	// Patience is how long clients may keep requests in hand.
	Patience Patience

	mux     http.ServeMux
	routes  []Route
	methods map[string][]string // path -> methods
	trees   []tree
}

// Mount adds routes. A route without an action, or whose action has no rule, is
// an error: nothing is open by omission.
func (rt *Router) Mount(routes []Route) error {
	if rt.methods == nil {
		rt.methods = make(map[string][]string)
	}
	var first []Route // of each path
	for _, route := range routes {
		if route.Action == "" || !rt.Known(route.Action) {
			return fmt.Errorf("web: the route %q names no known action (%q)", route.Pattern, route.Action)
		}
		if route.Handle == nil || route.Fail == nil {
			return fmt.Errorf("web: the route %q has no handler or no error rendering", route.Pattern)
		}
		h := rt.handler(route)
		rt.mux.Handle(route.Pattern, h)
		rt.routes = append(rt.routes, route)
		if strings.HasSuffix(route.Pattern, "/") { // a tree, and its root without the slash, unless that is a route already
			rt.trees = append(rt.trees, tree{route.Pattern, h})
			if root := strings.TrimSuffix(route.Pattern, "/"); root != "" && !strings.Contains(root, " ") && rt.methods[root] == nil {
				rt.mux.Handle(root, h)
			}
		}
		method, path, ok := strings.Cut(route.Pattern, " ")
		if !ok {
			continue
		}
		rt.methods[path] = append(rt.methods[path], method)
		if len(rt.methods[path]) == 1 {
			first = append(first, route)
		}
	}
	for _, route := range first {
		_, path, _ := strings.Cut(route.Pattern, " ")
		h := rt.handler(rt.otherMethods(path, route))
		for _, method := range rt.others(path) {
			rt.mux.Handle(method+path, h)
		}
	}
	return nil
}

// others are the methods, each with a space after it, by which a path is mounted
// beside its own: "" is all that are left. Beside a path with a wildcard that fits
// it too, http.ServeMux wants them named.
func (rt *Router) others(path string) []string {
	for wide := range rt.methods {
		if wide != path && covers(wide, path) {
			var out []string
			for _, m := range [...]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
				if !slices.Contains(rt.methods[path], m) {
					out = append(out, m+" ")
				}
			}
			return out
		}
	}
	return []string{""}
}

// covers reports whether a path with wildcards fits another path.
func covers(wide, path string) bool {
	a, b := strings.Split(wide, "/"), strings.Split(path, "/")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !strings.HasPrefix(a[i], "{") {
			return false
		}
	}
	return true
}

// Routes lists what is mounted, in the order of mounting.
func (rt *Router) Routes() []Route { return slices.Clone(rt.routes) }

// otherMethods answers the methods that a path does not have.
func (rt *Router) otherMethods(path string, like Route) Route {
	like.Pattern, like.Action, like.Streams = path, tenure.Unrouted, false
	like.Handle = func(w http.ResponseWriter, r *http.Request) error {
		allow := slices.Compact(slices.Sorted(slices.Values(rt.methods[path])))
		w.Header().Set("Allow", strings.Join(allow, ", "))
		return &tenure.Error{
			Kind: tenure.MethodNotAllowed, Code: "method_not_allowed",
			Msg: fmt.Sprintf("%s is not allowed here; use %s", r.Method, strings.Join(allow, " or ")),
		}
	}
	return like
}

// tree is what answers below a path when nothing else does.
type tree struct {
	path string
	http.Handler
}

// ServeHTTP serves a request by the route that fits it. A path that is not in
// its plain form is no route: http.ServeMux would redirect it before anybody
// had asked who is there.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p := r.URL.Path; !Plain(p) {
		best := tree{}
		for _, t := range rt.trees {
			if strings.HasPrefix("/"+p, "/"+t.path) && len(t.path) > len(best.path) || t.path == "/" && best.Handler == nil {
				best = t
			}
		}
		if best.Handler != nil {
			best.ServeHTTP(w, r)
			return
		}
	}
	rt.mux.ServeHTTP(w, r)
}

// Plain reports whether a path begins with a slash and has neither an empty
// segment nor "." nor "..". A name that begins with a dot is a name (".search").
func Plain(p string) bool {
	if p == "" || p[0] != '/' || strings.Contains(p, "//") {
		return false
	}
	return !strings.Contains(p, "/./") && !strings.Contains(p, "/../") && !strings.HasSuffix(p, "/.") && !strings.HasSuffix(p, "/..")
}

func (rt *Router) handler(route Route) http.Handler {
	who := func(r *http.Request) (tenure.Principal, error) { return rt.Authenticate(r, route.Action) }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := rt.Now()
		ev := &Event{Start: now, again: who}
		ev.Origin = tenure.Origin{RequestID: tenure.NewID(now), Address: rt.Address(r), UserAgent: r.UserAgent(), Background: len(r.Header[background]) > 0}
		rt.serve(route, w, r, ev)
	})
}

// Inside serves a request of the product's own, as one of p's, by the route whose pattern
// is its method and path: room, check, handler, record and log line are those of any
// other. from tells its id, and the address of the client on whose behalf it is. What
// went wrong is in the Event, as of others.
func (rt *Router) Inside(w http.ResponseWriter, r *http.Request, p tenure.Principal, from tenure.Origin) (ev *Event) {
	ev = &Event{Start: rt.Now(), Origin: from, Inside: true, again: func(*http.Request) (tenure.Principal, error) { return p, p.Standing().CheckFrom(from.Address) }}
	i := slices.IndexFunc(rt.routes, func(route Route) bool { return route.Pattern == r.Method+" "+r.URL.Path })
	if i < 0 {
		ev.Err = tenure.ErrNotFound
		return ev
	}
	defer func() { _ = recover() }() // an answer that broke off, as finish has told it: no server is there to hear it
	rt.serve(rt.routes[i], w, r, ev)
	return ev
}

// serve answers a request of which its record knows by now when it came, from where, and
// who can tell whose it is.
func (rt *Router) serve(route Route, w http.ResponseWriter, r *http.Request, ev *Event) {
	ev.ID, ev.Route = ev.Origin.RequestID, route.Pattern
	ev.recorder, ev.context = recorder{ResponseWriter: w, ev: ev}, eventContext{r.Context(), ev}
	if !route.Streams {
		ev.recorder.within = rt.Patience.Write
	}
	ev.id[0] = ev.ID
	w.Header()["X-Request-Id"] = ev.id[:]
	r = r.WithContext(&ev.context) //nolint:contextcheck // it wraps the request's own
	defer func() { rt.finish(route, r, ev, recover()) }()
	if ev.Err = rt.run(route, &ev.recorder, r, ev); ev.Err != nil && ev.Status == 0 {
		route.Fail(&ev.recorder, r, ev.Err)
	}
}

// run is the order of things.
func (rt *Router) run(route Route, w http.ResponseWriter, r *http.Request, ev *Event) error {
	if err := route.Lane.enter(ev); err != nil {
		return err
	}
	defer route.Lane.leave()
	p, err := ev.again(r)
	if err != nil {
		return err
	}
	ev.Principal = p
	if !p.Valid() {
		give, err := route.Lane.share(ev)
		if err != nil {
			return err
		}
		defer give()
		if body := rt.Patience.body(w, r); body != nil {
			err := route.Handle(w, r)
			if err != nil && body.late {
				return errLate
			}
			return err
		}
	}
	if route.Action != tenure.Public && route.Action != tenure.RevokeHeld {
		if err := rt.Check(r.Context(), p, route.Action); err != nil {
			return err
		}
	}
	return route.Handle(w, r)
}

// finish runs when the handler is over, also by a panic with thrown. http.ErrAbortHandler
// goes on upwards: it is how a broken answer is kept from looking whole.
func (rt *Router) finish(route Route, r *http.Request, ev *Event, thrown any) {
	if thrown != nil && thrown != http.ErrAbortHandler { //nolint:errorlint // a panic value, not an error chain
		ev.Err = fmt.Errorf("panic: %v\n%s", thrown, debug.Stack())
		if ev.Status == 0 {
			route.Fail(&ev.recorder, r, ev.Err)
			thrown = nil
		}
	}
	ev.recorder.last()
	ev.Took = rt.Now().Sub(ev.Start)
	rt.Metrics.observe(ev)
	if ev.Shed != "" && route.Lane != nil {
		rt.Metrics.shed.WithLabelValues(route.Lane.Name, ev.Shed).Inc()
	}
	rt.Observe(r, ev)
	rt.Log.request(r, ev)
	if thrown != nil {
		panic(http.ErrAbortHandler)
	}
}

// background is the header of what a page asks by itself.
const background = "Tenure-Background"

type eventKey struct{}

// Event is the one wide record of a request: filled on the way, told once.
type Event struct {
	ID         string // X-Request-Id
	Start      time.Time
	Took       time.Duration
	Route      string // the pattern
	Origin     tenure.Origin
	Principal  tenure.Principal
	Inside     bool // the product asks by itself, as the principal
	Status     int  // 0: nothing was answered
	Bytes      int64
	Model      string
	Provider   string
	Credential tenure.ProviderID // which of that name
	Key        tenure.KeyID      // of the provider, with which the answer was got
	KeysPassed int               // keys that failed before it
	Asked      string            // the model, by the provider's name for it
	Used       bool              // a model answered
	Use        tenure.ModelUse   // what the provider said of it
	Added      time.Duration     // what we added before the first byte of a proxied answer
	Cut        string            // why the request was cut, or ""
	Shed       string            // why it was refused for want of room, or ""
	Err        error

	recorder recorder
	context  eventContext
	id       [1]string // ID as a header has it
	again    func(*http.Request) (tenure.Principal, error)
}

// eventContext carries the record of a request, its origin and who asks, in one
// value that is part of the record.
type eventContext struct {
	context.Context
	ev *Event
}

// Value implements context.Context.
func (c *eventContext) Value(key any) any {
	switch key.(type) {
	case eventKey:
		return c.ev
	case tenure.OriginKey:
		return &c.ev.Origin
	case tenure.AskerKey:
		return &c.ev.Principal
	case tenure.ReachKey:
		// Whose request it is is being found out, or anybody's to make.
		if !c.ev.Principal.Valid() {
			return tenure.Everyone
		}
		return nil // the tenant of whoever asks
	}
	return c.Context.Value(key)
}

// EventOf gives the record of the request that ctx belongs to, or a scratch one.
func EventOf(ctx context.Context) *Event {
	if ev, ok := ctx.Value(eventKey{}).(*Event); ok {
		return ev
	}
	return &Event{}
}

// Principal gives the principal of the request that ctx belongs to.
func Principal(ctx context.Context) tenure.Principal { return EventOf(ctx).Principal }

// Again establishes anew who asks, by what the request carries, as it was at its
// beginning: for a handler that acts long after that, when what the body brought has come
// in. Whether they may do it is judged by the act. Errors are those of Authenticate.
func Again(r *http.Request) (tenure.Principal, error) {
	ev := EventOf(r.Context())
	if ev.again == nil {
		return tenure.Principal{}, tenure.ErrNoCredential
	}
	before := ev.Principal
	ev.Principal = tenure.Principal{} // nobody is established meanwhile
	p, err := ev.again(r)
	if err != nil {
		ev.Principal = before // for the record
		return p, err
	}
	ev.Principal = p
	return p, nil
}
