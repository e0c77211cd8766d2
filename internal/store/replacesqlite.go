package store

import (
	"context"
	"errors"
	"io"
)

// replace runs fn in the writer's own transaction. Who else reads sees the state
// before until it is committed. The file is the caller's alone by its lease.
func (s *sqliteFile) replace(ctx context.Context, _ bool, fn func(context.Context, *replacing) error) error {
	inner := context.WithoutCancel(ctx) // an interrupted statement would undo what others have written in the same commit
	return s.writer.do(ctx, func(tx *Tx) error {
		r := &replacing{Tx: tx, feed: feedEnd}
		var triggers []sqliteTrigger
		var err error
		if r.tables, err = tablesOfSQLite(inner, tx.run); err != nil {
			return err
		}
		r.quiet = func(ctx context.Context) error {
			if _, err := tx.exec(ctx, `PRAGMA defer_foreign_keys = ON`); err != nil {
				return err
			}
			if triggers, err = manyOf(ctx, tx.run, false, func(row scanner) (sqliteTrigger, error) {
				var t sqliteTrigger
				err := row.Scan(&t.name, &t.text)
				return t, err
			}, `SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid`); err != nil {
				return err
			}
			for _, t := range triggers {
				if _, err := tx.exec(ctx, `DROP TRIGGER `+t.name); err != nil {
					return err
				}
			}
			return nil
		}
		r.loud = func(ctx context.Context) error {
			for _, t := range triggers {
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
