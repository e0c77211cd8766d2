package live_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// outage is a world whose clock is the test's, and whose database can be taken away.
type outage struct {
	*world
	t     *testing.T
	ahead atomic.Int64 // of the real clock
	mu    sync.Mutex
	told  map[string]int // flights that were spared, by the user of each
	// grace is what a look finds, of everybody; less than 0: what they entered with.
	grace atomic.Int64
}

// forever is longer than any outage here.
func forever() time.Time { return time.Now().Add(24 * time.Hour) }

func newOutage(t *testing.T) *outage {
	o := &outage{t: t, told: map[string]int{}}
	o.world = newWorld(t, live.Options{
		MaxStaleness: 5 * time.Second, StreamStaleness: time.Minute,
		Now: func() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())) },
	})
	o.Spared = func(f *live.Flight) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.told[string(f.Principal.User())]++
	}
	o.grace.Store(-1)
	recheck := o.Recheck
	o.Recheck = func(ctx context.Context, p tenure.Principal) (tenure.Principal, error) {
		p, err := recheck(ctx, p)
		if grace := o.grace.Load(); err == nil && grace >= 0 {
			s := *p.Standing()
			s.Outage = tenure.Outage{Grace: time.Duration(grace), Until: forever()}
			return s.Admit(time.Now(), o.Generation())
		}
		return p, err
	}
	o.follow(t)
	return o
}

func (o *outage) spared(user string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.told[user]
}

