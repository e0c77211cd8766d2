package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// Incoming is what a database is to hold from now on.
type Incoming struct {
	Install string
	Feed    int64 // the newest change that it knew
	Audit   int64 // its highest number of an audit event
	// Each gives every table with its columns, parents first, and its rows one after
	// the other until io.EOF: values as Snapshot.Each gives them, or as JSON has them.
	Each func(ctx context.Context, table func(name string, columns []string, next func() ([]any, error)) error) error
}

// Replaced tells what became of the database that was there.
type Replaced struct {
	Rows int64 // that were loaded
	// Empty tells that there was nothing but what a new database has; Same, that it was
	// of the same installation; Later, that it was at a later state of it.
	Empty, Same, Later bool
	Ended              map[string]int64 // what was live in what came in, and had ended in what was there, by kind
	Gone               map[string]int64 // and of that, what was there no more
	Lost               map[string]int64 // what was made since, and is no more, by table
	Sessions           int64            // that were open
	AuditKept          int64            // events that go on beside those that came in
	// Unerased are the events that stood as erased in what was there, and do not in what came in.
	Unerased []tenure.AuditEvent
}

// ReplaceOptions say how far a replacement may go.
type ReplaceOptions struct {
	// Over lets a database be replaced that is not empty.
	Over bool
	// Alone asks for a database that nobody serves from: for a file, that is the
	// lease.
	Alone bool
	// Ours asks for what is of the same installation.
	Ours bool
	// Bare leaves it at the rows: for a database that is filled to be read.
	Bare bool
	// First is done when the rows have come in, before what had ended in the database
	// that is replaced is ended again; Then is done last. Both in the same transaction.
	First func(context.Context, *Tx) error
	Then  func(context.Context, *Tx, *Replaced) error
}

// ErrNotEmpty is the answer where there is something already.
var ErrNotEmpty = &tenure.Error{Kind: tenure.Conflict, Code: "not_empty", Msg: "the database is not empty"}

// replacing is a transaction in which everything is replaced, with what the two
// databases do each in their own way.
type replacing struct {
	*Tx
	tables []Table
	// quiet keeps the triggers from firing, and loud lets them again: rows come in as
	// they were, with all that they have led to.
	quiet, loud func(context.Context) error
	load        func(ctx context.Context, t Table, columns []string, next func() ([]any, error)) (int64, error)
	// truncate empties tables faster than row by row; nil: it cannot.
	truncate func(ctx context.Context, tables []string) error
	// settle brings in order what rows do not say themselves.
	settle func(context.Context) error
	feed   string // the query for the newest change
	// renumber makes the feed go on at a number, with one change of everything.
	renumber func(ctx context.Context, at int64) error
}

// Replace puts what comes in in the place of all that is there, in one transaction:
// all of it, or nothing. What had ended in the database that is replaced stays ended,
// its audit log goes on, and every session ends. Conflict: it is not empty, somebody
// serves from it, or it is another installation's, and the options do not allow it.
func (db *DB) Replace(ctx context.Context, in Incoming, options ReplaceOptions) (Replaced, error) {
	var out Replaced
	asker := tenure.AskerOf(ctx)
	err := db.engine.replace(ctx, options.Alone, func(ctx context.Context, r *replacing) error {
		out = Replaced{Ended: map[string]int64{}, Gone: map[string]int64{}, Lost: map[string]int64{}}
		if asker.Valid() {
			if err := r.stands(ctx, asker); err != nil {
				return err
			}
		}
		return r.all(ctx, in, options, &out)
	})
	return out, err
}

func (r *replacing) all(ctx context.Context, in Incoming, options ReplaceOptions, out *Replaced) error {
	number, err := r.compare(ctx, in, out)
	if err != nil {
		return err
	}
	switch {
	case !out.Empty && !options.Over:
		return ErrNotEmpty
	case !out.Same && options.Ours:
		return &tenure.Error{Kind: tenure.Conflict, Code: "another_installation", Msg: "the backup is of another installation: stop the server and restore it at the command line"}
	}
	kept := int64(-1) // the audit event after which what was there goes on
	if out.Same {
		kept = in.Audit
	}
	if !options.Bare && !out.Empty {
		if err := r.remember(ctx); err != nil {
			return err
		}
	}
	if err := r.quiet(ctx); err != nil {
		return err
	}
	if err := r.clear(ctx, kept); err != nil {
		return err
	}
	var events int64
	if err := in.Each(ctx, func(name string, columns []string, next func() ([]any, error)) error {
		n, err := r.fill(ctx, name, columns, next)
		if out.Rows += n; name == "audit_events" {
			events = n
		}
		return err
	}); err != nil {
		return err
	}
	if err := r.numbersAudit(ctx, in.Audit, events); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.loud(ctx); err != nil || options.Bare {
		return err
	}
	if options.First != nil {
		if err := options.First(ctx, r.Tx); err != nil {
			return err
		}
	}
	if err := r.bringForward(ctx, in.Audit, out); err != nil {
		return err
	}
	if options.Then != nil {
		if err := options.Then(ctx, r.Tx, out); err != nil {
			return err
		}
	}
	return r.renumber(ctx, r.next(in, out, number))
}

