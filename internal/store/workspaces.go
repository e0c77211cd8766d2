package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

const workspaceColumns = `w.id, w.tenant_id, w.name, w.description, w.models, w.created_at FROM workspaces w`

func scanWorkspace(row scanner) (tenure.Workspace, error) {
	var w tenure.Workspace
	var models string
	err := row.Scan(&w.ID, &w.Tenant, &w.Name, &w.About, &models, into(&w.CreatedAt))
	w.Models = tenure.StoredModels(models)
	return w, err
}

// Workspace reads a workspace of the tenant by its id or, failing that, by its name.
func (r reads) Workspace(ctx context.Context, tenant tenure.TenantID, idOrName string) (tenure.Workspace, error) {
	return one(ctx, r.run, scanWorkspace, `SELECT `+workspaceColumns+`
		WHERE w.tenant_id = $1 AND (w.id = $2 OR w.name = $2) AND w.deleted_at IS NULL ORDER BY w.id = $2 DESC LIMIT 1`, tenant, idOrName)
}

// TenantActive reports whether there is such a tenant and it is active.
func (r reads) TenantActive(ctx context.Context, tenant tenure.TenantID) (bool, error) {
	active, err := one(ctx, r.run, scalar[bool], `SELECT active FROM tenants WHERE id = $1`, tenant)
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	return active, err
}

// RoleIn gives a person's role in a workspace, the highest of those that they
// have themselves and through groups, or "" without one.
func (r reads) RoleIn(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID) (tenure.Role, error) {
	rank, err := one(ctx, r.run, scalar[int],
		`SELECT COALESCE(MIN(rank), 0) FROM workspace_roles WHERE tenant_id = $1 AND workspace_id = $2 AND user_id = $3`, tenant, ws, user)
	return roleOfRank(rank), err
}

// SetMembership makes a person a member of a workspace, or changes their role there.
func (tx *Tx) SetMembership(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID, role tenure.Role) error {
	_, err := tx.exec(ctx, `INSERT INTO memberships (tenant_id, workspace_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (workspace_id, user_id) DO UPDATE SET role = excluded.role`, tenant, ws, user, role, stamp(tx.now))
	return err
}
