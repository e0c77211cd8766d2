package store

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/pressly/goose/v3"
)

// SQLiteState is what a database file looks like from outside.
type SQLiteState struct {
	Schema   Schema
	Version  string      // of the library
	WAL      bool        // it has a write-ahead log: a server has opened it
	Mode     fs.FileMode // of the file
	Bytes    int64
	Free     uint64   // bytes of its disk that its user may have
	Serving  bool     // a server holds the lease
	Triggers []string // that this schema has and the file lacks, or has changed
}

// StateOfSQLite looks at the file at path and changes nothing.
func StateOfSQLite(ctx context.Context, path string) (SQLiteState, error) {
	var s SQLiteState
	info, err := os.Stat(path)
	if err != nil {
		return s, err
	}
	s.Mode, s.Bytes = info.Mode(), info.Size()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(path, &disk); err != nil {
		return s, err
	}
	s.Free = uint64(disk.Bavail) * uint64(disk.Bsize) //nolint:unconvert // the types differ between systems
	s.Serving = served(path)
	if s.Schema, err = SchemaOfSQLite(ctx, path); err != nil {
		return s, classify(err)
	}
	db, err := sql.Open("sqlite", onlyLook(path))
	if err != nil {
		return s, err
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&s.Version); err != nil {
		return s, classify(err)
	}
	if s.WAL, err = hasWAL(path); err != nil {
		return s, err
	}
	if s.Schema.Version == s.Schema.Needed {
		s.Triggers, err = lostTriggers(ctx, db)
	}
	return s, classify(err)
}

// hasWAL reads the file's own word for it (https://sqlite.org/fileformat2.html §1.3.3).
func hasWAL(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	var head [20]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return false, err
	}
	return head[18] == 2 && head[19] == 2, nil
}

// served reports whether a server holds the lease of the file at path. It tries the
// lock for an instant, beside others who only look.
func served(path string) bool {
	f, err := os.Open(path + ".lock")
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // which lets go of it
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// lostTriggers compares the triggers with those of a new database.
func lostTriggers(ctx context.Context, db *sql.DB) ([]string, error) {
	fresh, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { _ = fresh.Close() }()
	fresh.SetMaxOpenConns(1) // each connection is a database of its own
	p, err := migrations(goose.DialectSQLite3, fresh, sqliteMigrations, "migrations/sqlite")
	if err == nil {
		_, err = p.Up(ctx)
	}
	if err != nil {
		return nil, err
	}
	have, err := triggersOf(ctx, db)
	if err != nil {
		return nil, err
	}
	want, err := triggersOf(ctx, fresh)
	var lost []string
	for _, t := range want {
		if !slices.Contains(have, t) {
			lost = append(lost, t.name)
		}
	}
	return lost, err
}

// sqliteTrigger is a trigger with its text.
type sqliteTrigger struct{ name, text string }

func triggersOf(ctx context.Context, db *sql.DB) ([]sqliteTrigger, error) {
	var out []sqliteTrigger
	rows, err := db.QueryContext(ctx, `SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name`)
	err = eachOf(rows, err, func(row scanner) error {
		var t sqliteTrigger
		err := row.Scan(&t.name, &t.text)
		out = append(out, t)
		return err
	})
	return out, err
}

// CheckSQLite runs SQLite's own quick check of the file at path, and gives what it
// found, at most ten lines; nothing is good. It reads the whole file.
func CheckSQLite(ctx context.Context, path string) ([]string, error) {
	db, err := sql.Open("sqlite", onlyLook(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	var faults []string
	rows, err := db.QueryContext(ctx, `PRAGMA quick_check(10)`)
	err = eachOf(rows, err, func(row scanner) error {
		line, err := scalar[string](row)
		if line != "ok" {
			faults = append(faults, line)
		}
		return err
	})
	return faults, err
}
