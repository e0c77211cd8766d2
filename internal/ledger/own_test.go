package ledger_test

import (
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// clocked is a log on SQLite whose clock is set ahead.
func clocked(t *testing.T) (l *log, ahead func(time.Duration) time.Time) {
	t.Helper()
	var by atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(by.Load())) }
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(t.Context(), path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l = &log{Ledger: of(db), t: t, ctx: tenure.Everywhere(t.Context()), hand: func(sql string) {
		t.Helper()
		if out, err := exec.Command("sqlite3", path, sql).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, out)
		}
	}}
	return l, func(d time.Duration) time.Time { by.Store(int64(d)); return now() }
}

// allIsWell is what a hand writes that would have nobody look: verified just now, all of it,
// by a run that is still at it where run is so.
func (l *log) allIsWell(at time.Time, run string) {
	text := at.UTC().Format(time.RFC3339)
	l.hand(`UPDATE meta SET value = '{"places":6,"signed":6,"at":"` + text + `","whole_at":"` + text + `","fault":null,"run":` + run + `}' WHERE key = 'audit.verified'`)
}

// Whatever the database says of the last verification, each replica looks at all of the log
// by its own clock, and what it finds stands until it finds it right.
func TestAReplicaLooksByItself(t *testing.T) {
	for name, c := range map[string]struct {
		run   func(time.Time) string
		after time.Duration
	}{
		"verified just now": {func(time.Time) string { return "null" }, 24*time.Hour + 30*time.Minute},
		"a run without an end": {func(at time.Time) string {
			return `{"id":"x","whole":true,"seen":"` + at.UTC().Format(time.RFC3339) + `"}`
		}, 25*time.Hour + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			l, ahead := clocked(t)
			l.append(5, "a.b")
			l.place()
			if v := l.look(); v.Fault != nil || v.Places != 6 {
				t.Fatalf("%+v", v)
			}
			l.hand("UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 4)")
			at := ahead(20 * time.Hour)
			l.allIsWell(at, c.run(at))
			if v := l.look(); v.Fault != nil {
				t.Errorf("it is not its time: %+v", v.Fault)
			}
			for _, after := range []time.Duration{c.after, c.after + time.Minute, c.after + 3*time.Hour} {
				at = ahead(after)
				l.allIsWell(at, c.run(at))
				if v := l.look(); v.Fault == nil || v.Fault.Place != 4 || v.FaultAt.IsZero() || l.Standing().Fault == nil {
					t.Errorf("after a day: %+v", v)
				}
				l.allIsWell(at, "null")
			}
			if v := l.known(l.Verification(l.ctx, operator(t))); v.Fault == nil || l.Standing().Fault == nil {
				t.Error("it is forgotten when the database says so")
			}
			if events, err := l.DB.AuditTail(l.ctx, tenure.DefaultTenant, audit.FaultFound, 10); err != nil || len(events) != 1 {
				t.Errorf("told %d times, %v", len(events), err)
			}
			l.hand("UPDATE audit_events SET actor = 'test' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 4)")
			ahead(40 * time.Hour)
			if v := l.look(); v.Fault != nil || l.Standing().Fault != nil {
				t.Errorf("right again: %+v", v)
			}
		})
	}
}

// That nothing was verified for more than ten minutes is told, also where it never was.
func TestAnOldVerificationIsTold(t *testing.T) {
	l, ahead := clocked(t)
	l.append(5, "a.b")
	l.place()
	first := l.look()
	if !first.Stale.IsZero() || !l.Standing().Stale.IsZero() || l.Standing().Since != first.At {
		t.Errorf("%+v %+v", first, l.Standing())
	}
	ahead(11 * time.Minute)
	if v := l.known(l.Verification(l.ctx, operator(t))); v.Stale != first.At || l.Standing().Stale != first.At {
		t.Errorf("%+v %+v", v, l.Standing())
	}
	if v := l.look(); !v.Stale.IsZero() || !l.Standing().Stale.IsZero() {
		t.Errorf("%+v %+v", v, l.Standing())
	}

	never, ahead := clocked(t)
	if v := never.known(never.Verification(never.ctx, operator(t))); !v.Stale.IsZero() {
		t.Errorf("%+v", v)
	}
	ahead(11 * time.Minute)
	if v := never.known(never.Verification(never.ctx, operator(t))); v.Stale.IsZero() || never.Standing().Stale.IsZero() {
		t.Errorf("never: %+v", v)
	}
}
