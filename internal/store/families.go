package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// RotatedReason is why a token is revoked that a rotation left no overlap.
const RotatedReason = "rotated"

// RotateToken notes that the token to took a token's place. The old one ends at
// end, or at once when that is now. NotFound: it was revoked or rotated already,
// so of two that try only one does.
func (tx *Tx) RotateToken(ctx context.Context, old tenure.Token, to tenure.TokenID, end time.Time, by string) error {
	if end.After(tx.now) {
		return tx.execOne(ctx, `UPDATE api_tokens SET rotated_at = $1, rotated_to = $2, expires_at = $3
			WHERE tenant_id = $4 AND id = $5 AND rotated_at IS NULL AND revoked_at IS NULL`, stamp(tx.now), to, stamp(end), old.Tenant, old.ID)
	}
	return tx.execOne(ctx, `UPDATE api_tokens SET rotated_at = $1, rotated_to = $2, revoked_at = $1, revoked_by = $3, revoked_reason = $4
		WHERE tenant_id = $5 AND id = $6 AND rotated_at IS NULL AND revoked_at IS NULL`, stamp(tx.now), to, by, RotatedReason, old.Tenant, old.ID)
}

// ofLine are the ids of the tokens of the line $2.
const ofLine = `SELECT id FROM api_tokens WHERE family_id = $2 AND family_id <> '' UNION SELECT id FROM api_tokens WHERE id = $2`

// Family lists the unrevoked tokens of a line of rotations, newest first.
func (r reads) Family(ctx context.Context, tenant tenure.TenantID, family tenure.TokenID) ([]tenure.Token, error) {
	return many(ctx, r.run, scanToken, `SELECT `+tokenColumns+`
		WHERE t.tenant_id = $1 AND t.id IN (`+ofLine+`) AND t.revoked_at IS NULL ORDER BY t.id DESC`, tenant, family)
}

// Line lists the tokens of a line of rotations, newest first.
func (r reads) Line(ctx context.Context, tenant tenure.TenantID, family tenure.TokenID) ([]tenure.Token, error) {
	return many(ctx, r.run, scanToken, `SELECT `+tokenColumns+`
		WHERE t.tenant_id = $1 AND t.id IN (`+ofLine+`) ORDER BY t.id DESC`, tenant, family)
}

// ToldSince reports whether an action on an object was audited at since or later. Of
// those who ask at once, one after the other finds what the one before has told.
func (tx *Tx) ToldSince(ctx context.Context, tenant tenure.TenantID, action, object string, since time.Time) (bool, error) {
	if err := tx.alone(ctx, "told", tenant); err != nil {
		return false, err
	}
	n, err := one(ctx, tx.run, scalar[int], `SELECT count(*) FROM audit_events WHERE tenant_id = $1 AND object_id = $2 AND action = $3 AND at >= $4`,
		tenant, object, action, stamp(since))
	return n > 0, err
}
