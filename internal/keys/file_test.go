package keys

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Kubernetes and systemd lay a key down as another user's, for this one's group.
func TestWhoMayReadTheMasterKey(t *testing.T) {
	for _, c := range []struct {
		mode        fs.FileMode
		own, others bool // whether it is good as one's own, and as another's
	}{
		{0o600, true, true},
		{0o400, true, true},
		{0o440, false, true},
		{0o640, false, true},
		{0o460, false, false},
		{0o450, false, false},
		{0o444, false, false},
		{0o404, false, false},
		{0o644, false, false},
	} {
		if keptFromOthers(c.mode, true) != c.own || keptFromOthers(c.mode, false) != c.others {
			t.Errorf("mode %#o: one's own %t, another's %t", c.mode, keptFromOthers(c.mode, true), keptFromOthers(c.mode, false))
		}
	}
}

// A key file is made whole, for its owner alone, and never over another; nothing else
// is left beside it.
func TestMakeMakesOneWholeFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "master.key")
	if err := Make("file:" + file); err != nil {
		t.Fatal(err)
	}
	if _, err := openFile(file); err != nil {
		t.Error(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := Make("file:" + file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	after, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(before, after) {
		t.Error("it was written over")
	}
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 1 {
		t.Errorf("there are %v, %v", all, err)
	}
	if err := Make("file:" + filepath.Join(dir, "none", "master.key")); err == nil {
		t.Error("a directory was made")
	}
}

// Those who make it at once make one: none ever reads half of it.
func TestMakeAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "master.key")
	var wg sync.WaitGroup
	var made atomic.Int32
	for range 8 {
		wg.Go(func() {
			if err := Make("file:" + file); err == nil {
				made.Add(1)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			if _, err := openFile(file); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
}
