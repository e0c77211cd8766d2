package store

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresState is what a PostgreSQL database says of itself to the role that asks.
type PostgresState struct {
	Schema  Schema
	Version string
	Pooled  bool // a pooler in transaction mode stands before it

	Local    bool // reached by a socket, or at a loopback address
	TLS      bool
	Verified bool // the certificate was, against an authority that is known

	Role                 string
	Superuser, BypassRLS bool
	Owned                int  // tables that the role owns
	Walled               bool // row-level security binds it

	Standby, ReadOnly bool
	SyncCommit        string // synchronous_commit
	SyncNames         string // synchronous_standby_names
	SeesAll           bool   // the role may read what other roles do
	Standbys          []Standby

	Offset    time.Duration // how far its clock is ahead of ours
	RoundTrip time.Duration // and how sure that is

	Connections int // that are open
	Most        int // that it admits to a role as ours
	Pool        int // that one replica may open

	Replaying bool     // session_replication_role keeps triggers from firing
	Missing   []string // triggers of the schema that are not there
	Disabled  []string // and those that do not fire

	Oldest time.Duration // since the oldest open transaction began
}

// Standby is one that is connected to the primary.
type Standby struct {
	Name  string
	State string // "streaming" when it is up to date
	Sync  string // "sync", "quorum", "potential", "async"
	Lag   time.Duration
}

// feeds are the connections of a replica beside its pool: the feed's, and its bell's.
const feeds = 2

// StateOfPostgres looks at the database at url, by one connection and one
// transaction that only reads.
func StateOfPostgres(ctx context.Context, url string) (PostgresState, error) {
	var s PostgresState
	config, err := postgresConfig(url)
	if err != nil {
		return s, err
	}
	s.Pool = int(config.MaxConns) + feeds
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return s, classifyPostgres(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	s.connection(conn)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return s, classifyPostgres(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	for _, look := range []func(context.Context, pgx.Tx) error{s.role(conn), s.clock, s.replication, s.load} {
		if err := look(ctx, tx); err != nil {
			return s, classifyPostgres(err)
		}
	}
	if s.Schema, err = SchemaOfPostgres(ctx, url); err == nil && s.Schema.Version == s.Schema.Needed {
		err = s.triggers(ctx, tx)
	}
	return s, classifyPostgres(err)
}

// connection looks at how the server, or the pooler before it, was reached.
func (s *PostgresState) connection(conn *pgx.Conn) {
	raw := conn.PgConn().Conn()
	if secured, ok := raw.(*tls.Conn); ok {
		c := conn.Config().TLSConfig
		s.TLS = true
		s.Verified = c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
		raw = secured.NetConn()
	}
	switch at := raw.RemoteAddr().(type) {
	case *net.TCPAddr:
		s.Local = at.IP.IsLoopback()
	case *net.UnixAddr:
		s.Local = true
	}
}

func (s *PostgresState) role(conn *pgx.Conn) func(context.Context, pgx.Tx) error {
	return func(ctx context.Context, tx pgx.Tx) error {
		var pid uint32
		err := tx.QueryRow(ctx, `SELECT pg_backend_pid(), current_setting('server_version'), r.rolname, r.rolsuper, r.rolbypassrls,
			(SELECT count(*) FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND pg_has_role(c.relowner, 'MEMBER')),
			COALESCE(row_security_active(to_regclass('users')::oid), FALSE), pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on',
			r.rolsuper OR pg_has_role('pg_read_all_stats', 'USAGE'), current_setting('session_replication_role') = 'replica'
			FROM pg_roles r WHERE r.rolname = current_user`).
			Scan(&pid, &s.Version, &s.Role, &s.Superuser, &s.BypassRLS, &s.Owned, &s.Walled, &s.Standby, &s.ReadOnly, &s.SeesAll, &s.Replaying)
		s.Pooled = pid != conn.PgConn().PID()
		return err
	}
}

// clock compares the clocks a few times, and believes the shortest way.
func (s *PostgresState) clock(ctx context.Context, tx pgx.Tx) error {
	for range 3 {
		var there time.Time
		began := time.Now()
		if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
			return err
		}
		if took := time.Since(began); s.RoundTrip == 0 || took < s.RoundTrip {
			s.RoundTrip, s.Offset = took, there.Sub(began.Add(took/2))
		}
	}
	return nil
}

func (s *PostgresState) replication(ctx context.Context, tx pgx.Tx) error {
	err := tx.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names')`).Scan(&s.SyncCommit, &s.SyncNames)
	if err != nil || !s.SeesAll {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT application_name, COALESCE(state, ''), COALESCE(sync_state, ''), COALESCE(extract(epoch FROM replay_lag), 0)::float8
		FROM pg_stat_replication ORDER BY 1`)
	return drain(rows, err, func(row scanner) error {
		var one Standby
		var lag float64
		err := row.Scan(&one.Name, &one.State, &one.Sync, &lag)
		one.Lag = time.Duration(lag * float64(time.Second))
		s.Standbys = append(s.Standbys, one)
		return err
	})
}

// load counts connections, and looks for the oldest transaction beside this one: of
// the same role where others' may not be seen.
func (s *PostgresState) load(ctx context.Context, tx pgx.Tx) error {
	var oldest float64
	err := tx.QueryRow(ctx, `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
		count(*) FILTER (WHERE datid IS NOT NULL),
		COALESCE(max(extract(epoch FROM clock_timestamp() - xact_start)) FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid()), 0)::float8
		FROM pg_stat_activity`).Scan(&s.Most, &s.Connections, &oldest)
	s.Oldest = time.Duration(oldest * float64(time.Second))
	return err
}

func (s *PostgresState) triggers(ctx context.Context, tx pgx.Tx) error {
	want, err := postgresTriggers()
	if err != nil {
		return err
	}
	there := map[string]bool{}
	rows, err := tx.Query(ctx, `SELECT c.relname || '.' || t.tgname, t.tgenabled IN ('O', 'A') FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace`)
	err = drain(rows, err, func(row scanner) error {
		var name string
		var fires bool
		err := row.Scan(&name, &fires)
		there[name] = fires
		return err
	})
	for _, name := range want {
		switch fires, is := there[name]; {
		case !is:
			s.Missing = append(s.Missing, name)
		case !fires:
			s.Disabled = append(s.Disabled, name)
		}
	}
	return err
}

var triggerStatement = regexp.MustCompile(`(?s)\b(CREATE|DROP) TRIGGER (?:IF EXISTS )?(\w+)\b.*?\sON (\w+)`)

// postgresTriggers gives the triggers of the schema as "table.trigger": those that
// the migrations make.
func postgresTriggers() ([]string, error) {
	files, err := fs.Glob(postgresMigrations, "migrations/postgres/*.sql")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no migrations: %w", err)
	}
	var out []string
	for _, name := range files { // in their order
		text, err := fs.ReadFile(postgresMigrations, name)
		if err != nil {
			return nil, err
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for _, m := range triggerStatement.FindAllStringSubmatch(up, -1) {
			trigger := m[3] + "." + m[2]
			if m[1] == "CREATE" {
				out = append(out, trigger)
			} else {
				out = slices.DeleteFunc(out, func(t string) bool { return t == trigger })
			}
		}
	}
	return out, nil
}
