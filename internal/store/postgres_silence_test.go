package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A server that stands still keeps its connections and says nothing: what runs, what
// waits and what begins is answered by Unavailable all the same, and works again on the
// same DB afterwards.
func TestPostgresThatSaysNothing(t *testing.T) {
	server := postgrestest.Server(t)
	ctx := tenure.Everywhere(context.Background())
	db, err := store.OpenPostgres(ctx, server.Database(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	feed, err := db.Feed(ctx, store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = feed.Close() }()
	follows, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	defer func() { stop(); <-followed }()
	go func() {
		defer close(followed)
		for follows.Err() == nil {
			_, _ = feed.Poll(follows)
			time.Sleep(50 * time.Millisecond)
		}
	}()
	write := func() error {
		return db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetMeta(ctx, "silence", "none") })
	}
	// More of each than the pool has connections.
	all := func() (took time.Duration, errs []error) {
		results := make(chan error)
		began := time.Now()
		for range 20 {
			go func() { results <- db.Ping(ctx) }()
			go func() { results <- write() }()
		}
		for range 40 {
			if err := <-results; err != nil {
				errs = append(errs, err)
			}
		}
		return time.Since(began), errs
	}
	if took, errs := all(); len(errs) > 0 {
		t.Fatal(took, errs)
	}
	for round := range 2 {
		if err := server.Pause(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			took, errs := all()
			if took > 2500*time.Millisecond || len(errs) != 40 {
				t.Errorf("round %d: %d errors after %v", round, len(errs), took)
			}
			for _, err := range errs {
				if !tenure.IsKind(err, tenure.Unavailable) {
					t.Errorf("round %d: %v", round, err)
				}
			}
		}
		if err := server.Resume(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(3 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if _, errs := all(); len(errs) == 0 {
				break
			} else if time.Now().After(end) {
				t.Fatalf("round %d: %v", round, errs)
			}
		}
	}
}
