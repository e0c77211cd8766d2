package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// A past is a log whose events were written when a clock says so.
type past struct {
	*log
	ago   *atomic.Int64 // how long ago it is, of events that are written
	file  string        // of SQLite; "": PostgreSQL
	super string        // PostgreSQL's, who owns the tables
}

func onBothWithPast(t *testing.T, test func(*testing.T, past)) {
	t.Run("sqlite", func(t *testing.T) {
		var ago atomic.Int64
		path := filepath.Join(t.TempDir(), "tenure.db")
		db, err := store.OpenSQLite(t.Context(), path, func() time.Time { return time.Now().Add(-time.Duration(ago.Load())) })
		run(t, db, err, func(t *testing.T, l *log) { test(t, past{l, &ago, path, ""}) }, "sqlite3", path)
	})
	t.Run("postgres", func(t *testing.T) { onPostgresWithPast(t, test) })
}

func onPostgresWithPast(t *testing.T, test func(*testing.T, past)) {
	var ago atomic.Int64
	serve, super := storetest.Postgres(t)
	db, err := store.OpenPostgres(t.Context(), serve, func() time.Time { return time.Now().Add(-time.Duration(ago.Load())) })
	run(t, db, err, func(t *testing.T, l *log) { test(t, past{l, &ago, "", super}) }, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", super, "-c")
}

// did writes events that somebody did, some time ago, each with a reason of its own.
func (l past) did(n int, ago time.Duration, who tenure.UserID, name, reason string) {
	l.t.Helper()
	l.ago.Store(int64(ago))
	defer l.ago.Store(0)
	for i := range n {
		err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, tenure.AuditEvent{
				Tenant: tenure.DefaultTenant, Action: "user.updated", ActorKind: "session", ActorID: string(who), Actor: name, Outcome: "success",
				Reason: fmt.Sprint(reason, " ", i), Detail: map[string]string{"by": name},
			})
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

// What is erased is nowhere in the database any more, and everything else is as it was.
func TestWhatIsErasedIsGone(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		leaver := tenure.User{ID: "leaver", Tenant: tenure.DefaultTenant, UserName: "canary@example.com", Role: tenure.Member, Source: tenure.SourceProxy, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, leaver) }); err != nil {
			t.Fatal(err)
		}
		const old = 100 * 24 * time.Hour
		l.did(120, old, "leaver", "canary@example.com", "canary-reason "+strings.Repeat("long ", 40))
		l.did(10, old, "other", "alice@example.com", "stays")
		l.did(5, time.Hour, "leaver", "canary@example.com", "recent")
		l.place()
		super, err := (&tenure.Standing{
			Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.SuperAdmin,
		}).Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		others := make(chan int, 1)
		go func() { // what two erase at once is erased once, and told once
			got, err := l.Erase(l.ctx, super, ledger.Erasure{Person: "leaver", Reason: "request 4711"})
			if err != nil {
				t.Error(err)
			}
			others <- got.Events
		}()
		got, err := l.Erase(l.ctx, super, ledger.Erasure{Person: "leaver", Reason: "request 4711"})
		if err != nil || got.Events+<-others != 120 || got.Kept != 5 || got.Until == nil {
			t.Fatalf("erased %+v, %v", got, err)
		}
		if _, err := l.Erase(l.ctx, super, ledger.Erasure{Person: "leaver", Reason: "request 4711", Recent: true}); !tenure.IsKind(err, tenure.Forbidden) {
			t.Errorf("who is not the operator erases what is recent: %v", err)
		}
		l.place()
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Erased != 120 || len(a.Told) != 3 {
			t.Errorf("verified: %+v", a)
		}
		if l.file == "" {
			return
		}
		_ = l.DB.Close()
		text, err := os.ReadFile(l.file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("canary-reason")) {
			t.Error("what was erased is in the database's file")
		}
	})
}

