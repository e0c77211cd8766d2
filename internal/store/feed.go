package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Change says that the authority of one thing changed; what it is now must be
// read. Kind is "token", "user", "session", "membership" (ID is the user's),
// "service_account", "provider", "workspace", "tenant" or "connector".
type Change struct {
	Seq  int64
	Kind string
	ID   string
}

// FeedPoll is how often the feed looks for commits of other processes.
const FeedPoll = 50 * time.Millisecond

// feedPage is how many changes are read at once.
const feedPage = 1000

// Feed tails the changes of the database, whoever made them: this process,
// another one, or a hand at a shell. It is used by one goroutine.
type Feed struct {
	db      *DB
	pool    *sql.DB
	conn    *cachedConn
	last    int64
	version int64
}

// Feed opens the feed at its present end: what came before is not told.
func (db *DB) Feed(ctx context.Context) (*Feed, error) {
	pool, err := sql.Open("sqlite", dsn(db.path, "_pragma=query_only(1)"))
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return nil, classify(err)
	}
	f := &Feed{db: db, pool: pool, conn: &cachedConn{conn: conn, stmts: map[string]*sql.Stmt{}}}
	if f.version, err = f.number(ctx, `PRAGMA data_version`); err == nil {
		f.last, err = f.number(ctx, feedEnd)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Close ends the feed's connection.
func (f *Feed) Close() error {
	f.conn.close()
	return f.pool.Close()
}

// feedEnd is the highest number ever given to a change; the row itself may
// have been trimmed.
const feedEnd = `SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)`

// Poll gives the changes since the last Poll. lost tells that some cannot be
// known any more, because the table was trimmed past them or the database was
// put back to an earlier state, or that they are too many to be told singly:
// whoever follows must forget all that it holds.
// An error means that nothing is known to be fresh.
func (f *Feed) Poll(ctx context.Context) (changes []Change, lost bool, err error) {
	if err := f.db.inPlace(); err != nil {
		return nil, false, err
	}
	version, err := f.number(ctx, `PRAGMA data_version`)
	if err != nil {
		return nil, false, err
	}
	if version == f.version {
		return nil, false, nil
	}
	return f.read(ctx)
}

// read gives what is new in one snapshot of the database. Where the feed stands
// moves only when all of it was read.
func (f *Feed) read(ctx context.Context) (changes []Change, lost bool, err error) {
	if err := f.control(ctx, `BEGIN`); err != nil {
		return nil, false, err
	}
	var version, end int64
	changes, err = many(ctx, f.conn, scanChange, `SELECT seq, kind, id FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2`, f.last, feedPage)
	if err == nil {
		version, err = f.number(ctx, `PRAGMA data_version`)
	}
	if err == nil {
		end, err = f.number(ctx, feedEnd)
	}
	if err = errors.Join(err, f.control(ctx, `ROLLBACK`)); err != nil {
		return nil, false, err
	}
	next := f.last
	if n := len(changes); n > 0 {
		next = changes[n-1].Seq
	}
	switch {
	case len(changes) > 0 && changes[0].Seq != f.last+1, len(changes) < feedPage && end != next:
		lost, next = true, end
	case len(changes) == feedPage:
		lost, next = true, end // to look at everything is quicker than page by page
	}
	f.last, f.version = next, version
	return changes, lost, nil
}

// control runs a statement of transaction control, whatever has become of ctx:
// a transaction that was begun must end.
func (f *Feed) control(ctx context.Context, text string) error {
	ctx = context.WithoutCancel(ctx)
	s, err := f.conn.stmt(ctx, text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx)
	return classify(err)
}

func (f *Feed) number(ctx context.Context, query string) (int64, error) {
	return one(ctx, f.conn, scalar[int64], query)
}

func scanChange(row scanner) (Change, error) {
	var c Change
	err := row.Scan(&c.Seq, &c.Kind, &c.ID)
	return c, err
}

// TrimChanges drops changes that are older than age.
func (tx *Tx) TrimChanges(ctx context.Context, age time.Duration) error {
	_, err := tx.exec(ctx, `DELETE FROM changes WHERE at < $1`, stamp(tx.now.Add(-age)))
	return err
}
