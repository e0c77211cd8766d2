package vault_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// beforeKeys is the last version of the schema in which a provider had one key, in its
// own row.
const beforeKeys = 14

// A key that was sealed before a provider had several opens unchanged afterwards, in
// either form of what it was bound to.
func TestFormerKeysOpen(t *testing.T) {
	w := newWorld(t)
	ctx, path := tenure.Everywhere(w.ctx), filepath.Join(t.TempDir(), "former.db")
	file := filepath.Join(w.dir, "master.key")
	former, err := store.OpenSQLiteAt(ctx, path, beforeKeys)
	if err != nil {
		t.Fatal(err)
	}
	// As it was known before there was a root key: otherwise what is sealed is counted,
	// and that is in tables of later versions.
	err = former.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMeta(ctx, "vault.key_check", checkOf(t, file))
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := vault.OpenKey(ctx, former, w.urls(), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seal, err := key.Sealer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	now, err := seal(tenure.NewSecret(secret), store.Bound{
		Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Credential: "now", Version: 1, Provider: "now", Purpose: store.ProviderKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]store.SealedKey{"now": now, "old": old(t, file, secret, "default", "default", "old", "1", "provider key")}
	if err := former.Close(); err != nil {
		t.Fatal(err)
	}
	raw := rawSQLite(t, path)
	for id, k := range rows {
		_, err := raw.Exec(`INSERT INTO provider_credentials (id, tenant_id, workspace_id, name, kind, base_url, key_sealed, data_key, key_last4, key_version,
			created_at, updated_at, kek, form) VALUES ($1, 'default', 'default', $1, 'openai', 'https://x', $2, $3, 'cdef', 1, '2026-01-02T03:04:05Z', '', $4, $5)`,
			id, k.Sealed, k.DataKey, k.KEK, k.Form)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := store.OpenSQLite(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	key, err = vault.OpenKey(ctx, db, w.urls(), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := &vault.Vault{DB: db, Live: w.Live, Key: key}
	for id := range rows {
		got, err := v.Keys(context.WithoutCancel(ctx), tenure.DefaultTenant, tenure.ProviderID(id))
		if err != nil || len(got) != 1 || got[0].Secret.Reveal() != secret || got[0].Name != tenure.DefaultKeyName || got[0].Version != 1 {
			t.Errorf("%s: %v, %v", id, got, err)
		}
		if p, err := db.Provider(ctx, tenure.DefaultTenant, tenure.ProviderID(id)); err != nil || p.Last4 != "cdef" {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
	}
}

func rawSQLite(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
