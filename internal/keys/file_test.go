package keys

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
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

// Where a file system knows no second names, the file is made under its own, and is as
// whole and as much the only one.
func TestMakeWithoutLinks(t *testing.T) {
	for _, why := range []error{syscall.EPERM, syscall.ENOTSUP, syscall.ENOSYS} {
		dir := t.TempDir()
		path := filepath.Join(dir, "master.key")
		none := func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: why} }
		if err := makeFile(path, none); err != nil {
			t.Fatalf("%v: %v", why, err)
		}
		if _, err := openFile(path); err != nil {
			t.Error(err)
		}
		if err := makeFile(path, none); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v: over another: %v", why, err)
		}
		if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
			t.Errorf("%v: there are %v, %v", why, all, err)
		}
	}
	full := func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.ENOSPC} }
	dir := t.TempDir()
	if err := makeFile(filepath.Join(dir, "master.key"), full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk: %v", err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 0 {
		t.Errorf("on a full disk it left %v, %v", all, err)
	}
}

// Directories that cannot be synced are no fault; others that fail to be are.
func TestSyncDir(t *testing.T) {
	if d, err := os.Open("/proc"); err != nil || !errors.Is(d.Sync(), syscall.EINVAL) {
		t.Fatal("the directory can be synced: this tests nothing")
	}
	if err := syncDir("/proc"); err != nil {
		t.Error(err)
	}
	if err := syncDir(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A second name of the key, which a crash left, is removed at the next start; what only
// looks like one is not.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	if err := Make("file:" + path); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, ".master-key-other")
	if err := os.WriteFile(other, []byte("another key"), 0o600); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "kept.key") // an operator's
	for _, name := range []string{filepath.Join(dir, ".master-key-1234"), own} {
		if err := os.Link(path, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(path, filepath.Join(dir, ".master-key-link")); err != nil {
		t.Fatal(err)
	}
	Tidy("file:" + path)
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name())
	}
	if want := []string{".master-key-link", ".master-key-other", "kept.key", "master.key"}; !slices.Equal(names, want) {
		t.Errorf("there are %v, want %v", names, want)
	}
	if _, err := openFile(path); err != nil {
		t.Error(err)
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
