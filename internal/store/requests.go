package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

const requestColumns = `q.id, q.tenant_id, q.workspace_id, q.service_account_id, COALESCE(a.name, ''), q.name, q.scopes, q.models, q.cidrs,
	q.life_seconds, q.reason, q.requested_by_user, q.requested_by, q.requested_at, q.state, q.decided_by_user, q.decided_by,
	q.decided_at, q.decision, q.token_id
	FROM token_requests q LEFT JOIN service_accounts a ON a.id = q.service_account_id AND a.tenant_id = q.tenant_id`

func scanRequest(row scanner) (tenure.TokenRequest, error) {
	var q tenure.TokenRequest
	var scopes, models, networks string
	var seconds int64
	err := row.Scan(&q.ID, &q.Tenant, &q.Workspace, &q.Account, &q.AccountName, &q.Name, &scopes, &models, &networks,
		&seconds, &q.Reason, &q.Requester, &q.RequestedBy, into(&q.RequestedAt), &q.Stored, &q.Decider, &q.DecidedBy,
		into(&q.DecidedAt), &q.Decision, &q.Token)
	q.AccountName = accountName(q.AccountName, q.Account)
	q.Scopes, _ = tenure.ParseScopes(scopes) // a name that is not known grants nothing
	q.Models, q.Networks, q.Life = tenure.StoredModels(models), parseNetworks(networks), time.Duration(seconds)*time.Second
	return q, err
}

// TokenRequest reads a request for a token. NotFound: the tenant has none such.
func (r reads) TokenRequest(ctx context.Context, tenant tenure.TenantID, id tenure.RequestID) (tenure.TokenRequest, error) {
	return one(ctx, r.run, scanRequest, `SELECT `+requestColumns+` WHERE q.tenant_id = $1 AND q.id = $2`, tenant, id)
}

// RequestFilter chooses requests for tokens of one tenant.
type RequestFilter struct {
	Tenant    tenure.TenantID
	Mine      bool          // those of Requester alone, who may be nobody
	Requester tenure.UserID // "" is who acts without being a person
	After     tenure.RequestID
	Limit     int
}

// TokenRequests lists requests for tokens, newest first.
func (r reads) TokenRequests(ctx context.Context, f RequestFilter) ([]tenure.TokenRequest, error) {
	var w where
	w.and(`q.tenant_id = ?`, f.Tenant)
	if f.Mine {
		w.and(`q.requested_by_user = ?`, f.Requester)
	}
	if f.After != "" {
		w.and(`q.id < ?`, f.After)
	}
	limit := w.arg(f.Limit)
	return many(ctx, r.run, scanRequest, `SELECT `+requestColumns+w.String()+` ORDER BY q.id DESC LIMIT `+limit, w.args...)
}

// InsertTokenRequest stores a new request.
func (tx *Tx) InsertTokenRequest(ctx context.Context, q tenure.TokenRequest) error {
	_, err := tx.exec(ctx, `INSERT INTO token_requests (id, tenant_id, workspace_id, service_account_id, name, scopes, models, cidrs,
		life_seconds, reason, requested_by_user, requested_by, requested_at, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		q.ID, q.Tenant, q.Workspace, q.Account, q.Name, q.Scopes.String(), q.Models.String(), formatNetworks(q.Networks),
		int64(q.Life/time.Second), q.Reason, q.Requester, q.RequestedBy, stamp(q.RequestedAt), tenure.RequestPending)
	return err
}

// DecideTokenRequest moves a request that is pending into another state, and
// says who did. NotFound: it is not pending any more.
func (tx *Tx) DecideTokenRequest(ctx context.Context, q tenure.TokenRequest) error {
	return tx.execOne(ctx, `UPDATE token_requests SET state = $1, decided_by_user = $2, decided_by = $3, decided_at = $4, decision = $5
		WHERE tenant_id = $6 AND id = $7 AND state = 'pending'`, q.Stored, q.Decider, q.DecidedBy, stamp(q.DecidedAt), q.Decision, q.Tenant, q.ID)
}

// WithdrawTokenRequest ends a request that waits for a decision or for its
// collection. NotFound: it waits for neither.
func (tx *Tx) WithdrawTokenRequest(ctx context.Context, q tenure.TokenRequest) error {
	return tx.execOne(ctx, `UPDATE token_requests SET state = 'withdrawn' WHERE tenant_id = $1 AND id = $2 AND state IN ('pending', 'approved')`, q.Tenant, q.ID)
}

// CollectTokenRequest notes the token that was made of an approved request.
// NotFound: it is not approved, or was collected already.
func (tx *Tx) CollectTokenRequest(ctx context.Context, q tenure.TokenRequest, token tenure.TokenID) error {
	return tx.execOne(ctx, `UPDATE token_requests SET state = 'collected', token_id = $1 WHERE tenant_id = $2 AND id = $3 AND state = 'approved'`, token, q.Tenant, q.ID)
}
