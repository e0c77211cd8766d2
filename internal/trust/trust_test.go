package trust_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
	"github.com/tenure-gateway/tenure/internal/trust"
)

func as(t *testing.T, role tenure.Role) tenure.Principal {
	t.Helper()
	now := time.Now()
	s := &tenure.Standing{
		Kind: tenure.AssertedIdentity, Tenant: tenure.DefaultTenant, TenantActive: true, Role: role,
		User: tenure.UserID(role), UserActive: true, UserName: string(role) + "@example.com",
	}
	p, err := s.Admit(now, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func set(t *testing.T, db *store.DB, key, value string) {
	t.Helper()
	err := db.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error {
		return tx.SetPolicy(ctx, tenure.DefaultTenant, key, value, "test")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(*testing.T, *trust.Trust, *store.DB)) {
	with := func(t *testing.T, db *store.DB, err error) {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		test(t, &trust.Trust{DB: db, Facts: trust.Facts{Keys: "a file"}, Sealed: func() error { return nil }, Broken: func() bool { return false }}, db)
	}
	t.Run("sqlite", func(t *testing.T) {
		db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), nil)
		with(t, db, err)
	})
	t.Run("postgres", func(t *testing.T) {
		serve, _ := storetest.Postgres(t)
		db, err := store.OpenPostgres(t.Context(), serve, nil)
		with(t, db, err)
	})
}

func ask() trust.Ask {
	return trust.Ask{Name: "Ada", Email: "ada@example.com", Wants: []string{"leavers", "access"}, Message: "for the audit"}
}

// Who may read the page is the policy's to say: nobody, who is signed in, everybody.
func TestWhoReads(t *testing.T) { onBoth(t, whoReads) }

func whoReads(t *testing.T, a *trust.Trust, db *store.DB) {
	ctx := tenure.Everywhere(t.Context())
	for _, c := range []struct {
		shown                  string
		public, member, reader bool
	}{{tenure.TrustOff, false, false, true}, {tenure.TrustPeople, false, true, true}, {tenure.TrustPublic, true, true, true}} {
		set(t, db, "trust_page", c.shown)
		if _, err := a.Public(t.Context(), "default"); (err == nil) != c.public || !c.public && !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("%s: to everybody: %v", c.shown, err)
		}
		if _, err := a.AskPublic(t.Context(), "default", ask()); (err == nil) != c.public {
			t.Errorf("%s: a stranger asks: %v", c.shown, err)
		}
		if _, err := a.Read(ctx, as(t, tenure.Member)); (err == nil) != c.member {
			t.Errorf("%s: to a member: %v", c.shown, err)
		}
		if _, err := a.Read(ctx, as(t, tenure.Auditor)); (err == nil) != c.reader {
			t.Errorf("%s: to an auditor: %v", c.shown, err)
		}
	}
	if _, err := a.Public(t.Context(), "nobody"); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("a tenant that is none: %v", err)
	}
}

// What the page says is what is in force: a policy that changes changes it.
func TestSaysWhatIs(t *testing.T) { onBoth(t, saysWhatIs) }

func saysWhatIs(t *testing.T, a *trust.Trust, db *store.DB) {
	said := func(topic string) trust.Statement {
		t.Helper()
		p, err := a.Read(tenure.Everywhere(t.Context()), as(t, tenure.Auditor))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Says {
			if s.Topic == topic {
				return s
			}
		}
		t.Fatalf("nothing is said of %s", topic)
		return trust.Statement{}
	}
	if s := said("Tokens"); !strings.Contains(s.Says, "is given 365 days") || s.State != trust.Enforced {
		t.Errorf("%+v", s)
	}
	if s := said("Sign-in"); s.State != trust.NotEnforced {
		t.Errorf("%+v", s)
	}
	if s := said("Two people"); s.State != trust.Enforced {
		t.Errorf("%+v", s)
	}
	if s := said("In transit"); s.State != trust.NotAssessable {
		t.Errorf("%+v", s)
	}
	set(t, db, "pat_max_lifetime", "30d")
	set(t, db, "pat_default_lifetime", "1d")
	set(t, db, "admin_scope_approval", "none")
	set(t, db, "root_token", "off")
	a.Facts = trust.Facts{Ways: []trust.Way{{Says: trust.ByOIDC}}, TLS: true, Keys: "a key in AWS KMS"}
	if s := said("Tokens"); !strings.Contains(s.Says, "is given 30 days at most") {
		t.Errorf("%+v", s)
	}
	if s := said("Sign-in"); s.State != trust.Enforced || !strings.Contains(s.Says, "by OpenID Connect") {
		t.Errorf("%+v", s)
	}
	a.Broken = func() bool { return true }
	for topic, state := range map[string]string{"Audit log": trust.NotEnforced, "Two people": trust.NotEnforced, "In transit": trust.Enforced, "Emergency access": trust.Enforced} {
		if s := said(topic); s.State != state {
			t.Errorf("%+v", s)
		}
	}
}

// Somebody says that they read it, and that is good for as long as the policy says.
func TestReview(t *testing.T) { onBoth(t, review) }

