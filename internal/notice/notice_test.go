package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/store"
)

// bench is the act over a real database, with a clock that is moved.
type bench struct {
	*Notices
	t    *testing.T
	now  time.Time
	user tenure.User
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2037, 12, 20, 12, 0, 0, 0, time.UTC)} // ends lie in 2038
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), func() time.Time { return b.now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b.Notices = &Notices{
		DB: db, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry()), Client: testClient(), Public: testClient(),
		Sealer: func(context.Context) (store.Sealer, error) {
			return func(s tenure.Secret, _ store.Bound) (store.SealedKey, error) {
				return store.SealedKey{Sealed: []byte(s.Reveal()), DataKey: []byte("k")}, nil
			}, nil
		},
		Open: func(_ context.Context, k store.SealedKey, _ store.Bound) (tenure.Secret, error) {
			return tenure.NewSecret(string(k.Sealed)), nil
		},
	}
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		b.user = tenure.User{
			ID: "alice", Tenant: tenure.DefaultTenant, UserName: "alice@example.com", Active: true, Role: tenure.Member,
			Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		return tx.InsertUser(ctx, b.user)
	})
	return b
}

func (b *bench) tx(fn func(context.Context, *store.Tx) error) {
	b.t.Helper()
	if err := b.DB.Tx(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) principal(edit func(*tenure.Standing)) tenure.Principal {
	b.t.Helper()
	s := &tenure.Standing{
		Kind: tenure.AssertedIdentity, Tenant: tenure.DefaultTenant, TenantActive: true, User: b.user.ID, UserName: b.user.UserName,
		UserActive: true, Role: tenure.Member,
	}
	edit(s)
	p, err := s.Admit(b.now, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) super() tenure.Principal {
	return b.principal(func(s *tenure.Standing) { s.User, s.UserName, s.Role = "grace", "grace@example.com", tenure.SuperAdmin })
}

func (b *bench) mint(name string, life time.Duration) tenure.TokenID {
	b.t.Helper()
	row := tenure.Token{
		ID: tenure.TokenID(tenure.NewID(b.now)), Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, User: b.user.ID, Name: name,
		Kind: tenure.KindPAT, Prefix: "tpat_aaaa", CreatedAt: b.now,
	}
	if life > 0 {
		row.ExpiresAt = b.now.Add(life)
	}
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertToken(ctx, row, tenure.DigestOf(string(row.ID)))
	})
	return row.ID
}

func (b *bench) policy(key, value string) {
	b.t.Helper()
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetPolicy(ctx, tenure.DefaultTenant, key, value, "test")
	})
}

// sweep moves the clock, sweeps twice as two replicas would, and tells what is new.
func (b *bench) sweep(forward time.Duration) string {
	b.t.Helper()
	before := b.all()
	b.now = b.now.Add(forward)
	for range 2 {
		if err := b.Sweep(b.t.Context()); err != nil {
			b.t.Fatal(err)
		}
	}
	var fresh []string
	for _, n := range b.all()[len(before):] {
		stage := ""
		if parts := strings.Split(n.Dedupe, ":"); len(parts) == 4 {
			stage = ":" + parts[2]
		}
		fresh = append(fresh, n.Kind+" "+n.Object+stage)
	}
	slices.Sort(fresh)
	return strings.Join(fresh, ", ")
}

// all lists the notices, oldest first.
func (b *bench) all() []tenure.Notice {
	b.t.Helper()
	p, err := b.All(b.t.Context(), b.super(), false, "", 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Reverse(p.Notices)
	return p.Notices
}

func (b *bench) is(what, got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s: raised %q, want %q", what, got, want)
	}
}

func TestTokensNearTheirEnd(t *testing.T) {
	b := open(t)
	b.mint("old", 20*day) // its stages have passed when the first sweep of all runs
	b.now = b.now.Add(10 * day)
	b.is("the first sweep", b.sweep(0), "token_expiring old:14d")
	b.mint("long", 40*day)
	b.mint("short", 7*day)
	b.mint("monthly", 30*day)
	b.mint("for ever", 0)
	b.is("new ones", b.sweep(time.Minute), "")
	b.is("3 days on", b.sweep(3*day), "token_expiring old:7d")
	b.is("6 days on", b.sweep(3*day), "token_expiring short:1d")
	b.is("the last day", b.sweep(3*day+12*time.Hour), "token_expiring old:1d")
	b.is("10 days on", b.sweep(day), "token_expiring long:30d")
	b.is("nothing ran for 24 days: only the nearest stage", b.sweep(24*day), "token_expiring long:7d")
	b.is("over", b.sweep(20*day), "")

	n := b.all()[0]
	if n.User != b.user.ID || n.Severity != tenure.Warning || n.Message != `The token "old" (tpat_aaaa…) expires in 10 days, at 2038-01-09 12:00 UTC.` {
		t.Errorf("%+v", n)
	}
}

