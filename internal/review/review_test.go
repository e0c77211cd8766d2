package review_test

import (
	"context"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// A bench is a database that a hand can reach, with the acts of two replicas on it. What
// they end is a person: that they do is noted.
type bench struct {
	t        *testing.T
	ctx      context.Context
	db       *store.DB
	replicas [2]*review.Reviews
	hand     func(sql string)
	ended    atomic.Int64
	stays    atomic.Bool // what is ended is not dead
}

func onBoth(t *testing.T, test func(*testing.T, *bench)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tenure.db")
		db, err := store.OpenSQLite(t.Context(), path, nil)
		run(t, db, err, test, "sqlite3", "-cmd", ".timeout 5000", path)
	})
	t.Run("postgres", func(t *testing.T) {
		serve, super := storetest.Postgres(t)
		db, err := store.OpenPostgres(t.Context(), serve, nil)
		run(t, db, err, test, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", super, "-c")
	})
}

func run(t *testing.T, db *store.DB, err error, test func(*testing.T, *bench), shell ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bench{t: t, ctx: tenure.Everywhere(t.Context()), db: db}
	b.hand = func(sql string) {
		t.Helper()
		if out, err := exec.Command(shell[0], append(shell[1:], sql)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, out)
		}
	}
	for n := range b.replicas {
		b.replicas[n] = b.replica()
	}
	test(t, b)
}

func (b *bench) replica() *review.Reviews {
	return &review.Reviews{
		DB: b.db, Log: slog.New(slog.DiscardHandler), Metrics: review.NewMetrics(prometheus.NewRegistry()), Flush: func(context.Context) error { return nil },
		Things: review.Things{
			Beside: func(tenure.TenantID) []tenure.ReviewSubject { return nil },
			End: func(context.Context, tenure.ReviewItem, string) error {
				b.ended.Add(1)
				return nil
			},
			Alive:  func(context.Context, tenure.ReviewItem) (bool, error) { return b.stays.Load(), nil },
			Gone:   func(context.Context, tenure.ReviewItem) (string, error) { return "", nil },
			Change: func(context.Context, tenure.Principal, tenure.ReviewItem, string) (bool, error) { return true, nil },
		},
		Sign:       func(_ context.Context, kind, text string) (string, error) { return kind + "\n" + text, nil },
		Checkpoint: func(context.Context) (string, error) { return "", nil },
		Version:    func() string { return "test" },
	}
}

// people writes so many down, whose ids begin with a word.
func (b *bench) people(word string, n int, role tenure.Role) {
	b.hand(`WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ` + strconv.Itoa(n) + `)
		INSERT INTO users (id, tenant_id, user_name, user_name_fold, source, role, created_at, updated_at)
		SELECT '` + word + `' || n, 'default', '` + word + `' || n, '` + word + `' || n, 'scim', '` + string(role) + `', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z' FROM c`)
}

