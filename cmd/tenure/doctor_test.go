package main

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A proxy that passes on what clients send under its header is found, in whichever
// spelling it overlooks; one that drops all of them is not.
func TestDoctorTriesTheProxy(t *testing.T) {
	home := t.TempDir()
	server, err := start(home, processEnv(home), serveReady, "serve")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.kill() })
	all := func(h http.Header) {
		for name := range h {
			if strings.EqualFold(strings.ReplaceAll(name, "_", "-"), "x-user-id") {
				delete(h, name)
			}
		}
	}
	for name, c := range map[string]struct {
		drops func(http.Header)
		args  []string
		want  string
	}{
		"passes on": {func(http.Header) {}, nil, "fail  proxy: forged header: anybody can be anybody: X-User-Id of a client reaches Tenure: /api/v1/me as it is"},
		"drops one of two": {func(h http.Header) {
			sent := h["X-User-Id"]
			if all(h); len(sent) > 1 {
				h["X-User-Id"] = sent[1:]
			}
		}, nil, "fail  proxy: forged header: anybody can be anybody: X-User-Id of a client reaches Tenure: /api/v1/me twice"},
		"drops one name": {func(h http.Header) { h.Del("X-User-Id") }, nil, "warn  proxy: forged header: X-User-Id of a client reaches Tenure with underscores, and is refused"},
		"drops all":      {all, nil, "ok    proxy: forged header: X-User-Id of a client is dropped in every spelling (/api/v1/me, /v1/models)"},
		"adds its own":   {func(h http.Header) { h.Add("X-User-Id", "alice@example.com") }, []string{"--header", "Cookie: session=alice"}, "fail  proxy: forged header: "},
		"puts its own there": {func(h http.Header) {
			all(h)
			if h.Get("Cookie") == "session=alice" {
				h.Set("X-User-Id", "alice@example.com")
			}
		}, []string{"--header", "Cookie: session=alice"}, "ok    proxy: forged header: "},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := front(t, server.url, c.drops)
			out := consult(t, home, append(c.args, "--url", proxy)...)
			if !strings.Contains(out, "\n"+c.want) {
				t.Errorf("want %q in\n%s", c.want, out)
			}
		})
	}
	t.Run("answers itself", func(t *testing.T) {
		login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "z") {
				http.Redirect(w, r, "/login", http.StatusFound)
			}
		}))
		defer login.Close()
		if out := consult(t, home, "--url", login.URL); !strings.Contains(out, "\nwarn  proxy: forged header: the proxy answers itself") {
			t.Error(out)
		}
	})
}

// front is a proxy before Tenure. What it does to the header is up to drops.
func front(t *testing.T, backend string, drops func(http.Header)) string {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		drops(r.Out.Header)
	}})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// consult runs the doctor and gives what it says.
func consult(t *testing.T, home string, args ...string) string {
	t.Helper()
	cmd := exec.Command("tenure", append([]string{"doctor"}, args...)...)
	cmd.Env = processEnv(home)
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != exitFailed {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// The certificate must be one that clients trust, and browsers are to insist on it.
// What is not ready is a fault; what a proxy keeps for the inside is none.
func TestDoctorLooksAtTheWay(t *testing.T) {
	home := t.TempDir()
	var well atomic.Bool
	proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !well.Load() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		if r.URL.Path == "/readyz" {
			http.Error(w, "the database is silent", http.StatusServiceUnavailable)
		}
	}))
	defer proxy.Close()
	expect := func(out string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(out, "\n"+want) {
				t.Errorf("want %q in\n%s", want, out)
			}
		}
	}
	expect(consult(t, home, "--url", proxy.URL), "fail  proxy: /healthz: "+proxy.URL+"/healthz: tls: failed to verify certificate")
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	trusting := func() string {
		cmd := exec.Command("tenure", "doctor", "--url", proxy.URL)
		cmd.Env = processEnv(home, "SSL_CERT_FILE="+file)
		out, _ := cmd.Output() // its status is another test's
		return string(out)
	}
	expect(trusting(), "ok    proxy: /healthz: "+proxy.URL+"/healthz answers 404: the proxy keeps it", "ok    proxy: certificate: the certificate ends in ",
		"warn  proxy: hsts: no Strict-Transport-Security", "warn  proxy: forged header: the proxy answers itself")
	well.Store(true)
	expect(trusting(), "ok    proxy: hsts: max-age=31536000", "fail  proxy: /readyz: "+proxy.URL+"/readyz answers 503: the database is silent")
}

// Whatever hangs, the doctor ends.
func TestDoctorEnds(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // takes what is said, and says nothing
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	began := time.Now()
	out := consult(t, t.TempDir(), "--database-url", "postgres://tenure@"+ln.Addr().String()+"/tenure?sslmode=disable", "--url", "http://"+ln.Addr().String())
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, want := range []string{"\nfail  database: ", "\nfail  proxy: /healthz: "} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
}
