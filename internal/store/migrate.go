package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Schema tells of which version a database's schema is, and of which this program
// needs it: numbers of migrations. A database without a schema is of version 0.
type Schema struct{ Version, Needed int64 }

// Pending reports whether there is something to migrate. A schema newer than the
// program needs nothing: its makers have kept what this program reads.
func (s Schema) Pending() bool { return s.Version < s.Needed }

// SchemaOfSQLite tells of the database in the file at path, and makes none.
func SchemaOfSQLite(ctx context.Context, path string) (Schema, error) {
	at := onlyLook(path)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		at = ":memory:"
	}
	db, err := sql.Open("sqlite", at)
	if err != nil {
		return Schema{}, err
	}
	defer func() { _ = db.Close() }()
	p, err := migrations(goose.DialectSQLite3, db, sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return Schema{}, err
	}
	return schemaOf(ctx, db, p, `SELECT name FROM sqlite_schema WHERE name = 'goose_db_version'`)
}

// SchemaOfPostgres tells of the database at url.
func SchemaOfPostgres(ctx context.Context, url string) (Schema, error) {
	config, err := postgresConfig(url)
	if err != nil {
		return Schema{}, err
	}
	conn := config.ConnConfig
	conn.DefaultQueryExecMode = pgx.QueryExecModeExec // behind a pooler, too
	db := stdlib.OpenDB(*conn)
	defer func() { _ = db.Close() }()
	p, err := migrations(goose.DialectPostgres, db, postgresMigrations, "migrations/postgres")
	if err != nil {
		return Schema{}, err
	}
	s, err := schemaOf(ctx, db, p, postgresHasSchema)
	return s, classifyPostgres(err)
}

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
	if s, err := schemaOf(ctx, db, p, postgresHasSchema); err != nil || !s.Pending() {
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
	s, err := schemaOf(ctx, db, p, postgresHasSchema)
	if err != nil || !s.Pending() {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		var denied *pgconn.PgError
		if errors.As(err, &denied) && denied.Code == "42501" {
			return fmt.Errorf("the database's schema is of version %d, this program needs %d, and the role %q may not change it: run \"tenure migrate\" as its owner", s.Version, s.Needed, config.User)
		}
		return err
	}
	return nil
}

// MigratePostgresTo brings the schema of an empty database at url to a version. It is
// there to be filled, and then to be opened by OpenPostgres, which brings it up to date:
// migrations are tried over rows by it.
func MigratePostgresTo(ctx context.Context, url string, version int64) error {
	config, err := postgresConfig(url)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*config.ConnConfig)
	defer func() { _ = db.Close() }()
	p, err := migrations(goose.DialectPostgres, db, postgresMigrations, "migrations/postgres")
	if err != nil {
		return err
	}
	_, err = p.UpTo(ctx, version)
	return err
}

// postgresHasSchema answers a name where the list of migrations is there.
const postgresHasSchema = `SELECT to_regclass('goose_db_version')::text`

// schemaOf reads the list of migrations, where the query has finds one.
func schemaOf(ctx context.Context, db *sql.DB, p *goose.Provider, has string) (Schema, error) {
	sources := p.ListSources()
	s := Schema{Needed: sources[len(sources)-1].Version}
	var there sql.NullString
	if err := db.QueryRowContext(ctx, has).Scan(&there); errors.Is(err, sql.ErrNoRows) || err == nil && !there.Valid {
		return s, nil
	} else if err != nil {
		return s, err
	}
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&s.Version)
	return s, err
}
