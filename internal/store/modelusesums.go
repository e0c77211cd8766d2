package store

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
)

// sumOf adds figures up that any provider may have made as large as it likes: what a
// whole number cannot hold would be an error for everybody whose figures are read
// together. Up to 2^53 it is exact; beyond mostSum it is mostSum.
func sumOf(column string) string { return `SUM(CAST(` + column + ` AS DOUBLE PRECISION))` }

// sum scans what sumOf gives.
type sum struct{ to *int64 }

const mostSum = 1 << 61

// Scan implements sql.Scanner.
func (s sum) Scan(v any) error {
	switch v := v.(type) {
	case float64:
		*s.to = int64(min(v, mostSum))
	case nil:
		*s.to = 0
	default:
		return fmt.Errorf("a sum is a %T", v)
	}
	return nil
}

// ModelUseFilter chooses what is summed up of a tenant's use of models.
type ModelUseFilter struct {
	Tenant   tenure.TenantID
	From, To time.Time     // days, both included
	User     tenure.UserID // "": of everybody
	By       string        // tenure.UseByDay, …
}

// by says what each row of a sum is of, and its name. People and service accounts
// have ids of one kind, so that either may stand in a column.
var useBy = map[string][2]string{
	tenure.UseByDay:      {`m.day`, `''`},
	tenure.UseByModel:    {`m.model`, `m.model`},
	tenure.UseByProvider: {`m.provider_id`, `MAX(m.provider)`},
	tenure.UseByKey: {`m.key_id`, `COALESCE((SELECT p.name || ' ' || k.name || ' v' || k.version FROM provider_keys k JOIN provider_credentials p ON p.id = k.provider_id
		WHERE k.id = m.key_id AND p.tenant_id = m.tenant_id), '')`},
	tenure.UseByWorkspace: {`m.workspace_id`, `COALESCE((SELECT w.name FROM workspaces w WHERE w.id = m.workspace_id AND w.tenant_id = m.tenant_id), '')`},
	tenure.UseByToken:     {`m.token_id`, `COALESCE((SELECT t.name FROM api_tokens t WHERE t.id = m.token_id AND t.tenant_id = m.tenant_id), '')`},
	tenure.UseByUser: {`m.user_id || m.service_account_id`, `COALESCE((SELECT u.user_name FROM users u WHERE u.id = m.user_id || m.service_account_id AND u.tenant_id = m.tenant_id),
		(SELECT a.name FROM service_accounts a WHERE a.id = m.user_id || m.service_account_id AND a.tenant_id = m.tenant_id), '')`},
}

// ModelUses sums up what models used, by the day from the earliest, by anything
// else from what asked most tokens. Invalid: there is no such sum.
func (r reads) ModelUses(ctx context.Context, f ModelUseFilter) ([]tenure.ModelUses, error) {
	by, ok := useBy[f.By]
	if !ok {
		return nil, tenure.InvalidField("by", "expected day, workspace, user, token, provider, key or model")
	}
	group := by[0]
	if f.By == tenure.UseByUser {
		group = `m.user_id, m.service_account_id` // of which one is ''
	}
	var w where
	w.and(`m.tenant_id = ?`, f.Tenant)
	w.and(`m.day >= ?`, day(f.From))
	w.and(`m.day <= ?`, day(f.To))
	if f.User != "" {
		w.and(`m.user_id = ?`, f.User)
	}
	order := sumOf(`m.input`) + ` + ` + sumOf(`m.output`) + ` DESC, 1`
	if f.By == tenure.UseByDay {
		order = `1`
	}
	return many(ctx, r.run, func(row scanner) (tenure.ModelUses, error) {
		var u tenure.ModelUses
		var days int64
		id := any(&u.ID)
		if f.By == tenure.UseByDay {
			id = &days
		}
		err := row.Scan(id, &u.Name, sum{&u.Requests}, sum{&u.Input}, sum{&u.CacheReads}, sum{&u.CacheWrites}, sum{&u.Output}, sum{&u.Spend}, sum{&u.Unpriced}, into(&u.LastAt))
		if f.By == tenure.UseByDay {
			u.ID = time.Unix(days*24*60*60, 0).UTC().Format(time.DateOnly)
			u.Name = u.ID
		}
		return u, err
	}, `SELECT `+by[0]+`, `+by[1]+`, `+sumOf(`m.requests`)+`, `+sumOf(`m.input`)+`, `+sumOf(`m.cache_reads`)+`, `+sumOf(`m.cache_writes`)+`, `+sumOf(`m.output`)+`, `+sumOf(`m.spend`)+`, `+sumOf(`m.unpriced`)+`, MAX(m.last_at)
		FROM model_usage m`+w.String()+` GROUP BY m.tenant_id, `+group+` ORDER BY `+order, w.args...)
}
