package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// ledger is what was answered: tokens that were minted, and which of them were ended.
type ledger struct {
	mu    sync.Mutex
	all   map[string]pat
	ended map[string]bool // by id; whether the end was answered, or only asked for
}

func newLedger() *ledger { return &ledger{all: map[string]pat{}, ended: map[string]bool{}} }

// churn mints and revokes by four at once until the requests fail, or for so long.
func (l *ledger) churn(r *replica, howLong time.Duration) *sync.WaitGroup {
	var wg sync.WaitGroup
	until := time.Now().Add(howLong)
	for i := range 4 {
		name := fmt.Sprintf("user%d@example.com", i)
		wg.Go(func() {
			for n := 0; time.Now().Before(until); n++ {
				p, a := tryMint(r, name)
				if p.secret == "" {
					if a.status == 0 {
						return
					}
					time.Sleep(5 * time.Millisecond)
					continue
				}
				l.mu.Lock()
				l.all[p.id] = p
				l.mu.Unlock()
				if n%2 == 0 {
					continue
				}
				l.mu.Lock()
				l.ended[p.id] = false
				l.mu.Unlock()
				if a := revoke(r, name, p); a.status == 204 || a.status == 200 {
					l.mu.Lock()
					l.ended[p.id] = true
					l.mu.Unlock()
				}
			}
		})
	}
	return &wg
}

// check demands of a sample that the living live and that the ended are refused. What
// was only asked for may be either.
func (l *ledger) check(t *testing.T, r *replica, sample int) (answered int) {
	t.Helper()
	for id, p := range l.all { // in no order
		ended, asked := l.ended[id]
		if asked && !ended {
			continue
		}
		answered++
		if sample--; sample < 0 {
			continue
		}
		// Refused ones are few enough that nobody is slowed down: each from its own prefix.
		a := ask(r.url, "GET", "/v1/models", "", bearer(p.secret))
		if ended && !refused(a) || !ended && a.status != 200 {
			t.Errorf("token %s, ended %t: %v", id, ended, a)
		}
	}
	return answered
}

// rows demands that the database has what was answered, whole, and that the audit log
// tells of each row and of nothing else.
func (l *ledger) rows(t *testing.T, query func(string) string) {
	t.Helper()
	rows, revoked := map[string]bool{}, map[string]bool{}
	for line := range strings.FieldsSeq(query("SELECT id || '|' || CASE WHEN revoked_at IS NULL THEN 'live' ELSE 'ended' END FROM api_tokens WHERE kind = 'pat'")) {
		id, state, _ := strings.Cut(line, "|")
		rows[id] = true
		revoked[id] = state == "ended"
	}
	for id := range l.all {
		ended, asked := l.ended[id]
		if !rows[id] || ended && !revoked[id] || !asked && revoked[id] {
			t.Errorf("token %s was answered (ended %t, asked %t): there %t, revoked %t", id, ended, asked, rows[id], revoked[id])
		}
	}
	for action, want := range map[string]map[string]bool{"token.minted": rows, "token.revoked": revoked} {
		told := strings.Fields(query("SELECT object_id FROM audit_events WHERE action = '" + action + "'"))
		n := 0
		for _, is := range want {
			if is {
				n++
			}
		}
		if len(told) != n {
			t.Errorf("%d rows, and %d events %s", n, len(told), action)
		}
		for _, id := range told {
			if !want[id] {
				t.Errorf("the audit log tells %s of %s, and it is not so", action, id)
			}
		}
	}
}

// One of two replicas is killed again and again while tokens are minted and revoked
// through it. What was answered is so afterwards, on both; what was not is there whole
// or not at all.
func TestKillUnderWritesPostgres(t *testing.T) {
	database := postgrestest.URL(t)
	w := newWorld(t, database)
	other := w.replica()
	l := newLedger()
	rounds := times(8, 500)
	for round := range rounds {
		r := w.replica()
		wg := l.churn(r, time.Minute)
		time.Sleep(100*time.Millisecond + rand.N(200*time.Millisecond))
		r.kill()
		wg.Wait()
		if round%50 == 0 {
			l.check(t, other, 200)
		}
	}
	l.rows(t, func(sql string) string { return query(t, database, sql) })
	t.Logf("%d kills, %d tokens", rounds, l.check(t, other, 500))
}

// The database itself is killed, with all of its processes, under the same load.
func TestKillOfTheDatabase(t *testing.T) {
	server := postgrestest.Server(t)
	w := newWorld(t, server.Database(t))
	r := w.replica()
	l := newLedger()
	for range times(3, 30) {
		wg := l.churn(r, 2*time.Second)
		time.Sleep(300*time.Millisecond + rand.N(500*time.Millisecond))
		if err := server.Stop(syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	}
	eventually(t, 5*time.Second, "it serves again", func() bool { return ask(r.url, "GET", "/readyz", "").status == 200 })
	t.Logf("%d tokens", l.check(t, r, 300))
	rows := "\n" + query(t, w.database, "SELECT id || '|' || (revoked_at IS NOT NULL) FROM api_tokens") + "\n"
	for id := range l.all {
		// An end whose answer was lost may have happened; a token that was never ended lives.
		ended, asked := l.ended[id]
		if !strings.Contains(rows, "\n"+id+"|") || ended && !strings.Contains(rows, "\n"+id+"|true") || !asked && !strings.Contains(rows, "\n"+id+"|false") {
			t.Errorf("token %s was answered, ended %t, and is not so", id, ended)
		}
	}
}

// The power fails at random instants: of what the process has written by then, a copy is
// a whole database, and has everything that was answered before. (What the disk itself
// forgets is not shown: the copy is of what the kernel has.)
func TestPowerCutSQLite(t *testing.T) {
	w := newWorld(t, "")
	home := filepath.Join(w.dir, "home")
	r := w.replica("TENURE_HOME=" + home)
	rounds := times(15, 200)
	l := newLedger()
	wg := l.churn(r, time.Duration(rounds)*200*time.Millisecond)
	for round := range rounds {
		time.Sleep(20*time.Millisecond + rand.N(100*time.Millisecond))
		before := newLedger()
		l.mu.Lock()
		for id, p := range l.all {
			before.all[id] = p
		}
		for id, ended := range l.ended {
			before.ended[id] = ended
		}
		l.mu.Unlock()
		if err := r.signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		image := filepath.Join(w.dir, fmt.Sprint("image", round))
		if out, err := exec.Command("cp", "-a", home, image).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v %s", err, out)
		}
		if err := r.signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(image, "tenure.db")
		if got := sqlite(t, file, "PRAGMA integrity_check"); got != "ok" {
			t.Errorf("integrity_check: %s", got)
		}
		rows := "\n" + sqlite(t, file, "SELECT id || '|' || (revoked_at IS NOT NULL) FROM api_tokens") + "\n"
		for id := range before.all {
			ended, asked := before.ended[id]
			if !strings.Contains(rows, "\n"+id+"|") || ended && !strings.Contains(rows, "\n"+id+"|1\n") || !asked && strings.Contains(rows, "\n"+id+"|1\n") && !laterEnded(l, id) {
				t.Errorf("round %d: token %s was answered (ended %t) before the copy, and is not so in it", round, id, ended)
			}
		}
		if round == rounds-1 {
			again := w.replica("TENURE_HOME=" + image)
			t.Logf("%d copies; %d tokens were answered before the last", rounds, before.check(t, again, 200))
		}
		_ = os.RemoveAll(image)
	}
	wg.Wait()
}

// laterEnded reports whether an end was asked for since.
func laterEnded(l *ledger, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, asked := l.ended[id]
	return asked
}
