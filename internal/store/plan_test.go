package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// explains has SQLite say how it would carry out the queries that it is given.
type explains struct {
	runner
	plan []string
}

func (e *explains) each(ctx context.Context, _ bool, _ func(scanner) error, query string, args ...any) error {
	return e.runner.each(ctx, false, func(row scanner) error {
		var id, parent, unused int
		var step string
		err := row.Scan(&id, &parent, &unused, &step)
		e.plan = append(e.plan, step)
		return err
	}, "EXPLAIN QUERY PLAN "+query, args...)
}

// planOf is how SQLite carries out what ask reads.
func planOf(t *testing.T, ask func(context.Context, reads) error) string {
	t.Helper()
	ctx := tenure.Everywhere(t.Context())
	db, err := OpenSQLite(ctx, filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	e := &explains{runner: db.run}
	if err := ask(ctx, reads{run: e}); err != nil && !tenure.IsKind(err, tenure.NotFound) {
		t.Fatal(err)
	}
	return strings.Join(e.plan, "\n")
}

// The tokens of a connector are found by the connector, not among all of the tenant: the
// list of connectors asks for those of each.
func TestTokensOfAConnectorAreFoundByIt(t *testing.T) {
	plan := planOf(t, func(ctx context.Context, r reads) error {
		_, err := r.ConnectorTokens(ctx, tenure.DefaultTenant, "c")
		return err
	})
	if strings.Contains(plan, "(tenant_id=?)") || strings.Contains(plan, "SCAN") || !strings.Contains(plan, "connector_id=?") {
		t.Error(plan)
	}
}

// Whom an exception lets sign in without a second factor is asked with each request that a
// proxy asserts: a tenant's exceptions are not searched through.
func TestExceptionOfAPersonIsFoundByThem(t *testing.T) {
	plan := planOf(t, func(ctx context.Context, r reads) error {
		_, err := r.MFAException(ctx, tenure.DefaultTenant, "u", time.Now())
		return err
	})
	if !strings.Contains(plan, "SEARCH x USING INDEX exceptions_by_subject (tenant_id=? AND subject_id=?)") {
		t.Error(plan)
	}
}

// What is asked about every token, its exception with it, and what is asked about those
// who look at lists, finds each row by an index: nothing is searched through.
func TestStandingsAreFoundByIndexes(t *testing.T) {
	for what, ask := range map[string]func(context.Context, reads) error{
		"standing": func(ctx context.Context, r reads) error {
			_, err := r.TokenStanding(ctx, tenure.Digest{})
			return err
		},
		"tokens of a workspace": func(ctx context.Context, r reads) error {
			_, err := r.TokensIn(ctx, tenure.DefaultTenant, "w", "u", time.Now())
			return err
		},
	} {
		plan := planOf(t, ask)
		if strings.Contains(plan, "SCAN") || !strings.Contains(plan, "SEARCH x USING INDEX ") || !strings.Contains(plan, "t USING INDEX") {
			t.Errorf("%s:\n%s", what, plan)
		}
	}
}

// The tokens of a line are found by their family, however many tokens a tenant has.
func TestLinesAreFoundByTheirFamily(t *testing.T) {
	for _, list := range []func(reads, context.Context, tenure.TenantID, tenure.TokenID) ([]tenure.Token, error){reads.Line, reads.Family} {
		plan := planOf(t, func(ctx context.Context, r reads) error {
			_, err := list(r, ctx, tenure.DefaultTenant, "f")
			return err
		})
		if strings.Contains(plan, "(tenant_id=?)") || strings.Contains(plan, "SCAN") || !strings.Contains(plan, "api_tokens_by_family") {
			t.Error(plan)
		}
	}
}

// What retention may remove is chosen by the numbers of a tenant's events, and then their
// leaves: the tree, which is longer, is not walked along.
func TestRemovableEventsAreFoundByNumber(t *testing.T) {
	plan := planOf(t, func(ctx context.Context, r reads) error {
		_, err := r.RemovableEvents(ctx, Removable{Tenant: tenure.DefaultTenant, Before: time.Now(), Except: []string{"a", "b"}, UpTo: 10_000}, 500)
		return err
	})
	if !strings.Contains(plan, "audit_events_by_tenant (tenant_id=? AND seq>? AND seq<?)") || !strings.Contains(plan, "l USING INDEX") || !strings.Contains(plan, "(seq=?") || strings.Contains(plan, "SCAN l") || !strings.Contains(plan, "MATERIALIZE part") {
		t.Error(plan)
	}
}
