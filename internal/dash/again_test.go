package dash

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/web"
)

// again stands in for signin.Again: the proxy asserts where X-User-Id says so.
func (h *house) again(w http.ResponseWriter, r *http.Request) (bool, error) {
	p := web.Principal(r.Context())
	if _, err := h.signOut(w, r); err != nil || r.Header.Get("X-User-Id") == "" {
		return false, err
	}
	return true, h.session(w, r, p)
}

func TestSignInAgainWithRoot(t *testing.T) {
	h, root := openSingle(t)
	v := h.as("")
	v = v.withSession(v.post("/login", "token", root))
	v.get("/settings/root/rotate").must(http.StatusOK)
	h.now = h.now.Add(6 * time.Minute)
	v.get("/settings").must(http.StatusOK)
	p := v.get("/settings/root/rotate?x=1").must(http.StatusForbidden)
	p.one("h1").says("Sign in again to go on")
	p.one("main").says("This needs a sign-in of the last 5 minutes")
	p.one(".trace").says("reauth_required")
	to := p.one("form[action=/login] input[name=to]").attrs["value"]
	if to != "/settings/root/rotate?x=1" {
		t.Errorf("one would come back to %q", to)
	}
	// The wrong token keeps the way back; the right one goes it.
	wrong := v.post("/login", "token", "troot_wrong", "to", to).must(http.StatusUnauthorized)
	if wrong.one("input[name=to]").attrs["value"] != to {
		t.Error("the way back is lost after a wrong token")
	}
	in := v.post("/login", "token", root, "to", to).must(http.StatusSeeOther)
	if in.Header.Get("Location") != to {
		t.Errorf("back to %q", in.Header.Get("Location"))
	}
	h.as("").withSession(in).get(to).must(http.StatusOK)
	// What a form sent is not sent again: one comes back to the page that it was on.
	h.now = h.now.Add(6 * time.Minute)
	v = h.as("").withSession(in)
	for from, want := range map[string]string{
		"": "/settings", "http://tenure.example.com/settings/root/rotate": "/settings/root/rotate",
		"http://evil.example/settings/root/rotate": "/settings", "http://tenure.example.com//evil.example": "/settings", "::": "/settings",
	} {
		p := v.with("Referer", from).post("/settings/root/rotate").must(http.StatusForbidden)
		if to := p.one("input[name=to]").attrs["value"]; to != want {
			t.Errorf("from %q back to %q", from, to)
		}
	}
}

func TestSignInAgain(t *testing.T) {
	h := open(t, false)
	v := h.as("").withSession(h.as("root@example.com").get("/settings"))
	cookie := v.headers.Get("Cookie")
	h.now = h.now.Add(6 * time.Minute)
	v.get("/settings").must(http.StatusOK)

	// The error as any page of administration gives it.
	w := v.get("/stale").must(http.StatusForbidden)
	w.one("h1").says("Sign in again to go on")
	if to := w.one("form[action=/login/again] input[name=to]").attrs["value"]; to != "/stale" {
		t.Errorf("one would come back to %q", to)
	}
	// Behind the proxy: back at once, with another session.
	p := v.with("X-User-Id", "root@example.com").post("/login/again", "to", "/admin/drift").must(http.StatusSeeOther)
	if p.Header.Get("Location") != "/admin/drift" {
		t.Errorf("back to %q", p.Header.Get("Location"))
	}
	next := v.withSession(p)
	if next.headers.Get("Cookie") == cookie {
		t.Error("the session is the same")
	}
	next.get("/stale").must(http.StatusNotFound)
	v.get("/settings").must(http.StatusUnauthorized)

	// Without it: the session is over, and the page leads on.
	over := next.post("/login/again", "to", "/admin/drift").must(http.StatusOK)
	over.none(".who")
	if to := over.one(".buttons a").attrs["href"]; to != "/admin/drift" {
		t.Errorf("the page leads to %q", to)
	}
	next.get("/settings").must(http.StatusUnauthorized)
	next.post("/login/again", "to", "/admin/drift").must(http.StatusUnauthorized)
}

