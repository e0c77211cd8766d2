package store_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// furnished is a person with something of everything: u belongs to the workspace
// default and through the group g to w, has tokens in both, a session, a service
// account and a provider; beside them v, the root token with a session, and a
// connector with its token.
const furnished = `
	INSERT INTO workspaces (id, tenant_id, name, created_at) VALUES ('w', 'default', 'W', now());
	INSERT INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at) VALUES
		('u', 'default', 'U@x', 'u@x', 'scim', now(), now()), ('v', 'default', 'v', 'v', 'scim', now(), now());
	INSERT INTO user_emails (user_id, n, type_fold, value_fold) VALUES ('u', 0, 'work', 'u@x');
	INSERT INTO groups (id, tenant_id, display_name, display_name_fold, created_at, updated_at) VALUES ('g', 'default', 'G', 'g', now(), now());
	INSERT INTO group_members (group_id, user_id, added_at) VALUES ('g', 'u', now());
	INSERT INTO workspace_groups (tenant_id, workspace_id, group_id, role, created_at) VALUES ('default', 'w', 'g', 'member', now());
	INSERT INTO memberships (tenant_id, workspace_id, user_id, created_at) VALUES ('default', 'default', 'u', now());
	INSERT INTO service_accounts (id, tenant_id, workspace_id, name, owner_user_id, created_at) VALUES ('a', 'default', 'default', 'robot', 'u', now());
	INSERT INTO provider_credentials (id, tenant_id, workspace_id, name, kind, base_url, created_at, updated_at, created_by_user)
		VALUES ('p', 'default', 'default', 'P', 'openai', 'http://x', now(), now(), 'u');
	INSERT INTO provider_keys (id, tenant_id, workspace_id, provider_id, name, version, state, key_sealed, data_key, created_at)
		VALUES ('k', 'default', 'default', 'p', 'default', 1, 'active', '', '', now());
	INSERT INTO scim_connectors (id, tenant_id, name, created_at) VALUES ('c', 'default', 'C', now());
	INSERT INTO scim_connector_tokens (token_id, connector_id, created_at) VALUES ('t-scim', 'c', now());
	INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, service_account_id, name, kind, token_hash, token_prefix, created_at) VALUES
		('t-default', 'default', 'default', 'u', '', '', 'pat', '1', '', now()), ('t-w', 'default', 'w', 'u', '', '', 'pat', '2', '', now()),
		('t-robot', 'default', 'default', '', 'a', '', 'svc', '3', '', now()), ('t-root', 'default', '', '', '', '', 'root', '4', '', now()),
		('t-scim', 'default', '', '', '', '', 'scim', '5', '', now()), ('t-v', 'default', 'default', 'v', '', '', 'pat', '6', '', now());
	INSERT INTO sessions (id, tenant_id, user_id, token_id, session_hash, via, created_at, last_seen_at, expires_at) VALUES
		('s-u', 'default', 'u', '', '1', 'proxy', now(), now(), now()), ('s-root', 'default', '', 't-root', '2', 'root', now(), now(), now()),
		('s-v', 'default', 'v', '', '3', 'proxy', now(), now(), now())`

// What is left of it after a statement: credentials that ended and why, the service
// account, how many rows lead to workspaces, and what is remembered.
const (
	askEnded = `SELECT COALESCE(string_agg(id || ' ' || why, ', ' ORDER BY id), '') FROM (
		SELECT id, revoked_by || ': ' || revoked_reason AS why FROM api_tokens WHERE revoked_at = now()
		UNION ALL SELECT id, ended_by || ': ' || ended_reason FROM sessions WHERE ended_at = now()) AS e`
	askAccount = `SELECT COALESCE(string_agg(concat_ws(' ', name, active::text, CASE WHEN orphaned_at IS NOT NULL THEN 'orphaned' END,
		ended_by, ended_reason), ', '), 'none') FROM service_accounts`
	askRows = `SELECT concat_ws(' ', (SELECT count(*) FROM memberships), (SELECT count(*) FROM group_members),
		(SELECT count(*) FROM workspace_groups), (SELECT count(*) FROM user_emails))`
	askPast = `SELECT COALESCE(string_agg(concat_ws(' ', user_id, kind, object_id, NULLIF(via, ''), NULLIF(name, ''), NULLIF(role, '')), ', '
		ORDER BY kind, object_id), '') FROM past_holdings`
	askTold = `SELECT COALESCE(string_agg(DISTINCT CASE kind WHEN '' THEN 'everything' ELSE kind || ' ' || id END, ', '), '') FROM changes WHERE xid = pg_current_xact_id()`
)

