package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// A key is rotated while requests go on, and the one before is revoked at the provider
// as soon as that is done: not one request fails.
func TestRotationUnderTraffic(t *testing.T) {
	const next = "sk-provider-next-0123456789abcdefgh"
	var revoked atomic.Bool
	var withNext, refused atomic.Int64
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") {
		case next:
			withNext.Add(1)
		case providerKey:
			if revoked.Load() {
				refused.Add(1)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
		default:
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/models") {
			_, _ = w.Write([]byte(`{"data":[{"id":"m"}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"choices":[]}`))
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, up.URL)
	guard := &egress.Guard{}
	w.vault.Client = func(allowed tenure.Egress) *http.Client {
		return guard.Client(&http.Transport{DisableKeepAlives: true}, time.Second, false, allowed)
	}
	var asking sync.WaitGroup
	var asked, failed atomic.Int64
	done := make(chan struct{})
	for range 8 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				res, err := http.Post(w.url+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"up/m","messages":[]}`))
				asked.Add(1)
				if err != nil || res.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				if err == nil {
					_ = res.Body.Close()
				}
			}
		})
	}
	until := func(what string, reached func() bool) {
		t.Helper()
		for begin := time.Now(); !reached(); time.Sleep(5 * time.Millisecond) {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("never: %s", what)
			}
		}
	}
	until("requests", func() bool { return asked.Load() > 50 })
	by := w.operator()
	providers, err := w.vault.List(context.Background(), by, "default")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range providers {
		if p.Name == "up" {
			_, err = w.vault.Rotate(context.Background(), by, p.ID, vault.NewKey{Secret: tenure.NewSecret(next)}, vault.Taking{Overlap: time.Hour})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	// What was sent with the key before has arrived.
	upTo := asked.Load() + 50
	until("requests after it", func() bool { return asked.Load() > upTo })
	revoked.Store(true)
	used := withNext.Load()
	until("requests with the new key", func() bool { return withNext.Load() > used+50 })
	close(done)
	asking.Wait()
	if refused.Load() > 0 {
		t.Errorf("%d requests went out with the key before, and came through by another try", refused.Load())
	}
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}
