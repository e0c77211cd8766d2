package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

const workspaceColumns = `w.id, w.tenant_id, w.name, w.description, w.models, w.outage_grace_seconds, w.exception_id, ` + heldColumns + `,
	COALESCE((SELECT value FROM policies WHERE tenant_id = w.tenant_id AND key = 'best_effort_max'), ''), w.created_at
	FROM workspaces w LEFT JOIN exceptions x ON x.id = w.exception_id AND x.tenant_id = w.tenant_id`

// scanWorkspace reads workspaceColumns, and what more was asked for before them.
func scanWorkspace(row scanner, before ...any) (tenure.Workspace, error) {
	var w tenure.Workspace
	var models, most string
	var grace int64
	var on held
	dest := append(append(before, &w.ID, &w.Tenant, &w.Name, &w.About, &models, &grace, &w.Exception), on.dest()...)
	err := row.Scan(append(dest, &most, into(&w.CreatedAt))...)
	w.ExceptionFrom, w.ExceptionEnds, _ = on.lets(tenure.Deviation{Tenant: w.Tenant, Workspace: w.ID}, tenure.RuleBestEffort)
	w.Models = tenure.StoredModels(models)
	w.OutageGrace, w.GraceMax = seconds(grace), graceMax(most)
	return w, err
}

// seconds is a length of time that is stored as a number, as far as it is a sensible one.
func seconds(n int64) time.Duration {
	return time.Duration(max(0, min(n, int64(tenure.MaxOutageGrace/time.Second)))) * time.Second
}

// graceMax is the value of the policy best_effort_max. One that cannot be read is
// the default.
func graceMax(policy string) time.Duration {
	p := tenure.DefaultPolicy()
	if policy != "" {
		_ = p.Set("best_effort_max", policy)
	}
	return p.BestEffortMax
}

// Workspace reads a workspace of the tenant by its id or, failing that, by its name.
func (r reads) Workspace(ctx context.Context, tenant tenure.TenantID, idOrName string) (tenure.Workspace, error) {
	return one(ctx, r.run, func(row scanner) (tenure.Workspace, error) { return scanWorkspace(row) }, `SELECT `+workspaceColumns+`
		WHERE w.tenant_id = $1 AND (w.id = $2 OR w.name = $2) AND w.deleted_at IS NULL ORDER BY w.id = $2 DESC LIMIT 1`, tenant, idOrName)
}

// WorkspaceFilter chooses workspaces of one tenant that are not deleted.
type WorkspaceFilter struct {
	Tenant tenure.TenantID
	// User chooses those in which this person has a role; "" chooses all. Role is
	// of this person, or of Viewpoint where all are chosen.
	User      tenure.UserID
	Viewpoint tenure.UserID
	Part      string             // in the name or the description
	After     tenure.WorkspaceID // those made after this one: the cursor
	Limit     int
}

// A WorkspaceRole is a workspace and what somebody is in it.
type WorkspaceRole struct {
	tenure.Workspace
	Role tenure.Role // "": none
}

// Workspaces lists workspaces in the order of their ids, which is that of their making.
func (r reads) Workspaces(ctx context.Context, f WorkspaceFilter) ([]WorkspaceRole, error) {
	var w where
	who := f.User
	if who == "" {
		who = f.Viewpoint
	}
	roles := ` LEFT JOIN (SELECT workspace_id, MIN(rank) AS rank FROM workspace_roles WHERE tenant_id = ` + w.arg(f.Tenant) +
		` AND user_id = ` + w.arg(who) + ` GROUP BY workspace_id) r ON r.workspace_id = w.id`
	w.and(`w.tenant_id = ?`, f.Tenant)
	w.and(`w.deleted_at IS NULL`)
	if f.User != "" {
		w.and(`r.rank IS NOT NULL`)
	}
	if f.Part != "" {
		w.part(f.Part, "w.name", "w.description")
	}
	if f.After != "" {
		w.and(`w.id > ?`, f.After)
	}
	limit := w.arg(f.Limit)
	return many(ctx, r.run, func(row scanner) (WorkspaceRole, error) {
		var rank int
		w, err := scanWorkspace(row, &rank)
		return WorkspaceRole{w, roleOfRank(rank)}, err
	}, `SELECT COALESCE(r.rank, 0), `+workspaceColumns+roles+w.String()+` ORDER BY w.id LIMIT `+limit, w.args...)
}

// WorkspaceCounts tell how much is in a workspace.
type WorkspaceCounts struct {
	Members   int // people, by themselves and through groups
	Groups    int // that mean something there
	Tokens    int // that live
	Accounts  int // service accounts that have not ended
	Providers int
}

