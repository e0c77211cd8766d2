package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure/internal/store"
)

// What is too much.
const (
	offsetWarn = time.Second
	offsetFail = 10 * time.Second
	openWarn   = time.Minute
	openFail   = time.Hour
	lagWarn    = 10 * time.Second
)

func (d *Doctor) postgres(ctx context.Context) (findings, *store.DB) {
	const area = "database"
	var f findings
	url := d.cfg.Postgres.Reveal()
	s, err := store.StateOfPostgres(ctx, url)
	if err != nil {
		f.fail(area, "reach", cause(err), "see that the database runs, that this machine reaches it, and that TENURE_DATABASE_URL has its host, role and password; of several hosts one must be the primary.")
		return f, nil
	}
	f.ok(area, "reach", "PostgreSQL "+s.Version)
	ready := d.schema(&f, s.Schema)
	d.lost(&f, s.Schema, s.Missing, s.Disabled)
	if s.Replaying {
		f.fail(area, "session_replication_role", "it is replica for this role: no trigger fires, and no change is told", "ALTER ROLE "+s.Role+" RESET session_replication_role")
	}
	d.role(&f, s)
	d.way(&f, s)
	d.replication(&f, s)
	d.load(&f, s)
	if !ready {
		return f, nil
	}
	db, err := store.LookPostgres(ctx, url)
	if err != nil {
		f.fail(area, "read", cause(err), "see that the role may read the tables: run deploy/postgres/roles.sql again.")
		return f, nil
	}
	return f, db
}

// role looks at whether row-level security binds whoever serves.
func (d *Doctor) role(f *findings, s store.PostgresState) {
	const area, check = "database", "role"
	const do = "serve as tenure_app, which deploy/postgres/roles.sql makes, and keep the owner for \"tenure migrate\"."
	switch {
	case s.Superuser:
		f.warn(area, check, s.Role+" is a superuser: row-level security does not bind it", do)
	case s.BypassRLS:
		f.warn(area, check, s.Role+" has BYPASSRLS: row-level security does not bind it", do)
	case s.Owned > 0:
		f.warn(area, check, fmt.Sprintf("%s owns %d tables: it can turn row-level security off", s.Role, s.Owned), do)
	case !s.Walled && !s.Schema.Pending():
		f.warn(area, check, "row-level security does not bind "+s.Role, do)
	default:
		f.ok(area, check, s.Role+" owns no table, and row-level security binds it")
	}
}

// way looks at how the database is reached.
func (d *Doctor) way(f *findings, s store.PostgresState) {
	const area = "database"
	switch {
	case s.TLS && s.Verified:
		f.ok(area, "tls", "the connection is encrypted, and the certificate verified")
	case s.Local:
		f.ok(area, "tls", "the connection stays on this machine")
	case s.TLS:
		f.warn(area, "tls", "the connection is encrypted, and nobody verifies with whom", "add sslmode=verify-full and sslrootcert=FILE to TENURE_DATABASE_URL.")
	default:
		f.warn(area, "tls", "the connection is not encrypted: what is asked and answered can be read and changed on its way", "add sslmode=verify-full and sslrootcert=FILE to TENURE_DATABASE_URL.")
	}
	if s.Pooled {
		f.warn(area, "pooler", "a pooler in transaction mode stands before it: there are no notifications, and a change is known after at most 250 ms", "for less, give Tenure a way around the pooler.")
	} else {
		f.ok(area, "pooler", "none: notifications arrive")
	}
	offset := fmt.Sprintf("its clock is %s %s ours (± %s)", s.Offset.Abs().Round(time.Microsecond), map[bool]string{true: "behind", false: "ahead of"}[s.Offset < 0], (s.RoundTrip / 2).Round(time.Microsecond))
	const do = "let both machines keep time by NTP: ends of tokens and sessions are judged by this machine's clock, and written by both."
	if off := s.Offset.Abs() - s.RoundTrip/2; off > offsetFail {
		f.fail(area, "clock", offset, do)
	} else {
		f.either(off <= offsetWarn, area, "clock", offset, do)
	}
}

func (d *Doctor) replication(f *findings, s store.PostgresState) {
	const area = "database"
	switch {
	case s.Standby:
		f.fail(area, "primary", "this is a standby: nothing can be written", "name the primary in TENURE_DATABASE_URL, or all hosts, parted by commas.")
	case s.ReadOnly:
		f.fail(area, "primary", "default_transaction_read_only is on: nothing can be written", "switch it off for the role and the database.")
	default:
		f.ok(area, "primary", "this is the primary")
	}
	if s.SyncCommit == "off" {
		f.fail(area, "durability", "synchronous_commit is off: what was answered can be lost when the server crashes, revocations too", "set synchronous_commit = on.")
	} else {
		f.either(s.SyncCommit != "local" || s.SyncNames == "", area, "durability", "synchronous_commit is "+s.SyncCommit, "local does not wait for the synchronous standbys: set it to on.")
	}
	switch {
	case s.SyncNames != "":
		f.ok(area, "standbys", "synchronous: "+s.SyncNames)
	case s.SeesAll && len(s.Standbys) == 0:
		f.ok(area, "standbys", "none are connected: after the loss of this server there is the backup")
	case s.SeesAll:
		f.warn(area, "standbys", "none is synchronous: one that takes over may have forgotten the last revocations", "set synchronous_standby_names; what is told again otherwise is in docs/reference/storage.md, \"An earlier state\".")
	default:
		f.skip(area, "standbys", "none is synchronous, and "+s.Role+" may not see whether others are connected: GRANT pg_monitor TO "+s.Role+" for that")
	}
	for _, one := range s.Standbys {
		found := fmt.Sprintf("%s: %s, %s, %s behind", one.Name, one.State, one.Sync, one.Lag.Round(time.Millisecond))
		f.either(one.State == "streaming" && one.Lag <= lagWarn, area, "standby", found, "look at its log: it could not take over without losing that.")
	}
}

func (d *Doctor) load(f *findings, s store.PostgresState) {
	const area = "database"
	if s.Pooled {
		f.skip(area, "connections", "the pooler counts them")
	} else {
		found := fmt.Sprintf("%d of %d are open; %d replicas may open %d each", s.Connections, s.Most, d.Replicas, s.Pool)
		f.either(d.Replicas*s.Pool <= s.Most, area, "connections", found, "raise max_connections, or lower pool_max_conns in TENURE_DATABASE_URL.")
	}
	found := fmt.Sprintf("the oldest open transaction began %s ago", s.Oldest.Round(time.Second))
	if s.Oldest < time.Second {
		found = "no transaction is open for long"
	}
	if !s.SeesAll {
		found += " (of those of " + strings.TrimSpace(s.Role) + "; others may not be seen without pg_monitor)"
	}
	const do = "end it: it keeps rows locked and old versions alive. pg_stat_activity names it, pg_terminate_backend ends it."
	if s.Oldest > openFail {
		f.fail(area, "transactions", found, do)
	} else {
		f.either(s.Oldest <= openWarn, area, "transactions", found, do)
	}
}
