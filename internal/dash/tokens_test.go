package dash

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
)

func TestGenerateRevealsOnce(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	p := alice.post("/settings/tokens", "name", "VS Code", "expires_in", "30d", "scope", "chat", "scope", "messages", "scope", "models").must(http.StatusOK)
	secret := p.one("#secret").text()
	if kind, ok := tenure.ParseToken(secret); !ok || kind != tenure.KindPAT {
		t.Fatalf("revealed %q", secret)
	}
	who, err := h.Tokens.Resolve(t.Context(), secret)
	if err != nil || who.Label() != "alice@example.com" {
		t.Fatalf("the revealed token is of %q: %v", who.Label(), err)
	}
	p.one(".reveal h3").says("“VS Code” is ready")
	p.one(".reveal").says("shown only once")
	p.none("form.generate") // the reveal stands in its place
	p.one("section[aria-labelledby=tokens] tbody tr").says("in 30 days")
	if p.Header.Get("Cache-Control") != "no-store" || p.one("#page").attrs["data-address"] != "/settings" {
		t.Error("the page may be kept or loaded again")
	}
	for _, id := range []string{"code-vscode", "code-openwebui", "code-claude", "code-python", "code-python-anthropic", "code-node", "code-node-anthropic", "code-curl"} {
		snippet := p.one("#" + id)
		snippet.says(secret)
		snippet.says("http://tenure.example.com")
	}

	again := alice.get("/settings").must(http.StatusOK)
	for _, where := range []string{again.body, h.logged()} {
		if strings.Contains(where, secret) || strings.Contains(where, tenure.DigestOf(secret).String()) {
			t.Errorf("the secret or its digest is in %s", where)
		}
	}
	again.one("section[aria-labelledby=tokens] tbody tr").says(secret[:tenure.TokenPrefixLength] + "…")
	again.one("form.generate")
	if to := alice.get("/settings/tokens").must(http.StatusSeeOther).Header.Get("Location"); to != "/settings" {
		t.Errorf("the address of the form leads to %q", to)
	}
}

func TestNoTokensYet(t *testing.T) {
	h := open(t, false)
	p := h.as("alice@example.com").get("/settings").must(http.StatusOK)
	p.one(".empty").says("No live tokens.")
	p.none("details.ended")
	if chosen := p.one("option[selected]"); chosen.attrs["value"] != "90d" {
		t.Errorf("chosen: %v", chosen.attrs)
	}
	p.one("option[selected]").says("on 19 Feb 2026")
}

func TestRefusedBesideItsField(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	for _, c := range []struct{ about, name, life, field, says string }{
		{"no name", "  ", "90d", "name", "A name of 1 to 100 bytes"},
		{"a long name", strings.Repeat("n", 101), "90d", "name", "A name of 1 to 100 bytes"},
		{"a name that hides", "a\u202eb", "90d", "name", "does not print"},
		{"no lifetime", "Laptop", "", "life", "one of the lifetimes offered"},
		{"a lifetime of its own", "Laptop", "3650d", "life", "between one minute and 365d"},
	} {
		t.Run(c.about, func(t *testing.T) {
			p := alice.post("/settings/tokens", "name", c.name, "expires_in", c.life, "scope", "chat").must(http.StatusBadRequest)
			p.t = t
			field := p.one("#" + c.field)
			wrong := p.one("#" + field.attrs["aria-describedby"])
			wrong.says(c.says)
			if field.attrs["aria-invalid"] != "true" {
				t.Error("the field is not marked")
			}
			if got := p.one("#name").attrs["value"]; got != strings.TrimSpace(c.name) {
				t.Errorf("the form forgot the name: %q", got)
			}
			p.none("#secret")
		})
	}
	if mine, _ := h.Tokens.Mine(t.Context(), h.join("alice@example.com"), "", 10); len(mine.Tokens) != 0 {
		t.Errorf("%d tokens came of it", len(mine.Tokens))
	}
	// What was chosen stays chosen.
	p := alice.post("/settings/tokens", "name", "", "expires_in", "7d", "scope", "chat", "scope", "messages", "scope", "models")
	if p.one("option[selected]").attrs["value"] != "7d" {
		t.Error("the form forgot the lifetime")
	}
}

func TestNamesAreText(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	name := `<script>alert(1)</script>"'&<b>`
	revealed := alice.post("/settings/tokens", "name", name, "expires_in", "90d", "scope", "chat", "scope", "messages", "scope", "models").must(http.StatusOK)
	id := h.newest("alice@example.com")
	for _, p := range []page{
		revealed, alice.get("/settings"), alice.get("/settings/tokens/" + id + "/revoke"),
		alice.post("/settings/tokens", "name", name, "expires_in", "-", "scope", "chat"), alice.post("/settings/tokens/" + id + "/revoke"),
	} {
		if strings.Contains(p.body, "<script>") || strings.Contains(p.body, "<b>") {
			t.Errorf("the name became markup:\n%s", p.body)
		}
		if !strings.Contains(p.one("main").text()+p.body, "alert(1)") {
			t.Errorf("the name is gone:\n%s", p.body)
		}
	}
	revealed.one("main tbody th").says(name)
}

