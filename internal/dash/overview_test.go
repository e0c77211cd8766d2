package dash

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// stream opens a request in flight of a token; the context ends when it is cut.
func (h *house) stream(secret, id, model string) context.Context {
	h.t.Helper()
	p, err := h.Tokens.Resolve(h.t.Context(), secret)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, f, err := h.live.Enter(tenure.WithOrigin(h.t.Context(), &tenure.Origin{RequestID: id}), p, tenure.ChatCompletions, nil)
	if err == nil {
		err = h.live.Asks(ctx, f, &live.Model{Provider: "openai", Name: model})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { h.live.Leave(f) })
	return ctx
}

func TestOverview(t *testing.T) {
	h := open(t, false)
	root, alice := h.as("root@example.com"), h.as("alice@example.com")
	h.live.Recheck = func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil }
	empty := root.get("/admin").must(http.StatusOK)
	empty.one(".standing").says("0 people can reach models now")
	empty.one("#live").says("No request to a model is running")
	empty.one("section[aria-labelledby=ended]").says("Nobody’s access has ended yet")

	laptop, gone := alice.generate("Laptop"), alice.generate("Old")
	alice.post("/settings/tokens/" + h.newest("alice@example.com") + "/revoke").must(http.StatusOK)
	_ = gone
	ctx := h.stream(laptop, "01REQUEST", "gpt-4o")
	h.now = h.now.Add(12 * time.Second)
	p := root.get("/admin").must(http.StatusOK)
	p.one(".standing").says("1 person can reach models now")
	p.one(".standing").says("1 live token")
	p.one("#live tbody tr").says("alice@example.com gpt-4o Laptop default 12 s Cut the stream of alice@example.com")
	p.one("section[aria-labelledby=ended] .chart").says("revocations")
	ended := p.one("section[aria-labelledby=ended]")
	ended.says("Revocations1")
	ended.says("alice@example.com, Old token 1 token alice@example.com")
	p.one(".warnings").says("SCIM has provisioned nobody")
	p.one("section[aria-labelledby=ages-of] table").says("< 7 d1")

	// What the page asks by itself is the list alone.
	if part := root.with("Tenure-Background", "1").get("/admin/live").must(http.StatusOK); strings.Contains(part.body, "<html") {
		t.Error("the list comes with a frame")
	} else {
		part.one("#live tbody tr").says("alice@example.com")
	}

	root.get("/admin/streams?q=LAPTOP").must(http.StatusOK).one("tbody tr").says("gpt-4o")
	root.get("/admin/streams?q=bob").must(http.StatusOK).none("tbody tr")

	ask := root.get("/admin/streams/01REQUEST/cut").must(http.StatusOK)
	ask.one("h1").says("Cut the stream of alice@example.com?")
	ask.one(".ends").says("The token stays good")
	if ctx.Err() != nil {
		t.Fatal("cut before it was confirmed")
	}
	root.post("/admin/streams/01REQUEST/cut").must(http.StatusOK).one(".notice").says("The stream of alice@example.com is cut: 1 stream ended in")
	if cause := live.Cause(ctx); !errors.Is(cause, tenure.ErrCut) {
		t.Errorf("cut by %v", cause)
	}
	if _, err := h.Tokens.Resolve(t.Context(), laptop); err != nil {
		t.Errorf("the token did not stay good: %v", err)
	}
	root.post("/admin/streams/01REQUEST/cut").must(http.StatusNotFound).one("h1").says("This stream is over")
	root.get("/admin/streams/01REQUEST/cut").must(http.StatusNotFound).one("h1").says("This stream is over")
}

