package live_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
)

// forgetful is a Live on a PostgreSQL database that a hand makes forget.
type forgetful struct {
	*world
	t     *testing.T
	url   string
	told  chan []store.Change // what was to be ended again
	fail  atomic.Bool         // the next time fails
	late  atomic.Bool         // ends may be written while others are admitted
	back  atomic.Int64        // how often it was told that the database went back
	again atomic.Int64        // how many ends it had forgotten
}

func newForgetful(t *testing.T, url, seen string) *forgetful {
	t.Helper()
	ctx := tenure.Everywhere(t.Context())
	db, err := store.OpenPostgres(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f := &forgetful{t: t, url: url, told: make(chan []store.Change, 100)}
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Options: live.Options{Now: time.Now, MaxStaleness: time.Minute, StreamStaleness: time.Minute, Seen: seen},
		Forget: func(store.Change) {},
		Check:  func(tenure.Principal, tenure.Action) error { return nil },
		Recheck: func(context.Context, tenure.Principal) (tenure.Principal, error) {
			return tenure.Principal{}, errors.New("nobody is here")
		},
	}
	l.TellBack = func(_ context.Context, _, again int) error {
		f.back.Add(1)
		f.again.Add(int64(again))
		return nil
	}
	l.EndAgain = func(ctx context.Context, ends []store.Change) (n int, err error) {
		if l.Fresh() == nil && !f.late.Load() {
			t.Error("somebody could be admitted before the ends were written again")
		}
		if f.fail.Swap(false) {
			return 0, tenure.ErrStale
		}
		err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			n = 0
			for _, c := range ends {
				ended, err := tx.EndAgain(ctx, c)
				if err != nil {
					return err
				}
				if ended {
					n++
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		f.told <- ends
		return n, nil
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	f.world = &world{Live: l}
	return f
}

// do runs statements by hand.
func (f *forgetful) do(statements ...string) {
	f.t.Helper()
	hand, err := pgx.Connect(f.t.Context(), f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = hand.Close(context.Background()) }()
	for _, s := range statements {
		if _, err := hand.Exec(f.t.Context(), s); err != nil {
			f.t.Fatalf("%s: %v", s, err)
		}
	}
}

// settled waits until everything that was done before is heard: until there is news of what
// was done last, and then no more for a while. Many changes are heard in several parts.
func (f *forgetful) settled() {
	f.t.Helper()
	generation := f.Generation()
	f.do(`UPDATE tenants SET active = active WHERE id = 'default'`)
	for f.Generation() == generation {
		time.Sleep(time.Millisecond)
	}
	for generation = 0; f.Generation() != generation; time.Sleep(500 * time.Millisecond) {
		generation = f.Generation()
	}
}

// people makes people, by ids.
func (f *forgetful) people(ids string) {
	f.t.Helper()
	f.do(`INSERT INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at)
		SELECT n, 'default', n, n, 'scim', now(), now() FROM (` + ids + `) AS p(n)`)
}

// unheard makes the database forget without a trace in the feed.
func (f *forgetful) unheard(statements ...string) {
	f.t.Helper()
	f.do(append([]string{`SET session_replication_role = replica`}, statements...)...)
}

// endedAgain waits until what is remembered was to be ended again.
func (f *forgetful) endedAgain() []store.Change {
	f.t.Helper()
	var all []store.Change
	for wait := 10 * time.Second; ; wait = 2 * time.Second {
		select {
		case ends := <-f.told:
			all = append(all, ends...)
		case <-time.After(wait):
			if all == nil {
				f.t.Fatal("nothing was ended again")
			}
			return all
		}
	}
}

func remembers(ends []store.Change, kind, id string) bool {
	return slices.ContainsFunc(ends, func(c store.Change) bool { return c.Kind == kind && c.ID == id && c.Ended })
}

// What a process has seen to end is ended again in a database that has forgotten
// it, and nobody is admitted before that; what lived again since is left alone.
func TestWhatTheDatabaseForgotEndsAgain(t *testing.T) {
	f := newForgetful(t, postgrestest.URL(t), "")
	f.follow(t)
	f.people(`VALUES ('gone'), ('back')`)
	f.do(`UPDATE users SET active = FALSE`, `UPDATE users SET active = TRUE WHERE id = 'back'`)
	f.settled()
	f.fail.Store(true)
	f.do(`DELETE FROM changes WHERE seq > (SELECT MIN(seq) FROM changes)`)
	if ends := f.endedAgain(); !remembers(ends, "user", "gone") || remembers(ends, "user", "back") {
		t.Errorf("ended again: %+v", ends)
	}
	for deadline := time.Now().Add(5 * time.Second); f.Fresh() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody is admitted after all was written")
		}
	}
	if f.back.Load() != 1 {
		t.Errorf("the alarm was raised %d times", f.back.Load())
	}
}

// More ends than are told singly are remembered all the same, and so are those of a
// time in which nobody followed for longer than the table of changes remembers.
func TestEndsThatWereNotToldSinglyAreRemembered(t *testing.T) {
	url, seen := postgrestest.URL(t), filepath.Join(t.TempDir(), "seen.json")
	const many = 25_000
	stopped := func() {
		f := newForgetful(t, url, seen)
		ctx, stop := context.WithCancel(tenure.Everywhere(context.Background()))
		ready, done := make(chan struct{}), make(chan error)
		go func() { done <- f.Follow(ctx, func() { close(ready) }) }()
		<-ready
		f.people(fmt.Sprintf(`SELECT 'n' || i FROM generate_series(1, %d) i`, many) + ` UNION ALL VALUES ('away'), ('home')`)
		f.do(`UPDATE users SET active = FALSE WHERE id LIKE 'n%'`)
		f.settled()
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	stopped()
	f := newForgetful(t, url, seen)
	f.do(`UPDATE users SET active = FALSE WHERE id IN ('away', 'home')`, `UPDATE users SET active = TRUE WHERE id = 'home'`,
		`DELETE FROM changes`, `UPDATE tenants SET active = active`)
	f.follow(t)
	f.settled()
	f.unheard(`UPDATE users SET active = TRUE WHERE id IN ('away', 'n1')`, fmt.Sprintf(`UPDATE users SET active = TRUE WHERE id = 'n%d'`, many), `DELETE FROM changes`)
	ends := f.endedAgain()
	for i := range many {
		if id := fmt.Sprintf("n%d", i+1); i%1000 == 0 && !remembers(ends, "user", id) {
			t.Errorf("%s, of very many, is not remembered", id)
		}
	}
	if !remembers(ends, "user", "away") || remembers(ends, "user", "home") {
		t.Error("what ended while nobody followed is not remembered, or what lived again is")
	}
	if f.again.Load() != 3 {
		t.Errorf("%d had come back, want 3", f.again.Load())
	}
}

// A server that takes over may lack a commit whose change has a low number, and have
// all that have higher ones: what ended is looked at whenever the server is another,
// without a word when nothing had come back.
func TestAServerThatLacksALowNumber(t *testing.T) {
	server := postgrestest.Server(t)
	f := newForgetful(t, server.Database(t), "")
	f.follow(t)
	f.people(`VALUES ('low')`)
	f.do(`UPDATE users SET active = FALSE WHERE id = 'low'`)
	f.settled()
	restart := func() {
		t.Helper()
		if err := server.Stop(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	if ends := f.endedAgain(); !remembers(ends, "user", "low") {
		t.Errorf("ended again: %+v", ends)
	}
	if f.back.Load() != 0 {
		t.Error("an alarm about nothing")
	}
	f.settled()
	f.unheard(`UPDATE users SET active = TRUE WHERE id = 'low'`, `DELETE FROM changes WHERE id = 'low'`)
	restart()
	f.endedAgain()
	if f.back.Load() != 1 || f.again.Load() != 1 {
		t.Errorf("%d alarms, %d had come back", f.back.Load(), f.again.Load())
	}
}

// What the database gives as alive, and was heard to end, is admitted once it is known
// to live again, and never when the database has forgotten.
func TestStandsKnowsWhatEnded(t *testing.T) {
	f := newForgetful(t, postgrestest.URL(t), "")
	f.follow(t)
	f.people(`VALUES ('u'), ('v')`)
	stands := func(id tenure.UserID) error { return f.Stands(t.Context(), &tenure.Standing{User: id}) }
	if err := stands("u"); err != nil {
		t.Errorf("nothing has ended: %v", err)
	}
	f.do(`UPDATE users SET active = FALSE`)
	f.settled()
	f.do(`UPDATE users SET active = TRUE WHERE id = 'u'`)
	if err := stands("u"); err != nil {
		t.Errorf("they live again: %v", err)
	}
	f.unheard(`UPDATE users SET active = TRUE WHERE id = 'v'`)
	if err := stands("v"); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("the database has forgotten: %v", err)
	}
	if ends := f.endedAgain(); !remembers(ends, "user", "v") || f.again.Load() != 1 {
		t.Errorf("ended again: %+v, %d had come back", ends, f.again.Load())
	}
}
