package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

// UsedModel is what was used of a provider's model, with what it cost.
type UsedModel struct {
	Provider, Model string // by their names
	Requests        int64
	Use             tenure.ModelUse
	Spend           int64 // in millionths, of those that had a price
	Unpriced        int64 // of the requests, those that had none
}

// UsedModels sums up what a tenant used since a day by provider and model, what asked
// most tokens first, at most so many.
func (r reads) UsedModels(ctx context.Context, tenant tenure.TenantID, since int64, limit int) ([]UsedModel, error) {
	return many(ctx, r.run, func(row scanner) (UsedModel, error) {
		var u UsedModel
		err := row.Scan(&u.Provider, &u.Model, sum{&u.Requests}, sum{&u.Use.Input}, sum{&u.Use.CacheReads}, sum{&u.Use.CacheWrites}, sum{&u.Use.Output}, sum{&u.Spend}, sum{&u.Unpriced})
		return u, err
	}, `SELECT provider, model, `+sumOf(`requests`)+`, `+sumOf(`input`)+`, `+sumOf(`cache_reads`)+`, `+sumOf(`cache_writes`)+`, `+sumOf(`output`)+`, `+sumOf(`spend`)+`, `+sumOf(`unpriced`)+`
		FROM model_usage WHERE tenant_id = $1 AND day >= $2 GROUP BY provider, model ORDER BY `+sumOf(`input`)+` + `+sumOf(`output`)+` DESC, provider, model LIMIT $3`, tenant, since, limit)
}

// PricesInForce gives of each pattern that a tenant's prices or those of all have the day
// from which the one counts that is in force on a day.
func (r reads) PricesInForce(ctx context.Context, tenant tenure.TenantID, on int64) ([]tenure.ModelPrice, error) {
	return many(ctx, r.run, func(row scanner) (tenure.ModelPrice, error) {
		var p tenure.ModelPrice
		var from int64
		err := row.Scan(&p.Tenant, &p.Pattern, &from)
		p.From = DayTime(from)
		return p, err
	}, `SELECT tenant_id, pattern, MAX(from_day) FROM model_prices WHERE tenant_id IN ($1, '') AND from_day <= $2 GROUP BY tenant_id, pattern`, tenant, on)
}
