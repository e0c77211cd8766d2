package review_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/store"
)

const pastDue = `UPDATE access_reviews SET due_at = '2020-01-01T00:00:00.000000Z'`

func (b *bench) root() tenure.Principal {
	b.t.Helper()
	s := &tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true}
	root, err := s.Admit(b.db.Now(), 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return root
}

// held has a change of an item begin and wait: it goes on as let is called, and is done
// when that returns.
func (b *bench) held(by tenure.Principal, id tenure.ReviewID, c review.Choice, n int64, changed bool) (let func() error) {
	at, on, done := make(chan struct{}), make(chan struct{}), make(chan error)
	b.replicas[0].Things.Change = func(context.Context, tenure.Principal, tenure.ReviewItem, string) (bool, error) {
		close(at)
		<-on
		return changed, nil
	}
	go func() {
		_, err := b.replicas[0].Decide(b.ctx, by, id, n, c)
		done <- err
	}()
	<-at
	return func() error {
		close(on)
		return <-done
	}
}

// Whoever may make a change is asked before it, and not again after: who gives away what
// they answer for has decided that.
func TestChangedIsDecided(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("p", 2, tenure.Member)
		b.hand(`INSERT INTO service_accounts (id, tenant_id, workspace_id, name, owner_user_id, created_at) VALUES ('s1', 'default', 'default', 'robot', 'p1', '2026-01-01T00:00:00.000000Z')`)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"service_account"}})
		changes := 0
		b.replicas[0].Things.Change = func(context.Context, tenure.Principal, tenure.ReviewItem, string) (bool, error) {
			changes++
			b.hand(`UPDATE service_accounts SET owner_user_id = 'p2'`)
			return true, nil
		}
		give := review.Choice{Decision: tenure.DecideChange, Reason: "moves on", To: "p2"}
		i, err := b.replicas[0].Decide(b.ctx, b.as(tenure.Member, "p1"), v.ID, 1, give)
		if err != nil || i.State() != "changed" || changes != 1 {
			t.Errorf("%s after %d changes: %v", i.State(), changes, err)
		}
		give.Version = 1
		if _, err := b.replicas[0].Decide(b.ctx, b.as(tenure.Member, "p1"), v.ID, 1, give); code(err) != "not_the_reviewer" || changes != 1 {
			t.Errorf("who answers for it no more: %v after %d changes", err, changes)
		}
	})
}

// Nobody chooses who decides about their own access, and whoever holds the root token not
// about anybody's.
func TestNobodyChoosesTheirReviewer(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 2, tenure.Admin)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		r, ada := b.replicas[0], b.as(tenure.Admin, "a1")
		for to, by := range map[string]tenure.Principal{"review_of_oneself": ada, "review_by_root": b.root()} {
			if _, err := r.Reassign(b.ctx, by, v.ID, 1, "a2", "a friend"); code(err) != to {
				t.Errorf("%v, want %s", err, to)
			}
		}
		i, err := r.Item(b.ctx, ada, v.ID, 1)
		if err != nil || i.Reviewer != "" || r.MayReassign(ada, i) {
			t.Errorf("for %q: %v", i.Reviewer, err)
		}
		if _, err := r.Reassign(b.ctx, b.as(tenure.SuperAdmin, ""), v.ID, 1, "a2", "the operator"); err != nil {
			t.Error(err)
		}
	})
}

// Where there is no super admin, the policy leaves somebody who administers.
func TestPolicyLeavesAnAdministrator(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 3, tenure.Admin)
		for _, r := range b.replicas {
			r.Things.End = func(_ context.Context, i tenure.ReviewItem, _ string) error {
				b.hand(`UPDATE users SET active = FALSE WHERE id = '` + i.Subject + `'`)
				return nil
			}
		}
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person", "role"}, Unanswered: tenure.UnansweredRevoke})
		b.hand(pastDue)
		b.both()
		items, err := b.replicas[0].Items(b.ctx, b.as(tenure.SuperAdmin, ""), v.ID, review.ItemFilter{ItemFilter: store.ItemFilter{Limit: 100}})
		if err != nil {
			t.Fatal(err)
		}
		left := map[string]int{}
		for _, i := range items {
			if i.Undecided() {
				left[i.Subject]++
			}
		}
		if len(left) != 1 {
			t.Errorf("left are %v", left)
		}
	})
}

