package exception

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(*testing.T, *Exceptions)) {
	everywhere := tenure.Everywhere(t.Context())
	act := func(db *store.DB) *Exceptions {
		t.Cleanup(func() { _ = db.Close() })
		l := &live.Live{
			DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(store.Change) {},
			Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
			Options: live.Options{Now: time.Now, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
		}
		l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
		return &Exceptions{DB: db, Live: l}
	}
	t.Run("SQLite", func(t *testing.T) {
		db, err := store.OpenSQLite(everywhere, filepath.Join(t.TempDir(), "tenure.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, act(db))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url, _ := storetest.Postgres(t)
		db, err := store.OpenPostgres(everywhere, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, act(db))
	})
}

// people makes active administrators, and gives them as they are signed in.
func people(t *testing.T, s *Exceptions, names ...string) []tenure.Principal {
	t.Helper()
	out := make([]tenure.Principal, 0, len(names))
	for _, name := range names {
		u := tenure.User{
			ID: tenure.UserID(tenure.NewID(time.Now())), Tenant: tenure.DefaultTenant, UserName: name + "@example.com", Active: true,
			Role: tenure.Admin, Source: tenure.SourceProxy, CreatedAt: time.Now(), UpdatedAt: time.Now(),
		}
		if err := s.DB.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, u) }); err != nil {
			t.Fatal(err)
		}
		p, err := (&tenure.Standing{
			Kind: tenure.AssertedIdentity, Tenant: u.Tenant, TenantActive: true, User: u.ID, UserName: u.UserName, UserActive: true, Role: u.Role,
		}).Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func wanted(subject string) Spec {
	low := tenure.Risk{Likelihood: "low", Impact: "low"}
	return Spec{
		Title: "x", Rule: tenure.RuleTokenLifetime, Subject: Subject{tenure.SubjectUser, subject}, Reason: "x", Controls: "x", Risks: Risks{low, low},
		Time: Time{End: time.Now().Add(time.Hour)}, Remedy: Remedy{Plan: "x"},
	}
}

// Of all who approve at once, whoever asked and whom it is for among them, one does, and
// that is neither of these two; and there is one event of it.
func TestFourEyes(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Exceptions) {
		ctx := tenure.Everywhere(t.Context())
		all := people(t, s, "asker", "subject", "first", "second")
		for round := range 5 {
			x, err := s.Ask(ctx, all[0], wanted("subject@example.com"))
			if err != nil {
				t.Fatal(err)
			}
			var approved sync.Map
			var wg sync.WaitGroup
			for _, p := range append(all, all...) {
				wg.Go(func() {
					if _, err := s.Approve(ctx, p, x.ID, fmt.Sprint("round ", round)); err == nil {
						approved.Store(p.Label(), true)
					}
				})
			}
			wg.Wait()
			var who []any
			approved.Range(func(k, _ any) bool { who = append(who, k); return true })
			is, err := s.Read(ctx, all[0], x.ID)
			if err != nil || len(who) != 1 || is.DecidedBy != who[0] || is.Decider == all[0].User() || is.Decider == all[1].User() || is.Status != tenure.ExceptionActive {
				t.Fatalf("approved by %v: %+v, %v", who, is, err)
			}
			events, err := s.DB.AuditAfter(ctx, 0, []string{"exception.approved"}, 100)
			if err != nil || len(events) != round+1 {
				t.Errorf("%d events, %v", len(events), err)
			}
		}
	})
}

// Past the act that looks first, the statement itself refuses who asked and whom it is
// for, and what does not wait any more.
func TestTheStatementRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Exceptions) {
		ctx := tenure.Everywhere(t.Context())
		all := people(t, s, "asker", "subject", "other")
		x, err := s.Ask(ctx, all[0], wanted("subject@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		approve := func(by tenure.UserID) error {
			return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				is := x.Exception
				is.Decider, is.DecidedBy, is.DecidedAt = by, "x", tx.Now()
				return tx.ApproveException(ctx, is)
			})
		}
		for i, want := range []bool{false, false, true} {
			if err := approve(all[i].User()); (err == nil) != want {
				t.Errorf("%s: %v", all[i].Label(), err)
			}
		}
		if err := approve(all[2].User()); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("a second time: %v", err)
		}
	})
}

// What ends soon is counted once it is approved, and while nothing has ended it.
func TestDue(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Exceptions) {
		ctx := tenure.Everywhere(t.Context())
		all := people(t, s, "asker", "subject", "other")
		is := func(what string, within time.Duration, want int) {
			t.Helper()
			if ending, overdue, err := s.Due(ctx, all[2], within); ending != want || overdue != 0 || err != nil {
				t.Errorf("%s: %d end, %d overdue, %v", what, ending, overdue, err)
			}
		}
		x, err := s.Ask(ctx, all[0], wanted("subject@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		is("asked for", 2*time.Hour, 0)
		if _, err := s.Approve(ctx, all[2], x.ID, "x"); err != nil {
			t.Fatal(err)
		}
		is("approved", 2*time.Hour, 1)
		is("in the next minute", time.Minute, 0)
		if _, err := s.Revoke(ctx, all[2], x.ID, "x"); err != nil {
			t.Fatal(err)
		}
		is("revoked", 2*time.Hour, 0)
	})
}

