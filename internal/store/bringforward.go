package store

import (
	"context"
	"strings"
)

// What a database knows to have ended is brought forward into the older state that
// takes its place. While that comes in, it is remembered beside it, by the names
// was_….

// remembered are the columns of each table by which a row is found again, and those that
// say that it has ended, or became less.
var remembered = []struct{ table, key, rest string }{
	{"api_tokens", "id", ", revoked_at, revoked_by, revoked_reason, expires_at, rotated_at, rotated_to"},
	{"users", "id", ", active, role, deleted_at"},
	{"service_accounts", "id", ", active, ended_at, expires_at, orphaned_at"},
	{"scim_connectors", "id", ", deleted_at"},
	{"workspaces", "id", ", deleted_at, outage_grace_seconds"},
	{"tenants", "id", ", active"},
	{"memberships", "workspace_id, user_id", ", role"},
	{"workspace_groups", "workspace_id, group_id", ", role"},
	{"group_members", "group_id, user_id", ""},
	{"oidc_connections", "id", ""},
	{"oidc_subjects", "user_id, issuer, subject", ""},
	{"token_requests", "id", ", state"},
	{"exceptions", "id", ", expires_at, decision, decided_by_user, decided_by, decided_at, decided_why, revoked_at, revoked_by, revoked_why, failed_at, failed_why, remediated_at, remediated_by, successor"},
	{"provider_credentials", "id", ", exception_id"},
	{"provider_keys", "id", ", state"},
	{"audit_sinks", "id", ", paused"},
	{"beliefs", "id", ""},
	{"belief_keys", "id", ""},
	{"extraction_settings", "subject_kind, subject_id", ", tenant_id, extraction, model, updated_at, updated_by"},
	{"audit_keys", "id", ", public, sealed, data_key, kek, form, created_at, created_by, checkpoints, retired_at"},
	{"audit_holds", "id", ", tenant_id, matter, placed_at, placed_by, released_at"},
}

func (r *replacing) remember(ctx context.Context) error {
	for _, t := range remembered {
		if _, err := r.exec(ctx, `CREATE TEMP TABLE was_`+t.table+` AS SELECT `+t.key+t.rest+` FROM `+t.table); err != nil {
			return err
		}
		if _, err := r.exec(ctx, `CREATE INDEX was_`+t.table+`_key ON was_`+t.table+` (`+t.key+`)`); err != nil {
			return err
		}
	}
	_, err := r.exec(ctx, `CREATE TEMP TABLE was_erased AS SELECT id, tenant_id FROM audit_events WHERE erased IS NOT NULL`)
	return err
}

// A forward is one statement that ends what is live in the table, or makes it less.
// $1 is the instant.
type forward struct{ kind, table, statement string }

// Roles from the least to the most, to be compared.
const (
	tenantRank    = `CASE %.role WHEN 'super_admin' THEN 3 WHEN 'admin' THEN 2 WHEN 'auditor' THEN 1 ELSE 0 END`
	workspaceRank = `CASE %.role WHEN 'workspace_admin' THEN 2 WHEN 'member' THEN 1 ELSE 0 END`
)

// extractionRank is that of when beliefs are drawn out of turns.
const extractionRank = `CASE %.extraction WHEN 'always' THEN 2 WHEN 'asked' THEN 1 ELSE 0 END`

// rank is a role's, of the rows that are called so.
func rank(form, rows string) string { return strings.ReplaceAll(form, "%", rows) }

// renewedInForce are the exceptions that were in force at $1, or whose last renewal was,
// with the end of that.
const renewedInForce = `WITH RECURSIVE forth(id, expires_at) AS (SELECT x.id, x.expires_at FROM was_exceptions x WHERE ` + goesOn + ` AND x.expires_at > $1
	UNION SELECT b.id, f.expires_at FROM was_exceptions b JOIN forth f ON b.successor = f.id) SELECT id, expires_at FROM forth`

