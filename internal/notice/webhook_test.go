package notice

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A hook is a real sink: it verifies what it gets, and answers as it is told.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	secret string
	status int
	ids    []string
	events []map[string]any
	faults []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: http.StatusNoContent}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	id, stamp := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(h.secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, id+"."+stamp+"."+string(body))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
		h.faults = append(h.faults, "the signature is wrong")
	}
	if got := r.Header.Get("Content-Type"); r.Method != http.MethodPost || !strings.HasPrefix(got, "application/cloudevents+json") {
		h.faults = append(h.faults, r.Method+" "+got)
	}
	var e map[string]any
	if err := json.Unmarshal(body, &e); err != nil || e["id"] != id || e["specversion"] != "1.0" {
		h.faults = append(h.faults, "this is no event: "+string(body))
	}
	h.ids, h.events = append(h.ids, id), append(h.events, e)
	if h.status == http.StatusFound {
		w.Header().Set("Location", h.URL+"/elsewhere")
	}
	w.WriteHeader(h.status)
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

// got gives how many requests came, and fails on any that was wrong.
func (h *hook) got(t *testing.T) int {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.faults {
		t.Error(f)
	}
	return len(h.ids)
}

// hooked is a bench with a hook and a notice that is owed to it.
func hooked(t *testing.T) (*bench, *hook) {
	t.Helper()
	b, h := open(t), newHook(t)
	secret, err := b.NewSecret(t.Context(), b.super())
	if err != nil {
		t.Fatal(err)
	}
	h.secret = secret.Reveal()
	b.mint("before the webhook", 31*day)
	b.sweep(0)
	b.sweep(2 * day)
	b.policy("webhook_url", h.URL+"/hook")
	b.mint("laptop", 31*day)
	b.sweep(2 * day)
	return b, h
}

func (b *bench) deliver(forward time.Duration) {
	b.t.Helper()
	b.now = b.now.Add(forward)
	if err := b.Deliver(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func TestWebhookSends(t *testing.T) {
	b, h := hooked(t)
	b.deliver(0)
	b.deliver(time.Hour)
	if n := h.got(t); n != 1 { // what was raised before there was a webhook is not owed
		t.Fatalf("%d requests", n)
	}
	e := h.events[0]
	data, _ := e["data"].(map[string]any)
	if e["type"] != "dev.tenure.notice.token_expiring.v1" || e["source"] != "/tenants/default" || data["object"] != "laptop" || data["user_id"] != "alice" {
		t.Errorf("%v", e)
	}
}

func TestWebhookRetries(t *testing.T) {
	b, h := hooked(t)
	h.answer(http.StatusInternalServerError)
	b.deliver(0)
	b.deliver(9 * time.Second) // too early
	if n := h.got(t); n != 1 {
		t.Fatalf("%d requests after 9 seconds", n)
	}
	b.deliver(time.Second)
	b.deliver(19 * time.Second) // too early again
	if n := h.got(t); n != 2 {
		t.Fatalf("%d requests after 29 seconds", n)
	}
	h.answer(http.StatusFound) // not followed, and no acceptance
	b.deliver(time.Second)
	h.answer(http.StatusOK)
	b.deliver(time.Hour)
	b.deliver(time.Hour)
	if n := h.got(t); n != 4 {
		t.Errorf("%d requests", n)
	}
	for _, id := range h.ids {
		if id != h.ids[0] {
			t.Errorf("the ids differ: %v", h.ids)
		}
	}
}

func TestWebhookGivesUp(t *testing.T) {
	b, h := hooked(t)
	h.answer(http.StatusServiceUnavailable)
	for range 30 {
		b.deliver(time.Hour)
	}
	n := h.got(t)
	b.deliver(48 * time.Hour)
	if h.got(t) != n || n < 20 || n > 25 {
		t.Errorf("%d requests, then %d", n, h.got(t)-n)
	}
	events, err := b.DB.AuditTail(t.Context(), tenure.DefaultTenant, "webhook.given_up", 10)
	if err != nil || len(events) != 1 || events[0].ObjectID != h.ids[0] || events[0].Reason != "it answered 503" {
		t.Errorf("%+v %v", events, err)
	}
}

func TestWebhookTakenAway(t *testing.T) {
	b, h := hooked(t)
	b.policy("webhook_url", "")
	b.deliver(0)
	b.policy("webhook_url", h.URL)
	b.deliver(time.Hour)
	if n := h.got(t); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// One tenant's sink that stalls does not keep another's notice.
func TestStalledSink(t *testing.T) {
	b, h := hooked(t)
	release := make(chan struct{})
	stalled := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer stalled.Close()
	defer close(release)
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SetPolicy(ctx, "aaa", "webhook_url", stalled.URL, "test"); err != nil {
			return err
		}
		if err := tx.SetWebhookSecret(ctx, "aaa", store.SealedKey{Sealed: []byte("whsec_AAAA"), DataKey: []byte("k")}, "test"); err != nil {
			return err
		}
		_, err := tx.InsertNotice(ctx, tenure.Notice{ID: "n", Tenant: "aaa", At: tx.Now(), Kind: "test", Severity: tenure.Info, Dedupe: "n"})
		return err
	})
	b.Client = &http.Client{Timeout: 3 * time.Second}
	done := make(chan error)
	go func() { done <- b.Deliver(t.Context()) }()
	for start := time.Now(); h.got(t) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 2*time.Second {
			t.Fatal("the other tenant's notice waits for the stalled sink")
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHookTest(t *testing.T) {
	b, h := hooked(t)
	status, _, err := b.Test(t.Context(), b.super())
	if err != nil || status != http.StatusNoContent || h.got(t) != 1 || h.events[0]["type"] != "dev.tenure.notice.test.v1" {
		t.Errorf("%d %v %v", status, err, h.events)
	}
	h.answer(http.StatusTeapot)
	if _, _, err := b.Test(t.Context(), b.super()); !tenure.IsKind(err, tenure.BadGateway) || !strings.Contains(err.Error(), "418") {
		t.Errorf("%v", err)
	}
	b.Client = NewClient(&egress.Guard{}, tenure.EgressAll)
	b.policy("webhook_url", "https://169.254.169.254/latest/meta-data")
	if _, _, err := b.Test(t.Context(), b.super()); !tenure.IsKind(err, tenure.BadGateway) || !strings.Contains(err.Error(), "never connected to") {
		t.Errorf("%v", err)
	}
	b.policy("webhook_url", "")
	if _, _, err := b.Test(t.Context(), b.super()); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("%v", err)
	}
	if _, err := b.NewSecret(t.Context(), b.principal(func(s *tenure.Standing) { s.Role = tenure.Admin })); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("an admin made a secret: %v", err)
	}
}

// Only the default tenant's webhook reaches this machine, whatever is stored.
func TestOthersReachThePublicOnly(t *testing.T) {
	b, h := hooked(t)
	b.Client, b.Public = NewClient(&egress.Guard{}, tenure.EgressAll), NewClient(&egress.Guard{}, 0)
	one := tenure.Notice{ID: "n", Tenant: tenure.DefaultTenant, At: b.DB.Now(), Kind: tenure.NoticeTest, Severity: tenure.Info}
	to, err := b.sink(t.Context(), tenure.DefaultTenant)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.post(t.Context(), to, one); err != nil {
		t.Errorf("the default tenant: %v", err)
	}
	one.Tenant = "aaa"
	if _, err := b.post(t.Context(), to, one); err == nil || !strings.Contains(err.Error(), "not allowed here") || h.got(t) != 1 {
		t.Errorf("another tenant: %v", err)
	}
}
