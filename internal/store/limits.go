package store

import (
	"context"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// limitColumns read a limit with the name of its subject, as it is today.
const limitColumns = `l.id, l.tenant_id, l.workspace_id, l.subject_kind, l.subject_id, l.requests_per_minute, l.tokens_per_day, l.spend_per_month,
	l.created_by, l.created_at, l.updated_at, COALESCE(CASE l.subject_kind
		WHEN 'tenant' THEN (SELECT n.name FROM tenants n WHERE n.id = l.tenant_id)
		WHEN 'workspace' THEN (SELECT w.name FROM workspaces w WHERE w.id = l.subject_id AND w.tenant_id = l.tenant_id)
		WHEN 'user' THEN (SELECT u.user_name FROM users u WHERE u.id = l.subject_id AND u.tenant_id = l.tenant_id)
		WHEN 'service_account' THEN (SELECT a.name FROM service_accounts a WHERE a.id = l.subject_id AND a.tenant_id = l.tenant_id)
		WHEN 'token' THEN (SELECT t.name FROM api_tokens t WHERE t.id = l.subject_id AND t.tenant_id = l.tenant_id) END, ''),
	COALESCE((SELECT w.name FROM workspaces w WHERE w.id = l.workspace_id AND w.tenant_id = l.tenant_id), ''),
	COALESCE((SELECT NULLIF(t.family_id, '') FROM api_tokens t WHERE l.subject_kind = 'token' AND t.id = l.subject_id AND t.tenant_id = l.tenant_id), l.subject_id)
	FROM usage_limits l`

func scanLimit(row scanner) (tenure.UsageLimit, error) {
	var l tenure.UsageLimit
	err := row.Scan(&l.ID, &l.Tenant, &l.Workspace, &l.Kind, &l.Subject, &l.Bounds.RequestsPerMinute, &l.Bounds.TokensPerDay, &l.Bounds.SpendPerMonth,
		&l.CreatedBy, into(&l.CreatedAt), into(&l.UpdatedAt), &l.Name, &l.WorkspaceName, &l.Line)
	return l, err
}

// LimitFilter chooses limits of one tenant; zero fields choose all.
type LimitFilter struct {
	Tenant    tenure.TenantID
	Workspace tenure.WorkspaceID // of what is asked in it
	Person    tenure.UserID      // on this person, or on a token of theirs
	After     tenure.LimitID     // the cursor
	Limit     int                // 0: all
}

// Limits lists limits in the order of their making.
func (r reads) Limits(ctx context.Context, f LimitFilter) ([]tenure.UsageLimit, error) {
	var w where
	w.and(`l.tenant_id = ?`, f.Tenant)
	w.and(`l.id > ?`, f.After)
	if f.Workspace != "" {
		w.and(`l.workspace_id = ?`, f.Workspace)
	}
	if f.Person != "" {
		w.and(`(l.subject_kind = 'user' AND l.subject_id = ? OR l.subject_kind = 'token' AND l.subject_id IN
			(SELECT t.id FROM api_tokens t WHERE t.tenant_id = l.tenant_id AND t.user_id = ?))`, f.Person, f.Person)
	}
	query := `SELECT ` + limitColumns + w.String() + ` ORDER BY l.id`
	if f.Limit > 0 {
		query += ` LIMIT ` + w.arg(f.Limit)
	}
	return many(ctx, r.run, scanLimit, query, w.args...)
}

// EveryLimit lists the limits of all tenants.
func (r reads) EveryLimit(ctx context.Context) ([]tenure.UsageLimit, error) {
	return many(ctx, r.run, scanLimit, `SELECT `+limitColumns+` ORDER BY l.id`)
}

// UsageLimit reads one limit of the tenant. NotFound: there is none.
func (r reads) UsageLimit(ctx context.Context, tenant tenure.TenantID, id tenure.LimitID) (tenure.UsageLimit, error) {
	return one(ctx, r.run, scanLimit, `SELECT `+limitColumns+` WHERE l.tenant_id = $1 AND l.id = $2`, tenant, id)
}

// LimitOn reads the limit on a subject. NotFound: there is none.
func (r reads) LimitOn(ctx context.Context, of tenure.UsageLimit) (tenure.UsageLimit, error) {
	return one(ctx, r.run, scanLimit, `SELECT `+limitColumns+` WHERE l.tenant_id = $1 AND l.subject_kind = $2 AND l.subject_id = $3 AND l.workspace_id = $4`,
		of.Tenant, of.Kind, of.Subject, of.Workspace)
}

// InsertLimit stores a new limit. Conflict: there is one on the subject.
func (tx *Tx) InsertLimit(ctx context.Context, l tenure.UsageLimit) error {
	_, err := tx.exec(ctx, `INSERT INTO usage_limits (id, tenant_id, workspace_id, subject_kind, subject_id, requests_per_minute, tokens_per_day, spend_per_month,
		created_by, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		l.ID, l.Tenant, l.Workspace, l.Kind, l.Subject, l.Bounds.RequestsPerMinute, l.Bounds.TokensPerDay, l.Bounds.SpendPerMonth,
		l.CreatedBy, stamp(l.CreatedAt), stamp(l.UpdatedAt))
	return conflict(err, "subject", "there is a limit on this %s already; change that one", strings.ReplaceAll(l.Kind, "_", " "))
}

// UpdateLimit gives a limit other bounds.
func (tx *Tx) UpdateLimit(ctx context.Context, l tenure.UsageLimit) error {
	return tx.execOne(ctx, `UPDATE usage_limits SET requests_per_minute = $1, tokens_per_day = $2, spend_per_month = $3, updated_at = $4 WHERE tenant_id = $5 AND id = $6`,
		l.Bounds.RequestsPerMinute, l.Bounds.TokensPerDay, l.Bounds.SpendPerMonth, stamp(l.UpdatedAt), l.Tenant, l.ID)
}

// DeleteLimit removes a limit.
func (tx *Tx) DeleteLimit(ctx context.Context, tenant tenure.TenantID, id tenure.LimitID) error {
	return tx.execOne(ctx, `DELETE FROM usage_limits WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// LimitRequests is how many requests a replica admitted under a limit in one span.
type LimitRequests struct {
	Limit    tenure.LimitID
	Tenant   tenure.TenantID
	Span     int64
	Requests int64
}

// SetLimitRequests writes what this replica counted, in the place of what it wrote of
// the same spans before, and drops what every replica wrote of spans before oldest.
func (tx *Tx) SetLimitRequests(ctx context.Context, replica string, rows []LimitRequests, oldest int64) error {
	for rest := rows; len(rest) > 0; {
		size := batchSize(len(rest))
		var w where
		values := make([]string, 0, size)
		for _, r := range rest[:size] {
			values = append(values, `(`+strings.Join([]string{w.arg(r.Limit), w.arg(r.Span), w.arg(replica), w.arg(r.Tenant), w.arg(r.Requests)}, `, `)+`)`)
		}
		_, err := tx.exec(ctx, `INSERT INTO usage_limit_requests (limit_id, span, replica, tenant_id, requests) VALUES `+strings.Join(values, `, `)+`
			ON CONFLICT (span, limit_id, replica) DO UPDATE SET requests = excluded.requests`, w.args...)
		if err != nil {
			return err
		}
		rest = rest[size:]
	}
	_, err := tx.exec(ctx, `DELETE FROM usage_limit_requests WHERE span < $1`, oldest)
	return err
}

// LimitRequestsElsewhere sums up what other replicas admitted since a span. A row that is
// not of its limit's tenant counts for nothing.
func (r reads) LimitRequestsElsewhere(ctx context.Context, replica string, since int64) ([]LimitRequests, error) {
	return many(ctx, r.run, func(row scanner) (LimitRequests, error) {
		var l LimitRequests
		err := row.Scan(&l.Limit, &l.Span, &l.Requests)
		return l, err
	}, `SELECT r.limit_id, r.span, SUM(r.requests) FROM usage_limit_requests r JOIN usage_limits l ON l.id = r.limit_id AND l.tenant_id = r.tenant_id
		WHERE r.span >= $1 AND r.replica <> $2 GROUP BY r.limit_id, r.span`, since, replica)
}

// LimitedUse visits the use of models of the tenants that have a limit on tokens or spend,
// summed up by whoever used them, of the days from one to another, both included and
// counted since 1970.
func (r reads) LimitedUse(ctx context.Context, from, to int64, visit func(NotedUse)) error {
	return r.run.each(ctx, false, func(row scanner) error {
		var n NotedUse
		err := row.Scan(&n.Tenant, &n.Day, &n.Line, &n.Workspace, &n.User, &n.Account, sum{&n.Tokens}, sum{&n.Spend}, sum{&n.Unpriced})
		if err == nil {
			visit(n)
		}
		return err
	}, `SELECT m.tenant_id, m.day, COALESCE(NULLIF(t.family_id, ''), m.token_id), m.workspace_id, m.user_id, m.service_account_id,
			`+sumOf(`m.input`)+` + `+sumOf(`m.output`)+`, `+sumOf(`m.spend`)+`, `+sumOf(`m.unpriced`)+`
		FROM model_usage m LEFT JOIN api_tokens t ON t.id = m.token_id AND t.tenant_id = m.tenant_id
		WHERE m.tenant_id IN (SELECT l.tenant_id FROM usage_limits l WHERE l.tokens_per_day > 0 OR l.spend_per_month > 0) AND m.day >= $1 AND m.day <= $2
		GROUP BY m.tenant_id, m.day, COALESCE(NULLIF(t.family_id, ''), m.token_id), m.workspace_id, m.user_id, m.service_account_id`, from, to)
}
