package directory

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

func TestNamesNearlyTheSame(t *testing.T) {
	for _, c := range []struct{ a, b, differs string }{
		{"alice.smith@example.com", "alicesmith@example.com", "dots"},
		{"alice@example.com", "alice@corp.example.org", "domain"},
		{"alice@example.com", "alice", "domain"},
		{`CORP\alice`, "alice@example.com", "domain"},
		{"alice+ai@example.com", "alice@example.com", "tag"},
		{"Alice.Smith+ai@example.com", "alicesmith@example.org", "domain,dots,tag,case"},
		{"alice@Example.com", "a.lice@example.com", "dots,case"},
	} {
		if plainName(c.a) != plainName(c.b) {
			t.Errorf("%s and %s: %q, %q", c.a, c.b, plainName(c.a), plainName(c.b))
		}
		if got := strings.Join(differences(c.a, c.b), ","); got != c.differs {
			t.Errorf("%s and %s differ in %q, want %q", c.a, c.b, got, c.differs)
		}
	}
	for _, c := range [][2]string{{"alice@example.com", "alicia@example.com"}, {"alice-smith@x", "alicesmith@x"}, {"...@x", "..@x"}, {"+a@x", "+b@x"}} {
		if plainName(c[0]) == plainName(c[1]) {
			t.Errorf("%s and %s are taken for one", c[0], c[1])
		}
	}
}

func operator(t *testing.T) tenure.Principal {
	t.Helper()
	p, err := (&tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func openStore(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func know(t *testing.T, db *store.DB, source tenure.Source, seen bool, names ...string) {
	t.Helper()
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, name := range names {
			u := newUser(tx.Now(), tenure.DefaultTenant, tenure.User{UserName: name, Active: true, Source: source})
			if seen {
				u.LastSeenAt = tx.Now()
			}
			if err := tx.InsertUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDrift(t *testing.T) {
	db := openStore(t)
	d := &Directory{DB: db}
	know(t, db, tenure.SourceSCIM, true, "alice@example.com", "carol@example.com")
	know(t, db, tenure.SourceSCIM, false, "new@example.com", "bob.jones@example.com")
	know(t, db, tenure.SourceSCIM, true, "dan@example.com")
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		dan, err := tx.UserByName(ctx, tenure.DefaultTenant, "dan@example.com")
		if err == nil {
			_, err = tx.SetActive(ctx, dan.Tenant, dan.ID, false, "scim:Okta", "")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	know(t, db, tenure.SourceProxy, true, "dan+ai@example.com", "alice@corp.example.com", "bobjones@example.com", "mallory@example.com")
	report, err := d.Drift(t.Context(), operator(t))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range report.People {
		line := string(p.Kind)
		for _, l := range p.Like {
			line += " " + l.UserName + " " + strings.Join(l.Differs, ",")
		}
		got[p.UserName] = line
	}
	want := map[string]string{
		"alice@corp.example.com": "lookalike alice@example.com domain",
		"bobjones@example.com":   "lookalike bob.jones@example.com dots",
		"mallory@example.com":    "unprovisioned",
		"dan+ai@example.com":     "leaver dan@example.com tag",
		"new@example.com":        "never_signed_in",
		"bob.jones@example.com":  "never_signed_in bobjones@example.com dots",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || report.Provisioned != 4 || report.Diverging() != 4 {
		t.Errorf("%v, %d provisioned, %d diverging", got, report.Provisioned, report.Diverging())
	}
	if !slices.IsSortedFunc(report.People, func(a, b Drifter) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
		t.Error("the report is not in the order of ids")
	}
	member := tenure.Standing{Kind: tenure.AssertedIdentity, Tenant: tenure.DefaultTenant, TenantActive: true, User: "u", UserActive: true, Role: tenure.Member}
	p, err := member.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Drift(t.Context(), p); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("a member: %v", err)
	}
}
