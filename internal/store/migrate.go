package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

func migrateSQLite(ctx context.Context, db *sql.DB) error {
	p, err := migrations(goose.DialectSQLite3, db, sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

func migrations(dialect goose.Dialect, db *sql.DB, files fs.FS, dir string) (*goose.Provider, error) {
	files, err := fs.Sub(files, dir)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, db, files)
}

// migrationLock is the number of the advisory lock that keeps replicas that start
// at once from migrating at once: "tenure" in ASCII.
const migrationLock = 0x74656e757265

// migratePostgres brings the schema up to date. Replicas that start at once wait
// for the one that does it. A schema that is newer than this program stays as it
// is: its makers have kept what this program reads.
func migratePostgres(ctx context.Context, config *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	p, err := migrations(goose.DialectPostgres, db, postgresMigrations, "migrations/postgres")
	if err != nil {
		return err
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	if at, err := schemaVersion(ctx, db); err != nil || at >= newest {
		return err
	}
	// The lock is one of a transaction, so that it is the same behind a pooler.
	lock, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Rollback() }()
	if _, err := lock.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	at, err := schemaVersion(ctx, db)
	if err != nil || at >= newest {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		var denied *pgconn.PgError
		if errors.As(err, &denied) && denied.Code == "42501" {
			return fmt.Errorf("the database's schema is of version %d, this program needs %d, and the role %q may not change it: run \"tenure migrate\" as its owner", at, newest, config.User)
		}
		return err
	}
	return nil
}

// schemaVersion is the newest migration that the database has; 0 without any.
func schemaVersion(ctx context.Context, db *sql.DB) (int64, error) {
	var there sql.NullString
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version')::text`).Scan(&there); err != nil || !there.Valid {
		return 0, err
	}
	var at int64
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&at)
	return at, err
}
