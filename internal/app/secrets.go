package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/secretref"
)

// NewResolver makes what resolves secrets that are kept elsewhere, by the settings.
func NewResolver(s config.SecretSources, guard *egress.Guard) (*secretref.Resolver, error) {
	rules, err := secretref.ParseRules(s.Addresses)
	if err != nil {
		return nil, config.Wrong("TENURE_SECRET_ADDRESSES", err.Error(), "vault://secret/tenure/,acme=vault://secret/acme/")
	}
	// The operator names these systems, so that they may be on private networks.
	client := guard.Client(&http.Transport{ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}, 5*time.Second, true, tenure.EgressAll)
	files := &secretref.Files{}
	r := &secretref.Resolver{Allow: rules, Grace: s.Grace, Now: time.Now, Systems: map[string]secretref.System{
		secretref.SchemeFile: files, secretref.SchemeK8s: files, secretref.SchemeEnv: secretref.Environment{},
		secretref.SchemeGCP:   &secretref.Google{Client: client, Endpoint: "https://secretmanager.googleapis.com", Token: secretref.GoogleToken()},
		secretref.SchemeAzure: &secretref.Azure{Client: client, Suffix: ".vault.azure.net", Token: secretref.AzureToken(), Now: time.Now},
	}}
	if s.VaultAddr != "" {
		r.Systems[secretref.SchemeVault] = &secretref.Vault{
			Client: client, Address: s.VaultAddr, Namespace: s.VaultNamespace, Auth: s.VaultAuth, Mount: s.VaultMount, Role: s.VaultRole, Token: s.VaultToken, File: s.VaultFile, Now: time.Now,
		}
	}
	if s.AWSRegion != "" {
		r.Systems[secretref.SchemeAWS] = &secretref.AWS{
			Client: client, Endpoint: "https://secretsmanager." + s.AWSRegion + ".amazonaws.com", Region: s.AWSRegion, Credentials: secretref.AWSCredentials(s.AWSRegion), Now: time.Now,
		}
	}
	return r, nil
}

// answered is how a question went, for a label.
func answered(err error) string {
	switch {
	case err == nil:
		return "ok"
	case tenure.IsKind(err, tenure.Unavailable):
		return "unavailable"
	}
	return "refused"
}

// secretOutage tells the log and the audit log that a secret is used without being
// confirmed, or is no more.
func (a *App) secretOutage(ctx context.Context, tenant tenure.TenantID, address string, o secretref.Outage) {
	a.Log.Warn("a secret that is kept elsewhere", "address", address, "outage", o.State, "confirmed_at", o.Since, "error", o.Err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := a.events.Record(tenure.Everywhere(ctx), audit.SecretOutage(tenant, address, o.State, o.Since)); err != nil {
		a.Log.Error("audit of an outage", "address", address, "error", err)
	}
}

// secrets makes what resolves secrets, for the acts.
func (a *App) secrets() error {
	r, err := NewResolver(a.Config.Secrets, a.guard)
	if err != nil {
		return err
	}
	questions := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tenure_secret_question_seconds",
		Help: "Questions to systems that keep secrets elsewhere.", Buckets: []float64{0.01, 0.05, 0.25, 1, 5},
	}, []string{"system", "outcome"})
	a.Metrics.MustRegister(questions, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tenure_secrets_unconfirmed",
		Help: "Secrets in use whose system cannot be asked.",
	}, func() float64 { return float64(r.Unconfirmed()) }))
	r.Asked = func(system string, took time.Duration, err error) {
		questions.WithLabelValues(system, answered(err)).Observe(took.Seconds())
	}
	r.Told = a.secretOutage
	r.Changed = a.Vault.Elsewhere
	a.Secrets, a.Vault.Secrets = r, r
	if r.Allow.Uses(secretref.SchemeEnv) {
		a.Log.Warn(fmt.Sprintf("%s:// addresses are allowed: whoever may look at this process sees such secrets; they are for development", secretref.SchemeEnv))
	}
	return nil
}
