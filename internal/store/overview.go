package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Overview counts who has access in a tenant at now: tokens that live, by whom and
// of what age. Tokens that were not used since unused, and those that end before
// soon, are counted beside.
func (r reads) Overview(ctx context.Context, tenant tenure.TenantID, now, unused, soon time.Time) (tenure.Overview, error) {
	var since [len(tenure.TokenAges)]any
	for i, age := range tenure.TokenAges {
		since[i] = stamp(now.Add(-age))
	}
	o, err := one(ctx, r.run, func(row scanner) (tenure.Overview, error) {
		var o tenure.Overview
		err := row.Scan(&o.People, &o.Accounts, &o.Tokens, &o.Unused, &o.Ending, &o.Ages[0], &o.Ages[1], &o.Ages[2], &o.Ages[3], &o.Ages[4])
		return o, err
	}, `SELECT COUNT(DISTINCT CASE WHEN t.kind = 'pat' THEN t.user_id END), COUNT(DISTINCT CASE WHEN t.kind = 'svc' THEN t.service_account_id END),
		COUNT(*), COALESCE(SUM(CASE WHEN COALESCE(t.last_used_at, t.created_at) < $1 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN t.expires_at < $2 OR x.expires_at < $2 OR x.begins_at < $11 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN t.created_at > $5 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN t.created_at > $6 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN t.created_at > $7 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN t.created_at > $8 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN t.created_at > $9 THEN 1 ELSE 0 END), 0)
		FROM api_tokens t
		LEFT JOIN users u ON u.id = t.user_id AND u.tenant_id = t.tenant_id AND u.active = TRUE AND u.deleted_at IS NULL
		LEFT JOIN service_accounts a ON a.id = t.service_account_id AND a.tenant_id = t.tenant_id AND a.active = TRUE
		LEFT JOIN exceptions x ON x.id = t.exception_id AND x.tenant_id = t.tenant_id
		WHERE t.tenant_id = $3 AND t.kind IN ('pat', 'svc') AND `+tokenLives("$4", "$10")+`
		AND (u.id IS NOT NULL OR a.id IS NOT NULL)`,
		stamp(unused), stamp(soon), tenant, stamp(now), since[0], since[1], since[2], since[3], since[4], longestBefore(now), longestBefore(soon))
	if err != nil {
		return o, err
	}
	o.Ages[len(since)] = o.Tokens
	for i := len(since); i > 0; i-- { // what was counted holds the younger ones too
		o.Ages[i] -= o.Ages[i-1]
	}
	_, err = one(ctx, r.run, func(row scanner) (struct{}, error) {
		return struct{}{}, row.Scan(&o.Orphans, &o.Drifting, &o.SCIM, &o.Alerts)
	}, `SELECT (SELECT COUNT(*) FROM service_accounts WHERE tenant_id = $1 AND active = TRUE AND orphaned_at IS NOT NULL),
		(SELECT COUNT(*) FROM users WHERE tenant_id = $1 AND active = TRUE AND deleted_at IS NULL AND source = 'proxy'),
		(SELECT COUNT(*) FROM users WHERE tenant_id = $1 AND active = TRUE AND deleted_at IS NULL AND source = 'scim'),
		(SELECT COUNT(*) FROM notices WHERE tenant_id = $1 AND severity = 'alert' AND read_at IS NULL)`, tenant)
	return o, err
}

// Facts are what is known of the database itself.
type Facts struct {
	Engine  string // with its version
	Bytes   int64  // of its files
	Journal string // how what was committed is kept safe
	Schema  int64  // the newest migration that was applied
}
