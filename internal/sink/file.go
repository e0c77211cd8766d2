package sink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// every is how long an event with a place waits for the file at most.
const every = time.Second

// File writes the whole log, of all tenants, into a file: a line of JSON for each event
// and each checkpoint, in the order of places. Its fields are set before first use.
//
// How far it has come is told by the file's last whole line alone.
type File struct {
	DB   *store.DB
	Path string
	Size int64 // bytes from which on the file is put aside and a new one begun
	Keep int   // how many of those put aside are kept

	mu   sync.Mutex // one Flush at a time
	lock *os.File
	f    *os.File // nil: to be opened
	end  int64    // up to here it is durable
	at   position

	tells atomic.Pointer[Standing]
}

// Standing tells how far the file has come.
func (f *File) Standing() Standing {
	if s := f.tells.Load(); s != nil {
		return *s
	}
	return Standing{}
}

// Begin looks whether the file can be written. Conflict: another process writes it,
// which may be about to end.
func (f *File) Begin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open()
}

// Run writes until ctx ends, and then what is left. report is told when something goes
// wrong, and not again while the same does.
func (f *File) Run(ctx context.Context, report func(error)) {
	store.WriteBehind(ctx, every, func(ctx context.Context) error {
		before := f.Standing().Trouble
		err := f.Flush(ctx)
		if errors.Is(err, errTouched) {
			return fmt.Errorf("audit file: %w", err)
		}
		if err != nil && f.Standing().Trouble != before {
			return fmt.Errorf("audit file: events wait: %w", err)
		}
		return nil
	}, report)
}

// Flush writes every event that has a place and is not in the file. What could not be
// written is written the next time. It is also an error that the file was removed, renamed
// or cut since: then everything that was missing has been written all the same.
func (f *File) Flush(ctx context.Context) error {
	ctx = tenure.Everywhere(tenure.WithoutAsker(ctx))
	f.mu.Lock()
	defer f.mu.Unlock()
	touched, err := f.look()
	if err == nil {
		err = f.flush(ctx)
	}
	tells, failed := behind(ctx, f.DB, "", f.at.next)
	if err = errors.Join(err, failed); err != nil {
		tells.Trouble = err.Error()
		f.shut()
	}
	f.tells.Store(&tells)
	if err == nil && touched {
		return errTouched
	}
	return err
}

