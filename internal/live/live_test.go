package live_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// world is a Live on a real database; which users are dead is the test's to say.
type world struct {
	*live.Live
	path   string
	dead   sync.Map    // tenure.UserID
	broken atomic.Bool // nothing can be known
	forgot atomic.Int64
}

func newWorld(t *testing.T, options live.Options) *world {
	t.Helper()
	w := &world{path: filepath.Join(t.TempDir(), "tenure.db")}
	db, err := store.OpenSQLite(context.Background(), w.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if options.Now == nil {
		options.Now = time.Now
	}
	w.Live = &live.Live{
		Check: func(tenure.Principal, tenure.Action) error { return nil },
		DB:    db, Log: slog.New(slog.DiscardHandler), Options: options,
		Forget: func(store.Change) { w.forgot.Add(1) },
		Recheck: func(ctx context.Context, p tenure.Principal) (tenure.Principal, error) {
			if w.broken.Load() || ctx.Err() != nil {
				return tenure.Principal{}, errors.New("the database does not answer")
			}
			if _, dead := w.dead.Load(p.User()); dead {
				return tenure.Principal{}, tenure.ErrInvalidToken
			}
			return p, nil
		},
	}
	w.Metrics = live.NewMetrics(prometheus.NewRegistry(), w.Live)
	return w
}

func (w *world) follow(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Follow(ctx, func() { close(ready) }); err != nil {
			t.Error(err)
		}
	}()
	<-ready
	t.Cleanup(func() { stop(); <-done })
}

func (w *world) principal(t *testing.T, user tenure.UserID, expires time.Time) tenure.Principal {
	t.Helper()
	s := &tenure.Standing{
		Kind: tenure.PAT, Tenant: "default", TenantActive: true, User: user, UserActive: true, Token: tenure.TokenID("t-" + user),
		Workspace: "default", WorkspaceRole: tenure.Member, ExpiresAt: expires,
	}
	p, err := s.Admit(time.Now(), w.Generation())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) enter(t *testing.T, p tenure.Principal) (context.Context, *live.Flight) {
	t.Helper()
	ctx, f, err := w.Enter(context.Background(), p, tenure.ChatCompletions, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Leave(f) })
	return ctx, f
}

func ends(t *testing.T, what string, ctx context.Context, within time.Duration) error { //nolint:revive // the context is what is asked about
	t.Helper()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(within):
		t.Errorf("%s: not ended within %v", what, within)
		return nil
	}
}

func TestCutEndsTheSubjectAndNobodyElse(t *testing.T) {
	w := newWorld(t, live.Options{})
	alice, _ := w.enter(t, w.principal(t, "alice", time.Time{}))
	again, f := w.enter(t, w.principal(t, "alice", time.Time{}))
	bob, _ := w.enter(t, w.principal(t, "bob", time.Time{}))
	if w.Open() != 3 {
		t.Errorf("%d open", w.Open())
	}
	w.Leave(f)
	w.Leave(f) // twice is once
	if n := w.Cut(store.Change{Kind: "user", ID: "alice"}, live.User("alice"), tenure.ErrRevoked); n != 1 || w.forgot.Load() != 1 {
		t.Errorf("%d cut, %d forgotten", n, w.forgot.Load())
	}
	if live.Cause(alice) != tenure.ErrRevoked || bob.Err() != nil {
		t.Errorf("alice ended by %v, bob by %v", context.Cause(alice), bob.Err())
	}
	if live.Cause(again) != nil || !errors.Is(context.Cause(again), context.Canceled) {
		t.Errorf("the one that had left ended by %v", context.Cause(again))
	}
	if n := w.Cut(store.Change{}, live.User("alice"), tenure.ErrRevoked); n != 0 {
		t.Errorf("cut twice: %d", n)
	}
}

