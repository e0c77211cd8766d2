package store

import (
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// exceptionColumns read an exception with the names of what it is for, as they are today.
const exceptionColumns = `x.id, x.tenant_id, x.title, x.rule, x.subject_kind, x.subject_id, COALESCE(CASE x.subject_kind
		WHEN 'tenant' THEN (SELECT n.name FROM tenants n WHERE n.id = x.tenant_id)
		WHEN 'workspace' THEN (SELECT w.name FROM workspaces w WHERE w.id = x.subject_id AND w.tenant_id = x.tenant_id)
		WHEN 'user' THEN (SELECT u.user_name FROM users u WHERE u.id = x.subject_id AND u.tenant_id = x.tenant_id)
		WHEN 'service_account' THEN (SELECT a.name FROM service_accounts a WHERE a.id = x.subject_id AND a.tenant_id = x.tenant_id)
		WHEN 'provider' THEN (SELECT p.name FROM provider_credentials p WHERE p.id = x.subject_id AND p.tenant_id = x.tenant_id) END, ''),
	COALESCE((SELECT p.base_url FROM provider_credentials p WHERE x.subject_kind = 'provider' AND p.id = x.subject_id AND p.tenant_id = x.tenant_id), ''),
	x.workspace_id, x.for_user, x.reason, x.likelihood_before, x.impact_before, x.likelihood_after, x.impact_after, x.controls, x.live_check,
	x.checked_at, x.requested_by_user, x.requested_by, x.requested_at, x.begins_at, x.expires_at, x.owner_user_id, COALESCE(o.user_name, ''),
	x.plan, x.remedy_at, x.decision, x.decided_by_user, x.decided_by, x.decided_at, x.decided_why, x.revoked_at, x.revoked_by, x.revoked_why,
	x.failed_at, x.failed_why, x.remediated_at, x.remediated_by, x.renews, x.successor
	FROM exceptions x LEFT JOIN users o ON o.id = x.owner_user_id AND o.tenant_id = x.tenant_id`

func scanException(row scanner) (tenure.Exception, error) {
	var x tenure.Exception
	err := row.Scan(&x.ID, &x.Tenant, &x.Title, &x.Rule, &x.Kind, &x.Subject, &x.SubjectName, &x.BaseURL,
		&x.Workspace, &x.For, &x.Reason, &x.Before.Likelihood, &x.Before.Impact, &x.After.Likelihood, &x.After.Impact, &x.Controls, &x.Check,
		into(&x.CheckedAt), &x.Requester, &x.RequestedBy, into(&x.RequestedAt), into(&x.From), into(&x.ExpiresAt), &x.Owner, &x.OwnerName,
		&x.Plan, into(&x.RemedyBy), &x.Decision, &x.Decider, &x.DecidedBy, into(&x.DecidedAt), &x.Why, into(&x.RevokedAt), &x.RevokedBy, &x.RevokedWhy,
		into(&x.FailedAt), &x.FailedWhy, into(&x.RemediatedAt), &x.RemediatedBy, &x.Renews, &x.Successor)
	return x, err
}

// goesOn is that the exception x was approved, and nobody and nothing has ended it.
const goesOn = `x.decision = 'approved' AND x.revoked_at IS NULL AND x.failed_at IS NULL AND x.remediated_at IS NULL AND x.successor = ''`

// heldColumns read of the exception x that something hangs on what its end follows from,
// and heldBySpace likewise of the exception o.
const heldColumns = `COALESCE(x.rule, ''), COALESCE(x.subject_kind, ''), COALESCE(x.subject_id, ''), COALESCE(` + goesOn + `, FALSE), x.begins_at, x.expires_at`

func heldBySpace() string { return strings.ReplaceAll(heldColumns, "x.", "o.") }

// inForce is that the exception x is in force at an instant, as Exception.State has it.
// now is the placeholder of the instant, longest that of longestBefore it.
func inForce(now, longest string) string {
	return goesOn + ` AND x.begins_at <= ` + now + ` AND x.expires_at > ` + now + ` AND x.begins_at > ` + longest
}

// longestBefore is when an exception began at the latest that is too old at now; NULL
// at no time, before which PostgreSQL knows no year.
func longestBefore(now time.Time) any {
	if now.IsZero() {
		return nil
	}
	return stamp(now.Add(-tenure.MaxException))
}

// tokenLives is that the token t is good by itself at an instant, its owner apart,
// as Token.Live has it. It is the one condition by which tokens are chosen and counted;
// now and longest are the placeholders of inForce.
func tokenLives(now, longest string) string {
	return `t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > ` + now + `) AND (t.exception_id = '' OR EXISTS (SELECT 1 FROM exceptions x
		WHERE x.id = t.exception_id AND x.tenant_id = t.tenant_id AND x.rule IN ('token_lifetime', 'token_never_expires') AND x.subject_id <> ''
		AND x.subject_id = CASE x.subject_kind WHEN 'tenant' THEN t.tenant_id WHEN 'workspace' THEN t.workspace_id WHEN 'user' THEN t.user_id
			WHEN 'service_account' THEN t.service_account_id END AND ` + inForce(now, longest) + `))`
}

// held is what is known of the exception that something hangs on.
type held struct {
	id tenure.ExceptionID // "": it hangs on none
	of tenure.Exception
	ok bool // approved, and nobody and nothing has ended it
}

// dest is what heldColumns are scanned into.
func (h *held) dest() []any {
	return []any{&h.of.Rule, &h.of.Kind, &h.of.Subject, &h.ok, into(&h.of.From), into(&h.of.ExpiresAt)}
}

// lets gives the time in which the exception lets a thing off one of rules; false: it
// never does, or there is none.
func (h *held) lets(d tenure.Deviation, rules ...tenure.Rule) (from, until time.Time, ok bool) {
	for _, r := range rules {
		if h.ok && h.of.Rule == r && !h.of.ExpiresAt.IsZero() && h.of.Covers(d) {
			return h.of.From, h.of.End(), true
		}
	}
	return time.Time{}, time.Time{}, false
}

// Exception reads an exception. NotFound: the tenant has none such.
func (r reads) Exception(ctx context.Context, tenant tenure.TenantID, id tenure.ExceptionID) (tenure.Exception, error) {
	return one(ctx, r.run, scanException, `SELECT `+exceptionColumns+` WHERE x.tenant_id = $1 AND x.id = $2`, tenant, id)
}

// ExceptionFilter chooses exceptions of one tenant.
type ExceptionFilter struct {
	Tenant tenure.TenantID
	// Of, where it is not empty, chooses those that the person asked for, owns, or whom
	// they are for, and those of the workspaces that the person heads.
	Of    tenure.UserID
	Mine  bool // Of is heeded, also where it is nobody
	After tenure.ExceptionID
	Limit int
}

// Exceptions lists exceptions, newest first.
func (r reads) Exceptions(ctx context.Context, f ExceptionFilter) ([]tenure.Exception, error) {
	var w where
	w.and(`x.tenant_id = ?`, f.Tenant)
	if f.Mine {
		w.and(`(x.requested_by_user = ? OR x.owner_user_id = ? OR x.for_user = ? OR x.workspace_id IN
			(SELECT wr.workspace_id FROM workspace_roles wr WHERE wr.user_id = ? AND wr.tenant_id = x.tenant_id AND wr.rank = 1))`, f.Of, f.Of, f.Of, f.Of)
	}
	if f.After != "" {
		w.and(`x.id < ?`, f.After)
	}
	limit := w.arg(f.Limit)
	return many(ctx, r.run, scanException, `SELECT `+exceptionColumns+w.String()+` ORDER BY x.id DESC LIMIT `+limit, w.args...)
}

// ExceptionsFor lists the approved exceptions of a tenant that are for one of the things, by
// its kind and id, and have not ended by the clock at now.
func (r reads) ExceptionsFor(ctx context.Context, tenant tenure.TenantID, things map[string]string, now time.Time) ([]tenure.Exception, error) {
	var w where
	w.and(`x.tenant_id = ? AND x.decision = 'approved' AND x.expires_at > ?`, tenant, stamp(now))
	var either []string
	for kind, id := range things {
		either = append(either, `x.subject_kind = `+w.arg(kind)+` AND x.subject_id = `+w.arg(id))
	}
	return many(ctx, r.run, scanException, `SELECT `+exceptionColumns+w.String()+` AND (`+strings.Join(either, ` OR `)+`) ORDER BY x.id DESC`, w.args...)
}

// ExceptionsAround lists the exceptions of a tenant that are for a person, or whose remedy
// is theirs, oldest first.
func (r reads) ExceptionsAround(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) ([]tenure.Exception, error) {
	return many(ctx, r.run, scanException, `SELECT `+exceptionColumns+` WHERE x.tenant_id = $1 AND (x.for_user = $2 OR x.owner_user_id = $2) ORDER BY x.id`, tenant, user)
}

// ExceptionsDue lists the exceptions of a tenant ("": of all) that are in force or begin
// yet at now and end until an instant, or whose remedy is overdue. It reads by an index.
func (r reads) ExceptionsDue(ctx context.Context, tenant tenure.TenantID, now, until time.Time) ([]tenure.Exception, error) {
	return many(ctx, r.run, scanException, `SELECT `+exceptionColumns+` WHERE x.decision = 'approved' AND x.expires_at > $1 AND x.begins_at > $4 AND (x.expires_at <= $2 OR x.begins_at <= $5 OR x.remedy_at <= $1)
		AND x.revoked_at IS NULL AND x.remediated_at IS NULL AND x.successor = '' AND ($3 = '' OR x.tenant_id = $3) ORDER BY x.expires_at, x.id`,
		stamp(now), stamp(until), tenant, longestBefore(now), longestBefore(until))
}

// ExceptionsChecked lists the exceptions of all tenants that are approved, have not ended
// at now and name a live check. It reads by an index.
func (r reads) ExceptionsChecked(ctx context.Context, now time.Time) ([]tenure.Exception, error) {
	return many(ctx, r.run, scanException, `SELECT `+exceptionColumns+` WHERE `+goesOn+` AND x.expires_at > $1 AND x.live_check <> '' ORDER BY x.id`, stamp(now))
}

// CheckedException notes that the live check of an exception was run: why it failed, which
// puts it out of force, or "". It reports whether that was done now.
func (tx *Tx) CheckedException(ctx context.Context, x tenure.Exception, why string) (bool, error) {
	if why == "" {
		_, err := tx.exec(ctx, `UPDATE exceptions SET checked_at = $1 WHERE tenant_id = $2 AND id = $3`, stamp(tx.now), x.Tenant, x.ID)
		return false, err
	}
	n, err := tx.exec(ctx, `UPDATE exceptions AS x SET checked_at = $1, failed_at = $1, failed_why = $2 WHERE x.tenant_id = $3 AND x.id = $4 AND `+goesOn,
		stamp(tx.now), why, x.Tenant, x.ID)
	return n > 0, err
}

// Renewals is how many exceptions lie before one in its chain.
func (r reads) Renewals(ctx context.Context, tenant tenure.TenantID, id tenure.ExceptionID) (int, error) {
	return one(ctx, r.run, scalar[int], `WITH RECURSIVE chain(id, n) AS (
		SELECT renews, 1 FROM exceptions WHERE tenant_id = $1 AND id = $2 AND renews <> ''
		UNION ALL SELECT x.renews, c.n + 1 FROM exceptions x JOIN chain c ON x.id = c.id WHERE x.tenant_id = $1 AND x.renews <> '' AND c.n < 1000)
		SELECT COALESCE(MAX(n), 0) FROM chain`, tenant, id)
}

// TokensOn is how many tokens that nobody has revoked hang on an exception.
func (r reads) TokensOn(ctx context.Context, tenant tenure.TenantID, id tenure.ExceptionID) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT count(*) FROM api_tokens WHERE tenant_id = $1 AND exception_id = $2 AND exception_id <> '' AND revoked_at IS NULL`, tenant, id)
}

// TokensHanging lists the tokens that nobody has revoked and that hang on an exception.
func (r reads) TokensHanging(ctx context.Context, tenant tenure.TenantID, id tenure.ExceptionID) ([]tenure.Token, error) {
	return many(ctx, r.run, scanToken, `SELECT `+tokenColumns+` WHERE t.tenant_id = $1 AND t.exception_id = $2 AND t.exception_id <> '' AND t.revoked_at IS NULL ORDER BY t.id`, tenant, id)
}

// RequestLimit is how many requests a minute a subject may make everywhere; 0: any number.
func (r reads) RequestLimit(ctx context.Context, tenant tenure.TenantID, kind, subject string) (int64, error) {
	return one(ctx, r.run, scalar[int64], `SELECT COALESCE(MIN(requests_per_minute), 0) FROM usage_limits
		WHERE tenant_id = $1 AND subject_kind = $2 AND subject_id = $3 AND workspace_id = ''`, tenant, kind, subject)
}

// WorkspacesOn is how many workspaces go on without the database by an exception.
func (r reads) WorkspacesOn(ctx context.Context, tenant tenure.TenantID, id tenure.ExceptionID) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT count(*) FROM workspaces WHERE tenant_id = $1 AND exception_id = $2 AND exception_id <> '' AND deleted_at IS NULL`, tenant, id)
}

