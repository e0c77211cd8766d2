package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// priced: what was used since a day is summed up by model, and of each pattern it is known
// from which day the price counts that is in force.
func priced(t *testing.T, f *fixture) {
	today := f.db.Now().UTC().Truncate(24 * time.Hour)
	m := &store.ModelUse{DB: f.db, Price: func(_ tenure.TenantID, _, model string, _ time.Time) (tenure.Rates, bool) {
		return tenure.Rates{Input: 2_000_000}, model == "big"
	}}
	for _, n := range []struct {
		tenant tenure.TenantID
		model  string
		at     time.Time
		input  int64
	}{
		{tenure.DefaultTenant, "small", today, 5},
		{tenure.DefaultTenant, "big", today, 20},
		{tenure.DefaultTenant, "big", today.AddDate(0, 0, -1), 10},
		{tenure.DefaultTenant, "big", today.AddDate(0, 0, -9), 1000},
		{"other", "big", today, 7},
	} {
		m.Note(asker(t, n.tenant, "ada", "t"), store.AskedModel{Provider: "p", Name: "openai", Model: n.model}, n.at, tenure.ModelUse{Input: n.input})
	}
	if err := m.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	used, err := f.db.UsedModels(f.ctx, tenure.DefaultTenant, store.Day(today)-1, 10)
	if err != nil || len(used) != 2 || used[0] != (store.UsedModel{Provider: "openai", Model: "big", Requests: 2, Use: tenure.ModelUse{Input: 30}, Spend: 60}) ||
		used[1].Model != "small" || used[1].Unpriced != 1 {
		t.Errorf("%+v %v", used, err)
	}
	if used, err := f.db.UsedModels(f.ctx, tenure.DefaultTenant, store.Day(today)-1, 1); err != nil || len(used) != 1 || used[0].Model != "big" {
		t.Errorf("the first: %+v %v", used, err)
	}
	set := func(tenant tenure.TenantID, pattern string, days int) {
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.SetPrice(ctx, tenure.ModelPrice{ID: tenure.PriceID(tenure.NewID(tx.Now())), Tenant: tenant, Pattern: pattern, From: today.AddDate(0, 0, days), CreatedAt: tx.Now()})
		})
	}
	set(tenure.DefaultTenant, "big", -5)
	set(tenure.DefaultTenant, "big", 0)
	set(tenure.DefaultTenant, "big", 5)
	set("", "big", -5)
	set("other", "big", -1)
	rows, err := f.db.PricesInForce(f.ctx, tenure.DefaultTenant, store.Day(today))
	from := map[tenure.TenantID]time.Time{}
	for _, row := range rows {
		from[row.Tenant] = row.From
	}
	if err != nil || len(rows) != 2 || !from[tenure.DefaultTenant].Equal(today) || !from[""].Equal(today.AddDate(0, 0, -5)) {
		t.Errorf("%+v %v", rows, err)
	}
}
