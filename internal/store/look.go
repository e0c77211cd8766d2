package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenure-gateway/tenure"
)

// LookSQLite opens the database in the file at path to be read as it is: nothing is
// made, migrated or written. It has the read methods only.
func LookSQLite(path string) (*DB, error) {
	pool, err := sql.Open("sqlite", onlyLook(path))
	if err != nil {
		return nil, err
	}
	return &DB{
		reads: reads{run: &sqliteFile{path: path, pool: pool}}, now: time.Now,
		engine: engine{write: onlyLooks, share: onlyLooks, close: pool.Close},
	}, nil
}

// onlyLook is the name by which the file at path is opened without a trace. A
// database that nobody has open has no write-ahead log, and is read as something
// that does not change; otherwise SQLite would leave one behind.
func onlyLook(path string) string {
	params := []string{"mode=ro", "_pragma=query_only(1)"}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, os.ErrNotExist) {
		params = append(params, "immutable=1")
	}
	return dsn(path, params...)
}

// LookPostgres opens the database at url likewise.
func LookPostgres(ctx context.Context, url string) (*DB, error) {
	db, err := openPostgres(ctx, url, nil, func(context.Context, *pgx.ConnConfig) error { return nil })
	if err == nil {
		db.engine.write, db.engine.share = onlyLooks, onlyLooks
	}
	return db, err
}

func onlyLooks(context.Context, func(*Tx) error) error {
	return errors.New("store: a write to a database that is only looked at")
}

// Endless counts the tokens of a tenant that live and have no end, by kind. One that hangs
// on an exception ends with that.
func (r reads) Endless(ctx context.Context, tenant tenure.TenantID) (map[tenure.TokenKind]int, error) {
	out := map[tenure.TokenKind]int{}
	err := r.run.each(ctx, true, func(row scanner) error {
		var kind tenure.TokenKind
		var n int
		err := row.Scan(&kind, &n)
		out[kind] = n
		return err
	}, `SELECT kind, count(*) FROM api_tokens WHERE tenant_id = $1 AND revoked_at IS NULL AND expires_at IS NULL AND exception_id = '' GROUP BY kind`, tenant)
	return out, err
}
