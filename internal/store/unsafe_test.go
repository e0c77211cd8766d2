package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// After a failed fsync nothing is written, not by trying again either, and Close leaves
// the log where it is.
func TestUnsafe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	ctx := context.Background()
	db, err := OpenSQLite(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	set := func(fault error) error {
		return db.Tx(ctx, func(ctx context.Context, tx *Tx) error { return errors.Join(tx.SetMeta(ctx, "k", "v"), fault) })
	}
	if err := set(nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-db.Unsafe():
		t.Fatal("unsafe from the start")
	default:
	}
	if err := set(fmt.Errorf("the disk: %w", errUnsafe)); !errors.Is(err, errUnsafe) {
		t.Fatal(err)
	}
	<-db.Unsafe()
	if err := set(nil); !errors.Is(err, errUnsafe) {
		t.Errorf("written as though nothing were: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if log, err := os.Stat(path + "-wal"); err != nil || log.Size() == 0 {
		t.Errorf("the log was folded: %v", err)
	}
}
