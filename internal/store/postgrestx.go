package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenure-gateway/tenure"
)

// attempt runs fn in one transaction. waiting ends what has not begun; what has
// begun ends with ctx.
func (p *postgres) attempt(waiting, ctx context.Context, fn func(*Tx) error) error {
	conn, release, err := p.acquire(waiting)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, 2*statementTimeout)
	defer cancel()
	t := &postgresTx{conn: conn.Conn(), queue: p.begin(waiting)}
	t.opening = len(t.queue)
	err = guard(&Tx{reads: reads{run: t}, now: p.now().Truncate(time.Microsecond)}, fn)
	if err == nil {
		return t.commit(ctx)
	}
	if refused := t.judge(ctx); refused != nil {
		err = refused
	}
	t.rollback(ctx)
	return err
}

// begin are the statements that begin a transaction with all of its settings.
func (p *postgres) begin(ctx context.Context) []queued {
	q := []queued{{query: "BEGIN ISOLATION LEVEL REPEATABLE READ"}}
	if p.pooled {
		q = append(q, queued{query: setBounds, args: []any{milliseconds(statementTimeout), milliseconds(lockTimeout)}})
	}
	if p.walled {
		q = append(q, queued{query: setTenant, args: []any{tenure.ReachOf(ctx)}})
	}
	return q
}

// setBounds says for the transaction what a connection says where it is a session.
const setBounds = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
	set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)`

// setTenant says for the transaction whose rows may be seen and written.
const setTenant = `SELECT set_config('tenure.tenant', $1, true)`

// A postgresTx runs the statements of one transaction. What nobody waits for goes
// with the next statement whose answer is needed, COMMIT at last: many statements,
// one round trip.
type postgresTx struct {
	conn    *pgx.Conn
	queue   []queued
	opening int  // how many statements of the queue begin the transaction
	begun   bool // something was sent
	refused bool // by the server, before the last statement that was sent
}

// A queued statement is one that waits to be sent.
type queued struct {
	query string
	args  []any
	row   func(scanner) error // gets every row; nil: there are none
	// told makes of what became of it the error that the transaction fails with;
	// nil: as it is. It is a verdict on rows where there are some.
	told func(error) error
	tag  *pgconn.CommandTag // gets how it ended
}

// maxQueued is how many statements wait at the most.
const maxQueued = 128

func (t *postgresTx) each(ctx context.Context, _ bool, row func(scanner) error, query string, args ...any) error {
	if len(t.queue) == 0 {
		return eachPostgres(ctx, t.conn, row, query, args)
	}
	t.queue = append(t.queue, queued{query: query, args: args, row: row})
	return t.send(ctx)
}

func (t *postgresTx) exec(ctx context.Context, query string, args ...any) (int, error) {
	var tag pgconn.CommandTag
	var err error
	if len(t.queue) == 0 {
		tag, err = t.conn.Exec(ctx, query, args...)
		err = classifyPostgres(err)
	} else {
		t.queue = append(t.queue, queued{query: query, args: args, tag: &tag})
		err = t.send(ctx)
	}
	return int(tag.RowsAffected()), err
}

// later implements pipeline.
func (t *postgresTx) later(ctx context.Context, q queued) error {
	if len(t.queue) >= maxQueued {
		if err := t.send(ctx); err != nil {
			return err
		}
	}
	t.queue = append(t.queue, q)
	return nil
}

// send sends what waits, in one round trip, and answers the first error of it. A panic
// of who reads a row is one: nobody else would let go of the lock or of the connection.
func (t *postgresTx) send(ctx context.Context) (failed error) {
	defer func() {
		if p := recover(); p != nil {
			_ = t.conn.Close(ctx) // there are answers on it that nobody has read
			failed = fmt.Errorf("store: panic while rows were read: %v", p)
		}
	}()
	var b pgx.Batch
	for _, q := range t.queue {
		b.Queue(q.query, q.args...)
	}
	queue := t.queue
	t.queue, t.begun = nil, true
	results := t.conn.SendBatch(ctx, &b)
	for i, q := range queue {
		var err error
		if q.row != nil {
			var rows pgx.Rows
			rows, err = results.Query()
			err = drain(rows, err, q.row)
		} else {
			var tag pgconn.CommandTag
			if tag, err = results.Exec(); q.tag != nil {
				*q.tag = tag
			}
		}
		var pe *pgconn.PgError
		t.refused = i < len(queue)-1 && errors.As(err, &pe)
		err = classifyPostgres(err)
		if q.told != nil {
			err = q.told(err)
		}
		if failed = err; failed != nil {
			break
		}
	}
	if err := results.Close(); failed == nil {
		failed = classifyPostgres(err)
	}
	return failed
}

// judge asks what fn has left to be asked. Its verdicts come before whatever fn says.
func (t *postgresTx) judge(ctx context.Context) error {
	asks := func(q queued) bool { return q.row != nil }
	if !slices.ContainsFunc(t.queue, asks) {
		return nil
	}
	if !t.begun {
		opening := t.queue[:t.opening]
		t.queue = append(slices.Clone(opening), slices.DeleteFunc(t.queue[t.opening:], func(q queued) bool { return !asks(q) })...)
	} else {
		t.queue = slices.DeleteFunc(t.queue, func(q queued) bool { return !asks(q) })
	}
	return t.send(ctx)
}

// commit ends the transaction, with what waits before it. Nothing is committed
// before everything that was asked has been judged.
func (t *postgresTx) commit(ctx context.Context) error {
	if !t.begun && len(t.queue) == t.opening {
		return nil // nothing was done
	}
	if slices.ContainsFunc(t.queue, func(q queued) bool { return q.row != nil }) {
		if err := t.send(ctx); err != nil {
			t.rollback(ctx)
			return err
		}
	}
	var tag pgconn.CommandTag
	t.queue = append(t.queue, queued{query: "COMMIT", tag: &tag})
	err := t.send(ctx)
	var unsent pgx.ErrPreprocessingBatch
	switch {
	case err == nil && tag.String() == "COMMIT":
		return nil
	case err == nil:
		return errors.New("store: a statement failed inside a transaction that was to be committed")
	case t.refused || isServerError(err) || errors.As(err, &unsent):
		t.rollback(ctx)
		return err
	}
	_ = t.conn.Close(ctx)
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: codeUnknown, RetryAfter: time.Second,
		Msg: "the database went away while it was writing, and whether it was done is not known; look, and ask again", Err: err,
	}
}

const codeUnknown = "outcome_unknown"

// outcomeUnknown tells that a transaction may have been committed.
func outcomeUnknown(err error) bool {
	var e *tenure.Error
	return errors.As(err, &e) && e.Code == codeUnknown
}

// rollback undoes what was begun.
func (t *postgresTx) rollback(ctx context.Context) {
	if !t.begun {
		return
	}
	if _, err := t.conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		_ = t.conn.Close(ctx) // nobody else gets a connection in an unknown state
	}
}

// stampRows implements stamper. Rows are locked in the order of their ids.
func (t *postgresTx) stampRows(ctx context.Context, table, column, is string, ids []string, at []time.Time) ([]string, error) {
	value := ""
	if is != "IS NULL" {
		value = "v.at"
	}
	var done []string
	err := t.each(ctx, true, func(row scanner) error {
		var id string
		err := row.Scan(&id)
		done = append(done, id)
		return err
	}, `UPDATE `+table+` t SET `+column+` = v.at FROM unnest($1::text[], $2::timestamptz[]) AS v(id, at)
		WHERE t.id = v.id AND t.`+column+` `+is+value+` RETURNING t.id`, ids, at)
	return done, err
}
