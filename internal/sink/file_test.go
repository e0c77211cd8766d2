package sink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// A log is an audit log whose events have their places.
type log struct {
	t   *testing.T
	ctx context.Context
	db  *store.DB
	dir string
}

func onSQLite(t *testing.T) *log {
	t.Helper()
	l := &log{t: t, ctx: tenure.Everywhere(t.Context()), dir: t.TempDir()}
	var err error
	if l.db, err = store.OpenSQLite(t.Context(), filepath.Join(l.dir, "tenure.db"), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.db.Close() })
	return l
}

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(*testing.T, *log)) {
	t.Run("sqlite", func(t *testing.T) { test(t, onSQLite(t)) })
	t.Run("postgres", func(t *testing.T) {
		serve, _ := storetest.Postgres(t)
		db, err := store.OpenPostgres(t.Context(), serve, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		test(t, &log{t: t, ctx: tenure.Everywhere(t.Context()), db: db, dir: t.TempDir()})
	})
}

// add appends events of a tenant, gives them their places, and has a checkpoint over all.
func (l *log) add(tenant tenure.TenantID, n int, what string) {
	l.t.Helper()
	err := l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
		for i := range n {
			err := tx.Append(ctx, tenure.AuditEvent{
				Tenant: tenant, Action: "user.updated", ActorKind: "system", Actor: "test", Object: fmt.Sprintf("%s %d", what, i), Outcome: "success",
				Detail: map[string]string{"text": "é\n\"\u2028"},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	err = l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
		size, err := tx.TreeSize(ctx)
		if err != nil {
			return err
		}
		events, err := tx.Unplaced(ctx, 0, 100_000)
		if err != nil {
			return err
		}
		end := size + int64(len(events))
		if err := tx.TakeTree(ctx, store.Tree{Size: size}, store.Tree{Size: end}); err != nil {
			return err
		}
		for i, e := range events {
			if err := tx.PutLeaf(ctx, size+int64(i), e.Seq, audit.Leaf(e)); err != nil {
				return err
			}
		}
		return tx.PutCheckpoint(ctx, store.Checkpoint{Size: end, At: tx.Now(), Note: fmt.Sprintf("tenure/test\n%d\n", end)})
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *log) file() *sink.File {
	return &sink.File{DB: l.db, Path: filepath.Join(l.dir, "audit.jsonl"), Size: 1 << 30, Keep: 3}
}

// written flushes a file anew, as after a start, and gives what is in it.
func (l *log) written(f *sink.File) []byte {
	l.t.Helper()
	if err := f.Flush(l.ctx); err != nil {
		l.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		l.t.Fatal(err)
	}
	text, err := os.ReadFile(f.Path)
	if err != nil {
		l.t.Fatal(err)
	}
	return text
}

type lineRead struct {
	Place  *int64
	Action string
	Places int64
	Object string
}

func lines(t *testing.T, text []byte) []lineRead {
	t.Helper()
	var out []lineRead
	for one := range bytes.Lines(text) {
		var l lineRead
		if err := json.Unmarshal(one, &l); err != nil {
			t.Fatalf("%s: %v", one, err)
		}
		out = append(out, l)
	}
	return out
}

// Wherever a crash tears the file, it is afterwards what it would have been.
func TestATornFileIsWrittenOn(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.add(tenure.DefaultTenant, 3, "a")
		l.add(tenure.DefaultTenant, 2, "b")
		f := l.file()
		whole := l.written(f)
		if got := lines(t, whole); len(got) != 7 || got[3].Action != audit.MarkCheckpoint || got[3].Places != 3 || *got[4].Place != 3 {
			t.Fatalf("%s", whole)
		}
		for cut := 0; cut < len(whole); cut += 31 {
			torn := whole[:cut]
			if cut%2 == 0 { // the disk had made room, and what should have been there was not written
				torn = append(bytes.Clone(torn), make([]byte, 100)...)
			}
			if err := os.WriteFile(f.Path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := l.written(f); !bytes.Equal(got, whole) {
				t.Fatalf("torn at %d:\n%s\nwant\n%s", cut, got, whole)
			}
		}
	})
}

// After a restore the file goes on behind what is still true, and says so; also where
// that is in a file that was put aside.
func TestAFileOfAnotherHistory(t *testing.T) {
	for name, size := range map[string]int64{"one file": 1 << 30, "several": 1} {
		t.Run(name, func(t *testing.T) {
			before, after := onSQLite(t), onSQLite(t)
			after.dir = before.dir
			before.add(tenure.DefaultTenant, 3, "both")
			copyLog(t, before, after)
			f := before.file()
			f.Size, f.Keep = size, 20
			before.written(f)
			before.add(tenure.DefaultTenant, 4, "lost")
			before.written(f)
			after.add(tenure.DefaultTenant, 2, "new")
			g := after.file()
			g.Size, g.Keep = size, 20
			after.written(g)
			after.add(tenure.DefaultTenant, 1, "newest")
			after.written(g)
			var all []byte
			names, err := filepath.Glob(g.Path + ".0*")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range append(names, g.Path) {
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, text...)
			}
			var told []string
			for _, l := range lines(t, all) {
				switch {
				case l.Place != nil:
					told = append(told, fmt.Sprintf("%d %s", *l.Place, l.Object))
				case l.Action == audit.MarkWentBack:
					told = append(told, fmt.Sprintf("back to %d", l.Places))
				}
			}
			got := strings.Join(told, ", ")
			if want := "0 both 0, 1 both 1, 2 both 2, 3 lost 0, 4 lost 1, 5 lost 2, 6 lost 3, back to 3, 3 new 0, 4 new 1, 5 newest 0"; got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
}

// copyLog has the log of one database in another, event by event.
func copyLog(t *testing.T, from, to *log) {
	t.Helper()
	if err := to.db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := from.db.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(from.dir, "tenure.db"))
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err == nil {
		to.db, err = store.OpenSQLite(t.Context(), path, nil)
	}
	if err == nil {
		from.db, err = store.OpenSQLite(t.Context(), filepath.Join(from.dir, "tenure.db"), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.db.Close(); _ = from.db.Close() })
}

// While the disk is full events wait, it is told of, and when there is room again
// everything is there once. A full disk is a limit on the files of the whole process, which
// nothing else may meet, what the tests' own log is written to neither: it has one of its own.
func TestAFullDiskDelays(t *testing.T) {
	const alone = "TENURE_TEST_ALONE"
	if os.Getenv(alone) == "" {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAFullDiskDelays$", "-test.v")
		again.Env = append(os.Environ(), alone+"=1")
		if out, err := again.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestAFullDiskDelays")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	l := onSQLite(t)
	l.add(tenure.DefaultTenant, 3, "a")
	f := l.file()
	if err := f.Flush(l.ctx); err != nil {
		t.Fatal(err)
	}
	l.add(tenure.DefaultTenant, 400, "b")
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		t.Fatal(err)
	}
	full := unlimited
	full.Cur = 20_000 // a write beyond is torn there
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	err := f.Flush(l.ctx)
	if undo := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited); undo != nil {
		t.Fatal(undo)
	}
	if s := f.Standing(); err == nil || s.Trouble == "" || s.Events != 400 || s.Since.IsZero() {
		t.Errorf("%v, %+v", err, s)
	}
	text := l.written(f)
	if got := lines(t, text); len(got) != 405 {
		t.Errorf("%d lines", len(got))
	}
	if s := f.Standing(); s.Trouble != "" || s.Events != 0 {
		t.Errorf("%+v", s)
	}
}

// Of two processes one writes.
func TestAFileHasOneWriter(t *testing.T) {
	l := onSQLite(t)
	first, second := l.file(), l.file()
	if err := first.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := second.Begin(); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Begin(); err != nil {
		t.Errorf("after the first: %v", err)
	}
}
