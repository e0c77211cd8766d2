package ledger_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// cutOff is what a hand does that removes the end of the log together with all that
// would tell of it.
const cutOff = `DELETE FROM audit_events WHERE seq IN (SELECT seq FROM audit_leaves WHERE place >= 5);
	DELETE FROM audit_leaves WHERE place >= 5; DELETE FROM audit_checkpoints; UPDATE meta SET value = '5' WHERE key = 'audit.tree'`

// A server does not sign what is not the log that it has signed, whatever the database
// says: the one that has it in memory, and the one that is started after it.
func TestTheServerRemembersWhatItSigned(t *testing.T) {
	hands := map[string]string{
		"cut off": cutOff,
		"written anew": `UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 2);
			DELETE FROM audit_leaves; DELETE FROM audit_subtrees; DELETE FROM audit_checkpoints; DELETE FROM meta WHERE key = 'audit.tree'`,
		"of another epoch": cutOff + `; UPDATE meta SET value = '5 - 20260101T000000.000000Z' WHERE key = 'audit.tree'`,
	}
	for name, hand := range hands {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, l *log) {
				l.Kept = filepath.Join(t.TempDir(), "audit-checkpoint")
				l.append(10, "a.b")
				l.place()
				if text, err := os.ReadFile(l.Kept); err != nil || !strings.HasPrefix(string(text), "tenure/") {
					t.Fatalf("%q, %v", text, err)
				}
				if info, err := os.Stat(l.Kept); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%v, %v", info.Mode(), err)
				}
				l.hand(hand)
				l.append(8, "a.c")
				later := of(l.DB)
				later.Kept = l.Kept
				if err := later.Begin(l.ctx); err == nil || !strings.Contains(err.Error(), "this server signed 11 places") {
					t.Errorf("at start: %v", err)
				}
				for _, r := range []*ledger.Ledger{l.Ledger, later} {
					if n, err := r.Place(l.ctx); err == nil || n > 0 || r.Standing().Trouble == "" {
						t.Errorf("%d places, %v", n, err)
					}
				}
				if a := l.verify(ledger.Question{}); a.Fault == nil || !strings.Contains(a.Fault.What, "this server remembers") {
					t.Errorf("%+v", a.Fault)
				}
				if _, err := of(l.DB).Place(l.ctx); err != nil { // one without a memory
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// A restore is the operator's: what a server remembers from before gives way, and an
// event tells what it was.
func TestARestoreGivesAnotherHistory(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		var lines bytes.Buffer
		l.Kept, l.Log = filepath.Join(t.TempDir(), "audit-checkpoint"), slog.New(slog.NewTextHandler(&lines, nil))
		l.append(10, "a.b")
		l.place()
		l.hand(cutOff)
		var epoch string
		err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			if epoch, err = tx.NewEpoch(ctx); err != nil {
				return err
			}
			return tx.Append(ctx, audit.BackupRestored(operator(t), audit.Restore{Epoch: epoch}))
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []*ledger.Ledger{l.Ledger, of(l.DB)} {
			if _, err := r.Place(l.ctx); err != nil {
				t.Fatal(err)
			}
		}
		events, err := l.DB.AuditTail(l.ctx, tenure.DefaultTenant, "audit.history_replaced", 10)
		if err != nil || len(events) != 1 || events[0].Detail["size"] != "11" || events[0].Detail["size_now"] != "5" || events[0].Detail["epoch"] != epoch {
			t.Errorf("%+v, %v", events, err)
		}
		if !strings.Contains(lines.String(), "its history is not the one that was signed here") {
			t.Errorf("%s", lines.String())
		}
		if text, err := os.ReadFile(l.Kept); err != nil || !strings.Contains(string(text), "/"+epoch+"\n7\n") {
			t.Errorf("%q, %v", text, err)
		}
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Places != 7 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
		l.hand("UPDATE audit_checkpoints SET note = note; DELETE FROM audit_events WHERE action = 'backup.restored'")
		if a := l.verify(ledger.Question{}); a.Fault == nil {
			t.Error("the event that tells of it can be removed")
		}
	})
}

