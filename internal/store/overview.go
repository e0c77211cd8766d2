package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Overview counts who has access in a tenant at now: tokens that live, by whom.
// Tokens that were not used since unused, and those that end before soon, are
// counted beside.
func (r reads) Overview(ctx context.Context, tenant tenure.TenantID, now, unused, soon time.Time) (tenure.Overview, error) {
	return one(ctx, r.run, func(row scanner) (tenure.Overview, error) {
		var o tenure.Overview
		err := row.Scan(&o.People, &o.Accounts, &o.Tokens, &o.Unused, &o.Ending, &o.Orphans)
		return o, err
	}, `SELECT COUNT(DISTINCT CASE WHEN t.kind = 'pat' THEN t.user_id END), COUNT(DISTINCT CASE WHEN t.kind = 'svc' THEN t.service_account_id END),
		COUNT(*), COALESCE(SUM(CASE WHEN COALESCE(t.last_used_at, t.created_at) < $1 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN t.expires_at < $2 THEN 1 ELSE 0 END), 0),
		(SELECT COUNT(*) FROM service_accounts WHERE tenant_id = $3 AND active = 1 AND orphaned_at IS NOT NULL)
		FROM api_tokens t
		LEFT JOIN users u ON u.id = t.user_id AND u.tenant_id = t.tenant_id AND u.active = 1 AND u.deleted_at IS NULL
		LEFT JOIN service_accounts a ON a.id = t.service_account_id AND a.tenant_id = t.tenant_id AND a.active = 1
		WHERE t.tenant_id = $3 AND t.kind IN ('pat', 'svc') AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $4)
		AND (u.id IS NOT NULL OR a.id IS NOT NULL)`,
		stamp(unused), stamp(soon), tenant, stamp(now))
}
