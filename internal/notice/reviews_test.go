package notice

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Whoever has something to decide in a review is told when it opens, before it is due and
// when it is overdue; with nothing left to decide nobody is.
func TestReviews(t *testing.T) {
	b := open(t)
	row := tenure.Review{
		ID: tenure.ReviewID(tenure.NewID(b.now)), Tenant: tenure.DefaultTenant, Title: "Fourth quarter", From: b.now, OpenedAt: b.now, OpenedBy: "policy",
		DueAt: b.now.Add(14 * day), SecondDue: b.now.Add(21 * day), Unanswered: tenure.UnansweredEscalate, Kinds: []tenure.ReviewKind{tenure.ReviewPerson},
	}
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertReview(ctx, row); err != nil {
			return err
		}
		_, err := tx.TakeReviewItems(ctx, row, store.ReviewMarks{UnusedSince: b.now, LongAfter: b.now}, nil)
		return err
	})
	b.is("opened", b.sweep(0), "review_due Fourth quarter")
	b.is("a day later", b.sweep(day), "")
	b.is("seven days before", b.sweep(6*day), "review_due Fourth quarter")
	b.is("one day before", b.sweep(6*day), "review_due Fourth quarter")
	b.is("overdue", b.sweep(day+time.Minute), "review_overdue Fourth quarter")
	b.is("once", b.sweep(day), "")
}