// numbersAudit sees that the number to which the audit log that came in is said to go is
// where it goes: what was there is kept from it on.
func (r *replacing) numbersAudit(ctx context.Context, said, events int64) error {
	for _, v := range []struct {
		query string
		want  int64
	}{{`SELECT COALESCE(MAX(seq), 0) FROM audit_events WHERE seq <= $1`, said}, {`SELECT count(*) FROM audit_events WHERE seq <= $1`, events}} {
		if n, err := one(ctx, r.run, scalar[int64], v.query, said); err != nil {
			return err
		} else if n != v.want {
			return &tenure.Error{Kind: tenure.Invalid, Code: "backup_broken", Msg: "the backup says otherwise than its audit log how far that goes: nobody's backup is like this"}
		}
	}
	return nil
}

// next is the number at which the feed goes on. In the same database it must be one
// that nobody has seen, and not the next: so everybody looks at everything anew. In
// another it is that of the backup: who has seen a later one finds that the database
// went back.
func (r *replacing) next(in Incoming, out *Replaced, number int64) int64 {
	if out.Same {
		return max(number, in.Feed) + 2
	}
	return max(in.Feed, 1)
}

// compare looks at what is there, and gives the number of its newest change.
func (r *replacing) compare(ctx context.Context, in Incoming, out *Replaced) (int64, error) {
	number, err := one(ctx, r.run, scalar[int64], r.feed)
	if err != nil {
		return 0, err
	}
	if out.Empty, err = r.Untouched(ctx); err != nil {
		return 0, err
	}
	known, err := one(ctx, r.run, scalar[string], install)
	if err != nil && !errors.Is(err, tenure.ErrNotFound) {
		return 0, err
	}
	out.Same = !out.Empty && known == in.Install
	out.Later = out.Same && number >= in.Feed
	return number, nil
}

// Untouched reports whether the database has nothing but what a new one has.
func (r reads) Untouched(ctx context.Context) (bool, error) {
	there, err := one(ctx, r.run, scalar[int64], `SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM api_tokens) + (SELECT count(*) FROM service_accounts)
		+ (SELECT count(*) FROM provider_credentials) + (SELECT count(*) FROM audit_events) + (SELECT count(*) FROM tenants) - 1`)
	return there <= 0, err
}

// clear empties the tables, children first.
func (r *replacing) clear(ctx context.Context, audit int64) error {
	if r.truncate != nil {
		var all []string
		for _, t := range r.tables {
			if t.Name != "audit_events" || audit < 0 {
				all = append(all, t.Name)
			}
		}
		if err := r.truncate(ctx, all); err != nil {
			return err
		}
	}
	for i := len(r.tables) - 1; i >= 0; i-- {
		statement, args := `DELETE FROM `+r.tables[i].Name, []any(nil)
		if r.tables[i].Name == "audit_events" && audit >= 0 {
			statement, args = statement+` WHERE seq <= $1`, []any{audit}
		}
		if _, err := r.exec(ctx, statement, args...); err != nil {
			return err
		}
	}
	_, err := r.exec(ctx, `DELETE FROM idempotency`)
	return err
}

// fill loads one table.
func (r *replacing) fill(ctx context.Context, name string, columns []string, next func() ([]any, error)) (int64, error) {
	for _, t := range r.tables {
		if t.Name != name {
			continue
		}
		for _, c := range columns {
			if _, ok := t.column(c); !ok {
				return 0, fmt.Errorf("the table %s has no column %q here", name, c)
			}
		}
		n, err := r.load(ctx, t, columns, next)
		if err != nil {
			err = fmt.Errorf("%s, after %d rows: %w", name, n, err)
		}
		return n, err
	}
	return 0, fmt.Errorf("there is no table %q here", name)
}

// read makes a value of what came in, for a column of kind k.
func (k kind) read(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if k == ofReal {
			return v.Float64()
		}
		return v.Int64()
	case string:
		if k == ofBytes {
			return base64.StdEncoding.DecodeString(v)
		}
		return v, nil
	case []byte:
		return blob(v), nil // a driver may read one of no bytes as nil, which would be NULL
	case nil, int64, float64:
		return v, nil
	}
	return nil, fmt.Errorf("a value of %T", v)
}

// insert is the statement that adds one row.
func insert(table string, columns []string) string {
	places := make([]string, len(columns))
	for i := range columns {
		places[i] = fmt.Sprint("$", i+1)
	}
	return `INSERT INTO ` + table + ` (` + strings.Join(columns, ", ") + `) VALUES (` + strings.Join(places, ", ") + `)`
}
