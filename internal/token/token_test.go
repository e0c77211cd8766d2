package token

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// fixture is the act on a real database, with its feed followed.
type fixture struct {
	*Tokens
	ctx   context.Context //nolint:containedctx // a test's own
	alice tenure.Principal
	admin tenure.Principal
	// unfollow ends the following of the feed.
	unfollow func()
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	db, err := store.OpenSQLite(ctx, filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	tk := &Tokens{DB: db, Cache: NewCache(1000), Reuse: NewReuse()}
	tk.Uses = &store.LastUse{DB: db, FirstUse: func(tenure.Token) tenure.AuditEvent { return tenure.AuditEvent{} }}
	tk.Live = &live.Live{
		Check: func(tenure.Principal, tenure.Action) error { return nil },
		DB:    db, Recheck: tk.Recheck, Forget: tk.Forget, Log: slog.New(slog.DiscardHandler),
		Options: live.Options{Now: time.Now, MaxStaleness: time.Minute, StreamStaleness: time.Minute},
	}
	tk.Live.Metrics = live.NewMetrics(prometheus.NewRegistry(), tk.Live)
	var wg sync.WaitGroup
	ready := make(chan struct{})
	wg.Go(func() {
		if err := tk.Live.Follow(ctx, func() { close(ready) }); err != nil {
			t.Error(err)
		}
	})
	<-ready
	t.Cleanup(func() {
		stop()
		wg.Wait()
		_ = db.Close()
	})
	f := &fixture{Tokens: tk, ctx: context.Background(), unfollow: func() { stop(); wg.Wait() }}
	f.alice = f.person(t, "alice@example.com", tenure.Member)
	f.admin = f.person(t, "grace@example.com", tenure.Admin)
	return f
}

func (f *fixture) person(t testing.TB, name string, role tenure.Role) tenure.Principal {
	t.Helper()
	var u tenure.User
	err := f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		u = tenure.User{
			ID: tenure.UserID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, UserName: name, Active: true, Role: role,
			Source: tenure.SourceProxy, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		if err := tx.InsertUser(ctx, u); err != nil {
			return err
		}
		return tx.SetMembership(ctx, u.Tenant, tenure.DefaultWorkspace, u.ID, tenure.Member)
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.DB.UserStanding(f.ctx, u.Tenant, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fixture) mint(t testing.TB, by tenure.Principal) (tenure.Token, string) {
	t.Helper()
	row, secret, err := f.Mint(f.ctx, by, Spec{Name: "laptop"})
	if err != nil {
		t.Fatal(err)
	}
	return row, secret.Reveal()
}

func TestMintAndResolve(t *testing.T) {
	f := newFixture(t)
	row, secret := f.mint(t, f.alice)
	if d := row.ExpiresAt.Sub(row.CreatedAt); d != tenure.DefaultTokenLife {
		t.Errorf("lifetime %v", d)
	}
	if row.Prefix != secret[:9] || row.Scopes != tenure.DataPlane || row.Workspace != tenure.DefaultWorkspace {
		t.Errorf("row %+v", row)
	}
	f.unfollow() // late news has what is in memory forgotten
	for range 3 {
		p, err := f.Resolve(f.ctx, secret)
		if err != nil || p.User() != f.alice.User() || p.Token() != row.ID || p.Kind() != tenure.PAT {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if h, m := f.Cache.Hits(), f.Cache.Misses(); h != 2 || m != 1 {
		t.Errorf("%d hits and %d misses: a token seen before must not cost a look-up", h, m)
	}
}

// Where the feed is late, what is cached is asked for again; where the database is
// silent too, access tokens go on until MaxStaleness, and nobody else does.
func TestWhatIsCachedIsAskedForAgain(t *testing.T) {
	f := newFixture(t)
	row, secret := f.mint(t, f.alice)
	_, other := f.mint(t, f.alice)
	root, err := f.EnsureRoot(f.ctx, f.admin)
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(secret string) error {
		_, err := f.Resolve(f.ctx, secret)
		return err
	}
	for _, secret := range []string{secret, other, root.Reveal()} {
		if err := resolve(secret); err != nil {
			t.Fatal(err)
		}
	}
	f.unfollow()
	err = f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.RevokeToken(ctx, row.Tenant, row.ID, "me", "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for f.Live.Current() {
		time.Sleep(10 * time.Millisecond)
	}
	if err := resolve(secret); !tenure.IsKind(err, tenure.Unauthenticated) {
		t.Errorf("a token that was revoked, and of which the feed does not tell: %v", err)
	}
	if err := resolve(other); err != nil {
		t.Errorf("another token: %v", err)
	}
	if err := f.DB.Close(); err != nil {
		t.Fatal(err)
	}
	if err := resolve(other); err != nil {
		t.Errorf("without the database: %v", err)
	}
	if err := resolve(root.Reveal()); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("the root token without the database: %v", err)
	}
	f.Live.Options.MaxStaleness = time.Millisecond
	if err := resolve(other); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("after MaxStaleness: %v", err)
	}
}

func TestMintRefuses(t *testing.T) {
	f := newFixture(t)
	for field, spec := range map[string]Spec{
		"name":       {Name: ""},
		"expires_in": {Name: "x", Life: 366 * 24 * time.Hour},
		"scopes":     {Name: "x", Scopes: []string{"chat", "admin"}},
		"workspace":  {Name: "x", Workspace: "nowhere"},
		"user":       {Name: "x", For: "grace@example.com"},
	} {
		_, _, err := f.Mint(f.ctx, f.alice, spec)
		if e := tenure.AsError(err); e.Kind != tenure.Invalid || e.Field != field {
			t.Errorf("%s: %+v", field, err)
		}
	}
	for _, bad := range []Spec{{Name: "a\nb"}, {Name: string(make([]byte, 101))}, {Name: "x", Life: -1}, {Name: "x", Life: time.Second}, {Name: "x", Scopes: []string{""}}, {Name: "\xff"}, {Name: "key " + tenure.NewToken(tenure.KindPAT).Reveal()}} {
		if _, _, err := f.Mint(f.ctx, f.alice, bad); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if rows, err := f.DB.Tokens(f.ctx, store.TokenFilter{Tenant: tenure.DefaultTenant, Limit: 10}); err != nil || len(rows) != 0 {
		t.Errorf("%d tokens came of refused requests (%v)", len(rows), err)
	}
	if _, _, err := f.Mint(f.ctx, tenure.Principal{}, Spec{Name: "x"}); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("nobody minted: %v", err)
	}
}

// Garbage is refused without the database: it is closed, and would answer
// otherwise than "invalid".
func TestGarbageNeverReachesTheDatabase(t *testing.T) {
	f := newFixture(t)
	_, secret := f.mint(t, f.alice)
	unknown := tenure.NewToken(tenure.KindPAT).Reveal()
	if err := f.DB.Close(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", "tpat_", secret[:len(secret)-1] + "!", flip(secret), "sk-live-123", secret + secret} {
		if _, err := f.Resolve(f.ctx, bad); !tenure.IsKind(err, tenure.Unauthenticated) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := f.Resolve(f.ctx, unknown); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("a well-formed token, which needs the database: %v", err)
	}
}

// flip changes the last character to another of the alphabet.
func flip(s string) string {
	last := byte('0')
	if s[len(s)-1] == '0' {
		last = '1'
	}
	return s[:len(s)-1] + string(last)
}

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	bob := f.person(t, "bob@example.com", tenure.Member)
	row, secret := f.mint(t, f.alice)
	p, err := f.Resolve(f.ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx, flight, err := f.Live.Enter(f.ctx, p, tenure.ChatCompletions, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Live.Leave(flight)
	if _, err := f.Revoke(f.ctx, bob, row.ID, ""); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("somebody else's token: %v", err)
	}
	if ctx.Err() != nil {
		t.Error("a refused revocation cut a stream")
	}
	ended, err := f.Revoke(f.ctx, f.alice, row.ID, "lost")
	if err != nil || ended.Tokens != 1 || ended.Streams != 1 {
		t.Errorf("%+v, %v", ended, err)
	}
	if live.Cause(ctx) != tenure.ErrRevoked {
		t.Errorf("the stream ended by %v", context.Cause(ctx))
	}
	if _, err := f.Resolve(f.ctx, secret); !tenure.IsKind(err, tenure.Unauthenticated) {
		t.Errorf("after revocation: %v", err)
	}
	if ended, err := f.Revoke(f.ctx, f.admin, row.ID, ""); err != nil || ended.Tokens != 0 {
		t.Errorf("a second time: %+v, %v", ended, err)
	}
	if events, err := f.DB.AuditTail(f.ctx, tenure.DefaultTenant, "token.revoked", 10); err != nil || len(events) != 1 || events[0].Reason != "lost" {
		t.Errorf("audit: %+v, %v", events, err)
	}
}

// A row that was read before a revocation is never cached after it. The naive
// way, to put what was read, is shown to fail here.
func TestStaleRowIsNotCached(t *testing.T) {
	for _, naive := range []bool{true, false} {
		t.Run(fmt.Sprintf("naive=%t", naive), func(t *testing.T) {
			f := newFixture(t)
			row, secret := f.mint(t, f.alice)
			digest := tenure.DigestOf(secret)
			// The slow reader: looks up, and is overtaken before it can cache.
			generation := f.Live.Generation()
			s, err := f.DB.TokenStanding(f.ctx, digest)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Revoke(f.ctx, f.alice, row.ID, ""); err != nil {
				t.Fatal(err)
			}
			f.Cache.put(digest, s, f.Cache.seen(digest), func() bool { return naive || f.Live.Generation() == generation })
			_, err = f.Resolve(f.ctx, secret)
			if revived := err == nil; revived != naive {
				t.Errorf("the revoked token resolves: %t, want %t", revived, naive)
			}
		})
	}
}

// Fifty users of a token race its revocation: not one success after the answer.
func TestUseRacesRevocation(t *testing.T) {
	f := newFixture(t)
	for range 20 {
		row, secret := f.mint(t, f.alice)
		var revoked atomic.Bool
		var late atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 20 {
					before := revoked.Load()
					p, err := f.Resolve(f.ctx, secret)
					if err != nil {
						continue
					}
					ctx, flight, err := f.Live.Enter(f.ctx, p, tenure.ChatCompletions, nil)
					if err != nil {
						continue
					}
					if before && ctx.Err() == nil {
						late.Add(1)
					}
					f.Live.Leave(flight)
				}
			})
		}
		if _, err := f.Revoke(f.ctx, f.alice, row.ID, ""); err != nil {
			t.Fatal(err)
		}
		revoked.Store(true)
		wg.Wait()
		if n := late.Load(); n > 0 {
			t.Fatalf("%d requests began after the revocation was answered", n)
		}
	}
}

