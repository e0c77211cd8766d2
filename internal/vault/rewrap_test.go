package vault_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// Rows of both forms are wrapped by the new key; broken off and run again, nothing is
// written twice, and afterwards the new key alone opens everything.
func TestRewrap(t *testing.T) {
	w := newWorld(t)
	w.before(t, w.row("old"))
	old, err := vault.OpenKey(w.ctx, w.DB, w.urls(), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const many = 10_000
	err = w.DB.Tx(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		for i := range many {
			seal, err := old.Sealer(ctx)
			if err != nil {
				return err
			}
			p := w.row(fmt.Sprint("p", i))
			sealed, err := seal(tenure.NewSecret(secret), store.BoundKey(keyOf(p)))
			if err != nil {
				return err
			}
			if err := insert(ctx, tx, p, sealed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	next := "file:" + filepath.Join(w.dir, "next.key")
	if err := keys.Make(next); err != nil {
		t.Fatal(err)
	}
	key, err := vault.OpenKey(w.ctx, w.DB, vault.KeyURLs{Present: next, Previous: []string{w.urls().Present}}, keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broken, breakOff := context.WithCancel(w.ctx)
	first, err := key.Rewrap(broken, func(vault.Progress) { breakOff() })
	if err == nil || first.Written == 0 {
		t.Fatal("not broken off:", first, err)
	}
	start := time.Now()
	// A replica that has not heard of the new key seals behind where it is.
	late := false
	second, err := key.Rewrap(w.ctx, func(vault.Progress) {
		if late {
			return
		}
		late = true
		p := w.row("a")
		err := w.DB.Tx(w.ctx, func(ctx context.Context, tx *store.Tx) error {
			seal, err := old.Sealer(ctx)
			if err != nil {
				return err
			}
			sealed, err := seal(tenure.NewSecret(secret), store.BoundKey(keyOf(p)))
			if err != nil {
				return err
			}
			return insert(ctx, tx, p, sealed)
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d rows in %v: %.0f a second", second.Written, time.Since(start), float64(second.Written)/time.Since(start).Seconds())
	if err != nil || first.Written+second.Written != many+2 || second.Left != 0 || second.Failed != 0 {
		t.Error(first, second, err)
	}
	alone, err := vault.OpenKey(w.ctx, w.DB, vault.KeyURLs{Present: next}, keys.Options{})
	if _, why := alone.Sealed(); err != nil || why != nil {
		t.Fatal(err, why)
	}
	rows, err := w.DB.Sealed(w.ctx, "provider_keys", "", many+3)
	if err != nil || len(rows) != many+2 {
		t.Fatal(len(rows), err)
	}
	for _, row := range rows {
		if got, err := alone.Open(w.ctx, row.SealedKey, row.Bound); err != nil || got.Reveal() != secret {
			t.Fatal(row.ID, err)
		}
	}
}
