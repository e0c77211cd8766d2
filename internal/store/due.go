package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Due is a token whose time comes, and who answers for it.
type Due struct {
	ID        tenure.TokenID
	Tenant    tenure.TenantID
	Name      string
	Prefix    string
	CreatedAt time.Time
	ExpiresAt time.Time
	Owner     tenure.UserID // the person, or the owner of its service account
}

const dueColumns = `t.id, t.tenant_id, t.name, t.token_prefix, t.created_at, t.expires_at,
	CASE WHEN t.user_id <> '' THEN t.user_id ELSE COALESCE(a.owner_user_id, '') END
	FROM api_tokens t LEFT JOIN service_accounts a ON a.id = t.service_account_id AND a.tenant_id = t.tenant_id
	WHERE t.rotated_at IS NULL AND t.kind IN ('pat', 'svc')`

func scanDue(row scanner) (Due, error) {
	var d Due
	err := row.Scan(&d.ID, &d.Tenant, &d.Name, &d.Prefix, into(&d.CreatedAt), into(&d.ExpiresAt), &d.Owner)
	return d, err
}

// TokensEnding lists the newest secrets of all tenants that live at now and expire after
// from, and until to. It reads by an index, whatever else there is.
func (r reads) TokensEnding(ctx context.Context, from, to, now time.Time) ([]Due, error) {
	return many(ctx, r.run, scanDue, `SELECT `+dueColumns+` AND t.expires_at > $1 AND t.expires_at <= $2 AND `+tokenLives("$3", "$4")+` ORDER BY t.expires_at, t.id`,
		stamp(from), stamp(to), stamp(now), longestBefore(now))
}

// TokensMade lists the newest secrets of a tenant that were made after from, and
// until to, and live at now; likewise by an index.
func (r reads) TokensMade(ctx context.Context, tenant tenure.TenantID, from, to, now time.Time) ([]Due, error) {
	return many(ctx, r.run, scanDue, `SELECT `+dueColumns+` AND t.tenant_id = $1 AND t.created_at > $2 AND t.created_at <= $3
		AND `+tokenLives("$4", "$5")+` ORDER BY t.created_at, t.id`, tenant, stamp(from), stamp(to), stamp(now), longestBefore(now))
}

// AccountsNear lists the service accounts of all tenants that go on and have no
// owner, or end until an instant.
func (r reads) AccountsNear(ctx context.Context, now, until time.Time) ([]tenure.ServiceAccount, error) {
	ending, err := many(ctx, r.run, scanAccount, `SELECT `+accountColumns()+` WHERE a.ended_at IS NULL AND a.active = TRUE
		AND a.orphaned_at IS NULL AND a.expires_at > $1 AND a.expires_at <= $3 ORDER BY a.id`, stamp(now), longestBefore(now), stamp(until))
	if err != nil {
		return nil, err
	}
	orphaned, err := many(ctx, r.run, scanAccount, `SELECT `+accountColumns()+` WHERE a.ended_at IS NULL AND a.active = TRUE
		AND a.orphaned_at IS NOT NULL ORDER BY a.id`, stamp(now), longestBefore(now))
	return append(ending, orphaned...), err
}

// PolicyOf is what one tenant has set for a key.
type PolicyOf struct {
	Tenant tenure.TenantID
	Value  string
}

// PoliciesOf lists what tenants have set for a key.
func (r reads) PoliciesOf(ctx context.Context, key string) ([]PolicyOf, error) {
	return many(ctx, r.run, func(row scanner) (PolicyOf, error) {
		var p PolicyOf
		err := row.Scan(&p.Tenant, &p.Value)
		return p, err
	}, `SELECT tenant_id, value FROM policies WHERE key = $1 ORDER BY tenant_id`, key)
}

// TokenOwner gives who answers for a token, or "".
func (r reads) TokenOwner(ctx context.Context, tenant tenure.TenantID, id tenure.TokenID) (tenure.UserID, error) {
	owner, err := one(ctx, r.run, scalar[tenure.UserID], `SELECT CASE WHEN t.user_id <> '' THEN t.user_id ELSE COALESCE(a.owner_user_id, '') END
		FROM api_tokens t LEFT JOIN service_accounts a ON a.id = t.service_account_id AND a.tenant_id = t.tenant_id
		WHERE t.tenant_id = $1 AND t.id = $2`, tenant, id)
	if tenure.IsKind(err, tenure.NotFound) {
		return "", nil
	}
	return owner, err
}

// AuditAfter lists events of these actions, of all tenants, in the order of
// writing, behind the event of place after.
func (r reads) AuditAfter(ctx context.Context, after int64, actions []string, limit int) ([]tenure.AuditEvent, error) {
	var w where
	w.and(`seq > ?`, after)
	in := make([]string, len(actions))
	for i, a := range actions {
		in[i] = w.arg(a)
	}
	n := w.arg(limit)
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+w.String()+` AND action IN (`+strings.Join(in, ", ")+`) ORDER BY seq LIMIT `+n, w.args...)
}

// AuditEnd gives the place of the newest event, and that of the newest one before
// an instant; 0 without one.
func (r reads) AuditEnd(ctx context.Context, before time.Time) (last, old int64, err error) {
	if last, err = one(ctx, r.run, scalar[int64], `SELECT COALESCE(MAX(seq), 0) FROM audit_events`); err != nil {
		return 0, 0, err
	}
	old, err = one(ctx, r.run, scalar[int64], `SELECT COALESCE(MAX(seq), 0) FROM audit_events WHERE at < $1`, stamp(before))
	return last, old, err
}

// MetaNumber reads a value of the installation as a number; 0 when it was never set.
func (r reads) MetaNumber(ctx context.Context, key string) (int64, bool, error) {
	text, err := r.Meta(ctx, key)
	if err != nil || text == "" {
		return 0, false, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil, nil
}