// What the role that serves may do of it by itself: nothing that is recent, and nothing
// that no event tells of.
func TestTheServingRoleErasesNothingUntold(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.did(1, 100*24*time.Hour, "leaver", "lee@example.com", "old")
		l.did(1, time.Hour, "leaver", "lee@example.com", "recent")
		rows, err := l.DB.AuditTail(l.ctx, tenure.DefaultTenant, "", 10)
		if err != nil || len(rows) != 2 {
			t.Fatal(rows, err)
		}
		recent, old := rows[0], rows[1]
		erase := func(e tenure.AuditEvent, told ...string) error {
			tells := map[string]string{}
			if len(told) > 0 {
				tells["events"] = strings.Join(told, " ")
			}
			return l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
				teller := tenure.NewID(time.Now())
				err := tx.Append(ctx, tenure.AuditEvent{
					ID: teller, Tenant: tenure.DefaultTenant, Action: "audit.erased", ActorKind: "session", Outcome: "success",
					Detail: tells,
				})
				if err != nil {
					return err
				}
				return tx.EraseEvent(ctx, e.ID, teller, make([]byte, 32))
			})
		}
		if err := erase(old, recent.ID); err == nil {
			t.Error("an event is erased of which nothing tells")
		}
		if err := erase(old); err == nil {
			t.Error("an event is erased of which an event tells that names none")
		}
		if err := erase(recent, recent.ID); err == nil && l.file == "" {
			t.Error("the serving role erases what is recent")
		}
		if err := erase(old, old.ID); err != nil {
			t.Error(err)
		}
		if err := erase(old, old.ID); err == nil {
			t.Error("an event is erased twice")
		}
		l.ago.Store(int64(100 * 24 * time.Hour))
		for _, action := range audit.Lasting() {
			e := tenure.AuditEvent{ID: tenure.NewID(time.Now()), Tenant: tenure.DefaultTenant, Action: action, ActorKind: "session", Outcome: "success"}
			if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Append(ctx, e) }); err != nil {
				t.Fatal(err)
			}
			if err := erase(e, e.ID); err == nil {
				t.Error("the database erases", action)
			}
		}
	})
}

// An event that a hand erases as the act would, with what binds it, is named as long as
// nothing tells of it, also where another fault is behind it.
func TestErasedByHand(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		l.did(10, time.Hour, "lee", "lee@example.com", "reason")
		l.place()
		placed, err := l.DB.PlacedEvents(l.ctx, 3, 1)
		if err != nil || len(placed) != 1 {
			t.Fatal(placed, err)
		}
		literal := `'\x%x'`
		if l.file != "" {
			literal = `x'%x'`
		}
		l.hand(fmt.Sprintf("UPDATE audit_events SET actor_id = '', actor = '', object_id = '', object = '', reason = '', address = '', detail = '{}', salt = NULL, erased = "+literal+" WHERE seq = %d",
			audit.Commitment(*placed[0].Event), placed[0].Seq))
		named := func(when string) {
			t.Helper()
			if a := l.verify(ledger.Question{}); a.Fault == nil || a.Fault.Place != 3 || a.Fault.Event != placed[0].Event.ID || a.Places != 3 || !strings.Contains(a.Fault.What, "no event tells") {
				t.Errorf("%s: %+v %+v", when, a, a.Fault)
			}
			if p, err := l.Prove(l.ctx, operator(t), placed[0].Event.ID); err != nil {
				t.Error(err)
			} else if keys, err := l.Keys(l.ctx, operator(t)); err != nil {
				t.Error(err)
			} else if _, err := p.Check(keys[0].Public); err == nil {
				t.Errorf("%s: it is proved", when)
			}
		}
		named("erased")
		l.hand("UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 7)")
		named("and one behind it changed")
		owner := l.Ledger
		if l.file == "" {
			db, err := store.OpenPostgres(l.ctx, l.super, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			owner = of(db)
			owner.Kept = l.Kept
		}
		// Begun anew, what stood erased is vouched for as it stands, and hides nothing.
		if _, err := owner.BeginAnew(l.ctx, operator(t), "it is broken"); err != nil {
			t.Fatal(err)
		}
		if a := l.verify(ledger.Question{}); a.Fault != nil || len(a.Anew) != 1 {
			t.Errorf("begun anew: %+v %+v", a, a.Fault)
		}
		if told, err := l.DB.AuditTail(l.ctx, tenure.DefaultTenant, audit.BegunAnew, 1); err != nil || len(told) != 1 || told[0].Detail["erased_untold"] != "1" || told[0].Detail["erased_events"] != placed[0].Event.ID {
			t.Errorf("%+v, %v", told, err)
		}
		l.hand("UPDATE audit_events SET actor = 'mallory again' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 7)")
		if a := l.verify(ledger.Question{}); a.Fault == nil || a.Fault.Place != 7 {
			t.Errorf("changed after it was begun anew: %+v", a.Fault)
		}
	})
}