// What is remembered of another database is no trouble: it is told.
func TestAnotherDatabaseInItsPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.Kept = filepath.Join(t.TempDir(), "audit-checkpoint")
		text := "tenure/another\n99\n" + strings.Repeat("A", 43) + "=\n\n— tenure/another AAAA\n"
		if err := os.WriteFile(l.Kept, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l.append(3, "a.b")
		l.place()
		l.place()
		events, err := l.DB.AuditTail(l.ctx, tenure.DefaultTenant, "audit.history_replaced", 10)
		if err != nil || len(events) != 1 || events[0].Detail["origin"] != "tenure/another" {
			t.Errorf("%+v, %v", events, err)
		}
		if a := l.verify(ledger.Question{}); a.Fault != nil {
			t.Errorf("%+v", a.Fault)
		}
		if kept, err := os.ReadFile(l.Kept); err != nil || string(kept) == text {
			t.Errorf("%s, %v", kept, err)
		}
	})
}

// A tree that is not signed any more is begun anew by an operator who says why, which
// nobody can overlook; a good one is not.
func TestBegunAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.Kept = filepath.Join(t.TempDir(), "audit-checkpoint")
		owner := l.Ledger
		if super := l.super; super != "" { // who serves may only add to it
			db, err := store.OpenPostgres(t.Context(), super, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			owner = of(db)
			owner.Kept = l.Kept
		}
		l.append(10, "a.b")
		l.place()
		before, err := l.Checkpoint(l.ctx, operator(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := owner.BeginAnew(l.ctx, operator(t), "why not"); !tenure.IsKind(err, tenure.Conflict) {
			t.Fatalf("a good tree: %v", err)
		}
		l.hand("UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 4)")
		if _, err := owner.BeginAnew(l.ctx, operator(t), " "); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("without a reason: %v", err)
		}
		if owner != l.Ledger {
			if _, err := l.BeginAnew(l.ctx, operator(t), "it is broken"); !tenure.IsKind(err, tenure.Forbidden) {
				t.Errorf("by the role that serves: %v", err)
			}
		}
		got, err := owner.BeginAnew(l.ctx, operator(t), "it is broken")
		if err != nil || got.Places != 12 || got.Epoch == "" || !strings.Contains(got.Fault, "place 4: its event was changed") {
			t.Fatalf("%+v, %v", got, err)
		}
		l.append(1, "a.c")
		l.place() // a replica that had signed the tree before
		a := l.verify(ledger.Question{})
		if a.Fault != nil || a.Waiting > 1 || len(a.Anew) != 1 || a.Anew[0].Reason != "it is broken" {
			t.Fatalf("%+v %+v", a, a.Fault)
		}
		events, err := l.DB.AuditTail(l.ctx, tenure.DefaultTenant, audit.BegunAnew, 10)
		if err != nil || len(events) != 1 || events[0].Detail["signed"] != "11" || events[0].Detail["epoch"] != got.Epoch || !strings.Contains(before, events[0].Detail["signed_root"]) {
			t.Errorf("%+v, %v", events, err)
		}
		if a := l.verify(ledger.Question{Checkpoints: []string{before}}); a.Fault == nil || !strings.Contains(a.Fault.What, "written anew") {
			t.Errorf("by a checkpoint of before: %+v", a.Fault)
		}
		l.place()
		l.hand("UPDATE audit_events SET action = 'a.b' WHERE action = 'audit.began_anew'")
		if a := l.verify(ledger.Question{}); a.Fault == nil {
			t.Error("the event that tells of it can be hidden")
		}
	})
}

