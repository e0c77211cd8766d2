package gateway_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// TestProviderHeadersReachIt: a provider gets its headers with whatever is asked of it: with
// the list of models, with requests, with each key that is tried. They win over the
// caller's; the key wins over all; and what only the database holds against the wall is
// not sent.
func TestProviderHeadersReachIt(t *testing.T) {
	var mu sync.Mutex
	var got []http.Header
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = append(got, r.Header.Clone())
		mu.Unlock()
		switch {
		case strings.HasSuffix(r.URL.Path, "/models"):
			_, _ = w.Write([]byte(`{"data":[{"id":"sim-claude"}]}`))
		case r.Header.Get("X-Api-Key") == providerKey:
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			_, _ = w.Write([]byte(`{}`))
		}
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, up.URL)
	w.vault.Asserted = []string{"X-Login"}
	rows, err := w.vault.Providers(t.Context(), tenure.DefaultTenant, tenure.DefaultWorkspace)
	if err != nil {
		t.Fatal(err)
	}
	claude := rows[slices.IndexFunc(rows, func(p tenure.Provider) bool { return p.Kind == tenure.Anthropic })]
	headers := map[string]string{"anthropic-beta": "ours", "Anthropic-Version": "2099-01-01", "X-Tier": "gold"}
	p, err := w.vault.Change(t.Context(), w.operator(), claude.ID, vault.ProviderChange{Headers: &headers})
	if err != nil {
		t.Fatal(err)
	}
	spare := vault.NewKey{Name: "spare", Secret: tenure.NewSecret("a-spare-key-for-tests-0123"), Arrangement: vault.Arrangement{Position: new(2)}}
	if _, err := w.vault.Rotate(t.Context(), w.operator(), claude.ID, spare, vault.Taking{Unchecked: true}); err != nil {
		t.Fatal(err)
	}
	byHand := []tenure.ProviderHeader{{Name: "X-User-Id", Value: "mallory"}, {Name: "x_login", Value: "mallory"}, {Name: "X-Api-Key", Value: "theirs"}}
	if err := w.vault.DB.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.SetProviderHeaders(ctx, claude.Tenant, claude.ID, append(byHand, p.Headers...))
	}); err != nil {
		t.Fatal(err)
	}
	w.gateway.Forget("provider", "")
	res := w.post("/v1/messages", `{"model":"claude/sim-claude","max_tokens":5,"messages":[]}`, "Anthropic-Beta", "theirs", "Anthropic-Version", "2023-06-01", "X-Tier", "lead")
	if answer := text(t, res); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, answer)
	}
	mu.Lock()
	defer mu.Unlock()
	seen := 0
	for _, h := range got {
		if strings.HasPrefix(h.Get("Authorization"), "Bearer ") {
			continue // the list of the other provider
		}
		seen++
		if !slices.Equal(h["Anthropic-Beta"], []string{"ours"}) || h.Get("Anthropic-Version") != "2099-01-01" || h.Get("X-Tier") != "gold" {
			t.Errorf("the provider got %v", h)
		}
		if h.Get("X-User-Id") != "" || h["X_login"] != nil || h.Get("X-Api-Key") == "theirs" {
			t.Errorf("the provider got %v", h)
		}
	}
	if seen < 3 {
		t.Errorf("it was asked %d times; want its list, and both keys", seen)
	}
	if log := w.log.String(); !strings.Contains(log, "x_login") || !strings.Contains(log, "X-User-Id") {
		t.Errorf("nobody is told: %s", log)
	}
}

// TestProviderHeadersCostNothing: what every request gets is prepared once.
func TestProviderHeadersCostNothing(t *testing.T) {
	own, _ := vault.Outside{}.Sends(tenure.Provider{Headers: []tenure.ProviderHeader{{Name: "X-Tier", Value: "gold"}}})
	h := http.Header{"X-Tier": nil}
	for name, headers := range map[string][]vault.Header{"none": nil, "one": own} {
		if n := testing.AllocsPerRun(100, func() { vault.Put(h, headers) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
