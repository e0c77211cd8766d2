package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// Fifty use a token over two replicas while it is ended by one of them: not one use that
// begins a second after the answer succeeds, on either.
func TestUsesRaceRevocationOverReplicas(t *testing.T) {
	w := newWorld(t, postgrestest.URL(t))
	replicas := []*replica{w.replica(), w.replica()}
	for round := range times(3, 40) {
		name := fmt.Sprintf("user%d@example.com", round%5)
		p := w.mint(replicas[0], name)
		var asks []func() answer
		for i := range 50 {
			asks = append(asks, func() answer { return chat(replicas[i%2], p.secret) })
		}
		l := under(5*time.Millisecond, asks...)
		time.Sleep(300 * time.Millisecond)
		var acknowledged time.Time
		if round%3 == 2 {
			query(t, w.database, "UPDATE api_tokens SET revoked_at = now() WHERE id = '"+p.id+"'")
		} else if a := revoke(replicas[round%2], name, p); a.status != 204 && a.status != 200 {
			t.Fatal(a)
		}
		acknowledged = time.Now()
		time.Sleep(1500 * time.Millisecond)
		all := l.stop()
		last := time.Duration(0)
		for _, a := range all {
			if a.status == 200 {
				last = max(last, a.began.Sub(acknowledged))
			}
		}
		before := statuses(between(all, time.Time{}, acknowledged))
		t.Logf("%v before; the last success began %v after the answer", before, last.Round(time.Millisecond))
		if last > time.Second || before[200] < 50 {
			t.Errorf("uses before: %v; the last success began %v after the answer", before, last)
		}
	}
}

// A token is rotated on one replica while it is revoked on the other. Whatever comes
// first: if the end was answered, no secret of the line lives a second later, and the
// database has no live row of it.
func TestRotationRacesRevocationOverReplicas(t *testing.T) {
	w := newWorld(t, postgrestest.URL(t))
	replicas := []*replica{w.replica(), w.replica()}
	outcomes := map[string]int{}
	for round := range times(10, 200) {
		name := fmt.Sprintf("user%d@example.com", round)
		p := w.mint(replicas[0], name)
		var rotated, revoked answer
		var wg sync.WaitGroup
		wg.Go(func() {
			rotated = ask(replicas[0].url, "POST", "/api/v1/tokens/"+p.id+"/rotate", "{}", "X-User-Id: "+name)
		})
		wg.Go(func() { revoked = revoke(replicas[1], name, p) })
		wg.Wait()
		outcomes[fmt.Sprint("rotated ", rotated.status, ", revoked ", revoked.status)]++
		ended := revoked.status == 204 || revoked.status == 200
		if !ended || rotated.status >= 500 {
			t.Errorf("rotated: %v; revoked: %v", rotated, revoked)
		}
		var next struct{ Token, ID string }
		if rotated.status < 300 {
			if err := json.Unmarshal([]byte(rotated.body), &next); err != nil || next.Token == "" {
				t.Fatal(rotated)
			}
		}
		time.Sleep(time.Second)
		for _, r := range replicas {
			if a := ask(r.url, "GET", "/v1/models", "", bearer(p.secret)); ended && !refused(a) {
				t.Errorf("the secret that was ended: %v", a)
			}
			if next.Token == "" {
				continue
			}
			// The successor was made by whoever may, before or after the end: it stands
			// only where its own row says so.
			a := ask(r.url, "GET", "/v1/models", "", bearer(next.Token))
			live := query(t, w.database, "SELECT revoked_at IS NULL FROM api_tokens WHERE id = '"+next.ID+"'") == "t"
			if live != (a.status == 200) {
				t.Errorf("the new secret is answered %v, and its row lives: %t", a, live)
			}
			if live {
				outcomes["a new secret lives"]++
			}
		}
	}
	t.Log(outcomes)
	if outcomes["a new secret lives"] > 0 {
		t.Errorf("a secret outlived the end of its line: %v", outcomes)
	}
}

