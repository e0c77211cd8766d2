package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A PolicyRow is one key that a tenant has set.
type PolicyRow struct {
	Key, Value string
	UpdatedAt  time.Time
	UpdatedBy  string
}

// PolicyRows lists what a tenant has set, in the order of the keys.
func (r reads) PolicyRows(ctx context.Context, tenant tenure.TenantID) ([]PolicyRow, error) {
	return many(ctx, r.run, func(row scanner) (PolicyRow, error) {
		var p PolicyRow
		err := row.Scan(&p.Key, &p.Value, into(&p.UpdatedAt), &p.UpdatedBy)
		return p, err
	}, `SELECT key, value, updated_at, updated_by FROM policies WHERE tenant_id = $1 ORDER BY key`, tenant)
}

// Policy reads a tenant's policy. A value that a hand wrote and nobody can read
// counts as Policy.Stored says.
func (r reads) Policy(ctx context.Context, tenant tenure.TenantID) (tenure.Policy, error) {
	p := tenure.PolicyOf(tenant)
	rows, err := r.PolicyRows(quick(ctx), tenant)
	for _, row := range rows {
		_ = p.Stored(row.Key, row.Value)
	}
	return p, err
}

// SetPolicy stores one key of a tenant's policy.
func (tx *Tx) SetPolicy(ctx context.Context, tenant tenure.TenantID, key, value, by string) error {
	_, err := tx.exec(ctx, `INSERT INTO policies (tenant_id, key, value, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
		tenant, key, value, stamp(tx.now), by)
	return err
}

// UnsetPolicy makes one key of a tenant's policy what it is by default.
func (tx *Tx) UnsetPolicy(ctx context.Context, tenant tenure.TenantID, key string) error {
	_, err := tx.exec(ctx, `DELETE FROM policies WHERE tenant_id = $1 AND key = $2`, tenant, key)
	return err
}
