package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// MaxTogether is how many items are kept by one act at most.
const MaxTogether = 50

// claim is for how long nobody else ends what was revoked, or decides what is changed.
const claim = time.Minute

// Choice is what a reviewer decides about an item.
type Choice struct {
	Decision tenure.Decision
	Reason   string
	// To is what the thing is changed to: a role, another owner; or what somebody is to
	// do about it, who is Owner, by Due.
	To    string
	Owner string
	Due   time.Time
	// Version is how often the item was decided when the reviewer looked.
	Version int64

	claim time.Time // of whoever carries a change out
}

func (c Choice) check(now time.Time) error {
	if !slices.Contains(tenure.Decisions[:], c.Decision) {
		return tenure.InvalidField("decision", "expected keep, revoke, change or abstain")
	}
	if err := checkReason(c.Reason); err != nil {
		return err
	}
	if c.Decision != tenure.DecideChange {
		return nil
	}
	if c.To == "" {
		return tenure.InvalidField("to", "say what it is to be changed to, or what is to be done about it")
	}
	if !c.Due.IsZero() && c.Due.Before(now) {
		return tenure.InvalidField("due_at", "the date is past")
	}
	return errors.Join(tenure.CheckText("to", c.To), tenure.CheckText("owner", c.Owner))
}

// Decide decides an item. What is revoked is ended before Decide returns, and tried: the
// item says whether it is dead, or why it is not. Forbidden: it is the asker's own access,
// somebody else is to decide it, or it is a super admin's. Conflict: it was decided since
// the asker looked, is gone, has ended, or the review is closed.
func (r *Reviews) Decide(ctx context.Context, by tenure.Principal, id tenure.ReviewID, n int64, c Choice) (tenure.ReviewItem, error) {
	start := r.DB.Now()
	action := tenure.DecideReview
	if c.Decision == tenure.DecideRevoke {
		action = tenure.EndReviewed
	}
	if err := access.Check(by, action); err != nil {
		return tenure.ReviewItem{}, err
	}
	if err := c.check(start); err != nil {
		return tenure.ReviewItem{}, err
	}
	if err := r.stillThere(ctx, by, id, n); err != nil {
		return tenure.ReviewItem{}, err
	}
	done := false
	if c.Decision == tenure.DecideChange {
		var err error
		if done, c, err = r.change(ctx, by, id, n, c); err != nil {
			return tenure.ReviewItem{}, fmt.Errorf("change what item %d of review %s is about: %w", n, id, err)
		}
		ctx = context.WithoutCancel(ctx) // what is changed is written down
	}
	var i tenure.ReviewItem
	err := r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		i, err = decide(ctx, tx, by, id, n, c, done, 1)
		return err
	})
	if err != nil {
		return tenure.ReviewItem{}, fmt.Errorf("decide item %d of review %s: %w", n, id, err)
	}
	if i.Decision == tenure.DecideRevoke {
		return r.finish(ctx, by, i)
	}
	return i, nil
}

// change carries a change out, if there is an act for it: whoever does has claimed the
// item before, so that nobody else decides it meanwhile. Else it is a finding, which
// needs somebody who does it, and a date.
func (r *Reviews) change(ctx context.Context, by tenure.Principal, id tenure.ReviewID, n int64, c Choice) (bool, Choice, error) {
	ctx = tenure.WithOnce(ctx, nil) // the decision notes it
	var i tenure.ReviewItem
	err := r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if i, err = decidable(ctx, tx, by, id, n, c); err != nil {
			return err
		}
		if c.Owner != "" {
			c.Owner, err = doer(ctx, tx, i, c)
			return err
		}
		c.claim = tx.Now().Add(claim).Truncate(time.Microsecond)
		return tx.ClaimToChange(ctx, i, c.claim)
	})
	if err != nil || c.Owner != "" {
		return false, c, err
	}
	done, err := r.Things.Change(ctx, by, i, c.To)
	if err == nil && !done {
		err = tenure.InvalidField("owner", "nothing here can make that change: say who is to make it, and by when")
	}
	if err != nil {
		free := r.DB.Tx(context.WithoutCancel(tenure.WithoutAsker(ctx)), func(ctx context.Context, tx *store.Tx) error { return tx.FreeItem(ctx, i, c.claim) })
		if free != nil { // it frees itself
			r.Log.Warn("an item of an access review stays claimed", "review", id, "item", n, "until", c.claim, "error", free)
		}
	}
	return done, c, err
}

// doer gives the userName of whoever is to make a change: somebody who is there.
func doer(ctx context.Context, tx *store.Tx, i tenure.ReviewItem, c Choice) (string, error) {
	if c.Due.IsZero() {
		return "", tenure.InvalidField("due_at", "say by when it is to be done")
	}
	u, err := named(ctx, tx, i.Tenant, "owner", c.Owner)
	return u.UserName, err
}

