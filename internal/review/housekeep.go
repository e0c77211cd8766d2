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

const (
	houseEvery = 2 * time.Second
	lookEvery  = 10  // times of that between two looks at every undecided item of a review
	houseBatch = 100 // items of a transaction
	byPolicy   = "policy"
	unanswered = "nobody had decided by the due date"
)

// KeepHouse does what is due of reviews every few seconds, until ctx ends. report is told
// when something goes wrong.
func (r *Reviews) KeepHouse(ctx context.Context, report func(error)) {
	tick := time.NewTicker(houseEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		err := r.Housekeep(ctx)
		if n%lookEvery == 0 {
			err = errors.Join(err, r.Look(ctx))
		}
		if err != nil && ctx.Err() == nil {
			report(fmt.Errorf("access reviews: %w", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Housekeep opens the reviews that are due, takes up what nobody decided in time, ends
// what was revoked and is not dead, closes what is resolved, and signs reports. Several
// replicas may do it at once: each thing is done by one.
func (r *Reviews) Housekeep(ctx context.Context) error {
	return errors.Join(r.openDue(ctx), r.endAgain(ctx), r.takeStock(ctx), r.signAgain(ctx), r.figure(ctx))
}

// openDue opens a review in each tenant whose policy wants one by now.
func (r *Reviews) openDue(ctx context.Context) error {
	due, err := r.DB.ReviewsToOpen(ctx, r.DB.Now())
	if err != nil {
		return err
	}
	var all error
	for _, tenant := range due {
		all = errors.Join(all, r.openFor(ctx, tenant))
	}
	return all
}

// openFor opens a tenant's review, unless another replica has.
func (r *Reviews) openFor(ctx context.Context, tenant tenure.TenantID) error {
	if err := r.Flush(ctx); err != nil {
		return err
	}
	return r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if due, err := tx.ReviewIsDue(ctx, tenant); err != nil || !due {
			return err
		}
		row, err := r.plan(ctx, tx, tenant, Spec{Title: "Access review, " + tx.Now().UTC().Format(time.DateOnly)})
		if err != nil {
			return err
		}
		row.OpenedBy, row.Automatic = byPolicy, true
		return r.take(ctx, tx, tenure.Principal{}, &row)
	})
}

// endAgain tries again what was revoked and is not dead.
func (r *Reviews) endAgain(ctx context.Context) error {
	rows, err := r.DB.ItemsToEnd(ctx, r.DB.Now(), houseBatch)
	if err != nil {
		return err
	}
	var all error
	for _, i := range rows {
		all = errors.Join(all, r.endOne(ctx, i))
	}
	return all
}

// endOne ends an item unless another replica is at it, or its review was closed.
func (r *Reviews) endOne(ctx context.Context, i tenure.ReviewItem) error {
	ours := false
	i.ClaimedUntil = r.DB.Now().Add(claim).Truncate(time.Microsecond)
	err := r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := hold(ctx, tx, i.Tenant, i.Review)
		if err == nil {
			ours, err = tx.ClaimItem(ctx, i, i.ClaimedUntil)
		}
		return err
	})
	if err != nil || !ours {
		return unlessClosed(err)
	}
	_, err = r.finish(ctx, tenure.Principal{}, i)
	return err
}

// unlessClosed drops what is no failure of the housekeeper: somebody has closed the review.
func unlessClosed(err error) error {
	if err != nil && tenure.AsError(err).Code == codeClosed {
		return nil
	}
	return err
}

// eachOpen does something with each review that is open.
func (r *Reviews) eachOpen(ctx context.Context, do func(context.Context, tenure.Review) error) error {
	rows, err := r.DB.OpenReviews(ctx)
	if err != nil {
		return err
	}
	var all error
	for _, row := range rows {
		if err := unlessClosed(do(ctx, row)); err != nil {
			all = errors.Join(all, fmt.Errorf("review %s: %w", row.ID, err))
		}
	}
	return all
}

// takeStock takes up what is overdue, and closes the reviews of which all is resolved.
func (r *Reviews) takeStock(ctx context.Context) error {
	return r.eachOpen(ctx, func(ctx context.Context, row tenure.Review) error {
		if row.OverdueAt.IsZero() && !r.DB.Now().Before(row.DueAt) {
			if err := r.overdue(ctx, row); err != nil {
				return err
			}
		}
		open, err := r.DB.ReviewIsOpen(ctx, row.Tenant, row.ID)
		if err != nil || open {
			return err
		}
		_, err = r.close(ctx, tenure.Principal{}, row.Tenant, row.ID, "every item is resolved")
		if tenure.IsKind(err, tenure.Conflict) { // somebody else was first, or has reopened an item
			return nil
		}
		return err
	})
}

// Look finds items of open reviews whose thing has ended, however it did, before anybody
// decided, and items whose reviewer is not any more what made them that.
func (r *Reviews) Look(ctx context.Context) error {
	return r.eachOpen(ctx, func(ctx context.Context, row tenure.Review) error {
		return errors.Join(r.vanished(ctx, row), r.astray(ctx, row))
	})
}

func (r *Reviews) vanished(ctx context.Context, row tenure.Review) error {
	ns, err := r.DB.ItemsVanished(ctx, row, r.DB.Now(), houseBatch)
	if err != nil {
		return err
	}
	for _, n := range ns {
		i, err := r.DB.ReviewItem(ctx, row.Tenant, row.ID, n)
		if err != nil {
			return err
		}
		if i.GoneWhy, err = r.Things.Gone(ctx, i); err != nil {
			return err
		}
		if i.GoneWhy == "" || !i.Undecided() {
			continue
		}
		if err := r.gone(ctx, i, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// astray gives to the administrators what is somebody's to decide who could not any more.
func (r *Reviews) astray(ctx context.Context, row tenure.Review) error {
	ns, err := r.DB.ItemsAstray(ctx, row, houseBatch)
	if err != nil || len(ns) == 0 {
		return err
	}
	return r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := hold(ctx, tx, row.Tenant, row.ID); err != nil {
			return err
		}
		for _, n := range ns {
			i, err := tx.ReviewItem(ctx, row.Tenant, row.ID, n)
			if err != nil {
				return err
			}
			stands, err := office(ctx, tx, i)
			if err == nil && !stands && i.Undecided() && !i.ClaimedUntil.After(tx.Now()) {
				err = escalate(ctx, tx, i, "the reviewer is not any more what made them that")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// escalate gives an undecided item to the administrators.
func escalate(ctx context.Context, tx *store.Tx, i tenure.ReviewItem, why string) error {
	if i.Reviewer == "" {
		return nil
	}
	before := i.ReviewerName
	i.Reviewer, i.ReviewerName, i.Given = "", "", true
	if err := tx.ReassignItem(ctx, i); err != nil {
		return err
	}
	return tx.Append(ctx, audit.ReviewItemReassigned(tenure.Principal{}, i, before, "", why))
}

// overdue takes up what nobody has decided, some at a time, and then says that it did:
// not while somebody is at one, which is taken up when they are done.
func (r *Reviews) overdue(ctx context.Context, row tenure.Review) error {
	for after := int64(0); ; {
		f := store.ItemFilter{Tenant: row.Tenant, Review: row.ID, Undecided: true, After: after, Limit: houseBatch}
		rows, err := r.DB.ReviewItems(ctx, f)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				if _, err := hold(ctx, tx, row.Tenant, row.ID); err != nil {
					return err
				}
				claims, err := tx.ReviewHasClaims(ctx, row)
				if err != nil || claims {
					return err
				}
				return tx.ReviewOverdue(ctx, row)
			})
		}
		after = rows[len(rows)-1].N
		if err := r.takeUp(ctx, row, rows); err != nil {
			return err
		}
	}
}

// takeUp revokes items, or gives them to the administrators.
func (r *Reviews) takeUp(ctx context.Context, row tenure.Review, rows []tenure.ReviewItem) error {
	there, err := r.stillAre(ctx, row, rows)
	if err != nil {
		return err
	}
	var revoked []tenure.ReviewItem
	err = r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		revoked = nil
		if _, err := hold(ctx, tx, row.Tenant, row.ID); err != nil {
			return err
		}
		for _, was := range there {
			i, err := tx.ReviewItem(ctx, was.Tenant, was.Review, was.N)
			if err != nil {
				return err
			}
			if !i.Undecided() || i.ClaimedUntil.After(tx.Now()) {
				continue
			}
			yes, err := revokes(ctx, tx, row, i)
			switch {
			case err != nil:
				return err
			case !yes:
				if err := escalate(ctx, tx, i, unanswered); err != nil {
					return err
				}
				continue
			}
			before := i.Decision
			i.Decision, i.Reason, i.DecidedAt, i.DecidedBy, i.DecidedUser, i.Together = tenure.DecideRevoke, unanswered, tx.Now(), byPolicy, "", 1
			if i, err = write(ctx, tx, tenure.Principal{}, i, before, time.Time{}); err != nil {
				return err
			}
			revoked = append(revoked, i)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var all error
	for _, i := range revoked {
		_, err := r.finish(ctx, tenure.Principal{}, i)
		all = errors.Join(all, err)
	}
	return all
}

// stillAre gives the items that are about what they were about, and writes down of the
// others that they are gone: nobody was asked about what is there now.
func (r *Reviews) stillAre(ctx context.Context, row tenure.Review, rows []tenure.ReviewItem) ([]tenure.ReviewItem, error) {
	if row.Unanswered != tenure.UnansweredRevoke {
		return rows, nil
	}
	var out []tenure.ReviewItem
	for _, i := range rows {
		why, err := r.Things.Gone(ctx, i)
		if err != nil {
			return nil, err
		}
		if why == "" {
			out = append(out, i)
			continue
		}
		i.GoneWhy = why
		if err := r.gone(ctx, i, time.Time{}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// revokes reports whether an item is revoked because nobody has decided it. What would
// lock the tenant out is not, whatever the review says: super admins, the last who
// administers it, the ways in, and the root token; nor is what nobody here can end, nor what nobody could have decided, because
// there was none but whose it is, or because its reviewer has left.
func revokes(ctx context.Context, tx *store.Tx, row tenure.Review, i tenure.ReviewItem) (bool, error) {
	if row.Unanswered != tenure.UnansweredRevoke || hasFlag(i, tenure.FlagNoIndependent) || i.Via != "" {
		return false, nil
	}
	switch i.Kind {
	case tenure.ReviewProxy, tenure.ReviewRoot, tenure.ReviewConnector, tenure.ReviewOIDC:
		return false, nil
	case tenure.ReviewPerson, tenure.ReviewRole:
		u, err := tx.User(ctx, i.Tenant, tenure.UserID(i.Subject))
		if err != nil || u.Role == tenure.SuperAdmin {
			return false, err
		}
		if u.Role == tenure.Admin {
			if others, err := tx.OtherAdministrators(ctx, i.Tenant, u.ID); err != nil || others == 0 {
				return false, err
			}
		}
	}
	if i.Reviewer == "" {
		return !i.Given, nil
	}
	return office(ctx, tx, i)
}

// signAgain signs the reports of reviews that are closed.
func (r *Reviews) signAgain(ctx context.Context) error {
	rows, err := r.DB.UnsignedReviews(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if _, err := r.sign(ctx, row); err != nil {
			return fmt.Errorf("sign the report of review %s: %w", row.ID, err)
		}
	}
	return nil
}
