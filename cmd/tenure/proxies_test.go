package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/simulator"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// forgeries are the ways in which a client says who it is under a header that is the
// proxy's, or has the proxy drop its own.
func forgeries(name string) [][]string {
	const root = "root@example.com"
	header, lower := name+": "+root, strings.ToLower(name)
	out := [][]string{
		{header},
		{header, header},
		{lower + ": " + root},
		{strings.ToUpper(name) + ": " + root},
		{header, lower + ": alice@example.com"},
		{name + ": alice@example.com, " + root},
		{name + ":"},
		{"Connection: " + name, header},
		{"Connection: close, " + lower, header},
		{"Connection: " + name},
		{"Connection:", "Connection: " + name},
		{"X-Other: y\r\n " + header},
		{"X-Other: y\n" + header},
		{"X-Other: y\r" + header},
		{name + ":\r\n " + root},
		{name + " : " + root},
		{"\t" + header},
		{" " + header},
		{name + ": \t" + root + "\t"},
		{name + ": ｒoot@example.com"},
		{"X-Forwarded-User: " + root, "X-Auth-Request-Email: " + root, "Remote-User: " + root},
	}
	for _, spelling := range []string{
		strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.ReplaceAll(lower, "-", "_"),
		strings.Replace(name, "-", "_", 1), strings.Replace(name, "-", ".", 1), "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
	} {
		out = append(out, []string{spelling + ": " + root}, []string{header, spelling + ": " + root})
	}
	return out
}

// checkIdentity demands that what has come through says want under a name, and
// nothing else under any spelling of it; want "" is anything once, or nothing.
func checkIdentity(t *testing.T, h http.Header, name, want string, sent []string) {
	t.Helper()
	said := 0
	for got, values := range h {
		if strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(strings.ToLower(got)) != strings.ToLower(name) {
			continue
		}
		for _, value := range values {
			said++
			if got != name || strings.Contains(value, "root") || want != "" && value != want {
				t.Errorf("%q: %s: %q came through", sent, got, value)
			}
		}
	}
	if said > 1 || want != "" && said != 1 {
		t.Errorf("%q: %s came %d times", sent, name, said)
	}
	if values := h["X-Forwarded-For"]; len(values) > 1 || len(values) == 1 && values[0] != "127.0.0.1" {
		t.Errorf("%q: X-Forwarded-For %q came through", sent, values)
	}
}

// recorder stands behind a proxy and remembers the headers that came through.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	came []http.Header
}

// record answers by next.
func record(t *testing.T, next http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.came = append(r.came, req.Header.Clone())
		r.mu.Unlock()
		next(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

// take gives what has come since the last time.
func (r *recorder) take() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	came := r.came
	r.came = nil
	return came
}

// before puts a recorder before a Tenure, which sees every header as the proxy sent it.
func before(t *testing.T, tenure string) *recorder {
	t.Helper()
	target, err := url.Parse(tenure)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host, r.Out.Header["X-Forwarded-For"] = r.In.Host, r.In.Header["X-Forwarded-For"]
		r.Out.Header["X-Forwarded-Proto"] = r.In.Header["X-Forwarded-Proto"]
	}}
	return record(t, pass.ServeHTTP)
}

// Nobody names themselves through nginx with auth_request: the file to copy, and that
// of deploy/compose.
func TestNginxSignIn(t *testing.T) {
	for file, addresses := range map[string][]string{
		"nginx-signin.conf":     {"127.0.0.1:5757"},
		"../compose/nginx.conf": {"tenure1:5757", "tenure2:5757", "tenure3:5757"},
	} {
		t.Run(file, func(t *testing.T) { nginxSignIn(t, file, addresses) })
	}
}