func review(t *testing.T, a *trust.Trust, db *store.DB) {
	ctx := tenure.Everywhere(t.Context())
	read := func() trust.Page {
		t.Helper()
		p, err := a.Read(ctx, as(t, tenure.Auditor))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := read(); !p.Overdue || !p.Reviewed.At.IsZero() {
		t.Errorf("before: %+v", p)
	}
	if err := a.Review(ctx, as(t, tenure.Auditor), ""); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("an auditor changes something: %v", err)
	}
	if err := a.Review(ctx, as(t, tenure.Admin), read().Digest); err != nil {
		t.Fatal(err)
	}
	if p := read(); p.Overdue || p.Reviewed.By != "admin@example.com" || !p.Due.Equal(p.Reviewed.At.Add(90*24*time.Hour)) {
		t.Errorf("after: %+v", p)
	}
	seen := read()
	set(t, db, "reauth", "4m")
	if p := read(); !p.Changed || p.Digest == seen.Digest {
		t.Errorf("a policy has changed: %+v", p)
	}
	if err := a.Review(ctx, as(t, tenure.Admin), seen.Digest); tenure.AsError(err).Code != "trust_page_changed" {
		t.Errorf("what was read is not there any more: %v", err)
	}
	set(t, db, "reauth", "5m")
	if p := read(); p.Changed || seen.Changed {
		t.Errorf("it says what it said: %+v", p)
	}
	err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.SetTrustReview(ctx, tenure.DefaultTenant, tenure.TrustReview{At: tx.Now().Add(-91 * 24 * time.Hour), By: "then"})
	})
	if p := read(); err != nil || !p.Overdue {
		t.Errorf("later: %+v, %v", p, err)
	}
}

// A request waits until an administrator answers or declines it, once, and says how.
func TestRequests(t *testing.T) { onBoth(t, requests) }

func requests(t *testing.T, a *trust.Trust, db *store.DB) {
	set(t, db, "trust_page", tenure.TrustPublic)
	ctx := tenure.Everywhere(t.Context())
	for field, bad := range map[string]trust.Ask{
		"name":         {Email: "ada@example.com", Wants: []string{"leavers"}},
		"email":        {Name: "Ada", Email: "Ada <ada@example.com>", Wants: []string{"leavers"}},
		"wants":        {Name: "Ada", Email: "ada@example.com", Wants: []string{"leavers", "everything"}},
		"organisation": {Name: "Ada", Email: "ada@example.com", Wants: []string{"leavers"}, Organisation: "a\nb"},
		"message":      {Name: "Ada", Email: "ada@example.com", Wants: []string{"leavers"}, Message: strings.Repeat("a", tenure.MaxText+1)},
	} {
		if _, err := a.AskPublic(t.Context(), "default", bad); !tenure.IsKind(err, tenure.Invalid) || tenure.AsError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	q, err := a.AskPublic(t.Context(), "default", ask())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Close(ctx, as(t, tenure.Auditor), q.ID, true, "sent"); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("an auditor answers: %v", err)
	}
	if _, err := a.Close(ctx, as(t, tenure.Admin), q.ID, true, " "); tenure.AsError(err).Field != "answer" {
		t.Errorf("an answer without words: %v", err)
	}
	var closed sync.Map // how each of two administrators fared
	var wait sync.WaitGroup
	for i := range 2 {
		wait.Go(func() {
			_, err := a.Close(ctx, as(t, tenure.Admin), q.ID, i == 0, fmt.Sprintf("by %d", i))
			closed.Store(i, err)
		})
	}
	wait.Wait()
	won := 0
	closed.Range(func(_, v any) bool {
		if v == nil {
			won++
		} else if err, _ := v.(error); tenure.AsError(err).Code != "request_closed" {
			t.Errorf("the other: %v", err)
		}
		return true
	})
	rows, err := a.Requests(ctx, as(t, tenure.Auditor), "", 10)
	if err != nil || won != 1 || len(rows) != 1 || rows[0].State == tenure.TrustOpen || rows[0].ClosedBy != "admin@example.com" {
		t.Errorf("%d have closed it: %+v, %v", won, rows, err)
	}
	events, err := db.AuditEvents(ctx, store.AuditFilter{Tenant: tenure.DefaultTenant, Action: "trust", Limit: 10})
	if err != nil || len(events) != 2 || events[1].Action != "trust.requested" || events[1].ActorKind != "stranger" {
		t.Errorf("%+v, %v", events, err)
	}
}

// Strangers cannot fill the list: neither from one address nor from many; who is signed
// in still can ask.
func TestTooManyRequests(t *testing.T) { onBoth(t, tooManyRequests) }

