package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// Carriers says where a request may carry credentials.
type Carriers struct {
	// IdentityHeader is the canonical name of the header by which a trusted
	// proxy asserts an identity; "" accepts none.
	IdentityHeader string
	// TenantHeader is the canonical name of the header by which the proxy asserts
	// the tenant of that identity; "": everybody is of the default tenant.
	TenantHeader string
	// Signed tells that the header carries an assertion that the proxy has signed:
	// a bare name is then not believed at all.
	Signed bool
	// Believed tells whether a bare identity header is believed by now; nil: it is.
	Believed func(context.Context) (bool, error)
	// Disbelieved is told when one came and was not.
	Disbelieved func()
	// Trusted are the proxies' networks.
	Trusted []netip.Prefix
	// Public is the URL that browsers use, or nil: then it is told by the request.
	Public *url.URL
}

// Names of the session cookie: the first over TLS, the second on plain loopback.
const (
	SecureCookie = "__Host-tenure"
	PlainCookie  = "tenure"
)

// GatewayHeader carries the token of another gateway that asks about a request
// whose own credential is where its caller put it.
const GatewayHeader = "Tenure-Gateway-Token"

// Presented is what a request carries.
type Presented struct {
	Token    string // Authorization or x-api-key
	Cookie   string // browser session
	Identity string // asserted by a trusted proxy
	Tenant   string // likewise: id or name; set with every identity where there is a TenantHeader
	// Assertion is what a trusted proxy has signed, not verified yet.
	Assertion string
	// Asserted is how the person of a verified assertion showed who they are; zero for a
	// bare name.
	Asserted tenure.SignIn
	Gateway  string // GatewayHeader: the token of another gateway that asks about this request
	Forged   bool   // an identity or tenant header came from somebody who is not trusted; it was dropped
	Peer     netip.Addr
}

// Errors of carrying.
var (
	errTwoCredentials = &tenure.Error{
		Kind: tenure.Invalid, Code: "two_credentials",
		Msg: "the request carries two different credentials; send exactly one",
	}
	errTokenInQuery = &tenure.Error{
		Kind: tenure.Invalid, Code: "token_in_query",
		Msg: "a token must never be in a URL: it ends up in logs; send \"Authorization: Bearer …\" and revoke this one",
	}
	errAmbiguousIdentity = &tenure.Error{
		Kind: tenure.Invalid, Code: "ambiguous_identity",
		Msg: "the proxy asserted an identity that cannot be trusted: it must send exactly one plain value, and drop what clients send under that name",
	}
)

// errNoTenant keeps whoever the proxy knows nothing about out of the default tenant.
var errNoTenant = &tenure.Error{
	Kind: tenure.Invalid, Code: "missing_tenant",
	Msg: "the proxy asserted an identity without its tenant: it must set the header of TENURE_PROXY_TENANT_HEADER for everybody",
}

// errForeignHost keeps a web page that any browser on this machine has open from
// being anybody, by a name that it lets point here (DNS rebinding).
var errForeignHost = &tenure.Error{
	Kind: tenure.Forbidden, Code: "foreign_host",
	Msg: "an identity that is asserted from this machine is believed only for the host of TENURE_PUBLIC_URL, or for localhost; set TENURE_PUBLIC_URL to the address that people use",
}

// MaxIdentity is the longest asserted identity, in bytes.
const MaxIdentity = tenure.MaxUserName

// Extract takes the credentials out of a request, whatever carries them, and
// removes the headers of the proxy when their sender is not trusted to set them. It is
// the only function that reads them. Invalid: two different tokens, a token in
// the query string, or an identity that the proxy did not assert cleanly.
func (c *Carriers) Extract(r *http.Request) (Presented, error) {
	p := Presented{Peer: Peer(r)}
	if r.URL.RawQuery != "" && tokenInQuery(r) {
		return p, errTokenInQuery
	}
	if err := c.assertions(r, &p); err != nil {
		return p, err
	}
	for _, v := range r.Header["Authorization"] {
		if err := p.add(bearer(v)); err != nil {
			return p, err
		}
	}
	if vs := r.Header[GatewayHeader]; len(vs) == 1 {
		p.Gateway = vs[0]
	}
	for _, v := range r.Header["X-Api-Key"] {
		if err := p.add(v); err != nil {
			return p, err
		}
	}
	if name := c.SessionCookie(r); name != "" && len(r.Header["Cookie"]) > 0 {
		p.Cookie = cookie(r, name)
	}
	return p, nil
}

// Caller is Extract for a request whose sender is judged by what it asks about, not
// by who a proxy says is there: an asserted identity or tenant is neither read nor
// refused.
func (c *Carriers) Caller(r *http.Request) (Presented, error) {
	plain := *c
	plain.IdentityHeader, plain.TenantHeader = "", ""
	return plain.Extract(r)
}

func (p *Presented) add(token string) error {
	if token == "" {
		return nil
	}
	if p.Token != "" && p.Token != token {
		return errTwoCredentials
	}
	p.Token = token
	return nil
}

// bearer reads an Authorization header. A value without a scheme is taken as
// the token itself: Okta's "HTTP Header" mode sends what the administrator typed.
// Another scheme is none of ours, and no credential.
func bearer(v string) string {
	scheme, token, ok := strings.Cut(v, " ")
	switch {
	case !ok:
		return v
	case strings.EqualFold(scheme, "Bearer"):
		return strings.TrimSpace(token)
	}
	return ""
}

