package app

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

const (
	tokens     = "/api/v1/tokens"
	connectors = "/api/v1/admin/scim-connectors"
	providers  = "/api/v1/admin/providers"
)

// Twenty identical requests at once make one thing, and every one of them is
// told of it, or to come again.
func TestRepeatedAtOnce(t *testing.T) {
	in := install(t, "teams")
	ada := person(superAdmin)
	in.must(http.StatusOK, ada, http.MethodGet, "/api/v1/me", "")
	for _, c := range []struct{ path, body, list string }{
		{tokens, `{"name":"laptop"}`, tokens},
		{providers, `{"name":"second","kind":"openai","key":"sk-0123456789"}`, providers},
		{connectors, `{"name":"Okta"}`, connectors},
	} {
		before := strings.Count(in.ask(ada, http.MethodGet, c.list, "").body, `"id":`)
		var created, replayed atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				r := in.ask(ada, http.MethodPost, c.path, c.body, "Idempotency-Key", "one of "+c.path)
				switch {
				case r.header.Get("Idempotency-Replayed") == "true" && r.status < 300:
					replayed.Add(1)
					if tenure.HoldsToken(r.body) {
						t.Errorf("%s: a secret is shown twice: %s", c.path, r.body)
					}
				case r.status == http.StatusCreated:
					created.Add(1)
				case r.status != http.StatusConflict || r.header.Get("Retry-After") == "" || r.member("code") != "request_in_progress":
					t.Errorf("%s: %d %s", c.path, r.status, r.body)
				}
			})
		}
		wg.Wait()
		after := strings.Count(in.ask(ada, http.MethodGet, c.list, "").body, `"id":`)
		more := 1
		if c.path == connectors {
			more = 2 // the connector, and its token
		}
		if created.Load() != 1 || after-before != more {
			t.Errorf("%s: %d answers of a creation, %d replayed, %d more in the list", c.path, created.Load(), replayed.Load(), after-before)
		}
		if r := in.ask(ada, http.MethodPost, c.path, c.body, "Idempotency-Key", "other of "+c.path); c.path != tokens && r.status != http.StatusConflict {
			t.Errorf("%s: the name again under another key: %d", c.path, r.status)
		}
		in.must(http.StatusUnprocessableEntity, ada, http.MethodPost, c.path, c.body, "Idempotency-Key", "") // an empty key is none
	}
}

func TestRepeated(t *testing.T) {
	in := install(t, "teams")
	ada, bob := person(superAdmin), person("bob@example.com")
	post := func(status int, c credential, key, path, body string) reply {
		t.Helper()
		return in.must(status, c, http.MethodPost, path, body, "Idempotency-Key", key)
	}
	first := post(201, ada, "k", tokens, `{"name":"laptop"}`)
	again := post(200, ada, "k", tokens, `{"name":"laptop"}`)
	if again.member("id") != first.member("id") || again.member("token") != "" || again.member("prefix") != first.member("prefix") ||
		again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("Idempotency-Secret") != "omitted" {
		t.Errorf("replayed %s\nof %s\n%v", again.body, first.body, again.header)
	}
	if first.header.Get("Idempotency-Replayed") != "" {
		t.Error("the first answer is called replayed")
	}

	other := post(422, ada, "k", tokens, `{"name":"desktop"}`)
	if other.member("code") != "invalid_idempotency_key" || !strings.Contains(other.body, `"location":"header.Idempotency-Key"`) {
		t.Errorf("another body under the same key: %s", other.body)
	}
	post(422, ada, "k", providers, `{"name":"laptop"}`)
	if bobs := post(201, bob, "k", tokens, `{"name":"laptop"}`); bobs.member("id") == first.member("id") {
		t.Error("a key is somebody else's")
	}

	// What was refused left nothing behind, and may be sent again as it should be.
	post(422, ada, "n", tokens, `{"name":""}`)
	post(201, ada, "n", tokens, `{"name":"good"}`)

	// An answer without a secret comes again as it was.
	first = post(201, ada, "p", providers, `{"name":"second","kind":"openai","key":"sk-0123456789"}`)
	again = post(201, ada, "p", providers, `{"name":"second","kind":"openai","key":"sk-0123456789"}`)
	if first.body != again.body || again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("Idempotency-Secret") != "" {
		t.Errorf("replayed %q of %q", again.body, first.body)
	}

	for _, key := range []string{"", strings.Repeat("k", 256), "café", "tpat_abcdefgh"} {
		if r := post(422, ada, key, tokens, `{"name":"x"}`); !strings.Contains(r.body, "header.Idempotency-Key") {
			t.Errorf("the key %q: %s", key, r.body)
		}
	}
	post(413, ada, "large", tokens, `{"name":"`+strings.Repeat("x", 1<<20)+`"}`)
	post(201, ada, strings.Repeat("~", 255), tokens, `{"name":"long key"}`)
}

