package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

const providerColumns = `id, tenant_id, workspace_id, name, kind, base_url, key_last4, key_version, created_by_user, created_by, created_at, updated_at`

func scanProvider(row scanner) (tenure.Provider, error) {
	var p tenure.Provider
	err := row.Scan(&p.ID, &p.Tenant, &p.Workspace, &p.Name, &p.Kind, &p.BaseURL, &p.Last4, &p.Version, &p.MadeBy, &p.CreatedBy, into(&p.CreatedAt), into(&p.UpdatedAt))
	return p, err
}

// Providers lists the providers of a workspace, by name.
func (r reads) Providers(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID) ([]tenure.Provider, error) {
	return many(quick(ctx), r.run, scanProvider, `SELECT `+providerColumns+` FROM provider_credentials
		WHERE tenant_id = $1 AND workspace_id = $2 ORDER BY name`, tenant, ws)
}

// AllProviders lists the providers of a tenant in the order of their making, those
// after one: the cursor.
func (r reads) AllProviders(ctx context.Context, tenant tenure.TenantID, after tenure.ProviderID, limit int) ([]tenure.Provider, error) {
	return many(ctx, r.run, scanProvider, `SELECT `+providerColumns+` FROM provider_credentials
		WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

// Provider reads one provider of the tenant by id.
func (r reads) Provider(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) (tenure.Provider, error) {
	return one(ctx, r.run, scanProvider, `SELECT `+providerColumns+` FROM provider_credentials
		WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// SealedKey reads a provider together with its key, as stored.
func (r reads) SealedKey(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) (tenure.Provider, SealedKey, error) {
	var k SealedKey
	p, err := one(quick(ctx), r.run, func(row scanner) (tenure.Provider, error) {
		var p tenure.Provider
		err := row.Scan(&p.ID, &p.Tenant, &p.Workspace, &p.Name, &p.Kind, &p.BaseURL, &p.Last4, &p.Version,
			&p.MadeBy, &p.CreatedBy, into(&p.CreatedAt), into(&p.UpdatedAt), &k.Sealed, &k.DataKey, &k.KEK, &k.Form)
		return p, err
	}, `SELECT `+providerColumns+`, key_sealed, data_key, kek, form FROM provider_credentials WHERE tenant_id = $1 AND id = $2`, tenant, id)
	return p, k, err
}

// InsertProvider stores a new provider. Conflict: the name is taken in the workspace.
func (tx *Tx) InsertProvider(ctx context.Context, p tenure.Provider, k SealedKey) error {
	_, err := tx.exec(ctx, `INSERT INTO provider_credentials (`+providerColumns+`, key_sealed, data_key, kek, form)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		p.ID, p.Tenant, p.Workspace, p.Name, p.Kind, p.BaseURL, p.Last4, p.Version, p.MadeBy, p.CreatedBy, stamp(p.CreatedAt), stamp(p.UpdatedAt), k.Sealed, k.DataKey, k.KEK, k.Form)
	return conflict(err, "name", "a provider named %q exists already in this workspace", p.Name)
}

// DeleteProvider removes a provider and its key.
func (tx *Tx) DeleteProvider(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) error {
	return tx.execOne(ctx, `DELETE FROM provider_credentials WHERE tenant_id = $1 AND id = $2`, tenant, id)
}