func TestRootRotation(t *testing.T) {
	f := newFixture(t)
	f.Single = true
	first, err := f.EnsureRoot(f.ctx, f.admin)
	if err != nil || first.IsZero() {
		t.Fatal(err)
	}
	if again, err := f.EnsureRoot(f.ctx, f.admin); err != nil || !again.IsZero() {
		t.Errorf("a second root token was made (%v)", err)
	}
	root, err := f.Resolve(f.ctx, first.Reveal())
	if err != nil || root.Kind() != tenure.RootToken {
		t.Fatalf("%+v, %v", root, err)
	}
	if _, _, err := f.RotateRoot(f.ctx, f.alice); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("a member rotated the root token: %v", err)
	}
	second, _, err := f.RotateRoot(f.ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Resolve(f.ctx, first.Reveal()); err == nil {
		t.Error("the old root token lives")
	}
	if _, err := f.Resolve(f.ctx, second.Reveal()); err != nil {
		t.Errorf("the new root token: %v", err)
	}
}

// Whoever gains, or keeps, goes on; whoever may not any more ends.
func TestRoleChangesAndOpenStreams(t *testing.T) {
	f := newFixture(t)
	f.Live.Check = access.Check
	_, secret := f.mint(t, f.alice)
	p, err := f.Resolve(f.ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx, flight, err := f.Live.Enter(f.ctx, p, tenure.ChatCompletions, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Live.Leave(flight)
	for _, c := range []struct {
		role tenure.Role
		ends bool
	}{{tenure.WorkspaceAdmin, false}, {tenure.Member, false}, {tenure.Viewer, true}} {
		err := f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetMembership(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace, f.alice.User(), c.role)
		})
		if err != nil {
			t.Fatal(err)
		}
		f.Live.Changed(f.ctx, store.Change{Kind: "membership", ID: string(f.alice.User())})
		if ended := ctx.Err() != nil; ended != c.ends {
			t.Errorf("as %s: ended %t", c.role, ended)
		}
	}
}

