package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

const tokenColumns = `t.id, t.tenant_id, t.workspace_id, t.user_id, COALESCE(u.user_name, ''), t.service_account_id,
	t.name, t.kind, t.token_prefix, t.scopes, t.created_at, t.expires_at, t.last_used_at, t.revoked_at,
	COALESCE(t.revoked_by, ''), COALESCE(t.revoked_reason, '')
	FROM api_tokens t LEFT JOIN users u ON u.id = t.user_id AND u.tenant_id = t.tenant_id`

func scanToken(row scanner) (tenure.Token, error) {
	var t tenure.Token
	var scopes string
	err := row.Scan(&t.ID, &t.Tenant, &t.Workspace, &t.User, &t.UserName, &t.ServiceAccount, &t.Name, &t.Kind,
		&t.Prefix, &scopes, into(&t.CreatedAt), into(&t.ExpiresAt), into(&t.LastUsedAt), into(&t.RevokedAt),
		&t.RevokedBy, &t.RevokedReason)
	t.Scopes, _ = tenure.ParseScopes(scopes) // a name that is not known grants nothing
	return t, err
}

// Token reads a token's row. NotFound: no such token in the tenant.
func (r reads) Token(ctx context.Context, tenant tenure.TenantID, id tenure.TokenID) (tenure.Token, error) {
	return one(ctx, r.run, scanToken, `SELECT `+tokenColumns+` WHERE t.tenant_id = $1 AND t.id = $2`, tenant, id)
}

// TokenFilter chooses tokens of one tenant; zero fields choose all.
type TokenFilter struct {
	Tenant tenure.TenantID
	User   tenure.UserID
	Kind   tenure.TokenKind
	After  tenure.TokenID // those older than this one: the cursor
	Limit  int
}

// Tokens lists tokens, newest first.
func (r reads) Tokens(ctx context.Context, f TokenFilter) ([]tenure.Token, error) {
	var w where
	w.and(`t.tenant_id = ?`, f.Tenant)
	if f.User != "" {
		w.and(`t.user_id = ?`, f.User)
	}
	if f.Kind != "" {
		w.and(`t.kind = ?`, f.Kind)
	}
	if f.After != "" {
		w.and(`t.id < ?`, f.After)
	}
	limit := w.arg(f.Limit)
	return many(ctx, r.run, scanToken, `SELECT `+tokenColumns+w.String()+` ORDER BY t.id DESC LIMIT `+limit, w.args...)
}

// standingColumns read everything that Standing.Admit decides by, in one row.
const standingColumns = `SELECT t.id, t.kind, t.tenant_id, COALESCE(n.active, 0), t.workspace_id, t.user_id, COALESCE(u.user_name, ''),
	COALESCE(u.active, 0), COALESCE(u.role, ''), COALESCE(m.role, ''), t.service_account_id, COALESCE(a.active, 0),
	t.name, t.scopes, t.expires_at, t.revoked_at IS NOT NULL, COALESCE(c.id, ''), COALESCE(c.name, ''), COALESCE(c.cidrs, '')
	FROM api_tokens t
	LEFT JOIN tenants n ON n.id = t.tenant_id
	LEFT JOIN users u ON u.id = t.user_id AND u.tenant_id = t.tenant_id AND u.deleted_at IS NULL
	LEFT JOIN memberships m ON m.workspace_id = t.workspace_id AND m.user_id = t.user_id
	LEFT JOIN service_accounts a ON a.id = t.service_account_id AND a.tenant_id = t.tenant_id
	LEFT JOIN scim_connector_tokens ct ON ct.token_id = t.id
	LEFT JOIN scim_connectors c ON c.id = ct.connector_id AND c.tenant_id = t.tenant_id AND c.deleted_at IS NULL`

func scanTokenStanding(row scanner) (*tenure.Standing, error) {
	var s tenure.Standing
	var kind tenure.TokenKind
	var scopes, connector, networks string
	err := row.Scan(&s.Token, &kind, &s.Tenant, &s.TenantActive, &s.Workspace, &s.User, &s.UserName, &s.UserActive,
		&s.Role, &s.WorkspaceRole, &s.ServiceAccount, &s.AccountActive, &s.Name, &scopes, into(&s.ExpiresAt), &s.Ended,
		&s.Connector, &connector, &networks)
	s.Scopes, _ = tenure.ParseScopes(scopes) // a name that is not known grants nothing
	switch kind {
	case tenure.KindPAT:
		s.Kind = tenure.PAT
	case tenure.KindService:
		s.Kind = tenure.ServiceToken
	case tenure.KindSCIM:
		s.Kind, s.Name, s.Networks = tenure.ConnectorToken, connector, parseNetworks(networks)
		s.Ended = s.Ended || s.Connector == "" // a connector's token is nothing without it
	case tenure.KindRoot:
		s.Kind, s.Role = tenure.RootToken, tenure.SuperAdmin
	}
	return &s, err
}

// TokenStanding reads what is known of the token with this digest: one indexed
// read. NotFound: there is none.
func (r reads) TokenStanding(ctx context.Context, d tenure.Digest) (*tenure.Standing, error) {
	s, err := one(ctx, r.run, scanTokenStanding, standingColumns+` WHERE t.token_hash = $1`, d.String())
	if err == nil {
		s.Digest = d
	}
	return s, err
}

// InsertToken stores a new token: its digest and never the token.
func (tx *Tx) InsertToken(ctx context.Context, t tenure.Token, d tenure.Digest) error {
	_, err := tx.exec(ctx, `INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, service_account_id, name, kind,
		token_hash, token_prefix, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		t.ID, t.Tenant, t.Workspace, t.User, t.ServiceAccount, t.Name, t.Kind,
		d.String(), t.Prefix, t.Scopes.String(), stamp(t.CreatedAt), stamp(t.ExpiresAt))
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

// RevokeTokensOfKind ends every token of a kind in the tenant and gives their number.
func (tx *Tx) RevokeTokensOfKind(ctx context.Context, tenant tenure.TenantID, kind tenure.TokenKind, by, reason string) (int, error) {
	return tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3
		WHERE tenant_id = $4 AND kind = $5 AND revoked_at IS NULL`, stamp(tx.now), by, reason, tenant, kind)
}
