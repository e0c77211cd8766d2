package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Provider is one OpenID provider, as a client of it sees it.
type Provider struct {
	issuer, client string
	secret         tenure.Secret
	http           *http.Client
	now            func() time.Time
	found          *document[discovery]

	mu   sync.Mutex
	keys *Keys
	at   string // where the keys are
}

// discovery is what of a provider's metadata is used (OpenID Connect Discovery
// 1.0 §3, RFC 9207 §3).
type discovery struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	UserInfo      string   `json:"userinfo_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	ACRs          []string `json:"acr_values_supported"`
	TellsIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// NewProvider gives the provider with this issuer; nothing is asked of it yet.
func NewProvider(issuer, client string, secret tenure.Secret, with *http.Client, now func() time.Time) *Provider {
	p := &Provider{issuer: issuer, client: client, secret: secret, http: with, now: now}
	p.found = &document[discovery]{
		url: strings.TrimRight(issuer, "/") + "/.well-known/openid-configuration", client: with, now: now,
		parse: func(body []byte) (*discovery, error) {
			d, err := parseDiscovery(body, issuer)
			if err != nil {
				err = &metadataError{err}
			}
			return d, err
		},
	}
	return p
}

// metadataError is a discovery document that is not one of the issuer.
type metadataError struct{ error }

func (e *metadataError) Unwrap() error { return e.error }

func parseDiscovery(body []byte, issuer string) (*discovery, error) {
	var d discovery
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, err
	}
	if d.Issuer != issuer { // to the letter, a slash at the end included (§4.3)
		return nil, fmt.Errorf("the provider calls itself %q, not %q", d.Issuer, issuer)
	}
	for _, endpoint := range []string{d.Authorization, d.Token, d.Keys} {
		if err := endpointOf(issuer, endpoint); err != nil {
			return nil, err
		}
	}
	for _, optional := range []*string{&d.EndSession, &d.UserInfo} {
		if endpointOf(issuer, *optional) != nil {
			*optional = ""
		}
	}
	return &d, nil
}

// endpointOf judges where a provider says that it is asked: over https, and on this
// machine only where the issuer is here too.
func endpointOf(issuer, endpoint string) error {
	if err := tenure.CheckProviderURL(endpoint); err != nil {
		return err
	}
	if tenure.OnThisMachine(endpoint) && !tenure.OnThisMachine(issuer) {
		return fmt.Errorf("the provider %q has an endpoint on this machine", issuer)
	}
	return nil
}

func (p *Provider) discover(ctx context.Context) (*discovery, error) {
	d, err := p.found.get(ctx, func(*discovery) bool { return true })
	var refused *statusError
	var wrong *metadataError
	if errors.As(err, &wrong) || errors.As(err, &refused) && refused.ours() {
		return nil, misconfigured(fmt.Errorf("the issuer %q: %w", p.issuer, errors.Unwrap(err)))
	}
	return d, err
}

// Verifier gives what believes this provider's tokens.
func (p *Provider) Verifier(ctx context.Context) (*Verifier, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil || p.at != d.Keys {
		p.keys, p.at = NewKeys(d.Keys, p.http, p.now), d.Keys
	}
	return &Verifier{Keys: p.keys, Issuer: p.issuer, Audience: p.client, Algs: tenure.SigningAlgorithms(), Now: p.now}, nil
}

// Request is what a sign-in asks of the provider.
type Request struct {
	Redirect string
	Scopes   string
	State    string
	Nonce    string
	Verifier string        // the PKCE secret (RFC 7636); its SHA-256 is sent
	MaxAge   time.Duration // how long ago the person may have shown who they are
	Again    bool          // they are to show it anew
	Hint     string        // who it probably is, or ""
	ACRs     []string      // how well they are to show it, where the provider says that it knows one of them
}

// AuthorizationURL is where a browser goes to sign in (OpenID Connect Core 1.0
// §3.1.2.1).
func (p *Provider) AuthorizationURL(ctx context.Context, r Request) (string, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(r.Verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {p.client}, "redirect_uri": {r.Redirect}, "scope": {r.Scopes},
		"state": {r.State}, "nonce": {r.Nonce}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"max_age":        {strconv.Itoa(int(r.MaxAge.Seconds()))},
	}
	if r.Again {
		q.Set("prompt", "login")
	}
	// Of one that they do not know some providers make an error.
	if known := slices.DeleteFunc(slices.Clone(r.ACRs), func(acr string) bool { return !slices.Contains(d.ACRs, acr) }); len(known) > 0 {
		q.Set("acr_values", strings.Join(known, " "))
	}
	if r.Hint != "" {
		q.Set("login_hint", r.Hint)
	}
	return with(d.Authorization, q), nil
}

// with adds parameters to a URL that may have some.
func with(address string, q url.Values) string {
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	return address + sep + q.Encode()
}

// CheckIssuer judges the "iss" of the answer to a browser (RFC 9207 §2.4): a
// provider that says it sends one must have, and it must be its own.
func (p *Provider) CheckIssuer(ctx context.Context, told []string) error {
	d, err := p.discover(ctx)
	switch {
	case err != nil:
		return err
	case len(told) == 0 && d.TellsIssuer:
		return errors.New("the answer does not say which provider it is from (iss)")
	case len(told) > 1, len(told) == 1 && told[0] != p.issuer:
		return errors.New("the answer is from another provider (iss)")
	}
	return nil
}

// Tokens are what a provider gives for a code. A refresh token is not read.
type Tokens struct {
	ID     string `json:"id_token"`
	Access string `json:"access_token"`
}

// Exchange gives the tokens for a code (OpenID Connect Core 1.0 §3.1.3).
func (p *Provider) Exchange(ctx context.Context, code, redirect, verifier string) (Tokens, error) {
	var tokens Tokens
	d, err := p.discover(ctx)
	if err != nil {
		return tokens, err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	basic := len(d.AuthMethods) == 0 || slices.Contains(d.AuthMethods, "client_secret_basic") // §9: the default
	if !basic {
		form.Set("client_id", p.client)
		form.Set("client_secret", p.secret.Reveal())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return tokens, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if basic { // RFC 6749 §2.3.1: both are form-encoded first
		req.SetBasicAuth(url.QueryEscape(p.client), url.QueryEscape(p.secret.Reveal()))
	}
	body, err := answer(p.http, req)
	var refused *statusError
	switch {
	case errors.As(err, &refused) && (refused.status == http.StatusUnauthorized || refused.reason == "invalid_client" || refused.reason == "unauthorized_client"):
		return tokens, misconfigured(fmt.Errorf("the provider does not take the client's id and secret: %w", err)) // RFC 6749 §5.2
	case errors.As(err, &refused) && refused.status < http.StatusInternalServerError:
		return tokens, err
	case err != nil:
		return tokens, unreachable(err)
	}
	if err := json.Unmarshal(body, &tokens); err != nil || tokens.ID == "" {
		return tokens, errors.New("the provider gave no ID token: the scopes must have openid among them")
	}
	return tokens, nil
}

// Complete adds what the provider says of the token's subject beyond the token
// itself (OpenID Connect Core 1.0 §5.3): many leave e-mail address and name out of
// it. What the token says stays as it is. The access token serves this once.
func (p *Provider) Complete(ctx context.Context, t Token, access string) (Token, error) {
	d, err := p.discover(ctx)
	if err != nil || d.UserInfo == "" || access == "" {
		return t, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.UserInfo, nil)
	if err != nil {
		return t, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+access)
	body, err := answer(p.http, req)
	var refused *statusError
	switch {
	case errors.As(err, &refused) && refused.status < http.StatusInternalServerError:
		return t, err
	case err != nil:
		return t, unreachable(err)
	}
	var more map[string]any
	if err := json.Unmarshal(body, &more); err != nil {
		return t, err
	}
	if sub, _ := more["sub"].(string); sub != t.Subject { // §5.3.2: else it is not of this person
		return t, errors.New("the provider's words about the person are about another one (sub)")
	}
	maps.Copy(more, t.claims)
	t.claims = more
	return t, nil
}

// EndSessionURL is where a browser goes to sign out of the provider too (OpenID
// Connect RP-Initiated Logout 1.0 §2); "" when the provider has no such place. The
// client's id stands in for the ID token, which is not kept.
func (p *Provider) EndSessionURL(ctx context.Context, back string) string {
	d, err := p.discover(ctx)
	if err != nil || d.EndSession == "" {
		return ""
	}
	return with(d.EndSession, url.Values{"client_id": {p.client}, "post_logout_redirect_uri": {back}})
}
