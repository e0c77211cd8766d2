package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// Assertion is how the trusted proxy signs what it says of a person.
type Assertion struct {
	JWKSURL  string
	Issuer   string
	Audience string
	Algs     []string
	Claim    string // that is the userName
}

// OIDC is the default tenant's connection to an identity provider.
type OIDC struct {
	Connection tenure.OIDCConnection
	Secret     tenure.Secret
}

// assertion reads the four settings that make a signed assertion the only thing
// that is believed of a proxy: all of them, or none.
func (r *reader) assertion(s Serve, c *Checked) {
	const header = "Cf-Access-Jwt-Assertion"
	four := [...]struct{ name, value, example string }{
		{"TENURE_PROXY_JWKS_URL", s.JWKSURL, "https://acme.cloudflareaccess.com/cdn-cgi/access/certs"},
		{"TENURE_PROXY_JWT_HEADER", s.JWTHeader, header},
		{"TENURE_PROXY_JWT_ISSUER", s.JWTIssuer, "https://acme.cloudflareaccess.com"},
		{"TENURE_PROXY_JWT_AUDIENCE", s.JWTAudience, "4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2"},
	}
	set := 0
	for _, one := range four {
		if one.value != "" {
			set++
		}
	}
	if set == 0 {
		return
	}
	for _, one := range four {
		if one.value == "" {
			r.fail(one.name, "it goes together with the other three of TENURE_PROXY_JWKS_URL, TENURE_PROXY_JWT_HEADER, TENURE_PROXY_JWT_ISSUER and TENURE_PROXY_JWT_AUDIENCE, and is not set", one.example)
		}
	}
	switch err := tenure.CheckProviderURL(s.JWKSURL); {
	case err != nil && s.JWKSURL != "":
		r.fail("TENURE_PROXY_JWKS_URL", err.Error(), four[0].example)
	case !c.Teams:
		r.fail("TENURE_PROXY_JWKS_URL", "single mode has no people to assert; unset it, or set TENURE_MODE=teams", four[0].example)
	case s.ProxyHeader != "":
		r.fail("OIDC_PROXY_HEADER", "a signed assertion is believed instead of a bare header; unset it, or TENURE_PROXY_JWKS_URL and its companions", "")
	case s.ProxyTenantHeader != "":
		r.fail("TENURE_PROXY_TENANT_HEADER", "what a bare header says of the tenant is not signed; unset it, or TENURE_PROXY_JWKS_URL and its companions", "")
	}
	a := &Assertion{JWKSURL: s.JWKSURL, Issuer: s.JWTIssuer, Audience: s.JWTAudience, Claim: strings.TrimSpace(s.JWTClaim)}
	for alg := range strings.SplitSeq(s.JWTAlgs, ",") {
		alg = strings.TrimSpace(alg)
		if !slices.Contains(tenure.SigningAlgorithms(), alg) {
			r.fail("TENURE_PROXY_JWT_ALGS", fmt.Sprintf("%q is none of %s: what is believed must be signed, and not with a key that is shared", alg, strings.Join(tenure.SigningAlgorithms(), ", ")), "RS256,ES256")
		}
		a.Algs = append(a.Algs, alg)
	}
	c.HeaderIsSet = true
	c.IdentityHeader, c.Assertion = r.header("TENURE_PROXY_JWT_HEADER", s.JWTHeader, header), a
}

// oidc reads the connection of the default tenant. What it is made of is checked
// where connections are made.
func (r *reader) oidc(s Serve, c *Checked) {
	three := [...]struct{ name, value, example string }{
		{"TENURE_OIDC_ISSUER", s.OIDCIssuer, "https://login.example.com"},
		{"TENURE_OIDC_CLIENT_ID", s.OIDCClientID, "tenure"},
		{"TENURE_OIDC_CLIENT_SECRET", s.OIDCClientSecret, "$(cat /run/secrets/oidc)"},
	}
	set := 0
	for _, one := range three {
		if one.value != "" {
			set++
		}
	}
	if set == 0 {
		return
	}
	for _, one := range three {
		if one.value == "" {
			r.fail(one.name, "it goes together with the others of TENURE_OIDC_ISSUER, TENURE_OIDC_CLIENT_ID and TENURE_OIDC_CLIENT_SECRET, and is not set", one.example)
		}
	}
	if !c.Teams {
		r.fail("TENURE_OIDC_ISSUER", "single mode has no people to sign in; unset it, or set TENURE_MODE=teams", three[0].example)
	}
	row := tenure.OIDCConnection{
		ID: tenure.BuiltinConnection, Tenant: tenure.DefaultTenant, Name: string(tenure.BuiltinConnection),
		Issuer: s.OIDCIssuer, ClientID: s.OIDCClientID, UserNameClaim: s.OIDCUserNameClaim, Scopes: s.OIDCScopes,
		TrustEmail: r.boolean("TENURE_OIDC_TRUST_EMAIL", s.OIDCTrustEmail),
	}
	for domain := range strings.SplitSeq(s.OIDCDomains, ",") {
		if domain = strings.TrimSpace(domain); domain != "" {
			row.Domains = append(row.Domains, domain)
		}
	}
	secret := tenure.NewSecret(s.OIDCClientSecret)
	row, err := row.Checked(secret)
	r.connection(err)
	c.OIDC = &OIDC{Connection: row, Secret: secret}
}

// connection tells which setting is behind a field of a connection that is wrong.
func (r *reader) connection(err error) {
	settings := map[string][2]string{
		"issuer":         {"TENURE_OIDC_ISSUER", "https://login.example.com"},
		"client_id":      {"TENURE_OIDC_CLIENT_ID", "tenure"},
		"client_secret":  {"TENURE_OIDC_CLIENT_SECRET", "$(cat /run/secrets/oidc)"},
		"username_claim": {"TENURE_OIDC_USERNAME_CLAIM", "email"},
		"scopes":         {"TENURE_OIDC_SCOPES", "'openid profile email'"},
		"domains":        {"TENURE_OIDC_DOMAINS", "acme.com,acme.example"},
	}
	var e *tenure.Error
	if errors.As(err, &e) {
		setting := settings[e.Field]
		r.fail(setting[0], e.Msg, setting[1])
	}
}
