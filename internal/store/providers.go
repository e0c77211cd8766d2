package store

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/tenure-gateway/tenure"
)

const providerColumns = `p.id, p.tenant_id, p.workspace_id, p.name, p.kind, p.base_url, COALESCE((SELECT k.key_last4 FROM provider_keys k
	WHERE k.provider_id = p.id AND k.state = 'active' ORDER BY k.position, k.name LIMIT 1), ''), COALESCE((SELECT k.reference FROM provider_keys k
	WHERE k.provider_id = p.id AND k.state = 'active' ORDER BY k.position, k.name LIMIT 1), ''), p.headers, p.created_by_user, p.created_by, p.created_at, p.updated_at,
	(SELECT MAX(k.last_used_at) FROM provider_keys k WHERE k.provider_id = p.id), p.exception_id, ` + heldColumns + `
	FROM provider_credentials p LEFT JOIN exceptions x ON x.id = p.exception_id AND x.tenant_id = p.tenant_id`

func scanProvider(row scanner) (tenure.Provider, error) {
	var p tenure.Provider
	var headers string
	var on held
	err := row.Scan(append([]any{
		&p.ID, &p.Tenant, &p.Workspace, &p.Name, &p.Kind, &p.BaseURL, &p.Last4, &p.Reference, &headers, &p.MadeBy, &p.CreatedBy,
		into(&p.CreatedAt), into(&p.UpdatedAt), into(&p.LastUsedAt), &p.Exception,
	}, on.dest()...)...)
	p.Headers = readHeaders(headers)
	p.ExceptionFrom, p.ExceptionUntil, _ = on.lets(tenure.Deviation{Tenant: p.Tenant, Workspace: p.Workspace, Provider: p.ID}, tenure.RuleProviderNetwork)
	return p, err
}

// readHeaders reads the headers of a provider, by name. What somebody wrote by hand that
// is no JSON object of texts is one header without a name, which nobody takes for good.
func readHeaders(text string) []tenure.ProviderHeader {
	if text == "" {
		return nil
	}
	var byName map[string]string
	if err := json.Unmarshal([]byte(text), &byName); err != nil {
		return []tenure.ProviderHeader{{Value: text}}
	}
	out := make([]tenure.ProviderHeader, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, tenure.ProviderHeader{Name: name, Value: byName[name]})
	}
	return out
}

// headersText is what readHeaders reads.
func headersText(headers []tenure.ProviderHeader) (string, error) {
	if len(headers) == 0 {
		return "", nil
	}
	text, err := json.Marshal(tenure.Provider{Headers: headers}.HeadersByName())
	return string(text), err
}

// Providers lists the providers of a workspace, by name.
func (r reads) Providers(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID) ([]tenure.Provider, error) {
	return many(quick(ctx), r.run, scanProvider, `SELECT `+providerColumns+`
		WHERE p.tenant_id = $1 AND p.workspace_id = $2 ORDER BY p.name`, tenant, ws)
}

// AllProviders lists the providers of a tenant in the order of their making, those
// after one: the cursor.
func (r reads) AllProviders(ctx context.Context, tenant tenure.TenantID, after tenure.ProviderID, limit int) ([]tenure.Provider, error) {
	return many(ctx, r.run, scanProvider, `SELECT `+providerColumns+`
		WHERE p.tenant_id = $1 AND p.id > $2 ORDER BY p.id LIMIT $3`, tenant, after, limit)
}

// ProvidersWithHeaders lists those of all tenants that get headers of their own.
func (r reads) ProvidersWithHeaders(ctx context.Context) ([]tenure.Provider, error) {
	return many(ctx, r.run, scanProvider, `SELECT `+providerColumns+` WHERE p.headers <> '' ORDER BY p.id`)
}

// Provider reads one provider of the tenant by id.
func (r reads) Provider(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) (tenure.Provider, error) {
	return one(ctx, r.run, scanProvider, `SELECT `+providerColumns+`
		WHERE p.tenant_id = $1 AND p.id = $2`, tenant, id)
}

// InsertProvider stores a new provider. Conflict: the name is taken in the workspace.
func (tx *Tx) InsertProvider(ctx context.Context, p tenure.Provider) error {
	headers, err := headersText(p.Headers)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO provider_credentials (id, tenant_id, workspace_id, name, kind, base_url, headers, created_by_user, created_by, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		p.ID, p.Tenant, p.Workspace, p.Name, p.Kind, p.BaseURL, headers, p.MadeBy, p.CreatedBy, stamp(p.CreatedAt), stamp(p.UpdatedAt))
	return conflict(err, "name", "a provider named %q exists already in this workspace", p.Name)
}

// SetProviderHeaders has a provider get other headers, and no more those that it gets.
func (tx *Tx) SetProviderHeaders(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID, headers []tenure.ProviderHeader) error {
	text, err := headersText(headers)
	if err != nil {
		return err
	}
	return tx.execOne(ctx, `UPDATE provider_credentials SET headers = $1, updated_at = $2 WHERE tenant_id = $3 AND id = $4`, text, stamp(tx.now), tenant, id)
}

// SetProviderException has a provider hang on an exception, or on none ("").
func (tx *Tx) SetProviderException(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID, on tenure.ExceptionID) error {
	return tx.execOne(ctx, `UPDATE provider_credentials SET exception_id = $1, updated_at = $2 WHERE tenant_id = $3 AND id = $4`, on, stamp(tx.now), tenant, id)
}

// RenameProvider gives a provider another name. Conflict: it is taken in the workspace.
func (tx *Tx) RenameProvider(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID, name string) error {
	err := tx.execOne(ctx, `UPDATE provider_credentials SET name = $1, updated_at = $2 WHERE tenant_id = $3 AND id = $4`, name, stamp(tx.now), tenant, id)
	return conflict(err, "name", "a provider named %q exists already in this workspace", name)
}

// DeleteProvider removes a provider, and by trigger its keys.
func (tx *Tx) DeleteProvider(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) error {
	return tx.execOne(ctx, `DELETE FROM provider_credentials WHERE tenant_id = $1 AND id = $2`, tenant, id)
}
