package token

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// policy sets one key of the tenant's policy.
func (f *fixture) policy(t testing.TB, key, value string) {
	t.Helper()
	err := f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.SetPolicy(ctx, tenure.DefaultTenant, key, value, "test")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func zero() *time.Duration { return new(time.Duration) }

// live counts the tokens of a line that are good.
func (f *fixture) live(t testing.TB, family tenure.TokenID) int {
	t.Helper()
	rows, err := f.DB.Family(f.ctx, tenure.DefaultTenant, family)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range rows {
		if r.Live(f.DB.Now()) {
			n++
		}
	}
	return n
}

func TestOfManyRotationsOneWins(t *testing.T) {
	f := newFixture(t)
	row, _ := f.mint(t, f.alice)
	var wg sync.WaitGroup
	results := make(chan error, 16)
	for range 16 {
		wg.Go(func() {
			_, _, err := f.Rotate(f.ctx, f.alice, row.ID, zero())
			results <- err
		})
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		switch {
		case err == nil:
			won++
		case !tenure.IsKind(err, tenure.Conflict):
			t.Error(err)
		}
	}
	if won != 1 || f.live(t, row.ID) != 1 {
		t.Errorf("%d rotations won, and %d secrets are live", won, f.live(t, row.ID))
	}
}

func TestRotateRacesRevoke(t *testing.T) {
	f := newFixture(t)
	for range 20 {
		row, secret := f.mint(t, f.alice)
		var wg sync.WaitGroup
		var rotated, revoked error
		var fresh tenure.Secret
		wg.Go(func() { _, fresh, rotated = f.Rotate(f.ctx, f.alice, row.ID, nil) })
		wg.Go(func() { _, revoked = f.Revoke(f.ctx, f.alice, row.ID, "lost") })
		wg.Wait()
		if revoked != nil {
			t.Fatal(revoked)
		}
		if _, err := f.Resolve(f.ctx, secret); err == nil {
			t.Error("what was revoked is good")
		}
		if rotated == nil { // before the other, which ended both secrets
			if _, err := f.Resolve(f.ctx, fresh.Reveal()); err == nil {
				t.Error("the new secret is good")
			}
		} else if !tenure.IsKind(rotated, tenure.Conflict) {
			t.Error(rotated)
		}
		if n := f.live(t, row.ID); n != 0 {
			t.Errorf("%d live secrets after a rotation that said %v", n, rotated)
		}
	}
}

func TestRotationKeepsTheLengthOfALife(t *testing.T) {
	f := newFixture(t)
	row, _, err := f.Mint(f.ctx, f.alice, Spec{Name: "laptop", Life: 10 * 24 * time.Hour, Scopes: []string{"chat"}, Models: []string{"gpt*"}, Networks: []string{"10.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	next, _, err := f.Rotate(f.ctx, f.alice, row.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if next.ExpiresAt.Sub(next.CreatedAt) != 10*24*time.Hour || next.Scopes != row.Scopes || next.Models.String() != "gpt*" ||
		len(next.Networks) != 1 || next.Workspace != row.Workspace || next.User != row.User || next.Name != row.Name || next.Family != row.ID {
		t.Errorf("made %+v", next)
	}
	old, err := f.DB.Token(f.ctx, row.Tenant, row.ID)
	if d := old.ExpiresAt.Sub(old.RotatedAt); err != nil || d != 24*time.Hour {
		t.Errorf("the old one lives on for %s (%v)", d, err)
	}
	// A token that ends before the overlap does not live longer for it.
	short, _, err := f.Mint(f.ctx, f.alice, Spec{Name: "short", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Rotate(f.ctx, f.alice, short.ID, nil); err != nil {
		t.Fatal(err)
	}
	if old, err := f.DB.Token(f.ctx, row.Tenant, short.ID); err != nil || old.ExpiresAt.After(short.ExpiresAt) {
		t.Errorf("it ends at %s, and was to end at %s", old.ExpiresAt, short.ExpiresAt)
	}
	third, _, err := f.Rotate(f.ctx, f.alice, next.ID, zero())
	if err != nil || third.Family != row.ID {
		t.Errorf("of the line %s, not %s (%v)", third.Family, row.ID, err)
	}
}

// reuses lists what was told of reuse.
func (f *fixture) reuses(t testing.TB) []tenure.AuditEvent {
	t.Helper()
	if err := f.tellReuse(f.ctx); err != nil {
		t.Fatal(err)
	}
	events, err := f.DB.AuditTail(f.ctx, tenure.DefaultTenant, audit.ReuseDetected, 100)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestReuseIsToldOnce(t *testing.T) {
	f := newFixture(t)
	row, secret := f.mint(t, f.alice)
	next, fresh, err := f.Rotate(f.ctx, f.alice, row.ID, zero())
	if err != nil {
		t.Fatal(err)
	}
	use := func(secret string) {
		t.Helper()
		if _, err := f.Resolve(f.ctx, secret); !tenure.IsKind(err, tenure.Unauthenticated) {
			t.Errorf("a dead secret: %v", err)
		}
	}
	ctx := tenure.WithOrigin(f.ctx, &tenure.Origin{Address: "192.0.2.9"})
	for range 3 {
		_, _ = f.Resolve(ctx, secret)
	}
	if e := f.reuses(t); len(e) != 1 || e[0].ObjectID != string(row.ID) || e[0].Address != "192.0.2.9" || e[0].Detail["ended"] != "0" {
		t.Errorf("told %+v", e)
	}
	use(secret)
	if e := f.reuses(t); len(e) != 1 {
		t.Errorf("told %d times in one hour", len(e))
	}
	if f.Reuse.Seen() != 4 {
		t.Errorf("seen %d times", f.Reuse.Seen())
	}
	f.policy(t, "reuse", "end_family")
	use(secret)
	if e := f.reuses(t); len(e) != 2 || e[0].Detail["ended"] != "1" {
		t.Errorf("told %+v", e)
	}
	use(fresh.Reveal())
	if e := f.reuses(t); len(e) != 2 {
		t.Errorf("%s was not rotated: %d", next.ID, len(e))
	}
}

func TestWhatIsNoReuse(t *testing.T) {
	f := newFixture(t)
	row, secret := f.mint(t, f.alice)
	if _, _, err := f.Rotate(f.ctx, f.alice, row.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Resolve(f.ctx, secret); err != nil {
		t.Fatalf("within the overlap: %v", err)
	}
	if _, err := f.Revoke(f.ctx, f.alice, row.ID, "lost"); err != nil { // before its overlap was over
		t.Fatal(err)
	}
	_, _ = f.Resolve(f.ctx, secret)
	if e := f.reuses(t); len(e) != 0 {
		t.Errorf("revoked by hand: %+v", e)
	}
	again, secret := f.mint(t, f.alice)
	if _, _, err := f.Rotate(f.ctx, f.alice, again.ID, zero()); err != nil {
		t.Fatal(err)
	}
	err := f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SetActive(ctx, tenure.DefaultTenant, f.alice.User(), false, "test", "left")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Resolve(f.ctx, secret)
	if e := f.reuses(t); len(e) != 0 {
		t.Errorf("of a leaver: %+v", e)
	}
}

func TestReuseIsBounded(t *testing.T) {
	r := NewReuse()
	for range reuseWaiting + 10 {
		r.note(t.Context(), &tenure.Standing{Token: tenure.TokenID(tenure.NewID(time.Now()))})
	}
	if n := len(r.take()); n != reuseWaiting {
		t.Errorf("%d wait", n)
	}
}

func TestSelectionMustSaySomething(t *testing.T) {
	f := newFixture(t)
	admin := f.person(t, "ruth@example.com", tenure.SuperAdmin)
	if _, err := f.Preview(f.ctx, admin, Selection{}); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := f.RevokeMany(f.ctx, admin, Selection{}, confirmation(nil), "x"); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("nothing, confirmed: %v", err)
	}
	if _, err := f.Preview(f.ctx, f.alice, Selection{Name: "*"}); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("a member: %v", err)
	}
	f.mint(t, f.alice)
	if _, err := f.EnsureRoot(f.ctx, admin); err != nil {
		t.Fatal(err)
	}
	p, err := f.Preview(f.ctx, admin, Selection{Name: "*"})
	if err != nil || p.Total != 1 {
		t.Errorf("%d of one personal and one root token (%v)", p.Total, err)
	}
	for _, sel := range []Selection{
		{CreatedBefore: time.Now().Add(-time.Hour)}, {UnusedSince: time.Now().Add(-time.Hour)}, {Kind: tenure.KindService}, {Name: "desk*"}, {User: string(admin.User())},
	} {
		if p, err := f.Preview(f.ctx, admin, sel); err != nil || p.Total != 0 {
			t.Errorf("%+v chooses %d (%v)", sel, p.Total, err)
		}
	}
	for _, sel := range []Selection{{User: "nobody"}, {Account: "nobody"}, {Kind: tenure.KindPAT, User: "nobody"}, {Workspace: "nowhere"}} {
		if p, err := f.Preview(f.ctx, admin, sel); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%+v chooses %d (%v)", sel, p.Total, err)
		}
	}
}

// What could not be told now waits on, all of it.
func TestReuseThatCannotBeToldWaits(t *testing.T) {
	f := newFixture(t)
	first, _ := f.mint(t, f.alice)
	second, _ := f.mint(t, f.alice)
	for _, id := range []tenure.TokenID{first.ID, second.ID} {
		f.Reuse.note(f.ctx, &tenure.Standing{Token: id, Tenant: tenure.DefaultTenant})
	}
	gone, cancel := context.WithCancel(f.ctx)
	cancel()
	if err := f.tellReuse(gone); err == nil || len(f.Reuse.waiting) != 2 {
		t.Errorf("%v; %d wait", err, len(f.Reuse.waiting))
	}
	if err := f.tellReuse(f.ctx); err != nil || len(f.Reuse.waiting) != 0 {
		t.Errorf("%v; %d wait", err, len(f.Reuse.waiting))
	}
}
