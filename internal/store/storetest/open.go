package storetest

import (
	"context"
	"errors"
	"fmt"
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

// template is what the databases of this process's tests are copies of.
var template = sync.OnceValues(func() (*postgrestest.Template, error) { return postgrestest.NewTemplate(prepare) })

// Postgres makes a database as deploy/postgres/roles.sql and the migrations have
// it, and gives the URL of the role that serves, which the walls between tenants
// bind, and that of a superuser, who is an operator at a shell.
func Postgres(t testing.TB) (serve, super string) {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	super = from.URL(t)
	return app(t, super), super
}

// PostgresOn is Postgres on a server of the test's own.
func PostgresOn(t testing.TB, server *postgrestest.Instance) (serve, super string) {
	t.Helper()
	super = server.Database(t)
	if err := prepare(super); err != nil {
		t.Fatal(err)
	}
	return app(t, super), super
}

func app(t testing.TB, super string) string {
	t.Helper()
	serve, err := as(super, "tenure_app", "app")
	if err != nil {
		t.Fatal(err)
	}
	return serve
}

// prepare makes the roles and the tables in an empty database.
func prepare(super string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	roles := filepath.Join(root, "deploy", "postgres", "roles.sql")
	if out, err := exec.Command("psql", "-X", "-v", "owner_password=owner", "-v", "app_password=app", "-f", roles, super).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", roles, err, out)
	}
	owner, err := as(super, "tenure_owner", "owner")
	if err != nil {
		return err
	}
	db, err := store.OpenPostgres(tenure.Everywhere(context.Background()), owner, nil)
	if err != nil {
		return err
	}
	return db.Close()
}

// moduleRoot is the directory of go.mod: tests run in that of their package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod here or above")
		}
	}
	return "", err
}

// as is the URL of another role.
func as(at, role, password string) (string, error) {
	u, err := url.Parse(at)
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword(role, password)
	return u.String(), nil
}
