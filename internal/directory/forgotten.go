package directory

import (
	"context"
	"os"
	"slices"

	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// endAgainBatch is how many ends one transaction writes.
const endAgainBatch = 500

// EndAgain ends what this process has seen to end, in a database that may have gone
// back to an earlier state, and gives how many ends it had forgotten. Every replica
// that remembers does so; what one has ended, the others find ended.
func (d *Directory) EndAgain(ctx context.Context, ends []store.Change) (int, error) {
	again := 0
	for batch := range slices.Chunk(ends, endAgainBatch) {
		// Most have ended here too: reading tells so, and waits for nobody.
		living, err := d.DB.Living(ctx, batch)
		if err != nil {
			return again, err
		}
		if len(living) == 0 {
			continue
		}
		n := 0
		err = d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			n = 0
			for _, c := range living {
				ended, err := tx.EndAgain(ctx, c)
				if err != nil {
					return err
				}
				if ended {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return again, err
		}
		again += n
	}
	return again, nil
}

// TellBack tells the audit log of the default tenant that the database went back.
func (d *Directory) TellBack(ctx context.Context, remembered, again int) error {
	replica, err := os.Hostname()
	if err != nil {
		replica = "unknown"
	}
	return d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.WentBack(replica, remembered, again))
	})
}
