package review_test

import (
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/review"
)

// Ten thousand people and tokens in a thousand workspaces are taken before a statement
// takes too long, also where the database has no statistics of its tables yet.
func TestSnapshotNeedsNoStatistics(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		if t.Name() == "TestSnapshotNeedsNoStatistics/postgres" {
			for _, table := range []string{"users", "workspaces", "memberships", "api_tokens", "access_review_items"} {
				b.hand(`ALTER TABLE ` + table + ` SET (autovacuum_enabled = false)`)
			}
		}
		b.people("p", 10_000, tenure.Member)
		b.hand(`WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000)
			INSERT INTO workspaces (id, tenant_id, name, created_at) SELECT 'w' || n, 'default', 'w' || n, '2026-01-01T00:00:00.000000Z' FROM c`)
		b.hand(`INSERT INTO memberships (tenant_id, workspace_id, user_id, role, created_at)
			SELECT 'default', 'w' || (1 + CAST(substr(id, 2) AS int) % 1000), id, 'workspace_admin', '2026-01-01T00:00:00.000000Z' FROM users`)
		b.hand(`INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, name, kind, token_hash, token_prefix, scopes, created_at, created_by)
			SELECT 't' || id, 'default', 'w' || (1 + CAST(substr(id, 2) AS int) % 1000), id, 'x', 'pat', 'x' || id, 'tpat_', 'chat', '2026-01-01T00:00:00.000000Z', 'x' FROM users`)
		v := b.open(review.Spec{Title: "All"})
		if v.Counts.Items != 30_000 {
			t.Errorf("%+v", v.Counts)
		}
	})
}
