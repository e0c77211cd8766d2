package faults

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Providers that hang, fail, break off, redirect, echo the key or send a bomb: the
// caller gets an answer in time and in the protocol's own shape, never the key, and the
// process goes on within its memory.
func TestHostileProviders(t *testing.T) {
	w := newWorld(t, "")
	hostile := httptest.NewServer(hostileProvider(t, w.model.Handler()))
	t.Cleanup(func() {
		hostile.CloseClientConnections()
		hostile.Close()
	})
	r := w.replica("OPENAI_BASE_URL="+hostile.URL+"/v1", "ANTHROPIC_BASE_URL="+hostile.URL, "TENURE_FIRST_BYTE_TIMEOUT=1s", "TENURE_STREAM_IDLE_TIMEOUT=1s")
	alice := w.mint(r, "alice@example.com")
	for _, c := range []struct {
		prompt string
		stream bool
		status string // a regular expression
		has    string // in the body
		hasNot string
	}{
		{"hang", false, "504", `"error"`, ""},
		{"hang", true, "504", `"error"`, ""},
		{"fail 500", false, "500|502", `"error"`, ""},
		{"fail 503", true, "503|502", `"error"`, ""},
		{"fail 429", false, "429", `"error"`, ""},
		{"hang midway", true, "200", "provider_stalled", "[DONE]"},
		{"fail midway", true, "200", "error", "[DONE]"},
		{"truncate", true, "200", "", "[DONE]"},
		{"truncate", false, "200|502|0", "", ""},
		{"echo key", false, "500|502", `"error"`, ""},
		{"echo key", true, "500|502", `"error"`, ""},
		{"redirect", false, "502", `"error"`, "169.254"},
		{"redirect", true, "502", `"error"`, "169.254"},
		{"bomb", false, "200|502", "", ""},
		{"endless", false, "500|502|0", "", ""},
		{"garbage", false, "502|0", "", ""},
	} {
		for kind, a := range map[string]answer{
			"OpenAI":    askFor(6*time.Second, r.url, "POST", "/v1/chat/completions", chatBody(c.prompt, c.stream), bearer(alice.secret)),
			"Anthropic": askFor(6*time.Second, r.url, "POST", "/v1/messages", messagesBody(c.prompt, c.stream), "X-Api-Key: "+alice.secret, "Anthropic-Version: 2023-06-01"),
		} {
			if kind == "Anthropic" && c.hasNot == "[DONE]" {
				c.hasNot = "message_stop"
			}
			name := fmt.Sprintf("%s: %s, streamed %t", kind, c.prompt, c.stream)
			if !regexp.MustCompile("^("+c.status+")$").MatchString(strconv.Itoa(a.status)) || !strings.Contains(a.body, c.has) || c.hasNot != "" && strings.Contains(a.body, c.hasNot) {
				t.Errorf("%s: %v", name, a)
			}
			if strings.Contains(a.body, providerKey) || strings.Contains(fmt.Sprint(a.header), providerKey) || a.header.Get("Location") != "" {
				t.Errorf("%s: the key or a way out is in the answer: %v %v", name, a.header, a)
			}
			if a.took() > 7*time.Second {
				t.Errorf("%s: took %v", name, a.took())
			}
		}
		if a := chat(r, alice.secret); a.status != 200 {
			t.Errorf("after %s: %v", c.prompt, a)
		}
	}
	if r.log.has(providerKey) {
		t.Error("the log has the key")
	}
	if mb := peak(t, r); mb > 256 {
		t.Errorf("the process took %d MB", mb)
	} else {
		t.Logf("%d MB at most", mb)
	}
}

// hostileProvider is the simulator with more ways to misbehave.
func hostileProvider(t *testing.T, simulated http.Handler) http.Handler {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 512 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case bytes.Contains(body, []byte(`"bomb"`)):
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		case bytes.Contains(body, []byte(`"endless"`)): // an error that has no end
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			for end := time.Now().Add(8 * time.Second); time.Now().Before(end); {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		case bytes.Contains(body, []byte(`"garbage"`)):
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 what is this\r\n\r\n\x00\x01\x02"))
			_ = conn.Close()
		default:
			simulated.ServeHTTP(w, r)
		}
	})
}

