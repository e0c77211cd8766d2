package faults

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

// Credentials that the operator sets in these tests.
const (
	rootToken   = "the-operators-own-root-token"
	scimToken   = "the-scim-connectors-own-token"
	providerKey = "a-provider-key-for-these-tests"
	admin       = "admin@example.com"
)

// world is what a test stands on: a provider, a directory with the key, and a database.
type world struct {
	t        *testing.T
	dir      string
	provider *httptest.Server
	model    *simulator.Server
	database string // a URL; empty: SQLite in the replica's home
	homes    int
}

// newWorld makes one. The provider answers by rule and fails on demand.
func newWorld(t *testing.T, database string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), database: database, model: &simulator.Server{Key: providerKey, Faults: true}}
	w.provider = httptest.NewServer(w.model.Handler())
	t.Cleanup(func() {
		w.provider.CloseClientConnections()
		w.provider.Close()
	})
	return w
}

// env is the environment of a new replica, what more says going first.
func (w *world) env(more ...string) []string {
	w.homes++
	set := map[string]string{
		"PATH": os.Getenv("PATH"), "TENURE_MODE": "teams", "TENURE_LISTEN": "127.0.0.1:0",
		"TENURE_HOME":      filepath.Join(w.dir, fmt.Sprint("home", w.homes)),
		"TENURE_KEY_URL":   "file:" + filepath.Join(w.dir, "master.key"),
		"TENURE_API_TOKEN": rootToken, "TENURE_SCIM_TOKEN": scimToken, "TENURE_ADMINS": admin,
		"OPENAI_API_KEY": providerKey, "OPENAI_BASE_URL": w.provider.URL + "/v1",
		"ANTHROPIC_API_KEY": providerKey, "ANTHROPIC_BASE_URL": w.provider.URL,
	}
	if w.database != "" {
		set["TENURE_DATABASE_URL"] = w.database
	}
	for _, m := range more {
		name, value, _ := strings.Cut(m, "=")
		set[name] = value
	}
	var out []string
	for name, value := range set {
		out = append(out, name+"="+value)
	}
	return out
}

// replica starts one more and waits until it serves.
func (w *world) replica(more ...string) *replica {
	w.t.Helper()
	return w.replicaBehind(nil, more...)
}

// replicaBehind is replica, started by the words of wrap.
func (w *world) replicaBehind(wrap []string, more ...string) *replica {
	w.t.Helper()
	r := begin(w.t, w.env(more...), wrap, "serve")
	if err := r.ready(); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// pat is a personal access token.
type pat struct{ secret, id, user string }

// mint makes a token over the API.
func (w *world) mint(r *replica, userName string) pat {
	w.t.Helper()
	p, a := tryMint(r, userName)
	if p.secret == "" {
		w.t.Fatalf("mint: %v", a)
	}
	me := ask(r.url, "GET", "/api/v1/me", "", "X-User-Id: "+userName)
	var id struct{ ID string }
	if err := json.Unmarshal([]byte(me.body), &id); err != nil || id.ID == "" {
		w.t.Fatalf("me: %v", me)
	}
	p.user = id.ID
	return p
}

func tryMint(r *replica, userName string) (pat, answer) {
	a := ask(r.url, "POST", "/api/v1/tokens", `{"name":"Laptop"}`, "X-User-Id: "+userName)
	var minted struct{ Token, ID string }
	if a.status != 201 || json.Unmarshal([]byte(a.body), &minted) != nil {
		return pat{}, a
	}
	return pat{secret: minted.Token, id: minted.ID}, a
}

// query types SQL into psql, as an operator does, and gives what it prints.
func query(t *testing.T, database, statement string) string {
	t.Helper()
	out, err := tryQuery(database, statement)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryQuery(database, statement string) (string, error) {
	cmd := exec.Command("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, database)
	cmd.Env = append(os.Environ(), "PGCONNECT_TIMEOUT=5")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql %q: %w\n%s", statement, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// sqlite types SQL into the sqlite3 shell.
func sqlite(t *testing.T, file, statement string) string {
	t.Helper()
	out, err := exec.Command("sqlite3", "-batch", "-bail", "-cmd", ".timeout 5000", file, statement).CombinedOutput()
	if err != nil {
		t.Fatalf("sqlite3 %q: %v\n%s", statement, err, out)
	}
	return strings.TrimSpace(string(out))
}

// at is the URL of the same database at other addresses, in the order of trying.
func at(t *testing.T, database string, hosts ...string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(database, "@"+u.Host, "@"+strings.Join(hosts, ","), 1)
}

// hostOf is the address in the URL.
func hostOf(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// settle is more than a replica takes to look at the changes that led to a stream.
const settle = 600 * time.Millisecond
