package app

import (
	"context"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// openKey opens the key-encryption keys. Where they cannot be had, what needs a secret
// answers 503 until they can; a setting that is wrong whatever happens is refused.
func (a *App) openKey(ctx context.Context) (*vault.MasterKey, error) {
	const example = "file:/etc/tenure/master.key"
	for _, url := range append([]string{a.Config.KeyURL}, a.Config.KeyURLsPrevious...) {
		if err := keys.Check(url); err != nil {
			return nil, config.Wrong("TENURE_KEY_URL", err.Error(), example)
		}
	}
	urls := vault.KeyURLs{Present: a.Config.KeyURL, Previous: a.Config.KeyURLsPrevious}
	key := vault.FindKey(a.Store, urls, keys.Options{}) // most verbs need no secret
	if !a.Config.FindsData {
		var err error
		key, err = vault.OpenKey(ctx, a.Store, urls, keys.Options{})
		if tenure.IsKind(err, tenure.Unavailable) {
			return nil, err
		}
		if err != nil {
			return nil, config.Wrong("TENURE_KEY_URL", err.Error(), example)
		}
	}
	key.OnTampered(a.tampered)
	a.Metrics.MustRegister(&wrappings{key: key}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tenure_vault_sealed",
		Help: "1 while no stored secret can be opened, 0 otherwise.",
	}, func() float64 {
		if _, why := key.Sealed(); why != nil {
			return 1
		}
		return 0
	}))
	return key, nil
}

// sealing is told whether stored secrets open, at the start and when that changes.
// One line of the log and one event tell of each change, whatever is asked meanwhile.
func (a *App) sealing(ctx context.Context, why error) {
	replica, err := os.Hostname()
	if err != nil {
		replica = "unknown"
	}
	event := audit.VaultUnsealed(replica)
	if why != nil {
		event = audit.VaultSealed(replica, why.Error())
		a.Log.Error("the vault is sealed: what needs a stored secret answers 503, all else works", "error", why)
		a.sealedOnce = true
	} else if !a.sealedOnce {
		return // it never was
	} else {
		a.Log.Info("the vault is open again")
	}
	a.note(ctx, event)
	if why != nil {
		return
	}
	a.seed(ctx)
}

// seed stores the providers of the environment. Where they cannot be sealed now, that
// waits: it is no reason not to serve.
func (a *App) seed(ctx context.Context) {
	err := a.Vault.Seed(ctx, seeds(a.Config))
	a.unseeded.Store(err != nil)
	if err != nil {
		a.Log.Error("providers of the environment are not stored yet", "error", err)
	}
}

// seedLater stores them as soon as that goes, until ctx ends.
func (a *App) seedLater(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(seedAgain):
		}
		if _, why := a.Vault.Key.Sealed(); why == nil && a.unseeded.Load() {
			a.seed(ctx)
		}
	}
}

const seedAgain = 15 * time.Second

// tampered is told of a row that does not open though the key is right.
func (a *App) tampered(ctx context.Context, what store.Bound) {
	a.Log.Error("a sealed secret does not open: it was changed or moved in the database", "tenant", what.Tenant, "purpose", what.Purpose, "id", what.Credential)
	a.note(ctx, audit.SecretTampered(what.Tenant, what.Workspace, what.Purpose, what.Credential))
}

// note writes an event that tells of no change in the database.
func (a *App) note(ctx context.Context, event tenure.AuditEvent) {
	ctx = tenure.Everywhere(context.WithoutCancel(ctx))
	if err := a.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Append(ctx, event) }); err != nil {
		a.Log.Error("audit", "action", event.Action, "error", err)
	}
}