func TestRevokedTokensAreNotTold(t *testing.T) {
	b := open(t)
	b.sweep(0)
	revoked := b.mint("revoked", 40*day)
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.RevokeToken(ctx, tenure.DefaultTenant, revoked, "x", "y")
		return err
	})
	b.is("dead ones", b.sweep(15*day), "")
}

func TestRotation(t *testing.T) {
	b := open(t)
	b.mint("ancient", 0)
	b.now = b.now.Add(100 * day)
	b.mint("fresh", 0)
	b.mint("ends before", 10*day)
	b.is("no policy", b.sweep(time.Minute), "")
	b.policy("rotate_every", "20d")
	b.is("a policy is set", b.sweep(time.Minute), "rotation_overdue ancient:0")
	b.is("6 days on, 14 before", b.sweep(6*day), "rotation_due fresh:14d, token_expiring ends before:7d")
	b.is("a policy is changed", func() string { b.policy("rotate_every", "15d"); return b.sweep(time.Minute) }(), "rotation_due fresh:14d, rotation_overdue ancient:0")
	b.is("15 days on", b.sweep(9*day), "rotation_overdue fresh:0")
	b.is("later", b.sweep(9*day), "")
}

// A provider's key that is not to be used for ever: who looks after it is told before,
// and when it is due; a new version begins anew.
func TestProviderKeys(t *testing.T) {
	b := open(t)
	b.sweep(0)
	version := func(n int64, every int) tenure.ProviderKey {
		return tenure.ProviderKey{
			ID: tenure.KeyID(fmt.Sprint("key", n)), Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Provider: "p", Name: "default", Version: n,
			State: tenure.KeyActive, Position: 1, Weight: 1, CreatedAt: b.now, ActivatedAt: b.now, RotateEvery: every,
		}
	}
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		p := tenure.Provider{ID: "p", Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Name: "openai", Kind: tenure.OpenAI, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
		return errors.Join(tx.InsertProvider(ctx, p), tx.InsertProviderKey(ctx, version(1, 20), store.SealedKey{Sealed: []byte{1}, DataKey: []byte{1}}))
	})
	b.is("new", b.sweep(time.Minute), "")
	b.is("14 days before", b.sweep(7*day), "provider_key_due openai/default:14d")
	b.is("again", b.sweep(time.Minute), "")
	b.is("the last day", b.sweep(12*day), "provider_key_due openai/default:1d")
	b.is("overdue", b.sweep(day), "provider_key_overdue openai/default:0")
	b.is("told once", b.sweep(day), "")
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ReplaceKey(ctx, version(1, 20), b.now.Add(day)); err != nil {
			return err
		}
		return tx.InsertProviderKey(ctx, version(2, 20), store.SealedKey{Sealed: []byte{1}, DataKey: []byte{1}})
	})
	b.is("rotated", b.sweep(time.Minute), "")
	b.is("14 days before the next", b.sweep(7*day), "provider_key_due openai/default:14d")
}

func TestServiceAccounts(t *testing.T) {
	b := open(t)
	b.sweep(0)
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		for i, end := range []time.Time{{}, b.now.Add(40 * day)} {
			a := tenure.ServiceAccount{
				ID: tenure.ServiceAccountID(fmt.Sprint("robot", i)), Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Name: fmt.Sprint("robot", i),
				Owner: b.user.ID, ExpiresAt: end, CreatedAt: tx.Now(),
			}
			if err := tx.InsertAccount(ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	b.is("new", b.sweep(time.Minute), "")
	b.is("30 days before", b.sweep(10*day), "account_ending robot1:30d")
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SetActive(ctx, tenure.DefaultTenant, b.user.ID, false, "scim", "left")
		return err
	})
	b.is("the owner leaves", b.sweep(time.Minute), "account_orphaned robot0:0, account_orphaned robot1:0")
	b.is("a week before the grace ends", b.sweep(8*day), "account_orphaned robot0:7d, account_orphaned robot1:7d")
	b.is("the last day", b.sweep(5*day+time.Hour), "account_orphaned robot0:1d, account_orphaned robot1:1d")
	b.is("it has stopped", b.sweep(day), "")
}

