package dash

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

func TestEveryAnswerIsGuarded(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	secret := alice.generate("Laptop")
	revoke := "/settings/tokens/" + h.newest("alice@example.com") + "/revoke"
	for name, p := range map[string]page{
		"redirect": alice.get("/"), "settings": alice.get("/settings"), "reveal": alice.post("/settings/tokens", "name", "x", "expires_in", "7d", "scope", "chat", "scope", "messages", "scope", "models"),
		"refused": alice.post("/settings/tokens"), "confirm": alice.get(revoke), "revoked": alice.post(revoke),
		"login": h.as("").get("/login"), "signed out": alice.post("/logout"), "nobody": h.as("").get("/settings"),
		"nothing": alice.get("/nowhere"), "method": alice.do(http.MethodDelete, "/settings", nil),
		"token": h.as("").with("Authorization", "Bearer "+secret).get("/settings"),
	} {
		want := map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; " +
				"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "",
		}
		for header, value := range want {
			if got := p.Header.Get(header); got != value {
				t.Errorf("%s: %s: %q", name, header, got)
			}
		}
		if name == "redirect" {
			continue
		}
		if p.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %s", name, p.Header.Get("Content-Type"))
		}
		nothingInline(t, name, p.root())
	}
	h.Base = func(*http.Request) string { return "https://tenure.example.com" }
	if alice.get("/settings").Header.Get("Strict-Transport-Security") == "" {
		t.Error("over TLS: no Strict-Transport-Security")
	}
}

// nothingInline fails on what the policy would refuse, and on other hosts.
func nothingInline(t *testing.T, name string, e *element) {
	t.Helper()
	for attr, value := range e.attrs {
		if attr == "style" || strings.HasPrefix(attr, "on") || (attr == "src" || attr == "href" || attr == "action") && !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#") {
			t.Errorf("%s: <%s %s=%q>", name, e.name, attr, value)
		}
	}
	if e.name == "style" || e.name == "script" && e.attrs["src"] == "" {
		t.Errorf("%s: inline <%s>", name, e.name)
	}
	for _, c := range e.children {
		nothingInline(t, name, c)
	}
}

func TestWhoSeesWhat(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	pat := alice.generate("Laptop")
	program := h.as("").with("Authorization", "Bearer "+pat).with("Accept", "*/*")
	for _, path := range []string{"/", "/settings", "/nowhere", "/admin/", "/admin/users"} {
		program.get(path).must(http.StatusForbidden).one("main").says("An access token opens the model routes")
	}
	program.post("/settings/tokens", "name", "x", "expires_in", "7d", "scope", "chat", "scope", "messages", "scope", "models").must(http.StatusForbidden)
	alice.post("/settings/tokens/" + h.newest("alice@example.com") + "/revoke").must(http.StatusOK)
	if p := program.get("/settings").must(http.StatusUnauthorized); !strings.Contains(p.Header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("challenge: %q", p.Header.Get("WWW-Authenticate"))
	}

	nobody := h.as("").get("/settings").must(http.StatusUnauthorized)
	nobody.one("h1").says("Sign in through your company’s proxy")
	if nobody.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("challenge: %q", nobody.Header.Get("WWW-Authenticate"))
	}
	h.as("").get("/login").must(http.StatusOK).none("form")
	alice.get("/admin/").must(http.StatusNotFound)
	if p := alice.get("/").must(http.StatusSeeOther); p.Header.Get("Location") != "/settings" {
		t.Errorf("/ leads to %q", p.Header.Get("Location"))
	}
	p := alice.get("/settings").must(http.StatusOK)
	p.one(".place").says("Tenant default / Workspace default")
	p.one(".who").says("alice@example.com")
	if p.all("nav a")[0].attrs["aria-current"] != "page" {
		t.Error("the navigation does not know where it is")
	}
	if n := len(p.all("nav .group")); n != 1 {
		t.Errorf("%d groups; Administration has no entries yet", n)
	}
	if allow := alice.do(http.MethodDelete, "/settings", nil).must(http.StatusMethodNotAllowed).Header.Get("Allow"); allow != "GET" {
		t.Errorf("Allow: %q", allow)
	}
	long := strings.Repeat("n", maxForm)
	alice.post("/settings/tokens", "name", long).must(http.StatusRequestEntityTooLarge)
}

