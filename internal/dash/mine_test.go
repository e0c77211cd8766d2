package dash

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// workspace makes one of the tenant, with somebody in a role.
func (h *house) workspace(name, user string, role tenure.Role) tenure.WorkspaceID {
	h.t.Helper()
	h.now = h.now.Add(time.Millisecond)
	id := h.join(user).User()
	w := tenure.Workspace{ID: tenure.WorkspaceID(tenure.NewID(h.now)), Tenant: tenure.DefaultTenant, Name: name, Models: tenure.Models{"*"}, CreatedAt: h.now}
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertWorkspace(ctx, w); err != nil {
			return err
		}
		return tx.SetMembership(ctx, tenure.DefaultTenant, w.ID, id, role)
	})
	return w.ID
}

func (h *house) tx(fn func(context.Context, *store.Tx) error) {
	h.t.Helper()
	if err := h.Tokens.DB.Tx(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// set sets keys of the policy: key, value, key, value.
func (h *house) set(pairs ...string) {
	h.t.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.SetPolicy(ctx, tenure.DefaultTenant, pairs[i], pairs[i+1], "test"); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestTokenIsNarrowed(t *testing.T) {
	h := open(t, false)
	lab := h.workspace("Lab", "alice@example.com", tenure.Member)
	h.workspace("Museum", "alice@example.com", tenure.Viewer)
	alice := h.as("alice@example.com")
	form := alice.get("/settings").must(http.StatusOK).one("form.generate")
	if n := len(form.all("#workspace option")); n != 2 {
		t.Errorf("%d workspaces to make a token in, want two: a viewer makes none", n)
	}
	p := alice.post("/settings/tokens", "name", "CI", "expires_in", "7d", "workspace", string(lab), "scope", "chat",
		"models", "gpt-4o*  openai/o3", "cidrs", "192.0.2.0/24").must(http.StatusOK)
	row, err := h.Tokens.DB.Token(t.Context(), tenure.DefaultTenant, tenure.TokenID(h.newest("alice@example.com")))
	if err != nil || row.Workspace != lab || row.Scopes != tenure.ScopeChat || row.Models.String() != "gpt-4o* openai/o3" ||
		len(row.Networks) != 1 || row.ExpiresAt.Sub(row.CreatedAt) != 7*24*time.Hour {
		t.Errorf("%+v %v", row, err)
	}
	p.one("td[data-label=Workspace]").says("Lab")
	p.one("#code-claude").says("claude")
	p.all(".lacks")[0].says("messages")
	for field, form := range map[string][]string{
		"scopes": {"name", "x", "expires_in", "7d"},
		"models": {"name", "x", "expires_in", "7d", "scope", "chat", "models", "gpt 4o[ab]"},
		"cidrs":  {"name", "x", "expires_in", "7d", "scope", "chat", "cidrs", "office"},
	} {
		p := alice.post("/settings/tokens", form...).must(http.StatusBadRequest)
		if p.one("#"+field+"-wrong").text() == "" {
			t.Errorf("%s: nothing beside the field", field)
		}
		if open := p.one("details.narrow-it").attrs; field != "scopes" && !has(open, "open") {
			t.Errorf("%s: what is wrong is folded away", field)
		}
	}
}

func has(attrs map[string]string, name string) bool {
	_, ok := attrs[name]
	return ok
}

func TestThePolicyIsWhatTheFormOffers(t *testing.T) {
	h := open(t, false)
	h.set("pat_max_lifetime", "45d", "pat_default_lifetime", "12h", "extra_scopes", "embeddings", "pat_default_scopes", "chat")
	p := h.as("alice@example.com").get("/settings").must(http.StatusOK)
	var lives []string
	for _, o := range p.all("#life option") {
		lives = append(lives, o.attrs["value"])
	}
	if got := strings.Join(lives, " "); got != "12h 7d 30d 45d" {
		t.Errorf("lifetimes: %s", got)
	}
	p.one("option[selected]").says("in 12 h, on 21 Nov 2025, 21:14 UTC")
	if n := len(p.all("input[name=scope]")); n != 5 {
		t.Errorf("%d scopes", n)
	}
	if n := len(p.all("input[name=scope][checked]")); n != 1 {
		t.Errorf("%d scopes are checked", n)
	}
	p.one("input[value=embeddings]")
	p.none("input[value=responses]")

	h.set("pat_minters", "workspace_admin")
	p = h.as("alice@example.com").get("/settings").must(http.StatusOK)
	p.none("form.generate")
	p.all(".empty")[0].says("You may make no tokens.")
}

func TestExamplesNameModelsThatTheTokenReaches(t *testing.T) {
	h := open(t, false)
	h.Suggest = func(_ context.Context, p tenure.Principal) (string, string, []tenure.ProviderKind) {
		if p.Kind() != tenure.PAT {
			t.Errorf("asked for %s", p.Label())
		}
		return "gpt-9", "", nil
	}
	p := h.as("alice@example.com").post("/settings/tokens", "name", "x", "expires_in", "7d", "scope", "chat", "scope", "messages")
	p.one("#code-python").says(`model="gpt-9"`)
	p.one("#code-claude").says("YOUR_CLAUDE_MODEL")
	p.one(".lacks").says("is not known just now: put one that GET /v1/models lists in the place of YOUR_CLAUDE_MODEL.")

	h.Suggest = func(context.Context, tenure.Principal) (string, string, []tenure.ProviderKind) {
		return "", "", []tenure.ProviderKind{tenure.OpenAI, tenure.Anthropic}
	}
	p = h.as("alice@example.com").post("/settings/tokens", "name", "y", "expires_in", "7d", "scope", "chat", "scope", "messages")
	p.one(".lacks").says("There is no model provider here yet")
	p.one(".lacks a").says("Providers")

	h.Suggest = func(context.Context, tenure.Principal) (string, string, []tenure.ProviderKind) {
		return "gpt-9", "", []tenure.ProviderKind{tenure.Anthropic}
	}
	p = h.as("alice@example.com").post("/settings/tokens", "name", "z", "expires_in", "7d", "scope", "chat", "scope", "messages")
	told := p.all(".lacks")
	if len(told) != 3 { // Claude Code, and Anthropic's package in Python and in Node
		t.Fatalf("%d sentences of what is lacking", len(told))
	}
	for _, says := range told {
		says.says("There is no Anthropic provider here yet")
	}
}

func TestRotate(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	old := alice.generate("Laptop")
	path := alice.get("/settings").one("tbody a.small").attrs["href"]
	h.as("bob@example.com").get(path).must(http.StatusNotFound)
	h.as("bob@example.com").post(path, "overlap", "0").must(http.StatusNotFound)
	ask := alice.get(path).must(http.StatusOK)
	ask.one("h1").says("Rotate “Laptop”?")
	if usual := ask.one("option[selected]"); usual.attrs["value"] != "1d" {
		t.Errorf("the overlap chosen: %v", usual.attrs)
	}
	alice.post(path, "overlap", "8d").must(http.StatusBadRequest).one("#overlap-wrong").says("between 0 and 7d")

	p := alice.post(path, "overlap", "1h").must(http.StatusOK)
	fresh := p.one("#secret").text()
	p.one(".reveal").says("The secret before works on until Fri, 21 Nov 2025, 10:14:03 UTC")
	for _, secret := range []string{old, fresh} {
		if _, err := h.Tokens.Resolve(t.Context(), secret); err != nil {
			t.Error(err)
		}
	}
	if n := len(p.all(".tag")); n != 1 || len(p.all("tbody a.small")) != 1 {
		t.Errorf("%d old secrets are marked, %d tokens can be rotated", n, len(p.all("tbody a.small")))
	}
	alice.get(path).must(http.StatusOK).one("main").says("has been rotated already")
	alice.post(path, "overlap", "0").must(http.StatusConflict)

	next := p.one("tbody a.small").attrs["href"]
	alice.post(next, "overlap", "0").must(http.StatusOK).one(".reveal").says("The secret before has ended")
	if _, err := h.Tokens.Resolve(t.Context(), fresh); err == nil {
		t.Error("the secret before lives")
	}
}

func TestOtherSessionsEnd(t *testing.T) {
	h := open(t, false)
	here, there, bob := h.signIn("alice@example.com", firefox), h.signIn("alice@example.com", iphone), h.signIn("bob@example.com", firefox)
	p := here.get("/settings/sessions").must(http.StatusOK)
	p.one("header.with-act").says("after 1 h without use and after 12 h at all. At most 20 are open at once")
	p.all("td[data-label=By]")[0].says("company proxy")
	ask := here.get("/settings/sessions/end-others").must(http.StatusOK)
	ask.one("h1").says("End 1 session elsewhere?")
	ask.one(".ends").says("Safari on iPhone, from 192.0.2.7")
	here.post("/settings/sessions/end-others").must(http.StatusOK).one(".notice").says("Everywhere else: 1 session ended in ")
	there.get("/settings").must(http.StatusUnauthorized)
	bob.get("/settings").must(http.StatusOK)
	h.set("session_lifetime", "2h", "session_limit", "1") // shorter than when it was opened
	p = here.get("/settings/sessions").must(http.StatusOK)
	p.one("td[data-label=Ends]").says("in 1 h")
	p.one("header.with-act").says("after 2 h at all. One may be open")
	here.get("/settings/sessions/end-others").must(http.StatusOK).one("main").says("you are signed in nowhere else")
	here.post("/settings/sessions/end-others").must(http.StatusOK).one(".notice").says("You were signed in nowhere else.")
}

func TestActivityIsOnesOwn(t *testing.T) {
	h := open(t, false)
	alice, bob := h.as("alice@example.com"), h.as("bob@example.com")
	alice.generate("Alice’s laptop")
	bob.generate("Bob’s laptop")
	if _, err := h.Tokens.Revoke(t.Context(), h.join("root@example.com"), tenure.TokenID(h.newest("alice@example.com")), "lost"); err != nil {
		t.Fatal(err)
	}
	p := alice.get("/settings/activity").must(http.StatusOK)
	rows := p.all("section[aria-labelledby=activity] tbody tr")
	if len(rows) != 4 { // signed in, revoked, generated, provisioned
		t.Fatalf("%d rows\n%s", len(rows), p.body)
	}
	rows[0].says("Signed in")
	rows[1].says("Token revoked")
	rows[1].says("Lost.")
	rows[1].says("root@example.com")
	rows[2].says("Token generated Alice’s laptop you 192.0.2.7")
	if strings.Contains(p.body, "Bob") {
		t.Error("somebody else’s")
	}
}

func TestTheWorkspaceIsChosenAmongOnesOwn(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	alice.get("/settings").must(http.StatusOK).none(".choose") // there is one only
	lab, theirs := h.workspace("Lab", "alice@example.com", tenure.Member), h.workspace("Theirs", "bob@example.com", tenure.Member)
	p := alice.get("/settings/sessions").must(http.StatusOK)
	p.one(".choose option[selected]").says("default")
	if n := len(p.all(".choose option")); n != 2 {
		t.Errorf("%d workspaces to choose from", n)
	}
	alice.get("/settings/workspace?workspace=" + string(theirs)).must(http.StatusNotFound)
	alice.get("/settings/workspace").must(http.StatusNotFound)
	chosen := alice.get("/settings/workspace?workspace=" + string(lab) + "&to=/settings/sessions").must(http.StatusSeeOther)
	if to := chosen.Header.Get("Location"); to != "/settings/sessions" {
		t.Errorf("it leads to %q", to)
	}
	if to := alice.get("/settings/workspace?workspace=" + string(lab) + "&to=https://evil.example/").Header.Get("Location"); to != "/settings" {
		t.Errorf("it leads to %q", to)
	}
	c := chosen.Cookies()[0]
	if c.Name != placeCookie || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("the cookie is %+v", c)
	}
	alice = alice.with("Cookie", c.Name+"="+c.Value)
	// The house takes a cookie for a session only under its own name.
	p = alice.get("/settings").must(http.StatusOK)
	p.one(".choose option[selected]").says("Lab")
	if p.one("#workspace option[selected]").attrs["value"] != string(lab) {
		t.Error("the form does not follow")
	}
	alices := h.join("alice@example.com").User()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.RemoveMembership(ctx, tenure.DefaultTenant, lab, alices, "test", "test")
		return err
	})
	alice.get("/settings").must(http.StatusOK).one(".place").says("Workspace default") // it is hers no more
}

func TestSessionsInSingleMode(t *testing.T) {
	h := open(t, true)
	secret, err := h.Tokens.EnsureRoot(t.Context(), h.operator())
	if err != nil {
		t.Fatal(err)
	}
	v := h.as("")
	one := v.withSession(v.post("/login", "token", secret.Reveal()))
	two := v.withSession(v.post("/login", "token", secret.Reveal()))
	p := one.get("/settings/sessions").must(http.StatusOK)
	if n := len(p.all("tbody tr")); n != 2 {
		t.Errorf("%d sessions", n)
	}
	p.all("td[data-label=By]")[0].says("root token")
	one.post("/settings/sessions/end-others").must(http.StatusOK).one(".notice").says("1 session ended")
	two.get("/settings").must(http.StatusSeeOther)
	one.get("/settings/activity").must(http.StatusNotFound)
	for _, link := range one.get("/settings").all("nav a") {
		if strings.Contains(link.text(), "Access tokens") || strings.Contains(link.text(), "activity") {
			t.Errorf("single mode has %s", link.text())
		}
	}
}
