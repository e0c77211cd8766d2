package store

import (
	"context"
	"time"
)

// endings say how each kind of thing is ended whose end the database has forgotten.
// What it carried ends by the triggers. $1 is the instant, $2 the id, $3 when it was
// told to have ended: who was changed since then may have come back on purpose.
var endings = map[string]string{
	"token":           `UPDATE api_tokens SET revoked_at = $1, revoked_by = 'database', revoked_reason = 'ended before the database went back' WHERE id = $2 AND created_at <= $3 AND revoked_at IS NULL`,
	"session":         `UPDATE sessions SET ended_at = $1, ended_by = 'database', ended_reason = 'ended before the database went back' WHERE id = $2 AND created_at <= $3 AND ended_at IS NULL`,
	"user":            `UPDATE users SET active = FALSE, updated_at = $1 WHERE id = $2 AND updated_at <= $3 AND active = TRUE AND deleted_at IS NULL`,
	"service_account": `UPDATE service_accounts SET active = FALSE, updated_at = $1 WHERE id = $2 AND COALESCE(updated_at, created_at) <= $3 AND active = TRUE`,
	"connector":       `UPDATE scim_connectors SET deleted_at = $1, deleted_by = 'database' WHERE id = $2 AND created_at <= $3 AND deleted_at IS NULL`,
	"workspace":       `UPDATE workspaces SET deleted_at = $1 WHERE id = $2 AND created_at <= $3 AND deleted_at IS NULL`,
}

// clockSlack is how far the clocks of a replica and of the database may be apart.
const clockSlack = time.Second

// EndAgain ends what a change has told to have ended, if it lives, and reports
// whether it did. It is for a database that has forgotten the end. A tenant that was
// suspended is not among them: nobody in it has lost anything for good.
func (tx *Tx) EndAgain(ctx context.Context, c Change) (bool, error) {
	statement, ok := endings[c.Kind]
	if !ok || !c.Ended {
		return false, nil
	}
	n, err := tx.exec(ctx, statement, stamp(tx.now), c.ID, stamp(c.At.Add(clockSlack)))
	return n > 0, err
}
