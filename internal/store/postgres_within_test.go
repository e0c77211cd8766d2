package store_test

import (
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// theirs says how a column is made to name what is tenant b's, by the column's name.
var theirs = map[string][]string{
	"workspace_id":       {`workspace_id = 'wb'`},
	"user_id":            {`user_id = 'ub'`},
	"owner_user_id":      {`owner_user_id = 'ub'`},
	"group_id":           {`group_id = 'gb'`},
	"service_account_id": {`service_account_id = 'ab'`},
	"token_id":           {`token_id = 'tb'`},
	"family_id":          {`family_id = 'tb'`},
	"rotated_to":         {`rotated_to = 'tb'`},
	"connection_id":      {`connection_id = 'ob'`},
	"connector_id":       {`connector_id = 'cb'`},
	"provider_id":        {`provider_id = 'pb'`},
	"exception_id":       {`exception_id = 'eb'`},
	"key_id":             {`key_id = 'kb'`},
	"limit_id":           {`limit_id = 'lb'`},
	"subject_id": {
		`subject_kind = 'tenant', subject_id = 'b'`, `subject_kind = 'workspace', subject_id = 'wb'`, `subject_kind = 'user', subject_id = 'ub'`,
		`subject_kind = 'service_account', subject_id = 'ab'`, `subject_kind = 'token', subject_id = 'tb'`,
		`subject_kind = 'provider', subject_id = 'pb'`,
	},
}

// elsewhere are names of what has no row here.
var elsewhere = []string{"client_id", "external_id", "error_request_id"}

// told are tables that tell of what was: what they name is often gone, and nothing is
// looked up by it but in their own tenant.
var told = []string{"audit_events", "notices", "past_holdings", "revocations"}

// The role that serves, in one tenant, can write no row that names what is another's:
// in no column of any table that is named as if it named something.
func TestPostgresRowsNameTheirOwnTenantsThings(t *testing.T) {
	_, owner, app := guarded(t)
	columns := rows(t, owner, `SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
		AND (a.attname LIKE '%\_id' OR a.attname = 'rotated_to') AND a.attname <> 'tenant_id'
		AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant')`)
	if len(columns) < 30 {
		t.Fatalf("only %d columns that name something", len(columns))
	}
	for _, c := range columns {
		table, column := c[0], c[1]
		if slices.Contains(told, table) || slices.Contains(elsewhere, column) {
			continue
		}
		if len(theirs[column]) == 0 {
			t.Errorf("%s.%s: what does it name?", table, column)
		}
		for _, set := range theirs[column] {
			refused(t, app, `UPDATE `+table+` SET `+set)
		}
	}
	for _, statement := range []string{
		`INSERT INTO api_tokens (id, tenant_id, workspace_id, name, kind, token_hash, token_prefix, created_at) VALUES ('n', 'a', 'wb', '', 'pat', 'n', '', now())`,
		`INSERT INTO memberships (tenant_id, workspace_id, user_id, created_at) VALUES ('a', 'wb', 'ua', now())`,
		`INSERT INTO workspace_groups (tenant_id, workspace_id, group_id, role, created_at) VALUES ('a', 'wa', 'gb', 'member', now())`,
		`INSERT INTO group_members (group_id, user_id, added_at) VALUES ('gb', 'ua', now())`,
		`INSERT INTO service_accounts (id, tenant_id, workspace_id, name, owner_user_id, created_at) VALUES ('n', 'a', 'wb', 'n', 'ua', now())`,
		`INSERT INTO sessions (id, tenant_id, token_id, session_hash, via, created_at, last_seen_at, expires_at) VALUES ('n', 'a', 'tb', 'n', 'root', now(), now(), now())`,
		`INSERT INTO scim_connector_tokens (token_id, connector_id, created_at) VALUES ('ta', 'cb', now())`,
		`INSERT INTO oidc_domains (domain, connection_id) VALUES ('n', 'ob')`,
		`INSERT INTO user_emails (user_id, n, type_fold, value_fold) VALUES ('ub', 9, '', '')`,
		`INSERT INTO usage_limits (id, tenant_id, subject_kind, subject_id, created_at, updated_at) VALUES ('n', 'a', 'user', 'ub', now(), now())`,
		`INSERT INTO usage_limit_requests (limit_id, span, replica, tenant_id, requests) VALUES ('lb', 2, 'x', 'a', 1000000)`,
		`UPDATE exceptions SET for_user = 'ub'`,
		`UPDATE exceptions SET renews = 'eb'`,
		`UPDATE exceptions SET successor = 'eb'`,
	} {
		refused(t, app, statement)
	}
	// What is one's own, and what is not there, may be named.
	for _, statement := range []string{
		`INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, name, kind, token_hash, token_prefix, created_at) VALUES ('n', 'a', 'wa', 'ua', '', 'pat', 'n', '', now())`,
		`INSERT INTO memberships (tenant_id, workspace_id, user_id, created_at) VALUES ('a', 'nowhere', 'nobody', now())`,
		`INSERT INTO usage_limits (id, tenant_id, workspace_id, subject_kind, subject_id, created_at, updated_at) VALUES ('n', 'a', 'wa', 'user', 'ua', now(), now())`,
		`INSERT INTO usage_limit_requests (limit_id, span, replica, tenant_id, requests) VALUES ('la', 2, 'x', 'a', 1)`,
	} {
		within(t, app, "a", func(tx *sql.Tx) {
			if _, err := tx.Exec(statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		})
	}
}

// refused reports a statement that the role may execute as tenant a.
func refused(t *testing.T, app *sql.DB, statement string) {
	t.Helper()
	within(t, app, "a", func(tx *sql.Tx) {
		_, err := tx.Exec(statement)
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != "23514" && pe.Code != "42501" {
			t.Errorf("%s: %v", statement, err)
		}
	})
}
