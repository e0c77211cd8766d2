package review_test

import (
	"bytes"
	"cmp"
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/store"
)

var kept = review.Choice{Decision: tenure.DecideKeep, Reason: "because"}

func code(err error) string {
	if err == nil {
		return ""
	}
	return tenure.AsError(err).Code
}

// What is signed stays as it was signed: what was revoked and is not dead is not tried any
// more, and the items are those of the report.
func TestClosedReviewStays(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 2, tenure.SuperAdmin)
		b.people("p", 2, tenure.Member)
		b.stays.Store(true)
		r, ada := b.replicas[0], b.as(tenure.SuperAdmin, "a1")
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		i, err := r.Decide(b.ctx, ada, v.ID, 3, review.Choice{Decision: tenure.DecideRevoke, Reason: "left"})
		if err != nil || i.State() != "failed" {
			t.Fatal(i.State(), err)
		}
		if _, err := r.Close(b.ctx, ada, v.ID, "enough"); err != nil {
			t.Fatal(err)
		}
		signed, err := r.Reported(b.ctx, ada, v.ID)
		if err != nil || signed.Unresolved != 4 || review.Agrees(signed) != "agrees" {
			t.Fatalf("%+v: %v", signed, err)
		}
		b.stays.Store(false)
		b.hand(`UPDATE access_review_items SET next_try_at = '2020-01-01T00:00:00.000000Z' WHERE decision = 'revoke'`)
		b.both()
		if now, err := r.Item(b.ctx, ada, v.ID, 3); err != nil || now.State() != "failed" || b.ended.Load() != 1 {
			t.Errorf("%s, ended %d times: %v", now.State(), b.ended.Load(), err)
		}
		var items bytes.Buffer
		if err := r.WriteCSV(b.ctx, ada, v.ID, &items); err != nil {
			t.Fatal(err)
		}
		if err := review.CheckCSV(signed, bytes.NewReader(items.Bytes())); err != nil {
			t.Error(err)
		}
		if err := review.CheckCSV(signed, strings.NewReader(strings.Replace(items.String(), "granted_by", "refused_by", 1))); err == nil {
			t.Error("the columns have other names, and nobody has noticed")
		}
	})
}

// The policy closes a review whose items are all resolved; beside whoever opens one again
// at the same moment it does not.
func TestPolicyClosesNothingOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 2, tenure.SuperAdmin)
		ada := b.as(tenure.SuperAdmin, "a1")
		for range 12 {
			v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
			for n := range int64(2) { // one of both is theirs
				b.hand(`UPDATE access_review_items SET decision = 'keep', version = 1, person = '' WHERE review = '` + string(v.ID) + `' AND n = ` + string(rune('1'+n)))
			}
			var wg sync.WaitGroup
			wg.Go(func() { _ = b.replicas[1].Housekeep(b.ctx) })
			wg.Go(func() {
				_, _ = b.replicas[0].Decide(b.ctx, ada, v.ID, 1, review.Choice{Decision: tenure.DecideAbstain, Reason: "unsure", Version: 1})
			})
			wg.Wait()
			now, err := b.replicas[0].Get(b.ctx, ada, v.ID)
			if err != nil || !now.ClosedAt.IsZero() && now.Counts.Unresolved > 0 {
				t.Fatalf("closed by %s with %+v: %v", now.ClosedBy, now.Counts, err)
			}
		}
	})
}

// While what was decided is carried out nobody decides otherwise, and the review is not
// closed; and nobody carries a change out who has not claimed the item.
func TestDecidedBeforeDone(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 2, tenure.SuperAdmin)
		b.people("p", 2, tenure.Member)
		r, other := b.replicas[0], b.replicas[1]
		ada, ben := b.as(tenure.SuperAdmin, "a1"), b.as(tenure.SuperAdmin, "a2")
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person"}})
		changed := 0
		for _, c := range []struct {
			item    int64
			choice  review.Choice
			version int64
		}{
			{3, review.Choice{Decision: tenure.DecideRevoke, Reason: "left"}, 1},
			{4, review.Choice{Decision: tenure.DecideChange, Reason: "less", To: "viewer"}, 0},
		} {
			at, on := make(chan struct{}), make(chan struct{})
			r.Things.End = func(context.Context, tenure.ReviewItem, string) error { close(at); <-on; return nil }
			r.Things.Change = func(context.Context, tenure.Principal, tenure.ReviewItem, string) (bool, error) {
				close(at)
				<-on
				return true, nil
			}
			other.Things.Change = func(context.Context, tenure.Principal, tenure.ReviewItem, string) (bool, error) {
				changed++
				return true, nil
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := r.Decide(b.ctx, ada, v.ID, c.item, c.choice); err != nil {
					t.Error(err)
				}
			})
			<-at
			keep, change := kept, c.choice
			keep.Version, change.Version, change.Decision, change.To = c.version, c.version, tenure.DecideChange, "member"
			if _, err := other.Decide(b.ctx, ben, v.ID, c.item, keep); code(err) != "review_item_busy" {
				t.Errorf("kept beside %s: %v", c.choice.Decision, err)
			}
			if _, err := other.Decide(b.ctx, ben, v.ID, c.item, change); code(err) != "review_item_busy" || changed > 0 {
				t.Errorf("changed %d times beside %s: %v", changed, c.choice.Decision, err)
			}
			if _, err := other.Close(b.ctx, ben, v.ID, "enough"); code(err) != "review_busy" {
				t.Errorf("closed beside %s: %v", c.choice.Decision, err)
			}
			close(on)
			wg.Wait()
		}
		// What could not be changed is free again.
		other.Things.Change = func(context.Context, tenure.Principal, tenure.ReviewItem, string) (bool, error) { return false, nil }
		if _, err := other.Decide(b.ctx, ben, v.ID, 1, review.Choice{Decision: tenure.DecideChange, Reason: "less", To: "viewer"}); code(err) != "invalid_owner" {
			t.Error(err)
		}
		if _, err := other.Decide(b.ctx, ben, v.ID, 1, kept); err != nil {
			t.Error(err)
		}
	})
}

