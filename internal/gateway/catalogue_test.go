package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// provider is a vault whose workspace "default" has one provider, "up".
func provider(t testing.TB, url string) *vault.Vault {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	db, err := store.OpenSQLite(ctx, filepath.Join(dir, "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	key, err := vault.OpenKey(ctx, db, vault.KeyURLs{Present: "file:" + filepath.Join(dir, "master.key")}, keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &live.Live{DB: db, Forget: func(store.Change) {}, Options: live.Options{Now: time.Now}}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	v := &vault.Vault{DB: db, Live: l, Key: key}
	if err := v.Seed(ctx, []vault.Spec{{Name: "up", Kind: tenure.OpenAI, BaseURL: url, Key: tenure.NewSecret("k")}}); err != nil {
		t.Fatal(err)
	}
	return v
}

// One unknown name, and a provider that does not answer, hold up nobody who asks
// for what is known; and what was known stays known.
func TestSlowListHoldsUpNobody(t *testing.T) {
	var asked atomic.Int32
	hang := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"known"}]}`)
	}))
	defer up.Close()
	ctx := context.Background()
	c := newCatalogue(provider(t, up.URL), &rota{next: http.DefaultTransport}, slog.New(slog.DiscardHandler))
	c.lookAgain = 0
	s := &tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.find(ctx, p, tenure.OpenAI, "known"); err != nil {
		t.Fatal(err)
	}
	unknown := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := c.find(ctx, p, tenure.OpenAI, "unknown")
			unknown <- err
		}()
	}
	for asked.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := c.find(soon, p, tenure.OpenAI, "known"); err != nil {
		t.Errorf("a known model waits for the list: %v", err)
	}
	close(hang)
	for range 2 { // the only provider's list cannot be had: it may have the model
		if err := <-unknown; err != nil {
			t.Errorf("an unknown model: %v", err)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("the provider was asked %d times", asked.Load())
	}
	if _, err := c.find(ctx, p, tenure.OpenAI, "known"); err != nil {
		t.Errorf("after a failed renewal: %v", err)
	}
}

// refusing is a transport to where nothing connects any more once it is set.
type refusing struct{ atomic.Bool }

func (r *refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.Load() {
		return nil, &egress.Refused{Host: req.URL.Host}
	}
	return http.DefaultTransport.RoundTrip(req)
}

// A provider that may not be where it is any more has no models, though it had.
func TestWhatIsRefusedIsNotListed(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":[{"id":"known"}]}`)
	}))
	defer up.Close()
	closed := &refusing{}
	c := newCatalogue(provider(t, up.URL), &rota{next: closed}, slog.New(slog.DiscardHandler))
	c.lookAgain = 0
	s := &tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.models(t.Context(), p, tenure.OpenAI); err != nil || len(got) != 1 {
		t.Fatalf("%v (%v)", got, err)
	}
	closed.Store(true)
	if _, err := c.find(t.Context(), p, tenure.OpenAI, "new"); err != nil { // which makes for a new look
		t.Fatal(err)
	}
	if got, err := c.models(t.Context(), p, tenure.OpenAI); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("%v (%v), want Unavailable", got, err)
	}
}

// An exception of one tenant makes no other ask its providers for their lists anew.
func TestAnExceptionIsOneTenants(t *testing.T) {
	var asked atomic.Int32
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, `{"data":[{"id":"listed"}]}`)
	}))
	defer up.Close()
	c := newCatalogue(provider(t, up.URL), &rota{next: http.DefaultTransport}, slog.New(slog.DiscardHandler))
	s := &tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		of   string
		want int32
	}{{"", 1}, {"other", 1}, {string(tenure.DefaultTenant), 2}} {
		c.forget("exception", step.of)
		if _, err := c.find(t.Context(), p, tenure.OpenAI, "listed"); err != nil || asked.Load() != step.want {
			t.Errorf("after one of %q: asked %d times, want %d (%v)", step.of, asked.Load(), step.want, err)
		}
	}
}

// Without a list from anybody, nobody knows what there is: that is no empty list.
func TestNoListIsNotAnEmptyOne(t *testing.T) {
	var works atomic.Bool
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !works.Load() {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"known"}]}`)
	}))
	defer up.Close()
	c := newCatalogue(provider(t, up.URL), &rota{next: http.DefaultTransport}, slog.New(slog.DiscardHandler))
	s := &tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.models(t.Context(), p, tenure.OpenAI); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("%v, want Unavailable", err)
	}
	if got, err := c.models(t.Context(), p, tenure.Anthropic); err != nil || len(got) != 0 {
		t.Errorf("of a kind that the workspace has no provider of: %v (%v)", got, err)
	}
	works.Store(true)
	c.lookAgain = 0
	if got, err := c.models(t.Context(), p, tenure.OpenAI); err != nil || len(got) != 1 {
		t.Errorf("%v (%v), want what came back", got, err)
	}
}
