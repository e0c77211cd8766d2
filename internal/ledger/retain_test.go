package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/store"
)

const days = 24 * time.Hour

// wants has events of a tenant kept so long.
func (l past) wants(tenant tenure.TenantID, keep string) {
	l.t.Helper()
	l.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetPolicy(ctx, tenant, "audit_retention", keep, "")
	})
}

func (l past) tx(f func(context.Context, *store.Tx) error) {
	l.t.Helper()
	if err := l.DB.Tx(l.ctx, f); err != nil {
		l.t.Fatal(err)
	}
}

// of writes events of tenants, one of each in turn, some time ago.
func (l past) of(n int, ago time.Duration, tenants ...tenure.TenantID) {
	l.t.Helper()
	l.ago.Store(int64(ago))
	defer l.ago.Store(0)
	for i := range n {
		l.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, tenure.AuditEvent{
				Tenant: tenants[i%len(tenants)], Action: "user.updated", ActorKind: "system", Outcome: "success", Reason: fmt.Sprint(i),
			})
		})
	}
}

// seen gives events their places, and has the log verified as who serves does.
func (l past) seen() {
	l.t.Helper()
	l.place()
	if _, err := l.VerifyNow(l.ctx, operator(l.t)); err != nil {
		l.t.Fatal(err)
	}
	if err := l.Look(l.ctx); err != nil {
		l.t.Fatal(err)
	}
}

// retains removes what may go, and reports whether something was in the way.
func (l past) retains() bool {
	l.t.Helper()
	waiting, err := l.Retain(l.ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	return len(waiting) > 0
}

// there counts the events of a tenant that are there and were written by of.
func (l past) there(tenant tenure.TenantID) int {
	l.t.Helper()
	rows, err := l.DB.AuditTail(l.ctx, tenant, "user.updated", 10_000)
	if err != nil {
		l.t.Fatal(err)
	}
	return len(rows)
}

// exported verifies the log offline.
func (l past) exported() ledger.Answer {
	l.t.Helper()
	var out bytes.Buffer
	if _, err := l.Export(l.ctx, operator(l.t), &out, func(int64, int64) {}); err != nil {
		l.t.Fatal(err)
	}
	a, err := ledger.VerifyExport(&out, ledger.Question{})
	if err != nil {
		l.t.Fatal(err)
	}
	return a
}

// What is older than a tenant wants it kept goes, told; what is younger than 90 days, of
// another tenant, or what verification stands on stays, and all of it is verified.
func TestRetention(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.of(1300, 200*days, "default", "second")
		l.of(10, 100*days, "default", "second")
		l.ago.Store(int64(300 * days))
		l.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, audit.KeyMade("old", "old"))
		})
		l.of(10, time.Hour, "default", "second")
		l.wants("default", "150d")
		if l.retains(); l.there("default") != 660 {
			t.Fatal("what has no place is removed")
		}
		l.place()
		if !l.retains() || l.there("default") != 660 {
			t.Fatal("what is not verified is removed")
		}
		l.seen()
		if l.retains() || l.there("default") != 10 || l.there("second") != 660 || l.Removed() != 650 {
			t.Fatalf("%d and %d are there, %d were removed", l.there("default"), l.there("second"), l.Removed())
		}
		rows, err := l.DB.AuditTail(l.ctx, "default", audit.Removed, 10)
		if err != nil || len(rows) != 2 || rows[1].Detail["count"] != "500" || rows[0].Detail["count"] != "150" || rows[0].Detail["audit_retention"] != "150d" {
			t.Errorf("told: %+v, %v", rows, err)
		}
		if kept, err := l.DB.AuditTail(l.ctx, "default", "audit_key.made", 10); err != nil || len(kept) != 2 {
			t.Errorf("of what verification stands on there is %+v, %v", kept, err)
		}
		whole := func(when string, a ledger.Answer, removed int64) {
			t.Helper()
			if a.Fault != nil || a.Removed != removed {
				t.Errorf("%s: %+v %+v", when, a, a.Fault)
			}
		}
		whole("not placed yet", l.verify(ledger.Question{}), 650)
		l.seen()
		whole("placed", l.verify(ledger.Question{}), 650)
		whole("offline", l.exported(), 650)
		l.wants("default", "90d")
		l.wants("second", "0")
		if l.retains() || l.there("default") != 5 || l.there("second") != 660 {
			t.Errorf("%d and %d are there", l.there("default"), l.there("second"))
		}
		l.seen()
		whole("again", l.verify(ledger.Question{}), 655)
	})
}

