package directory

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// keeper is a directory whose clock the test moves.
func keeper(t *testing.T) (d *Directory, forward func(time.Duration)) {
	t.Helper()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Microsecond); return now }
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(store.Change) {},
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Options: live.Options{Now: clock, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	return &Directory{DB: db, Live: l, Uses: &store.LastUse{DB: db}}, func(by time.Duration) { now = now.Add(by) }
}

func (d *Directory) mustBe(t *testing.T, id tenure.ServiceAccountID, state string) tenure.ServiceAccount {
	t.Helper()
	a, err := d.DB.Account(t.Context(), tenure.DefaultTenant, id, d.DB.Now())
	if err != nil || a.State(d.DB.Now()) != state {
		t.Errorf("%s is %s, not %s (%v)", a.Name, a.State(d.DB.Now()), state, err)
	}
	return a
}

func (d *Directory) keep(t *testing.T, want int) {
	t.Helper()
	if n, err := d.Housekeep(t.Context()); n != want || err != nil {
		t.Errorf("%d ended, want %d (%v)", n, want, err)
	}
}

func TestHousekeepingEndsForGood(t *testing.T) {
	d, forward := keeper(t)
	by := operator(t)
	know(t, d.DB, tenure.SourceSCIM, true, "bob@example.com", "heidi@example.com")
	bob, err := d.DB.UserByName(t.Context(), tenure.DefaultTenant, "bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	account := func(name, owner string, life time.Duration) tenure.ServiceAccount {
		t.Helper()
		a, err := d.CreateAccount(t.Context(), by, AccountSpec{Workspace: "default", Name: name, About: "x", Owner: owner, ExpiresAt: d.DB.Now().Add(life)})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	dated := account("dated", "heidi@example.com", 48*time.Hour)
	left := account("left", "bob@example.com", 300*24*time.Hour)
	d.keep(t, 0)
	forward(47 * time.Hour)
	d.keep(t, 0)
	d.mustBe(t, dated.ID, "active")
	forward(2 * time.Hour)
	d.mustBe(t, dated.ID, "expired")
	later := d.DB.Now().Add(time.Hour)
	if _, err := d.UpdateAccount(t.Context(), by, dated.ID, AccountChange{ExpiresAt: &later}); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("an end date that is past was moved: %v", err)
	}
	d.keep(t, 1)
	d.keep(t, 0)
	if a := d.mustBe(t, dated.ID, "ended"); a.EndReason != "its end date is past" || a.EndedBy != "system" {
		t.Errorf("ended %+v", a)
	}

	_, ended, err := d.Deactivate(t.Context(), by, bob.ID, "left")
	if err != nil || ended.Orphans != 1 || len(ended.Accounts) != 0 {
		t.Errorf("ended %+v, %v", ended, err)
	}
	if a := d.mustBe(t, left.ID, "orphaned"); a.GraceEndsAt.Sub(a.OrphanedAt) != 14*24*time.Hour {
		t.Errorf("its grace ends at %s", a.GraceEndsAt)
	}
	forward(13 * 24 * time.Hour)
	d.keep(t, 0)
	if _, err := d.Reactivate(t.Context(), by, bob.ID); err != nil {
		t.Fatal(err)
	}
	d.mustBe(t, left.ID, "orphaned") // who comes back has nothing back
	forward(25 * time.Hour)
	heidi := "heidi@example.com"
	if _, err := d.UpdateAccount(t.Context(), by, left.ID, AccountChange{Owner: &heidi}); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("an account was taken over after its grace: %v", err)
	}
	d.keep(t, 1)
	d.mustBe(t, left.ID, "ended")
	events, err := d.DB.AuditTail(t.Context(), tenure.DefaultTenant, "service_account.ended", 10)
	if err != nil || len(events) != 2 || events[0].ActorKind != "system" || events[0].Object != "left" {
		t.Errorf("told %+v (%v)", events, err)
	}
	account("left", heidi, time.Hour) // the name is free
}

func TestTheOldOwnerTakesOverAgain(t *testing.T) {
	d, _ := keeper(t)
	by := operator(t)
	know(t, d.DB, tenure.SourceSCIM, true, "bob@example.com")
	bob, err := d.DB.UserByName(t.Context(), tenure.DefaultTenant, "bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.CreateAccount(t.Context(), by, AccountSpec{Workspace: "default", Name: "nightly", About: "x", Owner: string(bob.ID)})
	if err != nil || a.ExpiresAt.Sub(a.CreatedAt) != AccountLife {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, _, err := d.Deactivate(t.Context(), by, bob.ID, "left"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.UpdateAccount(t.Context(), by, a.ID, AccountChange{Owner: &bob.UserName}); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("given to somebody who has left: %v", err)
	}
	if _, err := d.Reactivate(t.Context(), by, bob.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.UpdateAccount(t.Context(), by, a.ID, AccountChange{Owner: &bob.UserName}); err != nil {
		t.Error(err)
	}
	d.mustBe(t, a.ID, "active")
}
