package vault_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// The last versions of the schema in which a provider had one key, in its own row.
const (
	beforeKeys         = 14
	beforeKeysPostgres = 16
)

// A key that was sealed before a provider had several opens unchanged afterwards, in
// either form of what it was bound to, on either database.
func TestFormerKeysOpen(t *testing.T) {
	w := newWorld(t)
	ctx, path := tenure.Everywhere(w.ctx), filepath.Join(t.TempDir(), "former.db")
	rows := w.former(t, path)
	lite := raw(t, "sqlite", "file:"+path)
	url := postgrestest.URL(t)
	if err := store.MigratePostgresTo(ctx, url, beforeKeysPostgres); err != nil {
		t.Fatal(err)
	}
	pg := raw(t, "pgx", url)
	for _, name := range []string{"install.id", "vault.root"} { // what seals is known by
		var value string
		if err := lite.QueryRow(`SELECT value FROM meta WHERE key = $1`, name).Scan(&value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := pg.Exec(`INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, name, value); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		former *sql.DB
		open   func() (*store.DB, error)
	}{
		"sqlite":   {lite, func() (*store.DB, error) { return store.OpenSQLite(ctx, path, nil) }},
		"postgres": {pg, func() (*store.DB, error) { return store.OpenPostgres(ctx, url, nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			for id, k := range rows {
				_, err := c.former.Exec(`INSERT INTO provider_credentials (id, tenant_id, workspace_id, name, kind, base_url, key_sealed, data_key, key_last4, key_version,
					created_at, updated_at, kek, form) VALUES ($1, 'default', 'default', $1, 'openai', 'https://x', $2, $3, 'cdef', 1, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05Z', $4, $5)`,
					id, k.Sealed, k.DataKey, k.KEK, k.Form)
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := c.former.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := c.open()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			w.opens(t, db, rows)
		})
	}
}

// former makes a database from before a provider had several keys, and seals the secret
// by its root key, and as it was before there was one.
func (w *world) former(t *testing.T, path string) map[string]store.SealedKey {
	t.Helper()
	ctx, file := tenure.Everywhere(w.ctx), filepath.Join(w.dir, "master.key")
	db, err := store.OpenSQLiteAt(ctx, path, beforeKeys)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// As it was known before there was a root key: otherwise what is sealed is counted,
	// and that is in tables of later versions.
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMeta(ctx, "vault.key_check", checkOf(t, file))
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := vault.OpenKey(ctx, db, w.urls(), keys.Options{})
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
	return map[string]store.SealedKey{"now": now, "old": old(t, file, secret, "default", "default", "old", "1", "provider key")}
}

// opens holds the keys of a database to the secret that was sealed.
func (w *world) opens(t *testing.T, db *store.DB, rows map[string]store.SealedKey) {
	t.Helper()
	ctx := tenure.Everywhere(w.ctx)
	key, err := vault.OpenKey(ctx, db, w.urls(), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := &vault.Vault{DB: db, Live: w.Live, Key: key}
	for id := range rows {
		got, err := v.Keys(ctx, tenure.DefaultTenant, tenure.ProviderID(id))
		if err != nil || len(got) != 1 || got[0].Secret.Reveal() != secret || got[0].Name != tenure.DefaultKeyName || got[0].Version != 1 {
			t.Errorf("%s: %v, %v", id, got, err)
		}
		if p, err := db.Provider(ctx, tenure.DefaultTenant, tenure.ProviderID(id)); err != nil || p.Last4 != "cdef" {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
	}
}

// raw opens a database past Tenure.
func raw(t *testing.T, driver, at string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
