// Package backup writes the whole of an installation's database into one encrypted
// file while it serves, and puts such a file back: into SQLite or PostgreSQL, whatever
// it came from. It owns the format of the file, its encryption, what a restore does
// with ends of access that the file does not know, and the lists that tell of them.
//
// It holds no SQL and no key: provider keys are in the file as they are in the
// database, sealed, and the key-encryption key never is.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Backups makes and restores backups of one installation. Its fields are set before
// first use.
type Backups struct {
	DB *store.DB
	// Version is that of the program.
	Version string
	// Dir is where an older backup is brought up to date before it is restored.
	Dir string
	// NoExports and NoImports switch either off.
	NoExports, NoImports bool
}

// A Table is one table of a backup.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
}

// Header is what a backup says of itself.
type Header struct {
	Format   int       `json:"tenure_backup"`
	Version  string    `json:"version"`
	Schema   int64     `json:"schema"`
	Install  string    `json:"install"`
	Database string    `json:"database"`
	At       time.Time `json:"at"`
	Feed     int64     `json:"feed"`
	Audit    int64     `json:"audit"`
	Tables   []Table   `json:"tables"`
}

// Rows is how many rows all tables have.
func (h Header) Rows() int64 {
	var n int64
	for _, t := range h.Tables {
		n += t.Rows
	}
	return n
}

// Summary is what a backup was found, or made, to be.
type Summary struct {
	Header
	Digest string // SHA-256 of what is in it, in hexadecimal
}

// Progress is told how many of how many rows are done.
type Progress func(done, of int64)

// Create writes a backup of the present state to w. The Summary tells it when it is
// whole; without one, what was written is none. Forbidden: exports are switched off.
func (b *Backups) Create(ctx context.Context, by tenure.Principal, w io.Writer, lock Lock, tell Progress) (Summary, error) {
	if err := b.mayExport(by); err != nil {
		return Summary{}, err
	}
	if _, _, err := lock.recipients(); err != nil {
		return Summary{}, err
	}
	return b.told(ctx, by, lock, func() (Summary, error) {
		snap, err := b.DB.Snapshot(ctx)
		if err != nil {
			return Summary{}, err
		}
		defer func() { _ = snap.Close() }()
		return b.write(ctx, snap, w, lock, tell)
	})
}

// told has the audit log tell of a backup: before anything leaves, and what came of it.
func (b *Backups) told(ctx context.Context, by tenure.Principal, lock Lock, write func() (Summary, error)) (Summary, error) {
	if err := b.note(ctx, audit.BackupBegun(by, lock.Kind())); err != nil {
		return Summary{}, err
	}
	sum, err := write()
	if err != nil {
		// Whoever hung up has not undone that it was begun.
		return Summary{}, errors.Join(fmt.Errorf("backup: %w", err), b.note(context.WithoutCancel(ctx), audit.BackupFailed(by, err)))
	}
	return sum, b.note(context.WithoutCancel(ctx), audit.BackupCreated(by, sum.Rows(), sum.Digest, lock.Kind()))
}

// note writes an event of its own: never the first thing in a database.
func (b *Backups) note(ctx context.Context, event tenure.AuditEvent) error {
	return b.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if untouched, err := tx.Untouched(ctx); err != nil || untouched {
			return err
		}
		return tx.Append(ctx, event)
	})
}

func (b *Backups) mayExport(by tenure.Principal) error {
	if err := access.Check(by, tenure.CreateBackup); err != nil {
		return err
	}
	if b.NoExports {
		return off("TENURE_BACKUP_EXPORTS_ENABLED", "backups cannot be made")
	}
	return nil
}

func (b *Backups) mayImport(by tenure.Principal) error {
	if err := access.Check(by, tenure.RestoreBackup); err != nil {
		return err
	}
	if b.NoImports {
		return off("TENURE_BACKUP_IMPORTS_ENABLED", "backups cannot be restored")
	}
	return nil
}

func off(setting, what string) error {
	return &tenure.Error{Kind: tenure.Forbidden, Code: "switched_off", Msg: fmt.Sprintf("%s: %s is false", what, setting)}
}
