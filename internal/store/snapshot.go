package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A backup is made of the tables as they are in the schema: a table that a migration
// adds is in it by itself, unless it is named here.

// leftOut are the tables that no backup holds, and why. Those that are kept when a
// database is replaced go on as they are.
var leftOut = map[string]string{
	"audit_hold_locks":     "what goes and a legal hold wait there for each other; kept when a database is replaced",
	"belief_jobs":          "turns that wait for minutes to have beliefs drawn out of them",
	"changes":              "the feed numbers the commits of one database",
	"goose_db_version":     "which migrations were made is the database's own",
	"idempotency":          "what was answered to requests may not be there any more",
	"usage_batches":        "what was counted already, of the batches of one run",
	"usage_limit_requests": "what was asked in the last minutes",
	"oidc_seen":            "what was used once in a sign-in is good for minutes; kept when a database is replaced",
}

// kind is what a column holds, in either database.
type kind uint8

const (
	ofText kind = iota
	ofInteger
	ofBoolean
	ofTime
	ofBytes
	ofReal
)

// Column is one column of a table.
type Column struct {
	Name string
	kind kind
}

// Table is one table of a snapshot.
type Table struct {
	Name    string
	Columns []Column
	Rows    int64 // that it has
}

// Names are the columns' names, in their order.
func (t Table) Names() []string {
	out := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		out[i] = c.Name
	}
	return out
}

func (t Table) column(name string) (Column, bool) {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return t.Columns[i], true
}

// Snapshot is one state of a database, held still while others write. It is used by
// one goroutine, and must be closed.
type Snapshot struct {
	Kind    string // "sqlite" or "postgres"
	Schema  int64  // version
	Install string // of which installation it is
	At      time.Time
	Feed    int64   // the newest change
	Audit   int64   // the highest number of an audit event
	Tables  []Table // parents before what refers to them

	run   runner
	close func() error
}

// Snapshot holds the present state of the database. Every row of every tenant is in
// it: ctx must reach everywhere.
func (db *DB) Snapshot(ctx context.Context) (*Snapshot, error) { return db.engine.snapshot(ctx) }

// Close lets the state go.
func (s *Snapshot) Close() error { return s.close() }

// begin reads what the snapshot is of. feed is the query for the newest change.
func (s *Snapshot) begin(ctx context.Context, feed string) error {
	var err error
	for _, v := range []struct {
		to    *int64
		query string
	}{
		{&s.Schema, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`},
		{&s.Feed, feed},
		{&s.Audit, `SELECT COALESCE(MAX(seq), 0) FROM audit_events`},
	} {
		if *v.to, err = one(ctx, s.run, scalar[int64], v.query); err != nil {
			return err
		}
	}
	if s.Install, err = one(ctx, s.run, scalar[string], install); err != nil {
		return err
	}
	for i := range s.Tables {
		t := &s.Tables[i]
		if t.Rows, err = one(ctx, s.run, scalar[int64], `SELECT count(*) FROM `+t.Name); err != nil {
			return err
		}
	}
	return nil
}

// Each gives every row of a table to row: values in the order of its columns, each a
// string, an int64, a float64, a []byte or nil. A time is a string, a boolean 0 or 1.
// The slice is reused.
func (s *Snapshot) Each(ctx context.Context, t Table, row func([]any) error) error {
	values, dest := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i := range values {
		dest[i] = &values[i]
	}
	return s.run.each(ctx, false, func(r scanner) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		for i, c := range t.Columns {
			var err error
			if values[i], err = c.kind.plain(values[i]); err != nil {
				return fmt.Errorf("%s.%s: %w", t.Name, c.Name, err)
			}
		}
		return row(values)
	}, `SELECT `+strings.Join(t.Names(), ", ")+` FROM `+t.Name)
}

// plain is a value as both databases have it.
func (k kind) plain(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case time.Time:
		return stamp(v), nil
	case string:
		if k == ofTime {
			if t, ok := readStamp(v); ok {
				return stamp(t), nil
			}
		}
		return v, nil
	case []byte:
		if k != ofBytes {
			return string(v), nil
		}
		return v, nil
	case nil, int64, float64:
		return v, nil
	}
	return nil, fmt.Errorf("store: a value of %T", v)
}

// parentsFirst orders tables by their names, and each after those that it refers to.
func parentsFirst(tables map[string]*Table, refers map[string][]string) []Table {
	names := make([]string, 0, len(tables))
	for name := range tables {
		if _, out := leftOut[name]; !out && !strings.HasPrefix(name, "sqlite_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []Table
	done := map[string]bool{}
	var add func(string)
	add = func(name string) {
		if done[name] || !slices.Contains(names, name) {
			return
		}
		done[name] = true
		for _, parent := range refers[name] {
			add(parent)
		}
		out = append(out, *tables[name])
	}
	for _, name := range names {
		add(name)
	}
	return out
}
