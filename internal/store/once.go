package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

// note writes o in the transaction of what is done under it, and forgets notes
// that are too old to be known. ErrRepeated: it is there already.
func (tx *Tx) note(ctx context.Context, o *tenure.Once) error {
	if _, err := tx.exec(ctx, `DELETE FROM idempotency WHERE created_at < $1`, stamp(tx.now.Add(-tenure.OnceLife))); err != nil {
		return err
	}
	n, err := tx.exec(ctx, `INSERT INTO idempotency (tenant_id, actor, key_hash, request, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, actor, key_hash) DO NOTHING`, o.Tenant, o.Actor, o.Key, o.Request, stamp(tx.now))
	if err == nil && n == 0 {
		return tenure.ErrRepeated
	}
	return err
}

// Answered reads what was answered under the same key. NotFound: nothing was
// carried out under it, or too long ago.
func (db *DB) Answered(ctx context.Context, o *tenure.Once) (tenure.Answer, error) {
	return one(ctx, db.run, func(row scanner) (tenure.Answer, error) {
		var a tenure.Answer
		err := row.Scan(&a.Request, &a.Status, &a.Body, into(&a.At))
		return a, err
	}, `SELECT request, status, answer, created_at FROM idempotency
		WHERE tenant_id = $1 AND actor = $2 AND key_hash = $3 AND created_at >= $4`,
		o.Tenant, o.Actor, o.Key, stamp(db.now().Add(-tenure.OnceLife)))
}

// KeepAnswer stores what was answered. The answer holds no secret.
func (db *DB) KeepAnswer(ctx context.Context, o *tenure.Once, a tenure.Answer) error {
	return db.Tx(tenure.WithoutAsker(ctx), func(ctx context.Context, tx *Tx) error {
		return tx.execOne(ctx, `UPDATE idempotency SET status = $1, answer = $2
			WHERE tenant_id = $3 AND actor = $4 AND key_hash = $5 AND request = $6`,
			a.Status, string(a.Body), o.Tenant, o.Actor, o.Key, o.Request)
	})
}
