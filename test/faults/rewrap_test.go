package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// A rewrap is killed again and again among thousands of secrets, while Tenure serves.
// Run once more it goes on where it was: no secret is wrapped twice, and afterwards
// every one opens with the new key alone.
func TestKillOfRewrapSQLite(t *testing.T) {
	w := newWorld(t, "")
	home := filepath.Join(w.dir, "home")
	killRewrap(t, w, home, func(sql string) string { return sqlite(t, filepath.Join(home, "tenure.db"), sql) })
}

// The same with PostgreSQL.
func TestKillOfRewrapPostgres(t *testing.T) {
	w := newWorld(t, postgrestest.URL(t))
	killRewrap(t, w, filepath.Join(w.dir, "home"), func(sql string) string { return query(t, w.database, sql) })
}

func killRewrap(t *testing.T, w *world, home string, sql func(string) string) {
	t.Helper()
	many := times(2_500, 10_000)
	old, next := "file:"+filepath.Join(w.dir, "master.key"), "file:"+filepath.Join(w.dir, "next.key")
	if err := os.WriteFile(strings.TrimPrefix(next, "file:"), []byte("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.replica("TENURE_HOME=" + home)
	addProviders(t, w, before, many)
	before.kill()
	both := []string{"TENURE_HOME=" + home, "TENURE_KEY_URL=" + next, "TENURE_KEY_URL_PREVIOUS=" + old}
	r := w.replica(both...)
	p := w.mint(r, "alice@example.com")

	keys := func() map[string]string { // the data key, and what wrapped it
		out := map[string]string{}
		for line := range strings.FieldsSeq(sql("SELECT id || '|' || kek || '|' || " + hexOf(w, "data_key") + " FROM provider_keys")) {
			id, rest, _ := strings.Cut(line, "|")
			out[id] = rest
		}
		return out
	}
	first := keys()
	oldKEK, _, _ := strings.Cut(first[anyOf(first)], "|")
	kills, last := 0, first
	rewrap := func(kill bool) {
		c := begin(t, w.env(both...), nil, "vault", "rewrap")
		if kill {
			eventually(t, startWait, "a batch is written, or all", func() bool { return strings.Contains(c.log.String(), " of ") || !c.runs() })
			c.kill()
			kills++
		} else if err := c.end(time.Minute); err != nil || c.status() != 0 {
			t.Fatalf("status %d, %v\n%s%s", c.status(), err, c.out.String(), c.log.String())
		}
		now, wrapped := keys(), 0
		for id, was := range last {
			done := !strings.HasPrefix(was, oldKEK+"|")
			if done && now[id] != was {
				t.Fatalf("provider %s was wrapped twice", id)
			}
			if !strings.HasPrefix(now[id], oldKEK+"|") {
				wrapped++
			}
		}
		t.Logf("killed %t: %d of %d are wrapped", kill, wrapped, len(now))
		if last = now; kill && kills == 1 && (wrapped == 0 || wrapped == len(now)) {
			t.Errorf("the kill was not amid: %d of %d", wrapped, len(now))
		}
		if !kill && wrapped != len(first) {
			t.Errorf("%d of %d are wrapped", wrapped, len(first))
		}
	}
	stop := traffic(t, r, p)
	for range 3 {
		rewrap(true)
	}
	rewrap(false)
	rewrap(false) // and nothing is written
	stop()
	left := func() bool {
		return strings.Contains(ask(r.url, "GET", "/metrics", "").body, `tenure_vault_secrets{wrapped_by="another"} 0`)
	}
	eventually(t, time.Minute, "the metric says that nothing is left", left)
	r.kill()
	if err := os.Remove(strings.TrimPrefix(old, "file:")); err != nil {
		t.Fatal(err)
	}
	alone := []string{"TENURE_HOME=" + home, "TENURE_KEY_URL=" + next}
	d := begin(t, w.env(alone...), nil, "doctor")
	_ = d.end(time.Minute)
	if want := fmt.Sprintf("%d provider keys are sealed, and every one opens", len(first)); !strings.Contains(d.out.String(), want) {
		t.Errorf("not: %s\n%s", want, d.out.String())
	}
	if a := ask(w.replica(alone...).url, "GET", "/v1/models", "", bearer(p.secret)); a.status != 200 {
		t.Errorf("with the new key alone: %v", a)
	}
}

// traffic asks for models, and signs people in, until it is stopped. Not one of them
// may fail.
func traffic(t *testing.T, r *replica, p pat) (stop func()) {
	t.Helper()
	over := make(chan struct{})
	var wg sync.WaitGroup
	var n atomic.Int64
	for i, try := range []func() answer{
		func() answer { return chat(r, p.secret) },
		func() answer { return ask(r.url, "GET", "/v1/models", "", bearer(p.secret)) },
		func() answer { return ask(r.url, "GET", "/api/v1/me", "", "X-User-Id: alice@example.com") },
	} {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if a := try(); a.status != 200 {
					t.Errorf("amid, request %d: %v", i, a)
					return
				}
				n.Add(1)
			}
		})
	}
	return func() {
		close(over)
		wg.Wait()
		t.Logf("%d requests meanwhile, and none failed", n.Load())
		if n.Load() < 20 {
			t.Errorf("only %d", n.Load())
		}
	}
}

// addProviders adds so many by the API, eight at once.
func addProviders(t *testing.T, w *world, r *replica, many int) {
	t.Helper()
	var wg sync.WaitGroup
	var n atomic.Int64
	for range 8 {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(many); i = n.Add(1) {
				body := fmt.Sprintf(`{"name":"p%d","kind":"openai","base_url":"%s/v1","key":"sk-%d-of-these-tests"}`, i, w.provider.URL, i)
				if a := ask(r.url, "POST", "/api/v1/admin/providers", body, bearer(rootToken)); a.status != 201 {
					t.Error(a)
					return
				}
			}
		})
	}
	wg.Wait()
}

// hexOf is a column in hexadecimal.
func hexOf(w *world, column string) string {
	if w.database == "" {
		return "hex(" + column + ")"
	}
	return "encode(" + column + ", 'hex')"
}

func anyOf(all map[string]string) string {
	for one := range all {
		return one
	}
	return ""
}
