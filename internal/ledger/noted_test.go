package ledger

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A process that starts begins where another has settled all, and looks through the whole
// log in no history but the one of which that is noted.
func TestAStartedProcessBeginsWhereAllIsSettled(t *testing.T) {
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	process := func() *Ledger {
		return &Ledger{
			DB: db,
			Sealer: func(context.Context) (store.Sealer, error) {
				return func(secret tenure.Secret, _ store.Bound) (store.SealedKey, error) {
					return store.SealedKey{Sealed: []byte(secret.Reveal()), DataKey: []byte{1}}, nil
				}, nil
			},
			Open: func(_ context.Context, k store.SealedKey, _ store.Bound) (tenure.Secret, error) {
				return tenure.NewSecret(string(k.Sealed)), nil
			},
		}
	}
	ctx := tenure.Everywhere(t.Context())
	first := process()
	write := func() {
		t.Helper()
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, tenure.AuditEvent{Tenant: tenure.DefaultTenant, Action: "a.b", ActorKind: "system", Outcome: "success"})
		})
		if err == nil {
			_, err = first.Place(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write()
	first.settled.upTo, first.settled.noted = 2, 2-noting // as if so many were settled since
	write()
	if text, err := db.Meta(ctx, "audit.settled"); err != nil || strings.TrimSpace(text) != "2" {
		t.Errorf("noted: %q, %v", text, err)
	}
	for epoch, want := range map[string]int64{"": 2, "20260101T000000.000000Z": 0} {
		second := process()
		if err := second.Begin(ctx); err != nil || second.settled.upTo != 2 {
			t.Fatalf("begins at %d, %v", second.settled.upTo, err)
		}
		noted, err := db.Tree(ctx)
		if err != nil {
			t.Fatal(err)
		}
		noted.Epoch = epoch
		if err := second.settle(ctx, noted); err != nil || second.settled.upTo != want {
			t.Errorf("in the history %q it begins at %d, %v", epoch, second.settled.upTo, err)
		}
	}
	// What a hand has noted keeps nothing back that is behind the last place.
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.NoteSettled(ctx, "", 1<<40) })
	if err != nil {
		t.Fatal(err)
	}
	second := process()
	if err := second.Begin(ctx); err != nil || second.settled.upTo > 10 {
		t.Errorf("it begins at %d, %v", second.settled.upTo, err)
	}
}