// peak is the most memory that a process ever had, in MB.
func peak(t *testing.T, r *replica) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(string(status))
	if m == nil {
		t.Fatal("no VmHWM")
	}
	kb, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return kb / 1024
}

// Connections that say nothing, and such that say it slowly, take nothing from others,
// and the slow ones are closed.
func TestIdleAndSlowConnections(t *testing.T) {
	w := newWorld(t, "")
	r := w.replica()
	alice := w.mint(r, "alice@example.com")
	address := strings.TrimPrefix(r.url, "http://")
	idle := times(1000, 10_000)
	conns := make([]net.Conn, 0, idle)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range idle {
		c, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v (the limit of open files, ulimit -n, must be higher)", len(conns), err)
		}
		conns = append(conns, c)
	}
	slow := times(50, 500)
	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var closed []time.Duration
	for range slow {
		wg.Go(func() {
			c, err := net.DialTimeout("tcp", address, 5*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = io.WriteString(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: "+address+"\r\n")
			one := make([]byte, 1)
			for i := 0; time.Since(began) < 20*time.Second; i++ {
				_, _ = fmt.Fprintf(c, "X-%d: slow\r\n", i)
				_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
				if _, err := c.Read(one); err != nil && !os.IsTimeout(err) {
					mu.Lock()
					closed = append(closed, time.Since(began))
					mu.Unlock()
					return
				}
			}
		})
	}
	for range 20 {
		for _, a := range []answer{chat(r, alice.secret), ask(r.url, "GET", "/healthz", ""), ask(r.url, "GET", "/api/v1/admin/users", "", bearer(rootToken))} {
			if a.status != 200 || a.took() > time.Second {
				t.Errorf("beside %d idle connections: %v", idle, a)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	wg.Wait()
	late := time.Duration(0)
	for _, d := range closed {
		late = max(late, d)
	}
	if len(closed) != slow || late > 13*time.Second {
		t.Errorf("%d of %d slow connections were closed, the last after %v", len(closed), slow, late)
	}
	t.Logf("%d MB at most, the last slow connection closed after %v", peak(t, r), late.Round(time.Millisecond))
}

// SIGTERM in the middle of traffic: what was begun is finished, streams too; nothing is
// answered with an error of the server's.
func TestStopInTraffic(t *testing.T) {
	w := newWorld(t, "")
	r := w.replica("TENURE_SHUTDOWN_GRACE=20s")
	alice := w.mint(r, "alice@example.com")
	var streams []*stream
	for range 10 {
		streams = append(streams, open(t, r, "/v1/chat/completions", chatBody("count to 150 every 20ms", true), bearer(alice.secret)))
	}
	var asks []func() answer
	for range 20 {
		asks = append(asks, func() answer { return chat(r, alice.secret) })
	}
	l := under(2*time.Millisecond, asks...)
	time.Sleep(500 * time.Millisecond)
	if err := r.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.end(startWait); err != nil {
		t.Errorf("no clean end: %v", err)
	}
	all := l.stop()
	// A connection that was idle may be closed while a request is on its way there: HTTP/1.1
	// (RFC 9112 section 9.3.1) knows of that, and whoever is between sends it again. It
	// happens to a caller twice at most: by the connection that they have, and by a new one
	// that the kernel took for a listener that was closed before it was told.
	met := 0
	for _, a := range all {
		switch {
		case a.status == 200 || a.status == 0 && strings.Contains(a.err.Error(), "refused"):
		case a.status == 0:
			met++
		default:
			t.Errorf("in traffic: %v", a)
		}
	}
	if met > 2*len(asks) {
		t.Errorf("%d requests of %d callers were not answered", met, len(asks))
	}
	for _, s := range streams {
		<-s.ended
		if s.err != nil || !strings.HasSuffix(strings.TrimSpace(s.text()), "data: [DONE]") {
			tail := s.text()
			t.Errorf("a stream did not finish: %v …%s", s.err, tail[max(0, len(tail)-200):])
		}
	}
	t.Logf("%v, %d met a connection that was closed", statuses(all), met)
}
