package store

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// still holds a read transaction open, on a connection of its own. Nobody waits
// for it; the write-ahead log grows meanwhile.
func (s *sqliteFile) still(ctx context.Context) (stilled, error) {
	pool, err := sql.Open("sqlite", dsn(s.path, "_pragma=query_only(1)"))
	if err != nil {
		return stilled{}, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return stilled{}, errors.Join(classify(err), pool.Close())
	}
	run := &cachedConn{conn: conn, stmts: map[string]*sql.Stmt{}}
	end := func() error {
		run.close() // which ends the transaction
		return pool.Close()
	}
	if _, err = conn.ExecContext(ctx, `BEGIN`); err == nil { // the state is that of the first read
		_, err = one(ctx, run, scalar[int64], `SELECT count(*) FROM tenants`)
	}
	if err != nil {
		return stilled{}, errors.Join(classify(err), end())
	}
	return stilled{run, func(context.Context, string) error { return nil }, end}, nil
}

func (s *sqliteFile) snapshot(ctx context.Context) (*Snapshot, error) {
	h, err := s.still(ctx)
	if err != nil {
		return nil, err
	}
	run := h.run
	out := &Snapshot{Kind: "sqlite", At: time.Now().UTC(), run: run, close: h.end}
	if out.Tables, err = tablesOfSQLite(ctx, run); err == nil {
		err = out.begin(ctx, feedEnd)
	}
	if err != nil {
		return nil, errors.Join(classify(err), out.Close())
	}
	return out, nil
}

// aBoolean is how the migrations tell a column that holds 0 and 1; trust_email has no
// check, and is as good a number.
var aBoolean = regexp.MustCompile(`(\w+) +INTEGER[^,]*CHECK \(\w+ IN \(0, 1\)\)`)

// tablesOfSQLite reads the tables of the schema, parents first.
func tablesOfSQLite(ctx context.Context, run runner) ([]Table, error) {
	tables, refers := map[string]*Table{}, map[string][]string{}
	err := run.each(ctx, false, func(row scanner) error {
		var table, name, declared, text string
		if err := row.Scan(&table, &name, &declared, &text); err != nil {
			return err
		}
		t := tables[table]
		if t == nil {
			t = &Table{Name: table}
			tables[table] = t
		}
		t.Columns = append(t.Columns, Column{name, kindOfSQLite(name, declared, text)})
		return nil
	}, `SELECT m.name, c.name, c.type, m.sql FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.sql IS NOT NULL ORDER BY m.name, c.cid`)
	if err != nil {
		return nil, err
	}
	err = run.each(ctx, false, func(row scanner) error {
		var child, parent string
		err := row.Scan(&child, &parent)
		refers[child] = append(refers[child], parent)
		return err
	}, `SELECT m.name, f."table" FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`)
	return parentsFirst(tables, refers), err
}

// kindOfSQLite tells times by their names: the migrations keep to that, and a test
// holds them to it.
func kindOfSQLite(name, declared, text string) kind {
	switch {
	case declared == "TEXT" && (strings.HasSuffix(name, "_at") || name == "at" || name == "until" || strings.HasSuffix(name, "_until")):
		return ofTime
	case declared == "BLOB":
		return ofBytes
	case declared == "REAL":
		return ofReal
	case declared == "INTEGER":
		for _, m := range aBoolean.FindAllStringSubmatch(text, -1) {
			if m[1] == name {
				return ofBoolean
			}
		}
		return ofInteger
	}
	return ofText
}

// OpenSQLiteAt makes a database in the file at path with the schema as it was at a
// version. It is there to be filled, and then to be opened by OpenSQLite, which brings
// it up to date.
func OpenSQLiteAt(ctx context.Context, path string, version int64) (*DB, error) {
	db, err := sql.Open("sqlite", dsn(path, "mode=rwc"))
	if err != nil {
		return nil, err
	}
	p, err := migrations(goose.DialectSQLite3, db, sqliteMigrations, "migrations/sqlite")
	if err == nil {
		_, err = p.UpTo(ctx, version)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return openSQLite(ctx, path, nil, func(context.Context, *sql.DB) error { return nil })
}
