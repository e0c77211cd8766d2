package tenure

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ConnectionID names an OIDC connection: an identity provider by which the people
// of a tenant sign in.
type ConnectionID string

// BuiltinConnection is the connection of the default tenant that the operator's
// TENURE_OIDC_… settings make, and its name.
const BuiltinConnection ConnectionID = "default"

// Defaults of a connection.
const (
	DefaultOIDCScopes    = "openid profile email"
	DefaultUserNameClaim = "preferred_username"
)

// OIDCConnection is an identity provider by which the people of a tenant sign in.
// Its client secret is sealed in the store and is no part of this value.
type OIDCConnection struct {
	ID            ConnectionID
	Tenant        TenantID
	Name          string // unique in the installation: it is in addresses
	Issuer        string // to the letter
	ClientID      string
	Scopes        string // with spaces between
	UserNameClaim string // the claim of the ID token that is the userName
	// TrustEmail tells that the claim "email" is believed where the provider does not
	// say that it has verified it (email_verified); never where it says it has not.
	TrustEmail bool
	Domains    []string // of e-mail addresses whose people sign in by it, in lower case
	CreatedAt  time.Time
	CreatedBy  string
}

// maxDomains is how many domains may lead to one connection.
const maxDomains = 50

var (
	connectionName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	mailDomain     = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$`)
	claimName      = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,100}$`)
	oauthScope     = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,100}$`) // RFC 6749 §3.3
)

// Checked gives the connection with its defaults filled in and its lists in their
// plain form. Invalid: what is wrong with it or its secret, and what would be right.
func (c OIDCConnection) Checked(secret Secret) (OIDCConnection, error) {
	if c.Scopes == "" {
		c.Scopes = DefaultOIDCScopes
	}
	if c.UserNameClaim == "" {
		c.UserNameClaim = DefaultUserNameClaim
	}
	scopes := strings.Fields(c.Scopes)
	c.Scopes = strings.Join(scopes, " ")
	plain := func(text string) bool {
		return text != "" && len(text) <= 4096 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
	}
	switch {
	case !connectionName.MatchString(c.Name):
		return c, InvalidField("name", "a connection's name has 1 to 63 lower-case letters, digits and dashes, for example \"acme\"")
	case CheckProviderURL(c.Issuer) != nil || strings.Contains(c.Issuer, "?"):
		return c, InvalidField("issuer", "the issuer must be an https:// URL, to the letter as the provider writes it, for example https://login.example.com")
	case !plain(c.ClientID):
		return c, InvalidField("client_id", "the client id must be 1 to 4096 printable characters without spaces")
	case !plain(secret.Reveal()):
		return c, InvalidField("client_secret", "the client secret must be 1 to 4096 printable characters without spaces")
	case !claimName.MatchString(c.UserNameClaim):
		return c, InvalidField("username_claim", "the claim of the userName is a name such as preferred_username, email or upn")
	case !slices.Contains(scopes, "openid") || slices.Contains(scopes, "offline_access") ||
		slices.ContainsFunc(scopes, func(one string) bool { return !oauthScope.MatchString(one) }):
		return c, InvalidField("scopes", "the scopes must have openid among them and not offline_access, for example %q", DefaultOIDCScopes)
	case len(c.Domains) > maxDomains:
		return c, InvalidField("domains", "at most %d domains", maxDomains)
	}
	domains := []string{}
	for _, domain := range c.Domains {
		domain = strings.ToLower(strings.TrimSpace(domain))
		if !mailDomain.MatchString(domain) || len(domain) > 253 {
			return c, InvalidField("domains", "%q is no domain of e-mail addresses; write for example acme.com", Redact(domain))
		}
		if !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	c.Domains = domains
	return c, nil
}

// SignIn is how somebody showed who they are when a session was opened.
type SignIn struct {
	Via        string       // "proxy", "oidc" or "root"
	Connection ConnectionID // of "oidc", as the rest but AuthAt
	Issuer     string
	Subject    string    // the provider's name for the person
	SID        string    // the provider's name for its own session, or empty
	ACR        string    // the provider's word for how well (OpenID Connect Core 1.0 §2), or empty
	AMR        string    // and for by what, with spaces between, or empty
	AuthAt     time.Time // when; of a provider that does not tell, the beginning of the Unix era
}

// CheckProviderURL refuses what a provider may not be reached by: anything but https,
// unless it is on this machine.
func CheckProviderURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Host == "", u.User != nil, u.Fragment != "":
		return fmt.Errorf("%q is no URL with a host, and without user and fragment", Redact(text))
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q must begin with https:// (http:// is for this machine only)", Redact(text))
}

// OnThisMachine reports whether a URL names this machine as its host.
func OnThisMachine(text string) bool {
	u, err := url.Parse(text)
	return err == nil && loopback(u.Hostname())
}

// SigningAlgorithms lists the signature algorithms that may be allowed: each needs a
// private key to sign. "none" and those with a shared key are not among them.
func SigningAlgorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}