// unless is what a statement leaves that touches nothing.
var unless = aftermath{account: "robot true", rows: "1 1 1 1"}

// An aftermath is the answers to those questions. An empty account or rows are those
// of unless.
type aftermath struct{ ended, account, rows, past, told string }

// By hand, in a shell: what a row carried ends with it, and the feed is told.
func TestPostgresEndsByHand(t *testing.T) {
	db := postgres(t, postgrestest.URL(t))
	within(t, db, "", func(tx *sql.Tx) { // what is new is told, too
		const want = "connector c, membership u, provider p, service_account a, session s-root, session s-u, session s-v, tenant z, " +
			"token t-default, token t-robot, token t-root, token t-scim, token t-v, token t-w, user u, user v, workspace w"
		if _, err := tx.Exec(furnished + `; INSERT INTO tenants (id, name, created_at) VALUES ('z', 'z', now())`); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := tx.QueryRow(askTold).Scan(&got); err != nil || got != want {
			t.Errorf("told %q, %v; want %q", got, err, want)
		}
	})
	if _, err := db.Exec(furnished); err != nil {
		t.Fatal(err)
	}
	for _, c := range endings() {
		t.Run(c.statement, func(t *testing.T) {
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := tx.Exec(c.statement); err != nil {
				t.Fatal(err)
			}
			var got aftermath
			for ask, into := range map[string]*string{
				askEnded: &got.ended, askAccount: &got.account, askRows: &got.rows, askPast: &got.past, askTold: &got.told,
			} {
				if err := tx.QueryRow(ask).Scan(into); err != nil {
					t.Fatal(err)
				}
			}
			want := c.left
			if want.account == "" {
				want.account = unless.account
			}
			if want.rows == "" {
				want.rows = unless.rows
			}
			if got != want {
				t.Errorf("left\n%+v, want\n%+v", got, want)
			}
		})
	}
}

type ending struct {
	statement string
	left      aftermath
}

