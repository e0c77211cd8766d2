package store

import (
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// OpenReviews lists the reviews of all tenants that are open.
func (r reads) OpenReviews(ctx context.Context) ([]tenure.Review, error) {
	return many(ctx, r.run, scanReview, `SELECT `+reviewColumns+` WHERE closed_at IS NULL ORDER BY id`)
}

// UnsignedReviews lists the reviews of all tenants that are closed and have no report.
func (r reads) UnsignedReviews(ctx context.Context) ([]tenure.Review, error) {
	return many(ctx, r.run, scanReview, `SELECT `+reviewColumns+` WHERE closed_at IS NOT NULL AND report = '' ORDER BY id`)
}

// toOpen is what it is decided by whether a tenant's review is due.
type toOpen struct {
	tenant tenure.TenantID
	last   time.Time // when the last one was opened by itself, else when the tenant was made
	every  time.Duration
}

const toOpenColumns = `SELECT n.id, COALESCE((SELECT MAX(r.opened_at) FROM access_reviews r WHERE r.tenant_id = n.id AND r.automatic = TRUE), n.created_at),
	COALESCE((SELECT p.value FROM policies p WHERE p.tenant_id = n.id AND p.key = 'review_every'), '') FROM tenants n
	WHERE n.active = TRUE AND NOT EXISTS (SELECT 1 FROM access_reviews r WHERE r.tenant_id = n.id AND r.automatic = TRUE AND r.closed_at IS NULL)`

func scanToOpen(row scanner) (toOpen, error) {
	var t toOpen
	var value string
	err := row.Scan(&t.tenant, into(&t.last), &value)
	policy := tenure.DefaultPolicy()
	if value != "" {
		_ = policy.Set("review_every", value) // what nobody can read is not set
	}
	t.every = policy.ReviewEvery
	return t, err
}

func (t toOpen) due(now time.Time) bool { return t.every > 0 && !now.Before(t.last.Add(t.every)) }

// ReviewsToOpen lists the tenants whose policy wants a review by now, and that have none
// open which was opened for that.
func (r reads) ReviewsToOpen(ctx context.Context, now time.Time) ([]tenure.TenantID, error) {
	rows, err := many(ctx, r.run, scanToOpen, toOpenColumns+` ORDER BY n.id`)
	if err != nil {
		return nil, err
	}
	var out []tenure.TenantID
	for _, t := range rows {
		if t.due(now) {
			out = append(out, t.tenant)
		}
	}
	return out, nil
}

// ReviewIsDue reports the same of one tenant, and keeps others from opening one until this
// transaction has ended.
func (tx *Tx) ReviewIsDue(ctx context.Context, tenant tenure.TenantID) (bool, error) {
	if err := tx.alone(ctx, "review", tenant); err != nil {
		return false, err
	}
	t, err := one(ctx, tx.run, scanToOpen, toOpenColumns+` AND n.id = $1`, tenant)
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	return err == nil && t.due(tx.now), err
}

// ReviewOverdue says that what was undecided at the due date was taken up.
func (tx *Tx) ReviewOverdue(ctx context.Context, r tenure.Review) error {
	_, err := tx.exec(ctx, `UPDATE access_reviews SET overdue_at = $1 WHERE tenant_id = $2 AND id = $3 AND overdue_at IS NULL`, stamp(tx.now), r.Tenant, r.ID)
	return err
}

// ReviewHasClaims reports whether somebody is at an item that nobody has decided.
func (tx *Tx) ReviewHasClaims(ctx context.Context, r tenure.Review) (bool, error) {
	n, err := one(ctx, tx.run, scalar[int], `SELECT COUNT(*) FROM access_review_items i WHERE i.tenant_id = $1 AND i.review = $2 AND i.claimed_until > $3 AND `+itemUndecided,
		r.Tenant, r.ID, stamp(tx.now))
	return n > 0, err
}

// stands are, by kind, the rows by which what an item is about may be what it was: an
// item without one is not. Times of tokens are compared by whoever looks closer.
var stands = map[tenure.ReviewKind]string{
	tenure.ReviewPerson: `users x WHERE x.id = i.subject AND x.tenant_id = i.tenant_id AND x.active = TRUE AND x.deleted_at IS NULL`,
	tenure.ReviewRole:   `users x WHERE x.id = i.subject AND x.tenant_id = i.tenant_id AND x.active = TRUE AND x.deleted_at IS NULL AND x.role = i.granted`,
	tenure.ReviewMembership: `memberships x JOIN users u ON u.id = x.user_id AND ` + present + `
		WHERE i.source = 'direct' AND x.workspace_id = i.workspace AND x.user_id = i.subject AND x.role = i.granted
		UNION ALL SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id JOIN users u ON u.id = m.user_id AND ` + present + `
		WHERE i.source <> 'direct' AND g.workspace_id = i.workspace AND m.user_id = i.subject AND g.role = i.granted AND (g.group_id = i.via OR i.via = '')`,
	tenure.ReviewPAT:       lineLasts,
	tenure.ReviewService:   lineLasts,
	tenure.ReviewRoot:      `api_tokens x WHERE x.tenant_id = i.tenant_id AND x.kind = 'root' AND x.revoked_at IS NULL AND (x.expires_at IS NULL OR x.expires_at > $4)`,
	tenure.ReviewAccount:   `service_accounts x WHERE x.id = i.subject AND x.tenant_id = i.tenant_id AND x.active = TRUE AND x.ended_at IS NULL`,
	tenure.ReviewConnector: `scim_connectors x WHERE x.id = i.subject AND x.tenant_id = i.tenant_id AND x.deleted_at IS NULL`,
	tenure.ReviewOIDC:      `oidc_connections x WHERE x.id = i.subject AND x.tenant_id = i.tenant_id`,
	tenure.ReviewException: `exceptions x WHERE x.id = i.subject AND x.tenant_id = i.tenant_id AND ` + inForce("$4", "$5"),
	tenure.ReviewKey:       `provider_keys x WHERE x.id = i.subject AND x.tenant_id = i.tenant_id AND x.state <> 'retired'`,
}

// lineLasts are the tokens of the line of the token of an item that have not ended for
// good: an exception that is out of force may be in force again.
const lineLasts = `api_tokens t WHERE t.id = i.subject AND t.tenant_id = i.tenant_id AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $4)
	UNION ALL SELECT 1 FROM api_tokens s JOIN api_tokens t ON t.family_id = COALESCE(NULLIF(s.family_id, ''), s.id) AND t.family_id <> '' AND t.tenant_id = s.tenant_id
	WHERE s.id = i.subject AND s.tenant_id = i.tenant_id AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $4)`

// ItemsVanished lists undecided items of a review whose thing has ended or is another, so
// many at most; whoever asks looks closer.
func (r reads) ItemsVanished(ctx context.Context, review tenure.Review, now time.Time, limit int) ([]int64, error) {
	var out []int64
	for _, kind := range tenure.ReviewKinds {
		rows := stands[kind]
		if rows == "" {
			continue
		}
		args := []any{review.ID, string(kind), limit}
		if strings.Contains(rows, "$4") {
			args = append(args, stamp(now))
		}
		if strings.Contains(rows, "$5") {
			args = append(args, longestBefore(now))
		}
		ns, err := many(ctx, r.run, scalar[int64], `SELECT i.n FROM access_review_items i WHERE i.review = $1 AND i.kind = $2 AND i.source <> 'settings' AND `+itemUndecided+`
			AND NOT EXISTS (SELECT 1 FROM `+rows+`) ORDER BY i.n LIMIT $3`, args...)
		if err != nil {
			return nil, err
		}
		out = append(out, ns...)
	}
	return out, nil
}

// ItemsAstray lists undecided items of a review, so many at most, whose reviewer was not
// given them, and neither heads the workspace nor answers for an account; whoever asks
// looks closer.
func (r reads) ItemsAstray(ctx context.Context, review tenure.Review, limit int) ([]int64, error) {
	return many(ctx, r.run, scalar[int64], `SELECT i.n FROM access_review_items i LEFT JOIN users u ON u.id = i.reviewer AND u.tenant_id = i.tenant_id
		WHERE i.review = $1 AND i.tenant_id = $2 AND `+itemUndecided+` AND i.reviewer <> '' AND (u.id IS NULL OR u.active = FALSE OR u.deleted_at IS NOT NULL OR u.role = 'auditor'
		OR i.given = FALSE AND NOT EXISTS (SELECT 1 FROM memberships h WHERE h.workspace_id = i.workspace AND h.user_id = i.reviewer AND h.role = 'workspace_admin')
			AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
				WHERE g.workspace_id = i.workspace AND g.role = 'workspace_admin' AND m.user_id = i.reviewer)
			AND NOT EXISTS (SELECT 1 FROM service_accounts a WHERE a.tenant_id = i.tenant_id AND a.owner_user_id = i.reviewer AND (a.id = i.subject
				OR EXISTS (SELECT 1 FROM api_tokens t WHERE t.id = i.subject AND t.service_account_id = a.id))))
		ORDER BY i.n LIMIT $3`, review.ID, review.Tenant, limit)
}

// OtherAdministrators counts the active administrators of a tenant but one, and but those
// whom a review takes that away from. Of those who count at once, one after the other
// decides by what they have found.
func (tx *Tx) OtherAdministrators(ctx context.Context, tenant tenure.TenantID, but tenure.UserID) (int, error) {
	if err := tx.alone(ctx, "supers", tenant); err != nil {
		return 0, err
	}
	return one(ctx, tx.run, scalar[int], `SELECT COUNT(*) FROM users u WHERE u.tenant_id = $1 AND u.role IN ('super_admin', 'admin') AND `+present+` AND u.id <> $2
		AND NOT EXISTS (SELECT 1 FROM access_review_items i JOIN access_reviews v ON v.id = i.review WHERE v.closed_at IS NULL AND i.tenant_id = $1 AND i.subject = u.id
			AND i.kind IN ('person', 'role') AND i.decision = 'revoke' AND i.ended_at IS NULL AND i.gone_at IS NULL)`, tenant, but)
}

// ReviewIsOpen reports whether something of a review waits for a decision, or for what was
// decided to be true.
func (r reads) ReviewIsOpen(ctx context.Context, tenant tenure.TenantID, id tenure.ReviewID) (bool, error) {
	n, err := one(ctx, r.run, scalar[int], `SELECT COUNT(*) FROM (SELECT 1 FROM access_review_items i WHERE i.tenant_id = $1 AND i.review = $2 AND `+itemOpen+` LIMIT 1) AS first`, tenant, id)
	return n > 0, err
}

// ReviewWaits reports whether a review that is open has something for a person to decide.
func (r reads) ReviewWaits(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) (bool, error) {
	n, err := one(ctx, r.run, scalar[int], `SELECT COUNT(*) FROM access_reviews v WHERE v.tenant_id = $1 AND v.closed_at IS NULL AND EXISTS
		(SELECT 1 FROM access_review_items i WHERE i.tenant_id = $1 AND i.reviewer = $2 AND i.reviewer <> '' AND i.review = v.id AND `+itemUndecided+`)`, tenant, user)
	return n > 0, err
}

// ReviewWaiting is what of an open review waits for one person, or for any administrator.
type ReviewWaiting struct {
	tenure.Review
	Reviewer tenure.UserID // "": any administrator
	Items    int64
}

// ReviewFigures are figures of the reviews of all tenants that are open.
type ReviewFigures struct {
	Open    int64 // reviews
	Overdue int64 // items that nobody has decided though their review was due
	NotDead int64 // items that were revoked, and are not dead
}

// ReviewFigures counts them.
func (r reads) ReviewFigures(ctx context.Context, now time.Time) (ReviewFigures, error) {
	return one(ctx, r.run, func(row scanner) (ReviewFigures, error) {
		var f ReviewFigures
		err := row.Scan(&f.Open, &f.Overdue, &f.NotDead)
		return f, err
	}, `SELECT (SELECT COUNT(*) FROM access_reviews WHERE closed_at IS NULL),
		(SELECT COUNT(*) FROM access_review_items i JOIN access_reviews v ON v.id = i.review WHERE v.closed_at IS NULL AND v.due_at <= $1 AND `+itemUndecided+`),
		(SELECT COUNT(*) FROM access_review_items i JOIN access_reviews v ON v.id = i.review WHERE v.closed_at IS NULL
			AND i.decision = 'revoke' AND i.ended_at IS NULL AND i.gone_at IS NULL)`, stamp(now))
}

// ReviewersWaiting lists what of the open reviews of all tenants waits, and for whom.
func (r reads) ReviewersWaiting(ctx context.Context) ([]ReviewWaiting, error) {
	return many(ctx, r.run, func(row scanner) (ReviewWaiting, error) {
		var w ReviewWaiting
		err := row.Scan(&w.ID, &w.Tenant, &w.Title, into(&w.OpenedAt), into(&w.DueAt), into(&w.SecondDue), into(&w.OverdueAt), &w.Reviewer, &w.Items)
		return w, err
	}, `SELECT v.id, v.tenant_id, v.title, v.opened_at, v.due_at, v.second_due_at, v.overdue_at, i.reviewer, COUNT(*)
		FROM access_reviews v JOIN access_review_items i ON i.review = v.id AND i.tenant_id = v.tenant_id
		WHERE v.closed_at IS NULL AND `+itemUndecided+`
		GROUP BY v.id, v.tenant_id, v.title, v.opened_at, v.due_at, v.second_due_at, v.overdue_at, i.reviewer ORDER BY v.id, i.reviewer`)
}