func tooManyRequests(t *testing.T, a *trust.Trust, db *store.DB) {
	set(t, db, "trust_page", tenure.TrustPublic)
	set(t, db, "trust_owner", "security@example.com")
	from := func(address string) context.Context {
		return tenure.WithOrigin(t.Context(), &tenure.Origin{Address: address})
	}
	full := func(err error) bool {
		e := tenure.AsError(err)
		return e.Kind == tenure.TooMany && e.RetryAfter > 0 && strings.Contains(e.Msg, "security@example.com")
	}
	for i := range 6 {
		if _, err := a.AskPublic(from("192.0.2.1"), "default", ask()); (err == nil) != (i < 5) || i == 5 && !full(err) {
			t.Errorf("request %d of one address: %v", i, err)
		}
	}
	for i := range 96 {
		if _, err := a.AskPublic(from(fmt.Sprintf("198.51.100.%d", i)), "default", ask()); (err == nil) != (i < 95) || i == 95 && !full(err) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if _, err := a.Ask(tenure.Everywhere(from("192.0.2.1")), as(t, tenure.Member), ask()); err != nil {
		t.Errorf("a person: %v", err)
	}
}

// A network of IPv6 counts as one address, however many it has, and twenty requests at
// once are no more than five.
func TestOneNetworkOfManyAddresses(t *testing.T) { onBoth(t, oneNetwork) }

func oneNetwork(t *testing.T, a *trust.Trust, db *store.DB) {
	set(t, db, "trust_page", tenure.TrustPublic)
	var taken atomic.Int32
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			ctx := tenure.WithOrigin(t.Context(), &tenure.Origin{Address: fmt.Sprintf("2001:db8:0:7:%x::1", i)})
			if _, err := a.AskPublic(ctx, "default", ask()); err == nil {
				taken.Add(1)
			} else if !tenure.IsKind(err, tenure.TooMany) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	other := tenure.WithOrigin(t.Context(), &tenure.Origin{Address: "2001:db8:0:8::1"})
	if _, err := a.AskPublic(other, "default", ask()); err != nil || taken.Load() != 5 {
		t.Errorf("%d were taken, and of the network beside it: %v", taken.Load(), err)
	}
}

// How people sign in is told with all ways that the settings open, to the tenants that
// they open them to; and figures are those that hold, of policy and settings the shorter.
func TestWaysAndFigures(t *testing.T) { onBoth(t, waysAndFigures) }

func waysAndFigures(t *testing.T, a *trust.Trust, db *store.DB) {
	ctx := tenure.Everywhere(t.Context())
	err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertTenant(ctx, tenure.Tenant{ID: "other", Name: "other", Active: true, CreatedAt: tx.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []tenure.TenantID{"default", "other"} {
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetPolicy(ctx, tenant, "trust_page", tenure.TrustPublic, "test")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	said := func(tenant, topic string) string {
		t.Helper()
		p, err := a.Public(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Says {
			if s.Topic == topic {
				return s.Says
			}
		}
		return ""
	}
	proxy, both := trust.Way{Says: "by the proxy"}, "by the proxy or by OpenID Connect"
	a.Facts = trust.Facts{Ways: []trust.Way{proxy, {Says: trust.ByOIDC}}, SessionIdle: 30 * time.Minute, SessionLife: 90 * time.Second, Staleness: 5 * time.Second, Keys: "a file"}
	if s := said("default", "Sign-in"); !strings.Contains(s, both) {
		t.Error(s)
	}
	if s := said("other", "Sign-in"); !strings.Contains(s, "No identity provider") {
		t.Error(s)
	}
	proxy.Everyone = true
	a.Facts.Ways = []trust.Way{proxy}
	if s := said("other", "Sign-in"); !strings.Contains(s, "by the proxy.") {
		t.Error(s)
	}
	if s := said("other", "Sessions"); !strings.Contains(s, "after 30 minutes without use and after 90 seconds at all") {
		t.Error(s)
	}
	if s := said("default", "Leavers"); !strings.Contains(s, "refuses after 5 seconds") || strings.Contains(s, "workspaces") {
		t.Error(s)
	}
	set(t, db, "best_effort_max", "60s")
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w, err := tx.Workspace(ctx, tenure.DefaultTenant, string(tenure.DefaultWorkspace))
		if err != nil {
			return err
		}
		x := tenure.Exception{
			ID: "x", Tenant: tenure.DefaultTenant, Title: "t", Rule: tenure.RuleBestEffort, Kind: tenure.SubjectWorkspace, Subject: string(w.ID), Workspace: w.ID, Reason: "r",
			Before: tenure.Risk{Likelihood: "low", Impact: "low"}, After: tenure.Risk{Likelihood: "low", Impact: "low"}, Requester: "ada", RequestedBy: "ada", RequestedAt: tx.Now(),
			From: tx.Now(), ExpiresAt: tx.Now().AddDate(0, 1, 0), Owner: "ada", Plan: "p", RemedyBy: tx.Now(), Decider: "bob", DecidedBy: "bob", DecidedAt: tx.Now(), Why: "w",
		}
		if err := tx.InsertException(ctx, x); err != nil {
			return err
		}
		if err := tx.ApproveException(ctx, x); err != nil {
			return err
		}
		w.OutageGrace, w.Exception = 40*time.Second, x.ID
		return tx.UpdateWorkspace(ctx, w)
	})
	if s := said("default", "Leavers"); err != nil || !strings.Contains(s, "go on for up to 40 seconds then") {
		t.Error(s, err)
	}
}