// of gives a principal whose workspace goes on for so long.
func (o *outage) of(user tenure.UserID, grace time.Duration) tenure.Principal {
	s := *o.principal(o.t, user, time.Time{}).Standing()
	s.Outage = tenure.Outage{Grace: grace, Until: forever()}
	p, err := s.Admit(time.Now(), o.Generation())
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

func (o *outage) down() {
	o.t.Helper()
	if err := os.Rename(o.path, o.path+".gone"); err != nil {
		o.t.Fatal(err)
	}
	time.Sleep(4 * store.FeedPoll) // a poll that was under way may still be answered
}

func (o *outage) up() {
	o.t.Helper()
	if err := os.Rename(o.path+".gone", o.path); err != nil {
		o.t.Fatal(err)
	}
}

// pass lets time go by, and whoever watches it look.
func (o *outage) pass(d time.Duration) {
	o.ahead.Add(int64(d))
	time.Sleep(4 * store.FeedPoll)
}

// By its workspace's choice a stream goes on for longer than others, is told of once,
// and ends when its own time is over.
func TestBestEffortStreams(t *testing.T) {
	o := newOutage(t)
	strict, _ := o.enter(t, o.of("strict", 0))
	short, _ := o.enter(t, o.of("short", 30*time.Second))
	long, _ := o.enter(t, o.of("long", 3*time.Minute))
	o.down()
	for _, d := range []time.Duration{0, 4 * time.Minute} {
		if err := o.FreshFor(d); err != nil {
			t.Errorf("at once, for %v: %v", d, err)
		}
	}
	o.pass(20 * time.Second)
	if o.FreshFor(0) == nil || o.FreshFor(10*time.Second) == nil || o.FreshFor(30*time.Second) != nil {
		t.Error("after 20 s: who may go on is not who chose so")
	}
	byMemory := o.of("memory", 3*time.Minute).ByMemory()
	memory, _ := o.enter(t, byMemory)
	if strict.Err() != nil || short.Err() != nil || o.spared("long") != 0 {
		t.Error("within what everybody has, something ended or was told")
	}
	o.pass(time.Minute)
	for name, ctx := range map[string]context.Context{"strict": strict, "short": short} {
		if err := ends(t, name, ctx, time.Second); !errors.Is(err, tenure.ErrStale) {
			t.Errorf("%s ended by %v", name, err)
		}
	}
	o.pass(time.Minute)
	if long.Err() != nil || memory.Err() != nil || o.spared("long") != 1 || o.spared("strict") != 0 {
		t.Errorf("long ended by %v, memory by %v; told %v", context.Cause(long), context.Cause(memory), o.told)
	}
	if o.spared("memory") != 0 {
		t.Error("whoever was told of when they were admitted is told of again")
	}
	o.up()
	for deadline := time.Now().Add(5 * time.Second); o.Fresh() != nil && time.Now().Before(deadline); {
		time.Sleep(store.FeedPoll)
	}
	o.down()
	o.pass(2 * time.Minute)
	if o.spared("long") != 2 || o.spared("memory") != 1 {
		t.Errorf("another outage: told %v", o.told)
	}
	o.pass(2 * time.Minute)
	for name, ctx := range map[string]context.Context{"long": long, "memory": memory} {
		if err := ends(t, name, ctx, time.Second); !errors.Is(err, tenure.ErrStale) {
			t.Errorf("%s ended by %v", name, err)
		}
	}
}

// A flight of which something changed that could not be looked at goes on no longer
// than any other; what is known again gets its time back.
func TestBestEffortIsLostByDoubt(t *testing.T) {
	for _, known := range []bool{false, true} {
		o := newOutage(t)
		alice, _ := o.enter(t, o.of("alice", 5*time.Minute))
		bob, _ := o.enter(t, o.of("bob", 5*time.Minute))
		o.broken.Store(true)
		if err := change(o.world, "user", "alice"); err != nil {
			t.Fatal(err)
		}
		generation := o.Generation()
		for deadline := time.Now().Add(2 * time.Second); o.Generation() == generation && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(4 * store.FeedPoll)
		if known {
			o.broken.Store(false)
			time.Sleep(6 * store.FeedPoll)
		}
		o.down()
		o.pass(2 * time.Minute)
		if known {
			if alice.Err() != nil || bob.Err() != nil {
				t.Errorf("known again, ended by %v and %v", context.Cause(alice), context.Cause(bob))
			}
		} else if err := ends(t, "alice", alice, time.Second); !errors.Is(err, tenure.ErrStale) {
			t.Errorf("in doubt, ended by %v", err)
		}
	}
}

// A workspace that takes its choice back ends at once what went on by it; what ended
// during the outage is cut by the first news.
func TestBestEffortEndsWithNews(t *testing.T) {
	o := newOutage(t)
	ended, _ := o.enter(t, o.of("ended", 4*time.Minute))
	lowered, f := o.enter(t, o.of("lowered", 4*time.Minute))
	o.down()
	o.pass(2 * time.Minute)
	o.dead.Store(tenure.UserID("ended"), true) // by somebody else
	o.up()
	if err := change(o.world, "user", "ended"); err != nil {
		t.Fatal(err)
	}
	if err := ends(t, "who ended meanwhile", ended, 5*time.Second); !errors.Is(err, tenure.ErrRevoked) {
		t.Errorf("ended by %v", err)
	}
	o.grace.Store(0)
	o.Changed(context.Background(), store.Change{Kind: "workspace", ID: string(f.Principal.Workspace())})
	o.down()
	o.pass(90 * time.Second)
	if err := ends(t, "whose workspace is strict again", lowered, time.Second); !errors.Is(err, tenure.ErrStale) {
		t.Errorf("ended by %v", err)
	}
}

// A poll tells of many people, and the database hangs right then: it is waited for once,
// and not once for each of them, until nobody goes on for longer than others do.
func TestBestEffortOfManyIsLostAtOnce(t *testing.T) {
	o := newOutage(t)
	recheck, hang := o.Recheck, make(chan struct{})
	o.Recheck = func(ctx context.Context, p tenure.Principal) (tenure.Principal, error) {
		select {
		case <-hang:
			<-ctx.Done()
			return tenure.Principal{}, ctx.Err()
		default:
			return recheck(ctx, p)
		}
	}
	all := map[tenure.UserID]context.Context{}
	for i := range 30 {
		user := tenure.UserID(fmt.Sprint("u", i))
		all[user], _ = o.enter(t, o.of(user, 5*time.Minute))
	}
	close(hang)
	generation := o.Generation()
	err := o.DB.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for user := range all {
			if err := tx.SetMembership(ctx, "default", tenure.WorkspaceID("w-"+user), user, tenure.Member); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Second); o.Generation() == generation && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	o.pass(2 * time.Minute)
	limit := time.Now().Add(10 * time.Second) // of 60 one after another
	for user, ctx := range all {
		if err := ends(t, string(user), ctx, time.Until(limit)); !errors.Is(err, tenure.ErrStale) {
			t.Errorf("%s ended by %v", user, err)
		}
	}
}