// CountWorkspace counts what is in a workspace at now.
func (r reads) CountWorkspace(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, now time.Time) (WorkspaceCounts, error) {
	return one(ctx, r.run, func(row scanner) (WorkspaceCounts, error) {
		var c WorkspaceCounts
		err := row.Scan(&c.Members, &c.Groups, &c.Tokens, &c.Accounts, &c.Providers)
		return c, err
	}, `SELECT
		(SELECT COUNT(DISTINCT x.user_id) FROM workspace_roles x JOIN users u ON u.id = x.user_id AND u.deleted_at IS NULL
			WHERE x.tenant_id = $1 AND x.workspace_id = $2),
		(SELECT COUNT(*) FROM workspace_groups WHERE tenant_id = $1 AND workspace_id = $2),
		(SELECT COUNT(*) FROM api_tokens t WHERE t.tenant_id = $1 AND t.workspace_id = $2 AND `+tokenLives("$3", "$4")+`),
		(SELECT COUNT(*) FROM service_accounts WHERE tenant_id = $1 AND workspace_id = $2 AND active = TRUE AND ended_at IS NULL),
		(SELECT COUNT(*) FROM provider_credentials WHERE tenant_id = $1 AND workspace_id = $2)`, tenant, ws, stamp(now), longestBefore(now))
}

// InsertWorkspace stores a new workspace. Conflict: the name is taken.
// Whoever has looked at the names of the tenant before decides alone by them.
func (tx *Tx) InsertWorkspace(ctx context.Context, w tenure.Workspace) error {
	if err := tx.alone(ctx, "workspaces", w.Tenant); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO workspaces (id, tenant_id, name, description, models, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		w.ID, w.Tenant, w.Name, w.About, w.Models.String(), stamp(w.CreatedAt))
	return workspaceTaken(err, w.Name)
}

// UpdateWorkspace stores name, description, models and grace of a workspace, with the
// exception of that. Conflict:
// the name is taken. As in InsertWorkspace, nobody else gives a name meanwhile.
func (tx *Tx) UpdateWorkspace(ctx context.Context, w tenure.Workspace) error {
	if err := tx.alone(ctx, "workspaces", w.Tenant); err != nil {
		return err
	}
	err := tx.execOne(ctx, `UPDATE workspaces SET name = $1, description = $2, models = $3, outage_grace_seconds = $4, exception_id = $5
		WHERE tenant_id = $6 AND id = $7 AND deleted_at IS NULL`,
		w.Name, w.About, w.Models.String(), int64(w.OutageGrace/time.Second), w.Exception, w.Tenant, w.ID)
	return workspaceTaken(err, w.Name)
}

func workspaceTaken(err error, name string) error {
	return conflict(err, "name", "a workspace named %q exists already", name)
}

// DeleteWorkspace leaves a tombstone: the name is free again, the id never is. It
// ends the tokens and service accounts of the workspace, forgets its providers
// with their keys, and tells what ended. Memberships and what groups
// mean there go by trigger.
func (tx *Tx) DeleteWorkspace(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, by, reason string) (tenure.Ended, error) {
	var ended tenure.Ended
	var err error
	if ended.Tokens, err = tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3
		WHERE tenant_id = $4 AND workspace_id = $5 AND revoked_at IS NULL`, stamp(tx.now), by, reason, tenant, ws); err != nil {
		return ended, err
	}
	if ended.Accounts, err = many(ctx, tx.run, scalar[tenure.ServiceAccountID],
		`SELECT id FROM service_accounts WHERE tenant_id = $1 AND workspace_id = $2 AND ended_at IS NULL`, tenant, ws); err != nil {
		return ended, err
	}
	if _, err = tx.exec(ctx, `UPDATE service_accounts SET active = FALSE, ended_at = $1, ended_by = $2, ended_reason = $3
		WHERE tenant_id = $4 AND workspace_id = $5 AND ended_at IS NULL`, stamp(tx.now), by, reason, tenant, ws); err != nil {
		return ended, err
	}
	if _, err = tx.exec(ctx, `DELETE FROM provider_credentials WHERE tenant_id = $1 AND workspace_id = $2`, tenant, ws); err != nil {
		return ended, err
	}
	return ended, tx.execOne(ctx, `UPDATE workspaces SET deleted_at = $1, name = name || ' (deleted ' || id || ')'
		WHERE tenant_id = $2 AND id = $3 AND deleted_at IS NULL`, stamp(tx.now), tenant, ws)
}
