package app

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tenure-gateway/tenure"
)

// An idp is an OpenID provider that signs in whom a test says.
type idp struct {
	*httptest.Server
	t      *testing.T
	key    *rsa.PrivateKey
	mu     sync.Mutex
	claims map[string]any // of the next ID token, beside the usual ones
	asked  int            // at the token endpoint
	acrs   []string       // that it says it knows
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{t: t, key: key}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		answer := map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/jwks", "acr_values_supported": p.acrs,
		}
		switch r.URL.Path {
		case "/token":
			p.asked++
			answer = map[string]any{"id_token": p.sign(p.claims)}
		case "/jwks":
			answer = map[string]any{"keys": []any{jose.JSONWebKey{Key: key.Public(), KeyID: "k", Use: "sig"}}}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *idp) sign(claims map[string]any) string {
	now := time.Now().Unix()
	all := map[string]any{"iss": p.URL, "aud": "tenure", "iat": now, "exp": now + 300}
	for name, v := range claims {
		all[name] = v
	}
	body, _ := json.Marshal(all)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k"}}, nil)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	signed, _ := signer.Sign(body)
	text, _ := signed.CompactSerialize()
	return text
}

func cookies(r reply, but string) string {
	var all []string
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.MaxAge >= 0 && c.Name != but {
			all = append(all, c.Name+"="+c.Value)
		}
	}
	return strings.Join(all, "; ")
}

// signIn goes through a whole sign-in, and gives what the callback answers, its
// address, and the cookie of the attempt.
func (in *installation) signIn(p *idp, connection string, claims map[string]any) (end reply, path, attempt string) {
	in.t.Helper()
	start := in.must(http.StatusSeeOther, credential{}, "GET", "/oidc/"+connection+"/start", "")
	next, err := url.Parse(start.header.Get("Location"))
	if err != nil {
		in.t.Fatal(err)
	}
	p.mu.Lock()
	p.claims = map[string]any{"nonce": next.Query().Get("nonce"), "sid": "s1"}
	for name, v := range claims {
		p.claims[name] = v
	}
	p.mu.Unlock()
	attempt = cookies(start, "")
	path = "/oidc/" + connection + "/callback?" + url.Values{"code": {"c"}, "state": {next.Query().Get("state")}}.Encode()
	return in.ask(credential{}, "GET", path, "", "Cookie", attempt), path, attempt
}

