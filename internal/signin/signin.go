// Package signin establishes who asks: it is the one authentication path of the
// product, for every kind of credential and every route. It owns the order in
// which credentials are believed, the session cookie, and the counting and
// slowing down of what was refused.
//
// It resolves nothing itself (internal/token and internal/directory do) and does
// not judge actions.
package signin

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Signin establishes principals. Its fields are set before first use.
type Signin struct {
	Tokens     *token.Tokens
	Directory  *directory.Directory
	Connectors *connector.Connectors
	Carriers   *web.Carriers
	Log        *audit.Log
	// Assertions verifies signed assertions, where the carriers bring them.
	Assertions *Assertions
	// Origins refuses writes that a browser makes for another site.
	Origins *http.CrossOriginProtection
	// Root is told of every use of the root token; nil in single mode, where it
	// is the everyday credential.
	Root *RootWatch
	// Throttle slows down who presents one bad credential after the other.
	Throttle *Throttle
	// Fresh answers an error while this process cannot know who still has
	// access: then nobody is admitted, whatever they carry.
	Fresh func() error
}

var errCrossSite = &tenure.Error{
	Kind: tenure.Forbidden, Code: "cross_site",
	Msg: "a write that another site's page asked for is refused",
}

// errForeignPage is errCrossSite of what goes on after its request.
var errForeignPage = &tenure.Error{
	Kind: tenure.Forbidden, Code: "cross_site",
	Msg: "a socket is opened by pages of this installation and by programs: a browser that is signed in must tell its origin, and no other origin is let in, whatever it carries",
}

var errTwoPeople = &tenure.Error{
	Kind: tenure.Invalid, Code: "two_credentials",
	Msg: "the request carries credentials of two different principals; send exactly one",
}

// Authenticate establishes the principal of a request, by exactly one
// credential. On a public route only a token of ours counts, and only to refuse
// it: an access token opens the model routes and nothing else. Where another
// gateway asks about its caller, the credential is that gateway's.
func (s *Signin) Authenticate(r *http.Request, action tenure.Action) (tenure.Principal, error) {
	extract := s.Carriers.Extract
	if action == tenure.CheckAccess || action == tenure.RevokeHeld {
		extract = s.Carriers.Caller // who sends it says nothing about who may
	}
	c, err := extract(r)
	if c.Forged {
		s.Log.Count("identity.forged", "identity header from an untrusted peer", c.Peer.String())
	}
	if err != nil {
		return tenure.Principal{}, err
	}
	switch action {
	case tenure.Public:
		return tenure.Principal{}, refuseToken(c.Token)
	case tenure.RevokeHeld: // what it may do is in the token that it names
		return tenure.Principal{}, s.Fresh()
	case tenure.CheckAccess: // the caller's own credential is what is asked about
		c = web.Presented{Token: c.Gateway, Peer: c.Peer}
	}
	stale := s.Fresh()
	if stale != nil && (c.Token == "" || !action.AsksModels()) {
		return tenure.Principal{}, stale
	}
	var p tenure.Principal
	if c.Assertion != "" {
		if c.Identity, c.Asserted, err = s.Assertions.identity(r.Context(), c.Assertion); err != nil {
			return tenure.Principal{}, err
		}
	} else if stale == nil {
		if err := s.disbelieve(r.Context(), &c); err != nil {
			return tenure.Principal{}, err
		}
	}
	if c.Token != "" {
		if stale == nil {
			p, err = s.byToken(r.Context(), c, action)
		} else {
			p, err = s.byMemory(r.Context(), c, stale)
		}
		if err == nil {
			err = s.fromItsNetworks(r, p, action)
		}
	} else if p, err = s.ambient(r.Context(), c); err == nil && s.Origins.Check(r) != nil {
		err = errCrossSite
	}
	if err != nil {
		return tenure.Principal{}, s.Refuse(r, c.Token, err)
	}
	return p, nil
}

// Ours answers Forbidden where a page of another origin opens what can be written to, or
// may have: whoever is known by what a browser sends by itself has to tell their origin.
func (s *Signin) Ours(r *http.Request, p tenure.Principal) error {
	write := *r
	write.Method = http.MethodPost // as which it is judged
	ambient := p.Kind() == tenure.BrowserSession || p.Kind() == tenure.AssertedIdentity
	if s.Origins.Check(&write) != nil || ambient && r.Header.Get("Origin") == "" {
		return errForeignPage
	}
	return nil
}

