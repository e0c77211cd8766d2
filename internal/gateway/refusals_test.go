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

// excepted has the provider "up" hang on an exception that ends after a time, as SQL would.
func (w *world) excepted(lasts time.Duration) {
	w.t.Helper()
	low, now := tenure.Risk{Likelihood: "low", Impact: "low"}, time.Now()
	before := w.live.Generation()
	err := w.live.DB.Tx(tenure.Everywhere(context.Background()), func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Providers(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace)
		if err != nil {
			return err
		}
		x := tenure.Exception{
			ID: tenure.ExceptionID(tenure.NewID(now)), Tenant: tenure.DefaultTenant, Title: "x", Rule: tenure.RuleProviderNetwork, Kind: tenure.SubjectProvider, Before: low, After: low,
			From: now.Add(-time.Minute), ExpiresAt: now.Add(lasts), RemedyBy: now, RequestedAt: now,
		}
		for _, p := range rows {
			if p.Name == "up" {
				x.Subject = string(p.ID)
			}
		}
		approved := x
		approved.Decider, approved.DecidedAt = "somebody", now
		return errors.Join(tx.InsertException(ctx, x), tx.ApproveException(ctx, approved), tx.SetProviderException(ctx, tenure.DefaultTenant, tenure.ProviderID(x.Subject), x.ID))
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for w.live.Generation() == before {
		time.Sleep(time.Millisecond)
	}
}

// A provider is asked by its exception, and no other with it; after its end it is not,
// though nothing was told and a connection to it was there a moment ago.
func TestAProviderByItsException(t *testing.T) {
	_, _, url := simulate(t)
	w := newWorld(t, url)
	chat := func() (int, string) {
		res := w.post("/v1/chat/completions", `{"model":"up/sim-gpt-4o","messages":[{"role":"user","content":"hi"}]}`)
		return res.StatusCode, text(t, res)
	}
	if status, body := chat(); status != http.StatusOK {
		t.Fatal(status, body)
	}
	w.networks("")
	if status, body := chat(); status != http.StatusBadGateway || !strings.Contains(body, "provider_address_refused") {
		t.Fatal(status, body)
	}
	w.excepted(2 * time.Second)
	deadline := time.Now().Add(20 * time.Second)
	status, body := chat()
	for status != http.StatusOK && time.Now().Before(deadline) { // until the news are heard
		status, body = chat()
	}
	if status != http.StatusOK {
		t.Fatal(status, body)
	}
	if res := w.post("/v1/messages", `{"model":"sim-claude-sonnet","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`); res.StatusCode != http.StatusBadGateway {
		t.Errorf("another provider is let too: %d %s", res.StatusCode, text(t, res))
	}
	for status == http.StatusOK && time.Now().Before(deadline) {
		status, body = chat()
	}
	if status != http.StatusBadGateway || !strings.Contains(body, "provider_address_refused") && !strings.Contains(body, "provider_exception_ended") {
		t.Errorf("after its end: %d %s", status, body)
	}
	for range 3 {
		if status, body = chat(); status != http.StatusBadGateway || !strings.Contains(body, "provider_address_refused") {
			t.Errorf("after its end: %d %s", status, body)
		}
	}
}
