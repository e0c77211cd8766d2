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
	"errors"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
)

// DB is an open database. Its read methods see the latest commit; writes go
// through Tx. It is safe for use by many goroutines.
type DB struct {
	reads
	now    func() time.Time
	engine engine
}

// Tx is one transaction. It has the read methods of DB, and all writes.
type Tx struct {
	reads
	now time.Time
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
	return tx(ctx, db.engine.write, fn)
}

// TxShared is Tx for a function that only adds rows of its own, and decides by
// nothing that another such function writes. Those that are asked for at the same
// moment may run side by side in one transaction, and are committed together; one
// that fails is refused alone.
func (db *DB) TxShared(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if tenure.OnceOf(ctx) != nil {
		return db.Tx(ctx, fn)
	}
	return tx(ctx, db.engine.share, fn)
}

// tx runs fn by write, an engine's.
func tx(ctx context.Context, write func(context.Context, func(*Tx) error) error, fn func(ctx context.Context, tx *Tx) error) error {
	if ctx.Value(inTx{}) != nil {
		return errors.New("store: a transaction inside a transaction")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	inner := context.WithValue(context.WithoutCancel(ctx), inTx{}, true)
	once, asker := tenure.OnceOf(ctx), tenure.AskerOf(ctx)
	err := write(ctx, func(tx *Tx) error {
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

// Unsafe is closed when the disk has failed to make a write durable (fsync). Nothing is
// written any more then, and Close leaves the files as they are: the process must end.
// nil where the database ends itself for that.
func (db *DB) Unsafe() <-chan struct{} { return db.engine.unsafe }

// Close ends all connections. It leaves a SQLite database whole in its one file.
func (db *DB) Close() error { return db.engine.close() }

// Feed opens the feed at its present end: what came before is not told. Where the
// database is at an earlier state than from, the first Poll says so.
func (db *DB) Feed(ctx context.Context, from Mark) (*Feed, error) { return db.engine.feed(ctx, from) }

// Lease claims the database for one serving process, until Close, where it can
// serve no more than one. Command-line verbs work beside it without one. It
// answers Conflict when another process serves from the same file.
func (db *DB) Lease() error { return db.engine.lease() }

// Facts tells what is known of the database itself.
func (db *DB) Facts(ctx context.Context) (Facts, error) { return db.engine.facts(ctx) }

// exec runs a write and gives the number of rows that it touched.
func (tx *Tx) exec(ctx context.Context, query string, args ...any) (int, error) {
	return tx.run.exec(ctx, query, args...)
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
	_, err := one(ctx, db.run, scalar[int], `SELECT 1`)
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

// alone keeps apart transactions of a tenant that decide by the same thing and write
// different rows: all of them write one row, and so one after the other.
func (tx *Tx) alone(ctx context.Context, what string, tenant tenure.TenantID) error {
	return tx.SetMeta(ctx, "alone."+what+"."+string(tenant), tenure.NewID(tx.now))
}

// conflict answers Conflict when err is a breach of uniqueness.
func conflict(err error, field, format string, args ...any) error {
	if !errors.Is(err, errUnique) {
		return err
	}
	return &tenure.Error{Kind: tenure.Conflict, Code: "uniqueness", Field: field, Msg: fmt.Sprintf(format, args...), Err: err}
}
