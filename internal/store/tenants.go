package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

const tenantColumns = `n.id, n.name, n.active, (SELECT count(*) FROM users u WHERE u.tenant_id = n.id AND u.active = TRUE AND u.deleted_at IS NULL),
	n.created_at FROM tenants n`

func scanTenant(row scanner) (tenure.Tenant, error) {
	var t tenure.Tenant
	err := row.Scan(&t.ID, &t.Name, &t.Active, &t.Users, into(&t.CreatedAt))
	return t, err
}

// Tenant reads a tenant by its id or, failing that, by its name, without its users.
func (r reads) Tenant(ctx context.Context, idOrName string) (tenure.Tenant, error) {
	return one(ctx, r.run, scanTenant, `SELECT n.id, n.name, n.active, 0, n.created_at FROM tenants n
		WHERE n.id = $1 OR n.name = $1 ORDER BY n.id = $1 DESC LIMIT 1`, idOrName)
}

// Tenants lists all tenants, the oldest first.
func (r reads) Tenants(ctx context.Context) ([]tenure.Tenant, error) {
	return many(ctx, r.run, scanTenant, `SELECT `+tenantColumns+` ORDER BY n.created_at, n.id`)
}

// TenantActive reports whether there is such a tenant and it is active.
func (r reads) TenantActive(ctx context.Context, tenant tenure.TenantID) (bool, error) {
	active, err := one(quick(ctx), r.run, scalar[bool], `SELECT active FROM tenants WHERE id = $1`, tenant)
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	return active, err
}

// InsertTenant stores a new tenant, without workspaces. Conflict: the name is taken.
func (tx *Tx) InsertTenant(ctx context.Context, t tenure.Tenant) error {
	_, err := tx.exec(ctx, `INSERT INTO tenants (id, name, active, created_at) VALUES ($1, $2, $3, $4)`, t.ID, t.Name, t.Active, stamp(t.CreatedAt))
	return conflict(err, "name", "a tenant named %q exists already", t.Name)
}

// SetTenantActive suspends a tenant or ends its suspension.
func (tx *Tx) SetTenantActive(ctx context.Context, tenant tenure.TenantID, active bool) error {
	return tx.execOne(ctx, `UPDATE tenants SET active = $1 WHERE id = $2`, active, tenant)
}