func TestRevoke(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	secret := alice.generate("Laptop")
	kept := alice.generate("Desktop")
	path := alice.get("/settings").all("main tbody a.end")[1].attrs["href"]

	ask := alice.get(path).must(http.StatusOK)
	ask.one("h1").says("Revoke “Laptop”?")
	ask.one(".ends").says("every request and stream")
	ask.one(".facts").says(secret[:9] + "…")
	form := ask.one("main form")
	if form.attrs["method"] != "post" || form.attrs["action"] != path {
		t.Fatalf("the form goes by %v", form.attrs)
	}
	if _, err := h.Tokens.Resolve(t.Context(), secret); err != nil {
		t.Fatalf("asking ended it: %v", err)
	}

	p, err := h.Tokens.Resolve(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx, flight, err := h.Tokens.Live.Enter(t.Context(), p, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Tokens.Live.Leave(flight)
	done := alice.post(path).must(http.StatusOK)
	done.one(".notice").says("“Laptop” is revoked: 1 token and 1 stream ended in ")
	done.one(".notice").says(" ms.")
	if ctx.Err() == nil {
		t.Error("the stream goes on")
	}
	done.one("details.ended summary").says("Ended tokens (1)")
	done.one("details.ended tbody tr").says("revoked by you")
	if live := done.all("section[aria-labelledby=tokens] tbody a.end"); len(live) != 1 {
		t.Errorf("%d tokens can be revoked, want one", len(live))
	}
	if _, err := h.Tokens.Resolve(t.Context(), secret); !errors.Is(err, tenure.ErrInvalidToken) {
		t.Errorf("the revoked token: %v", err)
	}
	if _, err := h.Tokens.Resolve(t.Context(), kept); err != nil {
		t.Errorf("the other token: %v", err)
	}

	alice.post(path).must(http.StatusOK).one(".notice").says("had ended already")
	over := alice.get(path).must(http.StatusOK)
	over.one("main").says("it is revoked")
	over.none("main form")
}

func TestOthersTokensDoNotExist(t *testing.T) {
	h := open(t, false)
	secret := h.as("alice@example.com").generate("Laptop")
	path := "/settings/tokens/" + h.newest("alice@example.com") + "/revoke"
	for _, who := range []string{"bob@example.com", "root@example.com"} { // the second is an administrator
		h.as(who).generate("Mine")
		h.as(who).get(path).must(http.StatusNotFound)
		h.as(who).post(path).must(http.StatusNotFound)
	}
	h.as("alice@example.com").post("/settings/tokens/0/revoke").must(http.StatusNotFound)
	h.as("alice@example.com").post("/settings/tokens/zzz/revoke").must(http.StatusNotFound)
	if _, err := h.Tokens.Resolve(t.Context(), secret); err != nil {
		t.Errorf("alice's token: %v", err)
	}
}

func TestExpiredTokensAreApart(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	alice.generate("Laptop")
	h.now = h.now.Add(84 * 24 * time.Hour)
	p := alice.get("/settings").must(http.StatusOK)
	p.one(".warn").says("in 6 days")
	h.now = h.now.Add(30 * 24 * time.Hour)
	p = alice.get("/settings").must(http.StatusOK)
	p.one("details.ended tbody tr").says("expired")
	p.one("main .empty").says("No live tokens.")
}

func TestManyTokensArePaged(t *testing.T) {
	h := open(t, false)
	by := h.join("alice@example.com")
	for range perPage + 3 {
		h.now = h.now.Add(time.Millisecond) // ids are in the order of their milliseconds
		if _, _, err := h.Tokens.Mint(t.Context(), by, token.Spec{Name: "Laptop"}); err != nil {
			t.Fatal(err)
		}
	}
	alice := h.as("alice@example.com")
	first := alice.get("/settings").must(http.StatusOK)
	if n := len(first.all("section[aria-labelledby=tokens] tbody tr")); n != perPage {
		t.Errorf("the first page has %d tokens", n)
	}
	older := alice.get(first.one(".pages a").attrs["href"]).must(http.StatusOK)
	if n := len(older.all("section[aria-labelledby=tokens] tbody tr")); n != 3 {
		t.Errorf("the second page has %d tokens", n)
	}
	if back := older.one(".pages a").attrs["href"]; back != "/settings" {
		t.Errorf("back leads to %q", back)
	}
	older.none(".empty")
}

func TestScopesAreShown(t *testing.T) {
	h := open(t, false)
	if _, _, err := h.Tokens.Mint(t.Context(), h.join("alice@example.com"), token.Spec{Name: "Laptop", Scopes: []string{"chat", "models"}}); err != nil {
		t.Fatal(err)
	}
	h.as("alice@example.com").get("/settings").one("td[data-label=Scopes]").says("chat, models")
}