func TestNoPersonalTokensInSingleMode(t *testing.T) {
	f := newFixture(t)
	_, secret := f.mint(t, f.alice)
	f.Single = true
	if _, err := f.Resolve(f.ctx, secret); !tenure.IsKind(err, tenure.Unauthenticated) {
		t.Errorf("a personal token: %v", err)
	}
}

func TestRootThatTheOperatorSets(t *testing.T) {
	f := newFixture(t)
	stored, err := f.EnsureRoot(f.ctx, f.admin)
	if err != nil {
		t.Fatal(err)
	}
	const set = "set-by-the-operator-0123456789"
	f.Configured = map[tenure.Digest]*tenure.Standing{tenure.DigestOf(set): {Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true}}
	if _, err := f.Resolve(f.ctx, set); err != nil {
		t.Errorf("the one that is set: %v", err)
	}
	if _, err := f.Resolve(f.ctx, stored.Reveal()); err == nil {
		t.Error("the stored one lives beside it")
	}
	if err := f.RootStands(f.ctx, tenure.DigestOf(stored.Reveal())); err == nil {
		t.Error("a session of the stored one would live")
	}
	if _, _, err := f.RotateRoot(f.ctx, f.operator(t)); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("rotation: %v", err)
	}
}

func (t *Tokens) operator(tb testing.TB) tenure.Principal {
	tb.Helper()
	p, err := (&tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true}).Admit(time.Now(), 0)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestCacheIsBoundedAndForgets(t *testing.T) {
	c := NewCache(10)
	always := func() bool { return true }
	for i := range 100 {
		id := fmt.Sprint(i)
		c.put(tenure.DigestOf(id), &tenure.Standing{Token: tenure.TokenID("t" + id), User: "u"}, 0, always)
	}
	if len(c.known) != 10 || len(c.byID["u"]) != 10 || len(c.byID) != 11 {
		t.Errorf("%d standings, %d of the user, %d ids", len(c.known), len(c.byID["u"]), len(c.byID))
	}
	c.drop("u")
	if len(c.known) != 0 || len(c.byID) != 0 {
		t.Errorf("after the user was dropped: %d, %d", len(c.known), len(c.byID))
	}
}

func BenchmarkResolveKnown(b *testing.B) {
	f := newFixture(b)
	_, secret := f.mint(b, f.alice)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Resolve(f.ctx, secret); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResolveGarbage(b *testing.B) {
	f := newFixture(b)
	bad := flip(tenure.NewToken(tenure.KindPAT).Reveal())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Resolve(f.ctx, bad); err == nil {
			b.Fatal("garbage resolved")
		}
	}
}
