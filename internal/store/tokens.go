package store

import (
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

const tokenColumns = `t.id, t.tenant_id, t.workspace_id, t.user_id, COALESCE(u.user_name, ''), t.service_account_id, COALESCE(a.name, ''),
	t.name, t.kind, t.token_prefix, t.scopes, t.models, t.cidrs, t.family_id, t.created_at, t.created_by, t.created_by_user, t.rotated_at, t.rotated_to,
	t.expires_at, t.last_used_at, t.revoked_at, COALESCE(t.revoked_by, ''), COALESCE(t.revoked_reason, ''),
	t.exception_id, ` + heldColumns + `
	FROM api_tokens t LEFT JOIN users u ON u.id = t.user_id AND u.tenant_id = t.tenant_id
	LEFT JOIN service_accounts a ON a.id = t.service_account_id AND a.tenant_id = t.tenant_id
	LEFT JOIN exceptions x ON x.id = t.exception_id AND x.tenant_id = t.tenant_id`

func scanToken(row scanner) (tenure.Token, error) {
	var t tenure.Token
	var scopes, models, networks string
	var on held
	err := row.Scan(append([]any{
		&t.ID, &t.Tenant, &t.Workspace, &t.User, &t.UserName, &t.ServiceAccount, &t.AccountName, &t.Name, &t.Kind,
		&t.Prefix, &scopes, &models, &networks, &t.Family, into(&t.CreatedAt), &t.CreatedBy, &t.MadeBy, into(&t.RotatedAt), &t.RotatedTo,
		into(&t.ExpiresAt), into(&t.LastUsedAt), into(&t.RevokedAt), &t.RevokedBy, &t.RevokedReason, &t.Exception,
	}, on.dest()...)...)
	t.ExceptionFrom, t.ExceptionEnds, _ = on.lets(tenure.Deviation{Tenant: t.Tenant, Workspace: t.Workspace, User: t.User, Account: t.ServiceAccount},
		tenure.RuleTokenLifetime, tenure.RuleTokenExpires)
	t.Scopes, _ = tenure.ParseScopes(scopes) // a name that is not known grants nothing
	t.Models, t.Networks = tenure.StoredModels(models), parseNetworks(networks)
	t.AccountName = accountName(t.AccountName, t.ServiceAccount)
	if t.Family == "" {
		t.Family = t.ID
	}
	return t, err
}

// Token reads a token's row. NotFound: no such token in the tenant.
func (r reads) Token(ctx context.Context, tenant tenure.TenantID, id tenure.TokenID) (tenure.Token, error) {
	return one(ctx, r.run, scanToken, `SELECT `+tokenColumns+` WHERE t.tenant_id = $1 AND t.id = $2`, tenant, id)
}

// TokenFilter chooses tokens of one tenant; zero fields choose all.
type TokenFilter struct {
	Tenant    tenure.TenantID
	Workspace tenure.WorkspaceID
	User      tenure.UserID
	Account   tenure.ServiceAccountID
	Kind      tenure.TokenKind
	Unrevoked bool           // those that expired are among them
	After     tenure.TokenID // those older than this one: the cursor
	Limit     int            // negative: none
	Look      *TokenLook
}

// TokenLook narrows a list of personal and service tokens that somebody looks
// through; zero fields choose all.
type TokenLook struct {
	State         string    // "active", "expired" or "revoked", at Now
	Name          string    // a pattern whose * stands for any text; ASCII letters in any case
	CreatedBefore time.Time // made before
	UnusedSince   time.Time // neither made nor used since
	EndsBefore    time.Time // ends by itself before
	Now           time.Time
}

func (l TokenLook) where(w *where) {
	w.and(`t.kind IN ('pat', 'svc')`)
	switch l.State {
	case "active":
		w.and(w.lives(l.Now))
	case "expired":
		w.and(`t.revoked_at IS NULL AND NOT (` + w.lives(l.Now) + `)`)
	case "revoked":
		w.and(`t.revoked_at IS NOT NULL`)
	}
	if l.Name != "" {
		w.and(`lower(t.name) LIKE lower(?) ESCAPE '\'`, strings.ReplaceAll(likeText(l.Name), "*", "%"))
	}
	if !l.CreatedBefore.IsZero() {
		w.and(`t.created_at < ?`, stamp(l.CreatedBefore))
	}
	if !l.UnusedSince.IsZero() {
		w.and(`COALESCE(t.last_used_at, t.created_at) < ?`, stamp(l.UnusedSince))
	}
	if !l.EndsBefore.IsZero() {
		w.and(`(t.expires_at < ? OR x.expires_at < ? OR x.begins_at < ?)`, stamp(l.EndsBefore), stamp(l.EndsBefore), longestBefore(l.EndsBefore))
	}
}

// Tokens lists tokens, newest first.
func (r reads) Tokens(ctx context.Context, f TokenFilter) ([]tenure.Token, error) {
	var w where
	w.and(`t.tenant_id = ?`, f.Tenant)
	if f.User != "" {
		w.and(`t.user_id = ?`, f.User)
	}
	if f.Workspace != "" {
		w.and(`t.workspace_id = ?`, f.Workspace)
	}
	if f.Account != "" {
		w.and(`t.service_account_id = ?`, f.Account)
	}
	switch f.Kind {
	case "":
	case tenure.KindRoot:
		w.and(`t.kind = 'root'`) // said for the index
	default:
		w.and(`t.kind = ?`, f.Kind)
	}
	if f.Unrevoked {
		w.and(`t.revoked_at IS NULL`)
	}
	if f.After != "" {
		w.and(`t.id < ?`, f.After)
	}
	if f.Look != nil {
		f.Look.where(&w)
	}
	order := ` ORDER BY t.id DESC`
	if f.Limit >= 0 {
		order += ` LIMIT ` + w.arg(f.Limit)
	}
	return manyOf(ctx, r.run, f.Look == nil, scanToken, `SELECT `+tokenColumns+w.String()+order, w.args...)
}

// AloneByRoot keeps apart transactions that decide by which root tokens there are.
func (tx *Tx) AloneByRoot(ctx context.Context) error {
	return tx.alone(ctx, "root", tenure.DefaultTenant)
}

// InsertToken stores a new token: its digest and never the token.
func (tx *Tx) InsertToken(ctx context.Context, t tenure.Token, d tenure.Digest) error {
	models := t.Models
	if models == nil {
		models = tenure.Models{tenure.AnyModel}
	}
	_, err := tx.exec(ctx, `INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, service_account_id, name, kind,
		token_hash, token_prefix, scopes, models, cidrs, family_id, created_at, created_by, created_by_user, expires_at, exception_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		t.ID, t.Tenant, t.Workspace, t.User, t.ServiceAccount, t.Name, t.Kind,
		d.String(), t.Prefix, t.Scopes.String(), models.String(), formatNetworks(t.Networks), t.Family, stamp(t.CreatedAt), t.CreatedBy, t.MadeBy, stamp(t.ExpiresAt), t.Exception)
	return err
}

// RevokeToken ends one token and reports whether it was still unrevoked.
func (tx *Tx) RevokeToken(ctx context.Context, tenant tenure.TenantID, id tenure.TokenID, by, reason string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3
		WHERE tenant_id = $4 AND id = $5 AND revoked_at IS NULL`, stamp(tx.now), by, reason, tenant, id)
	return n > 0, err
}

// RevokeTokensOf ends every token of a user and gives their number.
func (tx *Tx) RevokeTokensOf(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, by, reason string) (int, error) {
	return tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3
		WHERE tenant_id = $4 AND user_id = $5 AND revoked_at IS NULL`, stamp(tx.now), by, reason, tenant, user)
}

// RevokeRoot ends every root token of the tenant and gives their number.
func (tx *Tx) RevokeRoot(ctx context.Context, tenant tenure.TenantID, by, reason string) (int, error) {
	return tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3
		WHERE tenant_id = $4 AND kind = 'root' AND revoked_at IS NULL`, stamp(tx.now), by, reason, tenant)
}
