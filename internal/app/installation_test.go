package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/simulator"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
	"github.com/tenure-gateway/tenure/internal/web"
)

// An installation is a Tenure that serves, over real HTTP, with a simulated
// provider behind it.
type installation struct {
	*App
	t      testing.TB
	super  string // URL of the database for whoever types SQL, where it is PostgreSQL
	serve  string // URL of the database by which it is served, likewise
	end    func() // of serving, until it is over
	router *web.Router
	url    string
	client *http.Client
}

const (
	providerKey = "sk-a-key-of-the-simulated-provider"
	rootToken   = "root-token-for-emergencies-0123456789"
	scimToken   = "scim-token-of-the-default-tenant-0123456789"
	superAdmin  = "ada@example.com"
)

// install opens and serves an installation until the test is over.
func install(t testing.TB, mode string) *installation {
	t.Helper()
	return installWith(t, mode, rootToken)
}

// installWith is install with a root token of the settings, or none.
func installWith(t testing.TB, mode, root string) *installation {
	t.Helper()
	serve, super := "", ""
	if storetest.OnPostgres() {
		serve, super = storetest.Postgres(t)
	}
	return installOn(t, mode, root, t.TempDir(), serve, super)
}

// replica is another server on the same database, which is PostgreSQL.
func (in *installation) replica() *installation {
	in.t.Helper()
	return installOn(in.t, "teams", rootToken, in.Config.Home, in.serve, in.super)
}

func installOn(t testing.TB, mode, root, home, serve, super string) *installation {
	t.Helper()
	provider := httptest.NewServer((&simulator.Server{Key: providerKey}).Handler())
	t.Cleanup(provider.Close)
	cfg, err := config.Serve{
		Local: config.Local{Home: config.Home{Home: home}, DatabaseURL: serve}, Mode: mode, Listen: "127.0.0.1:0", Admins: superAdmin,
		Proxy:    config.Proxy{ProxyHeader: map[string]string{"teams": "x-user-id"}[mode]}, // also beside stored OIDC connections
		APIToken: root, SCIMToken: scimToken, ShutdownGrace: "1s",
		OpenAIKey: providerKey, OpenAIBaseURL: provider.URL + "/v1", AnthropicKey: providerKey, AnthropicBaseURL: provider.URL,
	}.Check()
	if err != nil {
		t.Fatal(err)
	}
	logs := web.NewLogWriter(walls{t})
	a, err := Open(context.Background(), cfg, logs)
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{App: a, t: t, super: super, serve: serve, client: &http.Client{
		Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	if in.router, err = a.router(); err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(tenure.Everywhere(context.Background()))
	ready := make(chan net.Addr, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.serve(ctx, ln, in.router, func(at net.Addr) { ready <- at }); err != nil {
			t.Error(err)
			close(ready)
		}
	})
	in.end = sync.OnceFunc(func() {
		stop()
		wg.Wait()
	})
	t.Cleanup(func() {
		in.client.CloseIdleConnections()
		in.end()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		_ = logs.Close()
	})
	at, ok := <-ready
	if !ok {
		t.FailNow()
	}
	in.url = "http://" + at.String()
	return in
}

// stride is how many routes an asker goes on by at a step, each beginning at another
// one: on PostgreSQL, where a row that a test writes costs more, every fifth route is
// asked for by each. Who may do what is decided before any database is asked.
func (in *installation) stride() int {
	if in.super != "" {
		return max(stride, 5)
	}
	return stride
}

// walls reads the log, and finds what an act ran into that goes beyond its tenant.
type walls struct{ t testing.TB }

// Write implements io.Writer.
func (w walls) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("row-level security")) {
		w.t.Errorf("logged: %s", b)
	}
	return len(b), nil
}

// A credential goes into a request's header.
type credential struct{ header, value string }

func (c credential) put(r *http.Request) {
	if c.header != "" {
		r.Header.Set(c.header, c.value)
	}
}

func person(userName string) credential { return credential{"X-User-Id", userName} }

// A reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// member gives a member of a JSON answer as text, "" when it is not there.
func (r reply) member(name string) string {
	var all map[string]any
	_ = json.Unmarshal([]byte(r.body), &all)
	text, _ := all[name].(string)
	return text
}

// ask sends a request; header are pairs of names and values.
func (in *installation) ask(c credential, method, path, body string, header ...string) reply {
	in.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, in.url+path, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	c.put(r)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := in.client.Do(r)
	if err != nil {
		in.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	whole := io.Reader(resp.Body)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") && strings.HasPrefix(path, "/events") {
		whole = io.LimitReader(resp.Body, int64(len(": listening\n\n"))) // it goes on for as long as the session does
	}
	text, err := io.ReadAll(whole)
	if err != nil {
		in.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// must is ask, and the status that must come.
func (in *installation) must(status int, c credential, method, path, body string, header ...string) reply {
	in.t.Helper()
	r := in.ask(c, method, path, body, header...)
	if r.status != status {
		in.t.Fatalf("%s %s: %d, want %d\n%s", method, path, r.status, status, r.body)
	}
	return r
}