// What another replica has put in the place of what this one knows is recognised by its
// root, also where it is as large.
func TestAnotherTreeOfTheSameSize(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(10, "a.b")
		l.place()
		l.hand(`UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 2);
			DELETE FROM audit_leaves; DELETE FROM audit_subtrees; DELETE FROM audit_checkpoints; DELETE FROM meta WHERE key = 'audit.tree'`)
		if _, err := of(l.DB).Place(l.ctx); err != nil { // another replica, that knows nothing
			t.Fatal(err)
		}
		l.append(1, "a.c")
		if _, err := l.Place(l.ctx); err == nil || !strings.Contains(err.Error(), "this server signed 11 places") {
			t.Errorf("it goes on from what is not there: %v", err)
		}
	})
}

// An event that is committed late has its place soon, whatever the clocks of the replicas.
func TestLateEventOfSkewedReplicas(t *testing.T) {
	serve, super := storetest.Postgres(t)
	open := func(ahead time.Duration) *ledger.Ledger {
		db, err := store.OpenPostgres(t.Context(), serve, func() time.Time { return time.Now().Add(ahead) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return of(db)
	}
	here, ahead := open(0), open(10*time.Minute)
	ctx := tenure.Everywhere(t.Context())
	l := &log{Ledger: here, t: t, ctx: ctx}
	l.append(1, "a.b")
	l.place()
	hand, err := sql.Open("pgx", super)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hand.Close() }()
	late, err := hand.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Exec(`INSERT INTO audit_events (id, at, tenant_id, action, actor_kind, outcome, salt) VALUES ('late', now(), 'default', 'a.late', 'system', 'success', 'salt')`); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*ledger.Ledger{here, ahead} {
		l.append(1, "a.c")
		if _, err := r.Place(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := late.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*ledger.Ledger{here, ahead} {
		if _, err := r.Place(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if a := l.verify(ledger.Question{}); a.Fault != nil || a.Waiting != 0 || a.Places != 5 {
		t.Errorf("%+v %+v", a, a.Fault)
	}
}

// Whoever waits for the tree waits no longer than they have time.
func TestWaitingForTheTreeEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(1, "a.b")
		holds, release := make(chan struct{}), make(chan struct{})
		slow := of(l.DB)
		slow.Open = func(ctx context.Context, k store.SealedKey, to store.Bound) (tenure.Secret, error) {
			close(holds)
			<-release
			return opened(ctx, k, to)
		}
		l.place()
		ended := make(chan error)
		go func() { _, err := slow.Place(l.ctx); ended <- err }()
		<-holds
		short, cancel := context.WithTimeout(l.ctx, 10*time.Millisecond)
		defer cancel()
		if _, err := slow.Checkpoint(short, operator(t)); err == nil || short.Err() == nil {
			t.Errorf("%v", err)
		}
		close(release)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A line of an export that says more than what is verified is refused.
func TestAnExportThatSaysMore(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(5, "a.b")
		l.place()
		var whole bytes.Buffer
		if _, err := l.Export(l.ctx, operator(t), &whole, func(int64, int64) {}); err != nil {
			t.Fatal(err)
		}
		if a, err := ledger.VerifyExport(bytes.NewReader(whole.Bytes()), ledger.Question{}); err != nil || a.Fault != nil || a.Places != 6 {
			t.Fatalf("%+v, %v", a, err)
		}
		for name, change := range map[string][2]string{
			"an unknown field":      {`"place":2,`, `"place":2,"note":"approved by the board",`},
			"another case":          {`"actor":"test"`, `"Actor":"test"`},
			"twice":                 {`"actor":"test"`, `"actor":"mallory","actor":"test"`},
			"in another case, too":  {`"actor":"test"`, `"actor":"test","ACTOR":"test"`},
			"with spaces":           {`"place":2,`, `"place": 2,`},
			"two values on a line":  {`"place":2,`, `"place":2,"seq":3,`},
			"a head that says more": {`"waiting":0`, `"waiting":0,"approved":true`},
		} {
			changed := strings.Replace(whole.String(), change[0], change[1], 1)
			a, err := ledger.VerifyExport(strings.NewReader(changed), ledger.Question{})
			if changed == whole.String() || err == nil && a.Fault == nil {
				t.Errorf("%s: %+v", name, a)
			}
		}
	})
}