func (b *bench) as(role tenure.Role, user tenure.UserID) tenure.Principal {
	b.t.Helper()
	s := &tenure.Standing{Kind: tenure.AssertedIdentity, Tenant: tenure.DefaultTenant, TenantActive: true, User: user, UserName: string(user), UserActive: true, Role: role}
	if user == "" {
		s.Kind = tenure.Operator
	}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) open(spec review.Spec) review.View {
	b.t.Helper()
	v, err := b.replicas[0].Open(b.ctx, b.as(tenure.SuperAdmin, ""), spec)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// both has both replicas keep house at the same moment, a few times.
func (b *bench) both() {
	b.t.Helper()
	for range 3 {
		var wg sync.WaitGroup
		for _, r := range b.replicas {
			wg.Go(func() {
				if err := r.Housekeep(b.ctx); err != nil && !tenure.IsKind(err, tenure.Conflict) {
					b.t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// Ten thousand items are taken by the database: what the process needs for it does not
// grow with them.
func TestSnapshotIsBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("p", 10_000, tenure.Member)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		took := time.Since(start)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if v.Counts.Items != 10_000 || v.Counts.Undecided != 10_000 || v.Counts.Flagged != 10_000 {
			t.Errorf("%+v", v.Counts)
		}
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("%d bytes are kept of 10,000 items", grown)
		}
		t.Logf("10,000 items: %v, %d MB allocated on the way", took, (after.TotalAlloc-before.TotalAlloc)>>20)
		again, err := b.replicas[1].Items(b.ctx, b.as(tenure.Auditor, "p1"), v.ID, review.ItemFilter{ItemFilter: store.ItemFilter{After: 9_990, Limit: 100}})
		if err != nil || len(again) != 10 || again[9].N != 10_000 {
			t.Errorf("%d items of the last page: %v", len(again), err)
		}
	})
}

// Whoever comes first opens the tenant's review, and revokes what nobody decided: once. Of
// the super admins it revokes nothing.
func TestReplicasDoItOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("p", 250, tenure.Member)
		b.people("a", 2, tenure.SuperAdmin)
		b.hand(`UPDATE tenants SET created_at = '2020-01-01T00:00:00.000000Z'`)
		b.hand(`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('default', 'review_unanswered', 'revoke', '2020-01-01T00:00:00.000000Z')`)
		b.both()
		rows, err := b.replicas[0].List(b.ctx, b.as(tenure.SuperAdmin, ""), false, "", 10)
		if err != nil || len(rows) != 1 || !rows[0].Automatic || rows[0].Counts.Items != 254 { // people, and two roles
			t.Fatalf("%d reviews, %+v: %v", len(rows), rows, err)
		}
		b.stays.Store(true)
		b.hand(`UPDATE access_reviews SET due_at = '2020-01-01T00:00:00.000000Z'`)
		b.both()
		if n := b.ended.Load(); n != 250 {
			t.Errorf("ended %d times, of 250", n)
		}
		v, err := b.replicas[0].Get(b.ctx, b.as(tenure.SuperAdmin, ""), rows[0].ID)
		if err != nil || v.Counts.Failed != 250 || v.Counts.Undecided != 4 || !v.ClosedAt.IsZero() {
			t.Errorf("%+v: %v", v, err)
		}
		// What is not dead is tried again until it is, and only then the review closes.
		b.stays.Store(false)
		b.hand(`UPDATE access_review_items SET next_try_at = '2020-01-01T00:00:00.000000Z' WHERE ended_at IS NULL`)
		b.both()
		b.hand(`UPDATE access_review_items SET decision = 'keep' WHERE decision = ''`)
		b.both()
		v, err = b.replicas[1].Get(b.ctx, b.as(tenure.SuperAdmin, ""), rows[0].ID)
		if err != nil || v.Counts.Unresolved != 0 || v.ClosedBy != "policy" || v.Report == "" {
			t.Errorf("%+v: %v", v, err)
		}
		if n := b.ended.Load(); n != 500 {
			t.Errorf("ended %d times, of 500", n)
		}
	})
}

// Nobody decides about their own access, whatever role they have; where there is nobody
// else, the item says so and stays.
func TestNobodyReviewsThemselves(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 1, tenure.SuperAdmin)
		b.people("p", 1, tenure.Admin)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"role"}, Unanswered: "revoke"})
		items, err := b.replicas[0].Items(b.ctx, b.as(tenure.SuperAdmin, "a1"), v.ID, review.ItemFilter{ItemFilter: store.ItemFilter{Limit: 10}})
		if err != nil || len(items) != 2 {
			t.Fatal(items, err)
		}
		super, admin := items[0], items[1]
		if !strings.Contains(super.Flags, tenure.FlagNoIndependent) || strings.Contains(admin.Flags, tenure.FlagNoIndependent) {
			t.Errorf("flags %q and %q", super.Flags, admin.Flags)
		}
		for name, c := range map[string]struct {
			by   tenure.Principal
			item tenure.ReviewItem
			code string
		}{
			"their own":                {b.as(tenure.SuperAdmin, "a1"), super, "review_of_oneself"},
			"their own, less":          {b.as(tenure.Admin, "p1"), admin, "review_of_oneself"},
			"a super admin's":          {b.as(tenure.Admin, "p1"), super, "insufficient_scope"},
			"an auditor":               {b.as(tenure.Auditor, "x"), admin, "insufficient_scope"},
			"a member with nothing to": {b.as(tenure.Member, "x"), admin, "not_found"},
			"another's":                {b.as(tenure.SuperAdmin, "a1"), admin, ""},
			"the operator":             {b.as(tenure.SuperAdmin, ""), super, ""},
		} {
			_, err := b.replicas[0].Decide(b.ctx, c.by, v.ID, c.item.N, review.Choice{Decision: tenure.DecideAbstain, Reason: "because"})
			if code := tenure.AsError(err).Code; err == nil && c.code != "" || err != nil && code != c.code {
				t.Errorf("%s: %v, want %q", name, err, c.code)
			}
		}
		// Nobody independent could have: it is not revoked, but stays for somebody.
		b.hand(`UPDATE access_reviews SET due_at = '2020-01-01T00:00:00.000000Z'`)
		b.both()
		i, err := b.replicas[0].Item(b.ctx, b.as(tenure.SuperAdmin, "a1"), v.ID, super.N)
		if err != nil || !i.Undecided() || b.ended.Load() != 1 {
			t.Errorf("%s, ended %d: %v", i.State(), b.ended.Load(), err)
		}
	})
}

