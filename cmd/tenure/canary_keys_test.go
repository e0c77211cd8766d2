package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Keys of a provider that tells whatever it is asked with.
const (
	canaryFirst     = "sk-canary-first/version+of=it-2b3c4d5e"
	canarySecond    = "sk-canary-second-version-3c4d5e6f7a8b"
	canaryElsewhere = "sk-canary-kept-elsewhere-4d5e6f7a8b9c"
	canaryKEK       = "canary-kek-of-exactly-32-bytes-1"
	canaryNextKEK   = "canary-kek-of-exactly-32-bytes-2"
)

// teller is a provider that tells the key which it is asked with, in every place that an
// answer has.
func teller(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		quoted, _ := json.Marshal(key)
		w.Header().Set("X-Asked-With", key)
		flush := func(text string) {
			_, _ = w.Write([]byte(text))
			_ = http.NewResponseController(w).Flush()
		}
		var ask struct {
			Stream   bool
			Messages []struct{ Content string }
		}
		_ = json.NewDecoder(r.Body).Decode(&ask)
		switch {
		case strings.HasSuffix(r.URL.Path, "/models"):
			fmt.Fprintf(w, `{"object":"list","data":[{"id":"teller"},{"id":%s}]}`, quoted)
		case ask.Stream:
			w.Header().Set("Content-Type", "text/event-stream")
			flush(`data: {"model":"teller","choices":[{"index":0,"delta":{"content":"` + key[:len(key)/2])
			flush(key[len(key)/2:] + `"}}]}` + "\n\n")
			flush("data: {\"error\":{\"message\":" + string(quoted) + "}}\n\ndata: [DONE]\n\n")
		case len(ask.Messages) > 0 && ask.Messages[0].Content == "refuse":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"message":"the key %s is not for this","key":%s}}`, key, quoted)
		default:
			fmt.Fprintf(w, `{"model":"teller","choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}`, quoted)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

// look sends a request and remembers the answer, whatever it is.
func (c *canary) look(want int, r request) response {
	c.t.Helper()
	res := c.ask(want, r)
	if want < 400 {
		_ = res.Header.Write(&c.seen)
		c.seen.WriteString(res.body)
	}
	return res
}

// tell asks the teller for everything that it tells.
func (c *canary) tell(pat string) {
	c.t.Helper()
	for _, model := range []string{"teller/teller", "elsewhere/teller"} {
		ask := func(content string, stream bool) request {
			return request{"POST", chatPath, []string{"Authorization: Bearer " + pat}, fmt.Sprintf(`{"model":%q,"stream":%t,"messages":[{"role":"user","content":%q}]}`, model, stream, content)}
		}
		if answer := c.look(200, ask("Hello", false)); !strings.Contains(answer.body, "[redacted]") {
			c.t.Errorf("the key is not concealed: %s", answer.body)
		}
		c.look(200, ask("Hello", true))
		c.look(400, ask("refuse", false))
	}
	c.look(200, request{"GET", "/v1/models", []string{"Authorization: Bearer " + pat}, ""})
}

// Keys of a provider in both their versions, references, the key-encryption keys, and
// every other kind of token go through all that handles them, and are nowhere.
func TestCanaryKeys(t *testing.T) {
	outside := t.TempDir() // what is kept elsewhere
	write := func(name, text string) string {
		path := filepath.Join(outside, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	kek, next := write("one.key", base64.StdEncoding.EncodeToString([]byte(canaryKEK))), write("two.key", base64.StdEncoding.EncodeToString([]byte(canaryNextKEK)))
	elsewhere := write("elsewhere", canaryElsewhere)
	c := newCanary(t, "TENURE_ADMINS=grace@example.com", "TENURE_API_TOKEN="+canaryRoot, "TENURE_KEY_URL=file:"+kek, "TENURE_SECRET_ADDRESSES=file://"+outside+"/")
	for secret, what := range map[string]string{
		canaryFirst: "the first key", canarySecond: "the second key", canaryElsewhere: "a key that is kept elsewhere", canaryKEK: "the key-encryption key", canaryNextKEK: "the next key-encryption key",
	} {
		c.secrets[secret] = what
	}
	alice, grace, root := "X-User-Id: alice@example.com", "X-User-Id: grace@example.com", "Authorization: Bearer "+canaryRoot
	pat := c.keep("a token", c.ask(201, request{"POST", "/api/v1/tokens", []string{alice}, `{"name":"Laptop"}`}).body, anyToken)
	c.ask(200, request{"GET", "/api/v1/me", []string{grace}, ""})
	url := teller(t)
	added := c.look(201, request{"POST", "/api/v1/admin/providers", []string{root}, fmt.Sprintf(`{"name":"teller","kind":"openai","base_url":%q,"key":%q}`, url, canaryFirst)})
	c.look(201, request{"POST", "/api/v1/admin/providers", []string{root}, fmt.Sprintf(`{"name":"elsewhere","kind":"openai","base_url":%q,"key_reference":"file://%s"}`, url, elsewhere)})
	c.tell(pat)

	// Its key is rotated: both are good from then on.
	var provider struct{ ID string }
	_ = json.Unmarshal([]byte(added.body), &provider)
	c.look(201, request{"POST", "/api/v1/admin/providers/" + provider.ID + "/rotate", []string{root}, fmt.Sprintf(`{"key":%q}`, canarySecond)})
	c.look(200, request{"GET", "/api/v1/admin/providers/" + provider.ID + "/keys", []string{root}, ""})
	c.tell(pat)

	// Every other kind of token, shown once.
	connector := c.run("", "connector", "create", "Okta")
	scim := c.keep("a connector's token", connector, `tscim_[0-9A-Za-z]{46}`)
	c.keep("a connector's next token", c.run("", "connector", "rotate", "Okta"), `tscim_[0-9A-Za-z]{46}`)
	c.run("", "service-account", "create", "nightly", "--owner", "alice@example.com", "--description", "x")
	service := c.keep("a service token", c.run("", "service-account", "token", "nightly", "--name", "x", "--scope", "chat"), `tsvc_[0-9A-Za-z]{46}`)
	c.keep("the webhook's secret", c.run("", "webhook", "secret"), `(whsec_\S+)`)
	c.look(200, request{"GET", "/scim/v2/Users", []string{"Authorization: Bearer " + scim}, ""})
	c.look(403, request{"GET", "/api/v1/admin/users", []string{"Authorization: Bearer " + service}, ""})
	page := c.ask(200, request{"GET", "/admin", []string{grace}, ""})
	c.keep("a session's cookie", page.Header.Get("Set-Cookie"), `tenure=([^;]+)`)

	// Whoever looks sees none of it.
	for _, path := range []string{"", "/audit", "/providers", "/keys", "/tokens", "/connectors", "/system", "/notices", "/policies", "/streams", "/service-accounts", "/workspaces"} {
		page, err := request{"GET", "/admin" + path, []string{grace}, ""}.do(c.p.url)
		if err != nil || page.StatusCode != 200 {
			t.Fatalf("%s: %s %v", path, page.Status, err)
		}
		c.seen.WriteString(page.body)
	}
	for _, path := range []string{"providers", "keys", "audit?limit=100", "tokens", "scim-connectors", "health", "usage"} {
		c.look(200, request{"GET", "/api/v1/admin/" + path, []string{root}, ""})
	}
	c.look(200, request{"GET", "/metrics", nil, ""})
	c.look(404, request{"GET", "/debug/pprof/heap", []string{grace}, ""})
	for _, verb := range []string{"doctor --providers", "vault status", "provider list --json", "audit list --json --limit 1000", "usage --json", "connector list --json"} {
		c.seen.WriteString(c.run("", strings.Fields(verb)...))
	}
	leaky := filepath.Join(outside, "repo")
	if err := os.Mkdir(leaky, 0o700); err != nil {
		t.Fatal(err)
	}
	write("repo/all", strings.Join([]string{canaryFirst, canarySecond, pat, scim, service, canaryRoot}, "\n"))
	found := c.run("", "doctor", "--repo", leaky, "--json")
	if !strings.Contains(found, `"live": true`) {
		t.Errorf("the doctor finds nothing that lives: %s", found)
	}
	c.seen.WriteString(found)
	c.look(200, request{"POST", "/api/v1/admin/backup", []string{root}, fmt.Sprintf(`{"passphrase":%q}`, canaryBackup)})

	// Another key-encryption key, by a rewrap.
	if err := c.p.stop(); err != nil {
		t.Fatal(err)
	}
	c.searchText("the log", c.p.errors.String())
	c.env = append(c.env, "TENURE_KEY_URL=file:"+next, "TENURE_KEY_URL_PREVIOUS=file:"+kek)
	if out := c.run("", "vault", "rewrap"); strings.Contains(out, "cannot") {
		t.Error(out)
	}
	c.p = serve(t, c.dir, c.env)
	c.tell(pat)
	c.searchBackup()
	c.search()
}
