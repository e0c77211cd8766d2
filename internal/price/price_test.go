package price

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// noon is always the same: what was used is kept for a while only.
func noon() time.Time { return time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC) }

// clock goes on from noon by a millisecond whenever somebody looks at it.
func clock() func() time.Time {
	var looks atomic.Int64
	return func() time.Time { return noon().Add(time.Duration(looks.Add(1)) * time.Millisecond) }
}

func open(t *testing.T) *Prices {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), clock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(store.Change) {},
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Options: live.Options{Now: noon, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	return New(db, l, &store.ModelUse{DB: db})
}

func as(t *testing.T, tenant tenure.TenantID) tenure.Principal {
	t.Helper()
	p, err := (&tenure.Standing{Kind: tenure.Operator, Tenant: tenant, TenantActive: true, Role: tenure.SuperAdmin}).Admit(noon(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func day(text string) time.Time {
	t, _ := time.Parse(time.DateOnly, text)
	return t
}

// In force is a tenant's own price before that of all, the longer pattern before the
// shorter, and of one pattern the latest that has begun; nothing is in force for what
// no price fits.
func TestWhichPriceIsInForce(t *testing.T) {
	p := open(t)
	set := func(tenant tenure.TenantID, everyone bool, pattern, from string, rate int64) {
		t.Helper()
		spec := Spec{Everyone: everyone, Pattern: pattern, From: day(from), Rates: tenure.Rates{Input: rate}}
		if _, err := p.Set(t.Context(), as(t, tenant), []Spec{spec}); err != nil {
			t.Fatal(err)
		}
	}
	set("default", true, "*", "2026-01-01", 1)
	set("default", true, "gpt-4o-mini*", "2026-01-01", 2)
	set("default", false, "gpt-4o*", "2026-01-01", 3)
	set("default", false, "gpt-4o*", "2026-03-01", 4)
	set("default", false, "gpt-4o-mini", "2026-02-01", 5)
	set("acme", false, "openai/*", "2026-01-01", 6)
	set("acme", false, "openai/*", "2026-01-01", 7) // in the place of the one before
	for _, c := range []struct {
		tenant          tenure.TenantID
		provider, model string
		day             string
		want            int64
	}{
		{"default", "openai", "gpt-4o", "2026-01-01", 3},
		{"default", "openai", "gpt-4o", "2026-02-28", 3},
		{"default", "openai", "gpt-4o", "2026-03-01", 4},
		{"default", "openai", "gpt-4o-mini", "2026-01-31", 3},
		{"default", "openai", "gpt-4o-mini", "2026-12-31", 5},
		{"default", "anthropic", "claude", "2026-12-31", 1},
		{"default", "openai", "gpt-4o", "2025-12-31", -1},
		{"acme", "openai", "gpt-4o", "2026-12-31", 7},
		{"acme", "azure", "gpt-4o-mini", "2026-12-31", 2},
		{"other", "openai", "gpt-4o", "2026-12-31", 1},
	} {
		for range 2 { // the second time from memory
			got, known := p.find(c.tenant, c.provider, c.model, day(c.day))
			if known != (c.want >= 0) || known && got.Input != c.want {
				t.Errorf("%+v: %d %t", c, got.Input, known)
			}
		}
	}
	if rows, err := p.List(t.Context(), as(t, "acme"), "", 100); err != nil || len(rows) != 3 {
		t.Errorf("%+v %v", rows, err)
	}
	mine, _ := p.List(t.Context(), as(t, "acme"), "", 100)
	for _, row := range mine {
		if err := p.Remove(t.Context(), as(t, "other"), row.ID); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("somebody else's price: %v", err)
		}
	}
	if _, err := p.Set(t.Context(), as(t, "acme"), []Spec{{Everyone: true, Pattern: "*"}}); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("everybody's price, by one of them: %v", err)
	}
	for _, bad := range []Spec{{Pattern: ""}, {Pattern: "a b"}, {Pattern: "*", Rates: tenure.Rates{Output: -1}}, {Pattern: "*", Rates: tenure.Rates{Output: maxRate + 1}}} {
		if _, err := p.Set(t.Context(), as(t, "acme"), []Spec{{Pattern: "good"}, bad}); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if rows, _ := p.List(t.Context(), as(t, "acme"), "", 100); len(rows) != 3 {
		t.Errorf("one of several prices was none, and the others were set: %+v", rows)
	}
}

// A price that is committed is answered as set, and removed as removed, also where the
// prices cannot be read afterwards.
func TestWhatIsCommittedIsDone(t *testing.T) {
	p := open(t)
	leaving := func() context.Context { // whoever asks leaves when it is committed
		ctx, leave := context.WithCancel(t.Context())
		p.Live.Forget = func(store.Change) { leave() }
		return ctx
	}
	rows, err := p.Set(leaving(), as(t, "default"), []Spec{{Pattern: "gpt", From: day("2026-01-01")}})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if err := p.Remove(leaving(), as(t, "default"), rows[0].ID); err != nil {
		t.Error(err)
	}
	if left, err := p.List(t.Context(), as(t, "default"), "", 10); err != nil || len(left) != 0 {
		t.Errorf("%+v, %v", left, err)
	}
}

// What is reckoned anew costs what it would have cost, and what has no price stays.
func TestApply(t *testing.T) {
	p := open(t)
	by := as(t, "default")
	asker, err := (&tenure.Standing{
		Kind: tenure.PAT, Tenant: "default", TenantActive: true, Workspace: "default", WorkspaceRole: tenure.Member, User: "u", UserActive: true, Token: "t",
	}).Admit(noon(), 0)
	if err != nil {
		t.Fatal(err)
	}
	use := tenure.ModelUse{Input: 3_000_007, CacheReads: 1_000_001, CacheWrites: 500_003, Output: 7_654_321}
	p.Use.Note(asker, store.AskedModel{Provider: "p", Name: "openai", Model: "gpt"}, day("2026-01-01"), use)
	p.Use.Note(asker, store.AskedModel{Provider: "p", Name: "openai", Model: "gpt"}, day("2026-02-01"), use)
	p.Use.Note(asker, store.AskedModel{Provider: "p", Name: "openai", Model: "other"}, day("2026-02-01"), use)
	rates := tenure.Rates{Input: 2_500_000, CacheRead: 1_250_001, CacheWrite: 3_125_000, Output: 9_999_999_999}
	if _, err := p.Set(t.Context(), by, []Spec{{Pattern: "gpt", From: day("2020-01-01"), Rates: rates}}); err != nil {
		t.Fatal(err)
	}
	done, err := p.Apply(t.Context(), by, day("2026-01-15"))
	if err != nil || done != (Applied{Rows: 1, Unpriced: 1}) {
		t.Fatalf("%+v %v", done, err)
	}
	rows, err := p.DB.ModelUses(tenure.Everywhere(t.Context()), store.ModelUseFilter{Tenant: "default", From: day("2026-01-01"), To: day("2026-12-31"), By: tenure.UseByModel})
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	for _, r := range rows {
		switch {
		case r.ID == "gpt" && (r.Spend != rates.Of(use) || r.Unpriced != 1), r.ID == "other" && (r.Spend != 0 || r.Unpriced != 1):
			t.Errorf("%+v, one costs %d", r, rates.Of(use))
		}
	}
}

// What was used lately is told with what it costs by the prices in force today, or by one
// that is tried, which is not set by that.
func TestWhatItWouldCost(t *testing.T) {
	p := open(t)
	by, today := as(t, tenure.DefaultTenant), p.DB.Now().UTC().Truncate(24*time.Hour)
	asker, err := (&tenure.Standing{
		Kind: tenure.PAT, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace, WorkspaceRole: tenure.Member, User: "u", UserActive: true, Token: "t",
	}).Admit(noon(), 0)
	if err != nil {
		t.Fatal(err)
	}
	use := tenure.ModelUse{Input: 1_000_000, Output: 1}
	for _, model := range []string{"gpt-4o", "gpt-4o-mini"} {
		p.Use.Note(asker, store.AskedModel{Provider: "p", Name: "openai", Model: model}, today, use)
	}
	p.Use.Note(asker, store.AskedModel{Provider: "p", Name: "openai", Model: "gpt-4o"}, today.Add(-UsedSpan-48*time.Hour), use)
	for _, spec := range []Spec{
		{Pattern: "gpt*", From: today.AddDate(0, 0, -9), Rates: tenure.Rates{Input: 1}},
		{Pattern: "gpt*", From: today.AddDate(0, 0, -1), Rates: tenure.Rates{Input: 3}},
		{Pattern: "gpt*", From: today.AddDate(0, 0, 1), Rates: tenure.Rates{Input: 4}},
	} {
		if _, err := p.Set(t.Context(), by, []Spec{spec}); err != nil {
			t.Fatal(err)
		}
	}
	costs := func(try *Spec) (all [2]int64, touched int) {
		t.Helper()
		used, err := p.Used(t.Context(), by, try, AllUsed)
		if err != nil || len(used) != 2 || used[0].Model != "gpt-4o" || used[0].Requests != 1 {
			t.Fatalf("%+v %v", used, err)
		}
		for i, u := range used {
			if all[i] = u.Costs; u.Touched {
				touched++
			}
		}
		return all, touched
	}
	if got, n := costs(nil); got != [2]int64{3, 3} || n != 0 {
		t.Errorf("by the prices in force: %v, %d", got, n)
	}
	if got, n := costs(&Spec{Pattern: "*/gpt-4o-mini", Rates: tenure.Rates{Input: 9}}); got != [2]int64{3, 9} || n != 1 {
		t.Errorf("by one for a model: %v, %d", got, n)
	}
	if got, n := costs(&Spec{Pattern: "gpt*", From: today.AddDate(0, 0, -1), Rates: tenure.Rates{Input: 7}}); got != [2]int64{7, 7} || n != 2 {
		t.Errorf("by one in the place of another: %v, %d", got, n)
	}
	if got, n := costs(&Spec{Pattern: "gpt-4o", From: today.AddDate(0, 0, 5), Rates: tenure.Rates{Input: 8}}); got != [2]int64{8, 4} || n != 1 {
		t.Errorf("by one that is to come: %v, %d", got, n)
	}
	if _, err := p.Used(t.Context(), by, &Spec{Pattern: "a b"}, AllUsed); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("by none: %v", err)
	}
	views, err := p.Views(t.Context(), by, "", 10)
	if err != nil || len(views) != 3 || views[0].State != Replaced || views[1].State != InForce || views[2].State != Later {
		t.Errorf("%+v %v", views, err)
	}
	if !views[0].Changes(by) || views[0].Changes(as(t, "other")) {
		t.Error("a price is changed by the tenant that it is of")
	}
	if _, err := p.Get(t.Context(), as(t, "other"), tenure.SetPrice, views[0].ID); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("another tenant's: %v", err)
	}
}
