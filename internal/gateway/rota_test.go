package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/secretref"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// An upstream whose keys each have an answer, and which remembers who asked.
type keyed struct {
	mu      sync.Mutex
	answers map[string]func(http.ResponseWriter)
	asked   []string // keys of requests to models
	bodies  []string
}

func (k *keyed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	text, _ := io.ReadAll(r.Body)
	k.mu.Lock()
	answer := k.answers[key]
	if r.Method == http.MethodPost {
		k.asked, k.bodies = append(k.asked, key), append(k.bodies, string(text))
	}
	k.mu.Unlock()
	switch {
	case r.Method == http.MethodGet:
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model"}]}`)
	case answer != nil:
		answer(w)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
	}
}

func (k *keyed) set(key string, answer func(http.ResponseWriter)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answers[key] = answer
}

// took gives which keys were asked with since the last look.
func (k *keyed) took() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer func() { k.asked = nil }()
	return strings.Join(k.asked, " ")
}

func refuse(status int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":{"message":"no"}}`)
	}
}

// newKeyed is a world whose provider has the key "first", and others as they are given.
func newKeyed(t *testing.T, others ...tenure.ProviderKey) (*world, *keyed) {
	t.Helper()
	up := &keyed{answers: make(map[string]func(http.ResponseWriter))}
	srv := httptest.NewServer(up)
	t.Cleanup(srv.Close)
	w := newWorld(t, srv.URL)
	ctx := tenure.Everywhere(t.Context())
	providers, err := w.vault.Providers(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace)
	if err != nil {
		t.Fatal(err)
	}
	seal, err := w.vault.Key.Sealer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range providers {
		if p.Name != "up" {
			continue
		}
		err := w.vault.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for _, k := range others {
				k.ID, k.Tenant, k.Workspace, k.Provider, k.Version, k.State, k.CreatedAt = tenure.KeyID(tenure.NewID(tx.Now())), p.Tenant, p.Workspace, p.ID, 1, tenure.KeyActive, tx.Now()
				sealed, err := seal(tenure.NewSecret(k.Name), store.BoundKey(k))
				if err == nil {
					err = tx.InsertProviderKey(ctx, k, sealed)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.vault.Forget(store.Change{})
		w.gateway.OnKey(func(ctx context.Context, p tenure.Provider, key tenure.KeyID, accepted bool) error {
			err := w.vault.Judged(ctx, p, key, accepted)
			if err != nil {
				t.Log(err)
			}
			return err
		})
	}
	return w, up
}

func (w *world) askM(t *testing.T) (int, string) {
	t.Helper()
	res := w.post("/v1/chat/completions", `{"model":"up/m","messages":[{"role":"user","content":"hello"}]}`)
	return res.StatusCode, text(t, res)
}

// Before the first byte the next key is tried, with the whole body again; what failed is
// passed over for a while; what is told is what helps the caller most.
func TestFallsBackToAnotherKey(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second func(http.ResponseWriter)
		status        int
		text          string
		asked, then   string // with which keys: the first request, the second
	}{
		"well":                 {nil, nil, 200, "chat.completion", "first", "first"},
		"401":                  {refuse(401), nil, 200, "chat.completion", "first second", "second"},
		"403 may be the model": {refuse(403), nil, 200, "chat.completion", "first second", "first second"},
		"429":                  {refuse(429), nil, 200, "chat.completion", "first second", "second"},
		"500":                  {refuse(500), nil, 200, "chat.completion", "first second", "second"},
		"529":                  {refuse(529), nil, 200, "chat.completion", "first second", "second"},
		"400 is the caller's":  {refuse(400), nil, 400, `"no"`, "first", "first"},
		"all 401":              {refuse(401), refuse(401), 502, "provider_refused_key", "first second", "first"},
		"429, then 401":        {refuse(429, "Retry-After", "7"), refuse(401), 429, `"no"`, "first second", "first"},
		"401, then 500":        {refuse(401), refuse(500), 500, `"no"`, "first second", "second"},
	} {
		t.Run(name, func(t *testing.T) {
			w, up := newKeyed(t, tenure.ProviderKey{Name: "second", Position: 2, Weight: 1})
			up.set(providerKey, tt.first)
			up.set("second", tt.second)
			named := strings.NewReplacer(providerKey, "first")
			status, body := w.askM(t)
			if asked := named.Replace(up.took()); status != tt.status || !strings.Contains(body, tt.text) || asked != tt.asked {
				t.Errorf("%d %q, asked with %q; want %d %q with %q", status, body, asked, tt.status, tt.text, tt.asked)
			}
			w.askM(t)
			if asked := named.Replace(up.took()); asked != tt.then {
				t.Errorf("then asked with %q, want %q", asked, tt.then)
			}
			for _, b := range up.bodies {
				if !strings.Contains(b, `"content":"hello"}]}`) {
					t.Errorf("sent %q", b)
				}
			}
			if strings.Contains(w.log.String(), providerKey) {
				t.Error("the key is in the log")
			}
		})
	}
}

// A stream that breaks off is not begun anew with another key.
func TestNothingIsTriedAgainAfterTheFirstByte(t *testing.T) {
	w, up := newKeyed(t, tenure.ProviderKey{Name: "second", Position: 2, Weight: 1})
	up.set(providerKey, func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	res := w.post("/v1/chat/completions", `{"model":"up/m","stream":true,"messages":[{"role":"user","content":"hello"}]}`)
	got := text(t, res)
	if asked := up.took(); asked != providerKey || !strings.Contains(got, `"content":"a"`) {
		t.Errorf("asked with %q, got %q", asked, got)
	}
}

// Keys of the same place are used by their weights.
func TestKeysOfOnePlaceShareByWeight(t *testing.T) {
	w, up := newKeyed(t, tenure.ProviderKey{Name: "second", Position: 1, Weight: 3})
	const all = 200
	for range all {
		if status, body := w.askM(t); status != http.StatusOK {
			t.Fatal(status, body)
		}
	}
	if n := strings.Count(up.took(), "second"); n < all/2 || n > all*95/100 {
		t.Errorf("%d of %d with the key of three quarters", n, all)
	}
}

// That a key is not accepted any more is written down once, and that it is again.
func TestRefusedKeyIsAudited(t *testing.T) {
	w, up := newKeyed(t)
	events := func() string {
		var all []string
		ctx := tenure.Everywhere(t.Context())
		list, err := w.vault.DB.AuditEvents(ctx, store.AuditFilter{Tenant: tenure.DefaultTenant, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if strings.HasPrefix(e.Action, "provider.key_") {
				all = append(all, e.Action+" "+e.Object+" "+e.Detail["key"])
			}
		}
		return strings.Join(all, ", ")
	}
	await := func(want string) {
		t.Helper()
		for range 500 {
			if events() == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s; want %s", events(), want)
	}
	up.set(providerKey, refuse(401))
	for range 3 {
		w.askM(t)
	}
	await("provider.key_refused up default")
	up.set(providerKey, nil)
	w.askM(t)
	await("provider.key_accepted up default, provider.key_refused up default")
}

// An answer to a request that was sent before a key failed does not make it well.
func TestAnOlderAnswerDoesNotMakeAKeyWell(t *testing.T) {
	w, up := newKeyed(t, tenure.ProviderKey{Name: "second", Position: 2, Weight: 1})
	asked, release := make(chan struct{}), make(chan struct{})
	up.set(providerKey, func(w http.ResponseWriter) {
		close(asked)
		<-release
		_, _ = io.WriteString(w, `{"object":"chat.completion"}`)
	})
	slow := make(chan int, 1)
	go func() {
		status, _ := w.askM(t)
		slow <- status
	}()
	<-asked
	up.set(providerKey, refuse(429, "Retry-After", "60"))
	if status, _ := w.askM(t); status != http.StatusOK {
		t.Errorf("%d", status)
	}
	close(release)
	if status := <-slow; status != http.StatusOK {
		t.Errorf("the slow one: %d", status)
	}
	up.took()
	w.askM(t)
	if asked := up.took(); asked != "second" {
		t.Errorf("asked with %q", asked)
	}
}

// That a key is accepted again is told, also by a process that did not see it refused, and
// also where that cannot be written down at first.
func TestAcceptedAgainIsTold(t *testing.T) {
	w, up := newKeyed(t)
	ctx := tenure.Everywhere(t.Context())
	providers, err := w.vault.Providers(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(providers, func(p tenure.Provider) bool { return p.Name == "up" })
	keys, err := w.vault.Keys(ctx, tenure.DefaultTenant, providers[i].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.vault.Judged(ctx, providers[i], keys[0].ID, false); err != nil {
		t.Fatal(err)
	}
	w.vault.Forget(store.Change{})
	told := make(chan bool, 100)
	var failed atomic.Bool
	w.gateway.OnKey(func(_ context.Context, _ tenure.Provider, _ tenure.KeyID, accepted bool) error {
		told <- accepted
		if failed.CompareAndSwap(false, true) {
			return errors.New("the database is away")
		}
		return nil
	})
	for range 2 {
		for end := time.Now().Add(10 * time.Second); len(told) == 0; time.Sleep(50 * time.Millisecond) {
			if w.askM(t); time.Now().After(end) {
				t.Fatal("nobody was told")
			}
		}
		if accepted := <-told; !accepted {
			t.Error("told that it is refused")
		}
	}
	if strings.Contains(up.took(), "second") {
		t.Error("there is no second key")
	}
}

// A key that is kept elsewhere and was rotated there is had anew by the request that is
// refused with the one before, and not by each of many that are.
func TestAKeyThatWasRotatedElsewhereIsHadAnew(t *testing.T) {
	w, up := newKeyed(t)
	dir := t.TempDir()
	put := func(key string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "key"), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.vault.Secrets = &secretref.Resolver{
		Allow: secretref.Rules{tenure.DefaultTenant: {"file://" + dir + "/"}}, Now: time.Now, Systems: map[string]secretref.System{secretref.SchemeFile: &secretref.Files{}},
	}
	ctx := tenure.Everywhere(t.Context())
	have, err := w.vault.Providers(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace)
	if err != nil {
		t.Fatal(err)
	}
	operator := w.operator()
	put("sk-before")
	if _, err := w.vault.Add(ctx, operator, vault.Spec{Name: "kept", Kind: tenure.OpenAI, BaseURL: have[0].BaseURL, KeyReference: "file://" + dir + "/key"}); err != nil {
		t.Fatal(err)
	}
	w.vault.Forget(store.Change{})
	ask := func() int {
		res := w.post("/v1/chat/completions", `{"model":"kept/m","messages":[{"role":"user","content":"hello"}]}`)
		text(t, res)
		return res.StatusCode
	}
	if status, with := ask(), up.took(); status != http.StatusOK || with != "sk-before" {
		t.Errorf("%d with %s", status, with)
	}
	up.set("sk-before", refuse(http.StatusUnauthorized))
	put("sk-after")
	if status, with := ask(), up.took(); status != http.StatusOK || with != "sk-before sk-after" {
		t.Errorf("rotated: %d with %s", status, with)
	}
	if status, with := ask(), up.took(); status != http.StatusOK || with != "sk-after" {
		t.Errorf("the next request: %d with %s", status, with)
	}
	up.set("sk-after", refuse(http.StatusUnauthorized))
	for range 3 {
		if status, with := ask(), up.took(); status != http.StatusBadGateway || with != "sk-after" {
			t.Errorf("refused for good: %d with %s", status, with)
		}
	}
	for _, b := range up.bodies {
		if !strings.Contains(b, `"content":"hello"}]}`) {
			t.Errorf("sent %q", b)
		}
	}
}
