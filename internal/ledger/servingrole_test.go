package ledger_test

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// What somebody can do who has the role that serves on PostgreSQL, and types SQL. On SQLite
// who can write to the file can do anything.

// thief is a connection of the role that serves, which sees every tenant.
func (l past) thief() *pgx.Conn {
	l.t.Helper()
	u, err := url.Parse(l.super)
	if err != nil {
		l.t.Fatal(err)
	}
	u.User = url.UserPassword("tenure_app", "app")
	conn, err := pgx.Connect(context.Background(), u.String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(l.ctx, `SELECT set_config('tenure.tenant', '*', false)`); err != nil {
		l.t.Fatal(err)
	}
	return conn
}

// removalOf is what a true event tells of some that are removed.
func removalOf(some []store.Placed) audit.Removal {
	r := audit.Removal{Tenant: "default"}
	if len(some) == 0 {
		return r
	}
	byID := func(a, b store.Placed) int { return cmp.Compare(a.Event.ID, b.Event.ID) }
	byTime := func(a, b store.Placed) int { return a.Event.At.Compare(b.Event.At) }
	r.First, r.Last = slices.MinFunc(some, byID).Event.ID, slices.MaxFunc(some, byID).Event.ID
	r.Oldest, r.Newest = slices.MinFunc(some, byTime).Event.At, slices.MaxFunc(some, byTime).Event.At
	for _, p := range some {
		r.Leaves = append(r.Leaves, p.Hash)
	}
	return r
}

// removing tells of a removal, and has events removed.
func removing(ctx context.Context, tx *store.Tx, r audit.Removal, gone ...store.Placed) error {
	var seqs []int64
	for _, p := range gone {
		seqs = append(seqs, p.Seq)
	}
	teller := tenure.NewID(time.Now())
	if err := tx.Append(ctx, audit.EventsRemoved(teller, r)); err != nil {
		return err
	}
	return tx.RemoveEvents(ctx, teller, seqs)
}

// written are the events that were written by of.
func (l past) written() []store.Placed {
	l.t.Helper()
	all, err := l.DB.PlacedEvents(l.ctx, 0, 100)
	if err != nil {
		l.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(p store.Placed) bool { return p.Event == nil || p.Event.Action != "user.updated" })
}

// A day has 24 hours also where the clocks of the session, or of the server, are changed
// meanwhile: nothing of the last 90 goes, and what is older does.
func TestDaysHave24HoursInEveryZone(t *testing.T) {
	onPostgresWithPast(t, func(t *testing.T, l past) {
		l.of(1, 77*days, "default")
		l.of(1, 95*days, "default")
		l.wants("default", "90d")
		l.seen()
		young, old := l.written()[0], l.written()[1]
		inZone := func(before, after string) *store.DB { // for 30 days, and for 30 more
			l.hand(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), format('STD` + before + `DST` + after + `,J%s/0,J%s/0',
				(extract(doy FROM now())::int + 334) % 365 + 1, (extract(doy FROM now())::int + 29) % 365 + 1)); END $$`)
			serve := l.thief()
			var hours float64
			err := serve.QueryRow(l.ctx, `SELECT extract(epoch FROM now() - (now() - interval '90 days')) / 3600`).Scan(&hours)
			if want := map[string]float64{"167": 2160 - 334, "-167": 2160 + 334}[before]; err != nil || hours != want {
				t.Fatalf("90 days are %v hours, want %v, %v", hours, want, err)
			}
			db, err := store.OpenPostgres(l.ctx, serve.Config().ConnString(), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
		short := inZone("167", "-167")
		if err := short.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			return removing(ctx, tx, removalOf([]store.Placed{young}), young)
		}); err == nil {
			t.Error("an event of 77 days is removed")
		} else if !strings.Contains(err.Error(), "younger than 90 days") || tenure.AsError(err).Code == "not_the_owner" {
			t.Errorf("why an event of 77 days is not removed: %v", err)
		}
		if err := short.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			teller := tenure.NewID(time.Now())
			if err := tx.Append(ctx, audit.EventsErased(operator(t), teller, "x", "y", []string{young.Event.ID})); err != nil {
				return err
			}
			return tx.EraseEvent(ctx, young.Event.ID, teller, make([]byte, 32))
		}); err == nil {
			t.Error("an event of 77 days is erased")
		}
		if err := inZone("-167", "167").Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			return removing(ctx, tx, removalOf([]store.Placed{old}), old)
		}); err != nil {
			t.Errorf("an event of 95 days stays: %v", err)
		}
	})
}

// Whatever the serving role takes away, what began before a hold removes nothing under it.
func TestNothingTakesAHoldsTurnAway(t *testing.T) {
	onPostgresWithPast(t, func(t *testing.T, l past) {
		l.of(1, 200*days, "default")
		l.seen()
		old, thief, runs := l.written()[0], l.thief(), 0
		if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.AuditTail(ctx, "default", "", 1); err != nil { // what it sees is decided
				return err
			}
			if runs++; runs == 1 {
				if _, err := l.PlaceHold(l.ctx, operator(t), "Case 4711"); err != nil {
					return err
				}
				if _, err := thief.Exec(l.ctx, `DELETE FROM meta`); err != nil {
					return err
				}
			}
			return removing(ctx, tx, removalOf([]store.Placed{old}), old)
		}); err == nil {
			t.Error("it removes under a hold")
		}
		if l.there("default") != 1 {
			t.Error("an event went under a hold")
		}
	})
}

// A hold that is in force again, as after a restore, is not released by what told of it once.
func TestAHoldIsReleasedByAnEventOfItsOwn(t *testing.T) {
	onPostgresWithPast(t, func(t *testing.T, l past) {
		h, err := l.PlaceHold(l.ctx, operator(t), "Case 4711")
		if err != nil {
			t.Fatal(err)
		}
		if h, err = l.ReleaseHold(l.ctx, operator(t), h.ID, "over"); err != nil {
			t.Fatal(err)
		}
		l.hand(`ALTER TABLE audit_holds DISABLE TRIGGER USER; UPDATE audit_holds SET released_at = NULL; ALTER TABLE audit_holds ENABLE TRIGGER USER`)
		if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseAuditHold(ctx, h) }); err == nil {
			t.Error("it is released, and the event that tells of it is one of before")
		}
		l.hand(`ALTER TABLE audit_holds DISABLE TRIGGER USER; UPDATE audit_holds SET released_at = NULL; ALTER TABLE audit_holds ENABLE TRIGGER USER`)
		if _, err := l.ReleaseHold(l.ctx, operator(t), h.ID, "over again"); err != nil {
			t.Error(err)
		}
	})
}

// What tells of a removal tells the ids and the times of what goes, however short a time is
// written: else nobody who asks for a period, or an event, would be told of it.
func TestARemovalTellsItsTimes(t *testing.T) {
	onPostgresWithPast(t, func(t *testing.T, l past) {
		l.of(4, 200*days, "default")
		l.hand(`UPDATE audit_events SET at = date_trunc('second', at) + n * interval '0.01 seconds' FROM (VALUES (0, 0), (1, 10), (2, 25)) v (row, n)
			WHERE action = 'user.updated' AND reason = row::text`)
		l.seen()
		all := l.written()
		some := all[:2]
		remove := func(r audit.Removal, gone ...store.Placed) error {
			return l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return removing(ctx, tx, r, gone...) })
		}
		for what, change := range map[string]func(*audit.Removal){
			"another first id":    func(r *audit.Removal) { r.First = "0" },
			"another last id":     func(r *audit.Removal) { r.Last = r.First },
			"an earlier oldest":   func(r *audit.Removal) { r.Oldest = r.Oldest.Add(-time.Microsecond) },
			"a later newest":      func(r *audit.Removal) { r.Newest = r.Newest.Add(time.Microsecond) },
			"times of long ago":   func(r *audit.Removal) { r.Oldest, r.Newest = time.Unix(0, 0), time.Unix(1, 0) },
			"no ids and no times": func(r *audit.Removal) { *r = audit.Removal{Tenant: r.Tenant, Leaves: r.Leaves} },
		} {
			r := removalOf(some)
			if change(&r); remove(r, some...) == nil {
				t.Fatal("events are removed, and told with", what)
			}
		}
		for i := range 4 {
			if err := remove(removalOf(all[i:i+1]), all[i]); err != nil {
				t.Errorf("at %v: %v", all[i].Event.At, err)
			}
		}
	})
}