// What somebody is at when the review is due is taken up when they are done.
func TestClaimedIsTakenUpLater(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 2, tenure.SuperAdmin)
		b.people("p", 2, tenure.Member)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}, Unanswered: tenure.UnansweredRevoke})
		ada := b.as(tenure.SuperAdmin, "a1")
		let := b.held(ada, v.ID, review.Choice{Decision: tenure.DecideChange, Reason: "less", To: "viewer"}, 3, false)
		b.hand(pastDue)
		for range 2 {
			if err := b.replicas[1].Housekeep(b.ctx); err != nil {
				t.Fatal(err)
			}
		}
		if i, err := b.replicas[1].Item(b.ctx, ada, v.ID, 3); err != nil || !i.Undecided() || b.ended.Load() != 1 {
			t.Errorf("%s, %d ended: %v", i.State(), b.ended.Load(), err)
		}
		if err := let(); code(err) != "invalid_owner" {
			t.Error(err)
		}
		b.both()
		if i, err := b.replicas[1].Item(b.ctx, ada, v.ID, 3); err != nil || i.State() != "revoked" || b.ended.Load() != 2 {
			t.Errorf("%s, %d ended: %v", i.State(), b.ended.Load(), err)
		}
	})
}

// Of many that are kept at once those that are gone come out as gone.
func TestKeptIsStillThere(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 1, tenure.SuperAdmin)
		b.people("p", 4, tenure.Member)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		b.hand(`UPDATE access_review_items SET flags = ''`)
		r, ada := b.replicas[0], b.as(tenure.SuperAdmin, "a1")
		r.Things.Gone = func(_ context.Context, i tenure.ReviewItem) (string, error) {
			if i.N%2 == 1 {
				return "it is another", nil
			}
			return "", nil
		}
		kept, err := r.Keep(b.ctx, ada, v.ID, []int64{2, 3, 4, 5}, "because")
		if err != nil || kept.Items != 2 || len(kept.Gone) != 2 || kept.Gone[0].N != 3 || kept.Gone[1].GoneWhy != "it is another" {
			t.Errorf("%+v: %v", kept, err)
		}
		for n, want := range map[int64]string{2: "kept", 3: "gone", 4: "kept", 5: "gone"} {
			if i, err := r.Item(b.ctx, ada, v.ID, n); err != nil || i.State() != want || want == "kept" && i.Together != 2 {
				t.Errorf("item %d is %s, of %d together: %v", n, i.State(), i.Together, err)
			}
		}
	})
}

// While a change is carried out nobody writes the item down as gone, gives it to somebody
// else, or ends what it is about.
func TestClaimKeepsOthersOff(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 2, tenure.SuperAdmin)
		b.people("p", 2, tenure.Member)
		ada, ben, other := b.as(tenure.SuperAdmin, "a1"), b.as(tenure.SuperAdmin, "a2"), b.replicas[1]
		other.Things.Gone = func(context.Context, tenure.ReviewItem) (string, error) { return "the role is viewer now", nil }
		change := review.Choice{Decision: tenure.DecideChange, Reason: "less", To: "viewer"}
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		let := b.held(ada, v.ID, change, 3, true)
		b.hand(`UPDATE users SET active = FALSE WHERE id = 'p1'`)
		if _, err := other.Decide(b.ctx, ben, v.ID, 3, kept); code(err) != "review_item_busy" {
			t.Error(err)
		}
		if err := other.Look(b.ctx); err != nil {
			t.Error(err)
		}
		if _, err := other.Reassign(b.ctx, ben, v.ID, 3, "a1", "knows them"); code(err) != "review_item_busy" {
			t.Error(err)
		}
		if err := let(); err != nil {
			t.Error("it was changed, and told as", err)
		}
		if i, err := other.Item(b.ctx, ben, v.ID, 3); err != nil || i.State() != "changed" {
			t.Errorf("%s: %v", i.State(), err)
		}
		// What was revoked and is not dead waits while it is changed.
		b.stays.Store(true)
		if i, err := b.replicas[0].Decide(b.ctx, ada, v.ID, 4, review.Choice{Decision: tenure.DecideRevoke, Reason: "left"}); err != nil || i.State() != "failed" {
			t.Fatal(i.State(), err)
		}
		b.hand(`UPDATE access_review_items SET next_try_at = '2020-01-01T00:00:00.000000Z' WHERE n = 4`)
		change.Version = 1
		let = b.held(ada, v.ID, change, 4, true)
		before := b.ended.Load()
		if err := other.Housekeep(b.ctx); err != nil || b.ended.Load() != before {
			t.Errorf("ended %d times beside a change: %v", b.ended.Load()-before, err)
		}
		if err := let(); err != nil {
			t.Error(err)
		}
	})
}

