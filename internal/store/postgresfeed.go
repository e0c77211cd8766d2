package store

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenure-gateway/tenure"
)

// Times of following a PostgreSQL database.
const (
	// postgresPoll bounds how long a change is unknown when no bell rings.
	postgresPoll = 250 * time.Millisecond
	// pollTimeout is how long a poll waits before its connection is thrown away.
	pollTimeout = time.Second
	// statisticsEvery is how often it is asked whether tables have grown.
	statisticsEvery = 3 * time.Second
	// bellCheck is how often it is asked whether the bell's connection is alive.
	bellCheck = 10 * time.Second
)

// postgresFeed follows the changes by the snapshots of its polls: what was not
// visible in the last one, and is in this, is new. The numbers of changes tell
// nothing about the order in which they were committed.
type postgresFeed struct {
	config   *pgx.ConnConfig
	pulse    *pulse
	conn     *pgx.Conn // nil after a failure
	snapshot string
	server   string
	newest   seen
	install  string
	first    bool   // nothing was polled yet
	was      string // the server of the mark that it was opened with; "": of none
	stop     context.CancelFunc
	beside   sync.WaitGroup
}

// seen is the change of the highest number that was told.
type seen struct {
	seq int64
	xid string
	at  time.Time
}

func (p *postgres) feed(ctx context.Context, from Mark) (*Feed, error) {
	f := &postgresFeed{config: p.config, pulse: p.pulse, stop: func() {}}
	if err := f.open(ctx); err != nil {
		_ = f.close()
		return nil, classifyPostgres(err)
	}
	f.first = true
	if from.Install == f.install && from.Seq > 0 {
		f.newest, f.was = seen{from.Seq, from.XID, from.At}, cmp.Or(from.Server, "unknown")
	}
	out := &Feed{Every: postgresPoll, poll: f.poll, mark: f.mark, close: f.close}
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	f.beside.Go(func() { p.keepStatistics(beside) })
	if p.pooled {
		return out, nil
	}
	bell := make(chan struct{}, 1)
	out.Bell = bell
	f.beside.Go(func() { listen(beside, p.config, bell) })
	return out, nil
}

// keepStatistics has the planner's statistics taken of tables that have grown: the
// server's own comes a minute later. What fails is tried again.
func (p *postgres) keepStatistics(ctx context.Context) {
	tick := time.NewTicker(statisticsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = p.write(ctx, func(tx *Tx) error {
				_, err := tx.exec(ctx, `SELECT tenure_analyze()`)
				return err
			})
		}
	}
}

func (f *postgresFeed) close() error {
	f.stop()
	f.beside.Wait()
	if f.conn == nil {
		return nil
	}
	return f.conn.Close(context.Background())
}

func (f *postgresFeed) mark() Mark {
	return Mark{f.install, f.newest.seq, f.newest.xid, f.newest.at, f.server}
}

func (f *postgresFeed) connect(ctx context.Context) (err error) {
	if f.conn == nil || f.conn.IsClosed() {
		f.conn, err = pgx.ConnectConfig(ctx, f.config)
	}
	return err
}

// open takes the present end of the feed as where it begins.
func (f *postgresFeed) open(ctx context.Context) error {
	if err := f.connect(ctx); err != nil {
		return err
	}
	return f.conn.QueryRow(ctx, `SELECT pg_current_snapshot()::text, `+serverIdentity+`, COALESCE(c.seq, 0), COALESCE(c.xid::text, ''), COALESCE(c.at, 'epoch'), (`+install+`)
		FROM (SELECT 1) AS always LEFT JOIN (SELECT seq, xid, at FROM changes ORDER BY seq DESC LIMIT 1) c ON true`).
		Scan(&f.snapshot, &f.server, &f.newest.seq, &f.newest.xid, &f.newest.at, &f.install)
}

// errStandby is the answer of a server that repeats what another one writes: what it
// tells may be old.
var errStandby = &tenure.Error{
	Kind: tenure.Unavailable, Code: "database_unavailable", RetryAfter: time.Second,
	Msg: "the database does not answer: this server is a standby",
}

// serverIdentity tells one run of one server from every other, and a table that a
// restoration has made from the one that was there. A server that takes over has begun
// to run at another time; it does not change timelines while it is followed.
const serverIdentity = `pg_postmaster_start_time()::text || ' ' || COALESCE(host(inet_server_addr()), 'local') || ' ' || COALESCE(inet_server_port(), 0)
		|| ' ' || (SELECT oid FROM pg_database WHERE datname = current_database()) || ' ' || COALESCE(pg_relation_filenode('changes'), 0)`

