package storetest

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Kind names the setting that says on which database tests run that are about
// neither: "sqlite", which it is when it is not set, or "postgres".
const Kind = "TENURE_TEST_DATABASE"

// OnPostgres tells that tests run on PostgreSQL.
func OnPostgres() bool { return os.Getenv(Kind) == "postgres" }

// oneByOne is held while the roles of a server are made.
var oneByOne = sync.OnceValues(func() (*sync.Mutex, error) { return new(sync.Mutex), nil })

// Postgres makes a database as deploy/postgres/roles.sql has it, migrates it, and
// gives the URL of the role that serves, which the walls between tenants bind, and
// that of a superuser, who is an operator at a shell.
func Postgres(t testing.TB) (serve, super string) {
	t.Helper()
	super = postgrestest.URL(t)
	lock, _ := oneByOne() // roles are the server's, and two who make them at once collide
	lock.Lock()
	defer lock.Unlock()
	roles := inModule(t, filepath.Join("deploy", "postgres", "roles.sql"))
	if out, err := exec.Command("psql", "-X", "-v", "owner_password=owner", "-v", "app_password=app", "-f", roles, super).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", roles, err, out)
	}
	owner, err := store.OpenPostgres(tenure.Everywhere(context.Background()), as(t, super, "tenure_owner", "owner"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	return as(t, super, "tenure_app", "app"), super
}

// inModule finds a file of the module from a directory below it: what a compiler
// remembers of its sources it forgets with -trimpath.
func inModule(t testing.TB, name string) string {
	t.Helper()
	for up := name; len(up) < len(name)+30; up = filepath.Join("..", up) {
		if _, err := os.Stat(up); err == nil {
			return up
		}
	}
	t.Fatalf("%s is not above this directory", name)
	return ""
}

// as is the URL of another role.
func as(t testing.TB, at, role, password string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}