// An event that a hand has made old, another tenant's, or another kind is not removed: that
// would be told, and never show. All of the log is verified instead.
func TestChangedByHandIsNotRemoved(t *testing.T) {
	for what, sql := range map[string]string{
		"young":           "UPDATE audit_events SET at = (SELECT min(at) FROM audit_events) WHERE seq = (SELECT max(seq) FROM audit_events WHERE action = 'user.updated')",
		"another's":       "UPDATE audit_events SET tenant_id = 'default' WHERE tenant_id = 'second'",
		"of another kind": "UPDATE audit_events SET action = 'user.updated' WHERE action = 'audit.fault_found'",
	} {
		t.Run(what, func(t *testing.T) {
			onBothWithPast(t, func(t *testing.T, l past) {
				l.of(2, 200*days, "default", "second")
				l.ago.Store(int64(200 * days))
				l.tx(func(ctx context.Context, tx *store.Tx) error {
					return tx.Append(ctx, tenure.AuditEvent{Tenant: "default", Action: audit.FaultFound, ActorKind: "system", Outcome: "success"})
				})
				l.of(2, time.Hour, "default")
				l.wants("default", "90d")
				l.seen()
				l.hand(sql)
				if waiting, err := l.Retain(l.ctx); err == nil || !strings.Contains(err.Error(), "was changed") || len(waiting) != 1 || l.Removed() != 0 {
					t.Errorf("%v, %v, %d were removed", waiting, err, l.Removed())
				}
				if err := l.Look(l.ctx); err != nil {
					t.Fatal(err)
				}
				if v, err := l.Verification(l.ctx, operator(t)); err != nil || v.Fault == nil || !strings.Contains(v.Fault.What, "changed") {
					t.Errorf("verified %+v, %v", v, err)
				}
				if !l.retains() || l.Removed() != 0 {
					t.Error("with a fault something is removed")
				}
			})
		})
	}
}

// What grows old hour by hour is told once a day, and what may go only in part waits for
// the rest.
func TestRemovedOnceADay(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		for i := range 60 {
			l.of(1, 101*days-time.Duration(i)*time.Hour, "default")
		}
		l.wants("default", "100d")
		l.seen()
		told := func() int {
			rows, err := l.DB.AuditTail(l.ctx, "default", audit.Removed, 1000)
			if err != nil {
				t.Fatal(err)
			}
			return len(rows)
		}
		defer l.ago.Store(0)
		for i := range 60 { // the clock goes on
			l.ago.Store(-int64(time.Duration(i) * time.Hour))
			if l.retains() {
				t.Fatal("something waits")
			}
		}
		if n := told(); n > 4 || l.there("default") >= 25 {
			t.Errorf("%d events tell that %d were removed", n, l.Removed())
		}
		before, there := told(), l.there("default")
		l.of(5, 150*days, "default")
		l.seen()
		l.of(5, 150*days, "default")
		if l.place(); !l.retains() || l.there("default") != there+10 {
			t.Error("some go before the others may")
		}
		if l.seen(); l.retains() || l.there("default") != there || told() != before+1 {
			t.Errorf("%d are there, told by %d more", l.there("default"), told()-before)
		}
	})
}

// A tenant of which something waits has nothing looked for in the others' logs.
func TestOneTenantWaits(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		for _, tenant := range []tenure.TenantID{"default", "second"} {
			l.wants(tenant, "90d")
		}
		l.of(4, 200*days, "default", "second")
		l.seen()
		if _, err := l.PlaceHold(l.ctx, operator(t), "Case 4711"); err != nil {
			t.Fatal(err)
		}
		waiting, err := l.Retain(l.ctx)
		if err != nil || len(waiting) != 1 || waiting[0] != "default" || l.there("default") != 2 || l.there("second") != 0 {
			t.Errorf("%v waits, %v", waiting, err)
		}
		l.of(4, 200*days, "default", "second")
		l.seen()
		if waiting, err = l.Retain(l.ctx, waiting...); err != nil || len(waiting) != 1 || l.there("second") != 2 {
			t.Errorf("%v waits, %v; of the other %d are there", waiting, err, l.there("second"))
		}
	})
}