func (f *File) flush(ctx context.Context) error {
	if err := f.open(); err != nil {
		return err
	}
	for {
		if err := f.agree(ctx); errors.Is(err, errWaits) {
			return nil
		} else if err != nil {
			return err
		}
		items, to, size, err := read(ctx, f.DB, "", f.at, page, true)
		if err != nil || len(items) == 0 && to.next >= size {
			return err
		}
		var lines bytes.Buffer
		out := json.NewEncoder(&lines)
		for _, i := range items {
			if i.checkpoint != nil {
				err = out.Encode(i.mark())
			} else {
				err = out.Encode(audit.Show(*i.placed.Event, &i.placed.Place))
			}
			if err != nil {
				return err
			}
		}
		if err := f.write(lines.Bytes()); err != nil {
			return err
		}
		f.at = to
		if err := f.rotate(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// errWaits is the answer while the last event of the file is given its place.
var errWaits = errors.New("the log's places are being given anew")

// errTouched tells that the file was removed, renamed or cut while it was written.
var errTouched = errors.New("the file was removed, put aside or cut by somebody else: what is not in it was written again")

// look finds out whether what is written is still what has the file's name, and as long
// as was written. Else it is opened anew, and says itself how far it is.
func (f *File) look() (touched bool, err error) {
	if f.f == nil {
		return false, nil
	}
	own, err := f.f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(f.Path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	if err == nil && os.SameFile(there, own) && there.Size() == f.end {
		return false, nil
	}
	f.shut()
	return true, nil
}

// agree finds out whether the log still has what the file has. A restored backup has not:
// then the file goes on behind the last event that both have, and says so.
func (f *File) agree(ctx context.Context) error {
	if f.at.next == 0 || f.at.last == "" {
		return nil
	}
	same, err := f.DB.PlacedOf(ctx, "", f.at.next-1, f.at.next, 1)
	if err != nil || len(same) == 1 && same[0].Event.ID == f.at.last {
		return err
	}
	if waits, err := f.DB.Placeless(ctx, f.at.last); err != nil || waits { // the log was begun anew: its place comes
		return cmp.Or(err, errWaits)
	}
	if len(same) == 0 { // removed from the log, perhaps: then its leaf is there
		leaf, err := f.DB.TreeHashes(ctx, 0, f.at.next-1, 1)
		if err != nil || len(leaf) == 1 {
			return err
		}
	}
	to, err := f.common(ctx)
	if err != nil {
		return err
	}
	line, err := json.Marshal(audit.Mark{Schema: audit.RecordSchema, Action: audit.MarkWentBack, At: f.DB.Now().UTC(), Places: to.next, After: to.last})
	if err != nil {
		return err
	}
	if err := f.write(append(line, '\n')); err != nil {
		return err
	}
	f.at = to
	return nil
}

// write makes some whole lines durable. What could not be made so is cut off.
func (f *File) write(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	_, err := f.f.WriteAt(lines, f.end)
	if err == nil {
		err = f.f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.f.Truncate(f.end))
	}
	f.end += int64(len(lines))
	return nil
}

// open opens the file, cuts off what is no whole line, and learns from the last one how
// far it is. It is made where it is not there.
func (f *File) open() error {
	if f.f != nil {
		return nil
	}
	if err := f.claim(); err != nil {
		return err
	}
	opened, err := os.OpenFile(f.Path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	line, end, err := lastLine(opened)
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	if end == 0 { // as after putting one aside
		if line, err = f.lastAside(); err != nil {
			return errors.Join(err, opened.Close())
		}
	}
	if err := errors.Join(opened.Truncate(end), opened.Sync(), syncDir(f.Path)); err != nil {
		return errors.Join(err, opened.Close())
	}
	f.f, f.end, f.at = opened, end, line.position()
	return nil
}

// claim keeps a second process off the file, as long as this one lives.
func (f *File) claim() error {
	if f.lock != nil {
		return nil
	}
	lock, err := os.OpenFile(f.Path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(&tenure.Error{Kind: tenure.Conflict, Code: "audit_file_taken", Msg: "another process writes " + f.Path, Err: err}, lock.Close())
	}
	f.lock = lock
	return nil
}

// shut lets the file be opened anew, with what is durable of it.
func (f *File) shut() {
	if f.f != nil {
		_ = f.f.Close() // what failed was told
		f.f = nil
	}
}

// Close ends the writing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shut()
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

// rotate puts a file that is long enough aside, under the next number, and removes the
// oldest of those beyond what is kept.
func (f *File) rotate() error {
	if f.end < f.Size {
		return nil
	}
	aside, err := f.aside()
	if err != nil {
		return err
	}
	number := 1
	if len(aside) > 0 {
		if _, err := fmt.Sscanf(aside[len(aside)-1][len(f.Path):], ".%d", &number); err != nil {
			return err
		}
		number++
	}
	name := fmt.Sprintf("%s.%0*d", f.Path, digits, number)
	if err := os.Rename(f.Path, name); err != nil {
		return err
	}
	f.shut()
	aside = append(aside, name)
	for _, name := range aside[:max(len(aside)-f.Keep, 0)] {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return f.open()
}

// digits are how many the number of a file that was put aside has.
const digits = 8

// aside lists the files that were put aside, the oldest first.
func (f *File) aside() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(f.Path)) // in the order of their names
	var names []string
	for _, e := range entries {
		number, ours := strings.CutPrefix(e.Name(), filepath.Base(f.Path)+".")
		if ours && len(number) == digits && strings.Trim(number, "0123456789") == "" {
			names = append(names, f.Path+"."+number)
		}
	}
	return names, err
}

// syncDir makes the names in a file's directory durable.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
