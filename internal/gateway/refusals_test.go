package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/store"
)

// policy sets provider_networks as SQL would, and waits until it counts.
func (w *world) networks(value string) {
	w.t.Helper()
	before := w.live.Generation()
	err := w.live.DB.Tx(tenure.Everywhere(context.Background()), func(ctx context.Context, tx *store.Tx) error {
		return tx.SetPolicy(ctx, tenure.DefaultTenant, "provider_networks", value, "test")
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for w.live.Generation() == before {
		time.Sleep(time.Millisecond)
	}
}

// A policy that closes this machine's networks counts for the next request, though a
// connection is open; whoever asks is not told the address, and does not
// wait until it is told: once, unless that failed.
func TestPolicyClosesNetworks(t *testing.T) {
	_, _, url := simulate(t)
	w := newWorld(t, url)
	var told atomic.Int32
	busy, failed := make(chan struct{}), make(chan struct{})
	w.gateway.OnRefused(func(_ context.Context, p tenure.Provider, why *egress.Refused) error {
		if p.Name != "up" || why.Needs != tenure.EgressLoopback {
			return nil
		}
		if told.Add(1) > 1 {
			return nil
		}
		<-busy
		defer close(failed)
		return errors.New("the database is away")
	})
	ask := func() (int, string) {
		res := w.post("/v1/chat/completions", `{"model":"up/sim-gpt-4o","messages":[{"role":"user","content":"hi"}]}`)
		return res.StatusCode, text(t, res)
	}
	if status, body := ask(); status != http.StatusOK {
		t.Fatal(status, body)
	}
	w.networks("private")
	for range 3 {
		if status, body := ask(); status != http.StatusBadGateway || !strings.Contains(body, "provider_address_refused") || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%d %s", status, body)
		}
	}
	if told.Load() != 1 {
		t.Errorf("told %d times", told.Load())
	}
	close(busy)
	<-failed
	for deadline := time.Now().Add(10 * time.Second); told.Load() < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		ask()
	}
	for range 3 {
		ask()
	}
	if told.Load() != 2 {
		t.Errorf("told %d times, once again wanted after it failed", told.Load())
	}
	w.networks("loopback")
	if status, body := ask(); status != http.StatusOK {
		t.Error(status, body)
	}
}
