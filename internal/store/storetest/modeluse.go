package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// modelUse of two replicas is added up by day, token, provider and model, and each
// batch counts once.
func modelUse(t *testing.T, f *fixture) {
	one, two := &store.ModelUse{DB: f.db}, &store.ModelUse{DB: f.db}
	today := f.db.Now().UTC().Truncate(24 * time.Hour)
	as := func(tenant tenure.TenantID, user tenure.UserID, token tenure.TokenID) tenure.Principal {
		return asker(t, tenant, user, token)
	}
	use := tenure.ModelUse{Input: 10, CacheReads: 3, CacheWrites: 1, Output: 5}
	for range 2 {
		one.Note(as(tenure.DefaultTenant, "ada", "t1"), store.AskedModel{Provider: "p1", Name: "openai", Model: "gpt"}, today.Add(time.Hour), use)
		two.Note(as(tenure.DefaultTenant, "ada", "t1"), store.AskedModel{Provider: "p1", Name: "openai", Model: "gpt"}, today, use)
		for _, m := range []*store.ModelUse{one, two, one} { // the second time there is nothing to write
			if err := m.Flush(ofDefault(f.ctx)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 80 { // more than one statement takes
		two.Note(as(tenure.DefaultTenant, "bob", tenure.TokenID(rune('a'+i))), store.AskedModel{Provider: "p2", Name: "claude", Model: "sonnet"}, today.Add(-24*time.Hour), tenure.ModelUse{Input: 1})
	}
	two.Note(as("other", "eve", "t2"), store.AskedModel{Provider: "p3", Name: "openai", Model: "gpt"}, today, use)
	if err := two.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	sums := func(by string, user tenure.UserID, from time.Time) []tenure.ModelUses {
		rows, err := f.db.ModelUses(f.ctx, store.ModelUseFilter{Tenant: tenure.DefaultTenant, From: from, To: today, User: user, By: by})
		if err != nil {
			t.Fatal(by, err)
		}
		return rows
	}
	ada := tenure.ModelUses{
		ID: "p1", Name: "openai", Requests: 4, Unpriced: 4, LastAt: today.Add(time.Hour),
		ModelUse: tenure.ModelUse{Input: 40, CacheReads: 12, CacheWrites: 4, Output: 20},
	}
	yesterday := today.Add(-24 * time.Hour)
	if rows := sums(tenure.UseByProvider, "", yesterday); len(rows) != 2 || rows[0].ID != "p2" || rows[0].Requests != 80 || rows[0].Input != 80 || !same(rows[1], ada) {
		t.Errorf("by provider: %+v", rows)
	}
	if rows := sums(tenure.UseByDay, "", yesterday); len(rows) != 2 || rows[0].ID != yesterday.Format(time.DateOnly) || rows[1].Requests != 4 {
		t.Errorf("by day: %+v", rows)
	}
	for _, by := range []string{tenure.UseByWorkspace, tenure.UseByUser, tenure.UseByToken, tenure.UseByModel} {
		rows := sums(by, "ada", yesterday)
		if len(rows) != 1 || rows[0].Requests != 4 || rows[0].ModelUse != ada.ModelUse {
			t.Errorf("by %s: %+v", by, rows)
		}
		if rows := sums(by, "", today); len(rows) != 1 {
			t.Errorf("by %s, today: %+v", by, rows)
		}
	}
	if _, err := f.db.ModelUses(f.ctx, store.ModelUseFilter{By: "colour"}); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("by colour: %v", err)
	}
}

// What providers claim may be more than a number holds: it is read all the same, also
// beside what others used.
func immenseUse(t *testing.T, f *fixture) {
	today := f.db.Now().UTC().Truncate(24 * time.Hour)
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertLimit(ctx, tenure.UsageLimit{
			ID: "immense", Tenant: tenure.DefaultTenant, Kind: tenure.LimitTenant, Subject: string(tenure.DefaultTenant), Bounds: tenure.UsageBounds{TokensPerDay: 1, SpendPerMonth: 1},
			CreatedAt: today, UpdatedAt: today,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	dear := tenure.Rates{Input: 1 << 62}
	use := &store.ModelUse{DB: f.db, Price: func(tenure.TenantID, string, string, time.Time) (tenure.Rates, bool) { return dear, true }}
	for _, model := range []string{"a", "b", "c"} {
		use.Note(asker(t, tenure.DefaultTenant, "ada", "t1"), store.AskedModel{Provider: "p1", Name: "openai", Model: model}, today, tenure.ModelUse{Input: 1_000_000})
	}
	if err := use.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	var all []store.NotedUse
	if err := f.db.LimitedUse(f.ctx, store.Day(today), store.Day(today), func(n store.NotedUse) { all = append(all, n) }); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Tokens != 3_000_000 || all[0].Spend < 1<<60 || all[0].Line != "t1" {
		t.Errorf("%+v", all)
	}
	rows, err := f.db.ModelUses(f.ctx, store.ModelUseFilter{Tenant: tenure.DefaultTenant, From: today, To: today, By: tenure.UseByDay})
	if err != nil || len(rows) != 1 || rows[0].Spend < 1<<60 {
		t.Errorf("%+v, %v", rows, err)
	}
}

func same(a, b tenure.ModelUses) bool {
	at := a.LastAt.Equal(b.LastAt)
	a.LastAt, b.LastAt = time.Time{}, time.Time{}
	return at && a == b
}

// asker is somebody who asks models.
func asker(t *testing.T, tenant tenure.TenantID, user tenure.UserID, token tenure.TokenID) tenure.Principal {
	t.Helper()
	s := &tenure.Standing{
		Kind: tenure.PAT, Tenant: tenant, TenantActive: true, Workspace: tenure.DefaultWorkspace, WorkspaceRole: tenure.Member,
		User: user, UserActive: true, Token: token, Scopes: tenure.DataPlane,
	}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
