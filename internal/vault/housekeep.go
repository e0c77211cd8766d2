package vault

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

const (
	// housekeepEvery is how often versions are looked for whose overlap is over. Nobody
	// uses them since that instant, whether they were found or not.
	housekeepEvery = 30 * time.Second
	marksAtOnce    = 100
)

// KeepHouse retires versions whose overlap is over, until ctx ends, and gives those a
// fingerprint that are from before there were any.
func (v *Vault) KeepHouse(ctx context.Context, report func(error)) {
	tick := time.NewTicker(housekeepEvery)
	defer tick.Stop()
	for {
		if _, err := v.Housekeep(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Housekeep does what is due now, and gives the number of versions that it retired. It
// may run in several processes at once.
func (v *Vault) Housekeep(ctx context.Context) (int, error) {
	ctx = tenure.Everywhere(ctx)
	if _, why := v.Key.Sealed(); why == nil {
		if err := v.mark(ctx); err != nil {
			return 0, err
		}
	}
	rows, err := v.DB.KeysPast(ctx, v.DB.Now())
	if err != nil {
		return 0, err
	}
	n := 0
	for _, row := range rows {
		err := v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			p, err := tx.Provider(ctx, row.Tenant, row.Provider)
			if err != nil {
				return err
			}
			return retire(ctx, tx, tenure.Principal{}, p, row.ProviderKey)
		})
		if err != nil {
			return n, err
		}
		n++
		v.Live.Changed(ctx, store.Change{Kind: "provider", ID: string(row.Provider)})
	}
	return n, nil
}

// mark gives fingerprints to some versions that have none, and the next time to those
// after them: the ones that do not open keep none, and hold up nobody.
func (v *Vault) mark(ctx context.Context) error {
	v.mu.RLock()
	after := v.marked
	v.mu.RUnlock()
	rows, err := v.DB.KeysUnmarked(ctx, after, marksAtOnce)
	if err != nil {
		return err
	}
	marks := map[tenure.KeyID]string{}
	for _, row := range rows {
		secret, err := v.Key.OpenProvider(ctx, row)
		if err != nil {
			continue // and whoever uses it is told
		}
		if marks[row.ID], err = v.Key.Fingerprint(ctx, secret); err != nil {
			return err
		}
	}
	if len(marks) > 0 {
		err = v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for id, mark := range marks {
				if err := tx.FingerprintKey(ctx, id, mark); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	after = "" // and from the beginning
	if len(rows) == marksAtOnce {
		after = rows[len(rows)-1].ID
	}
	v.mu.Lock()
	v.marked = after
	v.mu.Unlock()
	return nil
}