func TestWhatWasTypedIsKept(t *testing.T) {
	h := open(t, false)
	v := h.signIn(grace, firefox)
	v.get("/admin/policies/edit").must(http.StatusOK)
	h.now = h.now.Add(6 * time.Minute)
	typed := []string{"reuse", "end_family", "was_reuse", "refuse", "webhook_url", `https://hooks.example.com/?a="b"`, "was_webhook_url", ""}
	here := v.with("Referer", "http://tenure.example.com/admin/policies/edit")
	late := here.post("/admin/policies", typed...).must(http.StatusForbidden)
	late.one("h1").says("Sign in again to go on")
	late.one("main").says("Nothing was done.")
	if late.one("form[action=/login/again]").attrs["target"] != "_blank" {
		t.Error("the sign-in takes the place of what was typed")
	}
	late.none("#page[data-listens]") // it stays when the session ends for the new one
	kept := late.one("form.kept")
	var again []string
	for _, in := range kept.all("input") {
		again = append(again, in.attrs["name"], in.attrs["value"])
	}
	next := v.withSession(v.with("X-User-Id", grace).post("/login/again", "to", "/admin/policies/edit").must(http.StatusSeeOther))
	next.post(kept.attrs["action"], again...).must(http.StatusOK).one(".notice").says("2 values are in force")

	// No key goes on a page, and nothing that another site sent.
	h.now = h.now.Add(6 * time.Minute)
	late = next.with("Referer", "http://tenure.example.com/admin/providers/new").post("/admin/providers", "name", "x", "key", "sk-0123456789abcdef")
	late.must(http.StatusForbidden).none("form.kept")
	late.one("main").says("A key was typed, which no page shows again")
	if strings.Contains(late.body, "sk-0123") {
		t.Error("the key is on the page")
	}
	next.with("Referer", "http://evil.example/").post("/admin/policies", typed...).must(http.StatusForbidden).none("form.kept")
}

func TestNobodyIsSentElsewhere(t *testing.T) {
	for to, want := range map[string]string{
		"/settings": "/settings", "/admin/drift?x=1&y=%2F": "/admin/drift?x=1&y=%2F",
		"": "", "https://evil.example/": "", "//evil.example/": "", "///evil.example": "", `/\evil.example`: "", `\\evil.example`: "", "evil.example": "",
		"javascript:alert(1)": "", "/\tx": "", "/\r\nSet-Cookie: x=y": "", "/%zz": "", "/settings#x": "", " /settings": "", "http:/settings": "",
		"/login": "", "/login/again": "", "/logout": "", "/api/v1/me": "", "/settings?t=" + tenure.NewToken(tenure.KindPAT).Reveal(): "",
		"/" + strings.Repeat("x", maxReturn): "",
	} {
		if want == "" {
			want = "/settings"
		}
		if got := local(to); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}

func TestRootTokenIsLoud(t *testing.T) {
	h := open(t, false)
	grace, alice := h.as("root@example.com"), h.as("alice@example.com")
	grace.get("/settings").none(".alarm")
	log, root := &audit.Log{DB: h.Tokens.DB}, tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.SuperAdmin}
	p, err := root.Admit(h.now, 0)
	if err != nil {
		t.Fatal(err)
	}
	use := func() {
		if err := log.Record(t.Context(), audit.RootUsed(p, tenure.ListUsers)); err != nil {
			t.Fatal(err)
		}
	}
	use()
	grace.get("/settings").one(".alarm").says("The root token was used once in the last 24 hours")
	h.now = h.now.Add(3 * time.Hour)
	use()
	for _, path := range []string{"/settings", "/admin/drift", "/nowhere"} {
		a := grace.get(path).one(".alarm")
		a.says("used 2 times in the last 24 hours")
		if at := a.all("time")[0].attrs["datetime"]; !strings.HasPrefix(at, h.now.Format("2006-01-02T15:04")) {
			t.Errorf("%s: last used %s", path, at)
		}
	}
	alice.get("/settings").none(".alarm")
	alice.get("/admin/drift").must(http.StatusForbidden).none(".alarm")
	h.now = h.now.Add(22 * time.Hour)
	grace.get("/settings").one(".alarm").says("used once")
	h.now = h.now.Add(3 * time.Hour)
	grace.get("/settings").none(".alarm")

	// Whoever is here with it is told so, and cannot rotate it by the dashboard.
	secret, err := h.Tokens.EnsureRoot(t.Context(), h.operator())
	if err != nil {
		t.Fatal(err)
	}
	bearer := h.as("").with("Authorization", "Bearer "+secret.Reveal())
	bearer.get("/settings").must(http.StatusOK).one(".alarm").says("You are here with the root token.")
	bearer.get("/settings/root/rotate").must(http.StatusNotFound)
	bearer.post("/settings/root/rotate").must(http.StatusNotFound)
	grace.post("/settings/root/rotate").must(http.StatusNotFound)

	single, token := openSingle(t)
	single.as("").with("Authorization", "Bearer "+token).get("/settings").must(http.StatusOK).none(".alarm")
}