// What nobody decides is revoked by the policy: but no super admin, nothing whose reviewer
// has left, and nothing that is another thing by now.
func TestPolicyLocksNobodyOut(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 3, tenure.SuperAdmin)
		b.people("h", 1, tenure.Admin)
		b.people("p", 3, tenure.Member)
		for _, r := range b.replicas {
			r.Things.Gone = func(_ context.Context, i tenure.ReviewItem) (string, error) {
				if i.Subject == "p3" {
					return "it is another", nil
				}
				return "", nil
			}
		}
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person", "role"}, Unanswered: tenure.UnansweredRevoke})
		ada := b.as(tenure.SuperAdmin, "a1")
		items, err := b.replicas[0].Items(b.ctx, ada, v.ID, review.ItemFilter{ItemFilter: store.ItemFilter{Limit: 100}})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			if i.Subject == "p2" {
				if _, err := b.replicas[0].Reassign(b.ctx, ada, v.ID, i.N, "h1", "knows them"); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.hand(`UPDATE users SET active = FALSE WHERE id = 'h1'`)
		b.hand(`UPDATE access_reviews SET due_at = '2020-01-01T00:00:00.000000Z'`)
		b.both()
		items, err = b.replicas[0].Items(b.ctx, ada, v.ID, review.ItemFilter{ItemFilter: store.ItemFilter{Limit: 100}})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			want := cmp.Or(map[string]string{"p1": "revoked", "h1": "revoked", "p3": "gone"}[i.Subject], "undecided")
			if i.State() != want || i.Reviewer != "" {
				t.Errorf("%s of %s is %s, for %q; want %s", i.Kind, i.Subject, i.State(), i.Reviewer, want)
			}
		}
	})
}

// Whoever holds the root token may be whose access it is: it decides about nobody's.
func TestRootDecidesAboutNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("p", 1, tenure.Member)
		b.hand(`INSERT INTO service_accounts (id, tenant_id, workspace_id, name, owner_user_id, created_at) VALUES ('s1', 'default', 'default', 'robot', 'p1', '2026-01-01T00:00:00.000000Z')`)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"person", "service_account"}})
		root := b.root()
		if _, err := b.replicas[0].Decide(b.ctx, root, v.ID, 1, kept); code(err) != "review_by_root" {
			t.Error(err)
		}
		if _, err := b.replicas[0].Keep(b.ctx, root, v.ID, []int64{1}, "because"); err == nil {
			t.Error("kept")
		}
		if _, err := b.replicas[0].Decide(b.ctx, root, v.ID, 2, kept); err != nil {
			t.Error(err)
		}
	})
}

// Whoever heads no workspace any more, or answers for nothing, decides nothing by it: the
// administrators do, and are given it.
func TestOfficeIsOfNow(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.people("a", 1, tenure.Admin)
		b.people("h", 2, tenure.Member)
		b.people("p", 3, tenure.Member)
		b.hand(`INSERT INTO memberships (tenant_id, workspace_id, user_id, role, created_at)
			SELECT 'default', 'default', id, CASE WHEN id LIKE 'h%' THEN 'workspace_admin' ELSE 'member' END, '2026-01-01T00:00:00.000000Z' FROM users WHERE id <> 'a1'`)
		v := b.open(review.Spec{Title: "All", Kinds: []string{"membership"}})
		r := b.replicas[0]
		items, err := r.Items(b.ctx, b.as(tenure.Auditor, "x"), v.ID, review.ItemFilter{ItemFilter: store.ItemFilter{Limit: 100}})
		if err != nil || len(items) != 5 {
			t.Fatal(len(items), err)
		}
		for _, i := range items { // h1, h2, p1, …: the first who heads it, whose it is not
			if want := map[bool]tenure.UserID{true: "h2", false: "h1"}[i.Person == "h1"]; i.Reviewer != want {
				t.Errorf("%s is for %s, not for %s", i.Person, i.Reviewer, want)
			}
		}
		if _, err := r.Decide(b.ctx, b.as(tenure.Member, "h1"), v.ID, 3, kept); err != nil {
			t.Error(err)
		}
		if _, err := r.Decide(b.ctx, b.as(tenure.Admin, "a1"), v.ID, 4, kept); code(err) != "not_the_reviewer" {
			t.Error(err)
		}
		if _, err := r.Reassign(b.ctx, b.as(tenure.Admin, "a1"), v.ID, 5, "h1", "knows them"); err != nil {
			t.Fatal(err)
		}
		b.hand(`UPDATE memberships SET role = 'member' WHERE user_id = 'h1'`)
		if _, err := r.Decide(b.ctx, b.as(tenure.Member, "h1"), v.ID, 4, kept); code(err) != "not_the_reviewer" {
			t.Error(err)
		}
		if _, err := r.Decide(b.ctx, b.as(tenure.Member, "h1"), v.ID, 5, kept); err != nil {
			t.Error("what an administrator gave them:", err)
		}
		if err := r.Look(b.ctx); err != nil {
			t.Fatal(err)
		}
		if i, err := r.Item(b.ctx, b.as(tenure.Admin, "a1"), v.ID, 4); err != nil || i.Reviewer != "" {
			t.Errorf("for %q: %v", i.Reviewer, err)
		}
		if _, err := r.Decide(b.ctx, b.as(tenure.Admin, "a1"), v.ID, 4, kept); err != nil {
			t.Error(err)
		}
	})
}
