package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tenure-gateway/tenure"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

// Bounds of a PostgreSQL database.
const (
	// statementTimeout ends a statement that takes too long.
	statementTimeout = 15 * time.Second
	// lookTimeout ends a look-up that requests wait for, the waiting for a connection
	// included; the server ends the statement before that.
	lookTimeout   = 2 * time.Second
	lookOnTheWire = lookTimeout - 500*time.Millisecond
	// keptForLooks is the part of the pool that is kept for such look-ups: one in five.
	keptForLooks = 5
	// lockTimeout ends the waiting for a row that somebody else has locked, for
	// example a shell with an open transaction.
	lockTimeout = 5 * time.Second
	// acquireTimeout is how long a statement waits for a connection of the pool.
	acquireTimeout = 5 * time.Second
	// writeTries is how often a transaction is begun anew that could not be ordered
	// among others.
	writeTries = 30
)

// postgres is the engine of a PostgreSQL database: version 15 or later, one
// primary. Everything runs on the primary.
type postgres struct {
	pool   *pgxpool.Pool
	now    func() time.Time
	config *pgx.ConnConfig // of connections beside the pool
	pulse  *pulse
	// pooled tells that a pooler in transaction mode, such as PgBouncer, stands
	// before the database: a connection is not one session there.
	pooled bool
	// slow has a place for each connection that anything but a quick look-up may have.
	slow chan struct{}
	// walled tells that policies of row-level security bind the role that serves.
	walled bool
	shared sharer
}

// OpenPostgres opens the database at url (a libpq URI; several hosts, and
// target_session_attrs, are understood; the primary is chosen) and brings its
// schema up to date where the role may. now is the clock; nil means time.Now.
func OpenPostgres(ctx context.Context, url string, now func() time.Time) (*DB, error) {
	return openPostgres(ctx, url, now, migratePostgres)
}

// openPostgres opens the database once prepare has seen it.
func openPostgres(ctx context.Context, url string, now func() time.Time, prepare func(context.Context, *pgx.ConnConfig) error) (*DB, error) {
	if now == nil {
		now = time.Now
	}
	config, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	p := &postgres{now: now, pulse: newPulse()}
	if err := p.probe(ctx, config.ConnConfig, prepare); err != nil {
		return nil, classifyPostgres(err)
	}
	// Plans are kept. One that was made while a table was small must not read all of
	// it when it has grown: whatever is asked often has an index.
	if p.pooled {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	} else {
		config.ConnConfig.RuntimeParams["statement_timeout"] = milliseconds(statementTimeout)
		config.ConnConfig.RuntimeParams["lock_timeout"] = milliseconds(lockTimeout)
		config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(statementTimeout)
		config.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
		config.ConnConfig.RuntimeParams["jit"] = "off"
	}
	p.config = config.ConnConfig.Copy()
	config.AfterConnect = p.pulse.admit
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	p.slow = make(chan struct{}, config.MaxConns-config.MaxConns/keptForLooks)
	if err := p.pool.QueryRow(ctx, `SELECT row_security_active('users')`).Scan(&p.walled); err != nil {
		p.pool.Close()
		return nil, classifyPostgres(err)
	}
	return &DB{
		reads: reads{run: p}, now: now,
		engine: engine{write: p.write, share: p.share, feed: p.feed, horizon: p.horizon, facts: p.facts, lease: func() error { return nil }, still: p.still, snapshot: p.snapshot, replace: p.replace, close: p.close},
	}, nil
}

// postgresConfig reads the URL, and bounds what it does not say.
func postgresConfig(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	conn := config.ConnConfig
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = int32(max(10, 4*runtime.GOMAXPROCS(0)))
	}
	if !strings.Contains(url, "pool_max_conn_lifetime=") {
		config.MaxConnLifetime, config.MaxConnLifetimeJitter = 10*time.Minute, time.Minute // plans are made anew
	}
	if !strings.Contains(url, "target_session_attrs=") {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = 2 * time.Second // for each host
	}
	if _, ok := conn.RuntimeParams["application_name"]; !ok {
		conn.RuntimeParams["application_name"] = "tenure"
	}
	// A host that is gone is noticed within seconds, also where nothing is sent.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	conn.DialFunc = dialer.DialContext
	return config, nil
}