func TestEnterLooksAgainWhenSomethingChanged(t *testing.T) {
	w := newWorld(t, live.Options{})
	p := w.principal(t, "alice", time.Time{})
	w.dead.Store(tenure.UserID("alice"), true)
	w.Cut(store.Change{Kind: "user", ID: "alice"}, live.User("alice"), tenure.ErrRevoked) // between look-up and Enter
	if _, _, err := w.Enter(context.Background(), p, tenure.ChatCompletions, nil); !errors.Is(err, tenure.ErrInvalidToken) {
		t.Errorf("a request entered on a standing that had ended: %v", err)
	}
	if w.Open() != 0 {
		t.Error("the refused request is still in the register")
	}
}

func TestFeedEndsWhatDoesNotStand(t *testing.T) {
	w := newWorld(t, live.Options{MaxStaleness: time.Minute, StreamStaleness: time.Minute})
	w.follow(t)
	alice, _ := w.enter(t, w.principal(t, "alice", time.Time{}))
	bob, _ := w.enter(t, w.principal(t, "bob", time.Time{}))
	w.dead.Store(tenure.UserID("alice"), true)
	for _, id := range []string{"alice", "bob"} { // a change of somebody who stands cuts nobody
		if err := change(w, "user", id); err != nil {
			t.Fatal(err)
		}
	}
	if err := ends(t, "alice", alice, time.Second); !errors.Is(err, tenure.ErrRevoked) {
		t.Errorf("alice ended by %v", err)
	}
	time.Sleep(3 * store.FeedPoll)
	if bob.Err() != nil {
		t.Errorf("bob, who stands, ended by %v", context.Cause(bob))
	}
}

// Not being able to know ends nobody, neither for a caller who has left nor in
// the feed; and the feed asks again until it knows.
func TestNotKnowingEndsNobody(t *testing.T) {
	w := newWorld(t, live.Options{MaxStaleness: time.Minute, StreamStaleness: time.Minute})
	w.follow(t)
	alice, _ := w.enter(t, w.principal(t, "alice", time.Time{}))
	left, leave := context.WithCancel(context.Background())
	leave()
	w.Changed(left, store.Change{Kind: "user", ID: "alice"})
	w.broken.Store(true)
	w.Changed(context.Background(), store.Change{Kind: "user", ID: "alice"})
	if err := change(w, "user", "alice"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * store.FeedPoll)
	if alice.Err() != nil {
		t.Fatalf("ended by %v", context.Cause(alice))
	}
	w.dead.Store(tenure.UserID("alice"), true)
	w.broken.Store(false)
	if err := ends(t, "alice", alice, time.Second); !errors.Is(err, tenure.ErrRevoked) {
		t.Errorf("ended by %v", err)
	}
}

// "Never", as people write it, is not the past.
func TestFarEndIsFar(t *testing.T) {
	w := newWorld(t, live.Options{MaxStaleness: time.Minute, StreamStaleness: time.Minute})
	w.follow(t)
	ctx, _ := w.enter(t, w.principal(t, "alice", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)))
	time.Sleep(5 * store.FeedPoll)
	if ctx.Err() != nil {
		t.Errorf("ended by %v", context.Cause(ctx))
	}
}

// change commits something that the feed tells of.
func change(w *world, _, id string) error {
	return w.DB.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMembership(ctx, "default", tenure.WorkspaceID("w-"+tenure.NewID(tx.Now())), tenure.UserID(id), tenure.Member)
	})
}

func TestTokensExpireInMidFlight(t *testing.T) {
	w := newWorld(t, live.Options{MaxStaleness: time.Minute, StreamStaleness: time.Minute})
	w.follow(t)
	ctx, _ := w.enter(t, w.principal(t, "alice", time.Now().Add(200*time.Millisecond)))
	if err := ends(t, "the expired", ctx, time.Second); !errors.Is(err, tenure.ErrExpired) {
		t.Errorf("ended by %v", err)
	}
}