func TestWhoSeesTheOverview(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	ctx := h.stream(alice.generate("Laptop"), "01REQUEST", "gpt-4o")
	for _, path := range []string{"/admin", "/admin/streams", "/admin/live", "/admin/system", "/admin/keys", "/admin/streams/01REQUEST/cut"} {
		alice.get(path).must(http.StatusForbidden)
	}
	alice.post("/admin/streams/01REQUEST/cut").must(http.StatusForbidden)
	if p := alice.with("HX-Request", "true").get("/admin/live").must(http.StatusNoContent); p.Header.Get("HX-Refresh") != "true" {
		t.Error("a list that may not be seen any more stays as if it were true")
	}
	for _, l := range alice.get("/settings").all("nav a") {
		if strings.HasPrefix(l.attrs["href"], "/admin") {
			t.Errorf("a member is shown %s", l.attrs["href"])
		}
	}
	if _, _, err := h.Directory.SetRole(t.Context(), h.operator(), h.join("carl@example.com").User(), tenure.Auditor); err != nil {
		t.Fatal(err)
	}
	carl := h.as("carl@example.com")
	carl.get("/admin").must(http.StatusOK).none("#live .act")
	carl.post("/admin/streams/01REQUEST/cut").must(http.StatusForbidden)
	if ctx.Err() != nil {
		t.Error("an auditor cut a stream")
	}
}

func TestSystem(t *testing.T) {
	h := open(t, false)
	p := h.as("root@example.com").get("/admin/system").must(http.StatusOK)
	p.one("section[aria-labelledby=database]").says("Size1.5 MiB")
	p.one("section[aria-labelledby=settings] tbody").says("TENURE_MODEteams TENURE_API_TOKEN–not set")
}

// The page of the keys tells what wraps what, to an auditor too, and a key that is
// named and not at hand.
func TestKeys(t *testing.T) {
	h := open(t, false)
	if _, _, err := h.Directory.SetRole(t.Context(), h.operator(), h.join("carl@example.com").User(), tenure.Auditor); err != nil {
		t.Fatal(err)
	}
	carl := h.as("carl@example.com")
	p := carl.get("/admin/keys").must(http.StatusOK)
	p.one("section[aria-labelledby=keks] tbody").says("at hand wraps AES-256-GCM")
	p.one("section[aria-labelledby=wrapped]").says("Nothing is sealed yet.")
	p.none(".alarm")
	if _, err := h.Vault.Add(t.Context(), h.operator(), vault.Spec{Name: "openai", Kind: tenure.OpenAI, Key: tenure.NewSecret("sk-of-this-test-0123456789")}); err != nil {
		t.Fatal(err)
	}
	p = carl.get("/admin/keys").must(http.StatusOK)
	p.one("section[aria-labelledby=wrapped] tbody").says("Keys of providers 1 ●well")
	p.one("section[aria-labelledby=root]").says("Wrapped byfile:")

	// The key that signs the audit log is replaced by who may, after a look at what that means.
	p.one("section[aria-labelledby=signing]").says("There is none yet.")
	if _, err := h.Ledger.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	p = carl.get("/admin/keys").must(http.StatusOK)
	p.one("section[aria-labelledby=signing] tbody").says("●signs")
	p.none("section[aria-labelledby=signing] a.button")
	carl.get("/admin/keys/audit/rotate").must(http.StatusForbidden)
	if _, _, err := h.Directory.SetRole(t.Context(), h.operator(), h.join("grace@example.com").User(), tenure.SuperAdmin); err != nil {
		t.Fatal(err)
	}
	grace := h.as("grace@example.com")
	grace.get("/admin/keys").must(http.StatusOK).one("section[aria-labelledby=signing] a.button").says("Rotate the key")
	grace.get("/admin/keys/audit/rotate").must(http.StatusOK).one("main form").says("Rotate the key")
	p = grace.post("/admin/keys/audit/rotate", "").must(http.StatusOK)
	p.one(".notice[role=status]").says("signed with a new key")
	if rows := p.all("section[aria-labelledby=signing] tbody tr"); len(rows) != 2 {
		t.Errorf("%d keys", len(rows))
	}

	missing := "file:" + filepath.Join(t.TempDir(), "none.key")
	key, err := vault.OpenKey(t.Context(), h.Vault.DB, vault.KeyURLs{Present: missing}, keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h.Vault.Key = key
	p = carl.get("/admin/keys").must(http.StatusOK)
	p.one("section[aria-labelledby=keks] tbody").says("not at hand wraps")
	p.one("section[aria-labelledby=wrapped] tbody").says("Keys of providers 1 ▲key not at hand")
	if alarms := p.all(".alarm"); len(alarms) != 2 {
		t.Errorf("%d alarms, not that it is sealed, and why", len(alarms))
	}
}

// listen opens /events; the channel gets what it was told in the end.
func (v visitor) listen() <-chan string {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), http.MethodGet, "/events", nil)
	r.Host, r.Header = "tenure.example.com", v.headers.Clone()
	w := httptest.NewRecorder()
	before := len(v.live.Flights(func(*tenure.Standing) bool { return true }))
	told := make(chan string, 1)
	go func() {
		v.router.ServeHTTP(w, r)
		told <- w.Body.String()
	}()
	for range 1000 {
		if len(v.live.Flights(func(*tenure.Standing) bool { return true })) > before {
			return told
		}
		time.Sleep(time.Millisecond)
	}
	v.t.Fatal("it does not listen")
	return nil
}