func nginxSignIn(t *testing.T, file string, addresses []string) {
	t.Helper()
	asked := record(t, func(w http.ResponseWriter, r *http.Request) { // in the place of oauth2-proxy
		if r.Header.Get("Cookie") != "signed-in=alice" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Auth-Request-Email", "alice@example.com")
		w.WriteHeader(http.StatusAccepted)
	})
	home := t.TempDir()
	p := serve(t, home, processEnv(home, "TENURE_PUBLIC_URL=http://127.0.0.1", "TENURE_TRUSTED_PROXIES=127.0.0.1"))
	behind := before(t, p.url)
	pairs := []string{map[bool]string{true: "127.0.0.1:4180", false: "oauth2-proxy:4180"}[len(addresses) == 1], strings.TrimPrefix(asked.URL, "http://")}
	for _, address := range addresses {
		pairs = append(pairs, address, strings.TrimPrefix(behind.URL, "http://"))
	}
	at := nginx(t, file, pairs...)

	res, err := request{"GET", "/api/v1/me", []string{"Cookie: signed-in=alice"}, ""}.do(at)
	if err != nil || res.StatusCode != 200 || !strings.Contains(res.body, `"alice@example.com"`) {
		t.Fatal(err, res.Status, res.body)
	}
	if res, err = (request{"GET", "/settings", nil, ""}).do(at); err != nil || res.StatusCode != 302 || !strings.Contains(res.Header.Get("Location"), "/oauth2/start") {
		t.Error("who has not signed in is not led there:", err, res.Status)
	}
	if len(behind.take()) != 1 {
		t.Error("Tenure was asked by who has not signed in")
	}
	for _, lines := range forgeries("X-User-Id") {
		for path, want := range map[string]string{"/v1/models": "", "/scim/v2/Users": "", "/api/v1/me": "alice@example.com"} {
			for _, cookie := range []string{"Cookie: signed-in=alice", "Cookie: signed-in=no"} {
				res, err := request{"GET", path, append(lines, cookie, "X-Forwarded-For: 10.9.9.9"), ""}.do(at)
				for _, h := range behind.take() {
					checkIdentity(t, h, "X-User-Id", want, lines)
				}
				if err == nil && (res.StatusCode == 200) != (want != "" && cookie == "Cookie: signed-in=alice") && res.StatusCode != 400 {
					t.Errorf("%q at %s: %s", lines, path, res.Status)
				}
				if strings.Contains(res.body, "root@") {
					t.Errorf("%q at %s: %s", lines, path, res.body)
				}
			}
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		if res, err := (request{"GET", path, []string{"Cookie: signed-in=alice"}, ""}).do(at); err != nil || res.StatusCode != 404 {
			t.Error(path, "is open:", err, res.Status)
		}
	}
}

// passwords are what nginx lets people in by.
const passwords = "alice@example.com:{PLAIN}secret\n"

// basic is her sign-in: alice@example.com:secret.
const basic = "Authorization: Basic YWxpY2VAZXhhbXBsZS5jb206c2VjcmV0"

// replicas runs nginx with deploy/proxies/nginx-replicas.conf before three servers.
func replicas(t *testing.T, servers [3]string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(file, []byte(passwords), 0o600); err != nil {
		t.Fatal(err)
	}
	pairs := []string{"/etc/nginx/tenure.htpasswd", file}
	for i, server := range servers {
		pairs = append(pairs, fmt.Sprintf("127.0.0.1:%d", 5757+i), strings.TrimPrefix(server, "http://"))
	}
	return nginx(t, "nginx-replicas.conf", pairs...)
}

// What nginx before three replicas does with requests, streams and identities.
func TestNginxReplicas(t *testing.T) {
	hold := make(chan struct{})
	var release sync.Once
	t.Cleanup(func() { release.Do(func() { close(hold) }) })
	var broken sync.Map
	var servers [3]string
	var all [3]*recorder
	for i := range servers {
		all[i] = record(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case func() bool { _, is := broken.Load(i); return is }():
				w.WriteHeader(http.StatusServiceUnavailable)
			case r.URL.Path == "/v1/stream":
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				<-hold
			case r.Header.Get("Upgrade") != "" && strings.EqualFold(r.Header.Get("Connection"), "upgrade"):
				conn, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return
				}
				defer conn.Close()
				fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
				_ = rw.Flush()
				_, _ = io.CopyN(conn, rw, 5)
			default:
				fmt.Fprint(w, i)
			}
		})
		servers[i] = all[i].URL
	}
	at := replicas(t, servers)
	came := func() (headers []http.Header) {
		for _, r := range all {
			headers = append(headers, r.take()...)
		}
		return headers
	}

	t.Run("nobody names themselves", func(t *testing.T) {
		for _, lines := range forgeries("X-User-Id") {
			for path, want := range map[string]string{"/v1/models": "", "/scim/v2/Users": "", "/settings": "alice@example.com"} {
				_, _ = request{"GET", path, append(lines, basic, "X-Forwarded-For: 10.9.9.9", "Forwarded: for=10.9.9.9"), ""}.do(at)
				for _, h := range came() {
					checkIdentity(t, h, "X-User-Id", want, lines)
					if h.Get("Forwarded") != "" || want != "" && h.Get("Authorization") != "" {
						t.Errorf("%q: %v", lines, h)
					}
				}
			}
		}
		for path, want := range map[string]int{"/settings": 401, "/metrics": 404, "/healthz": 404, "/readyz": 404} {
			if res, err := (request{"GET", path, nil, ""}).do(at); err != nil || res.StatusCode != want || len(came()) != 0 {
				t.Error(path, err, res.Status)
			}
		}
	})

	t.Run("a stream goes through at once, and three go to three replicas", func(t *testing.T) {
		went := map[string]bool{}
		for range all {
			s, err := openStream(at, request{"GET", "/v1/stream", nil, ""})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // were it by turns, the next stream would come to the same one
				if _, err := (request{"GET", "/v1/models", nil, ""}).do(at); err != nil {
					t.Fatal(err)
				}
			}
			went[regexp.MustCompile(`data: (\d)`).FindString(s.out.String())] = true
		}
		if len(went) != 3 {
			t.Errorf("they went to %v", went)
		}
		release.Do(func() { close(hold) })
	})

	t.Run("a WebSocket is opened", func(t *testing.T) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(requestWait))
		fmt.Fprint(conn, "GET /v1/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, X-User-Id\r\nUpgrade: websocket\r\nX-User-Id: root\r\n\r\n")
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(err, res)
		}
		fmt.Fprint(conn, "hello")
		echo := make([]byte, 5)
		if _, err := io.ReadFull(r, echo); err != nil || string(echo) != "hello" {
			t.Error(err, string(echo))
		}
		for _, h := range came() {
			checkIdentity(t, h, "X-User-Id", "", []string{"with Upgrade"})
			if h.Get("X-User-Id") != "" {
				t.Error("a client names itself as it opens a WebSocket")
			}
		}
	})

	t.Run("a replica that is gone or has no database is passed over", func(t *testing.T) {
		broken.Store(0, true)
		all[1].Close()
		for range 20 {
			if res, err := (request{"GET", "/v1/models", nil, ""}).do(at); err != nil || res.StatusCode != 200 || res.body != "2" {
				t.Fatal(err, res.Status, res.body)
			}
		}
	})

	t.Run("where all have no database, one that may go on is still asked", func(t *testing.T) {
		broken.Store(2, true)
		for range 10 { // none is left alone for these, and nobody is answered in their place
			if res, err := (request{"GET", "/v1/models", nil, ""}).do(at); err != nil || res.StatusCode != 503 {
				t.Fatal(err, res.Status, res.body)
			}
		}
		broken.Delete(2)
		if res, err := (request{"GET", "/v1/models", nil, ""}).do(at); err != nil || res.StatusCode != 200 {
			t.Fatal(err, res.Status, res.body)
		}
	})
}