// disbelieve takes a bare identity out of what was presented where people have begun
// to sign in otherwise: a proxy that only ends TLS strips nothing.
func (s *Signin) disbelieve(ctx context.Context, c *web.Presented) error {
	if c.Identity == "" || s.Carriers.Believed == nil {
		return nil
	}
	believed, err := s.Carriers.Believed(ctx)
	if err != nil || believed {
		return err
	}
	s.Log.Count("identity.ignored", "an identity header where people sign in by OpenID Connect, or did; set OIDC_PROXY_HEADER if it is to be believed", c.Peer.String())
	s.Carriers.Disbelieved()
	c.Identity, c.Tenant = "", ""
	return nil
}

// fromItsNetworks refuses a token that comes from outside of the networks that it
// is bound to. The address is the client's, behind trusted proxies too. A gateway
// that asks about its own client tells that one's address, and is itself the peer.
func (s *Signin) fromItsNetworks(r *http.Request, p tenure.Principal, action tenure.Action) error {
	standing := p.Standing()
	if len(standing.Networks) == 0 { // nearly all
		return nil
	}
	address := s.Carriers.Address(r)
	if action == tenure.CheckAccess {
		address = web.Peer(r).String()
	}
	err := standing.CheckFrom(address)
	if err == nil {
		return nil
	}
	if standing.Kind == tenure.ConnectorToken {
		s.Log.Count("connector.refused", "the token of the SCIM connector \""+standing.Name+"\" came from outside of its networks", address)
		at := s.Tokens.DB.Now()
		s.Connectors.Note(p, tenure.ConnectorRequest{
			Operation: "address", At: at, Unseen: true,
			Error: &tenure.ConnectorError{At: at, Operation: "address", Status: http.StatusForbidden, RequestID: web.EventOf(r.Context()).ID},
		})
	} else {
		s.Log.Count("token.refused", "the token \""+standing.Name+"\" ("+string(standing.Token)+") came from outside of its networks", address)
	}
	return err
}

// refuseToken answers Forbidden when an access token is presented where none is
// needed. Whether it is live is not asked: who guesses learns nothing here, and
// costs nothing.
func refuseToken(presented string) error {
	if kind, ok := tenure.ParseToken(presented); !ok || (kind != tenure.KindPAT && kind != tenure.KindService) {
		return nil
	}
	return tenure.ErrForbidden
}

// who is whom the proxy asserts beside a request, and the tenant in which; nobody,
// and the empty tenant, where it asserts none. Forbidden: no such tenant stands.
func (s *Signin) who(ctx context.Context, c web.Presented) (directory.Asserted, error) {
	who := directory.Asserted{Name: c.Identity, How: c.Asserted}
	switch {
	case c.Tenant != "":
		var err error
		who.Tenant, err = s.Directory.StandingTenant(ctx, c.Tenant)
		return who, err
	case c.Identity != "":
		who.Tenant = tenure.DefaultTenant
	}
	return who, nil
}

// contradicts reports whether the proxy asserts somebody else, or another tenant,
// than the principal.
func contradicts(who directory.Asserted, p tenure.Principal) bool {
	return who.Name != "" && !who.Is(p.Standing()) || who.Tenant != "" && who.Tenant != p.Tenant()
}

// byToken resolves a token; an identity or a session beside it must be of the
// same person.
func (s *Signin) byToken(ctx context.Context, c web.Presented, action tenure.Action) (p tenure.Principal, err error) {
	if action.AsksModels() {
		p, err = s.Tokens.ResolveForModels(ctx, c.Token)
	} else {
		p, err = s.Tokens.Resolve(ctx, c.Token)
	}
	if err != nil {
		return p, err
	}
	who, err := s.who(ctx, c)
	if err != nil {
		return tenure.Principal{}, err
	}
	if contradicts(who, p) {
		return tenure.Principal{}, errTwoPeople
	}
	if c.Cookie != "" {
		if other, err := s.Directory.ResolveSession(ctx, c.Cookie, directory.Asserted{}); err == nil && other.User() != p.User() {
			return tenure.Principal{}, errTwoPeople
		}
	}
	s.Tokens.Used(ctx, p)
	return p, nil
}

// byMemory resolves a token for a model route while the database is away. What comes
// beside it cannot be looked at: it must say what is known of the token, else stale is
// the answer.
func (s *Signin) byMemory(ctx context.Context, c web.Presented, stale error) (tenure.Principal, error) {
	p, err := s.Tokens.ResolveForModels(ctx, c.Token)
	if err != nil {
		return p, err
	}
	beside := directory.Asserted{Name: c.Identity, Tenant: tenure.TenantID(cmp.Or(c.Tenant, string(tenure.DefaultTenant)))}
	if c.Tenant != "" && beside.Tenant != p.Tenant() || c.Identity != "" && !beside.Is(p.Standing()) {
		return tenure.Principal{}, stale
	}
	s.Tokens.Used(ctx, p)
	return p, nil
}

