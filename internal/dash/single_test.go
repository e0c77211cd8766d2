package dash

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
)

// openSingle is a single-mode house and its root token.
func openSingle(t *testing.T) (*house, string) {
	t.Helper()
	h := open(t, true)
	secret, err := h.Tokens.EnsureRoot(t.Context(), h.operator())
	if err != nil {
		t.Fatal(err)
	}
	return h, secret.Reveal()
}

func TestSignInWithRoot(t *testing.T) {
	h, root := openSingle(t)
	v := h.as("")
	for _, path := range []string{"/", "/settings", "/nowhere", "/admin/users"} {
		if to := v.get(path).must(http.StatusSeeOther).Header.Get("Location"); to != "/login" {
			t.Errorf("%s leads to %q", path, to)
		}
	}
	// A program is told, not sent.
	v.with("Accept", "*/*").get("/settings").must(http.StatusUnauthorized)
	v.with("Authorization", "Bearer nonsense").get("/settings").must(http.StatusUnauthorized)
	v.post("/logout").must(http.StatusUnauthorized).one(".buttons a").says("Sign in with the root token")

	v.get("/login").must(http.StatusOK).one("input[type=password]")
	wrong := v.post("/login", "token", "troot_wrong").must(http.StatusUnauthorized)
	wrong.one("#" + wrong.one("#token").attrs["aria-describedby"]).says("This is not the root token")
	if wrong.one("#token").attrs["value"] != "" || wrong.Header.Get("WWW-Authenticate") == "" || !strings.Contains(h.logged(), "invalid_token") &&
		!strings.Contains(h.logged(), tenure.ErrInvalidToken.Msg) {
		t.Error("the refusal is kept, unchallenged or unlogged")
	}
	v.with("Host", "plain.example.com").post("/login", "token", root).must(http.StatusForbidden).one("#token-wrong").says("https")

	p := v.post("/login", "token", root).must(http.StatusSeeOther)
	if p.Header.Get("Location") != "/settings" || strings.Contains(h.logged(), root) {
		t.Error("the token went on, or was logged")
	}
	v.withSession(p).get("/settings").must(http.StatusOK).one(".who").says("Root token")
}

func TestRootTokenCard(t *testing.T) {
	h, root := openSingle(t)
	v := h.as("").withSession(h.as("").post("/login", "token", root))
	p := v.get("/settings").must(http.StatusOK)
	p.one("section[aria-labelledby=root] .facts").says(root[:9] + "…")
	p.none("form.generate")
	if strings.Contains(p.body, root) {
		t.Error("the root token is on the page")
	}
	for _, path := range []string{"/settings/tokens", "/settings/tokens/1/revoke"} { // in single mode there are none
		v.get(path).must(http.StatusNotFound)
		v.post(path, "name", "Laptop", "expires_in", "90d", "scope", "chat", "scope", "messages", "scope", "models").must(http.StatusNotFound)
	}

	v.get(p.one("section[aria-labelledby=root] a").attrs["href"]).must(http.StatusOK).one(".ends").says("every session that it opened")
	done := v.post("/settings/root/rotate").must(http.StatusOK)
	fresh := done.one("#secret").text()
	if kind, ok := tenure.ParseToken(fresh); !ok || kind != tenure.KindRoot || fresh == root {
		t.Fatalf("revealed %q", fresh)
	}
	done.one("main header").says("1 token")
	done.one("main header").says(" ms.")
	if done.one(".after a").attrs["href"] != "/login" {
		t.Error("no way to sign in again")
	}
	v.get("/settings").must(http.StatusSeeOther)
	v.post("/login", "token", root).must(http.StatusUnauthorized)
	v = h.as("").withSession(v.post("/login", "token", fresh).must(http.StatusSeeOther))
	if again := v.get("/settings").must(http.StatusOK); strings.Contains(again.body, fresh) {
		t.Error("the new root token is shown twice")
	}
}

func TestRootTokenOfTheOperator(t *testing.T) {
	h := open(t, true)
	const set = "set-by-the-operator-0123456789"
	h.Tokens.Configured = map[tenure.Digest]*tenure.Standing{tenure.DigestOf(set): {
		Kind: tenure.RootToken, Tenant: tenure.DefaultTenant,
		TenantActive: true, Role: tenure.SuperAdmin, Name: "root",
	}}
	v := h.as("").withSession(h.as("").post("/login", "token", set).must(http.StatusSeeOther))
	p := v.get("/settings").must(http.StatusOK)
	p.one("section[aria-labelledby=root]").says("TENURE_API_TOKEN")
	p.none("section[aria-labelledby=root] a")
	v.get("/settings/root/rotate").must(http.StatusSeeOther)
	v.post("/settings/root/rotate").must(http.StatusConflict).one("main").says("change it there and restart")
}

func TestRootTokenIsNotForEverybody(t *testing.T) {
	h, _ := openSingle(t)
	v := h.as("alice@example.com")
	v.get("/settings").must(http.StatusOK).one("section[aria-labelledby=root]").says("Only whoever is signed in with it")
	v.get("/settings/root/rotate").must(http.StatusForbidden)
	v.post("/settings/root/rotate").must(http.StatusForbidden)
}

// In teams mode the root token is for emergencies: it has no personal tokens.
func TestRootTokenInTeamsMode(t *testing.T) {
	h := open(t, false)
	secret, err := h.Tokens.EnsureRoot(t.Context(), h.operator())
	if err != nil {
		t.Fatal(err)
	}
	v := h.as("").with("Authorization", "Bearer "+secret.Reveal())
	p := v.get("/settings").must(http.StatusOK)
	p.one(".empty").says("belongs to a person")
	p.none("form.generate")
	v.post("/settings/tokens", "name", "Laptop", "expires_in", "90d", "scope", "chat", "scope", "messages", "scope", "models").must(http.StatusForbidden)
	h.as("").post("/login", "token", secret.Reveal()).must(http.StatusNotFound)
	v.get("/settings/root/rotate").must(http.StatusNotFound)
}