// feedPoll asks in one statement, and so in one snapshot, for what is new, and
// whether what was seen last is still there. Rows of transactions that this server
// has not come to yet were brought by a backup of another.
const feedPoll = `SELECT pg_is_in_recovery(), pg_current_snapshot()::text, ` + serverIdentity + `,
		$3 = 0 OR EXISTS (SELECT 1 FROM changes WHERE seq = $3 AND xid = $4::text::xid8 AND at = $5),
		c.seq, c.kind, c.id, c.ended, c.xid::text, c.at
	FROM (SELECT 1) AS always LEFT JOIN (
		SELECT seq, kind, id, ended, xid, at FROM changes
		WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot) AND xid < pg_snapshot_xmax(pg_current_snapshot()) AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
		ORDER BY seq LIMIT $2) c ON true`

func (f *postgresFeed) poll(ctx context.Context) (News, error) {
	f.pulse.follow(f.server) // what the last poll told has been applied
	err := f.connect(ctx)    // which has its own time for each host
	var news News
	if err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, pollTimeout)
		defer cancel()
		news, err = f.read(ctx)
	}
	if err == nil {
		f.pulse.heard()
	} else {
		f.pulse.missed()
	}
	if err != nil && f.conn != nil {
		_ = f.conn.Close(ctx)
		f.conn = nil
	}
	return news, classifyPostgres(err)
}

func (f *postgresFeed) read(ctx context.Context) (News, error) {
	xid := f.newest.xid
	if xid == "" {
		xid = "0"
	}
	rows, err := f.conn.Query(ctx, feedPoll, f.snapshot, feedHeard, f.newest.seq, xid, f.newest.at)
	if err != nil {
		return News{}, err
	}
	defer rows.Close()
	var news News
	var snapshot, server string
	standby, there, newest := false, true, f.newest
	for rows.Next() {
		var seq *int64
		var kind, id, xid *string
		var ended *bool
		var at *time.Time
		if err := rows.Scan(&standby, &snapshot, &server, &there, &seq, &kind, &id, &ended, &xid, &at); err != nil {
			return News{}, err
		}
		if seq == nil {
			continue
		}
		news.Changes = append(news.Changes, Change{Seq: *seq, Kind: *kind, ID: *id, Ended: *ended, At: *at})
		if *seq > newest.seq {
			newest = seen{*seq, *xid, *at}
		}
	}
	rows.Close() // before anything else is asked of the connection
	if err := rows.Err(); err != nil {
		return News{}, err
	}
	if standby {
		return News{}, errStandby
	}
	if !there {
		if news.Back, err = f.wentBack(ctx); err != nil {
			return News{}, err
		}
		news.Since = f.newest.at // what follows it was trimmed too, maybe
	}
	// Transactions of another server are numbered otherwise: a snapshot of the one
	// tells nothing about the other.
	gap := !there || server != f.server || len(news.Changes) == feedHeard
	news.Lost = gap || len(news.Changes) >= feedPage
	news.Moved = server != f.server || f.was != "" && f.was != server
	news.Unheard = gap || f.first
	if f.first && f.was == "" {
		news.Since = time.Unix(0, 0) // who has seen nothing has all to learn
	}
	if gap {
		if err := f.open(ctx); err != nil {
			return News{}, err
		}
	} else {
		f.snapshot, f.server, f.newest = snapshot, server, newest
	}
	f.first, f.was = false, ""
	return news, nil
}

// wentBack tells whether the change that was seen last has never been, or was
// trimmed: the table keeps the newest change, and trims the oldest first.
func (f *postgresFeed) wentBack(ctx context.Context) (bool, error) {
	var trimmed bool
	err := f.conn.QueryRow(ctx, `SELECT COALESCE((SELECT MIN(seq) FROM changes) > $1, false)`, f.newest.seq).Scan(&trimmed)
	return !trimmed, err
}

// listen rings the bell for each notification of a change, until ctx ends. A
// connection that is lost is made anew: until then the polls have to do.
func listen(ctx context.Context, config *pgx.ConnConfig, bell chan<- struct{}) {
	for ctx.Err() == nil {
		_ = listenOn(ctx, config, bell)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func listenOn(ctx context.Context, config *pgx.ConnConfig, bell chan<- struct{}) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollTimeout)
		defer cancel()
		_ = conn.Close(last)
	}()
	if _, err := conn.Exec(ctx, `LISTEN tenure_changes`); err != nil {
		return err
	}
	for {
		waiting, cancel := context.WithTimeout(ctx, bellCheck)
		_, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case err == nil:
			select {
			case bell <- struct{}{}:
			default:
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case waiting.Err() != nil && !conn.IsClosed():
			alive, cancel := context.WithTimeout(ctx, pollTimeout)
			err := conn.Ping(alive)
			cancel()
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
}
