package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

// A token is revoked while its request is still on its way in: whatever comes
// afterwards, the provider never hears of it.
func TestRevokeWhileSending(t *testing.T) {
	var asked atomic.Int32
	sim := &simulator.Server{Key: "a-provider-key", Log: func(r simulator.Request) {
		if r.Path == chatPath {
			asked.Add(1)
		}
	}}
	provider := httptest.NewServer(sim.Handler())
	t.Cleanup(provider.Close)
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	settings, db := goHome(t, home)
	p := serve(t, dir, processEnv(home, append(settings, "OPENAI_API_KEY=a-provider-key", "OPENAI_BASE_URL="+provider.URL+"/v1")...))
	minted, err := request{"POST", "/api/v1/tokens", []string{"X-User-Id: alice@example.com"}, `{"name":"Laptop"}`}.do(p.url)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(minted.body, `"token":"`)
	pat, _, _ := strings.Cut(rest, `"`)
	if res, err := chat(pat, false, "Hello").do(p.url); err != nil || res.StatusCode != 200 || asked.Load() != 1 {
		t.Fatalf("before: %s %v, %d asked", res.body, err, asked.Load())
	}

	body := fmt.Sprintf(chatBody, true, "Hello")
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(requestWait))
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: tenure\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		chatPath, pat, len(body), body[:10])
	time.Sleep(settle)
	if _, err := sqlShell(db, "UPDATE api_tokens SET revoked_at = datetime('now')"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	_, _ = io.WriteString(conn, body[10:]) // it may have been refused by now
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Errorf("after the revocation there is no answer: %v", err)
	} else if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 401 || !strings.Contains(string(text), "access_revoked") {
		t.Errorf("after the revocation: %s %s %v", res.Status, text, err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// A backup that comes in slowly holds nobody up: the database is replaced once it is
// there, and what was kept of it meanwhile is gone.
func TestWritesWhileABackupComesIn(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	settings, _ := goHome(t, home)
	const phrase = "correct horse battery staple"
	env := processEnv(home, append(settings, "TENURE_ADMINS=grace@example.com", "TENURE_BACKUP_PASSPHRASE="+phrase)...)
	p := serve(t, dir, env)
	grace := "X-User-Id: grace@example.com"
	if res, err := (request{"GET", "/api/v1/me", []string{grace}, ""}).do(p.url); err != nil || res.StatusCode != 200 {
		t.Fatal(res.body, err)
	}
	create := exec.Command("tenure", "backup", "create", filepath.Join(dir, "whole.age"))
	create.Env = env
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "whole.age"))
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_, _ = form.WriteField("passphrase", phrase), form.WriteField("replace", "true")
	part, _ := form.CreateFormFile("backup", "whole.age")
	_, _ = part.Write(text[:len(text)-100]) // not all of it: whatever the database allows, nothing is replaced
	_ = form.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(requestWait))
	held := body.Len() - 200
	fmt.Fprintf(conn, "POST /api/v1/admin/restore HTTP/1.1\r\nHost: tenure\r\n%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", grace, form.FormDataContentType(), body.Len())
	_, _ = conn.Write(body.Bytes()[:held])
	time.Sleep(2 * time.Second) // to guess the passphrase takes about one
	if res, err := (request{"POST", "/api/v1/tokens", []string{"X-User-Id: alice@example.com"}, `{"name":"Laptop"}`}).do(p.url); err != nil || res.StatusCode != 201 {
		t.Errorf("a token while the backup comes in: %s %v", res.body, err)
	}
	_, _ = conn.Write(body.Bytes()[held:])
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(res.Body); res.StatusCode != 400 && res.StatusCode != 403 { // the role that serves may not on PostgreSQL
		t.Errorf("what was cut short: %s %s", res.Status, text)
	}
	if left, _ := filepath.Glob(filepath.Join(home, "restore-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
