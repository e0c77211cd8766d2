package live_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
)

// One row that the database does not let end again costs nobody else their end, and
// whose it is stays refused: here, after a restart, and until the database takes it.
func TestAnEndThatIsNotTaken(t *testing.T) {
	url, seen := postgrestest.URL(t), filepath.Join(t.TempDir(), "seen.json")
	f := newForgetful(t, url, seen)
	ctx, stop := context.WithCancel(tenure.Everywhere(context.Background()))
	ready, done := make(chan struct{}), make(chan error)
	go func() { done <- f.Follow(ctx, func() { close(ready) }) }()
	<-ready
	f.people(`VALUES ('a'), ('b'), ('c'), ('later')`)
	f.do(`UPDATE users SET active = FALSE`)
	f.settled()
	f.unheard(
		`CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$`,
		`CREATE TRIGGER never BEFORE UPDATE ON users FOR EACH ROW WHEN (NEW.id = 'b' AND NOT NEW.active) EXECUTE FUNCTION never()`,
		`UPDATE users SET active = TRUE, updated_at = now() + CASE id WHEN 'later' THEN interval '1 hour' ELSE '-1 hour' END`,
		`DELETE FROM changes WHERE seq > (SELECT MIN(seq) FROM changes)`)
	fresh := func(f *forgetful) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); f.Fresh() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("everybody is kept out")
			}
		}
	}
	for deadline := time.Now().Add(10 * time.Second); f.again.Load() == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	fresh(f)
	if f.again.Load() != 2 {
		t.Errorf("%d ended again, want a and c", f.again.Load())
	}
	if err := f.Stands(t.Context(), &tenure.Standing{User: "later"}); err != nil {
		t.Errorf("who was changed since: %v", err)
	}
	refused := func(f *forgetful) {
		t.Helper()
		if err := f.Stands(t.Context(), &tenure.Standing{User: "b"}); !tenure.IsKind(err, tenure.Unauthenticated) {
			t.Errorf("whose end was not taken: %v", err)
		}
		if err := f.Fresh(); err != nil {
			t.Errorf("they keep everybody else out: %v", err)
		}
	}
	refused(f)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	f = newForgetful(t, url, seen)
	f.late.Store(true)
	var ahead atomic.Int64
	f.Options.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	f.follow(t)
	f.settled()
	refused(f)
	f.do(`DROP TRIGGER never ON users`)
	ahead.Store(int64(2 * time.Minute))
	if ends := f.endedAgain(); !remembers(ends, "user", "b") {
		t.Errorf("tried again: %+v", ends)
	}
	if b, err := f.DB.User(tenure.Everywhere(t.Context()), "default", "b"); err != nil || b.Active {
		t.Errorf("active %t, %v", b.Active, err)
	}
}

// Where there is no room to end anything again, nobody is admitted until there is.
func TestNoRoomToEndAgain(t *testing.T) {
	f := newForgetful(t, postgrestest.URL(t), "")
	write := f.EndAgain
	var tried atomic.Int64
	var room atomic.Bool
	f.EndAgain = func(ctx context.Context, ends []store.Change) (int, error) {
		if tried.Add(1); !room.Load() {
			return 0, &tenure.Error{Kind: tenure.InsufficientSpace, Msg: "full"}
		}
		return write(ctx, ends)
	}
	f.follow(t)
	f.people(`VALUES ('gone')`)
	f.do(`UPDATE users SET active = FALSE`)
	f.settled()
	f.unheard(`UPDATE users SET active = TRUE`, `DELETE FROM changes WHERE seq > (SELECT MIN(seq) FROM changes)`)
	for deadline := time.Now().Add(10 * time.Second); tried.Load() < 3 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if f.Fresh() == nil || !f.Remembers(&tenure.Standing{User: "gone"}) {
		t.Error("somebody is admitted, or the end is forgotten")
	}
	room.Store(true)
	if ends := f.endedAgain(); !remembers(ends, "user", "gone") || f.again.Load() != 1 {
		t.Errorf("ended again: %+v", ends)
	}
}

// A disk that hangs while it is kept what was seen stops nothing else.
func TestFeedWithADiskThatHangs(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen.json")
	if err := syscall.Mkfifo(seen+".new", 0o600); err != nil { // whoever opens it to write waits
		t.Fatal(err)
	}
	var ahead atomic.Int64
	w := newWorld(t, live.Options{MaxStaleness: time.Minute, StreamStaleness: time.Hour, Seen: seen, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	w.follow(t)
	t.Cleanup(func() { // before the follower is to end
		pipe, err := syscall.Open(seen+".new", syscall.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(pipe), seen) // closed with the test
		_ = os.Remove(seen + ".new")
		go func() { _, _ = io.Copy(io.Discard, file) }()
	})
	if err := change(w, "user", "somebody"); err != nil {
		t.Fatal(err)
	}
	alice, _ := w.enter(t, w.principal(t, "alice", time.Time{}))
	time.Sleep(4 * store.FeedPoll)
	ahead.Store(int64(2 * time.Minute)) // it is time to keep
	time.Sleep(4 * store.FeedPoll)
	w.dead.Store(tenure.UserID("alice"), true)
	if err := change(w, "user", "alice"); err != nil {
		t.Fatal(err)
	}
	_ = ends(t, "alice", alice, 5*time.Second)
}
