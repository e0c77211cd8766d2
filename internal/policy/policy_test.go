package policy

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A bench is the act over a real database, and what was forgotten.
type bench struct {
	*Policies
	t      *testing.T
	forgot []store.Change
}

func open(t *testing.T) *bench {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bench{t: t}
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(c store.Change) { b.forgot = append(b.forgot, c) },
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Options: live.Options{Now: time.Now, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	b.Policies = &Policies{DB: db, Live: l}
	return b
}

func (b *bench) as(tenant tenure.TenantID, role tenure.Role) tenure.Principal {
	b.t.Helper()
	s := tenure.Standing{
		Kind: tenure.AssertedIdentity, Tenant: tenant, TenantActive: true, User: "u", UserName: string(role) + "@example.com", UserActive: true, Role: role,
	}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func to(v string) *string { return &v }

func (b *bench) value(by tenure.Principal, key string) string {
	b.t.Helper()
	rows, err := b.Read(b.t.Context(), by)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range rows {
		if r.Key == key {
			return r.Value
		}
	}
	return "(none)"
}

func TestWhoMay(t *testing.T) {
	b := open(t)
	for role, may := range map[tenure.Role][2]bool{
		tenure.SuperAdmin: {true, true}, tenure.Admin: {true, false}, tenure.Auditor: {true, false}, tenure.Member: {false, false},
	} {
		_, err := b.Read(t.Context(), b.as(tenure.DefaultTenant, role))
		if (err == nil) != may[0] {
			t.Errorf("%s reads: %v", role, err)
		}
		_, err = b.Set(t.Context(), b.as(tenure.DefaultTenant, role), map[string]*string{"reuse": to("alert")})
		if (err == nil) != may[1] {
			t.Errorf("%s sets: %v", role, err)
		}
	}
}

// Each tenant has its own, and only the default one a root token.
func TestTenants(t *testing.T) {
	b := open(t)
	here, there := b.as(tenure.DefaultTenant, tenure.SuperAdmin), b.as("other", tenure.SuperAdmin)
	if _, err := b.Set(t.Context(), here, map[string]*string{"rotate_every": to("30d")}); err != nil {
		t.Fatal(err)
	}
	if got := b.value(there, "rotate_every"); got != "0" {
		t.Errorf("another tenant's policy is %q", got)
	}
	if b.value(there, rootToken) != "(none)" || b.value(here, rootToken) != "on" {
		t.Error("the key of the root token is not where the root token is")
	}
	for _, v := range []*string{to("off"), to("on"), nil} {
		_, err := b.Set(t.Context(), there, map[string]*string{rootToken: v})
		if e := tenure.AsError(err); e.Code != "unknown_policy" || e.Field != rootToken || strings.Contains(e.Msg, "reuse, root_token") {
			t.Errorf("root_token of another tenant: %v", err)
		}
	}
}

// What is refused changes nothing and is told to nobody; what changes is told once.
func TestWholeOrNotAtAll(t *testing.T) {
	b := open(t)
	by := b.as(tenure.DefaultTenant, tenure.SuperAdmin)
	for name, values := range map[string]map[string]*string{
		"nothing":          {},
		"no key":           {"rotation_overlap": to("1h"), strings.Repeat("x", 10_000): to("1")},
		"a token":          {"rotation_overlap": to("1h"), "webhook_url": to("https://example.com/" + tenure.NewToken(tenure.KindPAT).Reveal())},
		"too long":         {"rotation_overlap": to("1h"), "webhook_url": to("https://example.com/" + strings.Repeat("x", maxValue))},
		"no text":          {"rotation_overlap": to("1h"), "webhook_url": to("https://example.com/\xff")},
		"no value":         {"rotation_overlap": to("1h"), "rotate_every": to("-1d")},
		"a contradiction":  {"rotation_overlap": to("1h"), "pat_max_lifetime": to("1h")},
		"nobody else left": {"rotation_overlap": to("1h"), rootToken: to("off")},
	} {
		_, err := b.Set(t.Context(), by, values)
		if e := tenure.AsError(err); err == nil || e.Kind != tenure.Invalid && e.Kind != tenure.Conflict || e.Field == "" || len(e.Msg) > 700 || len(e.Code) > 60 {
			t.Errorf("%s: %v", name, err)
		}
		if tenure.MentionsToken(err.Error()) {
			t.Errorf("%s: the error shows a token: %v", name, err)
		}
	}
	if b.value(by, "rotation_overlap") != "1d" || len(b.forgot) != 0 {
		t.Errorf("something was changed, or told: %v", b.forgot)
	}
	for range 2 {
		if _, err := b.Set(t.Context(), by, map[string]*string{"rotation_overlap": to("60m"), "reuse": nil}); err != nil {
			t.Fatal(err)
		}
	}
	events, err := b.DB.AuditTail(t.Context(), tenure.DefaultTenant, "policy.changed", 10)
	if err != nil || len(events) != 1 || events[0].Object != "rotation_overlap" || events[0].Detail["before"] != "1d" || events[0].Detail["after"] != "1h" {
		t.Errorf("%+v %v", events, err)
	}
	if want := (store.Change{Kind: "policy", ID: "default"}); len(b.forgot) != 1 || b.forgot[0] != want {
		t.Errorf("told %v, want %v once", b.forgot, want)
	}
}

// Two who change different keys at once both have their way, also where the one
// needs to know of the other.
func TestAtOnce(t *testing.T) {
	b := open(t)
	by := b.as(tenure.DefaultTenant, tenure.SuperAdmin)
	var wg sync.WaitGroup
	for _, values := range []map[string]*string{{"pat_max_lifetime": to("80d")}, {"pat_default_lifetime": to("100d")}, {"pat_default_lifetime": to("70d")}} {
		wg.Go(func() { _, _ = b.Set(context.Background(), by, values) })
	}
	wg.Wait()
	p, err := b.DB.Policy(t.Context(), tenure.DefaultTenant)
	if err != nil || p.Coherent() != nil {
		t.Errorf("%+v %v", p, err)
	}
}