// Who asks for the proof of an event that is not there is told what was removed of its time,
// of what they see.
func TestProofOfWhatWasRemoved(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertTenant(ctx, tenure.Tenant{ID: "second", Name: "second", Active: true, CreatedAt: tx.Now()})
		})
		l.of(6, 200*days, "default", "second")
		for _, tenant := range []tenure.TenantID{"default", "second"} {
			l.wants(tenant, "90d")
		}
		l.seen()
		all, err := l.DB.PlacedEvents(l.ctx, 0, 6)
		if err != nil {
			t.Fatal(err)
		}
		l.retains()
		super, err := (&tenure.Standing{
			Kind: tenure.BrowserSession, Tenant: "default", TenantActive: true, User: "u", UserActive: true, Session: "s", Role: tenure.SuperAdmin,
		}).Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		code := func(by tenure.Principal, id string) string {
			_, err := l.Prove(l.ctx, by, id)
			return tenure.AsError(err).Code
		}
		first, last := all[0].Event.ID, all[5].Event.ID // of one tenant, and of the other
		if code(operator(t), first) != "audit_event_removed" || code(operator(t), last) != "audit_event_removed" || code(super, first) != "audit_event_removed" {
			t.Error("a proof does not tell of the removal")
		}
		if code(super, last) == "audit_event_removed" || code(operator(t), "0") == "audit_event_removed" {
			t.Error("a proof tells of the removal of others")
		}
	})
}

// What a hand removes beside what was told is named, online and offline: by itself, with a
// leaf that says that an act did it, of another tenant, recent, or put back.
func TestRemovedByHand(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.of(40, 200*days, "default", "second")
		l.of(4, time.Hour, "default", "second")
		l.wants("default", "100d")
		l.seen()
		l.retains()
		l.seen()
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Removed != 20 {
			t.Fatalf("%+v %+v", a, a.Fault)
		}
		teller := "(SELECT id FROM audit_events WHERE action = 'audit.events_removed')"
		gone, err := l.DB.PlacedEvents(l.ctx, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		first, there, recent := int64(-1), int64(-1), int64(-1) // of what was told; of another tenant; young
		for _, p := range gone {
			switch {
			case p.Event == nil && first < 0:
				first = p.Place
			case p.Event != nil && p.Event.Tenant == "second" && there < 0:
				there = p.Place
			}
			if p.Event != nil && p.Event.Action == "user.updated" && p.Event.Tenant == "default" {
				recent = p.Place
			}
		}
		l.hand("CREATE TABLE kept_e AS SELECT * FROM audit_events; CREATE TABLE kept_l AS SELECT * FROM audit_leaves")
		at := func(place int64) string { return fmt.Sprintf("(SELECT seq FROM audit_leaves WHERE place = %d)", place) }
		for _, c := range []struct {
			what, sql string
			place     int64
			says      string
		}{
			{"another tenant's", "DELETE FROM audit_events WHERE seq = " + at(there), there, "no event tells"},
			{"a recent one", "DELETE FROM audit_events WHERE seq = " + at(recent), recent, "no event tells"},
			{"a recent one, as if told", "DELETE FROM audit_events WHERE seq = " + at(recent) + fmt.Sprintf("; UPDATE audit_leaves SET told_by = %s WHERE place = %d", teller, recent), min(first, recent), "tells of others"},
			{"one more than told", "DELETE FROM audit_events WHERE seq = " + at(there) + fmt.Sprintf("; UPDATE audit_leaves SET told_by = %s WHERE place = %d", teller, there), min(first, there), "tells of others"},
			{"told by nothing", "DELETE FROM audit_events WHERE seq = " + at(there) + fmt.Sprintf("; UPDATE audit_leaves SET told_by = 'x' WHERE place = %d", there), there, "tells of others"},
			{"what tells", "DELETE FROM audit_events WHERE action = 'audit.events_removed'", first, "tells of others"},
			{"a leaf", fmt.Sprintf("UPDATE audit_leaves SET told_by = NULL WHERE place = %d", first), first, "no event tells"},
			{"its leaf", fmt.Sprintf("UPDATE audit_leaves SET hash = (SELECT hash FROM kept_l WHERE place = %d) WHERE place = %d", recent, first), 0, "changed together"},
			{"what was removed is put back", fmt.Sprintf("INSERT INTO audit_events (seq, id, at, tenant_id, action, actor_kind, outcome, detail) SELECT (SELECT seq FROM audit_leaves WHERE place = %d), 'fake', at, tenant_id, action, actor_kind, outcome, detail FROM audit_events WHERE seq = %s", first, at(recent)), first, "says that it was removed"},
		} {
			l.hand(c.sql)
			for where, a := range map[string]ledger.Answer{"online": l.verify(ledger.Question{}), "offline": l.exported()} {
				if a.Fault == nil || a.Fault.Place != c.place || !strings.Contains(a.Fault.What, c.says) || a.Places != c.place && c.says != "changed together" {
					t.Errorf("%s, %s: %d places, fault %+v, want one at %d", c.what, where, a.Places, a.Fault, c.place)
				}
			}
			l.hand("DELETE FROM audit_events; DELETE FROM audit_leaves; INSERT INTO audit_events " + l.overriding() + "SELECT * FROM kept_e; INSERT INTO audit_leaves SELECT * FROM kept_l")
			if a := l.verify(ledger.Question{}); a.Fault != nil {
				t.Fatalf("after %s: %+v", c.what, a.Fault)
			}
		}
	})
}

