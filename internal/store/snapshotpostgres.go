package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenure-gateway/tenure"
)

// apart is a connection beside the pool, in a transaction without limits of time: a
// whole database takes as long as it takes. It sees every tenant.
func (p *postgres) apart(ctx context.Context, mode string) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return nil, err
	}
	_, err = conn.PgConn().Exec(ctx, `BEGIN ISOLATION LEVEL `+mode+`; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
		SET LOCAL lock_timeout = `+milliseconds(lockTimeout)+`; SET LOCAL enable_seqscan = on; SET LOCAL tenure.tenant = '*'`).ReadAll()
	if err != nil {
		return nil, errors.Join(err, closeApart(ctx, conn))
	}
	return conn, nil
}

// closeApart ends a connection, and the transaction in it.
func closeApart(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockTimeout)
	defer cancel()
	return conn.Close(ctx)
}

// still holds the state that the context's reach has, in a transaction of its own.
func (p *postgres) still(ctx context.Context) (stilled, error) {
	conn, err := p.apart(ctx, "REPEATABLE READ READ ONLY")
	if err != nil {
		return stilled{}, classifyPostgres(err)
	}
	end := func() error { return closeApart(ctx, conn) }
	reach := func(ctx context.Context, to string) error {
		_, err := conn.Exec(ctx, setTenant, to)
		return classifyPostgres(err)
	}
	if err := reach(ctx, tenure.ReachOf(ctx)); err != nil {
		return stilled{}, errors.Join(err, end())
	}
	return stilled{&postgresTx{conn: conn, begun: true}, reach, end}, nil
}

func (p *postgres) snapshot(ctx context.Context) (*Snapshot, error) {
	conn, err := p.apart(ctx, "REPEATABLE READ READ ONLY")
	if err != nil {
		return nil, classifyPostgres(err)
	}
	run := &postgresTx{conn: conn, begun: true}
	out := &Snapshot{Kind: "postgres", At: time.Now().UTC(), run: run, close: func() error { return closeApart(ctx, conn) }}
	if out.Tables, err = tablesOfPostgres(ctx, run); err == nil {
		err = out.begin(ctx, `SELECT COALESCE(MAX(seq), 0) FROM changes`)
	}
	if err != nil {
		return nil, errors.Join(classifyPostgres(err), out.Close())
	}
	return out, nil
}

// derived names the tables that have their column tenant_id from another table, for
// row-level security, by a trigger TABLE_tenant: no backup has it, SQLite does without.
const derived = `SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
	WHERE t.tgname = c.relname || '_tenant' AND NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace ORDER BY 1`

// tablesOfPostgres reads the tables of the schema, parents first.
func tablesOfPostgres(ctx context.Context, run runner) ([]Table, error) {
	follows, err := manyOf(ctx, run, false, scalar[string], derived)
	if err != nil {
		return nil, err
	}
	tables, refers := map[string]*Table{}, map[string][]string{}
	err = run.each(ctx, false, func(row scanner) error {
		var table, name, declared string
		if err := row.Scan(&table, &name, &declared); err != nil || name == "tenant_id" && slices.Contains(follows, table) {
			return err
		}
		t := tables[table]
		if t == nil {
			t = &Table{Name: table}
			tables[table] = t
		}
		t.Columns = append(t.Columns, Column{name, kindsOfPostgres[declared]})
		return nil
	}, `SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum`)
	if err != nil {
		return nil, err
	}
	err = run.each(ctx, false, func(row scanner) error {
		var child, parent string
		err := row.Scan(&child, &parent)
		refers[child] = append(refers[child], parent)
		return err
	}, `SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace`)
	return parentsFirst(tables, refers), err
}

// kindsOfPostgres are the kinds of its types; whatever else there is is text.
var kindsOfPostgres = map[string]kind{
	"text": ofText, "bigint": ofInteger, "integer": ofInteger, "boolean": ofBoolean,
	"timestamp with time zone": ofTime, "bytea": ofBytes, "double precision": ofReal,
}
