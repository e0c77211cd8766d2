package ledger_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// known is what is known of the verification.
func (l *log) known(v ledger.Verification, err error) ledger.Verification {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
	return v
}

func (l *log) look() ledger.Verification {
	l.t.Helper()
	if err := l.Look(l.ctx); err != nil {
		l.t.Fatal(err)
	}
	return l.known(l.Verification(l.ctx, operator(l.t)))
}

// The log is verified whole at first, then what is new when two minutes are over, and
// whole again when a day is, or when somebody asks.
func TestTheLogIsVerifiedByItself(t *testing.T) {
	ahead := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	serve, _ := storetest.Postgres(t)
	kept := filepath.Join(t.TempDir(), "audit-checkpoint")
	at := func(d time.Duration) *log {
		db, err := store.OpenPostgres(t.Context(), serve, ahead(d))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		l := &log{Ledger: of(db), t: t, ctx: tenure.Everywhere(t.Context())}
		l.Kept = kept
		return l
	}
	l := at(0)
	if v := l.known(l.Verification(l.ctx, operator(t))); !v.At.IsZero() || v.Running != nil {
		t.Errorf("%+v", v)
	}
	l.append(5, "a.b")
	l.place()
	first := l.look()
	if first.Places != 6 || first.At.IsZero() || first.Fault != nil || first.Signed != 6 || first.Running != nil {
		t.Fatalf("%+v", first)
	}
	l.append(3, "a.c")
	l.place()
	if v := l.look(); v.Places != 6 {
		t.Errorf("again at once: %+v", v)
	}
	later := at(3 * time.Minute)
	v := later.look()
	if v.Places != 9 || !v.WholeAt.Equal(first.WholeAt) || v.Fault != nil || later.Standing().Verified != 9 {
		t.Errorf("after three minutes: %+v", v)
	}
	later.append(1, "a.d") // what is not signed yet, nor has a place
	if v := at(6 * time.Minute).look(); v.Fault != nil || v.Places != 9 {
		t.Errorf("with nothing new: %+v", v)
	}
	l.place()
	if v := at(9 * time.Minute).look(); v.Fault != nil || v.Places != 10 {
		t.Errorf("with one that is new: %+v", v)
	}
	if v := at(25 * time.Hour).look(); v.WholeAt.Equal(first.WholeAt) || v.Places != 10 {
		t.Errorf("after a day: %+v", v)
	}
	if v := l.known(l.VerifyNow(l.ctx, operator(t))); v.Running == nil || !v.Running.Whole {
		t.Errorf("asked: %+v", v)
	}
	if v := l.look(); v.Running != nil || v.At.After(time.Now().Add(time.Minute)) {
		t.Errorf("what was asked for: %+v", v)
	}
}

// What is wrong is found, told once, and forgotten when it is right again; behind what was
// verified a look at what is new finds it, before it a look at all.
func TestTheWatchFindsFaults(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		told := func() []tenure.AuditEvent {
			events, err := l.DB.AuditTail(l.ctx, tenure.DefaultTenant, audit.FaultFound, 10)
			if err != nil {
				t.Fatal(err)
			}
			return events
		}
		now := func() ledger.Verification {
			l.known(l.VerifyNow(l.ctx, operator(t)))
			return l.look()
		}
		l.append(10, "a.b")
		l.place()
		if v := l.look(); v.Fault != nil {
			t.Fatalf("%+v", v.Fault)
		}
		l.hand("UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 4)")
		for range 2 {
			v := now()
			if v.Fault == nil || v.Fault.Place != 4 || !strings.Contains(v.Fault.What, "was changed") || v.Places != 4 || v.FaultAt.IsZero() {
				t.Errorf("%+v %+v", v, v.Fault)
			}
		}
		if f := l.Standing().Fault; f == nil || f.Place != 4 {
			t.Errorf("%+v", f)
		}
		if e := told(); len(e) != 1 || e[0].Detail["place"] != "4" || e[0].ObjectID == "" || !strings.Contains(e[0].Reason, "was changed") {
			t.Errorf("%+v", e)
		}
		l.hand("UPDATE audit_events SET actor = 'test' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 4)")
		if v := now(); v.Fault != nil || !v.FaultAt.IsZero() || l.Standing().Fault != nil {
			t.Errorf("%+v", v)
		}

		// What is new, and wrong, is found by the look at what is new.
		l.append(5, "a.c")
		l.place()
		l.hand("UPDATE audit_events SET actor = 'mallory' WHERE action = 'a.c' AND object_id = '2'")
		l.hand(`UPDATE meta SET value = replace(value, '"at":"20', '"at":"19') WHERE key = 'audit.verified'`)
		if v := l.look(); v.Fault == nil || v.WholeAt.Before(time.Now().Add(-time.Hour)) || v.Places < 12 {
			t.Errorf("%+v %+v", v, v.Fault)
		}
		if e := told(); len(e) != 2 {
			t.Errorf("told %d times", len(e))
		}
		l.hand(`UPDATE meta SET value = replace(replace(value, '"at":"19', '"at":"21'), '"at":"20', '"at":"21') WHERE key = 'audit.verified'`)
		l.hand(`UPDATE meta SET value = replace(replace(value, '"whole_at":"20', '"whole_at":"21'), '"fault":{', '"forgot":{') WHERE key = 'audit.verified'`)
		if v := l.look(); v.Fault == nil {
			t.Errorf("a time to come keeps it from being verified: %+v", v)
		}
		l.hand(`UPDATE meta SET value = 'nonsense' WHERE key = 'audit.verified'`)
		if v := now(); v.Fault == nil {
			t.Errorf("%+v", v)
		}
	})
}

// While one replica verifies, no other does; of one that has ended in the middle of it
// another takes over.
func TestOneReplicaVerifies(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(5, "a.b")
		l.place()
		l.look()
		running := func(seen time.Time) {
			l.hand(`UPDATE meta SET value = replace(value, '"run":null', '"run":{"id":"x","whole":true,"since":"` + seen.UTC().Format(time.RFC3339) +
				`","seen":"` + seen.UTC().Format(time.RFC3339) + `","done":3,"all":6}') WHERE key = 'audit.verified'`)
		}
		running(time.Now())
		before := l.known(l.VerifyNow(l.ctx, operator(t)))
		if r := before.Running; r == nil || r.Done != 3 || r.All != 6 || !r.Whole {
			t.Errorf("%+v", before)
		}
		if v := l.look(); !v.At.Equal(before.At) || v.Running == nil {
			t.Errorf("two at once: %+v", v)
		}
		l.hand(`UPDATE meta SET value = replace(value, '"seen":"20', '"seen":"19') WHERE key = 'audit.verified'`)
		if v := l.look(); v.At.Equal(before.At) || v.Running != nil {
			t.Errorf("what one that is gone has begun stands: %+v", v)
		}
	})
}
