package store

import (
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
	return nil
}

func (l *fileLease) release() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}