// tokenInQuery looks for RFC 6750 §2.3 parameters and for anything that begins
// like a token of ours.
func tokenInQuery(r *http.Request) bool {
	if tenure.MentionsToken(r.URL.RawQuery) {
		return true
	}
	for name, values := range r.URL.Query() {
		for _, v := range values {
			if tenure.MentionsToken(v) {
				return true
			}
		}
		if strings.EqualFold(name, "access_token") || tenure.MentionsToken(name) {
			return true
		}
	}
	return false
}

// cookie reads the session cookie; two different values are none.
func cookie(r *http.Request, name string) string {
	found := ""
	for _, c := range r.CookiesNamed(name) {
		if found != "" && c.Value != found {
			return ""
		}
		found = c.Value
	}
	return found
}

// SessionCookie is the name under which the session's secret travels, both ways:
// the __Host- one over TLS, which no neighbour can plant, the plain one on this
// machine, and none otherwise.
func (c *Carriers) SessionCookie(r *http.Request) string {
	switch {
	case c.Secure(r):
		return SecureCookie
	case LoopbackHost(r):
		return PlainCookie
	}
	return ""
}

// assertions reads what the proxy asserts: who is there, and of which tenant.
func (c *Carriers) assertions(r *http.Request, p *Presented) error {
	var err error
	if p.Identity, err = c.asserted(r, p, c.IdentityHeader); err != nil {
		return err
	}
	if p.Tenant, err = c.asserted(r, p, c.TenantHeader); err != nil {
		return err
	}
	if c.TenantHeader != "" && p.Identity != "" && p.Tenant == "" {
		return errNoTenant
	}
	return nil
}

// asserted reads a header of the proxy's from a trusted peer, strictly, and drops
// it in every spelling from anybody else. Without a name, or when it is absent, it
// gives "".
func (c *Carriers) asserted(r *http.Request, p *Presented, header string) (string, error) {
	if header == "" {
		return "", nil
	}
	trusted := c.Trusts(p.Peer)
	var values []string
	alias := false
	for name, vs := range r.Header {
		if len(name) != len(header) || !sameHeader(name, header) {
			continue
		}
		if !trusted {
			delete(r.Header, name)
			p.Forged = true
			continue
		}
		values = append(values, vs...)
		alias = alias || name != header
	}
	if !trusted || len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 || alias || nominated(r.Header, header) {
		return "", errAmbiguousIdentity
	}
	v := values[0]
	if v == "" {
		return "", nil // absent
	}
	if p.Peer.IsLoopback() && !LoopbackHost(r) && (c.Public == nil || r.Host != c.Public.Host) {
		return "", errForeignHost
	}
	if c.Signed && header == c.IdentityHeader {
		if strings.ContainsAny(v, " ,;") { // joined by a proxy: nobody can tell which is whose
			return "", errAmbiguousIdentity
		}
		p.Assertion = v
		return "", nil
	}
	if !PlainIdentity(v) {
		return "", errAmbiguousIdentity
	}
	return v, nil
}

// PlainIdentity reports whether a name is one that can be asserted: printable
// ASCII without spaces, quotes and what joins lists, and no token.
func PlainIdentity(v string) bool {
	if v == "" || len(v) > MaxIdentity || tenure.MentionsToken(v) {
		return false
	}
	for i := range len(v) {
		if v[i] <= ' ' || v[i] > '~' || v[i] == ',' || v[i] == ';' || v[i] == '"' {
			return false
		}
	}
	return true
}

// sameHeader compares header names of equal length as gateways that fold "_"
// and "." into "-" would.
func sameHeader(a, b string) bool {
	for i := range len(a) {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case c == '_' || c == '.' || c == ' ':
		return '-'
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}

// nominated reports whether Connection names the header, which asks a proxy to
// drop it (RFC 9110 §7.6.1).
func nominated(h http.Header, name string) bool {
	for _, v := range h["Connection"] {
		for option := range strings.SplitSeq(v, ",") {
			option = strings.TrimSpace(option)
			if len(option) == len(name) && sameHeader(option, name) {
				return true
			}
		}
	}
	return false
}

// Trusts reports whether a is a trusted proxy.
func (c *Carriers) Trusts(a netip.Addr) bool {
	for _, p := range c.Trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Peer is the socket's other end, never what a header says.
func Peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// Address is the client's address, for logs and the audit: the peer, or, behind
// trusted proxies, the nearest address that is not one of them.
func (c *Carriers) Address(r *http.Request) string {
	at, _ := c.Client(r)
	return at.String()
}

// Client goes back from the peer as far as the hops are trusted: Address. It
// reports whether the client's address was told by somebody who is trusted to: not
// where the peer is not trusted, tells none, or tells what is no address.
func (c *Carriers) Client(r *http.Request) (netip.Addr, bool) {
	at := Peer(r)
	forwarded := r.Header["X-Forwarded-For"]
	if len(forwarded) == 0 || !c.Trusts(at) {
		return at, false
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return at, false
		}
		at = hop.Unmap().WithZone("")
		if !c.Trusts(at) {
			break
		}
	}
	return at, true
}

// Secure reports whether the browser speaks TLS with us, or with the trusted
// proxy in front.
func (c *Carriers) Secure(r *http.Request) bool {
	if r.TLS != nil || c.Public != nil && c.Public.Scheme == "https" {
		return true
	}
	return r.Header.Get("X-Forwarded-Proto") == "https" && c.Trusts(Peer(r))
}

// LoopbackHost reports whether the browser reaches us on this machine.
func LoopbackHost(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || (err == nil && a.IsLoopback())
}
