package sink_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A file that somebody removes, renames or cuts while it is written is told of, and has
// everything afterwards.
func TestAFileThatIsTouched(t *testing.T) {
	for what, touch := range map[string]func(path string) error{
		"removed":  os.Remove,
		"renamed":  func(path string) error { return os.Rename(path, path+".1") },
		"emptied":  func(path string) error { return os.Truncate(path, 0) },
		"cut":      func(path string) error { return os.Truncate(path, 700) },
		"replaced": replaced,
	} {
		t.Run(what, func(t *testing.T) {
			l := onSQLite(t)
			l.add(tenure.DefaultTenant, 5, "a")
			f := l.file()
			if err := f.Flush(l.ctx); err != nil {
				t.Fatal(err)
			}
			if err := touch(f.Path); err != nil {
				t.Fatal(err)
			}
			l.add(tenure.DefaultTenant, 2, "b")
			if err := f.Flush(l.ctx); err == nil || !strings.Contains(err.Error(), "by somebody else") || f.Standing().Trouble != "" {
				t.Errorf("%v, %+v", err, f.Standing())
			}
			places := int64(0)
			for _, one := range lines(t, l.written(f)) {
				if one.Place != nil {
					if *one.Place != places {
						t.Errorf("place %d instead of %d", *one.Place, places)
					}
					places++
				}
			}
			if places != 7 {
				t.Errorf("%d events", places)
			}
		})
	}
}

// replaced has a copy under the name, as an editor leaves it.
func replaced(path string) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// While the places of a log that was begun anew are given, the file waits, and has
// nothing twice.
func TestAFileWaitsForALogThatIsBegunAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.add(tenure.DefaultTenant, 5, "a")
		f := l.file()
		before := l.written(f)
		err := l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.BeginTree(ctx)
			return err
		})
		if tenure.IsKind(err, tenure.Forbidden) { // the role that serves may not
			return
		}
		if err == nil {
			err = l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetMeta(ctx, "audit.tree", "0") })
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := l.written(f); !bytes.Equal(got, before) {
			t.Errorf("without places:\n%s", got[len(before):])
		}
		l.add(tenure.DefaultTenant, 1, "b")
		for i, one := range lines(t, l.written(f)) {
			if one.Action == audit.MarkWentBack || one.Place != nil && *one.Place > 5 || i > 8 {
				t.Errorf("line %d: %+v", i, one)
			}
		}
	})
}
