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

// EndAgain ends what this process has seen to end, in a database that went back to
// an earlier state, and tells the audit log of the default tenant. Every replica
// that remembers does so; what one has ended, the others find ended.
func (d *Directory) EndAgain(ctx context.Context, ends []store.Change) error {
	again := 0
	for batch := range slices.Chunk(ends, endAgainBatch) {
		n := 0
		err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			n = 0
			for _, c := range batch {
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
			return err
		}
		again += n
	}
	replica, err := os.Hostname()
	if err != nil {
		replica = "unknown"
	}
	return d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.WentBack(replica, len(ends), again))
	})
}
