package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tenure-gateway/tenure"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// errUnique marks a breach of a UNIQUE constraint.
var errUnique = errors.New("store: not unique")

// CodeUnsafe is the code of an error of a database whose disk failed to make a write
// durable.
const CodeUnsafe = "database_unsafe"

// errUnsafe marks a failed fsync. The kernel tells of it once, and may hold what was
// lost for written: what is asked of the disk from then on is no proof of anything. (A
// write that fails loses nothing that was said to be there, and may be tried again.)
var errUnsafe = errors.New("store: fsync failed")

// busyTimeout is how long a write waits for another process that holds the
// file's write lock, for example a shell with an open transaction.
const busyTimeout = 5 * time.Second

// OpenSQLite opens the database file at path, makes it (mode 0600) when there
// is none, and brings its schema up to date. now is the clock; nil means
// time.Now.
func OpenSQLite(ctx context.Context, path string, now func() time.Time) (*DB, error) {
	return openSQLite(ctx, path, now, migrateSQLite)
}

// openSQLite opens the file once prepare has seen it.
func openSQLite(ctx context.Context, path string, now func() time.Time, prepare func(context.Context, *sql.DB) error) (*DB, error) {
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
	wdb, err := sql.Open("sqlite", dsn(path, "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=foreign_keys(1)", "_pragma=secure_delete(1)")) // what is erased is not in the file any more
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, wdb); err != nil {
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
	s := &sqliteFile{path: path, file: file, pool: pool}
	s.writer = newWriter(wdb, conn, now, s.inPlace)
	return &DB{
		reads: reads{run: s}, now: now,
		engine: engine{write: s.writer.do, share: s.writer.do, feed: s.feed, horizon: func(context.Context) (string, error) { return "", nil }, facts: s.facts, lease: s.claim, still: s.still, snapshot: s.snapshot, replace: s.replace, close: s.close, unsafe: s.writer.unsafe},
	}, nil
}

// sqliteFile is the engine of a database in one file.
type sqliteFile struct {
	path   string
	file   os.FileInfo // of path, when it was opened
	pool   *sql.DB     // readers
	writer *writer
	lease  fileLease
	stmts  sync.Map // SQL text -> *sql.Stmt on pool
}

func (s *sqliteFile) close() error {
	s.writer.stop()
	select {
	case <-s.writer.unsafe:
		// To close would fold the log into the database file, and remove it, as though
		// the disk had all of it. The process ends with what it has open.
		return nil
	default:
	}
	s.stmts.Range(func(_, stmt any) bool {
		_ = stmt.(*sql.Stmt).Close()
		return true
	})
	err := s.pool.Close()
	s.writer.close() // last, so that it folds the log into the database file
	return errors.Join(err, s.lease.release())
}

// inPlace answers Unavailable when the database file was removed or replaced
// while it is in use: what is written then would be lost.
func (s *sqliteFile) inPlace() error {
	if now, err := os.Stat(s.path); err == nil && os.SameFile(now, s.file) {
		return nil
	}
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "database_replaced", RetryAfter: time.Second,
		Msg: "the database file was removed or replaced while in use; restart the server",
	}
}

// stmt gives the prepared form of query; database/sql prepares it anew on each
// connection that needs it.
func (s *sqliteFile) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := s.pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if old, loaded := s.stmts.LoadOrStore(query, stmt); loaded {
		_ = stmt.Close()
		return old.(*sql.Stmt), nil
	}
	return stmt, nil
}

func (s *sqliteFile) each(ctx context.Context, keep bool, row func(scanner) error, query string, args ...any) error {
	if !keep {
		rows, err := s.pool.QueryContext(ctx, query, args...)
		return eachOf(rows, err, row)
	}
	stmt, err := s.stmt(ctx, query)
	if err != nil {
		return classify(err)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	return eachOf(rows, err, row)
}

// exec is for transactions: the pool only reads.
func (s *sqliteFile) exec(context.Context, string, ...any) (int, error) {
	return 0, errors.New("store: a write outside a transaction")
}

// cachedConn is one connection with its prepared statements.
type cachedConn struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (c *cachedConn) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, classify(err)
	}
	c.stmts[query] = s
	return s, nil
}

// close ends the statements before the connection: the engine keeps a connection
// alive that has statements, and then never folds the log into the database.
func (c *cachedConn) close() {
	for _, s := range c.stmts {
		_ = s.Close()
	}
	_ = c.conn.Close()
}

func (c *cachedConn) each(ctx context.Context, keep bool, row func(scanner) error, query string, args ...any) error {
	if !keep {
		rows, err := c.conn.QueryContext(ctx, query, args...)
		return eachOf(rows, err, row)
	}
	s, err := c.stmt(ctx, query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	return eachOf(rows, err, row)
}

func (c *cachedConn) exec(ctx context.Context, query string, args ...any) (int, error) {
	s, err := c.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, classify(err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// eachOf gives the rows that a query has found, and closes them.
func eachOf(rows *sql.Rows, err error, row func(scanner) error) error {
	if err != nil {
		return classify(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return classify(err)
		}
	}
	return classify(rows.Err())
}

// dsn is the name by which the file at path is opened. It is there already: whoever opens it
// while it is away finds none, and makes none in its place.
func dsn(path string, params ...string) string {
	q := fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds())
	if !slices.ContainsFunc(params, func(p string) bool { return strings.HasPrefix(p, "mode=") }) {
		q += "&mode=rw"
	}
	for _, p := range params {
		q += "&" + p
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q}).String()
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
	switch code := se.Code(); code {
	case sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC:
		return &tenure.Error{
			Kind: tenure.Unavailable, Code: CodeUnsafe, RetryAfter: time.Second,
			Msg: "the disk did not keep what was written; the server stops", Err: fmt.Errorf("%w: %w", errUnsafe, err),
		}
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

func (s *sqliteFile) facts(ctx context.Context) (Facts, error) {
	f, err := one(ctx, s, func(row scanner) (Facts, error) {
		var f Facts
		err := row.Scan(&f.Engine, &f.Schema)
		f.Engine = "SQLite " + f.Engine
		return f, err
	}, `SELECT sqlite_version(), (SELECT MAX(version_id) FROM goose_db_version)`)
	if err != nil {
		return f, err
	}
	f.Journal, err = one(ctx, s, scalar[string], `PRAGMA journal_mode`)
	for _, suffix := range [...]string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			f.Bytes += info.Size()
		}
	}
	return f, err
}
