package store

import (
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

const reviewColumns = `id, tenant_id, title, kinds, workspaces, since_at, opened_at, opened_by, automatic, due_at, second_due_at,
	unanswered, items, snapshot, overdue_at, closed_at, closed_by, close_why, report FROM access_reviews`

func scanReview(row scanner) (tenure.Review, error) {
	var r tenure.Review
	var kinds, workspaces string
	err := row.Scan(&r.ID, &r.Tenant, &r.Title, &kinds, &workspaces, into(&r.From), into(&r.OpenedAt), &r.OpenedBy, &r.Automatic, into(&r.DueAt), into(&r.SecondDue),
		&r.Unanswered, &r.Items, &r.Snapshot, into(&r.OverdueAt), into(&r.ClosedAt), &r.ClosedBy, &r.CloseWhy, &r.Report)
	for name := range strings.FieldsSeq(kinds) {
		r.Kinds = append(r.Kinds, tenure.ReviewKind(name))
	}
	for id := range strings.FieldsSeq(workspaces) {
		r.Workspaces = append(r.Workspaces, tenure.WorkspaceID(id))
	}
	return r, err
}

// Review reads an access review. NotFound: the tenant has none such.
func (r reads) Review(ctx context.Context, tenant tenure.TenantID, id tenure.ReviewID) (tenure.Review, error) {
	return one(ctx, r.run, scanReview, `SELECT `+reviewColumns+` WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// ReviewFilter chooses access reviews of one tenant; zero fields choose all.
type ReviewFilter struct {
	Tenant   tenure.TenantID
	Reviewer tenure.UserID // who has, or had, something to decide in it
	Open     bool
	After    tenure.ReviewID // older than this one: the cursor
	Limit    int
}

// Reviews lists access reviews, newest first.
func (r reads) Reviews(ctx context.Context, f ReviewFilter) ([]tenure.Review, error) {
	var w where
	w.and(`tenant_id = ?`, f.Tenant)
	if f.Reviewer != "" {
		w.and(`id IN (SELECT i.review FROM access_review_items i WHERE i.tenant_id = ? AND i.reviewer = ? AND i.reviewer <> '')`, f.Tenant, f.Reviewer)
	}
	if f.Open {
		w.and(`closed_at IS NULL`)
	}
	if f.After != "" {
		w.and(`id < ?`, f.After)
	}
	limit := w.arg(f.Limit)
	return many(ctx, r.run, scanReview, `SELECT `+reviewColumns+w.String()+` ORDER BY id DESC LIMIT `+limit, w.args...)
}

// InsertReview stores a new access review, whose items come next.
func (tx *Tx) InsertReview(ctx context.Context, r tenure.Review) error {
	_, err := tx.exec(ctx, `INSERT INTO access_reviews (id, tenant_id, title, kinds, workspaces, since_at, opened_at, opened_by, automatic, due_at, second_due_at, unanswered)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		r.ID, r.Tenant, r.Title, tenure.JoinKinds(r.Kinds, " "), joinWorkspaces(r.Workspaces), stamp(r.From), stamp(r.OpenedAt), r.OpenedBy, r.Automatic,
		stamp(r.DueAt), stamp(r.SecondDue), r.Unanswered)
	return err
}

func joinWorkspaces(ids []tenure.WorkspaceID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return strings.Join(names, " ")
}

// SealReview says how many items a new review has, and the hash over them.
func (tx *Tx) SealReview(ctx context.Context, r tenure.Review) error {
	return tx.execOne(ctx, `UPDATE access_reviews SET items = $1, snapshot = $2 WHERE tenant_id = $3 AND id = $4`, r.Items, r.Snapshot, r.Tenant, r.ID)
}

// CloseReview closes a review that is open. NotFound: it is closed.
func (tx *Tx) CloseReview(ctx context.Context, r tenure.Review) error {
	return tx.execOne(ctx, `UPDATE access_reviews SET closed_at = $1, closed_by = $2, close_why = $3 WHERE tenant_id = $4 AND id = $5 AND closed_at IS NULL`,
		stamp(r.ClosedAt), r.ClosedBy, r.CloseWhy, r.Tenant, r.ID)
}

// SetReviewReport stores the signed report of a closed review; the first one stays.
func (tx *Tx) SetReviewReport(ctx context.Context, r tenure.Review) error {
	_, err := tx.exec(ctx, `UPDATE access_reviews SET report = $1 WHERE tenant_id = $2 AND id = $3 AND report = ''`, r.Report, r.Tenant, r.ID)
	return err
}

// Items of a review.

const reviewItemColumns = `i.review, i.tenant_id, i.n, i.kind, i.subject, i.name, i.person, i.workspace, i.workspace_name, i.granted, i.source, i.via, i.granted_at, i.granted_by,
	i.last_used_at, i.expires_at, i.flags, i.reviewer, COALESCE(u.user_name, ''), i.given, i.decision, i.reason, i.changing, i.change_owner, i.change_due_at,
	i.decided_at, i.decided_by, i.decider, i.together, i.version, i.ended_at, i.took_us, i.failure, i.attempts, i.claimed_until, i.gone_at, i.gone_why
	FROM access_review_items i LEFT JOIN users u ON u.id = i.reviewer AND u.tenant_id = i.tenant_id`

func scanReviewItem(row scanner) (tenure.ReviewItem, error) {
	var i tenure.ReviewItem
	var took int64
	err := row.Scan(&i.Review, &i.Tenant, &i.N, &i.Kind, &i.Subject, &i.Name, &i.Person, &i.Workspace, &i.WorkspaceName, &i.Grant, &i.Source, &i.Via, into(&i.GrantedAt), &i.GrantedBy,
		into(&i.LastUsedAt), into(&i.ExpiresAt), &i.Flags, &i.Reviewer, &i.ReviewerName, &i.Given, &i.Decision, &i.Reason, &i.Change, &i.ChangeOwner, into(&i.ChangeDue),
		into(&i.DecidedAt), &i.DecidedBy, &i.DecidedUser, &i.Together, &i.Version, into(&i.EndedAt), &took, &i.Failure, &i.Attempts, into(&i.ClaimedUntil), into(&i.GoneAt), &i.GoneWhy)
	i.Took = time.Duration(took) * time.Microsecond
	return i, err
}

// Which items wait for a decision, and which for anything.
const (
	itemUndecided = `i.gone_at IS NULL AND i.decision IN ('', 'abstain')`
	itemOpen      = `i.gone_at IS NULL AND (i.decision IN ('', 'abstain') OR i.decision = 'revoke' AND i.ended_at IS NULL)`
)

// ReviewItem reads an item of a review. NotFound: the review has none such.
func (r reads) ReviewItem(ctx context.Context, tenant tenure.TenantID, review tenure.ReviewID, n int64) (tenure.ReviewItem, error) {
	return one(ctx, r.run, scanReviewItem, `SELECT `+reviewItemColumns+` WHERE i.tenant_id = $1 AND i.review = $2 AND i.n = $3`, tenant, review, n)
}

// ItemFilter chooses items of one review; zero fields choose all.
type ItemFilter struct {
	Tenant     tenure.TenantID
	Review     tenure.ReviewID
	Kind       tenure.ReviewKind
	Reviewer   tenure.UserID // those that this person is to decide
	OrNobodys  tenure.UserID // with Reviewer: and those that any administrator is to decide, but those of this person
	Flagged    bool
	Undecided  bool
	Unresolved bool // that wait for a decision, or for what was decided to be true
	Decision   tenure.Decision
	Part       string // of the name, the workspace or the grant, in any case
	After      int64
	Limit      int
}

func (f ItemFilter) where() where {
	var w where
	w.and(`i.tenant_id = ?`, f.Tenant)
	w.and(`i.review = ?`, f.Review)
	w.and(`i.n > ?`, f.After)
	if f.Kind != "" {
		w.and(`i.kind = ?`, string(f.Kind))
	}
	switch {
	case f.OrNobodys != "":
		w.and(`(i.reviewer = ? OR i.reviewer = '' AND i.person <> ?)`, f.Reviewer, f.OrNobodys)
	case f.Reviewer != "":
		w.and(`i.reviewer = ?`, f.Reviewer)
	}
	if f.Flagged {
		w.and(`i.flags <> ''`)
	}
	if f.Undecided {
		w.and(itemUndecided)
	}
	if f.Unresolved {
		w.and(itemOpen)
	}
	if f.Decision != "" {
		w.and(`i.decision = ?`, string(f.Decision))
	}
	if f.Part != "" {
		w.part(f.Part, "i.name", "i.workspace_name", "i.granted")
	}
	return w
}

// ReviewItems lists items in their order.
func (r reads) ReviewItems(ctx context.Context, f ItemFilter) ([]tenure.ReviewItem, error) {
	w := f.where()
	limit := w.arg(f.Limit)
	return many(ctx, r.run, scanReviewItem, `SELECT `+reviewItemColumns+w.String()+` ORDER BY i.n LIMIT `+limit, w.args...)
}

// EachReviewItem visits the items that the filter chooses, in their order, one at a time.
func (r reads) EachReviewItem(ctx context.Context, f ItemFilter, visit func(tenure.ReviewItem) error) error {
	w := f.where()
	return r.run.each(ctx, false, func(row scanner) error {
		i, err := scanReviewItem(row)
		if err != nil {
			return err
		}
		return visit(i)
	}, `SELECT `+reviewItemColumns+w.String()+` ORDER BY i.n`, w.args...)
}

// ReviewCounts says how far a review is.
type ReviewCounts struct {
	Items      int64
	Undecided  int64 // of which nobody has decided
	Unresolved int64 // these, and what was revoked and is not dead yet
	Failed     int64 // what was revoked and could not be ended
	Flagged    int64
}

// CountReview counts the items that the filter chooses.
func (r reads) CountReview(ctx context.Context, f ItemFilter) (ReviewCounts, error) {
	w := f.where()
	return one(ctx, r.run, func(row scanner) (ReviewCounts, error) {
		var c ReviewCounts
		err := row.Scan(&c.Items, &c.Undecided, &c.Unresolved, &c.Failed, &c.Flagged)
		return c, err
	}, `SELECT COUNT(*), COUNT(CASE WHEN `+itemUndecided+` THEN 1 END), COUNT(CASE WHEN `+itemOpen+` THEN 1 END),
		COUNT(CASE WHEN `+itemOpen+` AND i.failure <> '' THEN 1 END), COUNT(CASE WHEN i.flags <> '' THEN 1 END)
		FROM access_review_items i`+w.String(), w.args...)
}

// HoldReview keeps others from writing to a review and its items, and from closing it,
// until the transaction has ended. NotFound: there is none, or it is closed.
func (tx *Tx) HoldReview(ctx context.Context, tenant tenure.TenantID, id tenure.ReviewID) error {
	return tx.execOne(ctx, `UPDATE access_reviews SET items = items WHERE tenant_id = $1 AND id = $2 AND closed_at IS NULL`, tenant, id)
}

// unclaimed is an item that nobody is at, but for whoever has claimed it until $1, now $2.
const unclaimed = `(claimed_until IS NULL OR claimed_until <= $2 OR claimed_until = $1)`

// DecideReviewItem stores what was decided about an item that was decided was times
// before, by whoever has claimed it, if somebody has. NotFound: it was decided since, is
// gone, has ended, or somebody else is at it. What is revoked is for the caller to end
// until claimed.
func (tx *Tx) DecideReviewItem(ctx context.Context, i tenure.ReviewItem, was int64, mine, claimed time.Time) error {
	return tx.execOne(ctx, `UPDATE access_review_items SET decision = $3, reason = $4, changing = $5, change_owner = $6, change_due_at = $7,
		decided_at = $8, decided_by = $9, decider = $10, together = $11, reviewer = $12, given = $13, version = version + 1, failure = '', attempts = 0,
		next_try_at = $14, claimed_until = $14
		WHERE tenant_id = $15 AND review = $16 AND n = $17 AND version = $18 AND gone_at IS NULL AND ended_at IS NULL AND `+unclaimed,
		stamp(mine), stamp(tx.now), string(i.Decision), i.Reason, i.Change, i.ChangeOwner, stamp(i.ChangeDue), stamp(i.DecidedAt), i.DecidedBy, i.DecidedUser,
		i.Together, i.Reviewer, i.Given, stamp(claimed), i.Tenant, i.Review, i.N, was)
}

// ClaimToChange makes the caller the only one who may decide an item, until an instant.
// NotFound: it was decided since, is gone, has ended, or somebody else is at it.
func (tx *Tx) ClaimToChange(ctx context.Context, i tenure.ReviewItem, until time.Time) error {
	return tx.execOne(ctx, `UPDATE access_review_items SET claimed_until = $1 WHERE tenant_id = $3 AND review = $4 AND n = $5 AND version = $6
		AND gone_at IS NULL AND ended_at IS NULL AND `+unclaimed, stamp(until), stamp(tx.now), i.Tenant, i.Review, i.N, i.Version)
}

// FreeItem gives up the claim until an instant.
func (tx *Tx) FreeItem(ctx context.Context, i tenure.ReviewItem, until time.Time) error {
	_, err := tx.exec(ctx, `UPDATE access_review_items SET claimed_until = NULL WHERE tenant_id = $1 AND review = $2 AND n = $3 AND claimed_until = $4`,
		i.Tenant, i.Review, i.N, stamp(until))
	return err
}

// ItemsInFlight counts the items of a review that somebody is ending or changing, or that
// were revoked and not tried yet.
func (r reads) ItemsInFlight(ctx context.Context, tenant tenure.TenantID, id tenure.ReviewID, now time.Time) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT COUNT(*) FROM access_review_items WHERE tenant_id = $1 AND review = $2 AND gone_at IS NULL AND ended_at IS NULL
		AND (claimed_until > $3 OR decision = 'revoke' AND failure = '')`, tenant, id, stamp(now))
}

// ItemEnded says that what an item is about was revoked, tried, and is dead: by whoever
// has claimed it, if somebody has. NotFound: it was decided otherwise, told before, or
// somebody else is at it.
func (tx *Tx) ItemEnded(ctx context.Context, i tenure.ReviewItem) error {
	return tx.execOne(ctx, `UPDATE access_review_items SET ended_at = $7, took_us = $8, failure = '', next_try_at = NULL, claimed_until = NULL
		WHERE tenant_id = $3 AND review = $4 AND n = $5 AND decision = 'revoke' AND version = $6 AND ended_at IS NULL AND gone_at IS NULL AND `+unclaimed,
		stamp(i.ClaimedUntil), stamp(tx.now), i.Tenant, i.Review, i.N, i.Version, stamp(i.EndedAt), i.Took.Microseconds())
}

// ItemFailed says why what was revoked is not dead, and when it is tried again. NotFound:
// as ItemEnded has it.
func (tx *Tx) ItemFailed(ctx context.Context, i tenure.ReviewItem, again time.Time) error {
	return tx.execOne(ctx, `UPDATE access_review_items SET failure = $7, attempts = attempts + 1, next_try_at = $8, claimed_until = NULL
		WHERE tenant_id = $3 AND review = $4 AND n = $5 AND decision = 'revoke' AND version = $6 AND ended_at IS NULL AND gone_at IS NULL AND `+unclaimed,
		stamp(i.ClaimedUntil), stamp(tx.now), i.Tenant, i.Review, i.N, i.Version, i.Failure, stamp(again))
}

// ItemGone says that what an item is about is not there any more, or is another thing,
// without anybody having ended it as it was decided. mine is until when the caller has
// claimed it, if they have. NotFound: it was decided since, told before, or somebody else
// is at it.
func (tx *Tx) ItemGone(ctx context.Context, i tenure.ReviewItem, mine time.Time) error {
	return tx.execOne(ctx, `UPDATE access_review_items SET gone_at = $2, gone_why = $7, next_try_at = NULL, claimed_until = NULL
		WHERE tenant_id = $3 AND review = $4 AND n = $5 AND version = $6 AND gone_at IS NULL AND ended_at IS NULL AND decision IN ('', 'abstain', 'revoke') AND `+unclaimed,
		stamp(mine), stamp(tx.now), i.Tenant, i.Review, i.N, i.Version, i.GoneWhy)
}

// ReassignItem gives an undecided item to somebody else; "" is any administrator.
// NotFound: it was decided since, is gone, or somebody is at it.
func (tx *Tx) ReassignItem(ctx context.Context, i tenure.ReviewItem) error {
	return tx.execOne(ctx, `UPDATE access_review_items SET reviewer = $1, given = $2 WHERE tenant_id = $3 AND review = $4 AND n = $5 AND version = $6
		AND gone_at IS NULL AND decision IN ('', 'abstain') AND (claimed_until IS NULL OR claimed_until <= $7)`,
		i.Reviewer, i.Given, i.Tenant, i.Review, i.N, i.Version, stamp(tx.now))
}

// ItemsToEnd lists items of open reviews of all tenants that were revoked, are not dead,
// are due to be tried, and that nobody is at.
func (r reads) ItemsToEnd(ctx context.Context, now time.Time, limit int) ([]tenure.ReviewItem, error) {
	return many(ctx, r.run, scanReviewItem, `SELECT `+reviewItemColumns+` WHERE i.decision = 'revoke' AND i.ended_at IS NULL AND i.gone_at IS NULL
		AND i.next_try_at <= $1 AND (i.claimed_until IS NULL OR i.claimed_until <= $1) AND EXISTS (SELECT 1 FROM access_reviews v WHERE v.id = i.review AND v.closed_at IS NULL)
		ORDER BY i.next_try_at LIMIT $2`, stamp(now), limit)
}

// ClaimItem makes one process the one that ends an item until an instant, and reports
// whether it is this one.
func (tx *Tx) ClaimItem(ctx context.Context, i tenure.ReviewItem, until time.Time) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE access_review_items SET next_try_at = $1, claimed_until = $1 WHERE tenant_id = $2 AND review = $3 AND n = $4 AND version = $5
		AND decision = 'revoke' AND ended_at IS NULL AND gone_at IS NULL AND next_try_at <= $6 AND (claimed_until IS NULL OR claimed_until <= $6)`, stamp(until), i.Tenant, i.Review, i.N, i.Version, stamp(tx.now))
	return n > 0, err
}

// LastReviewed is when the newest review of a tenant was opened that was about all that
// this one is, or usual without one.
func (r reads) LastReviewed(ctx context.Context, like tenure.Review, usual time.Time) (time.Time, error) {
	at, err := one(ctx, r.run, func(row scanner) (time.Time, error) {
		var at time.Time
		err := row.Scan(into(&at))
		return at, err
	}, `SELECT MAX(opened_at) FROM access_reviews WHERE tenant_id = $1 AND (kinds = '' OR kinds = $2)
		AND (workspaces = '' OR workspaces = $3)`, like.Tenant, tenure.JoinKinds(like.Kinds, " "), joinWorkspaces(like.Workspaces))
	if at.IsZero() {
		at = usual
	}
	return at, err
}
