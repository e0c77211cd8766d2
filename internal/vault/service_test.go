package vault_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// Who hangs up, or is cut, while a key service is asked for them, seals nothing for
// anybody else.
func TestWhoLeavesSealsNothing(t *testing.T) {
	w := newWorld(t)
	service := keystest.NewTransit(t)
	t.Setenv("VAULT_ADDR", service.URL)
	t.Setenv("VAULT_TOKEN", keystest.TransitToken)
	for path, body := range map[string]string{"sys/mounts/transit": `{"type":"transit"}`, "transit/keys/tenure": ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, service.URL+"/v1/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Vault-Token", keystest.TransitToken)
		r.Header.Set("X-Vault-Request", "true")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	key, err := vault.OpenKey(w.ctx, w.DB, vault.KeyURLs{Present: "hashivault://tenure", Previous: []string{w.urls().Present}}, keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Key = key
	p := w.add(t, "openai")

	service.Set(func(d *keystest.Transit) { d.Slow = true })
	leaving, leave := context.WithCancel(w.ctx)
	time.AfterFunc(200*time.Millisecond, leave)
	if _, err := w.Keys(leaving, p.Tenant, p.ID); err == nil {
		t.Fatal("it was not slow")
	}
	if _, why := key.Sealed(); why != nil {
		t.Errorf("sealed for everybody: %v", why)
	}
	service.Set(func(d *keystest.Transit) { d.Slow = false })
	if got, err := w.first(p.Tenant, p.ID); err != nil || got.Reveal() != secret {
		t.Error(tenure.AsError(err), err)
	}
}
