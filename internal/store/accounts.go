package store

import (
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// accountColumns count the tokens that live at $1, longestBefore which is $2.
func accountColumns() string {
	return `a.id, a.tenant_id, a.workspace_id, a.name, a.description, a.owner_user_id, COALESCE(u.user_name, ''),
	CASE WHEN u.deleted_at IS NULL THEN COALESCE(u.active, FALSE) ELSE FALSE END, a.active, a.expires_at, a.orphaned_at, a.created_at, a.created_by, a.ended_at, COALESCE(a.ended_by, ''),
	COALESCE(a.ended_reason, ''),
	COALESCE((SELECT value FROM policies WHERE tenant_id = a.tenant_id AND key = 'orphan_grace'), ''),
	(SELECT count(*) FROM api_tokens t WHERE t.service_account_id = a.id AND ` + tokenLives("$1", "$2") + `)
	FROM service_accounts a LEFT JOIN users u ON u.id = a.owner_user_id AND u.tenant_id = a.tenant_id`
}

func scanAccount(row scanner) (tenure.ServiceAccount, error) {
	var a tenure.ServiceAccount
	var active bool
	var grace string
	err := row.Scan(&a.ID, &a.Tenant, &a.Workspace, &a.Name, &a.About, &a.Owner, &a.OwnerName,
		&a.OwnerActive, &active, into(&a.ExpiresAt), into(&a.OrphanedAt), into(&a.CreatedAt), &a.CreatedBy, into(&a.EndedAt), &a.EndedBy,
		&a.EndReason, &grace, &a.Tokens)
	a.Name = accountName(a.Name, a.ID)
	a.GraceEndsAt = graceEnds(a.OrphanedAt, grace)
	if !active && a.EndedAt.IsZero() {
		a.EndedAt = time.Unix(0, 0).UTC() // ended before ends were dated
	}
	return a, err
}

// accountName is the name of an account without the mark that ended ones carry
// so that the name is free again.
func accountName(name string, id tenure.ServiceAccountID) string {
	return strings.TrimSuffix(name, " ended "+string(id))
}

// Account reads a service account. NotFound: the tenant has no such account.
func (r reads) Account(ctx context.Context, tenant tenure.TenantID, id tenure.ServiceAccountID, now time.Time) (tenure.ServiceAccount, error) {
	return one(ctx, r.run, scanAccount, `SELECT `+accountColumns()+` WHERE a.tenant_id = $3 AND a.id = $4`, stamp(now), longestBefore(now), tenant, id)
}

// AccountFilter chooses service accounts of one tenant; zero fields choose all
// that have not ended.
type AccountFilter struct {
	Tenant    tenure.TenantID
	Workspace tenure.WorkspaceID
	Owner     tenure.UserID
	// Seer chooses those of workspaces in which the person has one of Roles, and
	// those that the person answers for.
	Seer     tenure.UserID
	Roles    []tenure.Role
	Part     string                  // in the name, the description or the owner's userName
	Orphaned bool                    // those that wait for an owner only
	Ended    bool                    // those that have ended too
	After    tenure.ServiceAccountID // the cursor
	Limit    int
}

// Accounts lists service accounts in the order of their making.
func (r reads) Accounts(ctx context.Context, f AccountFilter, now time.Time) ([]tenure.ServiceAccount, error) {
	var w where
	w.arg(stamp(now))
	w.arg(longestBefore(now))
	w.and(`a.tenant_id = ?`, f.Tenant)
	if f.Workspace != "" {
		w.and(`a.workspace_id = ?`, f.Workspace)
	}
	if f.Owner != "" {
		w.and(`a.owner_user_id = ?`, f.Owner)
	}
	if f.Seer != "" {
		ranks := make([]string, 0, len(f.Roles))
		for _, role := range f.Roles {
			ranks = append(ranks, w.arg(rankOf(role)))
		}
		seer := w.arg(f.Seer)
		w.and(`(a.owner_user_id = ` + seer + ` OR (SELECT MIN(r.rank) FROM workspace_roles r
			WHERE r.tenant_id = a.tenant_id AND r.workspace_id = a.workspace_id AND r.user_id = ` + seer + `) IN (` + strings.Join(ranks, ", ") + `))`)
	}
	if f.Part != "" {
		w.part(f.Part, "a.name", "a.description", "u.user_name")
	}
	if f.Orphaned {
		w.and(`a.orphaned_at IS NOT NULL`)
	}
	if !f.Ended {
		w.and(`a.active = TRUE AND a.ended_at IS NULL`)
	}
	if f.After != "" {
		w.and(`a.id > ?`, f.After)
	}
	limit := w.arg(f.Limit)
	return many(ctx, r.run, scanAccount, `SELECT `+accountColumns()+w.String()+` ORDER BY a.id LIMIT `+limit, w.args...)
}

// rankOf is the rank of a role in the view workspace_roles.
func rankOf(role tenure.Role) int {
	for i, r := range tenure.WorkspaceRoles {
		if r == role {
			return i + 1
		}
	}
	return 0
}

// AccountsDue lists the service accounts of a tenant, or with "" of all, that have
// not ended though their end date or the grace after their owner left is past. It
// reads those whose end is near, and orphans, by indexes.
func (r reads) AccountsDue(ctx context.Context, tenant tenure.TenantID, now time.Time) ([]tenure.ServiceAccount, error) {
	// Times that a hand wrote compare as times, not as text: what may be past in
	// some zone is read, and what is no time at all, which sorts behind every year.
	seen := map[tenure.ServiceAccountID]bool{}
	var due []tenure.ServiceAccount
	for _, near := range [...]string{`a.expires_at <= $3`, `a.expires_at > '9999-12-31 23:59:59' AND $3 <> ''`, `a.orphaned_at IS NOT NULL AND $3 <> ''`} {
		rows, err := many(ctx, r.run, scanAccount, `SELECT `+accountColumns()+` WHERE a.active = TRUE AND a.ended_at IS NULL AND ($4 = '' OR a.tenant_id = $4) AND `+near,
			stamp(now), longestBefore(now), stamp(now.Add(24*time.Hour)), tenant)
		if err != nil {
			return nil, err
		}
		for _, a := range rows {
			if a.State(now) == "expired" && !seen[a.ID] {
				due, seen[a.ID] = append(due, a), true
			}
		}
	}
	return due, nil
}

// InsertAccount stores a new service account. Conflict: the workspace has one of
// this name.
func (tx *Tx) InsertAccount(ctx context.Context, a tenure.ServiceAccount) error {
	_, err := tx.exec(ctx, `INSERT INTO service_accounts (id, tenant_id, workspace_id, name, description, owner_user_id, active, created_at, created_by, updated_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, TRUE, $7, $8, $7, $9)`,
		a.ID, a.Tenant, a.Workspace, a.Name, a.About, a.Owner, stamp(a.CreatedAt), a.CreatedBy, stamp(a.ExpiresAt))
	return conflict(err, "name", "the workspace has a service account named %q already", a.Name)
}

// UpdateAccount stores the owner, the description, the end date and whether it
// waits for an owner, of an account that has not ended. NotFound: it has.
func (tx *Tx) UpdateAccount(ctx context.Context, a tenure.ServiceAccount) error {
	err := tx.execOne(ctx, `UPDATE service_accounts SET owner_user_id = $1, description = $2, expires_at = $3, updated_at = $4
		WHERE tenant_id = $5 AND id = $6 AND active = TRUE AND ended_at IS NULL`,
		a.Owner, a.About, stamp(a.ExpiresAt), stamp(tx.now), a.Tenant, a.ID)
	if err != nil || !a.OrphanedAt.IsZero() {
		return err
	}
	return tx.execOne(ctx, `UPDATE service_accounts SET orphaned_at = NULL WHERE tenant_id = $1 AND id = $2`, a.Tenant, a.ID)
}

// EndAccount ends a service account with its tokens, for good, and gives the
// number of the tokens. Its name is free again (by trigger, however it ends).
func (tx *Tx) EndAccount(ctx context.Context, a tenure.ServiceAccount, by, reason string) (tokens int, was bool, err error) {
	tokens, err = tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3
		WHERE tenant_id = $4 AND service_account_id = $5 AND revoked_at IS NULL`, stamp(tx.now), by, reason, a.Tenant, a.ID)
	if err != nil {
		return 0, false, err
	}
	n, err := tx.exec(ctx, `UPDATE service_accounts SET active = FALSE, ended_at = $1, ended_by = $2, ended_reason = $3, updated_at = $1
		WHERE tenant_id = $4 AND id = $5 AND active = TRUE AND ended_at IS NULL`, stamp(tx.now), by, reason, a.Tenant, a.ID)
	return tokens, n > 0, err
}
