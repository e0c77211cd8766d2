package oidc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A told is a provider that answers what a test says, by path.
type told map[string]any

func (a told) serve(t *testing.T) (*Provider, *httptest.Server) {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := a[r.URL.Path]
		switch v := v.(type) {
		case int:
			w.WriteHeader(v)
			_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		default:
			if r.URL.Path == "/.well-known/openid-configuration" {
				d := map[string]any{"issuer": s.URL, "authorization_endpoint": s.URL + "/auth", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/jwks", "userinfo_endpoint": s.URL + "/me"}
				more, _ := v.(map[string]any)
				for name, value := range more {
					d[name] = value
				}
				v, ok = d, true
			}
			if !ok {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_ = json.NewEncoder(w).Encode(v)
		}
	}))
	t.Cleanup(s.Close)
	return NewProvider(s.URL, "tenure", tenure.NewSecret("s"), NewClient(nil), time.Now), s
}

func TestAProviderIsWhoItSaysItIs(t *testing.T) {
	const at = "/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		says map[string]any
		ok   bool
	}{
		"itself":                   {nil, true},
		"another issuer":           {map[string]any{"issuer": "https://evil.example.com"}, false},
		"no issuer":                {map[string]any{"issuer": ""}, false},
		"no place for tokens":      {map[string]any{"token_endpoint": ""}, false},
		"keys over plain http":     {map[string]any{"jwks_uri": "http://evil.example.com/jwks"}, false},
		"a form of another scheme": {map[string]any{"authorization_endpoint": "javascript:alert(1)"}, false},
	} {
		p, _ := told{at: c.says}.serve(t)
		if _, err := p.discover(t.Context()); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhereEndpointsMayBe(t *testing.T) {
	for _, c := range []struct {
		issuer, endpoint string
		ok               bool
	}{
		{"https://idp.example.com", "https://other.example.com/token", true},
		{"https://idp.example.com", "http://127.0.0.1:8080/token", false},
		{"https://idp.example.com", "http://localhost/token", false},
		{"https://idp.example.com", "https://[::1]/token", false},
		{"http://localhost:1", "http://127.0.0.1:8080/token", true},
	} {
		if err := endpointOf(c.issuer, c.endpoint); (err == nil) != c.ok {
			t.Errorf("%s of %s: %v", c.endpoint, c.issuer, err)
		}
	}
}

func TestAnAnswerIsFromItsProvider(t *testing.T) {
	for _, tells := range []bool{false, true} {
		p, s := told{"/.well-known/openid-configuration": map[string]any{"authorization_response_iss_parameter_supported": tells}}.serve(t)
		for _, c := range []struct {
			iss []string
			ok  bool
		}{{nil, !tells}, {[]string{s.URL}, true}, {[]string{s.URL + "/"}, false}, {[]string{s.URL, s.URL}, false}, {[]string{""}, false}} {
			if err := p.CheckIssuer(t.Context(), c.iss); (err == nil) != c.ok {
				t.Errorf("tells %v, %q: %v", tells, c.iss, err)
			}
		}
	}
}

func TestACodeIsExchanged(t *testing.T) {
	for name, c := range map[string]struct {
		answer any
		kind   tenure.Kind
		ok     bool
	}{
		"tokens":      {answer: map[string]any{"id_token": "x", "access_token": "y"}, ok: true},
		"no ID token": {answer: map[string]any{"access_token": "y"}},
		"a refusal":   {answer: 400},
		"a failure":   {answer: 500, kind: tenure.Unavailable},
	} {
		p, _ := told{"/token": c.answer}.serve(t)
		got, err := p.Exchange(t.Context(), "code", "r", "v")
		if (err == nil) != c.ok || c.ok && got.ID != "x" || tenure.IsKind(err, tenure.Unavailable) != (c.kind == tenure.Unavailable) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// What a provider says beyond the token is about the token's subject, and says
// nothing else of what the token says itself.
func TestWhatIsToldBeyondTheToken(t *testing.T) {
	token := Token{Subject: "u1", claims: map[string]any{"sub": "u1", "email_verified": false}}
	for name, c := range map[string]struct {
		answer any
		ok     bool
	}{
		"of the subject":    {map[string]any{"sub": "u1", "email": "a@example.com", "email_verified": true}, true},
		"of another":        {map[string]any{"sub": "u2", "email": "a@example.com"}, false},
		"of nobody":         {map[string]any{"email": "a@example.com"}, false},
		"no list of claims": {[]string{"a"}, false},
		"a refusal":         {401, false},
	} {
		p, _ := told{"/me": c.answer}.serve(t)
		got, err := p.Complete(context.Background(), token, "access")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && (got.Text("email") != "a@example.com" || got.Affirms("email_verified")) {
			t.Errorf("%s: %v", name, got.claims)
		}
	}
}
