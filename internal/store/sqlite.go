package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tenure-gateway/tenure"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// errUnique marks a breach of a UNIQUE constraint.
var errUnique = errors.New("store: not unique")

// busyTimeout is how long a write waits for another process that holds the
// file's write lock, for example a shell with an open transaction.
const busyTimeout = 5 * time.Second

// OpenSQLite opens the database file at path, makes it (mode 0600) when there
// is none, and brings its schema up to date. now is the clock; nil means
// time.Now.
func OpenSQLite(ctx context.Context, path string, now func() time.Time) (*DB, error) {
	if now == nil {
		now = time.Now
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	_ = f.Close()
	// A copy that was put there by hand may be open to others; the files beside
	// it get the same mode.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}

	// The writer comes first: it turns on the write-ahead log.
	wdb, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=foreign_keys(1)"))
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, wdb); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate %s: %w", path, err), wdb.Close())
	}
	conn, err := wdb.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, wdb.Close())
	}
	pool, err := sql.Open("sqlite", dsn(path, "_pragma=query_only(1)"))
	if err != nil {
		return nil, errors.Join(err, wdb.Close())
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	pool.SetMaxOpenConns(readers)
	pool.SetMaxIdleConns(readers)

	file, err := os.Stat(path)
	if err != nil {
		return nil, errors.Join(err, pool.Close(), wdb.Close())
	}
	db := &DB{now: now, path: path, file: file, pool: pool, lease: &fileLease{}}
	db.run = db
	db.writer = newWriter(wdb, conn, now, db.inPlace)
	return db, nil
}

// inPlace answers Unavailable when the database file was removed or replaced
// while it is in use: what is written then would be lost.
func (db *DB) inPlace() error {
	if now, err := os.Stat(db.path); err == nil && os.SameFile(now, db.file) {
		return nil
	}
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "database_replaced", RetryAfter: time.Second,
		Msg: "the database file was removed or replaced while in use; restart the server",
	}
}

func dsn(path string, params ...string) string {
	q := fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds())
	for _, p := range params {
		q += "&" + p
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q}).String()
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// classify turns what the driver says into the kinds that the product knows.
// Errors that are classified already pass through.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	switch code := se.Code(); code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		if code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
			return fmt.Errorf("%w: %w", errUnique, err)
		}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &tenure.Error{
			Kind: tenure.Unavailable, Code: "database_busy", RetryAfter: time.Second,
			Msg: "the database is busy; try again", Err: err,
		}
	case sqlite3.SQLITE_FULL:
		return &tenure.Error{
			Kind: tenure.InsufficientSpace, Code: "database_full",
			Msg: "the disk that holds the database is full", Err: err,
		}
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return &tenure.Error{
			Kind: tenure.Unavailable, Code: "database_unavailable", RetryAfter: time.Second,
			Msg: "the database cannot be read or written", Err: err,
		}
	}
	return err
}

// Facts tells what is known of the database itself.
func (db *DB) Facts(ctx context.Context) (Facts, error) {
	f, err := one(ctx, db, func(row scanner) (Facts, error) {
		var f Facts
		err := row.Scan(&f.Engine, &f.Schema)
		f.Engine = "SQLite " + f.Engine
		return f, err
	}, `SELECT sqlite_version(), (SELECT MAX(version_id) FROM goose_db_version)`)
	if err != nil {
		return f, err
	}
	f.Journal, err = one(ctx, db, func(row scanner) (string, error) {
		var mode string
		err := row.Scan(&mode)
		return mode, err
	}, `PRAGMA journal_mode`)
	for _, suffix := range [...]string{"", "-wal"} {
		if info, err := os.Stat(db.path + suffix); err == nil {
			f.Bytes += info.Size()
		}
	}
	return f, err
}
