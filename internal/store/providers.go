package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

const providerColumns = `p.id, p.tenant_id, p.workspace_id, p.name, p.kind, p.base_url, COALESCE((SELECT k.key_last4 FROM provider_keys k
	WHERE k.provider_id = p.id AND k.state = 'active' ORDER BY k.position, k.name LIMIT 1), ''), COALESCE((SELECT k.reference FROM provider_keys k
	WHERE k.provider_id = p.id AND k.state = 'active' ORDER BY k.position, k.name LIMIT 1), ''), p.created_by_user, p.created_by, p.created_at, p.updated_at,
	(SELECT MAX(k.last_used_at) FROM provider_keys k WHERE k.provider_id = p.id)`

func scanProvider(row scanner) (tenure.Provider, error) {
	var p tenure.Provider
	err := row.Scan(&p.ID, &p.Tenant, &p.Workspace, &p.Name, &p.Kind, &p.BaseURL, &p.Last4, &p.Reference, &p.MadeBy, &p.CreatedBy, into(&p.CreatedAt), into(&p.UpdatedAt), into(&p.LastUsedAt))
	return p, err
}

// Providers lists the providers of a workspace, by name.
func (r reads) Providers(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID) ([]tenure.Provider, error) {
	return many(quick(ctx), r.run, scanProvider, `SELECT `+providerColumns+` FROM provider_credentials p
		WHERE p.tenant_id = $1 AND p.workspace_id = $2 ORDER BY p.name`, tenant, ws)
}

// AllProviders lists the providers of a tenant in the order of their making, those
// after one: the cursor.
func (r reads) AllProviders(ctx context.Context, tenant tenure.TenantID, after tenure.ProviderID, limit int) ([]tenure.Provider, error) {
	return many(ctx, r.run, scanProvider, `SELECT `+providerColumns+` FROM provider_credentials p
		WHERE p.tenant_id = $1 AND p.id > $2 ORDER BY p.id LIMIT $3`, tenant, after, limit)
}

// Provider reads one provider of the tenant by id.
func (r reads) Provider(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) (tenure.Provider, error) {
	return one(ctx, r.run, scanProvider, `SELECT `+providerColumns+` FROM provider_credentials p
		WHERE p.tenant_id = $1 AND p.id = $2`, tenant, id)
}

// InsertProvider stores a new provider. Conflict: the name is taken in the workspace.
func (tx *Tx) InsertProvider(ctx context.Context, p tenure.Provider) error {
	_, err := tx.exec(ctx, `INSERT INTO provider_credentials (id, tenant_id, workspace_id, name, kind, base_url, created_by_user, created_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		p.ID, p.Tenant, p.Workspace, p.Name, p.Kind, p.BaseURL, p.MadeBy, p.CreatedBy, stamp(p.CreatedAt), stamp(p.UpdatedAt))
	return conflict(err, "name", "a provider named %q exists already in this workspace", p.Name)
}

// DeleteProvider removes a provider, and by trigger its keys.
func (tx *Tx) DeleteProvider(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) error {
	return tx.execOne(ctx, `DELETE FROM provider_credentials WHERE tenant_id = $1 AND id = $2`, tenant, id)
}
