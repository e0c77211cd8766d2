package limits

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A replica is the act of one process, over a database that others may have too.
type replica struct {
	*Limits
	t *testing.T
}

// noon is always the same: in the middle of a day, and of a month.
func noon() time.Time { return time.Date(2026, 11, 17, 12, 0, 0, 0, time.UTC) }

func open(t testing.TB) *store.DB {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func start(t *testing.T, db *store.DB) *replica {
	t.Helper()
	r := &replica{t: t}
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(c store.Change) { r.Forget(c) },
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Options: live.Options{Now: noon, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	r.Limits = New(db, l, &store.ModelUse{DB: db}, NewMetrics(prometheus.NewRegistry()))
	r.flush()
	return r
}

func (r *replica) flush() {
	r.t.Helper()
	if err := r.Use.Flush(tenure.Everywhere(r.t.Context())); err != nil {
		r.t.Fatal(err)
	}
}

// operator may all.
func operator(t testing.TB) tenure.Principal {
	t.Helper()
	p, err := (&tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.SuperAdmin}).Admit(noon(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asker is somebody with a token.
func asker(t testing.TB, user tenure.UserID, token tenure.TokenID) tenure.Principal {
	t.Helper()
	p, err := (&tenure.Standing{
		Kind: tenure.PAT, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace, WorkspaceRole: tenure.Member,
		User: user, UserActive: true, UserName: string(user), Token: token, Line: token,
	}).Admit(noon(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// limit writes one past the act, as a hand would, and has it taken up.
func (r *replica) limit(kind, subject string, space tenure.WorkspaceID, b tenure.UsageBounds) tenure.UsageLimit {
	r.t.Helper()
	l := tenure.UsageLimit{
		ID: tenure.LimitID(tenure.NewID(time.Now())), Tenant: tenure.DefaultTenant, Kind: kind, Subject: subject, Workspace: space, Bounds: b,
		CreatedAt: noon(), UpdatedAt: noon(),
	}
	err := r.DB.Tx(tenure.Everywhere(r.t.Context()), func(ctx context.Context, tx *store.Tx) error { return tx.InsertLimit(ctx, l) })
	if err != nil {
		r.t.Fatal(err)
	}
	r.Forget(store.Change{Kind: "limit"})
	r.flush()
	return l
}

// asks admits requests until one is refused, and tells how many; at most so many.
func (r *replica) asks(p tenure.Principal, now time.Time, most int) (int, error) {
	for n := range most {
		if _, err := r.Judge(p, tenure.Origin{}, now); err != nil {
			return n, err
		}
	}
	return most, nil
}

func (r *replica) uses(p tenure.Principal, tokens int64, at time.Time) {
	r.Use.Note(p, store.AskedModel{Provider: "p", Name: "openai", Model: "gpt"}, at, tenure.ModelUse{Input: tokens - 1, Output: 1})
}

// In no minute there are more requests than the limit, however they are spread; and
// who waits as long as they were told is admitted.
func TestRequestsInAMinute(t *testing.T) {
	r := start(t, open(t))
	r.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{RequestsPerMinute: 10})
	p := asker(t, "ada", "t")
	now := noon()
	var admitted []time.Time
	for range 2000 {
		left, err := r.Judge(p, tenure.Origin{}, now)
		if err == nil {
			admitted = append(admitted, now)
			if left.Requests.Limit != 10 || left.Requests.Left < 0 || left.Requests.Left > 9 {
				t.Fatalf("%+v", left)
			}
			now = now.Add(700 * time.Millisecond)
			continue
		}
		e := tenure.AsError(err)
		if e.Kind != tenure.TooMany || e.Code != CodeRate || e.RetryAfter < time.Second || e.RetryAfter > 66*time.Second {
			t.Fatalf("%+v", e)
		}
		now = now.Add(e.RetryAfter)
		if _, err := r.Judge(p, tenure.Origin{}, now); err != nil {
			t.Fatalf("after the wait: %v", err)
		}
		admitted = append(admitted, now)
	}
	for i := range admitted[:len(admitted)-10] {
		if span := admitted[i+10].Sub(admitted[i]); span < time.Minute {
			t.Fatalf("11 requests in %s", span)
		}
	}
	if whole := admitted[len(admitted)-1].Sub(admitted[0]); whole > time.Duration(len(admitted)/10+2)*66*time.Second {
		t.Errorf("%d requests took %s", len(admitted), whole)
	}
}

// All limits that bear hold, and a request that one refuses counts under none.
func TestAllLimitsHold(t *testing.T) {
	r := start(t, open(t))
	r.limit(tenure.LimitTenant, string(tenure.DefaultTenant), "", tenure.UsageBounds{RequestsPerMinute: 100})
	r.limit(tenure.LimitWorkspace, string(tenure.DefaultWorkspace), "", tenure.UsageBounds{RequestsPerMinute: 8})
	r.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{RequestsPerMinute: 5})
	r.limit(tenure.LimitUser, "ada", tenure.DefaultWorkspace, tenure.UsageBounds{RequestsPerMinute: 50})
	r.limit(tenure.LimitToken, "small", "", tenure.UsageBounds{RequestsPerMinute: 2})
	r.limit(tenure.LimitToken, "small", "elsewhere", tenure.UsageBounds{RequestsPerMinute: 1})
	now := noon()
	for _, c := range []struct {
		user  tenure.UserID
		token tenure.TokenID
		want  int
	}{{"ada", "small", 2}, {"ada", "large", 3}, {"bob", "his", 3}, {"bob", "another", 0}} {
		if n, err := r.asks(asker(t, c.user, c.token), now, 20); n != c.want || err == nil {
			t.Errorf("%s by %s: %d, want %d (%v)", c.user, c.token, n, c.want, err)
		}
	}
	if n, _ := r.asks(asker(t, "ada", "large"), now.Add(66*time.Second), 20); n != 5 {
		t.Errorf("a minute later: %d", n)
	}
}

// Tokens are counted as they are used, refused from the bound on until the day is over,
// and not forgotten by a start or unknown to another replica for longer than a batch.
func TestTokensOfADay(t *testing.T) {
	db := open(t)
	a, b := start(t, db), start(t, db)
	p := asker(t, "ada", "t")
	now := noon()
	a.uses(p, 300, now)
	a.uses(p, 300, now.Add(-24*time.Hour)) // yesterday's
	a.flush()
	a.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{TokensPerDay: 1000})
	b.Forget(store.Change{})
	b.flush()
	left := func(r *replica) int64 {
		l, err := r.Judge(p, tenure.Origin{}, now)
		if err != nil {
			return -1
		}
		return l.Tokens.Left
	}
	if a, b := left(a), left(b); a != 700 || b != 700 {
		t.Fatalf("what was used before the limit is not counted: %d, %d", a, b)
	}
	a.uses(p, 200, now)
	b.uses(p, 100, now)
	if a, b := left(a), left(b); a != 500 || b != 600 {
		t.Errorf("each its own at once: %d, %d", a, b)
	}
	if err := a.sync(tenure.Everywhere(t.Context())); err != nil || left(a) != 500 {
		t.Errorf("what is not written yet: %d, %v", left(a), err)
	}
	a.flush()
	b.flush()
	a.flush()
	if a, b := left(a), left(b); a != 400 || b != 400 {
		t.Errorf("after a batch: %d, %d", a, b)
	}
	b.uses(p, 400, now)
	_, err := b.Judge(p, tenure.Origin{}, now)
	e := tenure.AsError(err)
	midnight := now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	if e.Code != CodeQuota || now.Add(e.RetryAfter).Sub(midnight).Abs() > 2*time.Second {
		t.Errorf("%+v", e)
	}
	if _, err := b.Judge(p, tenure.Origin{}, midnight); err != nil {
		t.Errorf("on the next day: %v", err)
	}
	b.flush()
	if c := start(t, db); left(c) != -1 {
		t.Error("a start forgets what was used")
	}
}

// Spend is counted by the month, what was spent before the limit and on its earlier days
// too, and what has no price is told and bounds nothing.
func TestSpendOfAMonth(t *testing.T) {
	r := start(t, open(t))
	r.Use.Price = func(_ tenure.TenantID, _, model string, _ time.Time) (tenure.Rates, bool) {
		return tenure.Rates{Input: 1e9, Output: 1e9}, model != "free"
	}
	p := asker(t, "ada", "t")
	now := noon()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	spends := map[time.Time]int64{month.Add(-time.Hour): 7_000, month: 200, now: 500}
	var want int64
	for at, tokens := range spends {
		r.uses(p, tokens, at)
		if !at.Before(month) {
			want += tokens * 1000
		}
	}
	r.Use.Note(p, store.AskedModel{Provider: "p", Name: "openai", Model: "free"}, now, tenure.ModelUse{Input: 9})
	r.flush()
	row := r.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{SpendPerMonth: want + 1000})
	used := func() View {
		v, err := r.Get(t.Context(), operator(t), row.ID)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := used(); v.Spend != want || v.Unpriced != 1 {
		t.Fatalf("%d spent, %d without a price; want %d, 1", v.Spend, v.Unpriced, want)
	}
	if _, err := r.Judge(p, tenure.Origin{}, now); err != nil {
		t.Error(err)
	}
	r.uses(p, 2, now)
	_, err := r.Judge(p, tenure.Origin{}, now)
	next := month.AddDate(0, 1, 0)
	if e := tenure.AsError(err); e.Code != CodeQuota || now.Add(e.RetryAfter).Sub(next).Abs() > 2*time.Second {
		t.Errorf("%+v", e)
	}
	if _, err := r.Judge(p, tenure.Origin{}, next); err != nil {
		t.Errorf("in the next month: %v", err)
	}
	r.flush()
	r.flush()
	if v := used(); v.Spend != want+2000 {
		t.Errorf("%d spent, want %d", v.Spend, want+2000)
	}
}

// What one replica admits, the others know after a batch.
func TestRequestsOfOtherReplicas(t *testing.T) {
	db := open(t)
	a, b := start(t, db), start(t, db)
	a.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{RequestsPerMinute: 10})
	b.Forget(store.Change{Kind: "limit"})
	b.flush()
	p, now := asker(t, "ada", "t"), db.Now()
	if n, _ := a.asks(p, now, 7); n != 7 {
		t.Fatal(n)
	}
	a.flush()
	b.flush()
	if n, _ := b.asks(p, now, 20); n != 3 {
		t.Errorf("%d more, want 3", n)
	}
	b.flush()
	a.flush()
	a.flush() // and what it told itself is not counted twice
	if n, _ := a.asks(p, now, 20); n != 0 {
		t.Errorf("%d more, want none", n)
	}
	if c := start(t, db); c.table.Load().gauges[0].asked.lately(spanOf(now)) != 10 {
		t.Error("a start forgets the last minute")
	}
}

// What a row says of a limit of another tenant counts for nothing.
func TestRequestsOfAnotherTenantsRow(t *testing.T) {
	db := open(t)
	a := start(t, db)
	l := a.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{RequestsPerMinute: 10})
	p, now := asker(t, "ada", "t"), db.Now()
	for _, tenant := range []tenure.TenantID{"other", tenure.DefaultTenant} {
		err := db.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error {
			rows := []store.LimitRequests{{Limit: l.ID, Tenant: tenant, Span: spanOf(now), Requests: 7}}
			return tx.SetLimitRequests(ctx, "of "+string(tenant), rows, 0)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	a.flush()
	if n, _ := a.asks(p, now, 20); n != 3 {
		t.Errorf("%d more, want 3", n)
	}
}

// However many ask at once, no more than the limit are admitted.
func TestAtOnce(t *testing.T) {
	r := start(t, open(t))
	r.limit(tenure.LimitWorkspace, string(tenure.DefaultWorkspace), "", tenure.UsageBounds{RequestsPerMinute: 1000})
	r.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{RequestsPerMinute: 100})
	now := noon()
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for _, user := range []tenure.UserID{"ada", "bob", "eve"} {
		for range 4 {
			p := asker(t, user, "t")
			wg.Go(func() {
				for range 500 {
					if _, err := r.Judge(p, tenure.Origin{}, now); err == nil {
						admitted.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if n := admitted.Load(); n > 1000 || n < 990 {
		t.Errorf("%d admitted", n)
	}
}

// A limit changed by the act holds when the act returns, and each change is audited;
// of refusals the first of a window.
func TestChangesAndRefusalsAreTold(t *testing.T) {
	r := start(t, open(t))
	by := operator(t)
	v, err := r.Create(t.Context(), by, Spec{Kind: tenure.LimitTenant, Bounds: tenure.UsageBounds{RequestsPerMinute: 3}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(t.Context(), by, Spec{Kind: tenure.LimitTenant, Bounds: tenure.UsageBounds{RequestsPerMinute: 3}}); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("a second one: %v", err)
	}
	p := asker(t, "ada", "t")
	now := r.DB.Now()
	for range 3 {
		if n, _ := r.asks(p, now, 5); n != 3 && n != 0 {
			t.Errorf("%d admitted", n)
		}
	}
	requests := int64(5)
	if v, err = r.Change(t.Context(), by, v.ID, Patch{Requests: &requests}); err != nil || v.Requests != 3 || v.Bounds.RequestsPerMinute != 5 {
		t.Fatalf("%+v %v", v, err)
	}
	if n, _ := r.asks(p, now, 5); n != 2 {
		t.Errorf("%d more admitted after it was raised", n)
	}
	if v, err = r.Set(t.Context(), by, Spec{Kind: tenure.LimitTenant, Bounds: tenure.UsageBounds{TokensPerDay: 10}}); err != nil || v.Bounds.RequestsPerMinute != 0 {
		t.Errorf("%+v %v", v, err)
	}
	if err := r.Remove(t.Context(), by, v.ID); err != nil {
		t.Fatal(err)
	}
	if left, err := r.Judge(p, tenure.Origin{}, now); err != nil || left != (Left{}) {
		t.Errorf("%+v %v", left, err)
	}
	r.flush()
	page, err := r.DB.AuditEvents(tenure.Everywhere(t.Context()), store.AuditFilter{Tenant: tenure.DefaultTenant, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int{}
	for _, e := range page {
		told[e.Action]++
	}
	if told["limit.set"] != 3 || told["limit.removed"] != 1 || told["limit.reached"] != 1 {
		t.Errorf("%v", told)
	}
}

// Of a limit is told what it bounds: of anything else nobody would know the whole.
func TestUsedOfWhatIsBounded(t *testing.T) {
	r := start(t, open(t))
	r.Use.Price = func(tenure.TenantID, string, string, time.Time) (tenure.Rates, bool) {
		return tenure.Rates{Input: 1e9, Output: 1e9}, true
	}
	p, now := asker(t, "ada", "t"), r.DB.Now()
	ids := map[tenure.LimitID]View{
		r.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{RequestsPerMinute: 10}).ID:    {Requests: 1},
		r.limit(tenure.LimitToken, "t", "", tenure.UsageBounds{TokensPerDay: 1000}).ID:        {Tokens: 300},
		r.limit(tenure.LimitTenant, "default", "", tenure.UsageBounds{SpendPerMonth: 1e9}).ID: {Spend: 300_000},
	}
	if _, err := r.Judge(p, tenure.Origin{}, now); err != nil {
		t.Fatal(err)
	}
	r.uses(p, 300, now)
	for id, want := range ids {
		v, err := r.Get(t.Context(), operator(t), id)
		if want.UsageLimit = v.UsageLimit; err != nil || v != want {
			t.Errorf("%+v, %v; want %+v", v, err, want)
		}
	}
}

// What makes no limit is refused, and says what would.
func TestWhatIsNoLimit(t *testing.T) {
	r := start(t, open(t))
	for _, spec := range []Spec{
		{Kind: tenure.LimitTenant},
		{Kind: tenure.LimitTenant, Bounds: tenure.UsageBounds{RequestsPerMinute: -1}},
		{Kind: tenure.LimitTenant, Bounds: tenure.UsageBounds{TokensPerDay: math.MaxInt64}},
		{Kind: tenure.LimitTenant, Subject: "another", Bounds: tenure.UsageBounds{TokensPerDay: 1}},
		{Kind: tenure.LimitUser, Subject: "nobody", Bounds: tenure.UsageBounds{TokensPerDay: 1}},
		{Kind: tenure.LimitToken, Subject: "none", Bounds: tenure.UsageBounds{TokensPerDay: 1}},
		{Kind: tenure.LimitWorkspace, Subject: "default", Workspace: "default", Bounds: tenure.UsageBounds{TokensPerDay: 1}},
		{Kind: tenure.LimitUser, Subject: "nobody", Workspace: "nowhere", Bounds: tenure.UsageBounds{TokensPerDay: 1}},
		{Kind: "planet", Bounds: tenure.UsageBounds{TokensPerDay: 1}},
	} {
		if _, err := r.Set(t.Context(), operator(t), spec); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
}

// Judging waits for nobody and leaves nothing to collect.
func TestJudgingAllocatesNothing(t *testing.T) {
	r := start(t, open(t))
	p, now := asker(t, "ada", "t"), noon()
	judge := func() { _, _ = r.Judge(p, tenure.Origin{}, now) }
	if n := testing.AllocsPerRun(100, judge); n > 0 {
		t.Errorf("%v allocations without a limit", n)
	}
	r.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{RequestsPerMinute: 1e6, TokensPerDay: 1e9})
	r.limit(tenure.LimitTenant, string(tenure.DefaultTenant), "", tenure.UsageBounds{RequestsPerMinute: 1e6, TokensPerDay: 1e9})
	if n := testing.AllocsPerRun(100, judge); n > 0 {
		t.Errorf("%v allocations with limits", n)
	}
}

// BenchmarkJudge is what limits cost a request: where there is none at all, where none
// bears on who asks, and where one and five do.
func BenchmarkJudge(b *testing.B) {
	now := noon()
	for name, limits := range map[string][]tenure.UsageLimit{
		"none":   nil,
		"others": {{Kind: tenure.LimitUser, Subject: "bob"}, {Kind: tenure.LimitToken, Subject: "his"}},
		"one":    {{Kind: tenure.LimitUser, Subject: "ada"}},
		"five": {
			{Kind: tenure.LimitTenant, Subject: "default"},
			{Kind: tenure.LimitWorkspace, Subject: "default"},
			{Kind: tenure.LimitUser, Subject: "ada"},
			{Kind: tenure.LimitUser, Subject: "ada", Workspace: "default"},
			{Kind: tenure.LimitToken, Subject: "t"},
		},
	} {
		b.Run(name, func(b *testing.B) {
			for i := range limits {
				limits[i].Tenant, limits[i].Bounds = tenure.DefaultTenant, tenure.UsageBounds{RequestsPerMinute: 1e9, TokensPerDay: 1e9}
			}
			l := &Limits{Metrics: NewMetrics(prometheus.NewRegistry())}
			l.table.Store(newTable(limits, nil))
			p := asker(b, "ada", "t")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Judge(p, tenure.Origin{}, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAccounting is what a request costs beside reading what its answer says:
// judged under one limit, noted, priced, and counted under it.
func BenchmarkAccounting(b *testing.B) {
	use := &store.ModelUse{DB: open(b)}
	use.Price = func(tenure.TenantID, string, string, time.Time) (tenure.Rates, bool) {
		return tenure.Rates{Input: 1e6, Output: 1e6}, true
	}
	l := New(use.DB, nil, use, NewMetrics(prometheus.NewRegistry()))
	l.table.Store(newTable([]tenure.UsageLimit{{Tenant: tenure.DefaultTenant, Kind: tenure.LimitUser, Subject: "ada", Bounds: tenure.UsageBounds{RequestsPerMinute: 1e9, TokensPerDay: 1e15}}}, nil))
	p, now, key := asker(b, "ada", "t"), noon(), tenure.KeyID(tenure.NewID(noon()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Judge(p, tenure.Origin{}, now); err != nil {
			b.Fatal(err)
		}
		use.Note(p, store.AskedModel{Provider: "p", Key: key, Name: "openai", Model: "gpt-4o"}, now, tenure.ModelUse{Input: 1000, Output: 100})
	}
}

// A limit on spend that comes where there was one on requests alone knows the whole month.
func TestSpendBeforeALimitCounts(t *testing.T) {
	r := start(t, open(t))
	r.Use.Price = func(tenure.TenantID, string, string, time.Time) (tenure.Rates, bool) {
		return tenure.Rates{Input: 1e9, Output: 1e9}, true
	}
	now := noon()
	p := asker(t, "ada", "t")
	other := tenure.UsageLimit{ID: "o", Tenant: "other", Kind: tenure.LimitTenant, Subject: "other", Bounds: tenure.UsageBounds{SpendPerMonth: 1}, CreatedAt: now, UpdatedAt: now}
	if err := r.DB.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error { return tx.InsertLimit(ctx, other) }); err != nil {
		t.Fatal(err)
	}
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	r.uses(p, 500, month)
	requests := r.limit(tenure.LimitUser, "ada", "", tenure.UsageBounds{RequestsPerMinute: 1000})
	if _, err := r.Judge(p, tenure.Origin{}, now); err != nil {
		t.Fatal(err)
	}
	requests.Bounds.SpendPerMonth = 1000
	if err := r.DB.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error { return tx.UpdateLimit(ctx, requests) }); err != nil {
		t.Fatal(err)
	}
	r.Forget(store.Change{Kind: "limit"})
	r.flush()
	if _, err := r.Judge(p, tenure.Origin{}, now); tenure.AsError(err).Code != CodeQuota {
		t.Errorf("what was spent before is not known: %v", err)
	}
}

// Who was refused is told with the request that was, whoever's request the writing is
// behind.
func TestRefusalIsToldWithItsRequest(t *testing.T) {
	r := start(t, open(t))
	r.limit(tenure.LimitToken, "small", "", tenure.UsageBounds{RequestsPerMinute: 1})
	p, now := asker(t, "ada", "small"), noon()
	for range 2 {
		_, _ = r.Judge(p, tenure.Origin{RequestID: "asked", Address: "192.0.2.1"}, now)
	}
	other := tenure.WithOrigin(t.Context(), &tenure.Origin{RequestID: "other", Address: "192.0.2.2"})
	if err := r.Use.Flush(tenure.Everywhere(other)); err != nil {
		t.Fatal(err)
	}
	events, err := r.DB.AuditTail(tenure.Everywhere(t.Context()), tenure.DefaultTenant, "limit.reached", 5)
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	if e := events[0]; e.RequestID != "asked" || e.Address != "192.0.2.1" {
		t.Errorf("%s from %s", e.RequestID, e.Address)
	}
}