// forwards say what had ended, in the order in which it is ended again: what a thing
// carried comes before it, so that its own time and reason are kept.
var forwards = []forward{
	{"tokens", "api_tokens", `UPDATE api_tokens SET revoked_at = w.revoked_at, revoked_by = w.revoked_by, revoked_reason = w.revoked_reason FROM was_api_tokens w
		WHERE w.id = api_tokens.id AND w.revoked_at IS NOT NULL AND api_tokens.revoked_at IS NULL`},
	{"tokens_shortened", "api_tokens", `UPDATE api_tokens SET expires_at = w.expires_at, rotated_at = w.rotated_at, rotated_to = w.rotated_to FROM was_api_tokens w
		WHERE w.id = api_tokens.id AND api_tokens.revoked_at IS NULL AND (w.expires_at < api_tokens.expires_at OR w.expires_at IS NOT NULL AND api_tokens.expires_at IS NULL)`},
	{"users", "users", `UPDATE users SET active = FALSE, deleted_at = COALESCE(users.deleted_at, w.deleted_at), updated_at = $1 FROM was_users w
		WHERE w.id = users.id AND (w.active = FALSE OR w.deleted_at IS NOT NULL) AND (users.active = TRUE OR users.deleted_at IS NULL AND w.deleted_at IS NOT NULL)`},
	{"roles", "users", `UPDATE users SET role = w.role, updated_at = $1 FROM was_users w WHERE w.id = users.id AND ` + rank(tenantRank, "w") + ` < ` + rank(tenantRank, "users")},
	{"service_accounts", "service_accounts", `UPDATE service_accounts SET active = FALSE, updated_at = $1 FROM was_service_accounts w
		WHERE w.id = service_accounts.id AND (w.active = FALSE OR w.ended_at IS NOT NULL) AND service_accounts.active = TRUE AND service_accounts.ended_at IS NULL`},
	{"service_accounts_shortened", "service_accounts", `UPDATE service_accounts SET expires_at = w.expires_at, updated_at = $1 FROM was_service_accounts w
		WHERE w.id = service_accounts.id AND (w.expires_at < service_accounts.expires_at OR w.expires_at IS NOT NULL AND service_accounts.expires_at IS NULL)`},
	{"service_accounts_orphaned", "service_accounts", `UPDATE service_accounts SET orphaned_at = w.orphaned_at FROM was_service_accounts w
		WHERE w.id = service_accounts.id AND w.orphaned_at IS NOT NULL AND service_accounts.orphaned_at IS NULL`},
	{"connectors", "scim_connectors", `UPDATE scim_connectors SET deleted_at = w.deleted_at, deleted_by = 'restore' FROM was_scim_connectors w
		WHERE w.id = scim_connectors.id AND w.deleted_at IS NOT NULL AND scim_connectors.deleted_at IS NULL`},
	{"workspaces", "workspaces", `UPDATE workspaces SET deleted_at = w.deleted_at FROM was_workspaces w
		WHERE w.id = workspaces.id AND w.deleted_at IS NOT NULL AND workspaces.deleted_at IS NULL`},
	{"workspaces_shortened", "workspaces", `UPDATE workspaces SET outage_grace_seconds = w.outage_grace_seconds FROM was_workspaces w
		WHERE w.id = workspaces.id AND w.outage_grace_seconds < workspaces.outage_grace_seconds`},
	{"tenants", "tenants", `UPDATE tenants SET active = FALSE FROM was_tenants w WHERE w.id = tenants.id AND w.active = FALSE AND tenants.active = TRUE`},
	{"workspace_roles", "memberships", `UPDATE memberships SET role = w.role FROM was_memberships w WHERE w.workspace_id = memberships.workspace_id
		AND w.user_id = memberships.user_id AND ` + rank(workspaceRank, "w") + ` < ` + rank(workspaceRank, "memberships")},
	{"workspace_roles", "workspace_groups", `UPDATE workspace_groups SET role = w.role FROM was_workspace_groups w WHERE w.workspace_id = workspace_groups.workspace_id
		AND w.group_id = workspace_groups.group_id AND ` + rank(workspaceRank, "w") + ` < ` + rank(workspaceRank, "workspace_groups")},
	{"provider_keys", "provider_keys", `UPDATE provider_keys SET state = 'retired' FROM was_provider_keys w
		WHERE w.id = provider_keys.id AND w.state = 'retired' AND provider_keys.state <> 'retired'`},
	{"exceptions", "exceptions", `UPDATE exceptions SET revoked_at = w.revoked_at, revoked_by = w.revoked_by, revoked_why = w.revoked_why FROM was_exceptions w
		WHERE w.id = exceptions.id AND w.revoked_at IS NOT NULL AND exceptions.revoked_at IS NULL`},
	{"exceptions", "exceptions", `UPDATE exceptions SET remediated_at = w.remediated_at, remediated_by = w.remediated_by FROM was_exceptions w
		WHERE w.id = exceptions.id AND w.remediated_at IS NOT NULL AND exceptions.remediated_at IS NULL`},
	{"exceptions", "exceptions", `UPDATE exceptions SET failed_at = w.failed_at, failed_why = w.failed_why FROM was_exceptions w
		WHERE w.id = exceptions.id AND w.failed_at IS NOT NULL AND exceptions.failed_at IS NULL`},
	// Where the last of its renewals was in force, and is lost, what hung on the one before
	// hangs on that again, for as long as the last one was to last at most.
	{"exceptions_renewed", "exceptions", `UPDATE exceptions SET successor = w.successor FROM was_exceptions w
		WHERE w.id = exceptions.id AND w.successor <> '' AND exceptions.successor = '' AND w.successor NOT IN (SELECT id FROM (` + renewedInForce + `) f)`},
	{"exceptions_shortened", "exceptions", `UPDATE exceptions SET expires_at = f.expires_at FROM (` + renewedInForce + `) f
		WHERE f.id = exceptions.id AND f.expires_at < exceptions.expires_at`},
	{"exceptions_declined", "exceptions", `UPDATE exceptions SET decision = w.decision, decided_by_user = w.decided_by_user, decided_by = w.decided_by,
		decided_at = w.decided_at, decided_why = w.decided_why FROM was_exceptions w
		WHERE w.id = exceptions.id AND w.decision IN ('rejected', 'withdrawn') AND exceptions.decision NOT IN ('rejected', 'withdrawn')`},
	{"exceptions_shortened", "exceptions", `UPDATE exceptions SET expires_at = w.expires_at FROM was_exceptions w
		WHERE w.id = exceptions.id AND w.expires_at < exceptions.expires_at`},
	{"providers_shortened", "provider_credentials", `UPDATE provider_credentials SET exception_id = '', updated_at = $1 FROM was_provider_credentials w
		WHERE w.id = provider_credentials.id AND w.exception_id = '' AND provider_credentials.exception_id <> ''`},
	{"token_requests", "token_requests", `UPDATE token_requests SET state = w.state FROM was_token_requests w
		WHERE w.id = token_requests.id AND w.state IN ('rejected', 'withdrawn', 'collected') AND token_requests.state IN ('pending', 'approved')`},
	{"extraction", "extraction_settings", `UPDATE extraction_settings SET extraction = w.extraction FROM was_extraction_settings w WHERE w.subject_kind = extraction_settings.subject_kind
		AND w.subject_id = extraction_settings.subject_id AND ` + rank(extractionRank, "w") + ` < ` + rank(extractionRank, "extraction_settings")},
	{"extraction", "extraction_settings", `UPDATE extraction_settings SET model = '' FROM was_extraction_settings w WHERE w.subject_kind = extraction_settings.subject_kind
		AND w.subject_id = extraction_settings.subject_id AND w.model = '' AND extraction_settings.model <> ''`},
	{"audit_sinks_paused", "audit_sinks", `UPDATE audit_sinks SET paused = TRUE FROM was_audit_sinks w WHERE w.id = audit_sinks.id AND w.paused = TRUE AND audit_sinks.paused = FALSE`},
}

