package faults

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// Limits of not knowing in these tests; the defaults take too long to wait for.
const (
	maxStaleness    = 2 * time.Second
	streamStaleness = 5 * time.Second
)

var soon = []string{"TENURE_MAX_STALENESS=2s", "TENURE_STREAM_STALENESS=5s"}

// atOnce is how long anybody waits for the answer that there is no database.
const atOnce = 2500 * time.Millisecond

// The server is stopped, as by kill -9.
func TestDatabaseStops(t *testing.T) {
	server := postgrestest.Server(t)
	outage(t, server, func() error { return server.Stop(syscall.SIGQUIT) }, server.Start)
}

// The server is there, takes connections, and says nothing.
func TestDatabaseHangs(t *testing.T) {
	server := postgrestest.Server(t)
	outage(t, server, server.Pause, server.Resume)
}

// outage goes through one outage with two replicas under load.
func outage(t *testing.T, server *postgrestest.Instance, breaks, mends func() error) {
	w := newWorld(t, server.Database(t))
	replicas := []*replica{w.replica(soon...), w.replica(soon...)}
	alice, bob := w.mint(replicas[0], "alice@example.com"), w.mint(replicas[0], "bob@example.com")
	var streams []*stream
	var asks []func() answer
	for _, r := range replicas {
		streams = append(streams, openChat(t, r, alice.secret), openMessages(t, r, bob.secret))
		for range 4 {
			asks = append(asks, func() answer { return chat(r, alice.secret) }, func() answer { return messages(r, bob.secret) })
		}
	}
	traffic := under(10*time.Millisecond, asks...)
	time.Sleep(settle)
	if err := breaks(); err != nil {
		t.Fatal(err)
	}
	down := time.Now()
	for _, r := range replicas {
		closedAtOnce(t, r)
	}
	t.Logf("what needs the database was refused by %v", time.Since(down).Round(time.Millisecond))

	time.Sleep(time.Until(down.Add(maxStaleness + time.Second)))
	unknown := time.Now()
	for i, r := range replicas {
		refusesToGuess(t, r, alice.secret)
		closedAtOnce(t, r)
		for _, s := range streams[2*i : 2*i+2] {
			if time.Since(down) < streamStaleness-time.Second && !s.flows() {
				t.Errorf("a stream did not go on: %v\n%s", s.err, s.text())
			}
		}
	}
	for _, s := range streams {
		s.cutWithin(t, down, streamStaleness-time.Second, streamStaleness+1500*time.Millisecond, "authority_unavailable")
	}
	stillDown := time.Now()
	if err := mends(); err != nil {
		t.Fatal(err)
	}
	up := time.Now()
	// The first thing that is done is to end Bob's token, by hand.
	query(t, w.database, "UPDATE api_tokens SET revoked_at = now() WHERE id = '"+bob.id+"'")
	ended := time.Now()
	for _, r := range replicas {
		took := eventually(t, 10*time.Second, "the replica serves again", func() bool { return chat(r, alice.secret).status == 200 })
		t.Logf("served again after %v", took)
		eventually(t, time.Until(ended.Add(time.Second)), "what ended is refused", func() bool { return refused(messages(r, bob.secret)) })
		eventually(t, 5*time.Second, "all is open again", func() bool {
			return ask(r.url, "GET", "/api/v1/admin/users", "", bearer(rootToken)).status == 200 &&
				scimOf(r.url, "GET", "/Users", "").status == 200 && ask(r.url, "GET", "/readyz", "").status == 200
		})
		if !r.runs() {
			t.Error("the process has ended")
		}
	}
	all := traffic.stop()
	judgeTraffic(t, all, down, unknown, stillDown)
	if got := statuses(between(all, up.Add(10*time.Second), time.Now())); got[0]+got[503] > 0 {
		t.Errorf("after the outage: %v", got)
	}
}

// judgeTraffic compares what tokens in use were answered with what was promised.
func judgeTraffic(t *testing.T, all []answer, down, unknown, up time.Time) {
	t.Helper()
	for _, span := range []struct {
		name     string
		from, to time.Time
		only     int
	}{
		{"before", time.Time{}, down, 200},
		{"while what is known is fresh enough", down, down.Add(maxStaleness - 700*time.Millisecond), 200},
		{"when it is too old", unknown, up, 503},
	} {
		in := between(all, span.from, span.to)
		got := statuses(in)
		t.Logf("%s: %v, the slowest after %v", span.name, got, slowest(in).Round(time.Millisecond))
		if got[span.only] != len(in) || len(in) < 20 {
			t.Errorf("%s: %v, and only %d is allowed", span.name, got, span.only)
		}
		if slowest(in) > atOnce {
			t.Errorf("%s: an answer took %v", span.name, slowest(in))
		}
	}
}

// closedAtOnce demands 503 of all that needs the database, all asked at once.
func closedAtOnce(t *testing.T, r *replica) {
	t.Helper()
	asks := map[string]func() answer{
		"the API as root":     func() answer { return ask(r.url, "GET", "/api/v1/admin/users", "", bearer(rootToken)) },
		"the API as somebody": func() answer { return ask(r.url, "GET", "/api/v1/me", "", "X-User-Id: alice@example.com") },
		"minting": func() answer {
			return ask(r.url, "POST", "/api/v1/tokens", `{"name":"x"}`, "X-User-Id: alice@example.com")
		},
		"sign-in": func() answer { return ask(r.url, "GET", "/settings", "", "X-User-Id: carol@example.com") },
		"SCIM":    func() answer { return scimOf(r.url, "GET", "/Users", "") },
		"SCIM's writing": func() answer {
			return scimOf(r.url, "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"dave@example.com"}`)
		},
		"vault": func() answer { return ask(r.url, "GET", "/api/v1/admin/providers", "", bearer(rootToken)) },
	}
	var wg sync.WaitGroup
	for name, ask := range asks {
		wg.Go(func() {
			a := ask()
			if a.status != 503 || a.took() > atOnce {
				t.Errorf("%s without a database: %v", name, a)
			}
			if a.status == 503 && a.header.Get("Retry-After") == "" {
				t.Errorf("%s without a database: no Retry-After: %v", name, a)
			}
		})
	}
	wg.Wait()
}

// refusesToGuess demands 503 in each protocol's own shape, an instance that is not ready
// and a process that is alive.
func refusesToGuess(t *testing.T, r *replica, token string) {
	t.Helper()
	for _, c := range []struct {
		name  string
		a     answer
		shape string
	}{
		{"OpenAI", chat(r, token), `"code":"authority_unavailable"`},
		{"Anthropic", messages(r, token), `"type":"overloaded_error"},"type":"error"}`},
	} {
		if c.a.status != 503 || c.a.header.Get("Retry-After") == "" || !strings.Contains(c.a.body, c.shape) {
			t.Errorf("%s: %v %v, want 503 with %s", c.name, c.a, c.a.header, c.shape)
		}
	}
	if a := ask(r.url, "GET", "/readyz", ""); a.status != 503 {
		t.Errorf("/readyz: %v", a)
	}
	if a := ask(r.url, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("/healthz: %v", a)
	}
}