// decide stores a decision in the transaction, and tells the audit log.
func decide(ctx context.Context, tx *store.Tx, by tenure.Principal, id tenure.ReviewID, n int64, c Choice, done bool, together int64) (tenure.ReviewItem, error) {
	i, err := decidable(ctx, tx, by, id, n, c)
	if err != nil {
		return i, err
	}
	before := i.Decision
	i.Decision, i.Reason, i.Change, i.ChangeOwner, i.ChangeDue = c.Decision, c.Reason, "", "", time.Time{}
	if c.Decision == tenure.DecideChange {
		i.Change = c.To
		if !done {
			i.ChangeOwner, i.ChangeDue = c.Owner, c.Due
		}
	}
	i.DecidedAt, i.DecidedBy, i.DecidedUser, i.Together = tx.Now(), by.Label(), by.User(), together
	if c.Decision == tenure.DecideAbstain {
		i.Reviewer, i.Given = "", false
	}
	return write(ctx, tx, by, i, before, c.claim)
}

// write stores what was decided about an item, if nobody has decided it meanwhile. mine
// is until when whoever decides has claimed it, if they have.
func write(ctx context.Context, tx *store.Tx, by tenure.Principal, i tenure.ReviewItem, before tenure.Decision, mine time.Time) (tenure.ReviewItem, error) {
	claimed := time.Time{}
	if i.Decision == tenure.DecideRevoke {
		claimed = tx.Now().Add(claim).Truncate(time.Microsecond)
	}
	err := tx.DecideReviewItem(ctx, i, i.Version, mine, claimed)
	if tenure.IsKind(err, tenure.NotFound) {
		err = &tenure.Error{Kind: tenure.Conflict, Code: "review_item_decided", Msg: "somebody else has decided this item at the same moment; look again"}
	}
	if err != nil {
		return i, err
	}
	i.Version++
	i.Failure, i.Attempts, i.ClaimedUntil = "", 0, claimed
	return i, tx.Append(ctx, audit.ReviewItemDecided(by, i, before))
}

// Kept is what became of items that were to be kept at once.
type Kept struct {
	Items int                 // that are kept
	Gone  []tenure.ReviewItem // those about what is not any more what it was
}

// Keep keeps several items at once, MaxTogether at most: none that has a flag, and none
// that was decided. What is gone by now comes out as gone; all others are kept, or none.
func (r *Reviews) Keep(ctx context.Context, by tenure.Principal, id tenure.ReviewID, ns []int64, reason string) (Kept, error) {
	if err := access.Check(by, tenure.DecideReview); err != nil {
		return Kept{}, err
	}
	if err := checkReason(reason); err != nil {
		return Kept{}, err
	}
	ns = slices.Compact(slices.Sorted(slices.Values(ns)))
	if len(ns) == 0 || len(ns) > MaxTogether {
		return Kept{}, tenure.InvalidField("items", "1 to %d items are kept at once; more than that nobody has looked at", MaxTogether)
	}
	there, gone, err := r.sift(ctx, by, id, ns)
	if err != nil {
		return Kept{}, err
	}
	err = r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, n := range there {
			i, err := seen(ctx, tx, by, id, n)
			if err != nil {
				return err
			}
			if i.Flags != "" {
				return &tenure.Error{Kind: tenure.Conflict, Code: "review_item_flagged", Field: "items", Msg: fmt.Sprintf("item %d is flagged (%s): it is decided by itself", n, i.Flags)}
			}
			if _, err := decide(ctx, tx, by, id, n, Choice{Decision: tenure.DecideKeep, Reason: reason}, false, int64(len(there))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Kept{}, fmt.Errorf("keep items of review %s: %w", id, err)
	}
	return Kept{len(there), gone}, nil
}

// sift asks of each item what is asked of one that is decided alone: those that are what
// they were, and those that are gone.
func (r *Reviews) sift(ctx context.Context, by tenure.Principal, id tenure.ReviewID, ns []int64) (there []int64, gone []tenure.ReviewItem, err error) {
	for _, n := range ns {
		err := r.stillThere(ctx, by, id, n)
		switch {
		case err == nil:
			there = append(there, n)
			continue
		case tenure.AsError(err).Code != codeGone:
			return nil, nil, err
		}
		i, err := seen(ctx, r.DB, by, id, n)
		if err != nil {
			return nil, nil, err
		}
		if i.GoneAt.IsZero() { // it was decided before, or the review is closed: decide says which
			there = append(there, n)
			continue
		}
		gone = append(gone, i)
	}
	return there, gone, nil
}