func endings() []ending {
	return []ending{
		{`UPDATE users SET active = false WHERE id = 'u'`, aftermath{
			ended:   "s-u database: user deactivated, t-default database: user deactivated, t-w database: user deactivated",
			account: "robot true orphaned",
			told:    "service_account a, session s-u, token t-default, token t-w, user u",
		}},
		{`UPDATE users SET active = true WHERE id = 'u'`, aftermath{told: "user u"}},
		{`UPDATE users SET deleted_at = now() WHERE id = 'u'`, aftermath{
			ended:   "s-u database: user deactivated, t-default database: user deactivated, t-w database: user deactivated",
			account: "robot true orphaned",
			rows:    "1 0 1 0",
			past:    "u group g G, u membership w G W member",
			told:    "membership u, service_account a, session s-u, token t-default, token t-w, user u",
		}},
		{`DELETE FROM users WHERE id = 'u'`, aftermath{
			ended:   "s-u database: user deleted, t-default database: user deleted, t-w database: user deleted",
			account: "robot true orphaned",
			rows:    "0 0 1 0",
			past:    "u group g G, u membership default default member, u membership w G W member",
			told:    "membership u, service_account a, session s-u, token t-default, token t-w, user u",
		}},
		{`DELETE FROM users`, aftermath{
			ended:   "s-u database: user deleted, s-v database: user deleted, t-default database: user deleted, t-v database: user deleted, t-w database: user deleted",
			account: "robot true orphaned",
			rows:    "0 0 1 0",
			past:    "u group g G, u membership default default member, u membership w G W member",
			told:    "membership u, service_account a, session s-u, session s-v, token t-default, token t-v, token t-w, user u, user v",
		}},
		{`TRUNCATE users`, aftermath{
			ended:   "s-u database: user deleted, s-v database: user deleted, t-default database: user deleted, t-v database: user deleted, t-w database: user deleted",
			account: "robot true orphaned",
			rows:    "0 0 1 0",
			past:    "u group g G, u membership default default member, u membership w G W member",
			told:    "everything, membership u, service_account a, session s-u, session s-v, token t-default, token t-v, token t-w, user u, user v",
		}},
		{`UPDATE users SET id = 'z' WHERE id = 'u'`, aftermath{
			ended:   "s-u database: user replaced, t-default database: user replaced, t-w database: user replaced",
			account: "robot true orphaned",
			told:    "service_account a, session s-u, token t-default, token t-w, user u, user z",
		}},
		{`UPDATE users SET tenant_id = 'z' WHERE id = 'u'`, aftermath{
			ended:   "s-u database: user replaced, t-default database: user replaced, t-w database: user replaced",
			account: "robot true orphaned",
			told:    "service_account a, session s-u, token t-default, token t-w, user u",
		}},
		{`UPDATE users SET role = 'admin' WHERE id = 'u'`, aftermath{
			ended: "s-u database: role changed",
			told:  "session s-u, user u",
		}},
		{`UPDATE users SET role = 'member' WHERE id = 'u'`, aftermath{told: "user u"}},
		{`UPDATE users SET last_seen_at = now(), display_name = 'x', version = 2`, aftermath{}},
		{`INSERT INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at) VALUES ('u', 'default', 'U@x', 'u@x', 'scim', now(), now())
			ON CONFLICT (id) DO UPDATE SET active = false`, aftermath{
			ended:   "s-u database: user deactivated, t-default database: user deactivated, t-w database: user deactivated",
			account: "robot true orphaned",
			told:    "service_account a, session s-u, token t-default, token t-w, user u",
		}},
		{`UPDATE api_tokens SET user_id = 'x' WHERE id = 't-v'; INSERT INTO users (id, tenant_id, user_name, user_name_fold, active, source, created_at, updated_at)
			VALUES ('x', 'default', 'x', 'x', false, 'scim', now(), now())`, aftermath{
			ended: "t-v database: user deactivated",
			told:  "token t-v, user x",
		}},
		{`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('default', 'orphan_grace', '0', now()); UPDATE users SET active = false WHERE id = 'u'`, aftermath{
			ended:   "s-u database: user deactivated, t-default database: user deactivated, t-robot database: service account ended, t-w database: user deactivated",
			account: "robot ended a false orphaned policy its owner left",
			told:    "policy default, service_account a, session s-u, token t-default, token t-robot, token t-w, user u",
		}},

		{`UPDATE api_tokens SET revoked_at = now() WHERE id = 't-w'`, aftermath{told: "token t-w"}},
		{`UPDATE api_tokens SET id = 'z' WHERE id = 't-w'`, aftermath{told: "token t-w, token z"}},
		{`UPDATE api_tokens SET last_used_at = now()`, aftermath{}},
		{`UPDATE api_tokens SET revoked_at = now() WHERE id = 't-root'`, aftermath{
			ended: "s-root database: root token revoked",
			told:  "session s-root, token t-root",
		}},
		{`DELETE FROM api_tokens WHERE id IN ('t-root', 't-w')`, aftermath{
			ended: "s-root database: root token deleted",
			told:  "session s-root, token t-root, token t-w",
		}},
		{`TRUNCATE api_tokens`, aftermath{
			ended: "s-root database: root token deleted",
			told:  "everything, session s-root, token t-root",
		}},
		{`UPDATE sessions SET ended_at = now() WHERE id = 's-u'`, aftermath{told: "session s-u"}},
		{`UPDATE sessions SET last_seen_at = now()`, aftermath{}},
		{`DELETE FROM sessions WHERE id = 's-u'`, aftermath{told: "session s-u"}},
		{`TRUNCATE sessions`, aftermath{told: "everything"}},

		{`DELETE FROM memberships`, aftermath{
			ended: "t-default database: membership removed",
			rows:  "0 1 1 1",
			past:  "u membership default default member",
			told:  "membership u, token t-default",
		}},
		{`TRUNCATE memberships`, aftermath{
			ended: "t-default database: membership removed",
			rows:  "0 1 1 1",
			past:  "u membership default default member",
			told:  "everything, membership u, token t-default",
		}},
		{`UPDATE memberships SET user_id = 'v'`, aftermath{
			ended: "t-default database: membership removed",
			told:  "membership u, membership v, token t-default",
		}},
		{`UPDATE memberships SET role = 'viewer'`, aftermath{told: "membership u"}},
		{`INSERT INTO memberships (tenant_id, workspace_id, user_id, created_at) VALUES ('default', 'w', 'u', now()); DELETE FROM group_members`, aftermath{
			rows: "2 0 1 1",
			past: "u group g G, u membership w G W member",
			told: "membership u",
		}},
		{`DELETE FROM group_members`, aftermath{
			ended: "t-w database: membership removed",
			rows:  "1 0 1 1",
			past:  "u group g G, u membership w G W member",
			told:  "membership u, token t-w",
		}},
		{`TRUNCATE group_members`, aftermath{
			ended: "t-w database: membership removed",
			rows:  "1 0 1 1",
			past:  "u group g G, u membership w G W member",
			told:  "everything, membership u, token t-w",
		}},
		{`UPDATE group_members SET user_id = 'v'`, aftermath{
			ended: "t-w database: membership removed",
			told:  "membership u, membership v, token t-w",
		}},
		{`DELETE FROM workspace_groups`, aftermath{
			ended: "t-w database: membership removed",
			rows:  "1 1 0 1",
			past:  "u membership w G W member",
			told:  "token t-w, workspace w",
		}},
		{`TRUNCATE workspace_groups`, aftermath{
			ended: "t-w database: membership removed",
			rows:  "1 1 0 1",
			past:  "u membership w G W member",
			told:  "everything, token t-w, workspace w",
		}},
		{`UPDATE workspace_groups SET workspace_id = 'default'`, aftermath{
			ended: "t-w database: membership removed",
			told:  "token t-w, workspace default, workspace w",
		}},
		{`DELETE FROM groups`, aftermath{
			ended: "t-w database: membership removed",
			rows:  "1 0 0 1",
			past:  "u group g G, u membership w G W member",
			told:  "token t-w, workspace w",
		}},
		{`TRUNCATE groups`, aftermath{
			ended: "t-w database: membership removed",
			rows:  "1 0 0 1",
			past:  "u group g G, u membership w G W member",
			told:  "everything, token t-w, workspace w",
		}},
		{`UPDATE groups SET id = 'h'`, aftermath{
			ended: "t-w database: membership removed",
			rows:  "1 1 0 1",
			told:  "token t-w, workspace w",
		}},
		{`UPDATE groups SET tenant_id = 'z'`, aftermath{
			ended: "t-w database: membership removed",
			rows:  "1 1 0 1",
			past:  "u membership w G W member",
			told:  "token t-w, workspace w",
		}},
		{`TRUNCATE groups, group_members, workspace_groups, memberships`, aftermath{
			ended: "t-default database: membership removed, t-w database: membership removed",
			rows:  "0 0 0 1",
			past:  "u group g G, u membership default default member, u membership w G W member",
			told:  "everything, membership u, token t-default, token t-w, workspace w",
		}},

		{`UPDATE workspaces SET deleted_at = now() WHERE id = 'default'`, aftermath{
			ended:   "t-default database: workspace deleted, t-robot database: workspace deleted, t-v database: workspace deleted",
			account: "robot ended a false database ended",
			rows:    "0 1 1 1",
			past:    "u membership default default member",
			told:    "membership u, service_account a, token t-default, token t-robot, token t-v, workspace default",
		}},
		{`DELETE FROM workspaces WHERE id = 'w'`, aftermath{
			ended: "t-w database: workspace deleted",
			rows:  "1 1 0 1",
			past:  "u membership w G member",
			told:  "token t-w, workspace w",
		}},
		{`TRUNCATE workspaces`, aftermath{
			ended:   "t-default database: workspace deleted, t-robot database: workspace deleted, t-v database: workspace deleted, t-w database: workspace deleted",
			account: "robot ended a false database ended",
			rows:    "0 1 0 1",
			past:    "u membership default member, u membership w G member",
			told:    "everything, membership u, service_account a, token t-default, token t-robot, token t-v, token t-w, workspace default, workspace w",
		}},
		{`UPDATE service_accounts SET active = false`, aftermath{
			ended:   "t-robot database: service account ended",
			account: "robot ended a false database ended",
			told:    "service_account a, token t-robot",
		}},
		{`UPDATE service_accounts SET ended_at = now(), ended_by = 'me', ended_reason = 'because'`, aftermath{
			ended:   "t-robot database: service account ended",
			account: "robot ended a false me because",
			told:    "service_account a, token t-robot",
		}},
		{`UPDATE service_accounts SET active = false; UPDATE service_accounts SET active = true`, aftermath{
			ended:   "t-robot database: service account ended",
			account: "robot ended a false database ended",
			told:    "service_account a, token t-robot",
		}},
		{`UPDATE service_accounts SET owner_user_id = 'v'`, aftermath{
			past: "u service_account a robot",
			told: "service_account a",
		}},
		{`UPDATE service_accounts SET orphaned_at = now(); UPDATE service_accounts SET owner_user_id = 'v'`, aftermath{
			past: "u service_account a robot",
			told: "service_account a",
		}},
		{`DELETE FROM service_accounts`, aftermath{
			account: "none",
			ended:   "t-robot database: service account deleted",
			past:    "u service_account a robot",
			told:    "service_account a, token t-robot",
		}},
		{`TRUNCATE service_accounts`, aftermath{
			account: "none",
			ended:   "t-robot database: service account deleted",
			past:    "u service_account a robot",
			told:    "everything, service_account a, token t-robot",
		}},
		{`DELETE FROM provider_credentials`, aftermath{
			past: "u provider p P",
			told: "provider p",
		}},
		{`TRUNCATE provider_credentials`, aftermath{
			past: "u provider p P",
			told: "everything, provider p",
		}},
		{`UPDATE provider_credentials SET headers = '{"X-Tier":"gold"}'`, aftermath{told: "provider p"}},
		{`UPDATE provider_keys SET key_sealed = 'x'`, aftermath{told: "provider p"}},
		{`UPDATE provider_keys SET state = 'retired'`, aftermath{told: "provider p"}},
		{`UPDATE provider_keys SET data_key = 'x', kek = 'y', form = 1, checked_at = now()`, aftermath{}},
		{`DELETE FROM provider_keys`, aftermath{told: "provider p"}},
		{`TRUNCATE provider_keys`, aftermath{told: "everything"}},
		{`UPDATE scim_connectors SET deleted_at = now()`, aftermath{
			ended: "t-scim database: connector deleted",
			told:  "connector c, token t-scim",
		}},
		{`UPDATE scim_connectors SET cidrs = '10.0.0.0/8'`, aftermath{told: "connector c"}},
		{`DELETE FROM scim_connectors`, aftermath{
			ended: "t-scim database: connector deleted",
			told:  "connector c, token t-scim",
		}},
		{`TRUNCATE scim_connectors`, aftermath{
			ended: "t-scim database: connector deleted",
			told:  "connector c, everything, token t-scim",
		}},
		{`DELETE FROM scim_connector_tokens`, aftermath{told: "connector c"}},
		{`TRUNCATE scim_connector_tokens`, aftermath{told: "everything"}},
		{`UPDATE tenants SET active = false`, aftermath{told: "tenant default"}},
		{`UPDATE tenants SET name = 'x'`, aftermath{}},
		{`DELETE FROM tenants`, aftermath{told: "tenant default"}},
		{`TRUNCATE tenants`, aftermath{told: "everything"}},
		{`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('default', 'k', 'v', now())`, aftermath{told: "policy default"}},
		{`UPDATE scim_connector_tokens SET connector_id = 'd'`, aftermath{told: "connector c, connector d"}},
		{`INSERT INTO scim_connector_tokens (token_id, connector_id, created_at) VALUES ('t-v', 'd', now())`, aftermath{told: "connector d"}},
		{`INSERT INTO group_members (group_id, user_id, added_at) VALUES ('g', 'v', now())`, aftermath{rows: "1 2 1 1", told: "membership v"}},
		{`INSERT INTO group_members (group_id, user_id, added_at) VALUES ('h', 'v', now())`, aftermath{rows: "1 2 1 1"}},
		{`INSERT INTO workspace_groups (tenant_id, workspace_id, group_id, role, created_at) VALUES ('default', 'default', 'g', 'viewer', now())`, aftermath{rows: "1 1 2 1", told: "workspace default"}},
		{`TRUNCATE policies`, aftermath{told: "everything"}},
		{`INSERT INTO usage_limits (id, tenant_id, subject_kind, subject_id, created_at, updated_at) VALUES ('l', 'default', 'tenant', 'default', now(), now())`, aftermath{told: "limit default"}},
		{`INSERT INTO model_prices (id, tenant_id, pattern, from_day, input, cache_read, cache_write, output, created_at) VALUES ('q', 'default', '*', 1, 1, 1, 1, 1, now())`, aftermath{told: "price default"}},
		{`TRUNCATE model_prices`, aftermath{told: "everything"}},
		{`INSERT INTO exceptions (id, tenant_id, title, rule, subject_kind, subject_id, reason, likelihood_before, impact_before, likelihood_after, impact_after, requested_at, begins_at, expires_at, owner_user_id, plan, remedy_at)
			VALUES ('x', 'default', '', '', 'tenant', 'default', '', 'low', 'low', 'low', 'low', now(), now(), now(), 'u', '', now())`, aftermath{}},
		{`TRUNCATE exceptions`, aftermath{told: "everything"}},
		{`TRUNCATE usage_limits`, aftermath{told: "everything"}},
	}
}

