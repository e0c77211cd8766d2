package faults

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// pgbouncer starts a pooler in transaction mode, of few connections, before a server
// and gives its address.
func pgbouncer(t *testing.T, server string, users ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatal("this test needs Debian's package pgbouncer (scripts/tools installs it)")
	}
	dir, err := os.MkdirTemp("", "tenure-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(address)
	_, serverPort, _ := net.SplitHostPort(server)
	config := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = trust\nauth_file = %s/users\npool_mode = transaction\ndefault_pool_size = 8\nmax_client_conn = 500\n", serverPort, port, dir)
	list := ""
	for _, u := range users {
		list += fmt.Sprintf("%q %q\n", u, "")
	}
	for name, text := range map[string]string{"ini": config, "users": list} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-q", filepath.Join(dir, "ini"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // it refuses to be root
		cmd.SysProcAttr.Credential = nobody(t)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	said := &output{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("[pgbouncer]\n%s", said.tail(3000))
		}
	})
	eventually(t, 10*time.Second, "pgbouncer listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return address
}

// nobody is a user without rights.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
}

// as is the URL of the database for a role.
func as(t *testing.T, database, role string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	return u.String()
}

// Behind PgBouncer in transaction mode, served by the role that owns nothing: all of it
// works by polling alone, and row-level security holds.
func TestPgBouncer(t *testing.T) {
	database := postgrestest.Server(t).Database(t)
	if out, err := exec.Command("psql", "-X", "-f", "../../deploy/postgres/roles.sql", database).CombinedOutput(); err != nil {
		t.Fatalf("roles.sql: %v\n%s", err, out)
	}
	w := newWorld(t, "")
	migrate := begin(t, w.env("TENURE_DATABASE_URL="+as(t, database, "tenure_owner")), nil, "migrate")
	if err := migrate.end(startWait); err != nil {
		t.Fatalf("tenure migrate: %v\n%s", err, migrate.log.String())
	}
	pooler := pgbouncer(t, hostOf(t, database), "tenure_app", "postgres")
	way := newRelay(t, "127.0.0.1:0", pooler)
	w.database = at(t, as(t, database, "tenure_app"), way.address())
	replicas := []*replica{w.replica(), w.replica()}
	here, there := replicas[0], replicas[1]

	// SCIM makes a person, who signs in, mints and chats; SCIM ends them.
	a := scimOf(here.url, "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"alice@example.com","active":true}`)
	if a.status != 201 {
		t.Fatal(a)
	}
	alice, bob := w.mint(there, "alice@example.com"), w.mint(here, "bob@example.com")
	s, goesOn := openChat(t, there, alice.secret), openMessages(t, there, bob.secret)
	time.Sleep(settle)
	began := time.Now()
	a = scimOf(here.url, "PATCH", "/Users/"+alice.user, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`)
	if a.status != 200 && a.status != 204 {
		t.Fatal(a)
	}
	s.cutWithin(t, began, 0, time.Second, "access_revoked")
	if a := chat(there, alice.secret); !refused(a) {
		t.Error(a)
	}
	if !goesOn.flows() {
		t.Error("Bob was disturbed")
	}
	for i := range times(6, 100) {
		name := fmt.Sprintf("user%d@example.com", i)
		p := w.mint(replicas[i%2], name)
		s := openChat(t, replicas[(i+1)%2], p.secret)
		time.Sleep(settle)
		began := time.Now()
		if a := revoke(replicas[i%2], name, p); a.status != 204 && a.status != 200 {
			t.Fatal(a)
		}
		s.cutWithin(t, began, 0, time.Second, "access_revoked")
	}
	if n := way.deafen(); n != 0 {
		t.Errorf("%d connections listen: a pooler gives that to whoever comes next", n)
	}
	// Many at once on eight connections: nobody sees another tenant's setting.
	var asks []func() answer
	for i := range 24 {
		r, name := replicas[i%2], fmt.Sprintf("user%d@example.com", i%5)
		asks = append(asks, func() answer { _, a := tryMint(r, name); return a }, func() answer { return chat(r, bob.secret) })
	}
	l := under(5*time.Millisecond, asks...)
	time.Sleep(time.Duration(times(2, 20)) * time.Second)
	all := l.stop()
	got := statuses(all)
	t.Logf("%v, the slowest after %v", got, slowest(all).Round(time.Millisecond))
	later := 0
	for _, a := range all {
		switch {
		case a.status == 200 || a.status == 201:
		case a.status == 503 && a.header.Get("Retry-After") != "":
			later++ // it waited too long behind the others, who mint for the same person
		default:
			t.Errorf("under load: %v", a)
		}
	}
	if later > len(all)/20 {
		t.Errorf("%d of %d were told to come again", later, len(all))
	}
	// A hand on the same connections, as the same role, without a tenant: nothing.
	for statement, want := range map[string]string{
		"SELECT count(*) FROM users": "0", "SELECT count(*) FROM api_tokens": "0",
		"BEGIN; SET LOCAL tenure.tenant = 'default'; SELECT count(*) > 5 FROM users; COMMIT": "t",
		"BEGIN; SET LOCAL tenure.tenant = 'another'; SELECT count(*) FROM users; COMMIT":     "0",
	} {
		if got := query(t, w.database, statement); got != want {
			t.Errorf("%s: %q", statement, got)
		}
	}
	if _, err := tryQuery(w.database, "ALTER TABLE users DISABLE ROW LEVEL SECURITY"); err == nil || !strings.Contains(err.Error(), "owner") {
		t.Errorf("the wall can be taken down: %v", err)
	}
}