func TestAPageHearsItsEnd(t *testing.T) {
	h := open(t, false)
	h.live.Recheck = h.Directory.RecheckPage
	hears := func(told <-chan string, why string) {
		t.Helper()
		select {
		case text := <-told:
			if !strings.Contains(text, "event: ended\ndata: "+why+"\n\n") {
				t.Errorf("told %q, want %s", text, why)
			}
		case <-time.After(time.Second):
			t.Fatalf("not told of %s within a second", why)
		}
	}
	alice := h.signIn("alice@example.com", "Firefox/1 Linux")
	told := alice.listen()
	if n := h.live.Open(); n != 0 {
		t.Errorf("a page that listens counts as %d streams", n)
	}
	alice.post("/logout").must(http.StatusOK)
	hears(told, "signed_out")

	alice = h.signIn("alice@example.com", "Firefox/1 Linux")
	told = alice.listen()
	if _, ended, err := h.Directory.RevokeAll(t.Context(), h.operator(), h.join("alice@example.com").User(), "test"); err != nil || ended.Streams != 0 {
		t.Errorf("ended %+v: %v", ended, err)
	}
	hears(told, "ended")

	alice = h.signIn("alice@example.com", "Firefox/1 Linux")
	told = alice.listen()
	if _, _, err := h.Directory.Deactivate(t.Context(), h.operator(), h.join("alice@example.com").User(), "test"); err != nil {
		t.Fatal(err)
	}
	hears(told, "deactivated")
	for why, says := range map[string]string{"deactivated": "Your organisation has ended", "expired": "was not used for long", "x": "ended from somewhere else"} {
		h.as("").get("/ended?why=" + why).must(http.StatusOK).one("main").says(says)
	}
}

func TestFivePagesListen(t *testing.T) {
	h := open(t, false)
	h.live.Recheck = h.Directory.RecheckPage
	alice := h.signIn("alice@example.com", "Firefox/1 Linux")
	for range 5 {
		alice.listen()
	}
	alice.get("/events").must(http.StatusTooManyRequests)
	other := h.signIn("alice@example.com", "Chrome/1 Linux").listen()
	if n := len(h.live.Flights(live.User(h.join("alice@example.com").User()))); n != 6 {
		t.Errorf("%d listen", n)
	}
	h.live.Dismiss(tenure.ErrShutdown)
	if text := <-other; strings.Contains(text, "ended") {
		t.Errorf("at a shutdown a page is told %q", text)
	}
}

// A page that is left open and asks by itself does not keep its session from
// going idle.
func TestBackgroundIsNoUse(t *testing.T) {
	h := open(t, false)
	alice := h.signIn("alice@example.com", "Firefox/1 Linux")
	alice.headers.Del("X-User-Id")
	quiet := alice.with("Tenure-Background", "1")
	for range 13 {
		h.now = h.now.Add(5 * time.Minute)
		_ = quiet.get("/settings")
		if err := h.Tokens.Uses.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	alice.get("/settings").must(http.StatusUnauthorized)
}