// goOn brings forward what goes on in the same installation: what narrows the drawing of
// beliefs out of turns; of the keys that sign the
// audit log the one that signs, where what it is sealed with is there; one that was retired
// stays so, and its secret is destroyed again. Legal holds are in force that were in force,
// here or in what came in: one that was released since is released anew, by somebody.
var goOn = []string{
	`INSERT INTO extraction_settings (subject_kind, subject_id, tenant_id, extraction, model, updated_at, updated_by)
		SELECT subject_kind, subject_id, tenant_id, extraction, model, updated_at, updated_by FROM was_extraction_settings w WHERE w.extraction <> 'always'
		AND NOT EXISTS (SELECT 1 FROM extraction_settings x WHERE x.subject_kind = w.subject_kind AND x.subject_id = w.subject_id)`,
	`INSERT INTO audit_holds (id, tenant_id, matter, placed_at, placed_by) SELECT id, tenant_id, matter, placed_at, placed_by FROM was_audit_holds w
		WHERE w.released_at IS NULL AND NOT EXISTS (SELECT 1 FROM audit_holds h WHERE h.id = w.id)`,
	`INSERT INTO audit_keys (id, public, sealed, data_key, kek, form, created_at, created_by, checkpoints)
		SELECT id, public, sealed, data_key, kek, form, created_at, created_by, checkpoints FROM was_audit_keys w WHERE w.retired_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM audit_keys k WHERE k.id = w.id) AND EXISTS (SELECT 1 FROM audit_keys k WHERE k.kek = w.kek AND k.form = w.form)`,
	`UPDATE audit_keys SET retired_at = w.retired_at, sealed = substr(audit_keys.sealed, 1, 0), data_key = substr(audit_keys.data_key, 1, 0), kek = '', form = 0 FROM was_audit_keys w
		WHERE w.id = audit_keys.id AND w.retired_at IS NOT NULL AND audit_keys.retired_at IS NULL`,
}

