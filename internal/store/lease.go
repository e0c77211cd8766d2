package store

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/tenure-gateway/tenure"
)

// fileLease is the lock that keeps a second server off the same database file.
type fileLease struct{ f *os.File }

// claim takes the lock beside the database file.
func (s *sqliteFile) claim() error {
	name := s.path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return &tenure.Error{
			Kind: tenure.Conflict, Code: "already_serving",
			Msg: fmt.Sprintf("another tenure serves from %s; stop it first, or give this one a TENURE_HOME of its own", s.path), Err: err,
		}
	}
	s.lease.f = f
	return s.fold()
}

// fold writes what the log has into the database file anew, and empties the log. Where a
// process stopped because fsync had failed, the kernel may hold parts of the log for
// written that are not on the disk: nothing may be built on those. Readers that are in
// the way (a shell, a verb) are no fault.
func (s *sqliteFile) fold() error {
	_, err := s.writer.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	err = classify(err)
	if tenure.AsError(err).Code == "database_busy" {
		return nil
	}
	return err
}

func (l *fileLease) release() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}