// SessionsOn is how many sessions that nobody has ended hang on an exception.
func (r reads) SessionsOn(ctx context.Context, tenant tenure.TenantID, id tenure.ExceptionID, now time.Time) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT count(*) FROM sessions WHERE tenant_id = $1 AND exception_id = $2 AND exception_id <> '' AND ended_at IS NULL AND expires_at > $3`,
		tenant, id, stamp(now))
}

// MFAException gives the exception that lets a person sign in at now without a second
// factor: of several the one that ends last. NotFound: there is none. It reads by an index.
func (r reads) MFAException(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, now time.Time) (tenure.Exception, error) {
	rows, err := many(ctx, r.run, scanException, `SELECT `+exceptionColumns+` WHERE x.tenant_id = $1 AND x.subject_id = $2 AND x.subject_kind = 'user'
		AND x.rule = 'mfa_missing' AND x.decision = 'approved' AND x.expires_at > $3`, tenant, user, stamp(now))
	var last tenure.Exception
	for _, x := range rows {
		if x.Opens(tenure.RuleMFAMissing, tenure.Deviation{User: user}, now) == nil && x.End().After(last.End()) {
			last = x
		}
	}
	if err == nil && last.ID == "" {
		err = tenure.ErrNotFound
	}
	return last, err
}

// ProvidersOn is how many providers hang on an exception.
func (r reads) ProvidersOn(ctx context.Context, tenant tenure.TenantID, id tenure.ExceptionID) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT count(*) FROM provider_credentials WHERE tenant_id = $1 AND exception_id = $2 AND exception_id <> ''`, tenant, id)
}

