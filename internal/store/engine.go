package store

import (
	"context"
	"errors"

	"github.com/tenure-gateway/tenure"
)

// engine is what the two databases do each in their own way.
type engine struct {
	// write runs fn in a transaction, and commits when it returns nil. ctx ends
	// the waiting for it, not what was begun.
	write func(ctx context.Context, fn func(*Tx) error) error
	// share is write for a function that only adds rows of its own, and so may run
	// beside others in one transaction.
	share func(ctx context.Context, fn func(*Tx) error) error
	feed  func(ctx context.Context, from Mark) (*Feed, error)
	// horizon is DB.Horizon.
	horizon func(ctx context.Context) (string, error)
	facts   func(ctx context.Context) (Facts, error)
	lease   func() error
	// still holds the present state, to be read until its end.
	still func(ctx context.Context) (stilled, error)
	// snapshot is DB.Snapshot, and replace DB.Replace's transaction.
	snapshot func(ctx context.Context) (*Snapshot, error)
	replace  func(ctx context.Context, alone bool, fn func(context.Context, *replacing) error) error
	close    func() error
	// unsafe is DB.Unsafe.
	unsafe <-chan struct{}
}

// runner is what a query needs: the pool for reads, or a transaction. Its errors
// are classified.
type runner interface {
	// each gives every row of a query to row, until that answers an error. A query
	// of too many shapes is not kept prepared.
	each(ctx context.Context, keep bool, row func(scanner) error, query string, args ...any) error
	// exec runs a write and gives the number of rows that it touched.
	exec(ctx context.Context, query string, args ...any) (int, error)
}

// scanner is a row to be read.
type scanner interface{ Scan(dest ...any) error }

// reads are the queries that DB and Tx share.
type reads struct{ run runner }

type quickKey struct{}

// quick marks a look-up that requests wait for: it is given connections that slower
// reads and writes leave free, and has lookTimeout.
func quick(ctx context.Context) context.Context { return context.WithValue(ctx, quickKey{}, true) }

func isQuick(ctx context.Context) bool { return ctx.Value(quickKey{}) != nil }

// errEnough ends the reading of rows.
var errEnough = errors.New("store: enough")

// one reads a single row by scan, or answers NotFound.
func one[T any](ctx context.Context, r runner, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	var v T
	err := r.each(ctx, true, func(row scanner) error {
		var err error
		if v, err = scan(row); err == nil {
			err = errEnough
		}
		return err
	}, query, args...)
	switch {
	case errors.Is(err, errEnough):
		return v, nil
	case err == nil:
		err = tenure.ErrNotFound
	}
	var zero T
	return zero, err
}

// many reads all rows by scan; no rows is an empty slice.
func many[T any](ctx context.Context, r runner, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	return manyOf(ctx, r, true, scan, query, args...)
}

// manyOf is many for a query that is not kept prepared unless it is simple.
func manyOf[T any](ctx context.Context, r runner, simple bool, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	out := []T{}
	err := r.each(ctx, simple, func(row scanner) error {
		v, err := scan(row)
		if err == nil {
			out = append(out, v)
		}
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// scalar reads one value.
func scalar[T any](row scanner) (T, error) {
	var v T
	err := row.Scan(&v)
	return v, err
}
