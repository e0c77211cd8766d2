package ledger_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/store"
)

// again is a server that is started after this one, in the same home.
func (l *log) again() *ledger.Ledger {
	later := of(l.DB)
	later.Kept = l.Kept
	return later
}

// A checkpoint of the database leads no memory back: neither one that nobody has signed, nor
// one that was signed before what is remembered, though the tree goes on from either.
func TestNoCheckpointLeadsTheMemoryBack(t *testing.T) {
	hands := map[string]string{
		"a smaller one":              `DELETE FROM audit_checkpoints WHERE size > 6`,
		"another log's":              `UPDATE audit_checkpoints SET note = replace(note, 'tenure/', 'tenure/x')`,
		"signed by nobody":           `DELETE FROM audit_checkpoints WHERE size > 6; UPDATE audit_checkpoints SET note = substr(note, 1, 100)`,
		"of another installation's":  `UPDATE meta SET value = 'another' WHERE key = 'install.id'`,
		"signed, of another history": `UPDATE audit_checkpoints SET note = replace(note, '` + "\n" + `6` + "\n" + `', '/20200101T000000.000000Z` + "\n" + `6` + "\n" + `')`,
	}
	for name, hand := range hands {
		t.Run(name, func(t *testing.T) {
			onSQLite(t, func(t *testing.T, l *log) {
				l.Kept = filepath.Join(t.TempDir(), "audit-checkpoint")
				l.append(5, "a.b")
				l.place()
				l.append(5, "a.b")
				l.place()
				l.hand(hand)
				_ = l.again().Begin(l.ctx) // stopped before it signs anew; what it says of it is another matter
				l.hand(strings.Replace(cutOff, "DELETE FROM audit_checkpoints;", "DELETE FROM audit_checkpoints WHERE size > 5;", 1))
				for _, r := range []*ledger.Ledger{l.again(), l.Ledger} {
					if n, err := r.Place(l.ctx); err == nil || !strings.Contains(err.Error(), "this server signed 11 places") {
						t.Errorf("%d places, %v", n, err)
					}
				}
			})
		})
	}
}

// begun says that the history of the log is another, as a restore does, and gives its epoch.
func (l *log) begun() string {
	l.t.Helper()
	var epoch string
	err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if epoch, err = tx.NewEpoch(ctx, audit.Tellers()...); err != nil {
			return err
		}
		return tx.Append(ctx, audit.BackupRestored(operator(l.t), audit.Restore{Epoch: epoch}))
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return epoch
}

// A history is taken for another by an event and a later epoch, never by an earlier one,
// though an event tells of that too; and not without an event, though the tree goes on from
// what was signed.
func TestNoEarlierHistoryIsAccepted(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.Kept = filepath.Join(t.TempDir(), "audit-checkpoint")
		l.append(4, "a.b")
		l.place()
		first := l.begun()
		l.place()
		second := l.begun()
		l.append(3, "a.b")
		l.place()
		l.hand(`UPDATE meta SET value = replace(value, '` + second + `', '29990101T000000.000000Z') WHERE key = 'audit.tree'`)
		if err := l.again().Begin(l.ctx); err == nil || !strings.Contains(err.Error(), "no event tells why") {
			t.Errorf("of a history that nothing tells of: %v", err)
		}
		l.hand(strings.Replace(strings.ReplaceAll(cutOff, ">= 5", ">= 6"), "'5'", "'6 - "+first+"'", 1))
		for _, r := range []*ledger.Ledger{l.again(), l.Ledger} {
			if n, err := r.Place(l.ctx); err == nil || !strings.Contains(err.Error(), "this server signed 10 places") {
				t.Errorf("%d places, %v", n, err)
			}
		}
	})
}

// An epoch is later than any before, whatever the clock says.
func TestAnEpochIsLaterThanAny(t *testing.T) {
	onSQLite(t, func(t *testing.T, l *log) {
		err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, audit.BackupRestored(operator(t), audit.Restore{Epoch: "29990101T000000.999999Z"}))
		})
		if err != nil {
			t.Fatal(err)
		}
		if first, second := l.begun(), l.begun(); first != "29990101T000001.000000Z" || second != "29990101T000001.000001Z" {
			t.Errorf("%s, then %s", first, second)
		}
	})
}

// What a key hands over to is the one that signs, whatever its row says.
func TestTheSuccessorIsTheOneThatSigns(t *testing.T) {
	onSQLite(t, func(t *testing.T, l *log) {
		l.append(1, "a.b")
		l.place()
		private, public, err := note.GenerateKey(rand.Reader, "tenure/test")
		if err != nil {
			t.Fatal(err)
		}
		_, mallory, err := note.GenerateKey(rand.Reader, "tenure/test")
		if err != nil {
			t.Fatal(err)
		}
		now := l.DB.Now()
		k := store.AuditKey{ID: tenure.NewID(now), Public: mallory, CreatedAt: now}
		seal, err := plain(l.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if k.SealedKey, err = seal(tenure.NewSecret(private), store.BoundAuditKey(k.ID)); err != nil {
			t.Fatal(err)
		}
		if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.PutAuditKey(ctx, k) }); err != nil {
			t.Fatal(err)
		}
		l.append(1, "a.b")
		l.place()
		last, err := l.DB.LastCheckpoint(l.ctx)
		if err != nil || !strings.Contains(last.Note, "\nsuccessor "+public+"\n") {
			t.Errorf("%s, %v; want %s", last.Note, err, public)
		}
	})
}
