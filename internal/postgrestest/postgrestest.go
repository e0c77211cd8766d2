// Package postgrestest gives tests a real PostgreSQL: a server of their own, and
// a fresh database for whoever asks. It owns the server's processes and files, and
// takes both away with the test process, however that ends.
//
// It speaks no SQL and knows nothing of what is kept in the databases.
package postgrestest

import (
	"crypto/rand"
	"os"
	"strings"
	"sync"
	"testing"
)

// external is the setting that names a server to be used instead of one's own: the
// URL of a superuser on it.
const external = "TENURE_TEST_POSTGRES"

// shared is the server that all tests of this process have in common. Nobody stops
// it: it ends with the process.
var shared = sync.OnceValues(func() (*Instance, error) { return start() })

// URL gives the URL of a fresh, empty database, which is dropped when the test is
// over. Its user is a superuser. The server is PostgreSQL 15 or later: the one that
// TENURE_TEST_POSTGRES names, or one that is started for all tests of this process.
func URL(t testing.TB) string {
	t.Helper()
	dirs, err := find()
	if err != nil {
		t.Fatal(err)
	}
	if server := os.Getenv(external); server != "" {
		return database(t, dirs, server, empty)
	}
	in, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return in.Database(t)
}

// Server starts a server for one test, with lines of its own in postgresql.conf.
// It ends with the test.
func Server(t testing.TB, conf ...string) *Instance {
	t.Helper()
	in, err := start(conf...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.end)
	return in
}

// Database is the package's URL on this server.
func (in *Instance) Database(t testing.TB) string {
	t.Helper()
	return database(t, in.programs, in.URL("postgres"), empty)
}

// empty is the database of every server that has nothing in it.
const empty = "template0"

// database makes a copy of a database on the server of which a superuser's URL is
// given. It is dropped when the test is over.
func database(t testing.TB, p programs, server, from string) string {
	t.Helper()
	name, err := create(p, server, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A server that the test has stopped keeps its databases until it goes.
		if err := p.run("dropdb", "--maintenance-db="+server, "--force", "--if-exists", name); err != nil {
			t.Log(err)
		}
	})
	url, err := at(server, name)
	if err != nil {
		t.Fatalf("%s: %v", external, err)
	}
	return url
}

// create makes a copy of a database, under a name of its own.
func create(p programs, server, from string) (string, error) {
	name := "tenure_" + strings.ToLower(rand.Text())
	return name, p.run("createdb", "--maintenance-db="+server, "--template="+from, name)
}
