package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// Tokens are minted by four at once when the process is killed. Every token that
// was answered works afterwards, round after round; what was not answered is
// there whole, told by the audit log, or not at all.
func TestKillWhileMinting(t *testing.T) {
	const rounds = 5
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	settings, db := goHome(t, home)
	acknowledged := map[string]string{} // token by id
	for round := range rounds {
		p := serve(t, dir, processEnv(home, settings...))
		minted := mintUntilKilled(t, p, 250*time.Millisecond+rand.N(150*time.Millisecond))
		if len(minted) == 0 {
			t.Fatal("nothing was minted before the kill")
		}
		for id, token := range minted {
			acknowledged[id] = token
		}

		p = serve(t, dir, processEnv(home, settings...))
		for id, token := range acknowledged {
			if status := statusOf(t, p, "GET", "/v1/models", "Authorization: Bearer "+token); status != 200 {
				t.Errorf("round %d: token %s was answered and gets %d after the restart", round, id, status)
			}
		}
		if err := p.stop(); err != nil {
			t.Errorf("round %d: clean stop: %v", round, err)
		}
		t.Logf("round %d: %d tokens answered, %d in all", round, len(minted), len(acknowledged))
		checkRows(t, db, acknowledged)
	}
}

// checkRows compares what the database tells with what was answered.
func checkRows(t *testing.T, db string, acknowledged map[string]string) {
	t.Helper()
	query := func(statement string) []string {
		out, err := sqlShell(db, statement)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(out)
	}
	if !storetest.OnPostgres() {
		if ok := query("PRAGMA integrity_check"); len(ok) != 1 || ok[0] != "ok" {
			t.Errorf("integrity_check: %v", ok)
		}
	}
	rows := map[string]bool{}
	for _, id := range query("SELECT id FROM api_tokens") {
		rows[id] = true
	}
	for id := range acknowledged {
		if !rows[id] {
			t.Errorf("token %s was answered and has no row", id)
		}
	}
	// A row whose answer never left is of a token that nobody has ever seen: in
	// each round each of the four may have been waiting for one.
	if unseen := len(rows) - len(acknowledged); unseen > 4*5 {
		t.Errorf("%d rows were never answered", unseen)
	}
	told := query("SELECT object_id FROM audit_events WHERE action = 'token.minted'")
	if len(told) != len(rows) {
		t.Errorf("%d tokens, and %d events that tell of them", len(rows), len(told))
	}
	for _, id := range told {
		if !rows[id] {
			t.Errorf("the audit log tells of a token %s that is not there", id)
		}
	}
}

// mintUntilKilled mints by four for a while, kills the process meanwhile, and
// gives the tokens that were answered, by id.
func mintUntilKilled(t *testing.T, p *process, after time.Duration) map[string]string {
	t.Helper()
	var mu sync.Mutex
	minted := map[string]string{}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := request{"POST", "/api/v1/tokens", []string{fmt.Sprintf("X-User-Id: user%d@example.com", i)}, `{"name":"Under load"}`}
			for {
				res, err := r.do(p.url)
				if err != nil {
					return // killed
				}
				var got struct{ ID, Token string }
				if err := json.Unmarshal([]byte(res.body), &got); err != nil || res.StatusCode != 201 || got.Token == "" {
					t.Errorf("mint: %s %s", res.Status, res.body)
					return
				}
				mu.Lock()
				minted[got.ID] = got.Token
				mu.Unlock()
			}
		})
	}
	time.Sleep(after)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		mu.Lock()
		some := len(minted) > 0
		mu.Unlock()
		if some { // on a busy machine the first may take longer
			break
		}
	}
	if err := p.kill(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	return minted
}

// serve starts "tenure serve" for a Go test.
func serve(t *testing.T, dir string, env []string) *process {
	t.Helper()
	p, err := start(dir, env, serveReady, "serve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.kill() })
	return p
}

func statusOf(t *testing.T, p *process, method, path string, header ...string) int {
	t.Helper()
	res, err := request{method, path, header, ""}.do(p.url)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}