// A repetition tells what was answered to whoever may still do it, and to nobody else.
func TestRepeatedByWhoMayNoMore(t *testing.T) {
	t.Parallel()
	in := install(t, "teams")
	h := in.hand()
	erin := person("erin@example.com")
	id := h.person("default", "erin@example.com", tenure.Member)
	p := h.place("default", "theirs")
	accounts := "/api/v1/admin/service-accounts"
	account := `{"workspace":"` + p["workspaces"] + `","name":"bot","description":"a bot","owner":"` + superAdmin + `"}`
	in.must(http.StatusOK, person(superAdmin), http.MethodGet, "/api/v1/me", "")
	requests := []struct {
		path, body string
		again      int // 200 where a secret is left out
		refused    int // without a role in the workspace
	}{
		{accounts, account, http.StatusCreated, http.StatusUnprocessableEntity},
		{accounts + "/" + p["service-accounts"] + "/tokens", `{"name":"nightly","scopes":["chat"]}`, http.StatusOK, http.StatusNotFound},
		{tokens, `{"workspace":"` + p["workspaces"] + `","name":"laptop"}`, http.StatusOK, http.StatusUnprocessableEntity},
	}
	all := func(status func(i int) int, replayed bool) {
		t.Helper()
		for i, q := range requests {
			r := in.must(status(i), erin, http.MethodPost, q.path, q.body, "Idempotency-Key", "erin's "+q.path)
			if got := r.header.Get("Idempotency-Replayed") == "true"; got != replayed || r.status >= 400 && strings.Contains(r.body, `"id"`) {
				t.Errorf("%s: replayed %t, %s", q.path, got, r.body)
			}
		}
	}
	h.member("default", p["workspaces"], id, tenure.WorkspaceAdmin)
	all(func(int) int { return http.StatusCreated }, false)
	all(func(i int) int { return requests[i].again }, true)
	h.change("DELETE FROM memberships WHERE user_id = $1", id)
	all(func(i int) int { return requests[i].refused }, false)
	h.member("default", p["workspaces"], id, tenure.Viewer)
	in.must(http.StatusNotFound, erin, http.MethodPost, requests[1].path, requests[1].body, "Idempotency-Key", "erin's "+requests[1].path)
	in.must(http.StatusForbidden, erin, http.MethodPost, tokens, requests[2].body, "Idempotency-Key", "erin's "+tokens)
	if n := h.count("SELECT COUNT(*) FROM service_accounts WHERE name = 'bot'"); n != 1 {
		t.Errorf("%d accounts were made", n)
	}
}

// No creation leaves behind what it has revealed: neither its row nor the answer
// that is kept for a repetition holds the secret.
func TestRepeatedRevealsNothing(t *testing.T) {
	t.Parallel()
	in := install(t, "teams")
	h, spec, walked := in.hand(), in.spec(), 0
	h.change("INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('default', 'webhook_url', 'https://hooks.example.com/tenure', $1)", at(time.Now()))
	ada := person(superAdmin)
	in.must(http.StatusOK, ada, http.MethodGet, "/api/v1/me", "")
	mine := "(SELECT id FROM users WHERE user_name = '" + superAdmin + "')"
	for pattern, operations := range spec.Paths {
		if !slices.ContainsFunc(operations["post"].Parameters, func(p parameterOf) bool { return p.Name == "Idempotency-Key" }) {
			continue
		}
		walked++
		p := h.place("default", "once")
		h.change("UPDATE api_tokens SET user_id = "+mine+" WHERE id = $1", p["tokens"])
		h.change("UPDATE token_requests SET requested_by_user = "+mine+", state = 'approved', decided_at = $1 WHERE id = $2", at(time.Now()), p["token-requests"])
		h.change("UPDATE exceptions SET decision = 'approved', decided_by = 'bob', decided_at = $1 WHERE id = $2", at(time.Now()), p["exceptions"])
		h.change("INSERT INTO memberships (tenant_id, workspace_id, user_id, role, created_at) VALUES ('default', $1, "+mine+", 'member', $2)", p["workspaces"], at(time.Now()))
		filled := spec.fill(h, http.MethodPost, pattern, p)
		sent := text(filled)
		target := path("POST "+pattern, p, id)
		first := in.must(http.StatusCreated, ada, http.MethodPost, target, sent, "Idempotency-Key", pattern)
		again := in.ask(ada, http.MethodPost, target, sent, "Idempotency-Key", pattern)
		if again.status > 201 || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: the repetition answers %d %s", pattern, again.status, again.body)
		}
		for _, secret := range revealed(first, sent) {
			if strings.Contains(again.body, secret) {
				t.Errorf("%s shows a secret twice", pattern)
			}
			if in.stored(secret) {
				t.Errorf("%s: a secret that was shown is in the database", pattern)
			}
		}
	}
	if walked < 9 {
		t.Errorf("%d operations only", walked)
	}
}

// revealed are the texts of an answer that nobody could guess and nobody sent.
func revealed(r reply, sent string) []string {
	var out []string
	for _, found := range quoted.FindAllStringSubmatch(anyTaken.ReplaceAllString(r.body, ""), -1) {
		if v := found[1]; !anyID.MatchString(v) && !anyTime.MatchString(v) && !strings.Contains(v, "://") && !strings.HasPrefix(v, "/") && !strings.Contains(sent, v) {
			out = append(out, v)
		}
	}
	return out
}

var quoted = regexp.MustCompile(`"([A-Za-z0-9_+/=.-]{24,})"`)

// stored reports whether a text is in the files of the database, or in its dump.
func (in *installation) stored(text string) bool {
	in.t.Helper()
	if in.super != "" {
		out, err := exec.Command("pg_dump", in.super).Output()
		if err != nil || !bytes.Contains(out, []byte("audit_events")) {
			in.t.Fatalf("pg_dump: %v\n%s", err, out)
		}
		return bytes.Contains(out, []byte(text)) || bytes.Contains(out, []byte(hex.EncodeToString([]byte(text))))
	}
	files, err := filepath.Glob(in.Config.Database + "*")
	if err != nil || len(files) == 0 {
		in.t.Fatal(err, files)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			in.t.Fatal(err)
		}
		if bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}
