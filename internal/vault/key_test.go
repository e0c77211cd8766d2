package vault_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// old seals as Tenure did before there was a root key, by the bytes of the file.
func old(t *testing.T, file string, text string, to ...string) store.SealedKey {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(string(raw[:len(raw)-1]))
	if err != nil {
		t.Fatal(err)
	}
	bound := func(parts []string) (out []byte) {
		for _, p := range parts {
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(p))), p...)
		}
		return out
	}
	dek := make([]byte, 32)
	_, _ = rand.Read(dek)
	outer, err := keys.GCM(key)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := keys.GCM(dek)
	if err != nil {
		t.Fatal(err)
	}
	wrap := append(append([]string{}, to[:len(to)-1]...), "data key")
	return store.SealedKey{Sealed: inner.Seal(nil, nil, []byte(text), bound(to)), DataKey: outer.Seal(nil, nil, dek, bound(wrap))}
}

// checkOf is what databases before the root key knew a file by.
func checkOf(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(string(raw[:len(raw)-1]))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append([]byte("tenure master key check\x00"), key...))
	return hex.EncodeToString(sum[:16])
}

// before makes the world's database one from before there was a root key.
func (w *world) before(t *testing.T, rows ...tenure.Provider) {
	t.Helper()
	file := filepath.Join(w.dir, "master.key")
	err := w.DB.Tx(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.DropMeta(ctx, "vault.root"); err != nil {
			return err
		}
		for _, p := range rows {
			if err := insert(ctx, tx, p, old(t, file, secret, string(p.Tenant), string(p.Workspace), string(p.ID), "1", "provider key")); err != nil {
				return err
			}
		}
		return tx.SetMeta(ctx, "vault.key_check", checkOf(t, file))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) row(id string) tenure.Provider {
	return tenure.Provider{
		ID: tenure.ProviderID(id), Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Name: id, Kind: tenure.OpenAI,
		BaseURL: "https://example.com", CreatedAt: w.DB.Now(), UpdatedAt: w.DB.Now(),
	}
}

// keyOf is the one key of a provider as it is from before there were several: it has
// the provider's id.
func keyOf(p tenure.Provider) tenure.ProviderKey {
	return tenure.ProviderKey{
		ID: tenure.KeyID(p.ID), Tenant: p.Tenant, Workspace: p.Workspace, Provider: p.ID, Name: tenure.DefaultKeyName, Version: 1,
		State: tenure.KeyActive, CreatedAt: p.CreatedAt,
	}
}

func insert(ctx context.Context, tx *store.Tx, p tenure.Provider, sealed store.SealedKey) error {
	if err := tx.InsertProvider(ctx, p); err != nil {
		return err
	}
	return tx.InsertProviderKey(ctx, keyOf(p), sealed)
}

// A database from before the root key gets one at the start, from the right file
// alone, and what was sealed goes on opening.
func TestUpgradeInPlace(t *testing.T) {
	w := newWorld(t)
	w.before(t, w.row("old"))
	other := filepath.Join(w.dir, "other.key")
	if err := keys.Make("file:" + other); err != nil {
		t.Fatal(err)
	}
	key, err := vault.OpenKey(w.ctx, w.DB, vault.KeyURLs{Present: "file:" + other}, keys.Options{})
	if _, why := key.Sealed(); err != nil || why == nil {
		t.Errorf("with another file: %v, %v", err, why)
	}
	if root, _ := w.DB.Meta(w.ctx, "vault.root"); root != "" {
		t.Error("another file has made a root key")
	}
	// At once with a new key, the old one still open.
	key, err = vault.OpenKey(w.ctx, w.DB, vault.KeyURLs{Present: "file:" + other, Previous: []string{w.urls().Present}}, keys.Options{})
	if _, why := key.Sealed(); err != nil || why != nil {
		t.Fatal(err, why)
	}
	if check, _ := w.DB.Meta(w.ctx, "vault.key_check"); check != "" {
		t.Error("the old check stands beside the root key")
	}
	rows, err := w.DB.UsableKeys(w.ctx, tenure.DefaultTenant, "old")
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if got, err := key.OpenProvider(w.ctx, rows[0]); err != nil || got.Reveal() != secret {
		t.Errorf("what was sealed before: %v", err)
	}
	rows[0].Workspace = "elsewhere"
	if _, err := key.OpenProvider(w.ctx, rows[0]); err == nil {
		t.Error("a row of the old form opens in another workspace")
	}
}

// Replicas that start at once on a fresh database, or on one from before, agree on one
// root key; one with a file of its own is sealed.
func TestOneRootKey(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.before(t)
		var wg sync.WaitGroup
		all := make([]*vault.MasterKey, 8)
		for i := range all {
			wg.Go(func() {
				key, err := vault.OpenKey(w.ctx, w.DB, w.urls(), keys.Options{})
				if err != nil {
					t.Error(err)
				}
				all[i] = key
			})
		}
		wg.Wait()
		with, err := all[0].Derive("a test")
		if err != nil {
			t.Fatal(err)
		}
		text := with.Seal(nil, nil, []byte("x"), nil)
		for i, key := range all {
			with, err := key.Derive("a test")
			if err == nil {
				_, err = with.Open(nil, nil, text, nil)
			}
			if err != nil {
				t.Errorf("%d has another root key: %v", i, err)
			}
		}
	}
	own := "file:" + filepath.Join(w.dir, "own.key")
	if err := keys.Make(own); err != nil {
		t.Fatal(err)
	}
	key, err := vault.OpenKey(w.ctx, w.DB, vault.KeyURLs{Present: own}, keys.Options{})
	if _, why := key.Sealed(); err != nil || why == nil {
		t.Errorf("a file of its own: %v, %v", err, why)
	}
	if _, err := key.Derive("a test"); !sealed(err) {
		t.Errorf("it derives: %v", err)
	}
}

// A row that does not open is told of once, however often it is asked for; one that was
// moved to another tenant gives no plain text, and others go on.
func TestTamperedIsToldOnce(t *testing.T) {
	w := newWorld(t)
	a, b := w.add(t, "a"), w.add(t, "b")
	w.hand(`INSERT INTO tenants (id, name, active, created_at) VALUES ('t2', 't2', 1, '2026-01-01T00:00:00.000000Z')`)
	w.hand(`UPDATE provider_credentials SET tenant_id = 't2' WHERE name = 'a'`)
	id := w.keyID(t, "t2", a.ID)
	var told []store.Bound
	w.Key.OnTampered(func(_ context.Context, what store.Bound) { told = append(told, what) })
	for range 3 {
		if key, err := w.first("t2", a.ID); err == nil || key.Reveal() != "" {
			t.Errorf("it opens: %v", err)
		}
	}
	if len(told) != 1 || told[0].Tenant != "t2" || told[0].Credential != id {
		t.Errorf("told: %+v", told)
	}
	if key, err := w.first(b.Tenant, b.ID); err != nil || key.Reveal() != secret {
		t.Errorf("the other: %v", err)
	}
}
