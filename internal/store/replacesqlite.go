package store

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// replace runs fn in the writer's own transaction. Who else reads sees the state
// before until it is committed. The file is the caller's alone by its lease.
func (s *sqliteFile) replace(ctx context.Context, _ bool, fn func(context.Context, *replacing) error) error {
	inner := context.WithoutCancel(ctx) // an interrupted statement would undo what others have written in the same commit
	return s.writer.do(ctx, func(tx *Tx) error {
		r := &replacing{Tx: tx, feed: feedEnd}
		var triggers, indexes []sqliteTrigger
		small, err := one(inner, tx.run, scalar[int64], `PRAGMA cache_size`)
		if err != nil {
			return err
		}
		// What is looked up at random while rows come in, the tokens' digests, fits into
		// this; with the usual 2 MB every row reads and writes pages of the file.
		if _, err := tx.exec(inner, fmt.Sprintf(`PRAGMA cache_size = -%d`, bulkCache>>10)); err != nil {
			return err
		}
		defer func() { _, _ = tx.exec(inner, fmt.Sprintf(`PRAGMA cache_size = %d`, small)) }()
		if r.tables, err = tablesOfSQLite(inner, tx.run); err != nil {
			return err
		}
		r.quiet = func(ctx context.Context) error {
			if _, err := tx.exec(ctx, `PRAGMA defer_foreign_keys = ON`); err != nil {
				return err
			}
			if triggers, err = dropped(ctx, tx, "TRIGGER"); err != nil {
				return err
			}
			indexes, err = dropped(ctx, tx, "INDEX") // one that is made of all rows is made once
			return err
		}
		r.loud = func(ctx context.Context) error {
			// Sorting takes as much again, for each index.
			if _, err := tx.exec(ctx, fmt.Sprintf(`PRAGMA cache_size = -%d`, bulkCache>>12)); err != nil {
				return err
			}
			for _, t := range append(indexes, triggers...) {
				if _, err := tx.exec(ctx, t.text); err != nil {
					return err
				}
			}
			return nil
		}
		r.load = func(ctx context.Context, t Table, columns []string, next func() ([]any, error)) (int64, error) {
			return loadSQLite(ctx, tx, t, columns, next)
		}
		r.settle = func(context.Context) error { return nil }
		r.renumber = func(ctx context.Context, at int64) error {
			if _, err := tx.exec(ctx, `DELETE FROM changes`); err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `DELETE FROM sqlite_sequence WHERE name = 'changes'`); err != nil {
				return err
			}
			_, err := tx.exec(ctx, `INSERT INTO changes (seq, kind, id) VALUES ($1, '', '')`, at)
			return err
		}
		return errors.Join(ctx.Err(), fn(inner, r))
	})
}

// bulkCache is how much of the file is held in memory while everything is replaced, in
// bytes.
const bulkCache = 128 << 20

// dropped takes all triggers, or all indexes that are no constraint, out of the schema,
// and gives them to be made again.
func dropped(ctx context.Context, tx *Tx, what string) ([]sqliteTrigger, error) {
	all, err := manyOf(ctx, tx.run, false, func(row scanner) (sqliteTrigger, error) {
		var t sqliteTrigger
		err := row.Scan(&t.name, &t.text)
		return t, err
	}, `SELECT name, sql FROM sqlite_schema WHERE type = lower($1) AND sql IS NOT NULL ORDER BY rowid`, what)
	for _, t := range all {
		if err == nil {
			_, err = tx.exec(ctx, `DROP `+what+` `+t.name)
		}
	}
	return all, err
}

func loadSQLite(ctx context.Context, tx *Tx, t Table, columns []string, next func() ([]any, error)) (n int64, err error) {
	statement, kinds := insert(t.Name, columns), make([]kind, len(columns))
	for i, name := range columns {
		c, _ := t.column(name)
		kinds[i] = c.kind
	}
	args := make([]any, len(columns))
	for {
		row, err := next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		for i := range args {
			if err == nil {
				args[i], err = kinds[i].read(row[i])
			}
		}
		if err == nil {
			_, err = tx.exec(ctx, statement, args...)
		}
		if err != nil {
			return n, err
		}
		n++
	}
}