// overriding lets rows keep their numbers.
func (l past) overriding() string {
	if l.file != "" {
		return ""
	}
	return "OVERRIDING SYSTEM VALUE "
}

// What the role that serves may do of it by itself: nothing that is recent, that no event
// tells of exactly, that is another tenant's, or that is held.
func TestTheServingRoleRemovesNothingUntold(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.of(4, 200*days, "default")
		l.of(1, 200*days, "second")
		l.of(1, time.Hour, "default")
		l.ago.Store(int64(200 * days))
		for _, action := range audit.Lasting() {
			l.tx(func(ctx context.Context, tx *store.Tx) error {
				return tx.Append(ctx, tenure.AuditEvent{Tenant: "default", Action: action, ActorKind: "system", Outcome: "success"})
			})
		}
		l.ago.Store(0)
		l.seen()
		all, err := l.DB.PlacedEvents(l.ctx, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		// remove has events removed, told as of others.
		remove := func(told []store.Placed, gone ...store.Placed) error {
			return l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return removing(ctx, tx, removalOf(told), gone...) })
		}
		postgres := l.file == ""
		for what, err := range map[string]error{
			"another number than was told": remove(all[:1], all[:2]...),
			"nothing":                      remove(nil),
			"one of another tenant":        remove(all[4:5], all[4]),
			"one of another tenant, too":   remove(all[3:5], all[3], all[4]),
			"one that is not there":        remove(all[:1], store.Placed{Seq: 12345}),
		} {
			if err == nil {
				t.Error("it removes", what)
			}
		}
		if postgres {
			for what, err := range map[string]error{"a recent one": remove(all[5:6], all[5]), "others than were told": remove(all[:1], all[1]), "what is told in another order": remove([]store.Placed{all[1], all[0]}, all[0], all[1])} {
				if err == nil {
					t.Error("it removes", what)
				}
			}
		}
		for _, p := range all[6:] {
			if audit.Lasts(p.Event.Action) && remove([]store.Placed{p}, p) == nil {
				t.Error("it removes", p.Event.Action)
			}
		}
		h, err := l.PlaceHold(l.ctx, operator(t), "Case 4711")
		if err != nil {
			t.Fatal(err)
		}
		if remove(all[:1], all[0]) == nil {
			t.Error("it removes what is held")
		}
		if postgres {
			l.tx(func(ctx context.Context, tx *store.Tx) error {
				return tx.Append(ctx, audit.EventsErased(operator(t), "0198c0de-0000-7000-8000-000000000001", "x", "y", []string{all[0].Event.ID}))
			})
			if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
				return tx.EraseEvent(ctx, all[0].Event.ID, "0198c0de-0000-7000-8000-000000000001", make([]byte, 32))
			}); err == nil {
				t.Error("it erases what is held")
			}
			if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
				h.ReleasedAt, h.ReleasedBy, h.ReleaseReason = tx.Now(), "nobody", "none"
				return tx.ReleaseAuditHold(ctx, h)
			}); err == nil {
				t.Error("it releases a hold, and no event tells of it")
			}
		}
		if _, err := l.ReleaseHold(l.ctx, operator(t), h.ID, "over"); err != nil {
			t.Fatal(err)
		}
		if err := remove(all[:3], all[:3]...); err != nil {
			t.Error(err)
		}
		if remove(all[:3], all[:3]...) == nil {
			t.Error("it removes what is gone")
		}
		l.seen()
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Removed != 3 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
	})
}

