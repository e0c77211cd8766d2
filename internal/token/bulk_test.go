package token

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// What is refused for what it asks does not wait for the writer, nor hold it.
func TestRevokeManyChoosesBeforeItWrites(t *testing.T) {
	f := newFixture(t)
	f.mint(t, f.alice)
	if err := f.Uses.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	writes, stop, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- f.DB.Tx(f.ctx, func(_ context.Context, _ *store.Tx) error {
			close(writes)
			<-stop
			return nil
		})
	}()
	<-writes
	refused := make(chan error, 1)
	go func() {
		_, err := f.RevokeMany(f.ctx, f.admin, Selection{Name: "*"}, "of another preview", "x")
		refused <- err
	}()
	select {
	case err := <-refused:
		if tenure.AsError(err).Code != "selection_changed" {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits for who writes")
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// What was chosen is read again where it is ended: each must be chosen still.
func TestRevokeManyEndsWhatIsStillChosen(t *testing.T) {
	f := newFixture(t)
	unused := Selection{UnusedSince: time.Now().Add(time.Second)}
	for name, c := range map[string]struct {
		change func(context.Context, *store.Tx, tenure.Token) error
		code   string
	}{
		"nothing": {func(context.Context, *store.Tx, tenure.Token) error { return nil }, ""},
		"it has ended": {func(ctx context.Context, tx *store.Tx, row tenure.Token) error {
			_, err := tx.RevokeToken(ctx, row.Tenant, row.ID, "somebody", "x")
			return err
		}, "selection_changed"},
		"its owner is a super admin": {func(ctx context.Context, tx *store.Tx, row tenure.Token) error {
			return tx.SetRole(ctx, row.Tenant, row.User, tenure.SuperAdmin)
		}, "selection_changed"},
	} {
		t.Run(name, func(t *testing.T) {
			f.mint(t, f.person(t, name+"@example.com", tenure.Member))
			time.Sleep(time.Millisecond)
			unused.UnusedSince = time.Now()
			chosen, _, err := unused.choose(f.ctx, f.DB, f.admin, f.DB.Now())
			if err != nil || len(chosen) == 0 {
				t.Fatalf("%d chosen, %v", len(chosen), err)
			}
			_ = f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
				if err := c.change(ctx, tx, chosen[0]); err != nil {
					t.Error(err)
				}
				code := ""
				rows, err := unused.still(ctx, tx, f.admin, chosen)
				if err != nil {
					code = tenure.AsError(err).Code
				}
				if code != c.code || err == nil && len(rows) != len(chosen) {
					t.Errorf("%d of %d, %v", len(rows), len(chosen), err)
				}
				return context.Canceled // so that nothing of it stays
			})
		})
	}
}

// A use that was not written yet when the tokens were chosen counts.
func TestRevokeManyKnowsTheLastUse(t *testing.T) {
	f := newFixture(t)
	row, secret := f.mint(t, f.alice)
	time.Sleep(1100 * time.Millisecond)
	sel := Selection{UnusedSince: time.Now()}
	p, err := f.Preview(f.ctx, f.admin, sel)
	if err != nil || p.Total != 1 {
		t.Fatalf("%d of one token, %v", p.Total, err)
	}
	sel.UnusedSince = row.CreatedAt.Add(time.Millisecond)
	used, err := f.Resolve(f.ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	f.Used(t.Context(), used)
	if _, err := f.RevokeMany(f.ctx, f.admin, sel, p.Confirm, "unused"); tenure.AsError(err).Code != "selection_changed" {
		t.Errorf("a token that was just used: %v", err)
	}
	if _, err := f.Resolve(f.ctx, secret); err != nil {
		t.Errorf("it has ended: %v", err)
	}
}
