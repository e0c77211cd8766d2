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

// A second replica with another key, or without the key, does not start, and writes
// nothing; the first goes on.
func TestWrongKeyOverReplicas(t *testing.T) {
	w := newWorld(t, postgrestest.URL(t))
	first := w.replica()
	alice := w.mint(first, "alice@example.com")
	other := filepath.Join(w.dir, "other.key")
	if err := os.WriteFile(other, []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sealed := func() string {
		return query(t, w.database, "SELECT id, md5(key_sealed::text || data_key::text) FROM provider_credentials ORDER BY id") +
			query(t, w.database, "SELECT value FROM meta WHERE key = 'vault.key_check'")
	}
	before := sealed()
	for _, file := range []string{other, filepath.Join(w.dir, "missing.key")} {
		r := begin(t, w.env("TENURE_KEY_URL=file:"+file), nil, "serve")
		if err := r.end(startWait); err == nil || r.status() != 2 || !strings.Contains(r.log.String()+r.out.String(), "TENURE_KEY_URL") {
			t.Errorf("with %s: %v\n%s", filepath.Base(file), err, r.log.String())
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "missing.key")); err == nil {
		t.Error("a key was made beside the one that is in use")
	}
	if after := sealed(); after != before {
		t.Error("what is sealed was written over")
	}
	if a := chat(first, alice.secret); a.status != 200 {
		t.Errorf("the first replica: %v", a)
	}
	if a := chat(w.replica(), alice.secret); a.status != 200 {
		t.Errorf("a second one with the right key: %v", a)
	}
}

// Of two replicas that start for the first time at once, each with a key of its own, one
// serves, and the other refuses and takes its key along.
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
			if err := r.ready(); err == nil {
				serving++
				continue
			}
			if r.status() != 2 || !strings.Contains(r.log.String()+r.out.String(), "TENURE_KEY_URL") {
				t.Errorf("the other one: status %d\n%s", r.status(), r.log.String())
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

// A verb that looks from a wrong place, or at an empty database, says so, and makes no key.
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
	if r := verb(filepath.Join(w.dir, "wrong"), 2); !r.log.has("master.key") {
		t.Error(r.log.String())
	}
}