// While a hold is in force nothing goes; a transaction that began before it was placed, and
// does not see it, removes nothing either.
func TestNothingGoesUnderAHold(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.of(10, 200*days, "default", "second")
		for _, tenant := range []tenure.TenantID{"default", "second"} {
			l.wants(tenant, "90d")
		}
		l.seen()
		leaver := tenure.User{ID: "leaver", Tenant: tenure.DefaultTenant, UserName: "lee@example.com", Role: tenure.Member, Source: tenure.SourceProxy, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		l.tx(func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, leaver) })
		all, err := l.DB.PlacedEvents(l.ctx, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		if l.file == "" { // SQLite has one writer at a time
			runs := 0
			err = l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
				if _, err := tx.AuditTail(ctx, "default", "", 1); err != nil { // what it sees is decided
					return err
				}
				if runs++; runs == 1 {
					if _, err := l.PlaceHold(l.ctx, operator(t), "Case 4711"); err != nil {
						return err
					}
				}
				return removing(ctx, tx, removalOf(all), all...)
			})
			if err == nil {
				t.Error("what began before the hold was placed removes under it")
			}
		} else if _, err := l.PlaceHold(l.ctx, operator(t), "Case 4711"); err != nil {
			t.Fatal(err)
		}
		if !l.retains() || l.there("default") != 5 || l.there("second") != 0 {
			t.Errorf("%d and %d are there", l.there("default"), l.there("second"))
		}
		if _, err := l.Erase(l.ctx, operator(t), ledger.Erasure{Person: "leaver", Reason: "r"}); tenure.AsError(err).Code != "audit_held" {
			t.Errorf("erased under a hold: %v", err)
		}
		if _, err := l.PlaceHold(l.ctx, operator(t), "Case 4712"); err != nil {
			t.Fatal(err)
		}
		holds, err := l.Holds(l.ctx, operator(t))
		if err != nil || len(holds) != 2 {
			t.Fatal(holds, err)
		}
		for i, h := range holds {
			if _, err := l.ReleaseHold(l.ctx, operator(t), h.ID, "over"); err != nil {
				t.Fatal(err)
			}
			if _, err := l.ReleaseHold(l.ctx, operator(t), h.ID, "over"); tenure.AsError(err).Code != "audit_hold_released" {
				t.Errorf("released twice: %v", err)
			}
			if l.retains() != (i == 0) || (l.there("default") == 0) != (i == 1) {
				t.Errorf("%d released, %d events are there", i+1, l.there("default"))
			}
		}
	})
}

// What goes while the log is verified, or exported, is no fault.
func TestRemovedWhileItIsVerified(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.of(250, 200*days, "second") // so that what goes at once is of two pages
		l.of(2500, 200*days, "default")
		l.wants("default", "90d")
		l.seen()
		gone := false
		a := l.verify(ledger.Question{Tell: func(int64, int64) {
			if !gone { // behind the first page, which has what goes
				gone = true
				l.retains()
			}
		}})
		if a.Fault != nil || l.there("default") != 0 || a.Removed == 0 || a.Removed >= 2500 {
			t.Errorf("%+v %+v, %d are there", a, a.Fault, l.there("default"))
		}
	})
}

// Begun anew, what was removed has no place any more; the event that tells of it has, and
// is about nothing that is missing.
func TestBegunAnewAfterARemoval(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.of(20, 200*days, "default")
		l.of(5, time.Hour, "default")
		l.wants("default", "90d")
		l.seen()
		l.retains()
		l.seen()
		l.hand("UPDATE audit_events SET reason = 'mallory' WHERE seq = (SELECT max(seq) FROM audit_events WHERE action = 'user.updated')")
		owner := l.Ledger
		if l.file == "" {
			db, err := store.OpenPostgres(l.ctx, l.super, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			owner = of(db)
		}
		if _, err := owner.BeginAnew(l.ctx, operator(t), "it is broken"); err != nil {
			t.Fatal(err)
		}
		for where, a := range map[string]ledger.Answer{"online": l.verify(ledger.Question{}), "offline": l.exported()} {
			if a.Fault != nil || a.Removed != 0 || len(a.Anew) != 1 {
				t.Errorf("%s: %+v %+v", where, a, a.Fault)
			}
		}
		if rows, err := l.DB.AuditTail(l.ctx, "default", audit.Removed, 10); err != nil || len(rows) != 1 || rows[0].Detail["count"] != "20" {
			t.Errorf("%+v, %v", rows, err)
		}
		l.hand("UPDATE audit_leaves SET told_by = (SELECT id FROM audit_events WHERE action = 'audit.events_removed') WHERE place = 3; DELETE FROM audit_events WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 3)")
		if a := l.verify(ledger.Question{}); a.Fault == nil || a.Fault.Place != 3 {
			t.Errorf("removed by hand after it was begun anew: %+v", a.Fault)
		}
	})
}
