package store

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenure-gateway/tenure"
)

// replace runs fn in a transaction of its own. Who reads sees the state before until
// it is committed; who writes waits. Only the tables' owner may keep triggers quiet.
func (p *postgres) replace(ctx context.Context, alone bool, fn func(context.Context, *replacing) error) error {
	// Each statement sees what was committed before it: nothing is, once the tables are
	// locked.
	conn, err := p.apart(ctx, "READ COMMITTED")
	if err != nil {
		return classifyPostgres(err)
	}
	defer func() { _ = closeApart(ctx, conn) }()
	if alone {
		if err := p.alone(ctx, conn); err != nil {
			return classifyPostgres(err)
		}
	}
	run := &postgresTx{conn: conn, begun: true}
	tx := &Tx{reads: reads{run: run}, now: p.now().Truncate(time.Microsecond)}
	r := &replacing{Tx: tx, feed: `SELECT COALESCE(MAX(seq), 0) FROM changes`}
	if r.tables, err = tablesOfPostgres(ctx, run); err != nil {
		return err
	}
	each := func(form string) func(context.Context) error {
		return func(ctx context.Context) error {
			for _, t := range r.tables {
				if _, err := tx.exec(ctx, strings.ReplaceAll(form, "?", t.Name)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	lock, quiet := each(`LOCK TABLE ? IN SHARE ROW EXCLUSIVE MODE`), each(`ALTER TABLE ? DISABLE TRIGGER USER`)
	var indexes []string
	r.quiet = func(ctx context.Context) error {
		err := quiet(ctx)
		if err == nil && alone { // who reads would have to wait
			indexes, err = dropIndexes(ctx, tx)
		}
		return ownersAct(err)
	}
	if alone {
		r.truncate = func(ctx context.Context, tables []string) error {
			_, err := tx.exec(ctx, `TRUNCATE `+strings.Join(tables, ", "))
			return err
		}
	}
	loud := each(`ALTER TABLE ? ENABLE TRIGGER USER`)
	r.loud = func(ctx context.Context) error {
		for _, statement := range indexes {
			if _, err := tx.exec(ctx, statement); err != nil {
				return err
			}
		}
		return loud(ctx)
	}
	r.load = func(ctx context.Context, t Table, columns []string, next func() ([]any, error)) (int64, error) {
		from := &rowsIn{next: next}
		for _, name := range columns {
			c, _ := t.column(name)
			from.kinds = append(from.kinds, c.kind)
		}
		n, err := conn.CopyFrom(ctx, pgx.Identifier{t.Name}, columns, from)
		return n, classifyPostgres(err)
	}
	r.settle = func(ctx context.Context) error { return settlePostgres(ctx, r) }
	r.renumber = func(ctx context.Context, at int64) error {
		if _, err := tx.exec(ctx, `DELETE FROM changes`); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `INSERT INTO changes (seq, kind, id) SELECT setval(pg_get_serial_sequence('changes', 'seq'), $1), '', ''`, at)
		if err == nil {
			_, err = tx.exec(ctx, `SELECT pg_notify('tenure_changes', '')`)
		}
		return err
	}
	if err = ownersAct(lock(ctx)); err == nil {
		err = guard(tx, func(*Tx) error { return fn(ctx, r) })
	}
	if err == nil {
		err = run.commit(ctx)
	}
	return classifyPostgres(err)
}

// alone answers Conflict when others of Tenure are connected: a server always is.
func (p *postgres) alone(ctx context.Context, conn *pgx.Conn) error {
	p.pool.Reset() // our own are none of them
	var others int
	for until := time.Now().Add(2 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
			AND application_name = current_setting('application_name')`).Scan(&others); err != nil || others == 0 {
			return err
		}
		// The statistics of a transaction are those of its first look.
		if _, err := conn.Exec(ctx, `SELECT pg_stat_clear_snapshot()`); err != nil {
			return err
		}
		if time.Now().After(until) {
			return &tenure.Error{
				Kind: tenure.Conflict, Code: "already_serving",
				Msg: "somebody serves from this database: stop every replica first, and let a pooler close its connections",
			}
		}
	}
}

// dropIndexes drops the indexes that are no constraint, and gives the statements that make
// them again: one that is made of all rows is made once.
func dropIndexes(ctx context.Context, tx *Tx) ([]string, error) {
	if _, err := tx.exec(ctx, `SET LOCAL maintenance_work_mem = '128MB'`); err != nil {
		return nil, err
	}
	type index struct{ name, made string }
	all, err := manyOf(ctx, tx.run, false, func(row scanner) (i index, err error) {
		err = row.Scan(&i.name, &i.made)
		return i, err
	}, `SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)`)
	var again []string
	for _, i := range all {
		if err == nil {
			_, err = tx.exec(ctx, `DROP INDEX `+i.name)
		}
		again = append(again, i.made)
	}
	return again, err
}

// settlePostgres derives the tenants of rows that have it from others, and sets the
// sequences.
func settlePostgres(ctx context.Context, r *replacing) error {
	follow, err := manyOf(ctx, r.run, false, scalar[string], derived)
	if err != nil {
		return err
	}
	for _, table := range follow { // by the trigger that does it for every row
		for _, statement := range []string{`ALTER TABLE ? ENABLE TRIGGER ?_tenant`, `UPDATE ? SET tenant_id = ''`} {
			if _, err := r.exec(ctx, strings.ReplaceAll(statement, "?", table)); err != nil {
				return err
			}
		}
	}
	_, err = r.exec(ctx, `SELECT setval(s.name, GREATEST((SELECT COALESCE(MAX(seq), 1) FROM audit_events), nextval(s.name)))
		FROM (SELECT pg_get_serial_sequence('audit_events', 'seq') AS name) s`)
	return err
}

// rowsIn are rows on their way into the database (pgx.CopyFromSource).
type rowsIn struct {
	next  func() ([]any, error)
	kinds []kind
	row   []any
	err   error
}

// Next implements pgx.CopyFromSource.
func (r *rowsIn) Next() bool {
	var row []any
	if row, r.err = r.next(); errors.Is(r.err, io.EOF) {
		r.err = nil
		return false
	}
	r.row = r.row[:0]
	for i, k := range r.kinds {
		var v any
		if r.err == nil {
			v, r.err = k.read(row[i])
		}
		switch x := v.(type) {
		case string:
			if k == ofTime {
				v = parseStamp(x)
			}
		case int64:
			if k == ofBoolean {
				v = x != 0
			}
		}
		r.row = append(r.row, v)
	}
	return r.err == nil
}

// Values implements pgx.CopyFromSource.
func (r *rowsIn) Values() ([]any, error) { return r.row, nil }

// Err implements pgx.CopyFromSource.
func (r *rowsIn) Err() error { return r.err }

// ownersAct says of what only the tables' owner may do that it was refused.
func ownersAct(err error) error {
	var denied *pgconn.PgError
	if errors.As(err, &denied) && denied.Code == "42501" {
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "not_the_owner", Err: err,
			Msg: "the database's role may not replace the tables: do it at the command line, as the role that owns them and migrates",
		}
	}
	return err
}
