package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// nginxFrame is what stands around a file of deploy/proxies: on Debian that is
// /etc/nginx/nginx.conf. Every path is inside of its prefix.
const nginxFrame = `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	include site.conf;
}
`

// nginx runs the real nginx with a file of deploy/proxies, and gives its URL. What
// is replaced in the file, in pairs, must be in it. TLS is left out.
func nginx(t *testing.T, file string, replace ...string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // Debian has it where users do not look
	}
	if err != nil {
		t.Fatal("nginx is not installed: scripts/tools installs it")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "proxies", file))
	if err != nil {
		t.Fatal(err)
	}
	at, dir := freeAddress(t), t.TempDir()
	conf := regexp.MustCompile(`(?m)^ *ssl_\w+ .*\n`).ReplaceAllString(string(text), "")
	replace = append(replace, "listen 443 ssl;", "listen "+at+";")
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(conf, replace[i]) {
			t.Fatalf("%s says nothing of %q", file, replace[i])
		}
	}
	conf = strings.NewReplacer(replace...).Replace(conf)
	for name, text := range map[string]string{"nginx.conf": nginxFrame, "site.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log output
	cmd := exec.Command(program, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(startWait); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", at); err == nil {
			_ = conn.Close()
			return "http://" + at
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not answer\n%s", log.String())
		}
	}
}

// freeAddress is one on loopback that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// A backend behind the real nginx learns who asks, and is asked by nobody else.
func TestNginxAuthRequest(t *testing.T) {
	var mu sync.Mutex // what goes through nginx is no order that the race detector knows
	var reached []http.Header
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		reached = append(reached, r.Header.Clone())
	}))
	t.Cleanup(backend.Close)
	home := t.TempDir()
	settings, db := goHome(t, home)
	p := serve(t, home, processEnv(home, settings...))
	gateway, err := serviceToken(db, "nginx", "introspect", "default", "")
	if err != nil {
		t.Fatal(err)
	}
	url := nginx(t, "nginx-forward-auth.conf", "http://127.0.0.1:8080", backend.URL, "http://127.0.0.1:5757", p.url, "tsvc_change-me", gateway)

	chat, chatID := mintFor(t, p, "alice@example.com", "chat")
	models, _ := mintFor(t, p, "alice@example.com", "models")
	ask := func(want int, header ...string) response {
		t.Helper()
		res, err := request{"POST", "/some/path?with=query", header, "a body"}.do(url)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want {
			t.Fatalf("%v: %s, want %d\n%s", header, res.Status, want, res.body)
		}
		return res
	}
	forged := []string{"Tenure-User: root@example.com", "Tenure-Scopes: everything", "Tenure-Gateway-Token: " + gateway}

	ask(200, append(forged, "Authorization: Bearer "+chat)...)
	arrived := func() []http.Header {
		mu.Lock()
		defer mu.Unlock()
		return reached
	}
	if n := len(arrived()); n != 1 {
		t.Fatalf("the backend was reached %d times, not once", n)
	}
	h := arrived()[0]
	if h.Get("Tenure-User") != "alice@example.com" || len(h["Tenure-User"]) != 1 || h.Get("Tenure-Subject") == "" {
		t.Errorf("the backend was told %v", h)
	}
	for _, name := range []string{"Tenure-Scopes", "Tenure-Gateway-Token", "Authorization"} {
		if h.Get(name) != "" {
			t.Errorf("%s reached the backend", name)
		}
	}
	for _, name := range []string{"Tenure-User", "Tenure-Subject", "Tenure-Scopes"} {
		for _, lines := range forgeries(name) {
			before := len(arrived())
			_, _ = request{"POST", "/", append(lines, "Authorization: Bearer "+chat), "a body"}.do(url)
			for _, h := range arrived()[before:] {
				checkIdentity(t, h, name, map[string]string{"Tenure-User": "alice@example.com"}[name], lines)
			}
		}
	}
	ask(200, "X-Api-Key: "+chat)
	if res := ask(401); res.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("without a token: %v", res.Header)
	}
	ask(401, append(forged, "X-User-Id: alice@example.com")...)
	ask(403, "Authorization: Bearer "+models)

	before := len(arrived())
	if res, err := (request{"DELETE", "/api/v1/tokens/" + chatID, []string{"X-User-Id: alice@example.com"}, ""}).do(p.url); err != nil || res.StatusCode != 204 {
		t.Fatal(res.Status, err)
	}
	ask(401, "Authorization: Bearer "+chat)
	if len(arrived()) != before {
		t.Error("the backend was reached with a token that was revoked")
	}

	// A gateway whose own token has ended lets nobody through.
	chat, _ = mintFor(t, p, "alice@example.com", "chat")
	ask(200, "Authorization: Bearer "+chat)
	if res, err := (request{"POST", "/oauth/revoke", []string{"Content-Type: application/x-www-form-urlencoded"}, "token=" + gateway}).do(p.url); err != nil || res.StatusCode != 200 {
		t.Fatal(res.Status, err)
	}
	ask(401, "Authorization: Bearer "+chat)
}

// mintFor makes a token with one scope for somebody, and gives it with its id.
func mintFor(t *testing.T, p *process, user, scope string) (secret, id string) {
	t.Helper()
	res, err := request{"POST", "/api/v1/tokens", []string{"X-User-Id: " + user}, `{"name":"x","scopes":["` + scope + `"]}`}.do(p.url)
	if err != nil || res.StatusCode != 201 {
		t.Fatal(res.Status, err)
	}
	var minted struct{ Token, ID string }
	if err := json.Unmarshal([]byte(res.body), &minted); err != nil {
		t.Fatal(err)
	}
	return minted.Token, minted.ID
}
