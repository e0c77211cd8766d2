package vault

import (
	"context"
	"encoding/json"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
)

// rewrapBatch is how many rows are written in one transaction.
const rewrapBatch = 500

// Progress is how far a rewrap is.
type Progress struct {
	Total   int // rows, in all tables
	Done    int // looked at
	Written int // sealed anew
	Failed  int // that do not open, and stay as they are
	Left    int // that another KEK has wrapped meanwhile, each time that this one was through
}

// rewrapPasses is how often a rewrap goes through everything while others write.
const rewrapPasses = 5

// Rewrap wraps every data key, and then the root key, by the KEK that wraps now, in
// batches. Each row is written only if it is still what was read; it may be broken off
// at any time and run again, and beside others. Unavailable: a key cannot be had.
func (k *MasterKey) Rewrap(ctx context.Context, tell func(Progress)) (Progress, error) {
	var p Progress
	var err error
	if p.Total, err = k.db.CountSealed(ctx); err != nil {
		return p, err
	}
	by, err := k.wrapSample(ctx)
	if err != nil {
		return p, err
	}
	for range rewrapPasses {
		p.Done, p.Failed = 0, 0
		for _, table := range store.SealedTables() {
			if err := k.rewrapTable(ctx, table, by, &p, tell); err != nil {
				return p, err
			}
		}
		if p.Left, err = k.otherwise(ctx, by); err != nil {
			return p, err
		}
		if p.Left -= p.Failed; p.Left <= 0 {
			break
		}
	}
	if p.Failed > 0 || p.Left > 0 {
		return p, nil // the KEK that wrapped these is still needed
	}
	return p, k.rewrapRoot(ctx, by)
}

func (k *MasterKey) rewrapTable(ctx context.Context, table, by string, p *Progress, tell func(Progress)) error {
	after := ""
	for {
		rows, err := k.db.Sealed(ctx, table, after, rewrapBatch)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].ID
		if err := k.rewrapRows(ctx, table, by, rows, p); err != nil {
			return err
		}
		tell(*p)
	}
}

// otherwise counts what is sealed by another KEK, or in an older form.
func (k *MasterKey) otherwise(ctx context.Context, by string) (int, error) {
	counts, err := k.db.SealedCounts(ctx)
	n := 0
	for _, c := range counts {
		if c.KEK != by || c.Form != formNow {
			n += c.Count
		}
	}
	return n, err
}

// Rewrap is that of the vault's key, by the operator alone, and audited.
func (v *Vault) Rewrap(ctx context.Context, by tenure.Principal, tell func(Progress)) (Progress, error) {
	if by.Kind() != tenure.Operator {
		return Progress{}, tenure.ErrForbidden
	}
	p, err := v.Key.Rewrap(ctx, tell)
	if err != nil {
		return p, err
	}
	return p, v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.VaultRewrapped(by, p.Written, p.Failed))
	})
}

// wrapSample tells by what a key would be wrapped now.
func (k *MasterKey) wrapSample(ctx context.Context) (string, error) {
	r, err := k.need(ctx)
	if err != nil {
		return "", err
	}
	if r.why != nil {
		return "", sealedError(r.why)
	}
	_, by, err := r.present().Wrap(ctx, make([]byte, keys.Size), r.boundDataKey())
	if err != nil {
		return "", k.failed(ctx, r, r.present(), err)
	}
	return by, nil
}

func (k *MasterKey) rewrapRows(ctx context.Context, table, by string, rows []store.SealedRow, p *Progress) error {
	anew := make([]store.SealedKey, len(rows))
	for i, row := range rows {
		if row.KEK == by && row.Form == formNow {
			continue
		}
		to, err := k.rewrap(ctx, row)
		if err == errTampered || keys.Is(err, keys.Wrong) { //nolint:errorlint // it is given as it is
			p.Failed++
			continue
		}
		if err != nil {
			return err
		}
		anew[i] = to
	}
	written := 0
	err := k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		written = 0
		for i, to := range anew {
			if to.KEK == "" {
				continue
			}
			ok, err := tx.Reseal(ctx, table, rows[i], to)
			if err != nil {
				return err
			}
			if ok {
				written++
			}
		}
		return nil
	})
	p.Done += len(rows)
	p.Written += written
	return err
}

// rewrapRoot comes last: while it is wrapped by the KEK before, that one is needed.
func (k *MasterKey) rewrapRoot(ctx context.Context, by string) error {
	r := k.ring()
	if r.why != nil || r.stored.KEK == by {
		return r.why
	}
	wrapped, now, err := r.present().Wrap(ctx, r.root, r.boundRoot())
	if err != nil {
		return k.failed(ctx, r, r.present(), err)
	}
	text, err := json.Marshal(storedRoot{KEK: now, Key: wrapped, At: r.stored.At, Wrapped: k.db.Now().UTC()})
	if err != nil {
		return err
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ok, err := tx.SwapMeta(ctx, metaRoot, r.text, string(text))
		if err == nil && !ok {
			err = &tenure.Error{Kind: tenure.Conflict, Code: "root_key_changed", Msg: "the root key was wrapped anew by somebody else meanwhile: run it again"}
		}
		return err
	})
	if err != nil {
		return err
	}
	return k.probe(ctx, r) // which takes up what is stored now
}

// rewrap gives what a row is to be sealed as now: the data key wrapped by the KEK of
// the day, and what is of the old form sealed anew.
func (k *MasterKey) rewrap(ctx context.Context, row store.SealedRow) (store.SealedKey, error) {
	if row.Form != formNow {
		secret, err := k.Open(ctx, row.SealedKey, row.Bound)
		if err != nil {
			return store.SealedKey{}, err
		}
		seal, err := k.Sealer(ctx)
		if err != nil {
			return store.SealedKey{}, err
		}
		return seal(secret, row.Bound)
	}
	r := k.ring()
	if r.why != nil {
		return store.SealedKey{}, sealedError(r.why)
	}
	dek, err := k.dataKey(ctx, r, row.SealedKey, row.Bound)
	if err != nil {
		return store.SealedKey{}, err
	}
	defer clear(dek)
	to := row.SealedKey
	if to.DataKey, to.KEK, err = r.present().Wrap(ctx, dek, r.boundDataKey()); err != nil {
		return store.SealedKey{}, k.failed(ctx, r, r.present(), err)
	}
	return to, nil
}
