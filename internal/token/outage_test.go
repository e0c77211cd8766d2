package token

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// choose lets the workspace "default" go on for so long without the database.
func (f *fixture) choose(t *testing.T, grace time.Duration) {
	t.Helper()
	err := f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		w, err := tx.Workspace(ctx, tenure.DefaultTenant, "default")
		if err != nil {
			return err
		}
		w.OutageGrace, w.Exception = grace, tenure.ExceptionID(tenure.NewID(tx.Now()))
		low := tenure.Risk{Likelihood: "low", Impact: "low"}
		x := tenure.Exception{
			ID: w.Exception, Tenant: w.Tenant, Title: "x", Rule: tenure.RuleBestEffort, Kind: tenure.SubjectWorkspace, Subject: string(w.ID), Before: low, After: low,
			From: tx.Now(), ExpiresAt: tx.Now().Add(time.Hour), RemedyBy: tx.Now(), RequestedAt: tx.Now(), Decider: "x", DecidedAt: tx.Now(),
		}
		if err := tx.InsertException(ctx, x); err != nil {
			return err
		}
		if err := tx.ApproveException(ctx, x); err != nil {
			return err
		}
		if err := tx.UpdateWorkspace(ctx, w); err != nil {
			return err
		}
		return tx.SetPolicy(ctx, tenure.DefaultTenant, "best_effort_max", "5m", "me")
	})
	if err != nil {
		t.Fatal(err)
	}
	// What has been told by now is not told later, when it would be taken for news.
	for generation := f.Live.Generation(); ; generation = f.Live.Generation() {
		time.Sleep(4 * store.FeedPoll)
		if f.Live.Generation() == generation {
			return
		}
	}
}

// remember has tokens in memory, as of now: the feed is followed no more, for late news has
// what was read meanwhile forgotten.
func (f *fixture) remember(t *testing.T, secrets ...string) {
	t.Helper()
	f.unfollow()
	for _, secret := range secrets {
		if p, err := f.ResolveForModels(f.ctx, secret); err != nil || p.BestEffort() {
			t.Fatal(p, err)
		}
		if _, ok := f.Cache.get(tenure.DigestOf(secret)); !ok {
			t.Fatal("it is not in memory")
		}
	}
}

// late waits until what is cached would be asked for again.
func (f *fixture) late() {
	f.unfollow()
	for f.Live.Current() {
		time.Sleep(10 * time.Millisecond)
	}
}

// Without the database and past MaxStaleness, a token that is in memory is admitted for
// what asks models by its workspace's choice, and nobody else is; each use is noted.
func TestBestEffort(t *testing.T) {
	f := newFixture(t)
	f.Outage = &audit.Outage{DB: f.DB, Fresh: f.Live.Fresh, Log: slog.New(slog.DiscardHandler)}
	f.choose(t, 4*time.Minute)
	_, cached := f.mint(t, f.alice)
	_, unknown := f.mint(t, f.alice)
	f.remember(t, cached)
	if f.Cache.Grace(f.DB.Now()) != 4*time.Minute {
		t.Errorf("the cache says %v", f.Cache.Grace(f.DB.Now()))
	}
	f.late()
	ahead := time.Duration(0)
	f.Live.Options.Now = func() time.Time { return time.Now().Add(ahead) }
	if err := f.DB.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err := f.ResolveForModels(f.ctx, cached); err != nil || p.BestEffort() {
		t.Errorf("within MaxStaleness: by memory %t, %v", p.BestEffort(), err)
	}
	ahead = 2 * time.Minute
	p, err := f.ResolveForModels(f.ctx, cached)
	if err != nil || !p.BestEffort() || p.User() != f.alice.User() {
		t.Fatalf("by memory %t, %v", p.BestEffort(), err)
	}
	if _, flight, err := f.Live.Enter(f.ctx, p, tenure.ChatCompletions, nil); err != nil {
		t.Errorf("it does not enter: %v", err)
	} else {
		f.Live.Leave(flight)
	}
	f.Used(tenure.WithOrigin(f.ctx, &tenure.Origin{RequestID: "r"}), p)
	if f.Outage.Uses() != 1 {
		t.Errorf("%d uses noted", f.Outage.Uses())
	}
	refused := func(what string, p tenure.Principal, err error) {
		t.Helper()
		if !tenure.IsKind(err, tenure.Unavailable) || p.Valid() {
			t.Errorf("%s: %v", what, err)
		}
	}
	p, err = f.Resolve(f.ctx, cached)
	refused("for anything else", p, err)
	p, err = f.ResolveForModels(f.ctx, unknown)
	refused("a token that is not in memory", p, err)
	ahead = 5 * time.Minute
	p, err = f.ResolveForModels(f.ctx, cached)
	refused("when its time is over", p, err)
}

