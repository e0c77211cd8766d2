package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// openedLate is how long after it was due a review may be opened: Tenure opens it by
// itself, where it runs.
const openedLate = 2 * day

// held is a review with what was counted of it.
type held struct {
	tenure.Review
	store.ReviewCounts
}

// deadline is by when everything in a review was to be decided.
func (r held) deadline() time.Time {
	if r.Unanswered == tenure.UnansweredEscalate && r.SecondDue.After(r.DueAt) {
		return r.SecondDue
	}
	return r.DueAt
}

// whole reports whether a review is of everything that gives access.
func (r held) whole() bool { return len(r.Kinds) == 0 && len(r.Workspaces) == 0 }

// heldReviews are the reviews of a tenant that were opened before the end of the period,
// the oldest first.
func (x *export) heldReviews(ctx context.Context) ([]held, error) {
	var out []held
	for after := tenure.ReviewID(""); ; {
		rows, err := x.Reviews(ctx, store.ReviewFilter{Tenant: x.tenant.ID, After: after, Limit: pageRows})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			after = r.ID
			if !r.OpenedAt.Before(x.query.To) {
				continue
			}
			counts, err := x.CountReview(ctx, store.ItemFilter{Tenant: x.tenant.ID, Review: r.ID})
			if err != nil {
				return nil, err
			}
			out = append(out, held{r, counts})
		}
		if len(rows) < pageRows {
			slices.SortFunc(out, func(a, b held) int { return a.OpenedAt.Compare(b.OpenedAt) })
			return out, nil
		}
	}
}

// touches reports whether a review was open at some time of the period.
func (x *export) touches(r held) bool { return r.ClosedAt.IsZero() || !r.ClosedAt.Before(x.query.From) }

// reviews writes the reviews of the period with all their items, and judges them.
func (x *export) reviews(ctx context.Context) error {
	all, err := x.heldReviews(ctx)
	if err != nil {
		return err
	}
	var t tally
	every, err := x.dueReviews(ctx, all, &t)
	if err != nil {
		return err
	}
	waiting := 0
	var mine []held
	for _, r := range all {
		if !x.touches(r) {
			continue
		}
		mine = append(mine, r)
		if r.ClosedAt.IsZero() && x.At.Before(r.deadline()) {
			waiting++ // it is not due yet
			continue
		}
		t.item(r.Title+" ("+string(r.ID)+")", x.wrongOf(r))
	}
	note := "The policy asks for no reviews by itself (review_every is 0)."
	if every > 0 {
		note = "By the policy as it is now a review is due every " + tenure.FormatSpan(every) + "."
	}
	if waiting > 0 {
		note += fmt.Sprintf(" %d open and not due yet.", waiting)
	}
	if t.population == 0 {
		x.unassessed("reviews.held", note+" None was due in the period.")
	} else {
		x.judge("reviews.held", t, note, "reviews.csv", "review_items.csv")
	}
	if err := x.writeReviews(ctx, mine); err != nil {
		return err
	}
	return x.writeReviewItems(ctx, mine)
}

// dueReviews counts each review that the policy wanted in the period, and gives how often
// it wants one. What it wanted before it was set so is not known, and not asked for.
func (x *export) dueReviews(ctx context.Context, all []held, t *tally) (time.Duration, error) {
	policy, err := x.Policy(ctx, x.tenant.ID)
	if err != nil || policy.ReviewEvery == 0 {
		return 0, err
	}
	rows, err := x.PolicyRows(ctx, x.tenant.ID)
	if err != nil {
		return 0, err
	}
	var set time.Time
	if i := slices.IndexFunc(rows, func(r store.PolicyRow) bool { return r.Key == "review_every" }); i >= 0 {
		set = rows[i].UpdatedAt
	}
	last := x.tenant.CreatedAt
	end := x.query.To
	if x.At.Before(end) {
		end = x.At
	}
	for {
		due := last.Add(policy.ReviewEvery)
		if due.Before(set) {
			due = set
		}
		i := slices.IndexFunc(all, func(r held) bool { return r.whole() && r.OpenedAt.After(last) })
		opened := i >= 0 && !all[i].OpenedAt.After(due.Add(openedLate))
		if !opened && !due.Add(openedLate).Before(end) {
			return policy.ReviewEvery, nil // there is time yet
		}
		if x.within(due) {
			t.item("due on "+due.UTC().Format(time.DateOnly), when(!opened, "no review of everything was opened by then"))
		}
		if last = due; i >= 0 && (opened || all[i].OpenedAt.Before(due.Add(policy.ReviewEvery))) {
			last = all[i].OpenedAt
		}
	}
}

