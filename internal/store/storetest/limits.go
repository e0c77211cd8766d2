package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// limited sets a limit on somebody of a tenant.
func (f *fixture) limited(id tenure.LimitID, tenant tenure.TenantID, user string, b tenure.UsageBounds) {
	f.t.Helper()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertLimit(ctx, tenure.UsageLimit{
			ID: id, Tenant: tenant, Kind: tenure.LimitUser, Subject: user, Bounds: b, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		})
	})
}

// reckoned: what was used is made to cost what the rates say, of one model on one day.
func reckoned(t *testing.T, f *fixture) {
	today := f.db.Now().UTC().Truncate(24 * time.Hour)
	use := tenure.ModelUse{Input: 3_000_007, CacheReads: 1_000_001, CacheWrites: 500_003, Output: 7_654_321}
	m := &store.ModelUse{DB: f.db}
	for _, n := range []struct {
		tenant tenure.TenantID
		model  string
		at     time.Time
	}{{tenure.DefaultTenant, "gpt", today}, {tenure.DefaultTenant, "gpt", today.Add(-24 * time.Hour)}, {tenure.DefaultTenant, "other", today}, {"other", "gpt", today}} {
		m.Note(asker(t, n.tenant, "ada", "t"), store.AskedModel{Provider: "p", Name: "openai", Model: n.model}, n.at, use)
	}
	if err := m.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	used, err := f.db.UsedSince(f.ctx, tenure.DefaultTenant, store.Day(today))
	if want := (store.PricedUse{Day: store.Day(today), Provider: "openai", Model: "gpt"}); err != nil || len(used) != 2 || used[0] != want {
		t.Fatalf("%+v, %v", used, err)
	}
	rates := tenure.Rates{Input: 2_500_000, CacheRead: 1_250_001, CacheWrite: 3_125_000, Output: 9_999_999_999}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Reckon(ctx, tenure.DefaultTenant, used[0], rates)
		if err == nil && n != 1 {
			t.Errorf("%d rows were reckoned, want one", n)
		}
		return err
	})
	for _, c := range []struct {
		tenant   tenure.TenantID
		day      time.Time
		spend    int64
		unpriced int64
	}{{tenure.DefaultTenant, today, rates.Of(use), 1}, {tenure.DefaultTenant, today.Add(-24 * time.Hour), 0, 1}, {"other", today, 0, 1}} {
		rows, err := f.db.ModelUses(f.ctx, store.ModelUseFilter{Tenant: c.tenant, From: c.day, To: c.day, By: tenure.UseByProvider})
		if err != nil || len(rows) != 1 || rows[0].Spend != c.spend || rows[0].Unpriced != c.unpriced {
			t.Errorf("%s, %s: %+v, %v; want %d spent, %d without a price", c.tenant, c.day, rows, err, c.spend, c.unpriced)
		}
	}
}

// limitedUse: what was used is summed up for tenants that have a limit on it, and for
// days that are asked for.
func limitedUse(t *testing.T, f *fixture) {
	today := f.db.Now().UTC().Truncate(24 * time.Hour)
	price := func(tenure.TenantID, string, string, time.Time) (tenure.Rates, bool) {
		return tenure.Rates{Input: 1_000_000}, true
	}
	m := &store.ModelUse{DB: f.db, Price: price}
	for i, tenant := range []tenure.TenantID{tenure.DefaultTenant, "spends", "requests", "free"} {
		for _, model := range []string{"gpt", "claude"} {
			m.Note(asker(t, tenant, "ada", "t"), store.AskedModel{Provider: "p", Name: "openai", Model: model}, today, tenure.ModelUse{Input: 10, Output: int64(i)})
		}
		m.Note(asker(t, tenant, "ada", "t"), store.AskedModel{Provider: "p", Name: "openai", Model: "gpt"}, today.Add(-48*time.Hour), tenure.ModelUse{Input: 1000})
	}
	if err := m.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	f.limited("l1", tenure.DefaultTenant, "ada", tenure.UsageBounds{TokensPerDay: 1})
	f.limited("l2", "spends", "somebody", tenure.UsageBounds{SpendPerMonth: 1})
	f.limited("l3", "requests", "ada", tenure.UsageBounds{RequestsPerMinute: 1})
	got := map[tenure.TenantID]store.NotedUse{}
	err := f.db.LimitedUse(f.ctx, store.Day(today)-1, store.Day(today), func(n store.NotedUse) {
		if _, twice := got[n.Tenant]; twice {
			t.Errorf("not of one day: %+v", n)
		}
		got[n.Tenant] = n
	})
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for tenant, tokens := range map[tenure.TenantID]int64{tenure.DefaultTenant: 20, "spends": 22} {
		want := store.NotedUse{
			Tenant: tenant, Workspace: tenure.DefaultWorkspace, User: "ada", Line: "t", Day: store.Day(today), Tokens: tokens, Spend: 20,
		}
		if got[tenant] != want {
			t.Errorf("%+v, want %+v", got[tenant], want)
		}
	}
}

// limitRequests: what a replica admitted is written in the place of what it wrote before,
// read by the others, counted under the limit of its tenant only, and dropped in time.
func limitRequests(t *testing.T, f *fixture) {
	f.limited("l1", tenure.DefaultTenant, "ada", tenure.UsageBounds{RequestsPerMinute: 10})
	write := func(replica string, oldest int64, rows ...store.LimitRequests) {
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SetLimitRequests(ctx, replica, rows, oldest) })
	}
	row := func(tenant tenure.TenantID, span, n int64) store.LimitRequests {
		return store.LimitRequests{Limit: "l1", Tenant: tenant, Span: span, Requests: n}
	}
	many := make([]store.LimitRequests, 0, 80)
	for i := range int64(80) { // more than one statement takes
		many = append(many, row(tenure.DefaultTenant, 100+i, 1))
	}
	write("a", 0, many...)
	write("a", 0, row(tenure.DefaultTenant, 100, 7))
	write("b", 0, row(tenure.DefaultTenant, 100, 2), row(tenure.DefaultTenant, 102, 5))
	write("c", 0, row("other", 100, 1000))
	theirs := func(replica string, since int64) map[int64]int64 {
		rows, err := f.db.LimitRequestsElsewhere(f.ctx, replica, since)
		if err != nil {
			t.Fatal(err)
		}
		out := map[int64]int64{}
		for _, r := range rows {
			if r.Limit != "l1" || out[r.Span] != 0 {
				t.Errorf("%+v", r)
			}
			out[r.Span] = r.Requests
		}
		return out
	}
	if got := theirs("x", 0); len(got) != 80 || got[100] != 9 || got[101] != 1 || got[102] != 6 {
		t.Errorf("of all: %v", got)
	}
	if got := theirs("a", 101); len(got) != 1 || got[102] != 5 {
		t.Errorf("for the first, since a span: %v", got)
	}
	write("b", 179, row(tenure.DefaultTenant, 200, 1))
	if got := theirs("x", 0); len(got) != 2 || got[179] != 1 || got[200] != 1 {
		t.Errorf("after what is old was dropped: %v", got)
	}
}