// Of many who decide at once one does; another decision takes its place only by whoever
// has seen it.
func TestDecidedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 3, tenure.SuperAdmin)
		b.people("p", 60, tenure.Member)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		b.hand(`UPDATE access_review_items SET flags = '' WHERE person LIKE 'p%'`)
		var wg sync.WaitGroup
		var done atomic.Int64
		for n := range 8 {
			wg.Go(func() {
				_, err := b.replicas[n%2].Decide(b.ctx, b.as(tenure.SuperAdmin, "a1"), v.ID, 10, review.Choice{Decision: tenure.DecideKeep, Reason: "because"})
				if err == nil {
					done.Add(1)
				} else if code := tenure.AsError(err).Code; code != "review_item_decided" {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if done.Load() != 1 {
			t.Errorf("decided %d times", done.Load())
		}
		many := make([]int64, 51)
		for n := range many {
			many[n] = int64(n + 11)
		}
		if _, err := b.replicas[0].Keep(b.ctx, b.as(tenure.SuperAdmin, "a1"), v.ID, many, "because"); tenure.AsError(err).Code != "invalid_items" {
			t.Error(err)
		}
		if _, err := b.replicas[0].Keep(b.ctx, b.as(tenure.SuperAdmin, "a1"), v.ID, append([]int64{10}, many[:9]...), "because"); tenure.AsError(err).Code != "review_item_decided" {
			t.Error(err)
		}
		if n, err := b.replicas[0].Keep(b.ctx, b.as(tenure.SuperAdmin, "a1"), v.ID, many[:50], "because"); n.Items != 50 || err != nil {
			t.Error(n, err)
		}
		now, err := b.replicas[0].Get(b.ctx, b.as(tenure.SuperAdmin, "a2"), v.ID)
		if err != nil || now.Counts.Undecided != 63-51 {
			t.Errorf("%+v: %v", now.Counts, err)
		}
	})
}

// Another tenant's review is as one that does not exist, to everybody and in every act.
func TestTenantsAreWalls(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("p", 2, tenure.Member)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		s := &tenure.Standing{Kind: tenure.AssertedIdentity, Tenant: "other", TenantActive: true, User: "x", UserName: "x", UserActive: true, Role: tenure.SuperAdmin}
		other, err := s.Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		r := b.replicas[0]
		for name, act := range map[string]func() error{
			"get":   func() error { _, err := r.Get(b.ctx, other, v.ID); return err },
			"items": func() error { _, err := r.Items(b.ctx, other, v.ID, review.ItemFilter{}); return err },
			"item":  func() error { _, err := r.Item(b.ctx, other, v.ID, 1); return err },
			"decide": func() error {
				_, err := r.Decide(b.ctx, other, v.ID, 1, review.Choice{Decision: tenure.DecideRevoke, Reason: "because"})
				return err
			},
			"keep":     func() error { _, err := r.Keep(b.ctx, other, v.ID, []int64{1}, "because"); return err },
			"reassign": func() error { _, err := r.Reassign(b.ctx, other, v.ID, 1, "", "because"); return err },
			"close":    func() error { _, err := r.Close(b.ctx, other, v.ID, "because"); return err },
			"report":   func() error { _, err := r.Signed(b.ctx, other, v.ID); return err },
		} {
			if err := act(); !tenure.IsKind(err, tenure.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if rows, err := r.List(b.ctx, other, false, "", 10); err != nil || len(rows) != 0 || b.ended.Load() != 0 {
			t.Errorf("%d reviews, %d ended: %v", len(rows), b.ended.Load(), err)
		}
	})
}
