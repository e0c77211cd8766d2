package faults

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// pair is a primary and a standby, with what is between the two.
type pair struct {
	primary, standby *postgrestest.Instance
	between          *relay
	both, then       string // the database's URL with both hosts, and on the standby alone
}

func newPair(t *testing.T, conf ...string) *pair {
	t.Helper()
	p := &pair{primary: postgrestest.Server(t, conf...)}
	own := fmt.Sprint("127.0.0.1:", p.primary.Port())
	p.between = newRelay(t, "127.0.0.1:0", own)
	var port int
	if _, err := fmt.Sscanf(p.between.address(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	p.standby = p.primary.Standby(t, "second", port)
	database := p.primary.Database(t)
	other := fmt.Sprint("127.0.0.1:", p.standby.Port())
	p.both, p.then = at(t, database, own, other), at(t, database, other)
	return p
}

// follows waits until the standby has everything.
func (p *pair) follows(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "the standby follows", func() bool {
		got, err := tryQuery(p.primary.URL("postgres"), "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()")
		return err == nil && got == "1"
	})
}

// takeOver ends the primary at once and promotes the standby.
func (p *pair) takeOver(t *testing.T) {
	t.Helper()
	if err := p.primary.Stop(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if err := p.standby.Promote(); err != nil {
		t.Fatal(err)
	}
}

// The standby that takes over lacks the last commits, among them the ends of a token, a
// person and a session. None of the three comes back on any replica.
func TestFailoverThatForgets(t *testing.T) {
	p := newPair(t)
	w := newWorld(t, p.both)
	replicas := []*replica{w.replica(), w.replica()}
	here := replicas[0]
	alice, bob, carol := w.mint(here, "alice@example.com"), w.mint(here, "bob@example.com"), w.mint(here, "carol@example.com")
	cookie := signIn(t, here, "dora@example.com")
	p.follows(t)
	p.between.cut.Store(true)
	if a := revoke(here, "alice@example.com", alice); a.status != 204 && a.status != 200 {
		t.Fatal(a)
	}
	query(t, at(t, p.both, fmt.Sprint("127.0.0.1:", p.primary.Port())), "UPDATE users SET active = false WHERE user_name = 'bob@example.com'; "+
		"UPDATE sessions SET ended_at = now()")
	for _, r := range replicas {
		eventually(t, time.Second, "they are refused before", func() bool { return refused(chat(r, alice.secret)) && refused(chat(r, bob.secret)) })
	}
	time.Sleep(time.Second)
	judged := map[string]*load{
		"token here":   under(20*time.Millisecond, func() answer { return chat(replicas[0], alice.secret) }),
		"token there":  under(20*time.Millisecond, func() answer { return chat(replicas[1], alice.secret) }),
		"person here":  under(20*time.Millisecond, func() answer { return chat(replicas[0], bob.secret) }),
		"person there": under(20*time.Millisecond, func() answer { return chat(replicas[1], bob.secret) }),
		"session":      under(20*time.Millisecond, func() answer { return ask(replicas[1].url, "GET", "/settings", "", "Cookie: "+cookie) }),
	}
	p.takeOver(t)
	over := time.Now()
	took := make([]time.Duration, 2)
	for i, r := range replicas {
		took[i] = eventually(t, 20*time.Second, "the replica serves from the standby", func() bool { return chat(r, carol.secret).status == 200 })
	}
	time.Sleep(2 * time.Second)
	for what, l := range judged {
		all := l.stop()
		t.Logf("%s: %v", what, statuses(all))
		for _, a := range all {
			if a.status == 200 {
				t.Errorf("the %s that has ended was admitted %v after the takeover: %v", what, a.began.Sub(over).Round(time.Millisecond), a)
				break
			}
		}
	}
	t.Logf("served again after %v", took)
	endedAgain(t, p.then, alice, bob)
	for _, r := range replicas {
		if !r.log.has("the database went back to an earlier state") {
			t.Error("a replica raised no alarm")
		}
	}
	if got := query(t, p.then, "SELECT count(*) > 0 FROM audit_events WHERE action = 'database.went_back'"); got != "t" {
		t.Error("no audit event tells of it")
	}
	// And it is a database as before.
	eventually(t, 5*time.Second, "tokens are minted", func() bool { m, _ := tryMint(here, "carol@example.com"); return m.secret != "" })
}

// The standby that takes over lacks one commit only, whose change has a lower number
// than others that it has: the numbers do not tell.
func TestFailoverThatForgetsALowNumber(t *testing.T) {
	p := newPair(t)
	w := newWorld(t, p.both)
	replicas := []*replica{w.replica(), w.replica()}
	bob, carol := w.mint(replicas[0], "bob@example.com"), w.mint(replicas[0], "carol@example.com")
	p.follows(t)
	primary := at(t, p.both, fmt.Sprint("127.0.0.1:", p.primary.Port()))
	slow := make(chan error)
	go func() { // takes its number now, and commits when the others are gone over
		_, err := tryQuery(primary, "BEGIN; UPDATE users SET active = false WHERE user_name = 'bob@example.com'; SELECT pg_sleep(6); COMMIT")
		slow <- err
	}()
	time.Sleep(time.Second)
	query(t, primary, "UPDATE tenants SET active = active")
	p.follows(t)
	p.between.cut.Store(true)
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	for _, r := range replicas {
		eventually(t, time.Second, "bob is refused before", func() bool { return refused(chat(r, bob.secret)) })
	}
	p.takeOver(t)
	for i, r := range replicas {
		judged := under(20*time.Millisecond, func() answer { return chat(r, bob.secret) })
		eventually(t, 20*time.Second, "the replica serves from the standby", func() bool { return chat(r, carol.secret).status == 200 })
		time.Sleep(2 * time.Second)
		if got := statuses(judged.stop()); got[200] > 0 {
			t.Errorf("replica %d admitted whom it had seen end: %v", i, got)
		}
	}
	if got := query(t, p.then, "SELECT active FROM users WHERE user_name = 'bob@example.com'"); got != "f" {
		t.Error("the person's row is as if nothing had ended")
	}
	if got := query(t, p.then, "SELECT count(*) > 0 FROM audit_events WHERE action = 'database.went_back'"); got != "t" {
		t.Error("no audit event tells of it")
	}
}

// endedAgain looks at the rows.
func endedAgain(t *testing.T, database string, token, person pat) {
	t.Helper()
	for _, c := range []struct{ what, statement string }{
		{"token", "SELECT revoked_at IS NOT NULL FROM api_tokens WHERE id = '" + token.id + "'"},
		{"person", "SELECT NOT active FROM users WHERE id = '" + person.user + "'"},
		{"person's token", "SELECT revoked_at IS NOT NULL FROM api_tokens WHERE id = '" + person.id + "'"},
		{"sessions", "SELECT count(*) = 0 FROM sessions WHERE ended_at IS NULL"},
	} {
		if got := query(t, database, c.statement); got != "t" {
			t.Errorf("the %s's row is as if nothing had ended", c.what)
		}
	}
}

// signIn opens a session of the dashboard and gives its cookie.
func signIn(t *testing.T, r *replica, userName string) string {
	t.Helper()
	a := ask(r.url, "GET", "/settings", "", "X-User-Id: "+userName, "Accept: text/html")
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if a.status != 200 || cookie == "" {
		t.Fatalf("sign-in: %v %v", a, a.header)
	}
	return cookie
}

// A synchronous standby has every commit that was answered: nothing is lost, and there
// is nothing to be alarmed about. While it cannot be reached, nothing is answered.
func TestFailoverThatLosesNothing(t *testing.T) {
	p := newPair(t)
	w := newWorld(t, p.both)
	replicas := []*replica{w.replica(), w.replica()}
	p.follows(t)
	query(t, p.primary.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = 'second'")
	query(t, p.primary.URL("postgres"), "SELECT pg_reload_conf()")
	eventually(t, 10*time.Second, "the standby is synchronous", func() bool {
		return query(t, p.primary.URL("postgres"), "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1"
	})
	var live, dead []pat
	for i := range 20 {
		name := fmt.Sprintf("user%d@example.com", i)
		m := w.mint(replicas[i%2], name)
		live = append(live, m)
		if i%2 == 0 {
			continue
		}
		if a := revoke(replicas[0], name, m); a.status != 204 && a.status != 200 {
			t.Fatal(a)
		}
		live, dead = live[:len(live)-1], append(dead, m)
	}
	p.takeOver(t)
	for _, r := range replicas {
		eventually(t, 20*time.Second, "the replica serves from the standby", func() bool { return chat(r, live[0].secret).status == 200 })
		for _, m := range live {
			if a := chat(r, m.secret); a.status != 200 {
				t.Errorf("a token that was answered: %v", a)
			}
		}
		for _, m := range dead {
			if a := chat(r, m.secret); !refused(a) {
				t.Errorf("a token whose end was answered: %v", a)
			}
		}
		if r.log.has("the database went back") {
			t.Error("an alarm about nothing")
		}
	}
}

// An older backup is put back: into the database while the replicas run, in the place of
// the database while they run and are asked, and while they are stopped. What they have
// seen to end stays ended.
func TestRestoredBackup(t *testing.T) {
	for _, how := range []string{"into it", "in its place", "while all are stopped"} {
		t.Run(how, func(t *testing.T) {
			server := postgrestest.Server(t)
			database := server.Database(t)
			w := newWorld(t, database)
			home := "TENURE_HOME=" + filepath.Join(w.dir, "kept")
			replicas := []*replica{w.replica(home), w.replica()}
			alice, bob, carol := w.mint(replicas[0], "alice@example.com"), w.mint(replicas[0], "bob@example.com"), w.mint(replicas[0], "carol@example.com")
			signIn(t, replicas[0], "dora@example.com")
			time.Sleep(time.Second)
			dump := filepath.Join(os.TempDir(), "tenure-dump-"+filepath.Base(w.dir)+fmt.Sprint(os.Getpid()))
			t.Cleanup(func() { _ = os.Remove(dump) })
			runs(t, server.Program("pg_dump", "-Fc", "-f", dump, database))
			if a := revoke(replicas[0], "alice@example.com", alice); a.status != 204 && a.status != 200 {
				t.Fatal(a)
			}
			query(t, database, "UPDATE users SET active = false WHERE user_name = 'bob@example.com'; UPDATE sessions SET ended_at = now()")
			for _, r := range replicas {
				eventually(t, time.Second, "they are refused before", func() bool { return refused(chat(r, alice.secret)) && refused(chat(r, bob.secret)) })
			}
			time.Sleep(time.Second)
			switch how {
			case "in its place":
				swap(t, server, database, dump, replicas, alice, bob)
			case "while all are stopped":
				for _, r := range replicas {
					if err := r.stop(startWait); err != nil {
						t.Fatal(err)
					}
				}
				fallthrough
			default: // in one transaction, so that no replica sees half of it
				runs(t, server.Program("pg_restore", "--clean", "--if-exists", "--single-transaction", "-d", database, dump))
			}
			if how == "while all are stopped" {
				replicas = []*replica{w.replica(home), w.replica()}
			}
			for _, r := range replicas {
				eventually(t, 10*time.Second, "the replica serves", func() bool { return chat(r, carol.secret).status == 200 })
			}
			eventually(t, 5*time.Second, "what ended is refused everywhere", func() bool {
				for _, r := range replicas {
					if !refused(chat(r, alice.secret)) || !refused(chat(r, bob.secret)) {
						return false
					}
				}
				return true
			})
			endedAgain(t, database, alice, bob)
			if got := query(t, database, "SELECT count(*) > 0 FROM audit_events WHERE action = 'database.went_back'"); got != "t" {
				t.Error("no audit event tells of it")
			}
		})
	}
}

// runs runs a program of PostgreSQL.
func runs(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// swap puts a dump in the place of a database on the same server, between two requests
// of whoever has ended: none of them is admitted, from the first one on.
func swap(t *testing.T, server *postgrestest.Instance, database, dump string, replicas []*replica, ended ...pat) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	name, other := strings.TrimPrefix(u.Path, "/"), "restored"
	query(t, server.URL("postgres"), "CREATE DATABASE "+other+" TEMPLATE template0")
	runs(t, server.Program("pg_restore", "-d", server.URL(other), dump))
	var judged []*load
	for _, r := range replicas {
		for _, p := range ended {
			judged = append(judged, under(5*time.Millisecond, func() answer { return chat(r, p.secret) }))
		}
	}
	query(t, server.URL("postgres"), fmt.Sprintf("ALTER DATABASE %q ALLOW_CONNECTIONS false", name))
	eventually(t, 10*time.Second, "the databases change places", func() bool {
		_, err := tryQuery(server.URL("postgres"), fmt.Sprintf(`SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = '%[1]s';
			ALTER DATABASE %[1]q RENAME TO forgotten; ALTER DATABASE %[2]q RENAME TO %[1]q`, name, other))
		return err == nil
	})
	time.Sleep(2 * time.Second)
	for _, l := range judged {
		if got := statuses(l.stop()); got[200] > 0 {
			t.Errorf("what had ended was admitted after the restoration: %v", got)
		}
	}
}
