// Package store keeps everything that Tenure remembers: tenants, people,
// tokens, sessions, provider credentials, the audit log and the feed of changes.
//
// It owns all SQL, the transaction, the migrations and the write-behind of
// last-use times. It decides nothing: whoever calls it has checked access, and
// what a row means for a request is judged elsewhere. SQL is written once, with
// $n placeholders, so that each supported database reads the same text.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// DB is an open database. Its read methods see the latest commit; writes go
// through Tx. It is safe for use by many goroutines.
type DB struct {
	reads
	now    func() time.Time
	path   string
	file   os.FileInfo // of path, when it was opened
	pool   *sql.DB     // readers
	writer *writer
	lease  *fileLease
	stmts  sync.Map // SQL text -> *sql.Stmt on pool
}

// Tx is one transaction. It has the read methods of DB, and all writes.
type Tx struct {
	reads
	now  time.Time
	conn *cachedConn
}

// Now is the instant of the transaction: the same for everything in it.
func (tx *Tx) Now() time.Time { return tx.now }

// Now is the clock of the store.
func (db *DB) Now() time.Time { return db.now() }

type inTx struct{}

// Tx runs fn in one transaction and commits when fn returns nil. fn may run
// more than once, so it has no effects outside tx; it must use the context
// that it is given, which does not end when the caller leaves: what was begun
// is finished or undone. A Tx inside a Tx is an error. Where the context belongs
// to a request (tenure.AskerOf), whoever asks must still have the authority that
// they were admitted with. The first transaction of a
// context that carries a tenure.Once notes it at its end, and is undone with
// ErrRepeated when it was carried out before: fn has judged by then whether it may
// be, and its error comes first.
func (db *DB) Tx(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if ctx.Value(inTx{}) != nil {
		return errors.New("store: a transaction inside a transaction")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	inner := context.WithValue(context.WithoutCancel(ctx), inTx{}, true)
	once, asker := tenure.OnceOf(ctx), tenure.AskerOf(ctx)
	err := db.writer.do(ctx, func(tx *Tx) error {
		if asker.Valid() {
			if err := tx.stands(inner, asker); err != nil {
				return err
			}
		}
		if err := fn(inner, tx); err != nil || once == nil {
			return err
		}
		return tx.note(inner, once)
	})
	if err == nil && once != nil {
		once.Note()
	}
	return err
}

// Close ends all connections, and leaves the whole database in its one file.
func (db *DB) Close() error {
	db.writer.stop()
	db.stmts.Range(func(_, s any) bool {
		_ = s.(*sql.Stmt).Close()
		return true
	})
	err := db.pool.Close()
	db.writer.close() // last, so that it folds the log into the database file
	return errors.Join(err, db.lease.release())
}

// runner is what a query needs: the pool for reads, or a transaction.
type runner interface {
	stmt(ctx context.Context, query string) (*sql.Stmt, error)
	// rows runs a query that is not kept prepared: one of too many shapes.
	rows(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// reads are the queries that DB and Tx share.
type reads struct{ run runner }

// stmt gives the prepared form of query; database/sql prepares it anew on each
// connection that needs it.
func (db *DB) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := db.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := db.pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, classify(err)
	}
	if old, loaded := db.stmts.LoadOrStore(query, s); loaded {
		_ = s.Close()
		return old.(*sql.Stmt), nil
	}
	return s, nil
}

func (db *DB) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return db.pool.QueryContext(ctx, query, args...)
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

func (c *cachedConn) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.conn.QueryContext(ctx, query, args...)
}

// scanner is a row to be read.
type scanner interface{ Scan(dest ...any) error }

// one reads a single row by scan, or answers NotFound.
func one[T any](ctx context.Context, r runner, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	var zero T
	s, err := r.stmt(ctx, query)
	if err != nil {
		return zero, err
	}
	v, err := scan(s.QueryRowContext(ctx, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return zero, tenure.ErrNotFound
	}
	if err != nil {
		return zero, classify(err)
	}
	return v, nil
}

// many reads all rows by scan; no rows is an empty slice.
func many[T any](ctx context.Context, r runner, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	s, err := r.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, classify(err)
	}
	return all(rows, scan)
}

// manyOf is many for a query that is not kept prepared unless it is simple.
func manyOf[T any](ctx context.Context, r runner, simple bool, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	if simple {
		return many(ctx, r, scan, query, args...)
	}
	rows, err := r.rows(ctx, query, args...)
	if err != nil {
		return nil, classify(err)
	}
	return all(rows, scan)
}

// all reads the rows and closes them.
func all[T any](rows *sql.Rows, scan func(scanner) (T, error)) ([]T, error) {
	defer func() { _ = rows.Close() }()
	out := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, classify(err)
		}
		out = append(out, v)
	}
	return out, classify(rows.Err())
}

// scalar reads one value.
func scalar[T any](row scanner) (T, error) {
	var v T
	err := row.Scan(&v)
	return v, err
}

// exec runs a write and gives the number of rows that it touched.
func (tx *Tx) exec(ctx context.Context, query string, args ...any) (int, error) {
	s, err := tx.conn.stmt(ctx, query)
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

// execOne runs a write that must touch a row, or answers NotFound.
func (tx *Tx) execOne(ctx context.Context, query string, args ...any) error {
	n, err := tx.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return tenure.ErrNotFound
	}
	return err
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	_, err := one(ctx, db, scalar[int], `SELECT 1`)
	return err
}

// Meta reads a value of the installation, or "" when it was never set.
func (r reads) Meta(ctx context.Context, key string) (string, error) {
	v, err := one(ctx, r.run, scalar[string], `SELECT value FROM meta WHERE key = $1`, key)
	if tenure.IsKind(err, tenure.NotFound) {
		return "", nil
	}
	return v, err
}

// SetMeta writes a value of the installation.
func (tx *Tx) SetMeta(ctx context.Context, key, value string) error {
	_, err := tx.exec(ctx, `INSERT INTO meta (key, value) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	return err
}

// conflict answers Conflict when err is a breach of uniqueness.
func conflict(err error, field, format string, args ...any) error {
	if !errors.Is(err, errUnique) {
		return err
	}
	return &tenure.Error{Kind: tenure.Conflict, Code: "uniqueness", Field: field, Msg: fmt.Sprintf(format, args...)}
}