// What was seen to end while the feed was late, or to become less, does not come back
// when the database is gone too.
func TestBestEffortForgetsWhatItSawChange(t *testing.T) {
	f := newFixture(t)
	f.choose(t, 4*time.Minute)
	revoked, one := f.mint(t, f.alice)
	narrowed, two := f.mint(t, f.alice)
	_, three := f.mint(t, f.alice)
	f.remember(t, one, two, three)
	f.late()
	err := f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.RevokeToken(ctx, revoked.Tenant, revoked.ID, "me", "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// As if the token had been wider when it was cached.
	f.Cache.mu.Lock()
	wider := *f.Cache.known[tenure.DigestOf(two)]
	wider.Scopes |= tenure.ScopeResponses
	f.Cache.known[tenure.DigestOf(two)] = &wider
	f.Cache.mu.Unlock()
	if _, err := f.ResolveForModels(f.ctx, one); !tenure.IsKind(err, tenure.Unauthenticated) {
		t.Errorf("revoked: %v", err)
	}
	if p, err := f.ResolveForModels(f.ctx, two); err != nil || p.Standing().Scopes != narrowed.Scopes {
		t.Errorf("narrowed: %v", err)
	}
	if _, err := f.ResolveForModels(f.ctx, three); err != nil {
		t.Errorf("as it was: %v", err)
	}
	if err := f.DB.Close(); err != nil {
		t.Fatal(err)
	}
	for _, late := range []time.Duration{0, time.Minute} { // within MaxStaleness, and past it
		f.Live.Options.MaxStaleness = time.Minute
		f.Live.Options.Now = func() time.Time { return time.Now().Add(late) }
		for name, secret := range map[string]string{"revoked": one, "narrowed": two} {
			if _, err := f.ResolveForModels(f.ctx, secret); err == nil {
				t.Errorf("%s: admitted %v later", name, late)
			}
		}
		if _, err := f.ResolveForModels(f.ctx, three); err != nil {
			t.Errorf("as it was, %v later: %v", late, err)
		}
	}
}

// Of two requests with a token that is not in memory, while the feed is late, one reads
// its row before the token ends and goes on after the other was refused: what it read is
// not kept. Nor is any of two rows that differ.
func TestARowFromBeforeARefusalIsNotCached(t *testing.T) {
	f := newFixture(t)
	f.choose(t, 4*time.Minute)
	row, secret := f.mint(t, f.alice)
	f.late()
	digest := tenure.DigestOf(secret)
	seen, generation := f.Cache.seen(digest), f.Live.Generation()
	current := func() bool { return f.Live.Generation() == generation }
	s, err := f.look(f.ctx, digest)
	if err != nil {
		t.Fatal(err)
	}
	narrower := *s
	narrower.Scopes = 0
	f.Cache.put(digest, s, seen, current)
	f.Cache.put(digest, &narrower, seen, current)
	if _, ok := f.Cache.get(digest); ok {
		t.Error("of two rows that differ one is kept")
	}
	seen = f.Cache.seen(digest)
	if err := f.DB.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.RevokeToken(ctx, row.Tenant, row.ID, "me", "")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ResolveForModels(f.ctx, secret); !tenure.IsKind(err, tenure.Unauthenticated) {
		t.Fatal(err)
	}
	f.Cache.put(digest, s, seen, current) // as byDigest goes on
	if err := f.DB.Close(); err != nil {
		t.Fatal(err)
	}
	f.Live.Options.Now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	if p, err := f.ResolveForModels(f.ctx, secret); err == nil {
		t.Errorf("admitted two minutes later, best effort %t", p.BestEffort())
	}
}