// Without news from the database, first nobody is admitted, then streams end.
func TestStaleness(t *testing.T) {
	w := newWorld(t, live.Options{MaxStaleness: 300 * time.Millisecond, StreamStaleness: 900 * time.Millisecond})
	if err := w.Fresh(); !errors.Is(err, tenure.ErrStale) {
		t.Errorf("fresh before the feed was ever read: %v", err)
	}
	w.follow(t)
	if err := w.Fresh(); err != nil {
		t.Error(err)
	}
	ctx, _ := w.enter(t, w.principal(t, "alice", time.Time{}))
	if err := os.Rename(w.path, w.path+".gone"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(600 * time.Millisecond)
	if err := w.Fresh(); !errors.Is(err, tenure.ErrStale) {
		t.Errorf("fresh without a database: %v", err)
	}
	if ctx.Err() != nil {
		t.Errorf("the stream ended too early: %v", context.Cause(ctx))
	}
	if err := ends(t, "the stream", ctx, 2*time.Second); !errors.Is(err, tenure.ErrStale) {
		t.Errorf("ended by %v", err)
	}
	if err := os.Rename(w.path+".gone", w.path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * store.FeedPoll)
	if err := w.Fresh(); err != nil {
		t.Errorf("not fresh after the database came back: %v", err)
	}
}

// A flight ends with its model, also if that was taken away between the look-up
// and Asks.
func TestAsks(t *testing.T) {
	w := newWorld(t, live.Options{MaxStaleness: time.Minute, StreamStaleness: time.Minute})
	var allowed atomic.Value
	allowed.Store("up/gpt-4o")
	w.Allows = func(_ tenure.Principal, provider, model string) bool { return allowed.Load() == provider+"/"+model }
	p := w.principal(t, "alice", time.Time{})
	asked := &live.Model{Provider: "up", Name: "gpt-4o"}
	ctx, f := w.enter(t, p)
	other, g := w.enter(t, p)
	if err := w.Asks(ctx, f, asked); err != nil {
		t.Fatal(err)
	}
	w.Changed(context.Background(), store.Change{Kind: "workspace", ID: "w"})
	if ctx.Err() != nil {
		t.Errorf("ended by %v although nothing is taken away", context.Cause(ctx))
	}
	allowed.Store("up/gpt-4o-mini")
	w.Changed(context.Background(), store.Change{})
	if err := ends(t, "the flight", ctx, time.Second); !errors.Is(err, tenure.ErrRevoked) {
		t.Errorf("ended by %v", err)
	}
	if other.Err() != nil {
		t.Errorf("a flight of which no model is known yet ended by %v", context.Cause(other))
	}
	if err := w.Asks(other, g, asked); !errors.Is(err, live.ErrNoModel) {
		t.Errorf("asked for what was taken away before: %v", err)
	}
}

// The feed may be quicker than the act whose commit it tells of: the act counts
// what ended all the same, and once.
func TestWhatTheFeedEndedFirstIsCounted(t *testing.T) {
	w := newWorld(t, live.Options{MaxStaleness: time.Minute, StreamStaleness: time.Minute})
	w.follow(t)
	ctx, _ := w.enter(t, w.principal(t, "alice", time.Time{}))
	w.dead.Store(tenure.UserID("alice"), true)
	err := w.DB.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error { // an act, before it comes to cut
		return tx.SetPolicy(ctx, tenure.DefaultTenant, "reuse", "alert", "test")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ends(t, "alice", ctx, 2*time.Second); !errors.Is(err, tenure.ErrRevoked) {
		t.Fatalf("ended by %v", err)
	}
	deadline := time.Now().Add(2 * time.Second) // the follower notes it right after
	n := 0
	for n == 0 && time.Now().Before(deadline) {
		n = w.Cut(store.Change{Kind: "user", ID: "alice"}, live.User("alice"), tenure.ErrRevoked)
	}
	if again := w.Cut(store.Change{Kind: "user", ID: "alice"}, live.User("alice"), tenure.ErrRevoked); n != 1 || again != 0 {
		t.Errorf("%d counted, then %d", n, again)
	}
}

func TestEnterAllocates(t *testing.T) {
	w := newWorld(t, live.Options{})
	p := w.principal(t, "alice", time.Time{})
	ctx, asked := context.Background(), &live.Model{Provider: "up", Name: "gpt-4o"}
	n := testing.AllocsPerRun(1000, func() {
		_, f, err := w.Enter(ctx, p, tenure.ChatCompletions, nil)
		if err == nil {
			err = w.Asks(ctx, f, asked)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.Leave(f)
	})
	if n > 6 {
		t.Errorf("entering, asking and leaving allocates %v times", n)
	}
}

func BenchmarkCutAmong10000(b *testing.B) {
	w := &world{Live: &live.Live{
		Check:  func(tenure.Principal, tenure.Action) error { return nil },
		Forget: func(store.Change) {}, Options: live.Options{Now: time.Now},
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
	}}
	w.Metrics = live.NewMetrics(prometheus.NewRegistry(), w.Live)
	s := &tenure.Standing{Kind: tenure.PAT, Tenant: "default", TenantActive: true, User: "bob", UserActive: true, Workspace: "w", WorkspaceRole: tenure.Member}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		b.Fatal(err)
	}
	for range 10_000 {
		if _, _, err := w.Enter(context.Background(), p, tenure.ChatCompletions, nil); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		w.Cut(store.Change{}, live.User("alice"), tenure.ErrRevoked)
	}
}

func TestChangedEndsAFlightThatIsOutsideOfItsNetworks(t *testing.T) {
	w := newWorld(t, live.Options{})
	var networks atomic.Pointer[[]netip.Prefix]
	w.Recheck = func(_ context.Context, p tenure.Principal) (tenure.Principal, error) {
		s := *p.Standing()
		s.Networks = *networks.Load()
		return s.Admit(time.Now(), w.Generation())
	}
	bind := func(cidrs ...string) {
		to, err := tenure.ParseNetworks(cidrs)
		if err != nil {
			t.Fatal(err)
		}
		networks.Store(&to)
	}
	bind()
	p := w.principal(t, "alice", time.Time{})
	from := func(address string) context.Context {
		ctx, f, err := w.Enter(tenure.WithOrigin(t.Context(), &tenure.Origin{Address: address}), p, tenure.ChatCompletions, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Leave(f) })
		return ctx
	}
	office, home, nowhere := from("192.0.2.7"), from("198.51.100.7"), from("")
	change := store.Change{Kind: "token", ID: "t-alice"}
	if n := w.Changed(t.Context(), change); n != 0 {
		t.Fatalf("bound to nothing: %d cut", n)
	}
	bind("192.0.2.0/24", "2001:db8::/32")
	if n := w.Changed(t.Context(), change); n != 2 || office.Err() != nil {
		t.Errorf("%d cut; the one that stays ended by %v", n, live.Cause(office))
	}
	if live.Cause(home) != tenure.ErrRevoked || live.Cause(nowhere) != tenure.ErrRevoked {
		t.Errorf("ended by %v and %v", live.Cause(home), live.Cause(nowhere))
	}
	// One that enters on a standing of before is looked at again, too.
	_, _, err := w.Enter(tenure.WithOrigin(t.Context(), &tenure.Origin{Address: "198.51.100.7"}), p, tenure.ChatCompletions, nil)
	if e := tenure.AsError(err); e.Kind != tenure.Forbidden || e.Code != "address_not_allowed" {
		t.Errorf("entered from elsewhere: %v", err)
	}
}

// A flight that only an exception lets go to its provider ends with that, by the clock or
// by any news of the provider, and no other flight does; not knowing ends nobody.
func TestTheExceptionOfAProviderEndsItsFlights(t *testing.T) {
	var now atomic.Int64
	start := time.Now()
	w := newWorld(t, live.Options{Now: func() time.Time { return start.Add(time.Duration(now.Load())) }, MaxStaleness: time.Hour, StreamStaleness: time.Hour})
	w.Allows = func(tenure.Principal, string, string) bool { return true }
	var until atomic.Pointer[time.Time]
	var fault atomic.Pointer[tenure.Error]
	var read atomic.Int32
	w.Excepted = func(_ context.Context, _ tenure.TenantID, id tenure.ProviderID) (time.Time, error) {
		if id == "many" {
			read.Add(1)
			return start.Add(time.Hour), nil
		}
		if err := fault.Load(); err != nil {
			return time.Time{}, err
		}
		return *until.Load(), nil
	}
	first, later := start.Add(time.Minute), start.Add(time.Hour)
	until.Store(&first)
	w.follow(t)
	asks := func(m live.Model) context.Context {
		ctx, f := w.enter(t, w.principal(t, "alice", time.Time{}))
		if err := w.Asks(t.Context(), f, &m); err != nil {
			t.Fatal(err)
		}
		return ctx
	}
	free, other := asks(live.Model{Provider: "public"}), asks(live.Model{Provider: "other", Excepted: "p2", Until: later})
	lent := asks(live.Model{Provider: "lab", Excepted: "p1", Until: first})
	provider := store.Change{Kind: "provider", ID: "p1"}

	until.Store(&later) // a renewal: the end is another
	if n := w.Changed(t.Context(), provider); n != 0 || lent.Err() != nil {
		t.Fatalf("%d ended: %v", n, context.Cause(lent))
	}
	fault.Store(tenure.ErrStale)
	w.Changed(t.Context(), provider)
	now.Store(int64(2 * time.Minute))
	again := asks(live.Model{Provider: "lab", Excepted: "p1", Until: start.Add(3 * time.Minute)}) // that nobody has moved
	now.Store(int64(4 * time.Minute))
	if err := ends(t, "the clock", again, 5*time.Second); !errors.Is(err, tenure.ErrProviderEnded) {
		t.Errorf("the clock ended it with %v", err)
	}
	if lent.Err() != nil {
		t.Fatalf("ended though it goes on for longer, or nothing can be known: %v", context.Cause(lent))
	}
	fault.Store(tenure.ErrProviderEnded)
	if n := w.Changed(t.Context(), provider); n != 1 || !errors.Is(context.Cause(lent), tenure.ErrProviderEnded) {
		t.Errorf("%d ended: %v", n, context.Cause(lent))
	}
	if free.Err() != nil || other.Err() != nil {
		t.Errorf("others ended: %v, %v", context.Cause(free), context.Cause(other))
	}
	// Who asks when it has ended already, and did not know: something changed since.
	_, f := w.enter(t, w.principal(t, "bob", time.Time{}))
	w.Changed(t.Context(), store.Change{Kind: "exception", ID: "elsewhere"})
	if err := w.Asks(t.Context(), f, &live.Model{Provider: "lab", Excepted: "p1", Until: later}); !errors.Is(err, tenure.ErrProviderEnded) {
		t.Errorf("asked by an exception that has ended: %v", err)
	}
	// Those who stream from one provider are looked at together: it is read once.
	for range 20 {
		asks(live.Model{Provider: "lab", Excepted: "many", Until: later})
	}
	read.Store(0)
	w.Changed(t.Context(), store.Change{Kind: "provider", ID: "many"})
	if n := read.Load(); n != 1 {
		t.Errorf("the provider was read %d times for all of its streams", n)
	}
}

// What would never end by itself is told first that the process ends; streams have the grace.
func TestDismissEndsWhatWouldNotEnd(t *testing.T) {
	w := newWorld(t, live.Options{})
	p := w.principal(t, "alice", time.Time{})
	enter := func(a tenure.Action) context.Context {
		ctx, f, err := w.Enter(t.Context(), p, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Leave(f) })
		return ctx
	}
	page, socket, stream := enter(tenure.ViewPages), enter(tenure.ConnectBeliefs), enter(tenure.ChatCompletions)
	w.Dismiss(tenure.ErrShutdown)
	if live.Cause(page) != tenure.ErrShutdown || live.Cause(socket) != tenure.ErrShutdown || stream.Err() != nil {
		t.Errorf("the page ended by %v, the socket by %v, the stream by %v", live.Cause(page), live.Cause(socket), live.Cause(stream))
	}
	if w.Open() != 2 {
		t.Errorf("%d streams are counted", w.Open())
	}
}
