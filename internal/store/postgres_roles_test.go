package store_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

const (
	rolesFile = "../../deploy/postgres/roles.sql"
	// two is a row of each of two tenants in every table that has tenants, but for the
	// tenants and what the tables' triggers write.
	two = `
	INSERT INTO tenants (id, name, created_at) SELECT t, t, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO workspaces (id, tenant_id, name, created_at) SELECT 'w' || t, t, t, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at) SELECT 'u' || t, t, t, t, 'scim', now(), now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO user_emails (user_id, n, type_fold, value_fold) SELECT 'u' || t, 0, '', t FROM unnest('{a,b}'::text[]) t;
	INSERT INTO groups (id, tenant_id, display_name, display_name_fold, created_at, updated_at) SELECT 'g' || t, t, t, t, now(), now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO group_members (group_id, user_id, added_at) SELECT 'g' || t, 'u' || t, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO memberships (tenant_id, workspace_id, user_id, created_at) SELECT t, 'w' || t, 'u' || t, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO workspace_groups (tenant_id, workspace_id, group_id, role, created_at) SELECT t, 'w' || t, 'g' || t, 'member', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO service_accounts (id, tenant_id, workspace_id, name, owner_user_id, created_at) SELECT 'a' || t, t, 'w' || t, t, 'u' || t, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, name, kind, token_hash, token_prefix, created_at) SELECT 't' || t, t, 'w' || t, 'u' || t, '', 'pat', t, '', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO token_requests (id, tenant_id, workspace_id, service_account_id, name, scopes, models, cidrs, life_seconds, requested_by_user, requested_by, requested_at, state)
		SELECT 'r' || t, t, '', '', '', '', '', '', 0, '', '', now(), 'pending' FROM unnest('{a,b}'::text[]) t;
	INSERT INTO exceptions (id, tenant_id, title, rule, subject_kind, subject_id, reason, likelihood_before, impact_before, likelihood_after, impact_after, requested_at, begins_at, expires_at, owner_user_id, plan, remedy_at)
		SELECT 'e' || t, t, '', '', 'user', 'u' || t, '', 'low', 'low', 'low', 'low', now(), now(), now(), 'u' || t, '', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO sessions (id, tenant_id, user_id, session_hash, via, created_at, last_seen_at, expires_at) SELECT 's' || t, t, 'u' || t, t, 'proxy', now(), now(), now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO oidc_connections (id, tenant_id, name, issuer, client_id, secret_sealed, data_key, scopes, user_name_claim, created_at)
		SELECT 'o' || t, t, t, '', '', '', '', '', '', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO oidc_domains (domain, connection_id) SELECT t || '.example', 'o' || t FROM unnest('{a,b}'::text[]) t;
	INSERT INTO oidc_subjects (user_id, tenant_id, issuer, subject, created_at) SELECT 'u' || t, t, '', '', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO scim_connectors (id, tenant_id, name, created_at) SELECT 'c' || t, t, t, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO scim_connector_tokens (token_id, connector_id, created_at) SELECT 'x' || t, 'c' || t, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO scim_connector_figures (connector_id) SELECT 'c' || t FROM unnest('{a,b}'::text[]) t;
	INSERT INTO scim_connector_counts (connector_id, operation) SELECT 'c' || t, 'GET' FROM unnest('{a,b}'::text[]) t;
	INSERT INTO provider_credentials (id, tenant_id, workspace_id, name, kind, base_url, created_at, updated_at)
		SELECT 'p' || t, t, 'w' || t, t, 'openai', '', now(), now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO provider_keys (id, tenant_id, workspace_id, provider_id, name, version, state, key_sealed, data_key, created_at)
		SELECT 'k' || t, t, 'w' || t, 'p' || t, t, 1, 'active', '', '', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO policies (tenant_id, key, value, updated_at) SELECT t, 'k', 'v', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO audit_sinks (id, tenant_id, name, kind, address, format, sealed, data_key, cursor, signed, created_at) SELECT 's' || t, t, 'n', 'webhook', '', 'native', '', '', 0, 0, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO audit_holds (id, tenant_id, matter, placed_at) SELECT 'h' || t, t, 'm', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO belief_keys (id, tenant_id, user_id, sealed, data_key, created_at) SELECT 'y' || t, t, 'u' || t, '', '', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO beliefs (id, tenant_id, user_id, workspace_id, scope, type, status, name_hash, confidence, sealed, sealed_by, line, token_id, created_at, updated_at)
		SELECT 'f' || t, t, 'u' || t, 'w' || t, 'user:universal', 'entity', 'active', '', 1, '', 'y' || t, 'f' || t, 't' || t, now(), now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO belief_jobs (id, tenant_id, user_id, workspace_id, token_id, scope, sealed, sealed_by, created_at)
		SELECT 'j' || t, t, 'u' || t, 'w' || t, 't' || t, 'user:universal', '', 'y' || t, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO extraction_settings (subject_kind, subject_id, tenant_id, extraction, updated_at) SELECT 'user', 'u' || t, t, 'off', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO webhook_secrets (tenant_id, sealed, data_key, created_at) SELECT t, '', '', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO notices (id, tenant_id, at, kind, severity, message, dedupe) SELECT 'n' || t, t, now(), '', 'info', '', '' FROM unnest('{a,b}'::text[]) t;
	INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at) SELECT t, 'u' || t, 'group', 'h', '', '', '', '', now(), now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO idempotency (tenant_id, actor, key_hash, request, created_at) SELECT t, '', '', '', now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO audit_events (id, at, tenant_id, action, actor_kind, outcome) SELECT 'e' || t, now(), t, '', '', '' FROM unnest('{a,b}'::text[]) t;
	INSERT INTO usage_minutes (tenant_id, minute) SELECT t, 1 FROM unnest('{a,b}'::text[]) t;
	INSERT INTO model_usage (tenant_id, day, token_id, workspace_id, provider_id, model, user_id, service_account_id, provider, requests, input, cache_reads, cache_writes, output, last_at)
		SELECT t, 1, '', 'w' || t, '', '', '', '', '', 0, 0, 0, 0, 0, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO model_prices (id, tenant_id, pattern, from_day, input, cache_read, cache_write, output, created_at) SELECT 'q' || t, t, '*', 1, 1, 1, 1, 1, now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO trust_reviews (tenant_id, reviewed_at, reviewed_by) SELECT t, now(), '' FROM unnest('{a,b}'::text[]) t;
	INSERT INTO trust_requests (id, tenant_id, at, user_id, name, email, organisation, wants, message, address, state) SELECT 'd' || t, t, now(), '', '', '', '', '', '', '', 'open' FROM unnest('{a,b}'::text[]) t;
	INSERT INTO usage_limits (id, tenant_id, subject_kind, subject_id, created_at, updated_at) SELECT 'l' || t, t, 'tenant', t, now(), now() FROM unnest('{a,b}'::text[]) t;
	INSERT INTO usage_limit_requests (limit_id, span, replica, tenant_id, requests) SELECT 'l' || t, 1, '', t, 1 FROM unnest('{a,b}'::text[]) t;
	INSERT INTO access_reviews (id, tenant_id, title, since_at, opened_at, opened_by, due_at, second_due_at, unanswered) SELECT 'z' || t, t, t, now(), now(), '', now(), now(), 'escalate' FROM unnest('{a,b}'::text[]) t;
	INSERT INTO access_review_items (review, tenant_id, n, kind, subject) SELECT 'z' || t, t, 1, 'person', 'u' || t FROM unnest('{a,b}'::text[]) t;
	INSERT INTO revocations (id, tenant_id, at, what, took_us) SELECT 'v' || t, t, now(), '', 0 FROM unnest('{a,b}'::text[]) t`
)

