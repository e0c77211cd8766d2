package app

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/store"
)

// The settings lead to a Vault on this machine, and its outage to the audit log.
func TestSecretsBySettings(t *testing.T) {
	var sealed atomic.Bool
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sealed.Load() {
			http.Error(w, `{"errors":["Vault is sealed"]}`, http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get("X-Vault-Token") != "hvs.of-the-test" {
			t.Errorf("%s with the token %q", r.URL, r.Header.Get("X-Vault-Token"))
		}
		if r.URL.Path == "/v1/auth/token/lookup-self" {
			_, _ = io.WriteString(w, `{"data":{"ttl":0,"renewable":false}}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":{"data":{"key":"sk-from-vault"},"metadata":{"version":1,"deletion_time":"","destroyed":false}}}`)
	}))
	defer vault.Close()
	in := install(t, "teams")
	s := config.Serve{Local: config.Local{Home: config.Home{Home: t.TempDir()}}, Secrets: config.Secrets{
		SecretAddresses: "vault://secret/tenure/", SecretGrace: "10m", VaultAddr: vault.URL, VaultToken: "hvs.of-the-test",
	}}
	cfg, err := s.Check()
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewResolver(cfg.Secrets, in.guard)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	r.Now = func() time.Time { return now }
	r.Told = in.secretOutage
	get := func() string {
		found, err := r.Resolve(t.Context(), tenure.DefaultTenant, "vault://secret/tenure/openai#key")
		if err != nil {
			return tenure.AsError(err).Code
		}
		return found.Secret.Reveal()
	}
	if got := get(); got != "sk-from-vault" {
		t.Fatal(got)
	}
	sealed.Store(true)
	now = now.Add(2 * time.Minute)
	if got := get(); got != "sk-from-vault" {
		t.Errorf("sealed: %s", got)
	}
	now = now.Add(10 * time.Minute)
	if got := get(); got != "secret_system_unavailable" {
		t.Errorf("after the grace: %s", got)
	}
	events, err := in.Store.AuditEvents(tenure.Everywhere(context.Background()), store.AuditFilter{Tenant: tenure.DefaultTenant, Action: "secret", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	told := ""
	for _, e := range events {
		if e.Object == "vault://secret/tenure/openai#key" {
			told += e.Action + " "
		}
	}
	if told != "secret.outage_began secret.outage_given_up " && told != "secret.outage_given_up secret.outage_began " {
		t.Errorf("audited: %s", told)
	}
}
