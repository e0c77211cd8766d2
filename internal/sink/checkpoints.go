package sink

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Checkpoints puts each signed checkpoint of the log into a directory, as a file whose
// name is how many places it is over, with the epoch of its history behind it where that is
// not the first, and the newest as "latest" too. What is there is never overwritten, but for
// "latest". What no key of the log has signed is not put there, but told of. Its fields are
// set before first use.
type Checkpoints struct {
	DB  *store.DB
	Dir string
	// Opener is the log's: it gives what tells over how many places a checkpoint is, and
	// whether a key has signed it whose secret this process has.
	Opener func(context.Context) (func(text string) (size int64, ours bool, err error), error)

	done string // the newest, as all was there last
}

// latest is the name of the newest.
const latest = "latest"

// Flush writes the checkpoints that are newer than the newest that is there; into an
// empty directory the last one alone. What is there and goes beyond the log is an error, and
// so is a row that is no checkpoint of the log; the others are written. It is called by one
// goroutine at a time.
func (c *Checkpoints) Flush(ctx context.Context) error {
	ctx = tenure.Everywhere(tenure.WithoutAsker(ctx))
	tree, err := c.DB.Tree(ctx)
	if err != nil {
		return err
	}
	last, err := c.DB.LastCheckpoint(ctx)
	if tenure.IsKind(err, tenure.NotFound) || err == nil && last.Note == c.done {
		return c.cut(ctx, suffix(tree.Epoch))
	}
	if err != nil {
		return err
	}
	open, err := c.Opener(ctx)
	if tenure.IsKind(err, tenure.Unavailable) { // nothing is signed either
		return nil
	}
	if err != nil {
		return err
	}
	history, why := epoch(last.Note), signed(open, last)
	if why != nil {
		history = suffix(tree.Epoch)
	}
	have, err := c.newest(history)
	if err != nil {
		return err
	}
	if why == nil && (have == 0 || have >= last.Size) { // the same as is there, as a rule
		why = c.put(last)
	} else {
		why = c.newer(ctx, open, have)
	}
	if why == nil {
		c.done = last.Note
	}
	return errors.Join(why, c.cut(ctx, suffix(tree.Epoch)))
}

// newer writes those that are over more places than some. It gives the first error, and
// writes what it can.
func (c *Checkpoints) newer(ctx context.Context, open func(string) (int64, bool, error), have int64) error {
	var first error
	for {
		some, err := c.DB.Checkpoints(ctx, have, page)
		if err != nil || len(some) == 0 {
			return errors.Join(first, err)
		}
		for _, one := range some {
			have = one.Size
			err := signed(open, one)
			if err == nil {
				err = c.put(one)
			}
			if first == nil && !errors.Is(err, errBefore) {
				first = err
			}
		}
	}
}

// errBefore is why a checkpoint is left out of which nothing is wrong: a key has signed it
// that was retired since, and there are newer ones.
var errBefore = errors.New("a key of before has signed it")

// signed is why a row is no checkpoint of the log; nil: it is one.
func signed(open func(string) (int64, bool, error), one store.Checkpoint) error {
	size, ours, err := open(one.Note)
	switch {
	case err != nil:
		return fmt.Errorf("what stands as the checkpoint of %d places is none, and is not kept: %w", one.Size, err)
	case size != one.Size:
		return fmt.Errorf("what stands as the checkpoint of %d places is one of %d, and is not kept", one.Size, size)
	case !ours:
		return errBefore
	}
	return nil
}

// cut is an error where the directory has a checkpoint over more places than the log's last.
func (c *Checkpoints) cut(ctx context.Context, history string) error {
	have, err := c.newest(history) // before the log is asked: another replica may add to both
	if err != nil {
		return err
	}
	last, err := c.DB.LastCheckpoint(ctx)
	if tenure.IsKind(err, tenure.NotFound) {
		last, err = store.Checkpoint{}, nil
	}
	if err != nil || have <= last.Size || last.Size > 0 && epoch(last.Note) != history { // it was restored, and is signed soon
		return err
	}
	return fmt.Errorf("%s has a checkpoint over %d places, and the last one of the log is over %d: the log was cut off, or set back", c.Dir, have, last.Size)
}

// epoch is what a checkpoint tells of its history, as names have it: a log that was
// restored, or begun anew, has fewer places than are there of it.
func epoch(note string) string {
	origin, _, _ := strings.Cut(note, "\n")
	if parts := strings.SplitN(origin, "/", 3); len(parts) == 3 {
		return suffix(parts[2])
	}
	return ""
}

// suffix is what the names of an epoch's checkpoints end with.
func suffix(epoch string) string {
	if epoch == "" {
		return ""
	}
	return "-" + strings.ReplaceAll(epoch, "/", "_")
}

// newest is over how many places the newest of an epoch is that is there; 0: none is.
func (c *Checkpoints) newest(epoch string) (int64, error) {
	entries, err := os.ReadDir(c.Dir)
	most := int64(0)
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), epoch)
		if size, err := strconv.ParseInt(name, 10, 64); ok && err == nil {
			most = max(most, size)
		}
	}
	return most, err
}

// put writes one: whole under its name, or not at all.
func (c *Checkpoints) put(one store.Checkpoint) error {
	name := filepath.Join(c.Dir, fmt.Sprintf("%012d%s", one.Size, epoch(one.Note)))
	if done, err := c.has(name, one); done || err != nil {
		return err
	}
	f, err := os.CreateTemp(c.Dir, ".checkpoint-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(one.Note)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = link(f.Name(), name, one)
	}
	var other *otherError
	if errors.As(err, &other) { // what differs stands beside it: "latest" is what the log has
		return errors.Join(err, os.Rename(f.Name(), filepath.Join(c.Dir, latest)), syncDir(name))
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.Dir, latest))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Join(c.Dir, latest))
}

// has reports whether a checkpoint is there already, by its name or beside another one
// that has it, and is the newest that is told.
func (c *Checkpoints) has(name string, one store.Checkpoint) (bool, error) {
	for _, path := range []string{name, beside(name, one)} {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		if err == nil && string(text) == one.Note {
			newest, err := os.ReadFile(filepath.Join(c.Dir, latest))
			return err == nil && string(newest) == one.Note, nil
		}
	}
	return false, nil
}

// beside is the name of a checkpoint whose own is another one's of as many places.
func beside(name string, one store.Checkpoint) string {
	sum := sha256.Sum256([]byte(one.Note))
	return fmt.Sprintf("%s.other-%x", name, sum[:8])
}

// link gives what was written its name; where another one has it, one beside that, and
// then that is an *otherError.
func link(written, name string, one store.Checkpoint) error {
	err := os.Link(written, name)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	if text, err := os.ReadFile(name); err != nil || string(text) == one.Note {
		return err // another replica's
	}
	if err := os.Link(written, beside(name, one)); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil // told before
		}
		return err
	}
	return &otherError{name, one.Size}
}

// otherError tells that there are two checkpoints of as many places, of one epoch.
type otherError struct {
	name string
	size int64
}

// Error implements error.
func (e *otherError) Error() string {
	return fmt.Sprintf("%s is another checkpoint over %d places than the log has: both are kept", e.name, e.size)
}

// Begin looks whether the directory can be written to, and takes hard links.
func (c *Checkpoints) Begin() error {
	f, err := os.CreateTemp(c.Dir, ".checkpoint-*")
	if err != nil {
		return err
	}
	err = os.Link(f.Name(), f.Name()+"-link")
	if err == nil {
		err = os.Remove(f.Name() + "-link")
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