// InsertException stores what is asked for.
func (tx *Tx) InsertException(ctx context.Context, x tenure.Exception) error {
	_, err := tx.exec(ctx, `INSERT INTO exceptions (id, tenant_id, title, rule, subject_kind, subject_id, workspace_id, for_user, reason,
		likelihood_before, impact_before, likelihood_after, impact_after, controls, live_check, requested_by_user, requested_by, requested_at,
		begins_at, expires_at, owner_user_id, plan, remedy_at, renews)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)`,
		x.ID, x.Tenant, x.Title, x.Rule, x.Kind, x.Subject, x.Workspace, x.For, x.Reason,
		x.Before.Likelihood, x.Before.Impact, x.After.Likelihood, x.After.Impact, x.Controls, x.Check, x.Requester, x.RequestedBy, stamp(x.RequestedAt),
		stamp(x.From), stamp(x.ExpiresAt), x.Owner, x.Plan, stamp(x.RemedyBy), x.Renews)
	return err
}

// ApproveException approves, by somebody else than who asked and whom it is for, what
// waits for it, or what its control has ended. NotFound: it does not wait, or not for
// them.
func (tx *Tx) ApproveException(ctx context.Context, x tenure.Exception) error {
	return tx.execOne(ctx, `UPDATE exceptions SET decision = 'approved', decided_by_user = $1, decided_by = $2, decided_at = $3, decided_why = $4,
			failed_at = NULL, failed_why = ''
		WHERE tenant_id = $5 AND id = $6 AND (decision = '' OR decision = 'approved' AND failed_at IS NOT NULL)
			AND revoked_at IS NULL AND remediated_at IS NULL AND successor = '' AND expires_at > $3
			AND requested_by_user <> $1 AND (for_user = '' OR for_user <> $1)`,
		x.Decider, x.DecidedBy, stamp(x.DecidedAt), x.Why, x.Tenant, x.ID)
}

