package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Glance is what the comparison of names needs to know of a person.
type Glance struct {
	ID         tenure.UserID
	UserName   string
	Source     tenure.Source
	Active     bool
	CreatedAt  time.Time
	LastSeenAt time.Time // zero before the first sign-in
	Tokens     int       // that are good now
}

// EachGlance tells of every active person of a tenant, and of those whom SCIM
// has deactivated, in the order of their ids, without holding them all.
func (db *DB) EachGlance(ctx context.Context, tenant tenure.TenantID, tell func(Glance)) error {
	now := db.now()
	return db.run.each(ctx, true, func(row scanner) error {
		var g Glance
		err := row.Scan(&g.ID, &g.UserName, &g.Source, &g.Active, into(&g.CreatedAt), into(&g.LastSeenAt), &g.Tokens)
		if err == nil {
			tell(g)
		}
		return err
	}, `SELECT u.id, u.user_name, u.source, u.active, u.created_at, u.last_seen_at, COALESCE(k.n, 0) FROM users u
		LEFT JOIN (SELECT t.user_id, count(*) AS n FROM api_tokens t
			WHERE t.tenant_id = $1 AND t.user_id <> '' AND `+tokenLives("$2", "$5")+` GROUP BY t.user_id) k ON k.user_id = u.id
		WHERE u.tenant_id = $1 AND (u.active = $3 OR u.source = $4) AND u.deleted_at IS NULL ORDER BY u.id`, tenant, stamp(now), true, tenure.SourceSCIM, longestBefore(now))
}
