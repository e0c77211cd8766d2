package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// outlived: whatever is written into the row of an exception, and into that of the token
// that hangs on it, the token's standing is no longer good than the exception is in
// force; and it is as long, so that the test has seen both.
func outlived(t *testing.T, f *fixture) {
	now := f.db.Now()
	x := tenure.Exception{
		ID: "x", Tenant: tenure.DefaultTenant, Title: "x", Rule: tenure.RuleTokenExpires, Kind: tenure.SubjectUser, Subject: string(f.user.ID),
		Before: tenure.Risk{Likelihood: "low", Impact: "low"}, After: tenure.Risk{Likelihood: "low", Impact: "low"},
		From: now, ExpiresAt: now.Add(time.Hour), RemedyBy: now, RequestedAt: now,
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.InsertException(ctx, x) })
	random := rand.New(rand.NewPCG(1, 2)) // the same rounds each time
	some := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	at := func(d time.Duration) string { return "'" + now.Add(d).UTC().Format(time.RFC3339Nano) + "'" }
	good, dead := 0, 0
	for range 60 {
		row := map[string]string{
			"rule": "'token_never_expires'", "subject_kind": "'user'", "subject_id": "'" + string(f.user.ID) + "'", "decision": "'approved'",
			"revoked_at": "NULL", "failed_at": "NULL", "remediated_at": "NULL", "successor": "''", "tenant_id": "'default'",
			"begins_at":  some(at(-100*24*time.Hour), at(-time.Hour)),
			"expires_at": some(at(time.Minute), at(2*time.Hour), at(1000*24*time.Hour)),
		}
		hangs := "x"
		for range random.IntN(3) {
			switch random.IntN(11) {
			case 0:
				row["rule"] = some("'token_lifetime'", "'best_effort'", "''")
			case 1:
				row["subject_kind"] = some("'workspace'", "'tenant'")
			case 2:
				row["subject_id"] = some("'default'", "'nobody'", "''")
			case 3:
				row["decision"] = some("''", "'rejected'", "'withdrawn'")
			case 4, 5, 6:
				row[some("revoked_at", "failed_at", "remediated_at")] = some(at(0), at(time.Hour))
			case 7:
				row["successor"] = "'y'"
			case 8:
				row["begins_at"] = some(at(time.Hour), at(-200*24*time.Hour))
			case 9:
				row["expires_at"] = at(-time.Minute)
			case 10:
				if row["tenant_id"] = "'other'"; random.IntN(2) == 0 {
					row["tenant_id"], hangs = "'default'", "y"
				}
			}
		}
		var sets []string
		for column, value := range row {
			sets = append(sets, column+" = "+value)
		}
		f.hand(fmt.Sprintf(`UPDATE exceptions SET %s; UPDATE api_tokens SET revoked_at = NULL, revoked_by = NULL, revoked_reason = NULL, expires_at = %s, exception_id = '%s' WHERE id = '%s'`,
			strings.Join(sets, ", "), some("NULL", at(30*time.Minute), at(500*24*time.Hour)), hangs, f.token.ID))
		s, err := f.db.TokenStanding(f.ctx, tenure.DigestOf(f.secret.Reveal()))
		if err != nil {
			t.Fatal(err)
		}
		token, err := f.db.Token(f.ctx, tenure.DefaultTenant, f.token.ID)
		if err != nil {
			t.Fatal(err)
		}
		is, err := f.db.Exception(f.ctx, tenure.DefaultTenant, token.Exception)
		known := err == nil
		for _, ahead := range []time.Duration{0, time.Minute, 90 * time.Minute, 3 * time.Hour, 179 * 24 * time.Hour, 181 * 24 * time.Hour, 400 * 24 * time.Hour} {
			when := now.Add(ahead)
			of := tenure.Deviation{Tenant: token.Tenant, Workspace: token.Workspace, User: token.User}
			lets := known && (is.Opens(tenure.RuleTokenExpires, of, when) == nil || is.Opens(tenure.RuleTokenLifetime, of, when) == nil)
			lets = lets && (token.ExpiresAt.IsZero() || when.Before(token.ExpiresAt))
			_, err := s.Admit(when, 0)
			if (err == nil) != lets || token.Live(when) != lets {
				t.Fatalf("after %v: admitted %t, shown as live %t, and should be %t: %+v %+v", ahead, err == nil, token.Live(when), lets, is, token)
			}
			if ahead != time.Minute {
				counted := countedAsLive(t, f, when, ahead == 0)
				for what, n := range counted {
					if (n == 1) != lets || n > 1 {
						t.Fatalf("after %v: %d live tokens in %s, and %t: %+v %+v", ahead, n, what, lets, is, token)
					}
				}
			}
			if lets {
				good++
			} else {
				dead++
			}
		}
	}
	if good < 50 || dead < 50 {
		t.Errorf("only %d good and %d dead", good, dead)
	}
}

// countedAsLive is how many tokens are live at an instant, in each list and count of them;
// in those that know the present alone, where that is the instant.
func countedAsLive(t *testing.T, f *fixture, when time.Time, present bool) map[string]int {
	t.Helper()
	out := map[string]int{}
	count := func(what string, n int, err error) {
		if err != nil {
			t.Fatal(what, err)
		}
		out[what] = n
	}
	people, err := f.db.People(f.ctx, store.PersonFilter{Tenant: f.user.Tenant, Limit: 10, WithTokens: true}, when)
	count("the people with tokens", len(people), err)
	if people, err = f.db.People(f.ctx, store.PersonFilter{Tenant: f.user.Tenant, Limit: 10}, when); err == nil {
		count("the list of people", people[0].Tokens, err)
	}
	space, err := f.db.CountWorkspace(f.ctx, f.user.Tenant, f.token.Workspace, when)
	count("the workspace", space.Tokens, err)
	in, err := f.db.TokensIn(f.ctx, f.user.Tenant, f.token.Workspace, f.user.ID, when)
	count("the member's", in, err)
	o, err := f.db.Overview(f.ctx, f.user.Tenant, when, when, when)
	count("the overview", o.Tokens, err)
	active, err := f.db.Tokens(f.ctx, store.TokenFilter{Tenant: f.user.Tenant, Limit: 10, Look: &store.TokenLook{State: "active", Now: when}})
	count("the list of tokens", len(active), err)
	over, err := f.db.Tokens(f.ctx, store.TokenFilter{Tenant: f.user.Tenant, Limit: 10, Look: &store.TokenLook{State: "expired", Now: when}})
	count("the list of expired tokens, without them", 1-len(over), err)
	made, err := f.db.TokensMade(f.ctx, f.user.Tenant, f.token.CreatedAt.Add(-time.Second), when, when)
	count("the rotations", len(made), err)
	if !present {
		return out
	}
	err = f.db.EachGlance(f.ctx, f.user.Tenant, func(g store.Glance) { out["the drift"] += g.Tokens })
	count("the drift", out["the drift"], err)
	m, err := f.db.Moment(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(m.EachPerson(f.ctx, f.user.Tenant, func(p store.PersonHeld) error { out["the register"] += p.Tokens; return nil }), m.Close())
	count("the register", out["the register"], err)
	return out
}