// DeclineException rejects or withdraws what waits to be approved. NotFound: it does not.
func (tx *Tx) DeclineException(ctx context.Context, x tenure.Exception) error {
	return tx.execOne(ctx, `UPDATE exceptions SET decision = $1, decided_by_user = $2, decided_by = $3, decided_at = $4, decided_why = $5
		WHERE tenant_id = $6 AND id = $7 AND decision = ''`, x.Decision, x.Decider, x.DecidedBy, stamp(x.DecidedAt), x.Why, x.Tenant, x.ID)
}

// RevokeException ends an approved exception. NotFound: there is nothing to end.
func (tx *Tx) RevokeException(ctx context.Context, x tenure.Exception) error {
	return tx.execOne(ctx, `UPDATE exceptions SET revoked_at = $1, revoked_by = $2, revoked_why = $3
		WHERE tenant_id = $4 AND id = $5 AND decision = 'approved' AND revoked_at IS NULL AND remediated_at IS NULL AND successor = ''`,
		stamp(x.RevokedAt), x.RevokedBy, x.RevokedWhy, x.Tenant, x.ID)
}

// RemedyException notes that what deviated does not any more, which ends the exception.
// NotFound: there is nothing to end.
func (tx *Tx) RemedyException(ctx context.Context, x tenure.Exception) error {
	return tx.execOne(ctx, `UPDATE exceptions SET remediated_at = $1, remediated_by = $2
		WHERE tenant_id = $3 AND id = $4 AND decision = 'approved' AND revoked_at IS NULL AND remediated_at IS NULL AND successor = ''`,
		stamp(x.RemediatedAt), x.RemediatedBy, x.Tenant, x.ID)
}

