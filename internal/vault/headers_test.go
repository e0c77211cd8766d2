package vault_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// TestProviderHeaders: what no provider may get is refused, however it is spelled, and is
// not sent when it stands in the database all the same.
func TestProviderHeaders(t *testing.T) {
	w := newWorld(t)
	w.Asserted = []string{"X-Login", ""}
	p := w.add(t, "a")
	set := func(headers map[string]string) (tenure.Provider, error) {
		return w.Change(w.ctx, w.by, p.ID, vault.ProviderChange{Headers: &headers})
	}
	for _, name := range []string{
		"", "a b", "a:b", "a\nb", "ä", strings.Repeat("x", 65),
		"Authorization", "authorization", "Proxy-Authorization", "X-Api-Key", "x_api_key", "api-key", "X-Goog-Api-Key", "ApiKey", "X-Auth-Token", "Ocp-Apim-Subscription-Key", "X-Functions-Key", "Helicone-Auth", "X-Aws-Credentials", "Cookie", "Set-Cookie",
		"X-Login", "x-login", "X_LOGIN", "x.login", "X-User-Id", "x-forwarded-user", "X_Forwarded_Email", "X-Auth-Request-User", "Remote-User", "remote.user", "Forwarded",
		"Cf-Access-Jwt-Assertion", "X-Amzn-Oidc-Data", "Tailscale-User-Login", "Tenure-Gateway-Token",
		"Host", "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Content-Type", "Accept-Encoding", "Idempotency-Key",
	} {
		if _, err := set(map[string]string{"X-Fine": "1", name: "value"}); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		if name == "" {
			continue
		}
		byHand := tenure.Provider{Headers: []tenure.ProviderHeader{{Name: name, Value: "value"}, {Name: "x-fine", Value: "1"}}}
		if headers, wrong := w.Sends(byHand); len(headers) != 1 || headers[0].Name != "X-Fine" || len(wrong) != 1 {
			t.Errorf("%q, by hand: %v %v", name, headers, wrong)
		}
	}
	for what, value := range map[string]string{
		"nothing": "", "blanks": "  ", "a new line": "a\r\nX-User-Id: mallory", "a zero": "a\x00", "DEL": "a\x7f", "beyond ASCII": "ä", "too much": strings.Repeat("x", 1025),
		"a token": "tpat_0123456789", "a key": "sk-ant-" + "api03-QmVlcm9sd3Vzc2hvdHQtYW5kLXNvLW9uLTk4NzY1NDMyMQ",
	} {
		if _, err := set(map[string]string{"X-Fine": value}); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := set(map[string]string{"X-Fine": "1", "x_fine": "2"}); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("twice: %v", err)
	}
	many := map[string]string{}
	for _, c := range "abcdefghijklmnopq" {
		many["X-"+string(c)] = "1"
	}
	if _, err := set(many); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("17 of them: %v", err)
	}
	good := map[string]string{"openai-organization": "org-1", "Anthropic-Beta": "a,b", "x_tier": " gold ", "X-Note": strings.Repeat("x", 1024), strings.Repeat("Y", 64): "1"}
	p, err := set(good)
	if want := map[string]string{"Openai-Organization": "org-1", "Anthropic-Beta": "a,b", "X_tier": "gold", "X-Note": good["X-Note"], "Y" + strings.Repeat("y", 63): "1"}; err != nil || !maps.Equal(p.HeadersByName(), want) {
		t.Fatalf("%v %v", p.HeadersByName(), err)
	}
	if headers, wrong := w.Sends(p); len(headers) != len(good) || len(wrong) > 0 {
		t.Errorf("%v %v", headers, wrong)
	}
	if _, err := w.Change(w.ctx, tenure.Principal{}, p.ID, vault.ProviderChange{Headers: &good}); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("nobody sets headers: %v", err)
	}
}

// TestUnsentHeaders: what is stored and must not be sent is told, in every tenant, and a
// row that somebody has broken breaks nothing else.
func TestUnsentHeaders(t *testing.T) {
	w := newWorld(t)
	p, q := w.add(t, "a"), w.add(t, "b")
	headers := map[string]string{"X-Login": "1"}
	if _, err := w.Change(w.ctx, w.by, p.ID, vault.ProviderChange{Headers: &headers}); err != nil {
		t.Fatal(err)
	}
	told := func() map[string]string {
		out := map[string]string{}
		if err := w.Unsent(tenure.Everywhere(w.ctx), func(p tenure.Provider, why error) { out[p.Name] = why.Error() }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := told(); len(got) > 0 {
		t.Errorf("all are sent: %v", got)
	}
	w.Asserted = []string{"X-Login"}
	w.hand(`UPDATE provider_credentials SET headers = '{"X-Count": 1}' WHERE name = 'b'`)
	if got := told(); len(got) != 2 || !strings.Contains(got["a"], "X-Login") || got["b"] == "" {
		t.Errorf("told: %v", got)
	}
	if q, err := w.Get(w.ctx, w.by, q.ID); err != nil || q.Name != "b" {
		t.Errorf("%v %v", q, err)
	}
}

// TestCheckSendsHeaders: a key is checked as requests go, with the provider's headers; they
// do not stand in the key's place.
func TestCheckSendsHeaders(t *testing.T) {
	w := newWorld(t)
	got := http.Header{}
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
	defer up.Close()
	w.Client = func(tenure.Egress) *http.Client { return up.Client() }
	p, err := w.Add(w.ctx, w.by, vault.Spec{
		Name: "claude", Kind: tenure.Anthropic, BaseURL: up.URL, Key: tenure.NewSecret("sk-key-for-the-headers-0001"),
		Headers: map[string]string{"Anthropic-Version": "2099-01-01", "X-Tier": "gold"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Rotate(w.ctx, w.by, p.ID, vault.NewKey{Secret: tenure.NewSecret("sk-key-for-the-headers-0002")}, vault.Taking{}); err != nil {
		t.Fatal(err)
	}
	if got.Get("Anthropic-Version") != "2099-01-01" || got.Get("X-Tier") != "gold" || got.Get("X-Api-Key") != "sk-key-for-the-headers-0002" {
		t.Errorf("the provider got %v", got)
	}
}
