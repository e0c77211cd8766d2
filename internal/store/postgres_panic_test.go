package store

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// Whoever reads a row and panics fails alone: those who share the transaction are
// answered, and the next ones are served.
func TestAPanicWhileRowsAreReadHoldsNobodyUp(t *testing.T) {
	ctx := t.Context()
	db, err := OpenPostgres(ctx, postgrestest.URL(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	busy := make(chan struct{})
	var all sync.WaitGroup
	for range sharedLanes { // the others meet behind these
		all.Go(func() {
			if err := db.TxShared(ctx, func(context.Context, *Tx) error { <-busy; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	for i := range 8 {
		all.Go(func() {
			err := db.TxShared(ctx, func(ctx context.Context, tx *Tx) error {
				return tx.run.each(ctx, true, func(row scanner) error {
					if i == 3 { // on purpose: the others must get their own rows
						panic("as a fault of ours would")
					}
					var one int
					return row.Scan(&one)
				}, `SELECT 1`)
			})
			if panicked := err != nil && strings.Contains(err.Error(), "panic"); panicked != (i == 3) || err != nil && !panicked {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	time.Sleep(200 * time.Millisecond) // for all to wait; fewer prove less
	close(busy)
	all.Wait()
}
