package directory

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// HousekeepEvery is how often service accounts are looked at whose time is over.
const HousekeepEvery = 30 * time.Second

// Housekeep ends, for good, the service accounts whose end date or grace is past,
// so that nothing revives them later: their tokens are dead since that instant.
// It may run in several processes at once. It gives the number of those it ended.
func (d *Directory) Housekeep(ctx context.Context) (int, error) {
	due, err := d.DB.AccountsDue(ctx, "", d.DB.Now())
	if err != nil || len(due) == 0 {
		return 0, err
	}
	n := 0
	for _, a := range due {
		start := time.Now()
		var ended tenure.Ended
		err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			ended = tenure.Ended{}
			now, err := tx.Account(ctx, a.Tenant, a.ID, tx.Now())
			if err != nil || now.State(tx.Now()) != "expired" {
				return err
			}
			ended, err = endAccount(ctx, tx, tenure.Principal{}, now, now.WhyExpired(tx.Now()))
			return err
		})
		if err != nil && !tenure.IsKind(err, tenure.NotFound) {
			return n, err
		}
		if len(ended.Accounts) > 0 {
			n++
			d.cutEnded(a, "system", ended, start)
		}
	}
	return n, nil
}

// KeepHouse runs Housekeep until ctx ends.
func (d *Directory) KeepHouse(ctx context.Context, report func(error)) {
	tick := time.NewTicker(HousekeepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := d.Housekeep(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}
