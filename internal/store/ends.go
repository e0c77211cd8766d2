package store

import (
	"context"
	"slices"
	"strings"
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
	"exception": `UPDATE exceptions SET revoked_at = $1, revoked_by = 'database', revoked_why = 'ended before the database went back'
		WHERE id = $2 AND requested_at <= $3 AND revoked_at IS NULL AND remediated_at IS NULL`,
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

// lives chooses, of each kind of thing, those that have not ended.
var lives = map[string]string{
	"token":           `SELECT id FROM api_tokens WHERE revoked_at IS NULL AND id IN (`,
	"session":         `SELECT id FROM sessions WHERE ended_at IS NULL AND id IN (`,
	"user":            `SELECT id FROM users WHERE active = TRUE AND deleted_at IS NULL AND id IN (`,
	"service_account": `SELECT id FROM service_accounts WHERE active = TRUE AND ended_at IS NULL AND id IN (`,
	"connector":       `SELECT id FROM scim_connectors WHERE deleted_at IS NULL AND id IN (`,
	"workspace":       `SELECT id FROM workspaces WHERE deleted_at IS NULL AND id IN (`,
	"exception":       `SELECT id FROM exceptions WHERE decision IN ('', 'approved') AND revoked_at IS NULL AND remediated_at IS NULL AND id IN (`,
}

// livesPage is how many things are asked for at once.
const livesPage = 1000

// Living gives those of the ends that are none here: their things live.
func (r reads) Living(ctx context.Context, ends []Change) ([]Change, error) {
	living := []Change{}
	byKind := map[string][]Change{}
	for _, c := range ends {
		byKind[c.Kind] = append(byKind[c.Kind], c)
	}
	for kind, all := range byKind {
		if lives[kind] == "" {
			continue
		}
		for page := range slices.Chunk(all, livesPage) {
			w, marks, of := where{}, make([]string, len(page)), make(map[string]Change, len(page))
			for i, c := range page {
				marks[i], of[c.ID] = w.arg(c.ID), c
			}
			ids, err := manyOf(ctx, r.run, false, scalar[string], lives[kind]+strings.Join(marks, ", ")+`)`, w.args...)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				living = append(living, of[id])
			}
		}
	}
	return living, nil
}

// ToldChanges gives the newest changes that the table has, the oldest first, for whoever
// could not hear them one by one. PostgreSQL only.
func (r reads) ToldChanges(ctx context.Context, limit int) ([]Change, error) {
	return many(ctx, r.run, scanEnd, `SELECT kind, id, ended, at FROM
		(SELECT seq, kind, id, ended, at FROM changes ORDER BY seq DESC LIMIT $1) AS newest ORDER BY seq`, limit)
}

// EndedSince gives the newest ends since an instant by what the rows themselves say,
// the oldest first: of changes that the table has no more. What was deleted has no row.
func (r reads) EndedSince(ctx context.Context, since time.Time, limit int) ([]Change, error) {
	return many(ctx, r.run, scanEnd, `SELECT kind, id, TRUE, at FROM (
		SELECT * FROM (
			SELECT 'token' AS kind, id, revoked_at AS at FROM api_tokens WHERE revoked_at >= $1
			UNION ALL SELECT 'session', id, ended_at FROM sessions WHERE ended_at >= $1
			UNION ALL SELECT 'user', id, COALESCE(deleted_at, deactivated_at) FROM users
				WHERE (active = FALSE OR deleted_at IS NOT NULL) AND COALESCE(deleted_at, deactivated_at) >= $1
			UNION ALL SELECT 'service_account', id, ended_at FROM service_accounts WHERE ended_at >= $1
			UNION ALL SELECT 'connector', id, deleted_at FROM scim_connectors WHERE deleted_at >= $1
			UNION ALL SELECT 'workspace', id, deleted_at FROM workspaces WHERE deleted_at >= $1
			UNION ALL SELECT 'exception', id, COALESCE(revoked_at, remediated_at) FROM exceptions WHERE COALESCE(revoked_at, remediated_at) >= $1
		) AS ends ORDER BY at DESC LIMIT $2) AS newest ORDER BY at`, stamp(since), limit)
}

func scanEnd(row scanner) (Change, error) {
	var c Change
	err := row.Scan(&c.Kind, &c.ID, &c.Ended, into(&c.At))
	return c, err
}
