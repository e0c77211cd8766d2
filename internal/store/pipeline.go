package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

// A pipeline is a transaction in which a statement is a round trip: a statement
// that nobody waits for goes with the next one.
type pipeline interface {
	later(ctx context.Context, q queued) error
}

// later runs a write whose number of rows nobody asks for. Where it fails, the
// transaction does, with what told makes of the error; nil: with the error itself.
func (tx *Tx) later(ctx context.Context, told func(error) error, query string, args ...any) error {
	if p, ok := tx.run.(pipeline); ok {
		return p.later(ctx, queued{query: query, args: args, told: told})
	}
	_, err := tx.exec(ctx, query, args...)
	if told != nil {
		err = told(err)
	}
	return err
}

// ask reads a single row, at the latest before the transaction is committed, and
// fails it with the error of verdict, which gets NotFound where there is none.
func ask[T any](ctx context.Context, tx *Tx, scan func(scanner) (T, error), verdict func(T, error) error, query string, args ...any) error {
	p, ok := tx.run.(pipeline)
	if !ok {
		return verdict(one(ctx, tx.run, scan, query, args...))
	}
	var v T
	found := tenure.ErrNotFound
	return p.later(ctx, queued{
		query: query, args: args,
		row: func(row scanner) (err error) {
			if v, err = scan(row); err == nil {
				found = nil
			}
			return err
		},
		told: func(err error) error {
			if err == nil && found != nil {
				err = found
			}
			return verdict(v, err)
		},
	})
}