// gones say what was there no more: whoever took it away, by hand or not, has ended it.
var gones = []forward{
	{"tokens", "api_tokens", `UPDATE api_tokens SET revoked_at = $1, revoked_by = 'restore', revoked_reason = 'not in the database that was replaced'
		WHERE revoked_at IS NULL AND NOT EXISTS (SELECT 1 FROM was_api_tokens w WHERE w.id = api_tokens.id)`},
	{"users", "users", `UPDATE users SET active = FALSE, updated_at = $1 WHERE active = TRUE AND NOT EXISTS (SELECT 1 FROM was_users w WHERE w.id = users.id)`},
	{"service_accounts", "service_accounts", `UPDATE service_accounts SET active = FALSE, updated_at = $1
		WHERE active = TRUE AND NOT EXISTS (SELECT 1 FROM was_service_accounts w WHERE w.id = service_accounts.id)`},
	{"exceptions", "exceptions", `UPDATE exceptions SET revoked_at = $1, revoked_by = 'restore', revoked_why = 'not in the database that was replaced'
		WHERE decision = 'approved' AND revoked_at IS NULL AND NOT EXISTS (SELECT 1 FROM was_exceptions w WHERE w.id = exceptions.id)`},
	{"connectors", "scim_connectors", `UPDATE scim_connectors SET deleted_at = $1, deleted_by = 'restore'
		WHERE deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM was_scim_connectors w WHERE w.id = scim_connectors.id)`},
	{"workspaces", "workspaces", `UPDATE workspaces SET deleted_at = $1
		WHERE deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM was_workspaces w WHERE w.id = workspaces.id)`},
	{"tenants", "tenants", `UPDATE tenants SET active = FALSE WHERE active = TRUE AND NOT EXISTS (SELECT 1 FROM was_tenants w WHERE w.id = tenants.id)`},
	{"memberships", "memberships", `DELETE FROM memberships
		WHERE NOT EXISTS (SELECT 1 FROM was_memberships w WHERE w.workspace_id = memberships.workspace_id AND w.user_id = memberships.user_id)`},
	{"memberships", "group_members", `DELETE FROM group_members
		WHERE NOT EXISTS (SELECT 1 FROM was_group_members w WHERE w.group_id = group_members.group_id AND w.user_id = group_members.user_id)`},
	{"memberships", "workspace_groups", `DELETE FROM workspace_groups
		WHERE NOT EXISTS (SELECT 1 FROM was_workspace_groups w WHERE w.workspace_id = workspace_groups.workspace_id AND w.group_id = workspace_groups.group_id)`},
	{"oidc_connections", "oidc_connections", `DELETE FROM oidc_connections WHERE NOT EXISTS (SELECT 1 FROM was_oidc_connections w WHERE w.id = oidc_connections.id)`},
	{"audit_sinks", "audit_sinks", `DELETE FROM audit_sinks WHERE NOT EXISTS (SELECT 1 FROM was_audit_sinks w WHERE w.id = audit_sinks.id)`},
	{"beliefs", "beliefs", `DELETE FROM beliefs WHERE NOT EXISTS (SELECT 1 FROM was_beliefs w WHERE w.id = beliefs.id)`},
	{"beliefs", "belief_keys", `DELETE FROM belief_keys WHERE NOT EXISTS (SELECT 1 FROM was_belief_keys w WHERE w.id = belief_keys.id)`},
	{"oidc_subjects", "oidc_subjects", `DELETE FROM oidc_subjects
		WHERE NOT EXISTS (SELECT 1 FROM was_oidc_subjects w WHERE w.user_id = oidc_subjects.user_id AND w.issuer = oidc_subjects.issuer AND w.subject = oidc_subjects.subject)`},
}