// Who hangs up while a change is made, or a revocation carried out, holds up nobody.
func TestWhoHangsUpHoldsNobodyUp(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 2, tenure.SuperAdmin)
		b.people("p", 2, tenure.Member)
		ada, r := b.as(tenure.SuperAdmin, "a1"), b.replicas[0]
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		ctx, hangUp := context.WithCancel(b.ctx)
		r.Things.Change = func(ctx context.Context, _ tenure.Principal, _ tenure.ReviewItem, _ string) (bool, error) {
			hangUp()
			return false, ctx.Err()
		}
		if _, err := r.Decide(ctx, ada, v.ID, 3, review.Choice{Decision: tenure.DecideChange, Reason: "less", To: "viewer"}); err == nil {
			t.Error("it was changed")
		}
		if _, err := r.Decide(b.ctx, ada, v.ID, 3, kept); err != nil {
			t.Error(err)
		}
		ctx, hangUp = context.WithCancel(b.ctx)
		end := r.Things.End
		r.Things.End = func(ctx context.Context, i tenure.ReviewItem, why string) error {
			hangUp()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return end(ctx, i, why)
		}
		if i, err := r.Decide(ctx, ada, v.ID, 4, review.Choice{Decision: tenure.DecideRevoke, Reason: "left"}); err != nil || i.State() != "revoked" {
			t.Errorf("%s: %v", i.State(), err)
		}
	})
}

// Who was too slow does not end the claim of who came after them.
func TestLateEndLeavesTheClaim(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 2, tenure.SuperAdmin)
		b.people("p", 1, tenure.Member)
		b.stays.Store(true)
		ada, r := b.as(tenure.SuperAdmin, "a1"), b.replicas[0]
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		const theirs = `'2099-01-01T00:00:00.000000Z'`
		r.Things.End = func(context.Context, tenure.ReviewItem, string) error {
			b.hand(`UPDATE access_review_items SET claimed_until = ` + theirs + ` WHERE n = 3`)
			return nil
		}
		i, err := r.Decide(b.ctx, ada, v.ID, 3, review.Choice{Decision: tenure.DecideRevoke, Reason: "left"})
		if err != nil || i.State() != "revoking" || i.ClaimedUntil.Year() != 2099 {
			t.Errorf("%s, claimed until %v: %v", i.State(), i.ClaimedUntil, err)
		}
	})
}

// A report says whether the snapshot agrees, does not, or was not compared.
func TestReportSaysWhatIsKnown(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 1, tenure.SuperAdmin)
		r, root := b.replicas[0], b.as(tenure.SuperAdmin, "")
		for n, c := range []struct{ tamper, want string }{
			{``, "agrees"},
			{`UPDATE access_review_items SET granted = 'less' WHERE review = `, "does not agree"},
		} {
			v := b.open(review.Spec{Title: "All " + strconv.Itoa(n), Kinds: []string{"person"}})
			if c.tamper != "" {
				b.hand(c.tamper + `'` + string(v.ID) + `'`)
			}
			if _, err := r.Close(b.ctx, root, v.ID, "enough"); err != nil {
				t.Fatal(err)
			}
			signed, err := r.Reported(b.ctx, root, v.ID)
			if err != nil || review.Agrees(signed) != c.want {
				t.Errorf("%s: %v", review.Agrees(signed), err)
			}
			text, err := r.Signed(b.ctx, root, v.ID)
			if err != nil {
				t.Fatal(err)
			}
			before := strings.NewReplacer(`"snapshot_intact":true,`, "", `"snapshot_intact":false,`, "").Replace(text)
			b.hand(`UPDATE access_reviews SET report = '` + before + `' WHERE id = '` + string(v.ID) + `'`)
			if signed, err = r.Reported(b.ctx, root, v.ID); err != nil || review.Agrees(signed) != "was not compared" {
				t.Errorf("%s: %v", review.Agrees(signed), err)
			}
		}
	})
}