// A second replica with another key, or without the key, serves sealed: what needs no
// secret works, what needs one answers 503, nothing is made or written over, and with
// the key back it opens by itself. The first goes on.
func TestWrongKeyOverReplicas(t *testing.T) {
	w := newWorld(t, postgrestest.URL(t))
	first := w.replica()
	alice := w.mint(first, "alice@example.com")
	right := filepath.Join(w.dir, "master.key")
	good, err := os.ReadFile(right)
	if err != nil {
		t.Fatal(err)
	}
	sealed := func() string {
		return query(t, w.database, "SELECT id, md5(key_sealed::text || data_key::text || kek) FROM provider_keys ORDER BY id") +
			query(t, w.database, "SELECT value FROM meta WHERE key = 'vault.root'")
	}
	before := sealed()
	for name, content := range map[string]string{"other.key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n", "missing.key": ""} {
		file := filepath.Join(w.dir, name)
		if content != "" {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := w.replica("TENURE_KEY_URL=file:" + file)
		for range 5 {
			if a := chat(r, alice.secret); a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"code":"vault_sealed"`) {
				t.Errorf("%s: chat: %v", name, a)
			}
			if a := messages(r, alice.secret); a.status != 503 || !strings.Contains(a.body, `"type":"error"`) {
				t.Errorf("%s: messages: %v", name, a)
			}
		}
		if p, a := tryMint(r, "bob@example.com"); p.secret == "" {
			t.Errorf("%s: a token cannot be made: %v", name, a)
		}
		if a := ask(r.url, "GET", "/readyz", ""); a.status != 503 { // else a rollout with a wrong key would go on
			t.Errorf("%s: %v", name, a)
		}
		if a := ask(first.url, "GET", "/readyz", ""); a.status != 200 {
			t.Errorf("%s: the first replica: %v", name, a)
		}
		if a := ask(r.url, "GET", "/api/v1/admin/health", "", "X-User-Id: "+admin); !strings.Contains(a.body, `"vault_sealed":true`) || !strings.Contains(a.body, file) {
			t.Errorf("%s: health does not say why: %v", name, a)
		}
		if a := ask(r.url, "GET", "/metrics", ""); !strings.Contains(a.body, "\ntenure_vault_sealed 1\n") {
			t.Errorf("%s: the metric does not tell", name)
		}
		if _, err := os.Stat(file); content == "" && err == nil {
			t.Error("a key was made beside the one that is in use")
		}
		if after := sealed(); after != before {
			t.Error("what is sealed was written over")
		}
		if n := query(t, w.database, "SELECT count(*) FROM audit_events WHERE action = 'vault.sealed'"); n != "1" {
			t.Errorf("%s: %s events tell of it, not one", name, n)
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
		var a answer
		for end := time.Now().Add(startWait); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if a = chat(r, alice.secret); a.status == 200 {
				break
			}
		}
		if a.status != 200 {
			t.Errorf("%s: with the key back: %v", name, a)
		}
		if a := ask(r.url, "GET", "/readyz", ""); a.status != 200 {
			t.Errorf("%s: with the key back: %v", name, a)
		}
		if n := query(t, w.database, "SELECT count(*) FROM audit_events WHERE action = 'vault.unsealed'"); n != "1" {
			t.Errorf("%s: %s events tell of its opening, not one", name, n)
		}
		query(t, w.database, "DELETE FROM audit_events WHERE action LIKE 'vault.%'")
	}
	if a := chat(first, alice.secret); a.status != 200 {
		t.Errorf("the first replica: %v", a)
	}
}

// Of two replicas that start for the first time at once, each with a key of its own, one
// opens what is sealed, and the other serves sealed and takes its key along.
func TestFirstStartsWithTwoKeys(t *testing.T) {
	for range times(3, 20) {
		w := newWorld(t, postgrestest.URL(t))
		var both []*replica
		key := func(i int) string { return filepath.Join(w.dir, fmt.Sprintf("own%d.key", i)) }
		for i := range 2 {
			both = append(both, begin(t, w.env("TENURE_KEY_URL=file:"+key(i), fmt.Sprintf("TENURE_HOME=%s", filepath.Join(w.dir, fmt.Sprint("home", i)))), nil, "serve"))
		}
		serving := 0
		for i, r := range both {
			if err := r.ready(); err != nil {
				t.Fatal(err)
			}
			if a := ask(r.url, "GET", "/metrics", ""); strings.Contains(a.body, "\ntenure_vault_sealed 0\n") {
				serving++
				continue
			}
			if _, err := os.Stat(key(i)); err == nil {
				t.Error("a key is left with which nothing is sealed")
			}
		}
		if serving != 1 {
			t.Errorf("%d serve, each with another key", serving)
		}
		for _, r := range both {
			r.kill()
		}
	}
}

// A verb that looks at an empty database says so; one that needs no key works without
// it; and none makes a key.
func TestVerbsMakeNoKey(t *testing.T) {
	w := newWorld(t, postgrestest.URL(t))
	verb := func(home string, want int) *replica {
		r := begin(t, w.env("TENURE_HOME="+home, "TENURE_KEY_URL=file:"+filepath.Join(home, "master.key")), nil, "token", "list")
		_ = r.end(startWait)
		if r.status() != want {
			t.Errorf("status %d\n%s%s", r.status(), r.out.String(), r.log.String())
		}
		if _, err := os.Stat(filepath.Join(home, "master.key")); err == nil {
			t.Error("a key was made")
		}
		return r
	}
	if r := verb(filepath.Join(w.dir, "empty"), 3); !r.log.has("tenure serve") {
		t.Error(r.log.String())
	}
	w.replica().kill()
	verb(filepath.Join(w.dir, "wrong"), 0)
}
