package store

import (
	"context"
)

// endings say how each kind of thing is ended whose end the database has forgotten.
// What it carried ends by the triggers. $1 is the instant, $2 the id.
var endings = map[string]string{
	"token":           `UPDATE api_tokens SET revoked_at = $1, revoked_by = 'database', revoked_reason = 'ended before the database went back' WHERE id = $2 AND revoked_at IS NULL`,
	"session":         `UPDATE sessions SET ended_at = $1, ended_by = 'database', ended_reason = 'ended before the database went back' WHERE id = $2 AND ended_at IS NULL`,
	"user":            `UPDATE users SET active = FALSE, updated_at = $1 WHERE id = $2 AND active = TRUE AND deleted_at IS NULL`,
	"service_account": `UPDATE service_accounts SET active = FALSE, updated_at = $1 WHERE id = $2 AND active = TRUE`,
	"connector":       `UPDATE scim_connectors SET deleted_at = $1, deleted_by = 'database' WHERE id = $2 AND deleted_at IS NULL`,
	"workspace":       `UPDATE workspaces SET deleted_at = $1 WHERE id = $2 AND deleted_at IS NULL`,
}

// EndAgain ends what a change has told to have ended, if it lives, and reports
// whether it did. It is for a database that has forgotten the end. A tenant that was
// suspended is not among them: nobody in it has lost anything for good.
func (tx *Tx) EndAgain(ctx context.Context, c Change) (bool, error) {
	statement, ok := endings[c.Kind]
	if !ok || !c.Ended {
		return false, nil
	}
	n, err := tx.exec(ctx, statement, stamp(tx.now), c.ID)
	return n > 0, err
}
