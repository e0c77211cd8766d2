// Package dash is the dashboard: server-rendered pages that answer "who has
// access right now, and how do I end it?". It owns the pages, their templates
// and their static files.
//
// It holds no rule of its own: every act is another room's, and a page that may
// not be seen is refused before dash is asked.
package dash

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/exception"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/notice"
	"github.com/tenure-gateway/tenure/internal/policy"
	"github.com/tenure-gateway/tenure/internal/price"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/trust"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Acts are what the pages show and do.
type Acts struct {
	Tokens     *token.Tokens
	Directory  *directory.Directory
	Connectors *connector.Connectors
	Policies   *policy.Policies
	Vault      *vault.Vault
	Limits     *limits.Limits
	Prices     *price.Prices
	Beliefs    *belief.Beliefs
	Oversight
}

// Oversight is who answers for what was done, and shows it.
type Oversight struct {
	Governance *governance.Governance
	Notices    *notice.Notices
	Ledger     *ledger.Ledger
	Reviews    *review.Reviews
	Exceptions *exception.Exceptions
	Trust      *trust.Trust
	Evidence   *evidence.Evidence
	Sinks      *sink.Sinks
}

// Doors are how a browser comes in and goes out.
type Doors struct {
	// Establish opens a session for a browser that came by an asserted identity.
	Establish func(http.ResponseWriter, *http.Request) error
	// WithRoot opens a session for whoever presents the root token (single mode).
	WithRoot func(w http.ResponseWriter, r *http.Request, presented string) error
	// Again ends the request's session, and reports whether it has opened a new
	// one for the person whom the proxy asserts with this request.
	Again func(http.ResponseWriter, *http.Request) (bool, error)
	// SignOut ends the request's session, and gives where the browser signs out of
	// the identity provider too, or "".
	SignOut func(http.ResponseWriter, *http.Request) (string, error)
	// Direct is how people sign in without a proxy.
	Direct Direct
}

// Dash serves the pages. Its fields are set before first use.
type Dash struct {
	Acts
	Doors
	// Single tells that this installation serves one person: no personal
	// tokens, the root token's card instead.
	Single bool
	// Base is the public URL of a request, without a slash at its end.
	Base func(*http.Request) string
	// Suggest names a model for each protocol that whoever holds a credential may
	// ask, for examples; "" where none can be told. nil: none ever.
	Suggest func(context.Context, tenure.Principal) (openai, anthropic string, without []tenure.ProviderKind)
	// System tells what this process knows of itself.
	System Systems

	pages *template.Template // by name; set by Routes
}

// Direct is sign-in at an identity provider.
type Direct struct {
	// Way names the connection by which whoever asks would sign in, or "". others
	// tells that an e-mail address may lead to another one.
	Way func(r *http.Request) (name string, others bool, err error)
	// Own tells whether the session of a request was opened at an identity provider.
	Own func(r *http.Request) bool
	// Begin binds a sign-in to the browser and gives where it goes on, by the
	// domain of an e-mail address. NotFound: the domain leads nowhere.
	Begin func(w http.ResponseWriter, r *http.Request, address, returnTo string) (string, error)
}

