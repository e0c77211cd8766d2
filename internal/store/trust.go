package store

import (
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// TrustReview tells when a tenant's trust page was last found true; never: the zero value.
func (r reads) TrustReview(ctx context.Context, tenant tenure.TenantID) (tenure.TrustReview, error) {
	v, err := one(ctx, r.run, func(row scanner) (tenure.TrustReview, error) {
		var v tenure.TrustReview
		err := row.Scan(into(&v.At), &v.By, &v.Read)
		return v, err
	}, `SELECT reviewed_at, reviewed_by, COALESCE((SELECT value FROM meta WHERE key = $2), '') FROM trust_reviews WHERE tenant_id = $1`, tenant, trustRead(tenant))
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.TrustReview{}, nil
	}
	return v, err
}

// trustRead is where it is noted what a tenant's trust page said when it was found true.
func trustRead(tenant tenure.TenantID) string { return "trust.read." + string(tenant) }

// SetTrustReview notes that a tenant's trust page was found true.
func (tx *Tx) SetTrustReview(ctx context.Context, tenant tenure.TenantID, v tenure.TrustReview) error {
	_, err := tx.exec(ctx, `INSERT INTO trust_reviews (tenant_id, reviewed_at, reviewed_by) VALUES ($1, $2, $3)
		ON CONFLICT (tenant_id) DO UPDATE SET reviewed_at = excluded.reviewed_at, reviewed_by = excluded.reviewed_by`, tenant, stamp(v.At), v.By)
	if err != nil {
		return err
	}
	return tx.SetMeta(ctx, trustRead(tenant), v.Read)
}

const trustColumns = `id, tenant_id, at, user_id, name, email, organisation, wants, message, address, state, closed_at, closed_by, answer FROM trust_requests`

func scanTrust(row scanner) (tenure.TrustRequest, error) {
	var q tenure.TrustRequest
	var wants string
	err := row.Scan(&q.ID, &q.Tenant, into(&q.At), &q.User, &q.Name, &q.Email, &q.Organisation, &wants, &q.Message, &q.Address,
		&q.State, into(&q.ClosedAt), &q.ClosedBy, &q.Answer)
	q.Wants = strings.Fields(wants)
	return q, err
}

// TrustRequests lists who asked a tenant for evidence, newest first.
func (r reads) TrustRequests(ctx context.Context, tenant tenure.TenantID, after tenure.TrustRequestID, limit int) ([]tenure.TrustRequest, error) {
	var w where
	w.and(`tenant_id = ?`, tenant)
	if after != "" {
		w.and(`id < ?`, after)
	}
	most := w.arg(limit)
	return many(ctx, r.run, scanTrust, `SELECT `+trustColumns+w.String()+` ORDER BY id DESC LIMIT `+most, w.args...)
}

// TrustRequest reads one request for evidence. NotFound: the tenant has none such.
func (r reads) TrustRequest(ctx context.Context, tenant tenure.TenantID, id tenure.TrustRequestID) (tenure.TrustRequest, error) {
	return one(ctx, r.run, scanTrust, `SELECT `+trustColumns+` WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

const trustInsert = `INSERT INTO trust_requests (id, tenant_id, at, user_id, name, email, organisation, wants, message, address, state) `

func trustValues(q tenure.TrustRequest) []any {
	return []any{q.ID, q.Tenant, stamp(q.At), q.User, q.Name, q.Email, q.Organisation, strings.Join(q.Wants, " "), q.Message, q.Address}
}

// InsertTrustRequest stores a request for evidence, which waits.
func (tx *Tx) InsertTrustRequest(ctx context.Context, q tenure.TrustRequest) error {
	_, err := tx.exec(ctx, trustInsert+`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open')`, trustValues(q)...)
	return err
}

// TakeTrustRequest stores a request that nobody signed in made, and reports whether it did:
// not where as many such ones of the tenant wait, or as many came from the same address
// since a time. Those of a tenant are taken one after the other.
func (tx *Tx) TakeTrustRequest(ctx context.Context, q tenure.TrustRequest, waiting, recent int, since time.Time) (bool, error) {
	if err := tx.alone(ctx, "trust", q.Tenant); err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, trustInsert+`SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open'
		WHERE (SELECT COUNT(*) FROM trust_requests WHERE tenant_id = $2 AND state = 'open' AND user_id = '') < $11
			AND (SELECT COUNT(*) FROM trust_requests WHERE tenant_id = $2 AND address = $10 AND at > $13) < $12`,
		append(trustValues(q), waiting, recent, stamp(since))...)
	return n > 0, err
}

// CloseTrustRequest ends a request that waits. NotFound: it does not wait any more.
func (tx *Tx) CloseTrustRequest(ctx context.Context, q tenure.TrustRequest) error {
	return tx.execOne(ctx, `UPDATE trust_requests SET state = $1, closed_at = $2, closed_by = $3, answer = $4
		WHERE tenant_id = $5 AND id = $6 AND state = 'open'`, q.State, stamp(q.ClosedAt), q.ClosedBy, q.Answer, q.Tenant, q.ID)
}
