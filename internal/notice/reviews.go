package notice

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
)

// reviewStages are how long before it is due reviewers are told of a review again.
// Nobody modifies it.
var reviewStages = []time.Duration{7 * day, day}

// reviews tells reviewers what they have to decide: when a review opens, seven days and
// one day before it is due, and when it is overdue. What is for any administrator is told
// to all of them.
func (n *Notices) reviews(ctx context.Context) error {
	now := n.DB.Now()
	rows, err := n.DB.ReviewersWaiting(ctx)
	if err != nil {
		return err
	}
	var all []tenure.Notice
	for _, w := range rows {
		due := w.DueAt
		if w.Reviewer == "" && !w.OverdueAt.IsZero() {
			due = w.SecondDue // what nobody decided is theirs since the first
		}
		one := tenure.Notice{
			Tenant: w.Tenant, Kind: tenure.NoticeReviewDue, Severity: tenure.Warning, User: w.Reviewer, ObjectKind: "review", ObjectID: string(w.ID), Object: w.Title,
		}
		left := due.Sub(now)
		stage := nearest(left, reviewStages)
		what := fmt.Sprintf("%d items of the access review %q wait for a decision", w.Items, w.Title)
		if w.Items == 1 {
			what = fmt.Sprintf("1 item of the access review %q waits for a decision", w.Title)
		}
		switch {
		case left <= 0:
			one.Kind, one.Severity, one.Message = tenure.NoticeReviewOverdue, tenure.Alert, what+"; it was due at "+at(due)+"."
		case stage == 0 || due.Sub(w.OpenedAt) <= stage: // it opened no longer ago
			stage = 0
			one.Message = fmt.Sprintf("%s, due %s, at %s.", what, in(left), at(due))
		default:
			one.Message = fmt.Sprintf("%s, due %s, at %s.", what, in(left), at(due))
		}
		one.Dedupe = fmt.Sprintf("%s:%s:%s:%s:%d", one.Kind, w.ID, w.Reviewer, tenure.FormatSpan(stage), due.Unix())
		all = append(all, one)
	}
	if err := n.raise(ctx, all); err != nil {
		return fmt.Errorf("notices of access reviews: %w", err)
	}
	return nil
}
