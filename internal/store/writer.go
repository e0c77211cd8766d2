package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxBatch is how many transactions share one commit at the most: the sync to
// disk is what costs, and those that wait for it together pay for it once.
const maxBatch = 64

// writer runs transactions on the one connection that writes. Transactions
// that wait together are run one after another, each under a savepoint of its
// own, and committed together: one that fails is undone alone.
type writer struct {
	db     *sql.DB
	conn   *cachedConn
	now    func() time.Time
	check  func() error // is the file still the one that was opened?
	jobs   chan *job
	closed chan struct{} // no more jobs are taken
	done   chan struct{}
	once   sync.Once
	unsafe chan struct{} // closed by the loop, when fsync has failed
	lost   error         // of the loop: why nothing is written any more
}

type job struct {
	ctx context.Context // checked before fn is begun, not after
	fn  func(*Tx) error
	err chan error
}

var errClosed = errors.New("store: closed")

func newWriter(db *sql.DB, conn *sql.Conn, now func() time.Time, check func() error) *writer {
	w := &writer{
		db: db, now: now, check: check, conn: &cachedConn{conn: conn, stmts: map[string]*sql.Stmt{}},
		jobs: make(chan *job, maxBatch), closed: make(chan struct{}), done: make(chan struct{}), unsafe: make(chan struct{}),
	}
	go w.loop()
	return w
}

// do waits until fn has been committed or has failed. Once fn has begun, the
// caller waits for its end even if ctx ends: the answer must be true.
func (w *writer) do(ctx context.Context, fn func(*Tx) error) error {
	j := &job{ctx: ctx, fn: fn, err: make(chan error, 1)}
	select {
	case <-w.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case w.jobs <- j:
	}
	select {
	case err := <-j.err:
		return err
	case <-w.done: // the loop has ended; it may have answered just before
		select {
		case err := <-j.err:
			return err
		default:
			return errClosed
		}
	}
}

// stop takes no more transactions, and waits for those that wait.
func (w *writer) stop() {
	w.once.Do(func() { close(w.closed) })
	<-w.done
}

// close ends the connection of a writer that has stopped.
func (w *writer) close() {
	w.conn.close()
	_ = w.db.Close()
}

func (w *writer) loop() {
	defer close(w.done)
	batch := make([]*job, 0, maxBatch)
	for {
		select {
		case j := <-w.jobs:
			batch = append(batch[:0], j)
		case <-w.closed:
			// What is queued by now is still done.
			select {
			case j := <-w.jobs:
				batch = append(batch[:0], j)
			default:
				return
			}
		}
		for len(batch) < maxBatch {
			select {
			case j := <-w.jobs:
				batch = append(batch, j)
				continue
			default:
			}
			break
		}
		results := w.commit(batch)
		w.judge(results)
		for i, err := range results {
			batch[i].err <- err
		}
	}
}

// judge ends all writing when the disk has failed to keep something: what would be
// written next might be said to be durable, and not be.
func (w *writer) judge(results []error) {
	for _, err := range results {
		if w.lost == nil && errors.Is(err, errUnsafe) {
			w.lost = err
			close(w.unsafe)
		}
	}
}

// commit runs a batch and gives each job's result.
func (w *writer) commit(batch []*job) []error {
	results := make([]error, len(batch))
	fail := func(err error) []error {
		for i := range results {
			if results[i] == nil {
				results[i] = err
			}
		}
		return results
	}
	if w.lost != nil {
		return fail(w.lost)
	}
	if err := w.check(); err != nil {
		return fail(err)
	}
	if err := w.sql("BEGIN IMMEDIATE"); err != nil {
		return fail(err)
	}
	tx := &Tx{reads: reads{run: w.conn}, now: w.now().Truncate(time.Microsecond)}
	for i, j := range batch {
		if err := j.ctx.Err(); err != nil {
			results[i] = err
			continue
		}
		err := w.attempt(tx, j.fn)
		if errors.Is(err, errBroken) {
			_ = w.sql("ROLLBACK") // the engine may have done it already
			return fail(err)
		}
		results[i] = err
	}
	if err := w.sql("COMMIT"); err != nil {
		_ = w.sql("ROLLBACK")
		return fail(err)
	}
	// What went into a file that nobody will open again is not acknowledged.
	if err := w.check(); err != nil {
		return fail(err)
	}
	return results
}

// errBroken says that the whole batch is lost, for example because the engine
// rolled it back by itself when the disk was full.
var errBroken = errors.New("store: the transaction was lost")

// attempt runs fn under a savepoint; on failure it undoes what fn did.
func (w *writer) attempt(tx *Tx, fn func(*Tx) error) error {
	if err := w.sql("SAVEPOINT job"); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	err := guard(tx, fn)
	if err != nil {
		if undo := w.sql("ROLLBACK TO job"); undo != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	if rel := w.sql("RELEASE job"); rel != nil {
		return fmt.Errorf("%w: %w", errBroken, errors.Join(err, rel))
	}
	return err
}

// guard turns a panic of fn into its error: the writer serves everybody.
func guard(tx *Tx, fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: panic in a transaction: %v", p)
		}
	}()
	return fn(tx)
}

// sql runs a statement of transaction control. No caller's context reaches it:
// an interrupted statement would undo the whole batch.
func (w *writer) sql(text string) error {
	ctx := context.Background()
	s, err := w.conn.stmt(ctx, text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx)
	return classify(err)
}
