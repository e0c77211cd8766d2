package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// newHome is a data directory that is not there yet and, on PostgreSQL, a database
// of its own. $DB is for whoever types SQL, $OWNER for whoever migrates.
func newHome(t testing.TB, dir string, setenv func(name, value string)) error {
	setenv("TENURE_HOME", dir)
	setenv("DB", filepath.Join(dir, "tenure.db"))
	if !storetest.OnPostgres() {
		return nil
	}
	serve, super := storetest.Postgres(t)
	setenv("TENURE_DATABASE_URL", serve)
	setenv("DB", super)
	setenv("OWNER", strings.Replace(serve, "tenure_app:app@", "tenure_owner:owner@", 1))
	_, err := sqlShell(super, sqliteWords)
	return err
}

// goHome is newHome for a Go test: more settings of whoever serves, and the database
// for whoever types SQL.
func goHome(t *testing.T, dir string) (settings []string, db string) {
	t.Helper()
	err := newHome(t, dir, func(name, value string) {
		switch name {
		case "DB":
			db = value
		case "OWNER":
		default:
			settings = append(settings, name+"="+value)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return settings, db
}

func (w *world) home(ts *testscript.TestScript, args []string) error {
	return newHome(w.t, ts.MkAbs(args[0]), ts.Setenv)
}

func (w *world) replica(ts *testscript.TestScript, args []string) error {
	p, err := start(ts.MkAbs("."), append(environment(ts), args[1:]...), serveReady, "serve")
	if err != nil {
		return err
	}
	w.replicas[args[0]] = p
	ts.Setenv(args[0], p.url)
	fmt.Fprint(ts.Stdout(), p.out.String())
	return nil
}

func (w *world) own(ts *testscript.TestScript, _ []string) error {
	if !storetest.OnPostgres() {
		return nil
	}
	w.server = postgrestest.Server(w.t)
	serve, super := storetest.PostgresOn(w.t, w.server)
	ts.Setenv("TENURE_DATABASE_URL", serve)
	ts.Setenv("DB", super)
	return nil
}

func (w *world) down(ts *testscript.TestScript, _ []string) error {
	if w.server != nil {
		return w.server.Stop(syscall.SIGINT)
	}
	return os.Rename(ts.Getenv("DB"), ts.Getenv("DB")+".gone")
}

func (w *world) up(ts *testscript.TestScript, _ []string) error {
	if w.server != nil {
		return w.server.Start()
	}
	return os.Rename(ts.Getenv("DB")+".gone", ts.Getenv("DB"))
}

// sqliteWords are what the scripts' statements use of SQLite's language, for
// PostgreSQL: one script tells the same story on both.
const sqliteWords = `
	CREATE FUNCTION datetime(text, VARIADIC text[] DEFAULT '{}') RETURNS timestamptz LANGUAGE sql AS
		$$ SELECT clock_timestamp() + COALESCE((SELECT sum(m::interval) FROM unnest($2) m), interval '0') $$;
	CREATE FUNCTION strftime(text, text, VARIADIC text[] DEFAULT '{}') RETURNS timestamptz LANGUAGE sql AS
		$$ SELECT clock_timestamp() + COALESCE((SELECT sum(m::interval) FROM unnest($3) m), interval '0') $$;
	CREATE FUNCTION julianday(timestamptz) RETURNS double precision LANGUAGE sql AS $$ SELECT extract(epoch FROM $1) / 86400 $$;
	CREATE FUNCTION json_extract(text, text) RETURNS text LANGUAGE sql AS $$ SELECT $1::jsonb ->> substr($2, 3) $$;`

// sqlShell runs a statement in the database's own shell: db is a file, or a URL.
func sqlShell(db, statement string) (string, error) {
	switch {
	case !strings.HasPrefix(db, "postgres"):
		return sqlite3(db, statement)
	case statement == ".dump":
		out, err := exec.Command("pg_dump", "--inserts", db).CombinedOutput()
		return string(out), err
	}
	out, err := exec.Command("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, db).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql %q: %w\n%s", statement, err, out)
	}
	return string(out), nil
}

func sqlite3(db, statement string) (string, error) {
	out, err := exec.Command("sqlite3", "-batch", "-bail", "-cmd", ".timeout 5000", db, statement).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("the sqlite3 shell is not installed; on Debian: apt-get install sqlite3")
	}
	if err != nil {
		return "", fmt.Errorf("sqlite3 %q: %w\n%s", statement, err, out)
	}
	return string(out), nil
}
