package store

import (
	"context"
	"database/sql"
	"errors"
)

// sqliteFeed follows the changes of a file.
type sqliteFeed struct {
	of      *sqliteFile
	pool    *sql.DB
	conn    *cachedConn
	last    int64
	version int64
	install string
	back    bool // it opened at an earlier state than was seen before
}

// feed opens the feed at its present end.
func (s *sqliteFile) feed(ctx context.Context, from Mark) (*Feed, error) {
	pool, err := sql.Open("sqlite", dsn(s.path, "_pragma=query_only(1)"))
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return nil, classify(err)
	}
	f := &sqliteFeed{of: s, pool: pool, conn: &cachedConn{conn: conn, stmts: map[string]*sql.Stmt{}}}
	if f.version, err = f.number(ctx, `PRAGMA data_version`); err == nil {
		f.last, err = f.number(ctx, feedEnd)
	}
	if err == nil {
		f.install, err = one(ctx, f.conn, scalar[string], install)
	}
	f.back = from.Install == f.install && from.Seq > f.last
	if err != nil {
		_ = f.close()
		return nil, err
	}
	return &Feed{Every: FeedPoll, poll: f.poll, mark: f.mark, close: f.close}, nil
}

func (f *sqliteFeed) close() error {
	f.conn.close()
	return f.pool.Close()
}

// feedEnd is the highest number ever given to a change; the row itself may
// have been trimmed.
const feedEnd = `SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)`

func (f *sqliteFeed) poll(ctx context.Context) (News, error) {
	if err := f.of.inPlace(); err != nil {
		return News{}, err
	}
	if f.back {
		f.back = false
		return News{Lost: true, Back: true}, nil
	}
	version, err := f.number(ctx, `PRAGMA data_version`)
	if err != nil || version == f.version {
		return News{}, err
	}
	return f.read(ctx)
}

func (f *sqliteFeed) mark() Mark { return Mark{Install: f.install, Seq: f.last} }

// read gives what is new in one snapshot of the database. Where the feed stands
// moves only when all of it was read.
func (f *sqliteFeed) read(ctx context.Context) (News, error) {
	if err := f.control(ctx, `BEGIN`); err != nil {
		return News{}, err
	}
	var version, end int64
	changes, err := many(ctx, f.conn, scanChange, `SELECT seq, kind, id FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2`, f.last, feedPage)
	if err == nil {
		version, err = f.number(ctx, `PRAGMA data_version`)
	}
	if err == nil {
		end, err = f.number(ctx, feedEnd)
	}
	if err = errors.Join(err, f.control(ctx, `ROLLBACK`)); err != nil {
		return News{}, err
	}
	next := f.last
	if n := len(changes); n > 0 {
		next = changes[n-1].Seq
	}
	news := News{Changes: changes, Back: end < f.last}
	switch {
	case len(changes) > 0 && changes[0].Seq != f.last+1, len(changes) < feedPage && end != next,
		len(changes) == feedPage: // to look at everything is quicker than page by page
		news.Lost, next = true, end
	}
	f.last, f.version = next, version
	return news, nil
}

// control runs a statement of transaction control, whatever has become of ctx:
// a transaction that was begun must end.
func (f *sqliteFeed) control(ctx context.Context, text string) error {
	ctx = context.WithoutCancel(ctx)
	s, err := f.conn.stmt(ctx, text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx)
	return classify(err)
}

func (f *sqliteFeed) number(ctx context.Context, query string) (int64, error) {
	return one(ctx, f.conn, scalar[int64], query)
}

func scanChange(row scanner) (Change, error) {
	var c Change
	err := row.Scan(&c.Seq, &c.Kind, &c.ID)
	return c, err
}
