package dash

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// A provider's keys are seen, tested, rotated, added, arranged and retired on its page,
// and none is ever shown.
func TestProviderPage(t *testing.T) {
	h := open(t, false)
	accepted := map[string]bool{"sk-first-key-0123456789": true, "sk-second-key-0123456789": true, "sk-spare-key-0123456789": true}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !accepted[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer up.Close()
	h.Vault.Client = func(tenure.Egress) *http.Client { return up.Client() }
	root := h.as("root@example.com")
	root.get("/settings")
	p, err := h.Vault.Add(t.Context(), h.operator(), vault.Spec{Name: "openai", Kind: tenure.OpenAI, BaseURL: up.URL + "/v1", Key: tenure.NewSecret("sk-first-key-0123456789")})
	if err != nil {
		t.Fatal(err)
	}
	one := "/admin/providers/" + string(p.ID)
	shows := func(pg page, words ...string) {
		t.Helper()
		text := pg.one("main").text()
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%q is not in %s", w, text)
			}
		}
		for key := range accepted {
			if strings.Contains(pg.body, key) {
				t.Errorf("a key is shown: %s", pg.body)
			}
		}
	}
	shows(root.get(one).must(http.StatusOK), "default v1", "in use", "…6789")
	shows(root.post(one+"/rotate", "name", "default", "key", "sk-that-is-refused-0123456789", "overlap", "1h").must(http.StatusConflict), "does not accept")
	shows(root.get(one).must(http.StatusOK), "default v1")
	root.post(one+"/rotate", "name", "default", "overlap", "1h").must(http.StatusBadRequest).one("#key-wrong")
	shows(root.post(one+"/rotate", "name", "default", "key", "sk-second-key-0123456789", "overlap", "1h").must(http.StatusOK), "version 2 of “default” is in use", "last resort until")
	for _, taken := range []string{"default", ""} { // without a name it is the usual one
		root.post(one+"/keys", "name", taken, "key", "sk-spare-key-0123456789").must(http.StatusConflict).one("#name-wrong")
		shows(root.get(one).must(http.StatusOK), "default v2", "in use")
	}
	root.post(one+"/keys", "name", "spare", "key", "sk-spare-key-0123456789", "position", "x").must(http.StatusBadRequest).one("#position-wrong")
	shows(root.post(one+"/keys", "name", "spare", "key", "sk-spare-key-0123456789", "position", "2", "rotate_every_days", "90").must(http.StatusOK), "“spare”: it is in use", "spare v1")
	keys, err := h.Vault.ProviderKeys(t.Context(), h.operator(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	var spare, before string
	for _, k := range keys {
		switch {
		case k.Name == "spare":
			spare = one + "/keys/" + string(k.ID)
		case k.Version == 1:
			before = one + "/keys/" + string(k.ID)
		}
	}
	shows(root.post(spare+"/check").must(http.StatusOK), "accepts the key “spare”")
	delete(accepted, "sk-spare-key-0123456789")
	shows(root.post(spare+"/check").must(http.StatusOK), "refused")
	root.get(spare + "/arrange").must(http.StatusOK).one("input[name=weight]")
	root.post(spare+"/arrange", "weight", "0").must(http.StatusBadRequest).one("#weight-wrong")
	shows(root.post(spare+"/arrange", "position", "3", "weight", "5", "rotate_every_days", "0").must(http.StatusOK), "3, weight 5")
	root.get(before + "/retire").must(http.StatusOK)
	shows(root.post(before+"/retire").must(http.StatusOK), "Version 1 of “default” is retired")
	shows(root.post(one+"/headers", "headers", "OpenAI-Organization: org-1\r\n\r\nX-Tier:gold\n").must(http.StatusOK), "Openai-Organization: org-1", "X-Tier: gold")
	root.post(one+"/headers", "headers", "no colon").must(http.StatusBadRequest).one("#headers-wrong")
	root.post(one+"/headers", "headers", "X-Tier: 1\nX-Tier: 2").must(http.StatusBadRequest).one("#headers-wrong")
	root.post(one+"/headers", "headers", "X-User-Id: root@example.com").must(http.StatusBadRequest).one("#headers-wrong")
	root.get(one + "/headers").must(http.StatusOK).one("textarea").says("Openai-Organization: org-1 X-Tier: gold")
	shows(root.post(one+"/headers", "headers", " ").must(http.StatusOK), "none of its own")
	for _, path := range []string{one, one + "/rotate", one + "/headers", one + "/keys/new", spare + "/arrange", spare + "/retire"} {
		nothingInline(t, path, root.get(path).must(http.StatusOK).root())
		if got := h.as("alice@example.com").get(path); got.StatusCode == http.StatusOK {
			t.Errorf("%s: open to a member", path)
		}
	}
	root.get("/admin/providers/nothing").must(http.StatusNotFound)
	root.get(one + "/keys/nothing/retire").must(http.StatusNotFound)
}

// A staged key is brought into use by one button, if the provider accepts it, and
// discarded by another; who used a key last, and what for, is told beside it.
func TestStagedKeysAndTheirUse(t *testing.T) {
	h := open(t, false)
	accepted := "sk-first-key-0123456789"
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+accepted {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer up.Close()
	h.Vault.Client = func(tenure.Egress) *http.Client { return up.Client() }
	root := h.as("root@example.com")
	root.get("/settings")
	p, err := h.Vault.Add(t.Context(), h.operator(), vault.Spec{Name: "openai", Kind: tenure.OpenAI, BaseURL: up.URL + "/v1", Key: tenure.NewSecret(accepted)})
	if err != nil {
		t.Fatal(err)
	}
	one := "/admin/providers/" + string(p.ID)
	stage := func(key string) (tenure.ProviderKey, string) {
		t.Helper()
		k, err := h.Vault.Stage(t.Context(), h.operator(), p.ID, vault.NewKey{Name: "default", Secret: tenure.NewSecret(key)})
		if err != nil {
			t.Fatal(err)
		}
		return k, one + "/keys/" + string(k.ID)
	}
	wrong, path := stage("sk-that-is-refused-0123456789")
	row := root.get(one).must(http.StatusOK).all("section[aria-labelledby=keys] tbody tr")[0]
	row.says("staged")
	row.says("Use default version 2")
	row.says("Discard")
	root.post(path + "/use").must(http.StatusOK).one(".notice").says("Version 2 of “default” is not used")
	root.get(path + "/retire").must(http.StatusOK).one("h1").says("Discard version 2")
	root.post(path + "/retire").must(http.StatusOK)
	good, path := stage("sk-good-key-0123456789")
	accepted = "sk-good-key-0123456789"
	h.as("alice@example.com").post(path + "/use").must(http.StatusForbidden)
	root.get("/admin/providers").must(http.StatusOK).one("tbody .none")
	root.post(path + "/use").must(http.StatusOK).one(".notice").says("version 3 of “default” is in use")
	if keys, err := h.Vault.ProviderKeys(t.Context(), h.operator(), p.ID); err != nil || keys[0].State != tenure.KeyActive || keys[1].ID != wrong.ID || keys[1].State != tenure.KeyRetired {
		t.Errorf("%+v %v", keys, err)
	}

	root.get(one).must(http.StatusOK).one("section[aria-labelledby=use] .empty").says("None was used yet")
	alice := h.join("alice@example.com")
	asker, err := (&tenure.Standing{
		Kind: tenure.PAT, Tenant: "default", TenantActive: true, Workspace: "default", WorkspaceRole: tenure.Member, User: alice.User(), UserActive: true, Token: "t",
	}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	h.Directory.ModelUse.Note(asker, store.AskedModel{Provider: p.ID, Key: good.ID, Name: "openai", Model: "gpt"}, h.Directory.DB.Now(), tenure.ModelUse{Input: 1234, Output: 5})
	used := root.get(one).must(http.StatusOK).one("section[aria-labelledby=use] tbody tr")
	used.says("default v3")
	used.says("alice@example.com")
	used.says("1,234")
	used.says("no price")
	root.get("/admin/providers").must(http.StatusOK).none("tbody .none")
	root.get("/admin/usage?by=key").must(http.StatusOK).all("section[aria-labelledby=sums] tbody tr")[0].says("openai default v3")
}

// Where a provider may be is said on its page, and which exception lets it be there is
// chosen there, of those that are in force for it.
func TestExceptionOfAProvider(t *testing.T) {
	h := open(t, false)
	h.set("provider_networks", "")
	admin := h.become("ada@example.com", tenure.SuperAdmin)
	admin.post("/admin/providers", "workspace", "default", "name", "lab", "kind", "openai", "base_url", "http://10.0.0.7/v1", "key", "sk-first-key-0123456789").
		must(http.StatusOK).one(".notice").says("nothing connects to it: 10.0.0.7 is a private address")
	rows, err := h.Vault.All(t.Context(), h.operator(), "", 10)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	one := "/admin/providers/" + string(rows[0].ID)
	facts := "section[aria-labelledby=facts]"
	admin.get(one).must(http.StatusOK).one(facts).says("as the policy says. Nothing connects to it: 10.0.0.7 is a private address")
	admin.get(one + "/exception").must(http.StatusOK).one("main").says("There is none in force for this provider")
	elsewhere := h.excepted(tenure.RuleBestEffort, tenure.SubjectWorkspace, "default")
	admin.post(one+"/exception", "exception", elsewhere).must(http.StatusBadRequest).one("#exception-wrong").says("is of the rule best_effort")
	id := h.excepted(tenure.RuleProviderNetwork, tenure.SubjectProvider, string(rows[0].ID))
	admin.get(one + "/exception").one("#exception").says("It ends on")
	admin.post(one+"/exception", "exception", id).must(http.StatusOK).one(facts).says("in a private network or on this machine, by an exception until")
	about := admin.get("/admin/exceptions/" + id).must(http.StatusOK).one("main")
	about.says("Providers on it")
	about.says("http://10.0.0.7/v1")
	admin.get(one + "/delete").must(http.StatusOK).one("main").says("Streams that an exception lets go there end")
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.RevokeException(ctx, tenure.Exception{Tenant: tenure.DefaultTenant, ID: tenure.ExceptionID(id), RevokedAt: tx.Now()})
	})
	admin.get(one).one(facts).says("its exception is not in force. Nothing connects to it")
	admin.post(one+"/exception", "exception", "").must(http.StatusOK).one(facts).says("as the policy says. Nothing connects to it")
	other := h.become("aron@example.com", tenure.Auditor)
	other.get(one).must(http.StatusOK).none("a[href$='/exception']")
	other.post(one+"/exception", "exception", "").must(http.StatusForbidden)
}
