package dash

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDirectSignIn: the pages lead to the identity provider where it is the way, and
// to the proxy where a session came by one.
func TestDirectSignIn(t *testing.T) {
	h := open(t, false)
	v := h.as("").withSession(h.as("root@example.com").get("/settings"))
	h.way = "acme"
	login := h.as("").get("/login?return_to=/admin/drift").must(http.StatusOK)
	login.one(".buttons a").says("Sign in with acme")
	if to := login.one(".buttons a").attrs["href"]; to != "/oidc/acme/start?return_to=%2Fadmin%2Fdrift" {
		t.Errorf("the button leads to %q", to)
	}
	if card := login.one(".card"); card.attrs["hx-boost"] != "false" {
		t.Errorf("htmx would fetch another host: %v", card.attrs)
	}
	if to := h.as("").get("/admin/drift").must(http.StatusSeeOther).Header.Get("Location"); to != "/login?return_to=%2Fadmin%2Fdrift" {
		t.Errorf("a page leads to %q", to)
	}

	// A form that nobody is signed in for leads there too, and back to its page.
	late := h.as("").with("Referer", "http://tenure.example.com/settings?cursor=x").post("/settings/tokens", "name", "x").must(http.StatusUnauthorized)
	late.one("h1").says("Sign in first")
	if to := late.one(".buttons a").attrs["href"]; to != "/login?return_to=%2Fsettings%3Fcursor%3Dx" {
		t.Errorf("a late form leads to %q", to)
	}
	for _, word := range []string{"proxy", "access token"} {
		if strings.Contains(late.one("main").text(), word) {
			t.Errorf("a late form speaks of a %s", word)
		}
	}
	if to := h.as("").post("/settings/tokens", "name", "x").one(".buttons a").attrs["href"]; to != "/login" {
		t.Errorf("a form from nowhere leads to %q", to)
	}

	// What needs a fresh sign-in asks whoever came by the provider to go there, and
	// whoever came by the proxy to come by it again.
	h.now = h.now.Add(6 * time.Minute)
	v.get("/stale").must(http.StatusForbidden).one("form[action=/login/again]")
	h.own = true
	stale := v.get("/stale").must(http.StatusForbidden)
	stale.none("form[action=/login/again]")
	if to := stale.one(".buttons a").attrs["href"]; to != "/login?reauth=1&return_to=%2Fstale" {
		t.Errorf("sign in again leads to %q", to)
	}
	if to := v.get("/login?reauth=1&return_to=/stale").must(http.StatusOK).one(".buttons a").attrs["href"]; to != "/oidc/acme/start?reauth=1&return_to=%2Fstale" {
		t.Errorf("and from there to %q", to)
	}
	// Without the proxy the provider is the way back, and asks anew.
	over := v.post("/login/again", "to", "/stale").must(http.StatusOK)
	if to := over.one(".buttons a").attrs["href"]; to != "/oidc/acme/start?reauth=1&return_to=%2Fstale" {
		t.Errorf("after the end of the session: %q", to)
	}

	// Out of the provider too: the browser goes there by itself, or by a link.
	v = h.as("").withSession(h.as("root@example.com").get("/settings"))
	if out := v.get("/settings").must(http.StatusOK).one("form[action=/logout]"); out.attrs["hx-boost"] != "false" {
		t.Errorf("htmx would sign out, and stay: %v", out.attrs)
	}
	h.next = "https://login.acme.example/out?client_id=tenure&x=%22%3E"
	out := v.post("/logout").must(http.StatusOK)
	if out.Header.Get("Refresh") != "0; url="+h.next || out.one(".buttons a").attrs["href"] != h.next {
		t.Errorf("signed out to %q and %q", out.Header.Get("Refresh"), out.one(".buttons a").attrs["href"])
	}
	if policy := out.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self';") {
		t.Errorf("the policy of that page: %q", policy)
	}
}
