package connector

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A bench is the act over a real database, with a clock that the test moves.
type bench struct {
	*Connectors
	t   *testing.T
	now time.Time
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	clock := func() time.Time { b.now = b.now.Add(time.Millisecond); return b.now }
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(store.Change) {},
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Options: live.Options{Now: clock, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	b.Connectors = &Connectors{DB: db, Live: l, Use: &store.ConnectorUse{DB: db}, Builtin: true}
	return b
}

// as gives a person signed in with a role.
func (b *bench) as(role tenure.Role) tenure.Principal {
	b.t.Helper()
	s := tenure.Standing{
		Kind: tenure.AssertedIdentity, Tenant: tenure.DefaultTenant, TenantActive: true, User: "u", UserName: string(role) + "@example.com",
		UserActive: true, Role: role,
	}
	p, err := s.Admit(b.now, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) create(name string, networks ...string) (View, tenure.Secret) {
	b.t.Helper()
	v, secret, err := b.Create(b.t.Context(), b.as(tenure.SuperAdmin), Spec{Name: name, Networks: networks})
	if err != nil {
		b.t.Fatal(err)
	}
	return v, secret
}

// resolve admits whoever presents a token.
func (b *bench) resolve(secret tenure.Secret) (tenure.Principal, error) {
	b.t.Helper()
	s, err := b.DB.TokenStanding(b.t.Context(), tenure.DigestOf(secret.Reveal()))
	if err != nil {
		b.t.Fatal(err)
	}
	return s.Admit(b.now, 0)
}

func (b *bench) get(id tenure.ConnectorID) View {
	b.t.Helper()
	if err := b.Use.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	v, err := b.Get(b.t.Context(), b.as(tenure.Auditor), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func TestWhoMay(t *testing.T) {
	b := open(t)
	v, secret := b.create("Okta")
	machine, err := b.resolve(secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, c := range []struct {
		who          tenure.Principal
		reads, rules bool
	}{
		{b.as(tenure.SuperAdmin), true, true},
		{b.as(tenure.Admin), true, false},
		{b.as(tenure.Auditor), true, false},
		{b.as(tenure.Member), false, false},
		{machine, false, false},
		{tenure.Principal{}, false, false},
	} {
		_, list := b.List(ctx, c.who)
		_, get := b.Get(ctx, c.who, v.ID)
		_, _, create := b.Create(ctx, c.who, Spec{Name: "of " + c.who.Label()})
		_, _, rotate := b.Rotate(ctx, c.who, v.ID, time.Hour)
		_, builtin := b.Delete(ctx, c.who, tenure.BuiltinConnector)
		if (list == nil) != c.reads || (get == nil) != c.reads || (create == nil) != c.rules || (rotate == nil) != c.rules ||
			!tenure.IsKind(builtin, map[bool]tenure.Kind{true: tenure.Conflict, false: tenure.Forbidden}[c.rules]) {
			t.Errorf("%s: %v, %v, %v, %v, %v", c.who.Label(), list, get, create, rotate, builtin)
		}
	}
}

func TestRotate(t *testing.T) {
	b := open(t)
	v, first := b.create("Okta")
	root := b.as(tenure.SuperAdmin)
	rotated, second, err := b.Rotate(t.Context(), root, v.ID, DefaultOverlap)
	if err != nil || len(rotated.Tokens) != 2 || !rotated.Tokens[0].ExpiresAt.IsZero() || rotated.Tokens[1].ExpiresAt.IsZero() {
		t.Fatalf("%+v, %v", rotated, err)
	}
	for _, s := range []tenure.Secret{first, second} {
		if p, err := b.resolve(s); err != nil || p.Label() != "scim:Okta" || p.Standing().Connector != v.ID {
			t.Errorf("%s, %v", p.Label(), err)
		}
	}
	b.now = b.now.Add(DefaultOverlap)
	if _, err := b.resolve(first); err == nil {
		t.Error("the old token outlived the overlap")
	}
	if _, third, err := b.Rotate(t.Context(), root, v.ID, 0); err != nil {
		t.Error(err)
	} else if _, err := b.resolve(third); err != nil {
		t.Error(err)
	}
	if _, err := b.resolve(second); err == nil {
		t.Error("without an overlap the old token lives")
	}
	for _, overlap := range []time.Duration{-time.Second, MaxOverlap + time.Second} {
		if _, _, err := b.Rotate(t.Context(), root, v.ID, overlap); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%s: %v", overlap, err)
		}
	}
	if _, _, err := b.Rotate(t.Context(), root, tenure.BuiltinConnector, 0); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("the built-in one: %v", err)
	}
	ended, err := b.Delete(t.Context(), root, v.ID)
	if err != nil || ended.Tokens != 1 {
		t.Errorf("%+v, %v", ended, err)
	}
	events, err := b.DB.AuditTail(t.Context(), tenure.DefaultTenant, "connector.rotated", 10)
	if err != nil || len(events) != 2 || events[1].Detail["overlap_seconds"] != "86400" || events[1].Actor != "super_admin@example.com" {
		t.Errorf("%+v, %v", events, err)
	}
}

func TestSpecs(t *testing.T) {
	b := open(t)
	v, _ := b.create("Büro", "203.0.113.77/24", " 2001:db8::1 ", "::ffff:192.0.2.1")
	want := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::1/128"), netip.MustParsePrefix("192.0.2.1/32")}
	if got := b.get(v.ID).Networks; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("networks %v, want %v", got, want)
	}
	for _, spec := range []Spec{
		{},
		{Name: strings.Repeat("n", 101)},
		{Name: "a\u202eb"},
		{Name: " Okta"},
		{Name: "\xff"},
		{Name: "x", Networks: []string{"10.0.0.0/33"}},
		{Name: "x", Networks: []string{"fe80::1%eth0"}},
		{Name: "x", Networks: []string{""}},
		{Name: "x", Networks: []string{"::ffff:10.0.0.0/104"}},
		{Name: "x", Networks: make([]string, tenure.MaxNetworks+1)},
	} {
		if _, _, err := b.Create(t.Context(), b.as(tenure.SuperAdmin), spec); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	for _, name := range []string{"Büro", builtinName, "builtin"} {
		if _, _, err := b.Create(t.Context(), b.as(tenure.SuperAdmin), Spec{Name: name}); !tenure.IsKind(err, tenure.Conflict) {
			t.Errorf("a second %s: %v", name, err)
		}
	}
	for text, want := range map[string]time.Duration{"": DefaultOverlap, "0": 0, "90m": 90 * time.Minute, "7d": MaxOverlap} {
		if got, err := ParseOverlap(text); got != want || err != nil {
			t.Errorf("overlap %q = %v, %v", text, got, err)
		}
	}
	if _, err := ParseOverlap("a while"); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("a while: %v", err)
	}
}

func TestSilence(t *testing.T) {
	b := open(t)
	v, secret := b.create("Okta")
	p, err := b.resolve(secret)
	if err != nil {
		t.Fatal(err)
	}
	says := func(when, part string) {
		t.Helper()
		if got := b.get(v.ID).Warning; (part == "") != (got == "") || !strings.Contains(got, part) {
			t.Errorf("%s: %q, want %q", when, got, part)
		}
	}
	run := func(after time.Duration) {
		b.now = b.now.Add(after)
		b.Note(p, tenure.ConnectorRequest{Operation: "users.list", At: b.now})
		says("just after a run", "")
	}
	says("new", "")
	b.now = b.now.Add(3 * time.Hour)
	says("never used", "Nothing has come through it in the 3 h since it was made.")
	run(0)
	b.now = b.now.Add(100 * time.Minute)
	says("nothing is known of it, 100 min", "")
	b.now = b.now.Add(30 * time.Minute)
	says("nothing is known of it, 130 min", "what is usual is not known yet")
	run(0) // after 130 minutes
	for range 30 {
		run(2 * time.Minute)
	}
	b.now = b.now.Add(14 * time.Minute)
	says("seldom silent, 14 min", "")
	b.now = b.now.Add(90 * time.Second)
	says("seldom silent, 15 min", "Silent for 15 min (usually every 2 min)")
	for range 30 {
		run(40 * time.Minute)
	}
	b.now = b.now.Add(119 * time.Minute)
	says("Entra's pace, 119 min", "")
	b.now = b.now.Add(2 * time.Minute)
	says("Entra's pace, 121 min", "Silent for 2 h (usually every 39 min)")
	list, err := b.List(t.Context(), b.as(tenure.Admin))
	if err != nil || len(list) != 2 || !list[0].Builtin() || list[1].SilentFor < 121*time.Minute {
		t.Errorf("%+v, %v", list, err)
	}
	b.now = b.now.Add(time.Second)
	if _, err := b.DB.Connectors(t.Context(), tenure.DefaultTenant); err != nil {
		t.Fatal(err)
	}
	if err := b.DB.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.RevokeConnectorTokens(ctx, v.Tenant, v.ID, "me", "")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	says("without a token", "no token that is good")
}
