package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// outageGrace is the shorter of what the workspace and the policy say, whoever wrote
// them, while the exception of that is in force, and the feed tells when any changes.
func outageGrace(t *testing.T, f *fixture) {
	feed, err := f.db.Feed(f.ctx, store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = feed.Close() }()
	policy := func(value string) func() {
		return func() {
			f.tx(func(ctx context.Context, tx *store.Tx) error {
				return tx.SetPolicy(ctx, tenure.DefaultTenant, "best_effort_max", value, "me")
			})
		}
	}
	workspace := func(grace time.Duration) func() {
		return func() {
			f.tx(func(ctx context.Context, tx *store.Tx) error {
				w, err := tx.Workspace(ctx, tenure.DefaultTenant, "default")
				if err != nil {
					return err
				}
				w.OutageGrace, w.Exception = grace, "best"
				return tx.UpdateWorkspace(ctx, w)
			})
		}
	}
	low, now := tenure.Risk{Likelihood: "low", Impact: "low"}, f.db.Now()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertException(ctx, tenure.Exception{
			ID: "best", Tenant: tenure.DefaultTenant, Title: "x", Rule: tenure.RuleBestEffort, Kind: tenure.SubjectWorkspace, Subject: "default", Before: low, After: low,
			From: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour), RemedyBy: now, RequestedAt: now,
		})
	})
	hand := func(statement string) func() { return func() { f.hand(statement) } }
	for _, c := range []struct {
		what string
		do   func()
		kind string
		want time.Duration
	}{
		{"the workspace alone", workspace(2 * time.Minute), "workspace", 0},
		{"another tenant's policy", func() {
			f.tx(func(ctx context.Context, tx *store.Tx) error {
				return tx.SetPolicy(ctx, "other", "best_effort_max", "5m", "me")
			})
		}, "policy", 0},
		{"the policy lets it, and no exception", policy("5m"), "policy", 0},
		{"it is approved", hand(`UPDATE exceptions SET decision = 'approved'`), "exception", 2 * time.Minute},
		{"of another rule", hand(`UPDATE exceptions SET rule = 'token_lifetime'`), "exception", 0},
		{"of another workspace", hand(`UPDATE exceptions SET rule = 'best_effort', subject_id = 'elsewhere'`), "exception", 0},
		{"its control has failed", hand(`UPDATE exceptions SET subject_id = 'default', failed_at = '2026-01-01T00:00:00Z'`), "exception", 0},
		{"it has ended", hand(`UPDATE exceptions SET failed_at = NULL, expires_at = '2026-01-01T00:00:00Z'`), "exception", 0},
		{"it begins yet", hand(`UPDATE exceptions SET expires_at = '2099-01-01T00:00:00Z', begins_at = '2098-12-01T00:00:00Z'`), "exception", 0},
		{"it lasts for longer than any", hand(`UPDATE exceptions SET begins_at = '2026-01-01T00:00:00Z'`), "exception", 0},
		{"in force again", hand(`UPDATE exceptions SET begins_at = '` + now.UTC().Format(time.RFC3339) + `'`), "exception", 2 * time.Minute},
		{"the workspace names none", hand(`UPDATE workspaces SET exception_id = '' WHERE id = 'default'`), "workspace", 0},
		{"it names it again", workspace(2 * time.Minute), "workspace", 2 * time.Minute},
		{"the policy lets less", policy("30s"), "policy", 30 * time.Second},
		{"by hand, more than there is", hand(`UPDATE workspaces SET outage_grace_seconds = 86400 WHERE id = 'default'`), "workspace", 30 * time.Second},
		{"a policy that nobody can read", hand(`UPDATE policies SET value = 'for ever' WHERE tenant_id = 'default' AND key = 'best_effort_max'`), "policy", 0},
		{"a policy above the limit", hand(`UPDATE policies SET value = '1h' WHERE tenant_id = 'default' AND key = 'best_effort_max'`), "policy", 0},
		{"the longest", policy("5m"), "policy", 5 * time.Minute},
		{"by hand, less than nothing", hand(`UPDATE workspaces SET outage_grace_seconds = -1 WHERE id = 'default'`), "workspace", 0},
	} {
		c.do()
		s, err := f.db.TokenStanding(f.ctx, tenure.DigestOf(f.secret.Reveal()))
		if err != nil || s.Outage.GraceAt(f.db.Now()) != c.want {
			t.Errorf("%s: %v, want %v (%v)", c.what, s.Outage, c.want, err)
		}
		if w, err := f.db.Workspace(f.ctx, tenure.DefaultTenant, "default"); err != nil || w.BestEffort(f.db.Now()) != c.want {
			t.Errorf("%s: the workspace says %v, want %v (%v)", c.what, w.BestEffort(f.db.Now()), c.want, err)
		}
		told := false
		for deadline := time.Now().Add(5 * time.Second); !told && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			news, err := feed.Poll(f.ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, change := range news.Changes {
				told = told || change.Kind == c.kind
			}
		}
		if !told {
			t.Errorf("%s: the feed does not tell", c.what)
		}
	}
}