// An exception whose live check fails is out of force, which is told once, however many
// look; nobody approves it before what compensates holds again. So it is with a check that
// nobody knows.
func TestLiveChecks(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Exceptions) {
		ctx := tenure.Everywhere(t.Context())
		all := people(t, s, "asker", "subject", "other")
		limit := tenure.UsageLimit{
			ID: "l", Tenant: tenure.DefaultTenant, Kind: tenure.SubjectUser, Subject: string(all[1].User()),
			Bounds: tenure.UsageBounds{RequestsPerMinute: 10}, CreatedAt: time.Now(), UpdatedAt: time.Now(),
		}
		tx := func(do func(context.Context, *store.Tx) error) {
			t.Helper()
			if err := s.DB.Tx(ctx, do); err != nil {
				t.Fatal(err)
			}
		}
		spec := wanted("subject@example.com")
		spec.Check = "no_such_check"
		if _, err := s.Ask(ctx, all[0], spec); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("a check that there is not: %v", err)
		}
		spec.Check = "rate_limit_set"
		x, err := s.Ask(ctx, all[0], spec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Approve(ctx, all[2], x.ID, "x"); !tenure.IsKind(err, tenure.Conflict) {
			t.Errorf("approved without what compensates: %v", err)
		}
		tx(func(ctx context.Context, tx *store.Tx) error { return tx.InsertLimit(ctx, limit) })
		is := func(what, want string, events int) {
			t.Helper()
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if err := s.Housekeep(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			v, err := s.Read(ctx, all[0], x.ID)
			if err != nil || v.Status != want || v.CheckedAt.IsZero() {
				t.Errorf("%s: %+v, %v", what, v, err)
			}
			if told, err := s.DB.AuditAfter(ctx, 0, []string{"exception.failed"}, 10); err != nil || len(told) != events {
				t.Errorf("%s: %d events, %v", what, len(told), err)
			}
		}
		if _, err := s.Approve(ctx, all[2], x.ID, "x"); err != nil {
			t.Fatal(err)
		}
		is("with the limit", tenure.ExceptionActive, 0)
		tx(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteLimit(ctx, limit.Tenant, limit.ID) })
		is("without it", tenure.ExceptionFailed, 1)
		if _, err := s.Approve(ctx, all[2], x.ID, "x"); !tenure.IsKind(err, tenure.Conflict) {
			t.Errorf("approved again without what compensates: %v", err)
		}
		tx(func(ctx context.Context, tx *store.Tx) error { return tx.InsertLimit(ctx, limit) })
		is("nobody approved it again", tenure.ExceptionFailed, 1)
		if _, err := s.Approve(ctx, all[2], x.ID, "x"); err != nil {
			t.Fatal(err)
		}
		is("approved again", tenure.ExceptionActive, 1)
	})
}

// In a tenant beside the installation's own the operator asks for an exception of where a
// provider may be, and for its renewal: who administers the tenant approves, and no more.
func TestOperatorAsksWhereProvidersMayBe(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Exceptions) {
		ctx := tenure.Everywhere(t.Context())
		admit := func(st tenure.Standing) tenure.Principal {
			st.TenantActive = true
			p, err := st.Admit(time.Now(), 0)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		for tenant, want := range map[tenure.TenantID]tenure.Kind{"acme": tenure.Forbidden, tenure.DefaultTenant: tenure.Internal} {
			now := time.Now()
			u := tenure.User{
				ID: tenure.UserID("u-" + tenant), Tenant: tenant, UserName: "ada@" + string(tenant) + ".example", Active: true, Role: tenure.Admin, Source: tenure.SourceProxy, CreatedAt: now, UpdatedAt: now,
			}
			space := tenure.WorkspaceID("w-" + tenant)
			p := tenure.Provider{ID: tenure.ProviderID("p-" + tenant), Tenant: tenant, Workspace: space, Name: "lab", Kind: tenure.OpenAI, BaseURL: "http://10.0.0.7/v1", CreatedAt: now, UpdatedAt: now}
			if err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				var err error
				if tenant != tenure.DefaultTenant {
					err = tx.InsertTenant(ctx, tenure.Tenant{ID: tenant, Name: string(tenant), Active: true, CreatedAt: now})
				}
				return errors.Join(err, tx.InsertUser(ctx, u), tx.InsertWorkspace(ctx, tenure.Workspace{ID: space, Tenant: tenant, Name: "Lab", CreatedAt: now}), tx.InsertProvider(ctx, p))
			}); err != nil {
				t.Fatal(err)
			}
			ada := admit(tenure.Standing{Kind: tenure.AssertedIdentity, Tenant: tenant, User: u.ID, UserName: u.UserName, UserActive: true, Role: u.Role})
			operator := admit(tenure.Standing{Kind: tenure.Operator, Tenant: tenant, Role: tenure.SuperAdmin})
			spec := wanted(string(p.ID))
			spec.Rule, spec.Subject.Kind, spec.Remedy.Owner = tenure.RuleProviderNetwork, tenure.SubjectProvider, u.UserName
			refused := func(err error) bool {
				return (want == tenure.Forbidden) == (tenure.IsKind(err, tenure.Forbidden) && tenure.AsError(err).Code == "operators_networks")
			}
			if _, err := s.Ask(ctx, ada, spec); !refused(err) {
				t.Errorf("%s: who administers it asks: %v", tenant, err)
			}
			x, err := s.Ask(ctx, operator, spec)
			if err == nil {
				_, err = s.Approve(ctx, ada, x.ID, "it is ours")
			}
			if err != nil {
				t.Fatalf("%s: %v", tenant, err)
			}
			if _, err := s.Renew(ctx, ada, x.ID, Spec{Time: Time{End: now.Add(2 * time.Hour)}}); !refused(err) {
				t.Errorf("%s: who administers it renews: %v", tenant, err)
			}
		}
	})
}
