package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

func scanWorkspace(row scanner) (tenure.Workspace, error) {
	var w tenure.Workspace
	err := row.Scan(&w.ID, &w.Tenant, &w.Name, into(&w.CreatedAt))
	return w, err
}

// Workspace reads a workspace of the tenant by its id or, failing that, by its name.
func (r reads) Workspace(ctx context.Context, tenant tenure.TenantID, idOrName string) (tenure.Workspace, error) {
	return one(ctx, r.run, scanWorkspace, `SELECT id, tenant_id, name, created_at FROM workspaces
		WHERE tenant_id = $1 AND (id = $2 OR name = $2) ORDER BY id = $2 DESC LIMIT 1`, tenant, idOrName)
}

// TenantActive reports whether there is such a tenant and it is active.
func (r reads) TenantActive(ctx context.Context, tenant tenure.TenantID) (bool, error) {
	active, err := one(ctx, r.run, scalar[bool], `SELECT active FROM tenants WHERE id = $1`, tenant)
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	return active, err
}

// MembershipOf gives a person's role in a workspace, or "" without one.
func (r reads) MembershipOf(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID) (tenure.Role, error) {
	role, err := one(ctx, r.run, scalar[tenure.Role],
		`SELECT role FROM memberships WHERE tenant_id = $1 AND workspace_id = $2 AND user_id = $3`, tenant, ws, user)
	if tenure.IsKind(err, tenure.NotFound) {
		return "", nil
	}
	return role, err
}

// SetMembership makes a person a member of a workspace, or changes their role there.
func (tx *Tx) SetMembership(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID, role tenure.Role) error {
	_, err := tx.exec(ctx, `INSERT INTO memberships (tenant_id, workspace_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (workspace_id, user_id) DO UPDATE SET role = excluded.role`, tenant, ws, user, role, stamp(tx.now))
	return err
}