// A name is nobody's own: what is about somebody who had it before, or has it now, stays, and
// so does what only says the same word.
func TestANameErasesNobodyElses(t *testing.T) {
	onBothWithPast(t, func(t *testing.T, l past) {
		put := func(id, name string) {
			u := tenure.User{ID: tenure.UserID(id), Tenant: tenure.DefaultTenant, UserName: name, Role: tenure.Member, Source: tenure.SourceProxy, CreatedAt: time.Now(), UpdatedAt: time.Now()}
			if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, u) }); err != nil {
				t.Fatal(err)
			}
		}
		put("leaver", "kind") // a word that details and actors have, too
		put("second", "lee@example.com")
		put("renamed", "new@example.com")
		put("third", "gil@example.com")
		tell := func(e tenure.AuditEvent) {
			t.Helper()
			e.Tenant, e.Outcome = tenure.DefaultTenant, "success"
			if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Append(ctx, e) }); err != nil {
				t.Fatal(err)
			}
		}
		tell(tenure.AuditEvent{Action: "token.minted", ActorKind: "session", ActorID: "other", Actor: "alice", Object: "kind", ObjectID: "t1", Detail: map[string]string{"kind": "pat", "was": "kind"}})
		tell(tenure.AuditEvent{Action: "provider.created", ActorKind: "system", Actor: "kind", Object: "x"})
		tell(tenure.AuditEvent{Action: "user.updated", ActorKind: "session", ActorID: "renamed", Actor: "lee@example.com", ObjectID: "renamed", Object: "lee@example.com"})
		tell(tenure.AuditEvent{Action: "token.revoked", ActorKind: "session", ActorID: "other", Actor: "alice", ObjectID: "t2", Object: "ci", Detail: map[string]string{"owner": "kind"}})
		tell(tenure.AuditEvent{Action: "token.revoked", ActorKind: "session", ActorID: "other", Actor: "alice", ObjectID: "t3", Object: "ci", Detail: map[string]string{"owner": "lee@example.com"}})
		// Somebody whom nothing but events names any more had it.
		tell(tenure.AuditEvent{Action: "token.minted", ActorKind: "session", ActorID: "nobody-now", Actor: "gil@example.com", Object: "ci", ObjectID: "t4"})
		put("fourth", "hal@example.com")
		tell(tenure.AuditEvent{Action: "user.updated", ActorKind: "session", ActorID: "other", Actor: "alice", ObjectID: "renamed-too", Object: "hal2@example.com", Detail: map[string]string{"user_name_before": "hal@example.com"}})
		put("fifth", "ida@example.com")
		tell(tenure.AuditEvent{Action: "user.create_refused", ActorKind: "session", ActorID: "other", Actor: "alice", Object: "ida@example.com"})
		l.place()
		for person, want := range map[tenure.UserID]int{"leaver": 1, "second": 0, "third": 0, "fourth": 0, "fifth": 1} {
			if got, err := l.Erase(l.ctx, operator(t), ledger.Erasure{Person: person, Reason: "r", Recent: true}); l.file != "" && (err != nil || got.Events != want) {
				t.Errorf("%s: erased %+v, %v, want %d", person, got, err, want)
			}
			names, err := l.DB.NamesOf(l.ctx, tenure.DefaultTenant, person)
			if err != nil || (len(names) > 0) != (want > 0) {
				t.Errorf("%s goes by %q, %v", person, names, err)
			}
		}
	})
}
