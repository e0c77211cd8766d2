package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
)

// touchKeys notes of each key with which the rows were asked who used it last. It goes by
// the keys' ids, and after the rows: of two replicas that write at once, none waits for
// the other in a circle.
func touchKeys(ctx context.Context, tx *Tx, rows []*modelRow) error {
	last := make(map[tenure.KeyID]*modelRow)
	for _, r := range rows {
		if was := last[r.key]; r.key != "" && (was == nil || was.last <= r.last) {
			last[r.key] = r
		}
	}
	for _, r := range slices.SortedFunc(maps.Values(last), func(x, y *modelRow) int { return cmp.Compare(x.key, y.key) }) {
		_, err := tx.exec(ctx, `UPDATE provider_keys SET last_used_at = $1, last_used_user = $2, last_used_account = $3, last_used_token = $4
			WHERE id = $5 AND (last_used_at IS NULL OR last_used_at <= $1)`, stamp(time.Unix(r.last, 0)), r.user, r.account, r.token, r.key)
		if err != nil {
			return err
		}
	}
	return nil
}

// KeyUses tells of each version of a provider's keys who used it last, and what was used
// with it from one day to another, both included.
func (r reads) KeyUses(ctx context.Context, tenant tenure.TenantID, provider tenure.ProviderID, from, to time.Time) ([]tenure.KeyUse, error) {
	return many(ctx, r.run, func(row scanner) (tenure.KeyUse, error) {
		var u tenure.KeyUse
		err := row.Scan(&u.Key, into(&u.LastAt), &u.User, &u.Account, &u.Token, &u.Who, &u.TokenName,
			sum{&u.Requests}, sum{&u.Input}, sum{&u.CacheReads}, sum{&u.CacheWrites}, sum{&u.Output}, sum{&u.Spend}, sum{&u.Unpriced})
		return u, err
	}, `SELECT k.id, k.last_used_at, k.last_used_user, k.last_used_account, k.last_used_token,
			COALESCE((SELECT u.user_name FROM users u WHERE u.id = k.last_used_user AND u.tenant_id = p.tenant_id),
				(SELECT a.name FROM service_accounts a WHERE a.id = k.last_used_account AND a.tenant_id = p.tenant_id), ''),
			COALESCE((SELECT t.name FROM api_tokens t WHERE t.id = k.last_used_token AND t.tenant_id = p.tenant_id), ''),
			COALESCE(m.requests, 0.0), COALESCE(m.input, 0.0), COALESCE(m.cache_reads, 0.0), COALESCE(m.cache_writes, 0.0), COALESCE(m.output, 0.0),
			COALESCE(m.spend, 0.0), COALESCE(m.unpriced, 0.0)
		FROM provider_keys k JOIN provider_credentials p ON p.id = k.provider_id
		LEFT JOIN (SELECT key_id, `+sumOf(`requests`)+` AS requests, `+sumOf(`input`)+` AS input, `+sumOf(`cache_reads`)+` AS cache_reads, `+sumOf(`cache_writes`)+` AS cache_writes,
			`+sumOf(`output`)+` AS output, `+sumOf(`spend`)+` AS spend, `+sumOf(`unpriced`)+` AS unpriced FROM model_usage
			WHERE tenant_id = $1 AND day >= $2 AND day <= $3 AND provider_id = $4 GROUP BY key_id) m ON m.key_id = k.id
		WHERE p.tenant_id = $1 AND p.id = $4 ORDER BY k.position, k.name, k.version DESC`, tenant, day(from), day(to), provider)
}