// roles runs the script twice, which must change nothing, in the database.
func roles(t *testing.T, database string, variables ...string) {
	t.Helper()
	args := []string{"-X", "-v", "owner_password=of the owner's"}
	for _, v := range variables {
		args = append(args, "-v", v)
	}
	for range 2 {
		cmd := exec.Command("psql", append(args, "-f", rolesFile, database)...)
		cmd.Env = append(os.Environ(), "TENURE_APP_PASSWORD=of the app")
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "ERROR") {
			t.Fatalf("roles.sql: %v\n%s", err, out)
		}
	}
}

// as is the URL of the database for a role.
func as(t *testing.T, database, role, password string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// guarded is a database with the roles, migrated by the owner, and connections to it as
// the owner and as the app.
func guarded(t *testing.T) (database string, owner, app *sql.DB) {
	t.Helper()
	database = postgrestest.Server(t).Database(t)
	roles(t, database)
	owner = postgres(t, as(t, database, "tenure_owner", "of the owner's"))
	if _, err := owner.Exec(two); err != nil {
		t.Fatal(err)
	}
	app, err := sql.Open("pgx", as(t, database, "tenure_app", "of the app"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return database, owner, app
}

// within runs fn in a transaction of the tenant, which is undone. No tenant is none
// set.
func within(t *testing.T, db *sql.DB, tenant string, fn func(tx *sql.Tx)) {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if tenant != "" {
		if _, err := tx.Exec(`SELECT set_config('tenure.tenant', $1, true)`, tenant); err != nil {
			t.Fatal(err)
		}
	}
	fn(tx)
}

func TestPostgresRoles(t *testing.T) {
	database, owner, app := guarded(t)
	t.Run("tenants are apart", func(t *testing.T) { tenantsApart(t, owner, app) })
	t.Run("rows of others are refused", func(t *testing.T) { othersRefused(t, app) })
	t.Run("the app cannot free itself", func(t *testing.T) { appBound(t, app) })
	t.Run("triggers write what the app may not", func(t *testing.T) { triggersWrite(t, app) })
	t.Run("later tables are the app's too", func(t *testing.T) { laterTables(t, database, owner, app) })
	t.Run("the script that ran again binds it as the migrations did", func(t *testing.T) { appBound(t, app) })
}

func tenantsApart(t *testing.T, owner, app *sql.DB) {
	tables := rows(t, owner, `SELECT c.relname, EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = c.oid AND polname = 'tenant')
		FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')`)
	seen := func(tx *sql.Tx, table string) (all, others int) {
		t.Helper()
		column := "tenant_id"
		if table == "tenants" {
			column = "id"
		}
		if err := tx.QueryRow(`SELECT count(*), count(*) FILTER (WHERE `+column+` <> 'a') FROM `+table).Scan(&all, &others); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		return all, others
	}
	for _, table := range tables {
		name := table[0]
		if table[1] != "true" && name != "workspace_roles" {
			continue
		}
		within(t, app, "", func(tx *sql.Tx) {
			if all, _ := seen(tx, name); all != 0 {
				t.Errorf("%s: %d rows without a tenant", name, all)
			}
		})
		within(t, app, "a", func(tx *sql.Tx) {
			if all, others := seen(tx, name); all == 0 || others != 0 {
				t.Errorf("%s: tenant a sees %d rows, %d of others", name, all, others)
			}
		})
		within(t, app, "*", func(tx *sql.Tx) {
			if all, others := seen(tx, name); all <= others || others == 0 {
				t.Errorf("%s: with *, %d rows, %d of others", name, all, others)
			}
		})
		if name == "workspace_roles" {
			continue
		}
		// Without a tenant nothing is changed, or taken away, by whatever statement.
		within(t, app, "", func(tx *sql.Tx) {
			for _, statement := range []string{`UPDATE ` + name + ` SET tenant_id = tenant_id`, `DELETE FROM ` + name} {
				res, err := tx.Exec(strings.Replace(statement, "tenants SET tenant_id = tenant_id", "tenants SET id = id", 1))
				if name == "audit_events" { // it is added to, and no more
					if code(err) != "42501" {
						t.Errorf("%s: %v", statement, err)
					}
					return
				}
				if name == "audit_holds" && code(err) == "42501" && strings.HasPrefix(statement, "DELETE") { // they are released, and stay
					return
				}
				if err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
				if n, _ := res.RowsAffected(); n != 0 {
					t.Errorf("%s: %d rows without a tenant", statement, n)
				}
			}
		})
	}
	// The setting of a transaction is '' after it, which is not the tenant of what has none.
	if _, err := owner.Exec(`INSERT INTO scim_connector_figures (connector_id) VALUES ('nobody')`); err != nil {
		t.Fatal(err)
	}
	conn, err := app.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var setting string
	var n int
	if _, err := conn.ExecContext(context.Background(), `BEGIN; SET LOCAL tenure.tenant = 'a'; COMMIT`); err != nil {
		t.Fatal(err)
	}
	err = conn.QueryRowContext(context.Background(), `SELECT current_setting('tenure.tenant', true), (SELECT count(*) FROM scim_connector_figures)`).Scan(&setting, &n)
	if err != nil || setting != "" || n != 0 {
		t.Errorf("after a transaction: setting %q, %d rows, %v", setting, n, err)
	}
}

// code is the SQLSTATE of an error, or what it is otherwise.
func code(err error) string {
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		return pg.Code
	case err != nil:
		return err.Error()
	}
	return "done"
}

func othersRefused(t *testing.T, app *sql.DB) {
	for _, c := range []struct{ statement, want string }{
		{`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('a', 'mine', '', now())`, "done"},
		{`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('b', 'theirs', '', now())`, "42501"},
		{`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('b', 'k', '', now()) ON CONFLICT (tenant_id, key) DO UPDATE SET value = 'x'`, "42501"},
		{`UPDATE users SET tenant_id = 'b'`, "42501"},
		{`INSERT INTO tenants (id, name, created_at) VALUES ('c', 'c', now())`, "42501"},
		{`INSERT INTO group_members (group_id, user_id, added_at) VALUES ('ga', 'x', now())`, "done"},
		{`INSERT INTO group_members (group_id, user_id, added_at) VALUES ('gb', 'ua', now())`, "23514"},
		{`INSERT INTO group_members (group_id, user_id, added_at, tenant_id) VALUES ('gb', 'ua', now(), 'a')`, "23514"},
		{`UPDATE group_members SET group_id = 'gb'`, "42501"},
		{`INSERT INTO scim_connector_tokens (token_id, connector_id, created_at) VALUES ('y', 'cb', now())`, "42501"},
		{`INSERT INTO oidc_domains (domain, connection_id) VALUES ('c.example', 'ob')`, "42501"},
		{`INSERT INTO scim_connector_figures (connector_id) VALUES ('builtin') ON CONFLICT (connector_id) DO UPDATE SET error_status = 1`, "42501"},
	} {
		within(t, app, "a", func(tx *sql.Tx) {
			if _, err := tx.Exec(c.statement); code(err) != c.want {
				t.Errorf("%s: %v, want %s", c.statement, err, c.want)
			}
		})
	}
}

func appBound(t *testing.T, app *sql.DB) {
	for _, statement := range []string{
		`ALTER TABLE users DISABLE ROW LEVEL SECURITY`,
		`DROP POLICY tenant ON users`,
		`ALTER POLICY tenant ON users USING (true)`,
		`CREATE POLICY more ON users USING (true)`,
		`ALTER TABLE users ADD COLUMN x text`,
		`ALTER TABLE users DISABLE TRIGGER ALL`,
		`CREATE TRIGGER x AFTER INSERT ON users EXECUTE FUNCTION tenure_change()`,
		`DROP TABLE users`,
		`CREATE TABLE x (n int)`,
		`CREATE TEMPORARY TABLE users (id text)`,
		`CREATE FUNCTION public.x() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`CREATE SCHEMA x`,
		`SELECT tenure_end_person('ub', 'x')`,
		`SET ROLE tenure_owner`,
		`SET SESSION AUTHORIZATION tenure_owner`,
		`ALTER ROLE tenure_app BYPASSRLS`,
		`SET session_replication_role = replica`,
		`TRUNCATE users`,
		`TRUNCATE audit_events`,
		`UPDATE audit_events SET actor = ''`,
		`DELETE FROM audit_events`,
		`UPDATE audit_leaves SET hash = ''`,
		`DELETE FROM audit_leaves`,
		`DELETE FROM audit_subtrees`,
		`UPDATE audit_checkpoints SET note = ''`,
		`DELETE FROM audit_checkpoints`,
		`INSERT INTO audit_checkpoints_before (epoch, size, at, note) VALUES ('', 1, now(), '')`,
		`DELETE FROM audit_keys`,
		`DELETE FROM audit_holds`,
		`INSERT INTO audit_hold_locks (tenant_id) VALUES ('a')`,
		`UPDATE audit_hold_locks SET tenant_id = 'x'`,
		`DELETE FROM audit_hold_locks`,
		`INSERT INTO changes (kind, id) VALUES ('user', 'x')`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`,
		`COPY users FROM PROGRAM 'true'`,
	} {
		within(t, app, "*", func(tx *sql.Tx) {
			if _, err := tx.Exec(statement); code(err) != "42501" {
				t.Errorf("%s: %v", statement, err)
			}
		})
	}
	// Where there is no policy, nothing is there to be changed.
	for _, statement := range []string{`UPDATE changes SET kind = ''`, `UPDATE goose_db_version SET is_applied = false`, `DELETE FROM goose_db_version`} {
		within(t, app, "*", func(tx *sql.Tx) {
			res, err := tx.Exec(statement)
			if err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
			if n, _ := res.RowsAffected(); n != 0 {
				t.Errorf("%s: %d rows", statement, n)
			}
		})
	}
	if got := rows(t, app, `SELECT max(version_id) FROM goose_db_version`)[0][0]; got == "" || got == "0" {
		t.Errorf("the app reads version %q", got)
	}
}

func triggersWrite(t *testing.T, app *sql.DB) {
	within(t, app, "a", func(tx *sql.Tx) {
		if _, err := tx.Exec(`UPDATE users SET active = false; DELETE FROM memberships`); err != nil {
			t.Fatal(err)
		}
		var told, ended, past, trimmed string
		if err := tx.QueryRow(askTold).Scan(&told); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRow(askEnded).Scan(&ended); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRow(`SELECT string_agg(kind || ' ' || object_id, ', ' ORDER BY object_id) FROM past_holdings`).Scan(&past); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRow(`WITH d AS (DELETE FROM changes RETURNING 1) SELECT count(*) > 0 FROM d`).Scan(&trimmed); err != nil {
			t.Fatal(err)
		}
		if told != "membership ua, service_account aa, session sa, token ta, user ua" || past != "group h, membership wa" || trimmed != "true" ||
			ended != "sa database: user deactivated, ta database: user deactivated" {
			t.Errorf("told %q, ended %q, past %q, trimmed %s", told, ended, past, trimmed)
		}
	})
}

func laterTables(t *testing.T, database string, owner, app *sql.DB) {
	if _, err := owner.Exec(`CREATE TABLE later (n bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); CREATE SEQUENCE following`); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Exec(`INSERT INTO later DEFAULT VALUES; UPDATE later SET n = 2; SELECT nextval('following'); DELETE FROM later`); err != nil {
		t.Error(err)
	}
	if _, err := app.Exec(`TRUNCATE later`); code(err) != "42501" {
		t.Error(err)
	}
	roles(t, database)
	super, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = super.Close() }()
	got := rows(t, super, `SELECT rolname, rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication, rolcanlogin, left(rolpassword, 13) FROM pg_authid
		WHERE rolname LIKE 'tenure%' ORDER BY 1`)
	if !slices.EqualFunc(got, [][]string{{"tenure_app", "false", "true", "SCRAM-SHA-256"}, {"tenure_owner", "false", "true", "SCRAM-SHA-256"}}, slices.Equal) {
		t.Errorf("roles %q", got)
	}
}

// What a superuser has migrated becomes the owner's, in a schema of its own, and
// somebody who has more than they should loses it.
func TestPostgresRolesOfWhatIsThere(t *testing.T) {
	database := postgrestest.Server(t).Database(t)
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(`CREATE SCHEMA kept; CREATE ROLE tenure_app BYPASSRLS CREATEDB; CREATE ROLE tenure_owner; GRANT tenure_owner TO tenure_app`); err != nil {
		t.Fatal(err)
	}
	postgres(t, database+"&search_path=kept")
	if _, err := db.Exec(`GRANT TRUNCATE ON kept.users TO tenure_app; GRANT UPDATE ON kept.users TO PUBLIC`); err != nil {
		t.Fatal(err)
	}
	roles(t, database, "schema=kept")
	for _, r := range rows(t, db, `SELECT relname::text FROM pg_class WHERE relnamespace = 'kept'::regnamespace AND relowner <> 'tenure_owner'::regrole
		UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'kept'::regnamespace AND proowner <> 'tenure_owner'::regrole`) {
		t.Errorf("%s is not the owner's", r[0])
	}
	app, err := sql.Open("pgx", as(t, database, "tenure_app", "of the app"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	for _, statement := range []string{`TRUNCATE users`, `SET ROLE tenure_owner`, `CREATE TABLE x (n int)`, `CREATE TABLE public.x (n int)`} {
		if _, err := app.Exec(statement); code(err) != "42501" {
			t.Errorf("%s: %v", statement, err)
		}
	}
	within(t, app, "default", func(tx *sql.Tx) {
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM tenants`).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d tenants, %v", n, err)
		}
		if _, err := tx.Exec(furnished); err != nil {
			t.Error(err)
		}
	})
}

// Whoever makes the roles need not be a superuser.
func TestPostgresRolesByTheDatabasesOwner(t *testing.T) {
	database := postgrestest.Server(t).Database(t)
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(`CREATE ROLE dba LOGIN CREATEROLE; DO $$BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO dba', current_database()); END$$`); err != nil {
		t.Fatal(err)
	}
	roles(t, as(t, database, "dba", ""))
	postgres(t, as(t, database, "tenure_owner", ""))
	roles(t, as(t, database, "dba", ""))
	app, err := sql.Open("pgx", as(t, database, "tenure_app", ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	within(t, app, "default", func(tx *sql.Tx) {
		if _, err := tx.Exec(furnished); err != nil {
			t.Error(err)
		}
	})
}
