package governance

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

func operator(t *testing.T, tenant tenure.TenantID) tenure.Principal {
	t.Helper()
	s := &tenure.Standing{Kind: tenure.Operator, Tenant: tenant, TenantActive: true, Role: tenure.SuperAdmin}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t *testing.T) *Governance {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &Governance{DB: db, Live: &live.Live{DB: db, Log: slog.New(slog.DiscardHandler)}, SessionIdle: time.Hour}
}

// A person with 10,000 tokens has their whole report.
func TestReportOfManyTokens(t *testing.T) {
	g := open(t)
	var u tenure.User
	err := g.DB.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		u = tenure.User{
			ID: tenure.UserID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, UserName: "alice@example.com", Active: true, Role: tenure.Member,
			Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		if err := tx.InsertUser(ctx, u); err != nil {
			return err
		}
		for i := range 10_000 {
			row := tenure.Token{
				ID: tenure.TokenID(fmt.Sprintf("%08d", i)), Tenant: u.Tenant, Workspace: tenure.DefaultWorkspace, User: u.ID, MadeBy: u.ID, Name: "laptop",
				Kind: tenure.KindPAT, Prefix: "tpat_aaaa", CreatedAt: tx.Now(),
			}
			if err := tx.InsertToken(ctx, row, tenure.DigestOf(string(row.ID))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r, err := g.Report(t.Context(), operator(t, tenure.DefaultTenant), string(u.ID))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the report took %s", time.Since(start))
	if n := len(r.Left()); n != 10_001 || r.Complete || r.StreamsKnown {
		t.Errorf("%d remain, complete %t, streams known %t", n, r.Complete, r.StreamsKnown)
	}
	again, err := g.Report(t.Context(), operator(t, tenure.DefaultTenant), "ALICE@example.com")
	if err != nil || !bytes.Equal(r.CSV(), again.CSV()) {
		t.Errorf("the same report twice differs: %v", err)
	}
	lines, err := csv.NewReader(bytes.NewReader(r.CSV())).ReadAll()
	if err != nil || len(lines) != 10_002 {
		t.Errorf("%d lines of CSV: %v", len(lines), err)
	}
}

// Another tenant's people do not exist.
func TestReportKeepsToTheTenant(t *testing.T) {
	g := open(t)
	err := g.DB.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertUser(ctx, tenure.User{
			ID: "u", Tenant: tenure.DefaultTenant, UserName: "alice@example.com", Active: true, Role: tenure.Member,
			Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"u", "alice@example.com", "nobody"} {
		if _, err := g.Report(t.Context(), operator(t, "other"), name); !tenure.IsKind(err, tenure.NotFound) || tenure.AsError(err).Msg != "there is no such person, and there was none" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "alice": "alice", "a=b": "a=b", "=1+1": "'=1+1", "+49": "'+49", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

// An account says until when it lives, and why it does not any more.
func TestAccounts(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		h      store.Holding
		state  string
		ended  time.Time
		reason string
		left   bool
	}{
		"owned":           {store.Holding{}, "active", time.Time{}, "", true},
		"orphaned":        {store.Holding{Orphaned: now.Add(-day)}, "orphaned", time.Time{}, "", true},
		"grace is over":   {store.Holding{Orphaned: now.Add(-15 * day)}, "expired", now.Add(-day), "nobody adopted it in time", false},
		"end date passed": {store.Holding{ExpiresAt: now.Add(-day)}, "expired", now.Add(-day), "its end date came", false},
		"ended":           {store.Holding{EndedAt: now.Add(-day), Reason: "by hand"}, "ended", now.Add(-day), "by hand", false},
	} {
		c.h.Kind, c.h.ID = KindAccount, "a"
		r := &reporting{now: now, policy: tenure.DefaultPolicy(), accounts: map[tenure.ServiceAccountID]*tenure.ServiceAccount{}}
		i := r.holding(c.h)
		if i.State != c.state || !i.EndedAt.Equal(c.ended) || i.Reason != c.reason || (i.Remaining != "") != c.left {
			t.Errorf("%s: %+v", name, i)
		}
	}
}

// An exception says how it stands and how it ended; while the person is deactivated one
// for them opens nothing.
func TestExceptions(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	in := tenure.Exception{Rule: tenure.RuleTokenExpires, Kind: tenure.SubjectUser, For: "u", Decision: tenure.ExceptionApproved, From: now.Add(-2 * day), ExpiresAt: now.Add(day)}
	with := func(change func(*tenure.Exception)) tenure.Exception {
		x := in
		change(&x)
		return x
	}
	for name, c := range map[string]struct {
		x      tenure.Exception
		active bool
		state  string
		ended  time.Time
		of     string
	}{
		"in force":        {in, true, "active", time.Time{}, ""},
		"of a leaver":     {in, false, "suspended", time.Time{}, ""},
		"theirs to mend":  {with(func(x *tenure.Exception) { x.For, x.Kind = "", tenure.SubjectTenant }), false, "active", time.Time{}, "the whole tenant"},
		"expired":         {with(func(x *tenure.Exception) { x.ExpiresAt = now.Add(-day) }), true, "expired", now.Add(-day), ""},
		"revoked":         {with(func(x *tenure.Exception) { x.RevokedAt = now.Add(-day) }), true, "revoked", now.Add(-day), ""},
		"remediated":      {with(func(x *tenure.Exception) { x.RemediatedAt = now.Add(-day) }), true, "remediated", now.Add(-day), ""},
		"its control off": {with(func(x *tenure.Exception) { x.FailedAt = now.Add(-day) }), true, "failed_control", now.Add(-day), ""},
		"rejected":        {with(func(x *tenure.Exception) { x.Decision, x.DecidedAt = tenure.ExceptionRejected, now.Add(-day) }), true, "rejected", now.Add(-day), ""},
	} {
		r := &reporting{now: now}
		r.person.ID, r.person.Active = "u", c.active
		if i := r.exception(c.x); i.State != c.state || !i.EndedAt.Equal(c.ended) || i.Of != c.of || i.Remaining != "" {
			t.Errorf("%s: %+v", name, i)
		}
	}
}