// probe looks at the server, and prepares it. It uses the simplest protocol there is.
func (p *postgres) probe(ctx context.Context, config *pgx.ConnConfig, prepare func(context.Context, *pgx.ConnConfig) error) error {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var version int
	var pid uint32
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_backend_pid()`).Scan(&version, &pid); err != nil {
		return err
	}
	if version < 150000 {
		return fmt.Errorf("PostgreSQL %d.%d is too old; Tenure needs 15 or later", version/10000, version%10000)
	}
	// A pooler tells a process number of its own at the start.
	p.pooled = pid != conn.PgConn().PID()
	return prepare(ctx, config)
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

func (p *postgres) close() error {
	p.pool.Close()
	return nil
}

// acquire takes a connection of the pool; release gives it back.
func (p *postgres) acquire(ctx context.Context) (conn *pgxpool.Conn, release func(), err error) {
	wait, cancel := p.pulse.await(ctx)
	defer cancel()
	leave := func() {}
	if !isQuick(ctx) {
		select {
		case p.slow <- struct{}{}:
			leave = func() { <-p.slow }
		case <-wait.Done():
			err = wait.Err()
		}
	}
	if err == nil {
		if conn, err = p.pool.Acquire(wait); err != nil {
			leave()
		}
	}
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		if silent, _ := p.pulse.now(); silent {
			return nil, nil, unavailable(err)
		}
		return nil, nil, busy(err)
	}
	if err != nil {
		return nil, nil, err
	}
	give := p.pulse.watch(conn)
	return conn, func() { give(); leave() }, nil
}

// each reads in one round trip, with the tenant that ctx is about, and in bounded time.
func (p *postgres) each(ctx context.Context, _ bool, row func(scanner) error, query string, args ...any) error {
	limit := statementTimeout
	if isQuick(ctx) {
		limit = lookOnTheWire
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookTimeout)
		defer cancel()
	}
	conn, release, err := p.acquire(ctx)
	if err != nil {
		return classifyPostgres(err)
	}
	defer release()
	if !p.walled && !p.pooled && limit == statementTimeout { // which the connection has
		return eachPostgres(ctx, conn, row, query, args)
	}
	var b pgx.Batch
	b.Queue(setRead, tenure.ReachOf(ctx), milliseconds(limit), milliseconds(lockTimeout))
	b.Queue(query, args...)
	results := conn.SendBatch(ctx, &b)
	if _, err = results.Exec(); err == nil {
		var rows pgx.Rows
		rows, err = results.Query()
		err = drain(rows, err, row)
	}
	if ended := results.Close(); err == nil {
		err = ended
	}
	return classifyPostgres(err)
}

// setRead says for the one transaction of a read whose rows may be seen, and how long
// it may take: behind a pooler a connection keeps no settings.
const setRead = `SELECT set_config('tenure.tenant', $1, true), set_config('statement_timeout', $2, true), set_config('lock_timeout', $3, true)`

func (p *postgres) exec(context.Context, string, ...any) (int, error) {
	return 0, errors.New("store: a write outside a transaction")
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func eachPostgres(ctx context.Context, q querier, row func(scanner) error, query string, args []any) error {
	rows, err := q.Query(ctx, query, args...)
	return classifyPostgres(drain(rows, err, row))
}

// drain gives the rows that a query has found, and closes them.
func drain(rows pgx.Rows, err error, row func(scanner) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// write runs fn in a transaction that sees one state of the database, and begins
// anew when somebody else has written what it writes, or locks, since then.
func (p *postgres) write(ctx context.Context, fn func(*Tx) error) error {
	inner := context.WithoutCancel(ctx)
	for try := range writeTries {
		err := p.attempt(ctx, inner, fn)
		// What is not unique may have come since the transaction has looked: the second
		// look finds it.
		if !unordered(err) && (try > 0 || !errors.Is(err, errUnique)) {
			return classifyPostgres(err)
		}
		if try == writeTries-1 {
			return busy(err)
		}
		pause := time.Duration(rand.Int64N(int64(min(100, 2<<min(try, 6))))) * time.Millisecond //nolint:gosec // no secret
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return nil
}

func (p *postgres) horizon(ctx context.Context) (string, error) {
	return one(ctx, p, scalar[string], `SELECT pg_current_snapshot()::text`)
}

func (p *postgres) facts(ctx context.Context) (Facts, error) {
	return one(ctx, p, func(row scanner) (Facts, error) {
		var f Facts
		err := row.Scan(&f.Engine, &f.Schema, &f.Bytes, &f.Journal)
		f.Engine = "PostgreSQL " + f.Engine
		return f, err
	}, `SELECT current_setting('server_version'), (SELECT MAX(version_id) FROM goose_db_version), pg_database_size(current_database()),
		'synchronous_commit ' || current_setting('synchronous_commit')`)
}