func TestAlerts(t *testing.T) {
	b := open(t)
	id := b.mint("laptop", 0)
	tell := func(action, object, name string) {
		b.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, tenure.AuditEvent{
				Tenant: tenure.DefaultTenant, Action: action, ActorKind: "root", ActorID: "r", Actor: "root", ObjectID: object, Object: name,
				Outcome: "success", Address: "192.0.2.7",
			})
		})
	}
	kinds := func() string {
		var out []string
		for _, n := range b.all() {
			out = append(out, n.Kind)
		}
		return strings.Join(out, " ")
	}
	tell("token.reuse_detected", "", "too old to be told")
	b.now = b.now.Add(2 * day)
	tell("token.reuse_detected", string(id), "laptop")
	tell("token.minted", string(id), "laptop")
	b.sweep(time.Second)
	b.is("reuse", kinds(), "token_reused")
	tell("token.leaked", string(id), "laptop")
	for range 3 {
		tell("root_token.used", "", "admin.users.list")
	}
	b.sweep(time.Second)
	b.is("leak and root", kinds(), "token_reused token_leaked root_used")
	tell("root_token.used", "", "admin.users.list")
	b.sweep(time.Second)
	b.is("the same hour", kinds(), "token_reused token_leaked root_used")
	b.now = b.now.Add(time.Hour)
	tell("root_token.used", "", "admin.users.list")
	b.sweep(time.Second)
	b.is("the next hour", kinds(), "token_reused token_leaked root_used root_used")
	tell("policy.changed", "", "rotation_overlap")
	b.sweep(time.Second)
	b.is("another policy", kinds(), "token_reused token_leaked root_used root_used")
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.PolicyChanged(b.super(), "admin_scope_approval", "required", "none", false))
	})
	b.sweep(time.Second)
	b.is("approval", kinds(), "token_reused token_leaked root_used root_used approval_off")
	tell("provider.key_refused", "", "openai")
	tell("provider.key_refused", "", "openai")
	tell("provider.key_accepted", "", "openai")
	b.sweep(time.Second)
	b.is("a provider's key", kinds(), "token_reused token_leaked root_used root_used approval_off provider_key_refused")
	for _, n := range b.all() {
		if n.Severity != tenure.Alert || (n.User == b.user.ID) != (n.ObjectKind == "token") {
			t.Errorf("%+v", n)
		}
	}
}

func TestWhoReads(t *testing.T) {
	b := open(t)
	ctx := t.Context()
	b.mint("laptop", 40*day)
	b.sweep(0)
	b.sweep(15 * day)
	id := b.all()[0].ID
	alice := b.principal(func(*tenure.Standing) {})
	bob := b.principal(func(s *tenure.Standing) { s.User, s.UserName = "bob", "bob@example.com" })
	auditor := b.principal(func(s *tenure.Standing) { s.User, s.UserName, s.Role = "eve", "eve@example.com", tenure.Auditor })
	other := b.principal(func(s *tenure.Standing) { s.Tenant, s.Role = "other", tenure.SuperAdmin })
	root := b.principal(func(s *tenure.Standing) {
		*s = tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true}
	})
	for name, c := range map[string]struct {
		who  tenure.Principal
		mine int
	}{"alice": {alice, 1}, "bob": {bob, 0}, "auditor": {auditor, 0}, "root": {root, 0}, "another tenant's": {other, 0}} {
		if p, err := b.Mine(ctx, c.who, false, "", 10); err != nil || len(p.Notices) != c.mine {
			t.Errorf("%s has %d notices: %v", name, len(p.Notices), err)
		}
	}
	for name, who := range map[string]tenure.Principal{"bob": bob, "auditor": auditor, "another tenant's": other} {
		if _, err := b.Read(ctx, who, id); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("%s reads it: %v", name, err)
		}
	}
	if _, err := b.All(ctx, alice, false, "", 10); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("a member lists all: %v", err)
	}
	if n, err := b.Read(ctx, alice, id); err != nil || n.ReadBy != "alice@example.com" {
		t.Errorf("%+v %v", n, err)
	}
	if n, err := b.Read(ctx, b.super(), id); err != nil || n.ReadBy != "alice@example.com" {
		t.Errorf("the first reader does not stay: %+v %v", n, err)
	}
	if p, err := b.Mine(ctx, alice, true, "", 10); err != nil || len(p.Notices) != 0 {
		t.Errorf("unread: %v %v", p, err)
	}
}

// testClient reaches the sinks of tests, which listen on this machine.
func testClient() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, CheckRedirect: NewClient(&egress.Guard{}, 0).CheckRedirect}
}
