package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Loss is what no key that is named opens.
type Loss struct {
	Secrets []LostSecret
	Root    bool     // the root key, too
	By      []string // what wrapped them
	Confirm string   // what Reset wants to hear
	Total   int      // sealed secrets, lost or not
}

// A LostSecret is a row that does not open.
type LostSecret struct {
	Table string
	Row   store.SealedRow
}

// errNothingLost says that there is nothing to begin anew.
var errNothingLost = &tenure.Error{Kind: tenure.Conflict, Code: "nothing_lost", Msg: "nothing is lost: the root key opens, and the key of every secret is at hand"}

// Loss tells what would be lost by beginning anew, and changes nothing. Conflict:
// nothing. Unavailable: a key is away or refuses, so that it may open all of it later.
func (v *Vault) Loss(ctx context.Context, by tenure.Principal) (Loss, error) {
	if by.Kind() != tenure.Operator {
		return Loss{}, tenure.ErrForbidden
	}
	_, loss, err := v.Key.loss(ctx)
	return loss, err
}

// Reset destroys what no key opens, and makes a new root key where the old one does
// not open: nothing else changes. confirm is that of the Loss that was shown. Conflict:
// something else is lost by now.
func (v *Vault) Reset(ctx context.Context, by tenure.Principal, confirm string) (Loss, error) {
	if by.Kind() != tenure.Operator {
		return Loss{}, tenure.ErrForbidden
	}
	r, loss, err := v.Key.loss(ctx)
	if err != nil {
		return loss, err
	}
	if confirm != loss.Confirm {
		return loss, &tenure.Error{Kind: tenure.Conflict, Code: "selection_changed", Msg: "that is not what would be destroyed now: look again, without --confirm"}
	}
	root := ""
	if loss.Root {
		if root, err = v.Key.anotherRoot(ctx, r); err != nil {
			return loss, err
		}
	}
	err = v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, s := range loss.Secrets {
			ok, err := tx.Destroy(ctx, s.Table, s.Row)
			if err != nil {
				return err
			}
			if !ok {
				continue // somebody has stored another meanwhile
			}
			if err := tx.Append(ctx, audit.SecretDestroyed(by, s.Row.Tenant, s.Row.Workspace, s.Row.Purpose, s.Row.Credential)); err != nil {
				return err
			}
		}
		if loss.Root {
			if err := replaceRoot(ctx, tx, r.text, root); err != nil {
				return err
			}
		}
		return tx.Append(ctx, audit.VaultReset(by, len(loss.Secrets), loss.Root))
	})
	if err != nil {
		return loss, fmt.Errorf("reset: %w", err)
	}
	v.Key.mu.Lock()
	v.Key.held = nil // what is asked for next is read anew
	v.Key.mu.Unlock()
	return loss, nil
}

// replaceRoot stores a new root key in the place of the one that was read.
func replaceRoot(ctx context.Context, tx *store.Tx, was, to string) error {
	ok, err := tx.SwapMeta(ctx, metaRoot, was, to)
	if was == "" && err == nil {
		ok, err = tx.FirstMeta(ctx, metaRoot, to)
	}
	if err == nil && !ok {
		err = &tenure.Error{Kind: tenure.Conflict, Code: "root_key_changed", Msg: "the root key was made anew by somebody else meanwhile: look again"}
	}
	if err != nil {
		return err
	}
	return tx.DropMeta(ctx, metaCheck)
}

// anotherRoot makes a root key by the KEK that wraps, whose file it makes if none is
// there: the one that was is lost.
func (k *MasterKey) anotherRoot(ctx context.Context, r *ring) (string, error) {
	if r.present() == nil {
		if err := keys.Make(k.urls.Present); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		kek, err := k.openKEK(ctx, k.urls.Present)
		if err != nil {
			return "", sealedError(err)
		}
		r.named[0] = named{k.urls.Present, kek, nil}
	}
	text, err := k.newRoot(ctx, r)
	if err != nil {
		return "", sealedError(err)
	}
	return text, nil
}

// loss looks what does not open, by every key that is named, whether it is the one that
// the database knows or not.
func (k *MasterKey) loss(ctx context.Context) (*ring, Loss, error) {
	var loss Loss
	r := &ring{}
	for _, one := range []struct {
		name string
		to   *string
	}{{metaInstall, &r.install}, {metaRoot, &r.text}} {
		var err error
		if *one.to, err = k.db.Meta(ctx, one.name); err != nil {
			return r, loss, err
		}
	}
	for i, url := range append([]string{k.urls.Present}, k.urls.Previous...) {
		kek, err := k.openKEK(ctx, url)
		if err != nil && (i > 0 || keys.FileOf(url) == "" || !keys.Is(err, keys.Missing)) {
			return r, loss, sealedError(err)
		}
		r.named = append(r.named, named{url, kek, err})
	}
	digest := sha256.New()
	if err := k.lossOfRoot(ctx, r, &loss); err != nil {
		return r, loss, err
	}
	fmt.Fprintln(digest, loss.Root, r.text)
	for _, table := range store.SealedTables() {
		for after := ""; ; {
			rows, err := k.db.Sealed(ctx, table, after, rewrapBatch)
			if err != nil {
				return r, loss, err
			}
			if len(rows) == 0 {
				break
			}
			after, loss.Total = rows[len(rows)-1].ID, loss.Total+len(rows)
			for _, row := range rows {
				lost, err := k.lostRow(ctx, r, row)
				if err != nil {
					return r, loss, err
				}
				if lost {
					loss.Secrets, loss.By = append(loss.Secrets, LostSecret{table, row}), append(loss.By, byWhat(store.SealedCount{KEK: row.KEK}))
					fmt.Fprintln(digest, table, row.ID, row.KEK, hex.EncodeToString(row.DataKey))
				}
			}
		}
	}
	slices.Sort(loss.By)
	loss.By = slices.Compact(loss.By)
	loss.Confirm = hex.EncodeToString(digest.Sum(nil)[:6])
	if !loss.Root && len(loss.Secrets) == 0 {
		return r, loss, errNothingLost
	}
	return r, loss, nil
}

// lossOfRoot looks whether the root key opens.
func (k *MasterKey) lossOfRoot(ctx context.Context, r *ring, loss *Loss) error {
	if r.text == "" || r.parse(r.text) != nil {
		loss.Root = true
		return nil
	}
	all := r.candidates(r.stored.KEK)
	_, _, err := k.unwrap(ctx, r, all, r.stored.Key, r.boundRoot())
	if loss.Root = len(all) == 0 || keys.Is(err, keys.Wrong); loss.Root {
		loss.By = append(loss.By, r.stored.KEK)
		return nil
	}
	if err != nil {
		return sealedError(err)
	}
	return nil
}

// lostRow reports whether no key that is named opens the data key of a row. A key that
// cannot be asked is an error: it might.
func (k *MasterKey) lostRow(ctx context.Context, r *ring, row store.SealedRow) (bool, error) {
	all, bound, err := r.wrappers(row.SealedKey, row.Bound)
	if err != nil {
		return false, err
	}
	dek, _, err := k.unwrap(ctx, r, all, row.DataKey, bound)
	clear(dek)
	switch {
	case len(all) == 0, keys.Is(err, keys.Wrong):
		return true, nil
	case err != nil:
		return false, sealedError(err)
	}
	return false, nil
}
