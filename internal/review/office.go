package review

import (
	"context"
	"fmt"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// hold reads a review that is open, and keeps others from deciding in it and from closing
// it until the transaction has ended: each counts on what the other has written.
// Conflict: it is closed.
func hold(ctx context.Context, tx *store.Tx, tenant tenure.TenantID, id tenure.ReviewID) (tenure.Review, error) {
	err := tx.HoldReview(ctx, tenant, id)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return tenure.Review{}, err
	}
	row, err := tx.Review(ctx, tenant, id)
	if err == nil {
		err = closed(row)
	}
	return row, err
}

// decidable reads an item that the asker may decide, as it and they are now, and holds
// its review.
func decidable(ctx context.Context, tx *store.Tx, by tenure.Principal, id tenure.ReviewID, n int64, c Choice) (tenure.ReviewItem, error) {
	_, held := hold(ctx, tx, by.Tenant(), id)
	if held != nil && tenure.AsError(held).Code != codeClosed { // told after that it is not theirs
		return tenure.ReviewItem{}, held
	}
	i, err := seen(ctx, tx, by, id, n)
	if err == nil {
		err = held
	}
	if err != nil {
		return i, err
	}
	if c.claim.IsZero() || !i.ClaimedUntil.Equal(c.claim) { // else it was judged when they claimed it, before the change
		if err := authority(ctx, tx, by, i); err != nil {
			return i, err
		}
	}
	switch {
	case !i.EndedAt.IsZero() || !i.GoneAt.IsZero():
		return i, &tenure.Error{Kind: tenure.Conflict, Code: "review_item_ended", Msg: "what this item is about has ended, and nothing revives it"}
	case i.Version != c.Version:
		return i, &tenure.Error{
			Kind: tenure.Conflict, Code: "review_item_decided", Field: "version",
			Msg: fmt.Sprintf("%s has decided this item (%s) since you looked; look again, and give its version, %d, to decide otherwise", i.DecidedBy, i.Decision, i.Version),
		}
	case i.ClaimedUntil.After(tx.Now()) && !i.ClaimedUntil.Equal(c.claim):
		return i, busy()
	}
	return i, nil
}

// authority judges whether the asker may decide an item, as they and it are now.
func authority(ctx context.Context, tx *store.Tx, by tenure.Principal, i tenure.ReviewItem) error {
	stands, err := office(ctx, tx, i)
	if err == nil {
		err = mayDecide(by, i, stands)
	}
	if err != nil || i.Person == "" {
		return err
	}
	u, err := tx.User(ctx, i.Tenant, i.Person)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return err
	}
	return access.Above(by, u.Role)
}

// office reports whether whoever is to decide an item still is what made them that: was
// given it, answers for the account, or heads the workspace.
func office(ctx context.Context, tx *store.Tx, i tenure.ReviewItem) (bool, error) {
	if i.Reviewer == "" {
		return false, nil
	}
	u, err := tx.User(ctx, i.Tenant, i.Reviewer)
	switch {
	case tenure.IsKind(err, tenure.NotFound):
		return false, nil
	case err != nil || !u.Active || u.Role == tenure.Auditor:
		return false, err
	case i.Given:
		return true, nil
	}
	account := tenure.ServiceAccountID("")
	switch i.Kind {
	case tenure.ReviewAccount:
		account = tenure.ServiceAccountID(i.Subject)
	case tenure.ReviewService:
		t, err := tx.Token(ctx, i.Tenant, tenure.TokenID(i.Subject))
		if err != nil && !tenure.IsKind(err, tenure.NotFound) {
			return false, err
		}
		account = t.ServiceAccount
	}
	if account != "" {
		a, err := tx.Account(ctx, i.Tenant, account, tx.Now())
		if err == nil && a.Owner == i.Reviewer {
			return true, nil
		}
		if err != nil && !tenure.IsKind(err, tenure.NotFound) {
			return false, err
		}
	}
	role, err := tx.RoleIn(ctx, i.Tenant, i.Workspace, i.Reviewer)
	return role == tenure.WorkspaceAdmin, err
}

// mayDecide judges who is to decide an item: never whose access it is, and so never the
// root token where it is somebody's, for nobody knows who holds that. stands tells that
// whoever is named still may; else the item is any administrator's.
func mayDecide(by tenure.Principal, i tenure.ReviewItem, stands bool) error {
	if err := independent(by, i); err != nil {
		return err
	}
	switch {
	case by.User() != "" && i.Reviewer == by.User() && stands:
		return nil
	case i.Reviewer != "" && stands && by.User() != "":
		return &tenure.Error{Kind: tenure.Forbidden, Code: "not_the_reviewer", Msg: "somebody else is to decide this item; an administrator can give it to another reviewer"}
	}
	err := access.Check(by, tenure.DecideAnyReview)
	if err != nil && by.User() != "" && i.Reviewer == by.User() {
		return &tenure.Error{Kind: tenure.Forbidden, Code: "not_the_reviewer", Msg: "you are not any more what made you the reviewer of this item; an administrator decides about it"}
	}
	return err
}