// wrongOf says what is wrong with a review whose time is over; "": nothing.
func (x *export) wrongOf(r held) string {
	var out []string
	if r.ClosedAt.IsZero() {
		out = append(out, "it was due on "+r.deadline().UTC().Format(time.DateOnly)+" and is not closed")
	} else if r.ClosedAt.After(r.deadline()) {
		out = append(out, "it was closed on "+r.ClosedAt.UTC().Format(time.DateOnly)+", after "+r.deadline().UTC().Format(time.DateOnly))
	}
	if r.Undecided > 0 {
		out = append(out, fmt.Sprintf("nobody decided %d of %d items", r.Undecided, r.ReviewCounts.Items))
	}
	if n := r.Unresolved - r.Undecided; n > 0 {
		out = append(out, fmt.Sprintf("%d items were revoked and have not ended", n))
	}
	return strings.Join(out, "; ")
}

func (x *export) writeReviews(ctx context.Context, all []held) error {
	return x.populate(ctx, population{
		name: "reviews", title: "Reviews of access",
		columns: []string{
			"review_id", "title", "opened_at", "opened_by", "by_policy", "kinds", "workspaces", "period_from", "due_at", "second_due_at", "unanswered", "items", "undecided",
			"revoked_not_ended", "flagged", "closed_at", "closed_by", "closed_why", "snapshot_sha256", "report_signed",
		},
		shows: []string{"title", "opened_at", "by_policy", "due_at", "second_due_at", "items", "undecided", "revoked_not_ended", "closed_at", "closed_by"},
		each: func(_ context.Context, give func(...any) error) error {
			for _, r := range all {
				if err := give(string(r.ID), r.Title, r.OpenedAt, r.OpenedBy, r.Automatic, joined(r.Kinds), joined(r.Workspaces), r.From, r.DueAt, r.SecondDue, r.Unanswered, r.ReviewCounts.Items,
					r.Undecided, r.Unresolved-r.Undecided, r.Flagged, r.ClosedAt, r.ClosedBy, r.CloseWhy, r.Snapshot, r.Report != ""); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

func (x *export) writeReviewItems(ctx context.Context, all []held) error {
	return x.populate(ctx, population{
		name: "review_items", title: "Items of the reviews of access",
		columns: []string{
			"review_id", "item", "kind", "subject_id", "subject", "person_id", "workspace", "grant", "source", "granted_at", "granted_by", "last_used_at", "expires_at", "flags",
			"reviewer", "state", "decision", "reason", "change", "change_owner", "change_due", "decided_at", "decided_by", "decided_together", "ended_at", "failure", "gone_at", "gone_why",
		},
		shows: []string{"kind", "subject", "workspace", "grant", "flags", "reviewer", "state", "decided_at", "decided_by", "reason"},
		each: func(ctx context.Context, give func(...any) error) error {
			for _, r := range all {
				err := x.EachReviewItem(ctx, store.ItemFilter{Tenant: x.tenant.ID, Review: r.ID}, func(i tenure.ReviewItem) error {
					return give(string(r.ID), i.N, string(i.Kind), i.Subject, i.Name, string(i.Person), i.WorkspaceName, i.Grant, i.Source, i.GrantedAt, i.GrantedBy, i.LastUsedAt, i.ExpiresAt, i.Flags,
						i.ReviewerName, i.State(), string(i.Decision), i.Reason, i.Change, i.ChangeOwner, i.ChangeDue, i.DecidedAt, i.DecidedBy, i.Together, i.EndedAt, i.Failure, i.GoneAt, i.GoneWhy)
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
	})
}
