package keystest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// strict serves, and fails the test with whatever serve says was asked wrongly.
func strict(t testing.TB, serve func(w http.ResponseWriter, r *http.Request) (fault string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := serve(w, r); fault != "" {
			t.Errorf("the double was asked wrongly: %s", fault)
		}
	})
}

// A cloud is what the doubles of services with hosts of their own have in common.
type cloud struct {
	// Transport brings every request, of whatever host, to it.
	Transport http.RoundTripper

	mu    sync.Mutex
	fails int // the status that every call of a key gets
	key   cipher.AEAD
}

// start has the double served by serve, with a new key.
func (c *cloud) start(t testing.TB, serve func(w http.ResponseWriter, r *http.Request) (fault string)) {
	c.key = newVersion()
	s := httptest.NewTLSServer(strict(t, serve))
	t.Cleanup(s.Close)
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c.Transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
		},
	}
}

// Fail has every call of a key answered with that status; 0: no more.
func (c *cloud) Fail(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = status
}

// A server is what the doubles of Vault have in common.
type server struct {
	*httptest.Server

	mu     sync.Mutex
	calls  map[string]int
	faults []string
}

// start has the double served by serve. What Vault would not have understood fails the
// test at its end.
func (s *server) start(t testing.TB, serve http.HandlerFunc) {
	s.calls = map[string]int{}
	s.Server = httptest.NewServer(serve)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		for _, f := range s.faults {
			t.Error("the double was asked wrongly: " + f)
		}
	})
}

// Calls tells how often something was asked.
func (s *server) Calls(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[what]
}

func (s *server) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// path is what is asked for, below the version of the interface.
func (s *server) path(r *http.Request) string {
	if r.Header.Get("X-Vault-Request") != "true" {
		s.fault("%s %s without X-Vault-Request", r.Method, r.URL)
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok || strings.Contains(path, "//") {
		s.fault("%s", r.URL)
	}
	return path
}

// cut ends the connection within an answer.
func cut(w http.ResponseWriter, begun string) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, begun)
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close()
	}
}

// answer writes a body in JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// refuse answers an error as Vault does.
func refuse(w http.ResponseWriter, status int, said ...string) {
	answer(w, status, map[string]any{"errors": append([]string{}, said...)})
}

// newVersion makes a key of a service.
func newVersion() cipher.AEAD {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, _ := aes.NewCipher(key)                 // 32 bytes are a key
	aead, _ := cipher.NewGCMWithRandomNonce(block) // AES is what it wants
	return aead
}

func seal(key cipher.AEAD, plain []byte) []byte {
	return key.Seal(nil, nil, plain, nil) //nolint:gosec // no nonce is given: NewGCMWithRandomNonce takes none
}

// open gives what was sealed; false: not by this key.
func open(key cipher.AEAD, sealed []byte) ([]byte, bool) {
	if len(sealed) < key.Overhead() {
		return nil, false
	}
	plain, err := key.Open(nil, nil, sealed, nil)
	return plain, err == nil
}
