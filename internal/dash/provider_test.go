package dash

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
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
	root.post(one+"/keys", "name", "default", "key", "sk-spare-key-0123456789").must(http.StatusBadRequest).one("#name-wrong")
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
	for _, path := range []string{one, one + "/rotate", one + "/keys/new", spare + "/arrange", spare + "/retire"} {
		nothingInline(t, path, root.get(path).must(http.StatusOK).root())
		if got := h.as("alice@example.com").get(path); got.StatusCode == http.StatusOK {
			t.Errorf("%s: open to a member", path)
		}
	}
	root.get("/admin/providers/nothing").must(http.StatusNotFound)
	root.get(one + "/keys/nothing/retire").must(http.StatusNotFound)
}
