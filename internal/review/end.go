package review

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// stillThere answers Conflict when what an item is about is not what it was, and writes
// it down where nobody has decided: what is there now is another thing.
func (r *Reviews) stillThere(ctx context.Context, by tenure.Principal, id tenure.ReviewID, n int64) error {
	i, err := seen(ctx, r.DB, by, id, n)
	if err != nil {
		return err
	}
	if i.ClaimedUntil.After(r.DB.Now()) {
		return busy()
	}
	if i.GoneAt.IsZero() && i.EndedAt.IsZero() {
		if i.GoneWhy, err = r.Things.Gone(ctx, i); err != nil {
			return err
		}
		if i.GoneWhy != "" && i.Undecided() {
			if err := r.gone(tenure.WithOnce(ctx, nil), i, time.Time{}); err != nil {
				return err
			}
		}
	}
	if i.GoneWhy != "" {
		return &tenure.Error{Kind: tenure.Conflict, Code: codeGone, Msg: "there is nothing to decide any more: " + i.GoneWhy}
	}
	return nil
}

// gone writes down that an item is, unless it was decided meanwhile, somebody is at it, or
// the review closed. mine is until when the caller has claimed it, if they have.
func (r *Reviews) gone(ctx context.Context, i tenure.ReviewItem, mine time.Time) error {
	err := r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := hold(ctx, tx, i.Tenant, i.Review); err != nil {
			return err
		}
		if err := tx.ItemGone(ctx, i, mine); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ReviewItemGone(i))
	})
	if tenure.IsKind(err, tenure.NotFound) || tenure.AsError(err).Code == codeClosed {
		err = nil
	}
	return err
}

// ErrAnother is answered by what ends things where a thing is not any more what was
// decided about, with what it is now: nobody has decided to end that.
func ErrAnother(now string) error {
	return &tenure.Error{Kind: tenure.Conflict, Code: codeGone, Msg: now}
}

// busy is answered where somebody carries out what was decided about an item.
func busy() error {
	return &tenure.Error{Kind: tenure.Conflict, Code: "review_item_busy", RetryAfter: claim, Msg: "what this item is about is being ended or changed at this moment; look again in a minute"}
}

const (
	codeGone   = "review_item_gone"
	codeClosed = "review_closed"
)

// finish ends what was revoked, tries whether it is dead, and writes down which it is,
// also for somebody who has hung up, or whose own access it ends.
func (r *Reviews) finish(ctx context.Context, by tenure.Principal, i tenure.ReviewItem) (tenure.ReviewItem, error) {
	ctx = context.WithoutCancel(tenure.WithoutAsker(tenure.WithOnce(ctx, nil)))
	ended := r.Things.End(ctx, i, i.Reason)
	if e := tenure.AsError(ended); ended != nil && e.Code == codeGone {
		i.GoneWhy = e.Msg
		if err := r.gone(ctx, i, i.ClaimedUntil); err != nil {
			return i, err
		}
		return r.DB.ReviewItem(ctx, i.Tenant, i.Review, i.N)
	}
	alive, err := r.Things.Alive(ctx, i)
	switch {
	case err != nil:
		i.Failure = "whether it is dead could not be tried: " + r.told(i, err)
	case alive && ended != nil:
		i.Failure = r.told(i, ended)
	case alive:
		i.Failure = "it was ended, and still gives access"
	default:
		i.Failure = ""
	}
	i.Attempts++
	err = r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := hold(ctx, tx, i.Tenant, i.Review); err != nil {
			return err
		}
		if i.Failure != "" {
			return tx.ItemFailed(ctx, i, tx.Now().Add(min(time.Hour, time.Duration(i.Attempts*i.Attempts)*10*time.Second)))
		}
		i.EndedAt, i.Took = tx.Now(), tx.Now().Sub(i.DecidedAt)
		if err := tx.ItemEnded(ctx, i); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ReviewItemEnded(by, i))
	})
	if tenure.IsKind(err, tenure.NotFound) { // somebody else is at it, or has told it
		return r.DB.ReviewItem(ctx, i.Tenant, i.Review, i.N)
	}
	if err != nil {
		return i, fmt.Errorf("item %d of review %s was revoked, and what became of it could not be written down: %w", i.N, i.Review, err)
	}
	i.ClaimedUntil = time.Time{}
	return i, nil
}

// told is what of an error may be shown; the log has what may not.
func (r *Reviews) told(i tenure.ReviewItem, err error) string {
	var e *tenure.Error
	if errors.As(err, &e) && e.Msg != "" {
		return e.Msg
	}
	r.Log.Error("what an access review revoked could not be ended or tried", "tenant", i.Tenant, "review", i.Review, "item", i.N, "kind", i.Kind, "subject", i.Subject, "error", err)
	return "it could not be ended; the log of the process says why"
}
