package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"filippo.io/age"

	"github.com/tenure-gateway/tenure"
)

// CreateFile writes a backup to a new file with mode 0600, and reads it back: it gets
// its name only when it is found whole. checking is called before the reading.
// Conflict: there is such a file.
func (b *Backups) CreateFile(ctx context.Context, by tenure.Principal, path string, lock Lock, tell Progress, checking func()) (Summary, error) {
	if err := b.mayExport(by); err != nil {
		return Summary{}, err
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return Summary{}, &tenure.Error{Kind: tenure.Conflict, Code: "file_exists", Msg: fmt.Sprintf("there is a file %s already: name another, or remove it", path), Err: err}
	}
	to, own, err := lock.recipients()
	if err != nil {
		return Summary{}, err
	}
	return b.told(ctx, by, lock, func() (Summary, error) {
		f, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			return Summary{}, &tenure.Error{Kind: tenure.Conflict, Code: "file_exists", Msg: fmt.Sprintf("there is a file %s.part: another backup writes it, or one was broken off; remove it", path), Err: err}
		}
		if err != nil {
			return Summary{}, err
		}
		sum, err := b.intoFile(ctx, f, to, own, tell, checking)
		if err == nil {
			err = os.Rename(f.Name(), path)
		}
		if err != nil {
			_ = os.Remove(f.Name())
			return Summary{}, err
		}
		return sum, syncDir(filepath.Dir(path))
	})
}

// maxSpooled is the largest backup that is taken over the API, in bytes.
const maxSpooled = 64 << 30

// Spool takes a backup in, as slowly as it comes, before anybody has to wait for it: into
// a file without a name in Dir, whose space is free again once it is closed. Forbidden:
// imports are switched off.
func (b *Backups) Spool(by tenure.Principal, r io.Reader) (io.ReadCloser, error) {
	if err := b.mayImport(by); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(b.Dir, "restore-*.age") // of mode 0600
	if err != nil {
		return nil, err
	}
	if err = os.Remove(f.Name()); err == nil {
		var n int64
		if n, err = io.Copy(f, io.LimitReader(r, maxSpooled+1)); n > maxSpooled {
			err = tenure.InvalidField("backup", "a backup of more than %d GiB is restored at the command line", maxSpooled>>30)
		}
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// intoFile writes, syncs, reads back and closes.
func (b *Backups) intoFile(ctx context.Context, f *os.File, to []age.Recipient, own age.Identity, tell Progress, checking func()) (Summary, error) {
	defer func() { _ = f.Close() }()
	snap, err := b.DB.Snapshot(ctx)
	if err != nil {
		return Summary{}, err
	}
	sum, err := writeTo(ctx, snap, b.Version, f, to, tell)
	if err = errors.Join(err, snap.Close()); err != nil {
		return Summary{}, err
	}
	if err := f.Sync(); err != nil {
		return Summary{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Summary{}, err
	}
	checking()
	found, err := verify(ctx, f, []age.Identity{own}, tell)
	if err == nil && found.Digest != sum.Digest {
		err = errors.New("what was read back is not what was written")
	}
	return sum, err
}

// syncDir makes the names in a directory durable, where the file system can: some of the
// network cannot.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
