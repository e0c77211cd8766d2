package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
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
		return Summary{}, fmt.Errorf("backup: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return Summary{}, err
	}
	return sum, b.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.BackupCreated(by, sum.Rows(), sum.Digest, lock.Kind()))
	})
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