// ambient resolves what a browser sends by itself: the session, and the
// identity that the proxy asserts. Where they name different people, or different
// tenants, the proxy is right and the session ends.
func (s *Signin) ambient(ctx context.Context, c web.Presented) (tenure.Principal, error) {
	who, err := s.who(ctx, c)
	if err != nil {
		return tenure.Principal{}, err
	}
	if c.Cookie != "" {
		p, err := s.Directory.ResolveSession(ctx, c.Cookie, who)
		switch {
		case err == nil && !contradicts(who, p):
			return p, nil
		case err == nil:
			if err := s.Directory.EndSession(ctx, p, p.Session(), "the proxy asserted another identity"); err != nil {
				return tenure.Principal{}, err
			}
		case who.Name == "":
			return p, err
		}
	}
	if who.Name != "" {
		return s.Directory.Join(ctx, who.Tenant, who.Name, who.How)
	}
	return tenure.Principal{}, tenure.ErrNoCredential
}

// Observe counts refusals, for the audit log.
func (s *Signin) Observe(r *http.Request, ev *web.Event) {
	if ev.Err == nil {
		return
	}
	if s.Root != nil && ev.Principal.IsRoot() && tenure.IsKind(ev.Err, tenure.Forbidden) {
		// Every use of the root token is told singly, refused ones too. The answer
		// has been given: what cannot be told now is in the log.
		_ = s.Log.Record(context.WithoutCancel(r.Context()), audit.RootRefused(ev.Principal, ev.Route))
		return
	}
	switch e := tenure.AsError(ev.Err); {
	case e.Code == "address_not_allowed": // counted where the connector was known
	case directory.ToldSingly(ev.Err):
	case e.Kind == tenure.Unauthenticated, e.Kind == tenure.Forbidden, e.Code == "too_many_failures",
		e.Code == "two_credentials", e.Code == "token_in_query", e.Code == "ambiguous_identity", e.Code == "missing_tenant":
		s.Log.Count("request.refused", e.Code, ev.Origin.Address)
	}
}

// Establish gives a browser that came by an asserted identity a session and its
// cookie. A page that another site asked for opens none.
func (s *Signin) Establish(w http.ResponseWriter, r *http.Request) error {
	p := web.Principal(r.Context())
	if p.Kind() != tenure.AssertedIdentity || r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return nil
	}
	return s.open(w, r, p, byProxy(p))
}

// byProxy is how a person has signed in whom the proxy asserts.
func byProxy(p tenure.Principal) tenure.SignIn {
	s := p.Standing()
	how := tenure.SignIn{Via: "proxy", AuthAt: s.AuthAt}
	if s.Kind == tenure.AssertedIdentity { // a session has those of another sign-in
		how.ACR, how.AMR = s.ACR, s.AMR
	}
	return how
}

// open opens a session, and sets its cookie where one is safe.
func (s *Signin) open(w http.ResponseWriter, r *http.Request, p tenure.Principal, how tenure.SignIn) error {
	name := s.Carriers.SessionCookie(r)
	if name == "" {
		return nil // neither TLS nor this machine: no cookie is safe
	}
	_, secret, err := s.Directory.OpenSession(r.Context(), p, how)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie(name, secret.Reveal(), 0))
	return nil
}

// SignOut ends the session that the request came with, and its cookie.
func (s *Signin) SignOut(w http.ResponseWriter, r *http.Request) error {
	p := web.Principal(r.Context())
	if p.Session() != "" {
		if err := s.Directory.EndSession(r.Context(), p, p.Session(), directory.ReasonSignedOut); err != nil {
			return err
		}
	}
	if name := s.Carriers.SessionCookie(r); name != "" {
		http.SetCookie(w, cookie(name, "", -1))
	}
	return nil
}

// cookie makes a cookie of ours. That of a session has no lifetime of its own: the
// limits are kept at the server.
func cookie(name, value string, maxAge int) *http.Cookie {
	//nolint:gosec // Secure exactly where the name demands it; plain HTTP is for this machine only
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true,
		Secure: strings.HasPrefix(name, "__Host-"), SameSite: http.SameSiteLaxMode,
	}
}