// independent answers Forbidden to whoever is, or may be, whose access an item is: they
// neither decide about it nor choose who does.
func independent(by tenure.Principal, i tenure.ReviewItem) error {
	switch {
	case by.User() != "" && by.User() == i.Person || by.IsRoot() && i.Kind == tenure.ReviewRoot:
		return &tenure.Error{Kind: tenure.Forbidden, Code: "review_of_oneself", Msg: "this is your own access: somebody else decides about it, and chooses who does"}
	case by.IsRoot() && i.Person != "":
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "review_by_root",
			Msg: "whoever holds the root token may be whose access this is: somebody signed in decides about it, or the operator at the command line",
		}
	}
	return nil
}

// Reassign gives an item to another reviewer, by id or userName; "" is any administrator.
// Forbidden: it is the asker's own access, or may be. Invalid: there is no such person, it
// is their own access, or they could not decide it. Conflict: it was decided, or somebody
// is at it.
func (r *Reviews) Reassign(ctx context.Context, by tenure.Principal, id tenure.ReviewID, n int64, to, reason string) (tenure.ReviewItem, error) {
	if err := access.Check(by, tenure.ReassignReview); err != nil {
		return tenure.ReviewItem{}, err
	}
	if err := checkReason(reason); err != nil {
		return tenure.ReviewItem{}, err
	}
	var i tenure.ReviewItem
	err := r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := hold(ctx, tx, by.Tenant(), id); err != nil {
			return err
		}
		var err error
		if i, err = tx.ReviewItem(ctx, by.Tenant(), id, n); err != nil {
			return err
		}
		if err := independent(by, i); err != nil {
			return err
		}
		switch {
		case !i.Undecided():
			return &tenure.Error{Kind: tenure.Conflict, Code: "review_item_decided", Msg: "this item was decided"}
		case i.ClaimedUntil.After(tx.Now()):
			return busy()
		}
		before := i.ReviewerName
		i.Reviewer, i.ReviewerName, i.Given = "", "", to != ""
		if to != "" {
			u, err := reviewer(ctx, tx, i, to)
			if err != nil {
				return err
			}
			i.Reviewer, i.ReviewerName = u.ID, u.UserName
		}
		if err := tx.ReassignItem(ctx, i); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ReviewItemReassigned(by, i, before, i.ReviewerName, reason))
	})
	if err != nil {
		return tenure.ReviewItem{}, fmt.Errorf("reassign item %d of review %s: %w", n, id, err)
	}
	return i, nil
}

// reviewer finds who could decide an item.
func reviewer(ctx context.Context, tx *store.Tx, i tenure.ReviewItem, name string) (tenure.User, error) {
	u, err := named(ctx, tx, i.Tenant, "reviewer", name)
	switch {
	case err != nil:
		return u, err
	case u.ID == i.Person:
		return u, tenure.InvalidField("reviewer", "it is the access of %s, who does not decide about it", u.UserName)
	case u.Role == tenure.Auditor:
		return u, tenure.InvalidField("reviewer", "%s is an auditor, who reads everything and changes nothing", u.UserName)
	}
	return u, nil
}

// named finds somebody who is there by their id or userName. Invalid: nobody is called so.
func named(ctx context.Context, tx *store.Tx, tenant tenure.TenantID, field, name string) (tenure.User, error) {
	u, err := tx.User(ctx, tenant, tenure.UserID(name))
	if tenure.IsKind(err, tenure.NotFound) {
		u, err = tx.UserByName(ctx, tenant, name)
	}
	if tenure.IsKind(err, tenure.NotFound) || err == nil && !u.Active {
		err = tenure.InvalidField(field, "there is no active person with the id or userName %q", tenure.Shown(name))
	}
	return u, err
}

// MayDecide reports whether an item would be the asker's to decide: for showing it, and
// Decide judges again.
func (r *Reviews) MayDecide(by tenure.Principal, i tenure.ReviewItem) bool {
	err := access.Check(by, tenure.DecideReview)
	if err == nil || access.AfterSignIn(err) {
		err = mayDecide(by, i, true)
	}
	return err == nil || access.AfterSignIn(err)
}

// MayReassign reports whether an item would be the asker's to give to somebody: for
// showing it, and Reassign judges again.
func (r *Reviews) MayReassign(by tenure.Principal, i tenure.ReviewItem) bool {
	err := access.Check(by, tenure.ReassignReview)
	return (err == nil || tenure.AsError(err).Code == "reauth_required") && i.Undecided() && independent(by, i) == nil
}

// Waits reports whether the asker, who is no administrator, has something to decide.
func (r *Reviews) Waits(ctx context.Context, by tenure.Principal) bool {
	if by.User() == "" || readsAll(by) {
		return false
	}
	waits, err := r.DB.ReviewWaits(ctx, by.Tenant(), by.User())
	return err == nil && waits // what cannot be read just now is no reason to withhold a page
}