// What triggers write into the row itself.
func TestPostgresRowsByHand(t *testing.T) {
	db := postgres(t, postgrestest.URL(t))
	if _, err := db.Exec(furnished); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ statement, ask, want string }{
		{`UPDATE users SET active = false`, `SELECT deactivated_at IS NULL FROM users WHERE id = 'u'`, "false"},
		{`UPDATE users SET active = false; UPDATE users SET active = true`, `SELECT deactivated_at IS NULL FROM users WHERE id = 'u'`, "true"},
		{`UPDATE users SET active = false, deactivated_at = '2001-01-01Z'`, `SELECT extract(year FROM deactivated_at)::int FROM users WHERE id = 'u'`, "2001"},
		{`UPDATE users SET user_name = 'New' WHERE id = 'u'`, `SELECT user_name_fold FROM users WHERE id = 'u'`, "new"},
		{`UPDATE users SET user_name = 'STRASSE', user_name_fold = 'strasse' WHERE id = 'u'`, `SELECT user_name_fold FROM users WHERE id = 'u'`, "strasse"},
		{`UPDATE users SET display_name = 'New' WHERE id = 'u'`, `SELECT display_name_fold FROM users WHERE id = 'u'`, "new"},
		{`INSERT INTO users (id, tenant_id, user_name, user_name_fold, display_name, source, created_at, updated_at)
			VALUES ('z', 'default', 'z', 'z', 'Zed', 'scim', now(), now())`, `SELECT display_name_fold FROM users WHERE id = 'z'`, "zed"},
		{`DELETE FROM users WHERE id = 'u'`, `SELECT version FROM groups`, "2"},
		{`SELECT 1`, `SELECT string_agg(tenant_id, ' ') FROM (SELECT tenant_id FROM user_emails UNION ALL SELECT tenant_id FROM group_members
			UNION ALL SELECT tenant_id FROM scim_connector_tokens) AS x`, "default default default"},
		{`INSERT INTO group_members (group_id, user_id, added_at, tenant_id) VALUES ('g', 'v', now(), 'liar')`, `SELECT tenant_id FROM group_members WHERE user_id = 'v'`, "default"},
		{`INSERT INTO scim_connector_figures (connector_id) VALUES ('builtin')`, `SELECT '-' || tenant_id FROM scim_connector_figures`, "-default"},
		{`INSERT INTO scim_connector_figures (connector_id) VALUES ('none')`, `SELECT '-' || tenant_id FROM scim_connector_figures`, "-"},
		{
			`UPDATE users SET tenant_id = 'z'; UPDATE groups SET tenant_id = 'z'; UPDATE scim_connectors SET tenant_id = 'z'`,
			`SELECT string_agg(tenant_id, ' ') FROM (SELECT tenant_id FROM user_emails UNION ALL SELECT tenant_id FROM group_members
			UNION ALL SELECT tenant_id FROM scim_connector_tokens) AS x`, "z z z",
		},
		{`UPDATE group_members SET tenant_id = 'liar'`, `SELECT tenant_id FROM group_members`, "default"},
	} {
		t.Run(c.statement, func(t *testing.T) {
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := tx.Exec(c.statement); err != nil {
				t.Fatal(err)
			}
			var got string
			if err := tx.QueryRow(c.ask).Scan(&got); err != nil || got != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// Each commit that wrote a change rings once, and no other.
func TestPostgresRings(t *testing.T) {
	url := postgrestest.URL(t)
	db := postgres(t, url)
	if _, err := db.Exec(furnished); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(ctx, `LISTEN tenure_changes; LISTEN ends`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		statement string
		rings     int
	}{
		{`UPDATE users SET role = 'admin'; DELETE FROM memberships`, 1},
		{`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('default', 'k', '1', now())`, 1},
		{`UPDATE policies SET value = '2'`, 1},
		{`DELETE FROM policies`, 1},
		{`TRUNCATE sessions`, 1},
		{`UPDATE api_tokens SET last_used_at = now(); UPDATE users SET last_seen_at = now()`, 0},
	} {
		if _, err := db.Exec(c.statement); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`NOTIFY ends`); err != nil {
			t.Fatal(err)
		}
		rings := 0
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if n.Channel == "ends" {
				break
			}
			rings++
		}
		if rings != c.rings {
			t.Errorf("%s: %d rings, want %d", c.statement, rings, c.rings)
		}
	}
}

// A trigger's function that anybody could hang on a table of their own would end
// what they like; one that looked into other schemas would be led astray. Who serves
// may have statistics taken, which tells and ends nothing.
func TestPostgresFunctionsAreTheOwners(t *testing.T) {
	db := postgres(t, postgrestest.URL(t))
	for _, f := range rows(t, db, `SELECT proname, prosecdef, proconfig, prorettype = 'trigger'::regtype,
		EXISTS (SELECT 1 FROM aclexplode(COALESCE(proacl, acldefault('f', proowner))) WHERE grantee = 0) FROM pg_proc WHERE pronamespace = 'public'::regnamespace`) {
		if anybody := f[0] == "tenure_analyze"; (f[4] == "true") != anybody {
			t.Errorf("%s may be called by anybody: %s", f[0], f[4])
		}
		if (f[3] == "true" || f[4] == "true") && (f[1] != "true" || !strings.Contains(f[2], `search_path=public, pg_temp`)) {
			t.Errorf("%s: security definer %s, settings %s", f[0], f[1], f[2])
		}
	}
}

// Every table is under row-level security, by its tenant or by name here.
func TestPostgresTablesHaveTenants(t *testing.T) {
	// They belong to the installation: of the audit log's tree, hashes and their signatures.
	free := []string{"audit_checkpoints", "audit_checkpoints_before", "audit_hold_locks", "audit_keys", "audit_leaves", "audit_subtrees", "meta", "oidc_seen", "usage_batches"}
	special := []string{"changes", "goose_db_version"} // their policies are about writing
	db := postgres(t, postgrestest.URL(t))
	for _, r := range rows(t, db, `SELECT relname, relrowsecurity, relforcerowsecurity, COALESCE((SELECT string_agg(polname, ' ' ORDER BY polname)
		FROM pg_policy WHERE polrelid = c.oid), '') FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')`) {
		want := "true tenant"
		switch {
		case slices.Contains(free, r[0]):
			want = "false "
		case r[0] == "changes":
			want = "true read trim"
		case slices.Contains(special, r[0]):
			want = "true read"
		}
		if got := r[1] + " " + r[3]; got != want || r[2] != "false" {
			t.Errorf("%s: %q, forced %s; want %q", r[0], got, r[2], want)
		}
	}
	if got := rows(t, db, `SELECT reloptions FROM pg_class WHERE relname = 'workspace_roles'`)[0][0]; got != "{security_invoker=true}" {
		t.Errorf("the view's options: %s", got)
	}
	for _, c := range rows(t, db, `SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'goose_db_version'`) {
		t.Errorf("%s.%s does not compare by bytes", c[0], c[1])
	}
}
