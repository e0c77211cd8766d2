package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

const priceColumns = `id, tenant_id, pattern, from_day, input, cache_read, cache_write, output, created_by, created_at FROM model_prices`

func scanPrice(row scanner) (tenure.ModelPrice, error) {
	var p tenure.ModelPrice
	var from int64
	err := row.Scan(&p.ID, &p.Tenant, &p.Pattern, &from, &p.Rates.Input, &p.Rates.CacheRead, &p.Rates.CacheWrite, &p.Rates.Output, &p.CreatedBy, into(&p.CreatedAt))
	p.From = DayTime(from)
	return p, err
}

// Prices lists the prices of a tenant and those of all, in the order of their making.
// ctx must reach everywhere.
func (r reads) Prices(ctx context.Context, tenant tenure.TenantID, after tenure.PriceID, limit int) ([]tenure.ModelPrice, error) {
	return many(ctx, r.run, scanPrice, `SELECT `+priceColumns+` WHERE tenant_id IN ($1, '') AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

// EveryPrice lists the prices of all tenants.
func (r reads) EveryPrice(ctx context.Context) ([]tenure.ModelPrice, error) {
	return many(ctx, r.run, scanPrice, `SELECT `+priceColumns)
}

// Price reads one price. NotFound: there is none.
func (r reads) Price(ctx context.Context, id tenure.PriceID) (tenure.ModelPrice, error) {
	return one(ctx, r.run, scanPrice, `SELECT `+priceColumns+` WHERE id = $1`, id)
}

// SetPrice stores a price, in the place of the one of the same tenant, pattern and day.
func (tx *Tx) SetPrice(ctx context.Context, p tenure.ModelPrice) error {
	_, err := tx.exec(ctx, `INSERT INTO model_prices (id, tenant_id, pattern, from_day, input, cache_read, cache_write, output, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant_id, pattern, from_day) DO UPDATE SET id = excluded.id, input = excluded.input,
		cache_read = excluded.cache_read, cache_write = excluded.cache_write, output = excluded.output, created_by = excluded.created_by, created_at = excluded.created_at`,
		p.ID, p.Tenant, p.Pattern, day(p.From), p.Rates.Input, p.Rates.CacheRead, p.Rates.CacheWrite, p.Rates.Output, p.CreatedBy, stamp(p.CreatedAt))
	return err
}

// DeletePrice removes a price.
func (tx *Tx) DeletePrice(ctx context.Context, id tenure.PriceID) error {
	return tx.execOne(ctx, `DELETE FROM model_prices WHERE id = $1`, id)
}

// PricedUse is a provider's model that was used on a day.
type PricedUse struct {
	Day             int64
	Provider, Model string // by their names
}

// UsedSince lists what a tenant used since a day.
func (r reads) UsedSince(ctx context.Context, tenant tenure.TenantID, since int64) ([]PricedUse, error) {
	return many(ctx, r.run, func(row scanner) (PricedUse, error) {
		var u PricedUse
		err := row.Scan(&u.Day, &u.Provider, &u.Model)
		return u, err
	}, `SELECT DISTINCT day, provider, model FROM model_usage WHERE tenant_id = $1 AND day >= $2 ORDER BY day, provider, model`, tenant, since)
}

// Reckon makes what a tenant used of a model on a day cost what it does by the rates,
// as Rates.Of does, and gives of how many rows.
func (tx *Tx) Reckon(ctx context.Context, tenant tenure.TenantID, u PricedUse, r tenure.Rates) (int, error) {
	return tx.exec(ctx, `UPDATE model_usage SET unpriced = 0, spend =
		(input - cache_reads - cache_writes) / 1000000 * $1 + (input - cache_reads - cache_writes) % 1000000 * $1 / 1000000
		+ cache_reads / 1000000 * $2 + cache_reads % 1000000 * $2 / 1000000 + cache_writes / 1000000 * $3 + cache_writes % 1000000 * $3 / 1000000
		+ output / 1000000 * $4 + output % 1000000 * $4 / 1000000
		WHERE tenant_id = $5 AND day = $6 AND provider = $7 AND model = $8`, r.Input, r.CacheRead, r.CacheWrite, r.Output, tenant, u.Day, u.Provider, u.Model)
}
