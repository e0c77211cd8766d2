package sink_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A checkpoint whose name another one has is kept beside it and told of once; and the
// newest is always what the log has.
func TestCheckpointsThatDiffer(t *testing.T) {
	l := onSQLite(t)
	c := &sink.Checkpoints{DB: l.db, Dir: t.TempDir(), Opener: trusting}
	if err := c.Begin(); err != nil {
		t.Fatal(err)
	}
	l.add(tenure.DefaultTenant, 3, "a")
	l.add(tenure.DefaultTenant, 2, "b")
	if err := c.Flush(l.ctx); err != nil {
		t.Fatal(err)
	}
	err := l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.BeginTree(ctx); err != nil {
			return err
		}
		return tx.PutCheckpoint(ctx, store.Checkpoint{Size: 5, At: tx.Now(), Note: "tenure/test\n5\nanother\n"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(l.ctx); err == nil || !strings.Contains(err.Error(), "is another checkpoint over 5 places") {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := c.Flush(l.ctx); err != nil {
			t.Errorf("told again: %v", err)
		}
	}
	want := map[string]string{"000000000005": "tenure/test\n5\n", "000000000005.other-*": "tenure/test\n5\nanother\n", "latest": "tenure/test\n5\nanother\n"}
	for name, text := range want {
		names, err := filepath.Glob(filepath.Join(c.Dir, name))
		if err != nil || len(names) != 1 {
			t.Fatal(name, names, err)
		}
		if got, err := os.ReadFile(names[0]); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if all, err := os.ReadDir(c.Dir); err != nil || len(all) != len(want) {
		t.Errorf("%v, %v", all, err)
	}
}

// trusting opens a text as a checkpoint that is signed where it says so.
func trusting(context.Context) (func(string) (int64, bool, error), error) {
	return func(text string) (int64, bool, error) {
		var size int64
		_, err := fmt.Sscanf(text, "tenure/test\n%d\n", &size)
		return size, !strings.Contains(text, "retired"), err
	}, nil
}

// What no key of the log has signed, and what is another's by its size, is not put into the
// second place but told of, and keeps nothing else from it.
func TestCheckpointsThatNobodySigned(t *testing.T) {
	l := onSQLite(t)
	c := &sink.Checkpoints{DB: l.db, Dir: t.TempDir(), Opener: trusting}
	put := func(size int64, note string) {
		t.Helper()
		err := l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.PutCheckpoint(ctx, store.Checkpoint{Size: size, At: tx.Now(), Note: note})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	l.add(tenure.DefaultTenant, 3, "a")
	if err := c.Flush(l.ctx); err != nil {
		t.Fatal(err)
	}
	put(4, "tenure/test\n4\nretired\n")
	put(5, "tenure/test\n3\nof another size\n")
	put(6, "tenure/test\n6\nright\n")
	put(900, "nobody\n900\n")
	for range 2 {
		if err := c.Flush(l.ctx); err == nil || !strings.Contains(err.Error(), "the checkpoint of ") {
			t.Errorf("%v", err)
		}
	}
	all, err := os.ReadDir(c.Dir)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for i, name := range []string{"000000000003", "000000000006", "latest"} {
		if all[i].Name() != name {
			t.Errorf("%v", all)
		}
	}
	if text, err := os.ReadFile(filepath.Join(c.Dir, "latest")); err != nil || string(text) != "tenure/test\n6\nright\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// A second place that goes further than the log tells that it was cut off.
func TestTheSecondPlaceGoesFurtherThanTheLog(t *testing.T) {
	for name, note := range map[string]string{"with a checkpoint": "tenure/test\n2\n", "with none": ""} {
		t.Run(name, func(t *testing.T) {
			l := onSQLite(t)
			c := &sink.Checkpoints{DB: l.db, Dir: t.TempDir(), Opener: trusting}
			if note != "" {
				l.add(tenure.DefaultTenant, 2, "a")
			}
			for _, there := range []string{"000000000900-20260101T000000.000000Z", "000000000001"} {
				if err := os.WriteFile(filepath.Join(c.Dir, there), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Flush(l.ctx); note != "" && err != nil {
				t.Errorf("what is of another history, or shorter: %v", err)
			}
			if err := os.WriteFile(filepath.Join(c.Dir, "000000000900"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := c.Flush(l.ctx); err == nil || !strings.Contains(err.Error(), "over 900 places") {
					t.Errorf("%v", err)
				}
			}
		})
	}
}