// Three replicas on one PostgreSQL behind nginx, as docs/guides/scale.md has them: a
// token is made by one, used at each, and ended everywhere.
func TestThreeReplicas(t *testing.T) {
	database, _ := storetest.Postgres(t)
	const key = "a-provider-key-for-tests"
	model := httptest.NewServer((&simulator.Server{Key: key, Faults: true}).Handler())
	t.Cleanup(model.Close)
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "master.key"), []byte(strings.Repeat("QUJD", 10)+"QUI=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var servers [3]string
	var processes [3]*process
	var failed [3]error
	var starting sync.WaitGroup
	for i := range servers { // at once, on a database that nobody has served from
		starting.Go(func() {
			processes[i], failed[i] = start(home, processEnv(filepath.Join(home, fmt.Sprint(i)),
				"TENURE_DATABASE_URL="+database, "TENURE_KEY_URL=file:"+filepath.Join(home, "master.key"),
				"TENURE_PUBLIC_URL=http://127.0.0.1", "TENURE_TRUSTED_PROXIES=127.0.0.1", "OPENAI_API_KEY="+key, "OPENAI_BASE_URL="+model.URL+"/v1"), serveReady, "serve")
		})
	}
	starting.Wait()
	for i, p := range processes {
		if failed[i] != nil {
			t.Fatal(failed[i])
		}
		t.Cleanup(func() { _ = p.kill() })
		servers[i] = p.url
	}
	at := replicas(t, servers)
	res, err := request{"POST", "/api/v1/tokens", []string{basic}, `{"name":"x","scopes":["chat"]}`}.do(at)
	if err != nil || res.StatusCode != 201 {
		t.Fatal(err, res.Status, res.body)
	}
	pat := regexp.MustCompile(`tpat_\w+`).FindString(res.body)
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(res.body)[1]

	var streams []*stream
	for range 3 { // least_conn: one on each
		s, err := openStream(at, chat(pat, true, longPrompt))
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	if res, err = (request{"DELETE", "/api/v1/tokens/" + id, []string{basic}, ""}).do(at); err != nil || res.StatusCode != 204 {
		t.Fatal(err, res.Status, res.body)
	}
	revoked := time.Now()
	for _, s := range streams {
		select {
		case <-s.ended:
		case <-time.After(5 * time.Second):
			t.Fatal("a stream outlives its token")
		}
		if late := s.at.Sub(revoked); late > time.Second || !strings.Contains(s.out.String(), "access_revoked") {
			t.Errorf("a stream ended after %s:\n%s", late, s.out.String())
		}
	}
	for _, server := range servers {
		if res, err := chat(pat, false, "hello").do(server); err != nil || res.StatusCode != 401 {
			t.Error("a replica takes a token that has ended:", err, res.Status)
		}
	}

	// A replica leaves and comes back, and nobody notices.
	for _, p := range processes {
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if res, err := (request{"GET", "/api/v1/me", []string{basic}, ""}).do(at); err != nil || res.StatusCode != 200 {
				t.Fatal(err, res.Status, res.body)
			}
		}
		p.cmd.Env = append(p.cmd.Env, "TENURE_LISTEN="+strings.TrimPrefix(p.url, "http://"))
		serve(t, home, p.cmd.Env)
	}
}