// SucceedException puts an approved exception in the place of the one that it renews,
// where that is in force, and hangs on it what hung on that. It reports whether it did.
func (tx *Tx) SucceedException(ctx context.Context, x tenure.Exception) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE exceptions AS x SET successor = $1 WHERE x.tenant_id = $2 AND x.id = $3 AND `+inForce("$4", "$5"),
		x.ID, x.Tenant, x.Renews, stamp(tx.now), longestBefore(tx.now))
	if err != nil || n == 0 {
		return false, err
	}
	for _, table := range []string{"api_tokens", "sessions", "workspaces", "provider_credentials"} {
		if _, err := tx.exec(ctx, `UPDATE `+table+` SET exception_id = $1 WHERE tenant_id = $2 AND exception_id = $3`, x.ID, x.Tenant, x.Renews); err != nil {
			return false, err
		}
	}
	return true, nil
}

// CountApprovers is how many active administrators a tenant has beside those who may not
// approve an exception: who asked, and whom it is for.
func (tx *Tx) CountApprovers(ctx context.Context, x tenure.Exception) (int, error) {
	return one(ctx, tx.run, scalar[int], `SELECT count(*) FROM users WHERE tenant_id = $1 AND role IN ('super_admin', 'admin') AND active = TRUE
		AND deleted_at IS NULL AND id <> $2 AND id <> $3`, x.Tenant, x.Requester, x.For)
}