// losses are the tables whose new rows are told of as lost.
var losses = []string{"tenants", "workspaces", "users", "api_tokens", "service_accounts", "provider_credentials", "provider_keys", "scim_connectors", "oidc_connections", "audit_sinks"}

// bringForward ends what had ended, counts what is lost, and ends every session.
func (r *replacing) bringForward(ctx context.Context, audit int64, out *Replaced) error {
	ended, err := r.exec(ctx, `UPDATE sessions SET ended_at = $1, ended_by = 'restore', ended_reason = 'restored from a backup' WHERE ended_at IS NULL`, stamp(r.now))
	out.Sessions = int64(ended)
	if err != nil || out.Empty {
		return err
	}
	steps := func(list []forward, into map[string]int64) error {
		for _, f := range list {
			args := []any{stamp(r.now)}
			if !strings.Contains(f.statement, "$1") {
				args = nil
			}
			n, err := r.exec(ctx, f.statement, args...)
			if err != nil {
				return err
			}
			if n > 0 {
				into[f.kind] += int64(n)
			}
		}
		return nil
	}
	if err := steps(forwards, out.Ended); err != nil {
		return err
	}
	if out.Later {
		if err := steps(gones, out.Gone); err != nil {
			return err
		}
	}
	for _, table := range losses {
		n, err := one(ctx, r.run, scalar[int64], `SELECT count(*) FROM was_`+table+` w WHERE NOT EXISTS (SELECT 1 FROM `+table+` t WHERE t.id = w.id)`)
		if err != nil {
			return err
		}
		if n > 0 {
			out.Lost[table] = n
		}
	}
	if out.Same {
		for _, statement := range goOn {
			if _, err := r.exec(ctx, statement); err != nil {
				return err
			}
		}
		if out.AuditKept, err = one(ctx, r.run, scalar[int64], `SELECT count(*) FROM audit_events WHERE seq > $1`, audit); err != nil {
			return err
		}
	}
	if out.Same {
		if out.Unerased, err = many(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE erased IS NULL
			AND (id, tenant_id) IN (SELECT id, tenant_id FROM was_erased) ORDER BY seq`); err != nil {
			return err
		}
	}
	for _, t := range remembered {
		if _, err := r.exec(ctx, `DROP TABLE was_`+t.table); err != nil {
			return err
		}
	}
	_, err = r.exec(ctx, `DROP TABLE was_erased`)
	return err
}