func TestDeactivated(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	alice.generate("Laptop")
	session := h.signIn("alice@example.com", firefox)
	if _, _, err := h.Directory.Deactivate(t.Context(), h.operator(), h.join("alice@example.com").User(), "left"); err != nil {
		t.Fatal(err)
	}
	p := alice.get("/settings").must(http.StatusForbidden)
	p.one("h1").says("This account is deactivated")
	p.one("main").says("Your tokens, sessions and open streams have ended with it, and none of them comes back.")
	p.one(".trace").says("account_deactivated")
	p.one(".trace").says(p.Header.Get("X-Request-Id"))
	p.none("nav")
	session.get("/settings").must(http.StatusUnauthorized)
}

func TestFailures(t *testing.T) {
	h := open(t, false)
	cause := errors.New("tpat_cause")
	for _, c := range []struct {
		err     error
		status  int
		heading string
	}{
		{cause, 500, "Something broke on our side"},
		{&tenure.Error{Kind: tenure.Internal, Code: "x", Msg: "tpat_cause", Err: cause}, 500, "Something broke on our side"},
		{&tenure.Error{Kind: tenure.Unavailable, Code: "database_busy", Msg: "the database is busy", RetryAfter: 1500 * time.Millisecond, Err: cause}, 503, "Not just now"},
		{&tenure.Error{Kind: tenure.Forbidden, Code: "not_provisioned", Msg: "ask your administrator", Err: cause}, 403, "You have no access here yet"},
		{&tenure.Error{Kind: tenure.Internal, Code: "connection_misconfigured", Msg: "the connection", Err: cause}, 500, "Sign-in is set up wrongly"},
		{&tenure.Error{Kind: tenure.Forbidden, Code: "cross_site", Msg: "a write from another site", Err: cause}, 403, "You may not do that"},
		{&tenure.Error{Kind: tenure.Conflict, Code: "x", Msg: "it clashes", Err: cause}, 409, "That did not work"},
		{&tenure.Error{Kind: tenure.NotFound, Code: "not_found", Msg: "not found", Err: cause}, 404, "There is nothing here"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(tenure.WithOrigin(t.Context(), &tenure.Origin{RequestID: "id-of-the-request"}), http.MethodGet, "/settings", nil)
		h.Fail(w, r, c.err)
		p := page{t: t, Response: w.Result(), body: w.Body.String()}.must(c.status)
		p.one("h1").says(c.heading)
		p.one(".trace").says("id-of-the-request")
		if strings.Contains(p.body, "tpat_cause") {
			t.Errorf("%v: the cause is shown", c.err)
		}
		if retry := p.Header.Get("Retry-After"); (retry == "2") != (c.status == 503) {
			t.Errorf("%v: Retry-After %q", c.err, retry)
		}
	}
}

func TestStaticFiles(t *testing.T) {
	h := open(t, false)
	p := h.as("").get("/login").must(http.StatusOK)
	for _, url := range []string{p.one("link[rel=stylesheet]").attrs["href"], p.one("link[rel=icon]").attrs["href"], p.one("script[defer]").attrs["src"]} {
		f := h.as("").get(url).must(http.StatusOK)
		if f.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || f.Header.Get("X-Content-Type-Options") != "nosniff" || f.body == "" {
			t.Errorf("%s: %v", url, f.Header)
		}
		h.as("").with("If-None-Match", f.Header.Get("ETag")).get(url).must(http.StatusNotModified)
	}
	if c := h.as("").get("/static/app.css?v=old").must(http.StatusOK).Header.Get("Cache-Control"); c != "no-cache" {
		t.Errorf("under an old address: %q", c)
	}
	if kind := h.as("").get("/static/app.js").Header.Get("Content-Type"); kind != "text/javascript; charset=utf-8" {
		t.Errorf("app.js is %q", kind)
	}
	h.as("").get("/static/frame.html").must(http.StatusNotFound)
	h.as("").get("/static/").must(http.StatusUnauthorized) // no such route, so one signs in first
}