// Routes lists the pages, the forms that they send, and their static files, and
// parses the templates, which is its only error. In single mode there are no
// routes of personal tokens.
func (d *Dash) Routes() ([]web.Route, error) {
	var err error
	if d.pages, err = parsePages(); err != nil {
		return nil, fmt.Errorf("dash: %w", err)
	}
	routes := []web.Route{
		d.route("GET /{$}", tenure.ViewPages, toSettings),
		d.route("GET /settings", tenure.ViewPages, d.settings),
		d.route("GET /settings/workspace", tenure.ListWorkspaces, d.choosePlace),
		d.route("GET /settings/sessions", tenure.ListSession, d.sessionsList),
		d.route("GET /settings/sessions/end-others", tenure.ListSession, d.askEndOthers),
		d.route("POST /settings/sessions/end-others", tenure.EndSession, d.endOthers),
		d.route("GET /settings/sessions/{id}/end", tenure.ListSession, d.askEndSession),
		d.route("POST /settings/sessions/{id}/end", tenure.EndSession, d.endSession),
		{Pattern: "GET /events", Action: tenure.ViewPages, Fail: d.Fail, Handle: d.secured(d.events), Streams: true},
		d.route("GET /ended", tenure.Public, d.ended),
		d.route("GET /admin", tenure.ReadOverview, d.overview),
		d.route("GET /admin/streams", tenure.ListStreams, d.streams),
		{Pattern: "GET /admin/live", Action: tenure.ListStreams, Fail: d.failQuietly, Handle: d.secured(d.liveStreams)},
		d.route("GET /admin/streams/{id}/cut", tenure.CutStream, d.askCut),
		d.route("POST /admin/streams/{id}/cut", tenure.CutStream, d.cutStream),
		d.route("GET /admin/system", tenure.ReadHealth, d.system),
		d.route("GET /admin/keys", tenure.ReadHealth, d.keys),
		d.route("GET /admin/drift", tenure.ListUsers, d.drift),
		d.route("GET /admin/access", tenure.ReadAccess, d.access),
		d.route("GET /admin/notices", tenure.ListAllNotices, d.notices),
		d.route("POST /admin/notices/{id}/read", tenure.ReadAnyNotice, d.readNotice("/admin/notices")),
		d.route("POST /settings/notices/{id}/read", tenure.ReadNotice, d.readNotice("/settings")),
		d.route("GET /admin/audit", tenure.ReadAudit, d.audit),
		{Pattern: "GET /admin/audit/verified", Action: tenure.VerifyAudit, Fail: d.failQuietly, Handle: d.secured(d.verified)},
		d.do("POST /admin/audit/verify", tenure.VerifyAudit, d.verifyAudit),
		d.route("GET /login", tenure.Public, d.login),
		d.route("POST /login/again", tenure.EndSession, d.signInAgain),
		d.route("POST /logout", tenure.EndSession, d.logout),
		d.route("GET /static/{file}", tenure.Public, static),
		d.route("/admin/", tenure.Unrouted, nowhere),
		d.route("/", tenure.Unrouted, nowhere),
	}
	routes = append(routes, d.administration()...)
	if d.Single {
		return append(routes,
			d.route("POST /login", tenure.Public, d.signInWithRoot),
			d.route("GET /settings/root/rotate", tenure.RotateRoot, d.askRotateRoot),
			d.route("POST /settings/root/rotate", tenure.RotateRoot, d.rotateRoot)), nil
	}
	routes = append(append(routes, d.peopleRoutes()...), d.exceptionRoutes()...)
	return append(routes,
		d.route("POST /login", tenure.Public, d.signInByAddress),
		d.route("GET /settings/tokens", tenure.ViewPages, toSettings), // the address that a generated token's page has
		d.route("POST /settings/tokens", tenure.MintToken, d.mint),
		d.route("GET /settings/activity", tenure.ListActivity, d.activity),
		d.route("GET /settings/tokens/{id}/rotate", tenure.ListTokens, d.askRotate),
		d.route("POST /settings/tokens/{id}/rotate", tenure.RotateToken, d.rotate),
		d.route("GET /settings/tokens/{id}/revoke", tenure.ListTokens, d.askRevoke),
		d.route("POST /settings/tokens/{id}/revoke", tenure.RevokeToken, d.revoke)), nil
}

func (d *Dash) route(pattern string, action tenure.Action, handle func(http.ResponseWriter, *http.Request) error) web.Route {
	return web.Route{Pattern: pattern, Action: action, Fail: d.Fail, Handle: d.secured(handle)}
}

func (d *Dash) secured(handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		d.secure(w, r)
		return handle(w, r)
	}
}

// csp lets a page load what this server sends, and nothing else: no inline
// script, no inline style, no frame, no other host.
const csp = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure sets the headers that every answer of the dashboard carries.
func (d *Dash) secure(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // under no-referrer a form's Origin would be "null"
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)")
	if r.TLS != nil || strings.HasPrefix(d.Base(r), "https://") {
		h.Set("Strict-Transport-Security", "max-age=63072000")
	}
}

// maxForm is the largest form that is read, in bytes.
const maxForm = 16 << 10

// form reads what a page's form sent; nothing is ever read from the URL.
func form(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &tenure.Error{Kind: tenure.TooLarge, Code: "form_too_large", Msg: "the form is too large", Err: err}
	case err != nil:
		return &tenure.Error{Kind: tenure.Invalid, Code: "invalid_form", Msg: "the form could not be read; go back and try again", Err: err}
	}
	return nil
}

func toSettings(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/settings", http.StatusSeeOther)
	return nil
}

func nowhere(http.ResponseWriter, *http.Request) error { return tenure.ErrNotFound }
