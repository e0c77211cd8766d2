package ledger_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/store"
)

// An event that a hand writes below those that have their places waits for ever: that is a
// fault, while one that was committed late is none.
func TestAnEventThatNeverGetsAPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(5, "a.b")
		l.hand(`DELETE FROM audit_events WHERE object_id = '2'`) // a number that nothing has
		l.place()
		l.append(2, "a.b")
		l.place()
		const columns = `INSERT INTO audit_events (seq, id, at, tenant_id, action, actor_kind, outcome, salt) `
		over, salt := "", "x'00'"
		if l.super != "" {
			over, salt = "OVERRIDING SYSTEM VALUE ", "'salt'"
		}
		l.hand(columns + over + `SELECT -1, 'below', '2026-01-01T00:00:00.000000Z', 'default', 'a.b', 'system', 'success', ` + salt)
		if a := l.verify(ledger.Question{}); a.Fault == nil || a.Fault.Event != "below" {
			t.Errorf("below all: %+v", a.Fault)
		}
		l.hand(`DELETE FROM audit_events WHERE id = 'below'`)
		l.hand(columns + over + `SELECT MIN(seq) - 1, 'low', '2026-01-01T00:00:00.000000Z', 'default', 'a.b', 'system', 'success', ` + salt + ` FROM audit_events WHERE seq > 3`)
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Waiting != 1 {
			t.Errorf("what may have been committed late: %+v, %+v", a, a.Fault)
		}
		l.hand(`UPDATE audit_checkpoints SET at = '2026-01-01T00:00:00.000000Z' WHERE size = 5`)
		if a := l.verify(ledger.Question{}); a.Fault == nil || a.Fault.Event != "low" || !strings.Contains(a.Fault.What, "will get none") {
			t.Errorf("below those that have their places for long: %+v", a.Fault)
		}
	})
}

// A number that a hand makes up, far beyond the others, has all below it taken for settled:
// that what is written then gets no place is a fault.
func TestANumberFarBeyondTheOthers(t *testing.T) {
	onSQLite(t, func(t *testing.T, l *log) {
		l.append(3, "a.b")
		l.hand(`UPDATE audit_events SET seq = 1000000 WHERE object_id = '2'`)
		l.place()
		l.append(1, "a.c")
		l.hand(`UPDATE audit_events SET seq = 20 WHERE action = 'a.c'`) // as PostgreSQL goes on counting
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Waiting != 1 {
			t.Errorf("what may have been committed late: %+v, %+v", a, a.Fault)
		}
		l.hand(`UPDATE audit_checkpoints SET at = '2026-01-01T00:00:00.000000Z'`)
		if a := l.verify(ledger.Question{}); a.Fault == nil || !strings.Contains(a.Fault.What, "a higher number than its own, 20,") {
			t.Errorf("written long after: %+v", a.Fault)
		}
	})
}

// That something waits for its place is no excuse for an epoch that no event tells of.
func TestAnEpochThatWaitsForItsEvent(t *testing.T) {
	onSQLite(t, func(t *testing.T, l *log) {
		var epoch string
		err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			epoch, err = tx.NewEpoch(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		l.append(2, "a.b")
		l.place()
		l.append(1, "a.b")
		if a := l.verify(ledger.Question{}); a.Fault == nil || !strings.Contains(a.Fault.What, "no event tells") {
			t.Errorf("untold: %+v", a.Fault)
		}
		err = l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, audit.BackupRestored(operator(t), audit.Restore{Epoch: epoch}))
		})
		if err != nil {
			t.Fatal(err)
		}
		if a := l.verify(ledger.Question{}); a.Fault != nil {
			t.Errorf("its event waits: %+v", a.Fault)
		}
	})
}

// A server that was running when the log was begun anew, or a backup restored, gives places
// to what it had settled before.
func TestWhatWasSettledIsPlacedAgain(t *testing.T) {
	onSQLite(t, func(t *testing.T, l *log) {
		l.append(10, "a.b")
		l.place()
		l.hand(`INSERT INTO meta (key, value) VALUES ('audit.settled', '11 ')`)
		other := of(l.DB)
		if err := other.Begin(l.ctx); err != nil {
			t.Fatal(err)
		}
		err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { // by a command that ended then
			epoch, err := tx.BeginTree(ctx, audit.Tellers()...)
			if err != nil {
				return err
			}
			return tx.Append(ctx, audit.TreeBegun(operator(t), "a test", map[string]string{"epoch": epoch}))
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Place(l.ctx); err != nil {
			t.Fatal(err)
		}
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Waiting != 0 || a.Places < 12 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
	})
}

// Who begins anew leaves nothing behind that waits, though a server is at it at the same time.
func TestBegunAnewWhileAServerRuns(t *testing.T) {
	onSQLite(t, func(t *testing.T, l *log) {
		l.append(10, "a.b")
		l.place()
		l.hand(`INSERT INTO audit_events (id, at, tenant_id, action, actor_kind, outcome, salt)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
			SELECT 'e' || i, '2026-01-01T00:00:00.000000Z', 'default', 'a.b', 'system', 'success', x'00' FROM n;
			UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 4)`)
		ctx, stop := context.WithCancel(l.ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for server := of(l.DB); ctx.Err() == nil; {
				_, _ = server.Place(ctx)
			}
		}()
		got, err := l.BeginAnew(l.ctx, operator(t), "a test")
		waiting, failed := l.DB.CountUnplaced(tenure.Everywhere(l.ctx), 1<<40)
		stop()
		<-ended
		if err != nil || failed != nil || got.Places < 1510 || waiting > 5 {
			t.Errorf("%+v, %d wait, %v, %v", got, waiting, err, failed)
		}
	})
}