// People sign in by a connection that is stored: each tenant's by its own, and no
// longer than it is there.
func TestSignInByStoredConnections(t *testing.T) {
	in, p := install(t, "teams"), newIDP(t)
	h := in.hand()
	h.tenant(otherTenant, otherMarker)
	connect := func(tenant tenure.TenantID, name string) tenure.OIDCConnection {
		t.Helper()
		c, err := in.Connections.Create(tenure.Everywhere(t.Context()), Operator("test", tenant), tenure.OIDCConnection{
			Name: name, Issuer: p.URL, ClientID: "tenure", UserNameClaim: "email",
		}, tenure.NewSecret("client-secret"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	acme := connect(tenure.DefaultTenant, "acme")
	connect(otherTenant, "other")
	if got := in.ask(credential{}, "GET", "/oidc/acme/start", ""); got.status != http.StatusServiceUnavailable {
		t.Errorf("a stored connection to this machine: %d", got.status)
	}
	in.Connections.Local = true
	if err := in.Connections.Gone; err == nil {
		t.Fatal("nobody is told of a connection that is gone")
	}
	in.Connections.Gone(acme.ID) // what refuses this machine is held already

	alice := map[string]any{"sub": "a", "email": "alice@example.com", "email_verified": true}
	end, path, attempt := in.signIn(p, "acme", alice)
	session := cookies(end, "")
	if end.status != http.StatusSeeOther || session == "" {
		t.Fatalf("%d: %s", end.status, end.body)
	}
	if me := in.must(http.StatusOK, credential{}, "GET", "/api/v1/me", "", "Cookie", session); me.member("user_name") != "alice@example.com" {
		t.Errorf("me: %s", me.body)
	}
	// One attempt is one question to the provider.
	for range 3 {
		if got := in.ask(credential{}, "GET", path, "", "Cookie", attempt); got.status != http.StatusBadRequest {
			t.Errorf("the same answer again: %d", got.status)
		}
	}
	p.mu.Lock()
	asked := p.asked
	p.mu.Unlock()
	if asked != 1 {
		t.Errorf("the provider was asked for tokens %d times", asked)
	}
	// An e-mail address that nobody verified is nobody's.
	for _, claims := range []map[string]any{{"sub": "m", "email": "mallory@example.com"}, {"sub": "m", "email": "mallory@example.com", "email_verified": "false"}} {
		if got, _, _ := in.signIn(p, "acme", claims); got.status != http.StatusForbidden {
			t.Errorf("%v: %d", claims, got.status)
		}
	}
	in.otherTenantsPeople(p, alice, session)
	in.backChannel(p)

	// A hand at the database that unlinks her signs her out, as the act does.
	end, _, _ = in.signIn(p, "acme", alice)
	session = cookies(end, "")
	in.must(http.StatusOK, credential{}, "GET", "/api/v1/me", "", "Cookie", session)
	h.change("DELETE FROM oidc_subjects WHERE tenant_id = 'default'")
	for typed := time.Now(); in.ask(credential{}, "GET", "/api/v1/me", "", "Cookie", session).status != http.StatusUnauthorized; time.Sleep(10 * time.Millisecond) {
		if time.Since(typed) > 2*time.Second {
			t.Fatal("whom a hand has unlinked is signed in still")
		}
	}

	end, _, _ = in.signIn(p, "acme", alice)
	session = cookies(end, "")
	in.must(http.StatusOK, credential{}, "GET", "/api/v1/me", "", "Cookie", session)
	if ended, err := in.Connections.Delete(tenure.Everywhere(t.Context()), Operator("test", tenure.DefaultTenant), acme.ID); err != nil || ended.Sessions != 1 {
		t.Errorf("deleted: %+v, %v", ended, err)
	}
	in.must(http.StatusUnauthorized, credential{}, "GET", "/api/v1/me", "", "Cookie", session)
	in.must(http.StatusNotFound, credential{}, "GET", "/oidc/acme/start", "")
}

// otherTenantsPeople are others, though the provider calls them the same; an attempt
// that one connection began does not end at another.
func (in *installation) otherTenantsPeople(p *idp, alice map[string]any, session string) {
	in.t.Helper()
	end, _, _ := in.signIn(p, "other", alice)
	there := in.must(http.StatusOK, credential{}, "GET", "/api/v1/me", "", "Cookie", cookies(end, ""))
	here := in.must(http.StatusOK, credential{}, "GET", "/api/v1/me", "", "Cookie", session)
	if there.member("id") == here.member("id") || there.member("id") == "" {
		in.t.Errorf("one person in two tenants: %s", there.body)
	}
	_, path, attempt := in.signIn(p, "other", map[string]any{"nonce": "of another sign-in"})
	if got := in.ask(credential{}, "GET", strings.Replace(path, "/other/", "/acme/", 1), "", "Cookie", attempt); got.status != http.StatusBadRequest {
		in.t.Errorf("an attempt at another connection: %d", got.status)
	}
}

// backChannel takes a logout token once, and no other token of the provider.
func (in *installation) backChannel(p *idp) {
	in.t.Helper()
	said := func(claims map[string]any) int {
		body := url.Values{"logout_token": {p.sign(claims)}}.Encode()
		return in.ask(credential{}, "POST", "/oidc/acme/backchannel", body, "Content-Type", "application/x-www-form-urlencoded").status
	}
	logout := map[string]any{"sub": "a", "sid": "s1", "jti": "j1", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	for what, c := range map[string]map[string]any{
		"an ID token":       {"sub": "a", "nonce": "n", "sid": "s1"},
		"an old one":        {"sub": "a", "jti": "j0", "events": logout["events"], "iat": time.Now().Add(-time.Hour).Unix()},
		"of another issuer": {"sub": "a", "jti": "j0", "events": logout["events"], "iss": "https://evil.example.com"},
	} {
		if got := said(c); got != http.StatusBadRequest {
			in.t.Errorf("%s at the back channel: %d", what, got)
		}
	}
	if open, err := in.Store.ProviderSessions(tenure.Everywhere(context.Background()), tenure.DefaultTenant, p.URL, "a", ""); err != nil || len(open) != 1 {
		in.t.Fatalf("before the logout: %d sessions, %v", len(open), err)
	}
	if got := said(logout); got != http.StatusOK {
		in.t.Errorf("a logout token: %d", got)
	}
	if open, err := in.Store.ProviderSessions(tenure.Everywhere(context.Background()), tenure.DefaultTenant, p.URL, "a", ""); err != nil || len(open) != 0 {
		in.t.Errorf("after the logout: %d sessions, %v", len(open), err)
	}
	if got := said(logout); got != http.StatusBadRequest {
		in.t.Errorf("the same logout token again: %d", got)
	}
	if open, err := in.Store.ProviderSessions(tenure.Everywhere(context.Background()), otherTenant, p.URL, "a", ""); err != nil || len(open) != 1 {
		in.t.Errorf("the other tenant's: %d sessions, %v", len(open), err)
	}
}
