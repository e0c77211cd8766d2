package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// openPostgres opens a fresh database on a real server, as the role that serves;
// the hand is psql.
func openPostgres(t *testing.T) (*store.DB, func(string)) {
	t.Helper()
	serve, super := storetest.Postgres(t)
	return opened(t, serve), func(statement string) {
		t.Helper()
		out, err := exec.Command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-c", statement, super).CombinedOutput()
		if err != nil {
			t.Fatalf("psql: %v\n%s", err, out)
		}
	}
}

func TestPostgres(t *testing.T) { storetest.Run(t, openPostgres) }

func opened(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.OpenPostgres(tenure.Everywhere(t.Context()), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// follow opens the feed at its present end.
func follow(t *testing.T, db *store.DB) *store.Feed {
	t.Helper()
	feed, err := db.Feed(t.Context(), store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = feed.Close() })
	return feed
}

// shell is one connection beside Tenure's.
type shell struct {
	*pgx.Conn
	t *testing.T
}

func newShell(t *testing.T, url string) shell {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return shell{conn, t}
}

func (s shell) do(statement string, args ...any) {
	s.t.Helper()
	if _, err := s.Exec(s.t.Context(), statement, args...); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// change makes a change of a policy of the tenant.
func (s shell) change(tenant string) {
	s.t.Helper()
	s.do(`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ($1, $2, 'x', now())`, tenant, tenure.NewID(time.Now()))
}

func ids(t *testing.T, feed *store.Feed) []string {
	t.Helper()
	news, err := feed.Poll(t.Context())
	if err != nil || news.Lost || news.Back {
		t.Fatalf("%+v, %v", news, err)
	}
	out := []string{}
	for _, c := range news.Changes {
		out = append(out, c.ID)
	}
	return out
}

// Changes are numbered when they are made, and seen when they are committed: what
// is committed late, under a low number, is told all the same, and nothing twice.
func TestFeedTellsWhatCommitsOutOfOrder(t *testing.T) {
	url := postgrestest.URL(t)
	db := opened(t, url)
	feed := follow(t, db)
	old, slow, quick := newShell(t, url), newShell(t, url), newShell(t, url)
	old.do(`BEGIN`)
	old.change("oldest")
	slow.do(`BEGIN`)
	slow.change("slow")
	quick.change("quick")
	want := func(want ...string) {
		t.Helper()
		if got := ids(t, feed); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("told %v, want %v", got, want)
		}
	}
	want("quick")
	want()
	slow.do(`COMMIT`)
	quick.change("after")
	want("slow", "after")
	want()
	for range 20 {
		quick.change("more")
	}
	if got := ids(t, feed); len(got) != 20 {
		t.Errorf("told %v", got)
	}
	old.do(`SAVEPOINT s`)
	old.change("inner")
	old.do(`RELEASE s`)
	old.do(`COMMIT`)
	want("oldest", "inner")
	slow.do(`BEGIN`)
	slow.change("undone")
	slow.do(`ROLLBACK`)
	want()
}

// Whatever the order in which many commit at once, each change is told once.
func TestFeedTellsEachChangeOnceUnderLoad(t *testing.T) {
	url := postgrestest.URL(t)
	db := opened(t, url)
	feed := follow(t, db)
	const writers, each = 8, 60
	var made atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		conn := newShell(t, url)
		wg.Go(func() {
			for i := range each {
				_, err := conn.Exec(context.Background(), `BEGIN; INSERT INTO policies (tenant_id, key, value, updated_at)
					VALUES ('`+fmt.Sprintf("%d-%d", w, i)+`', 'k', 'x', now()); SELECT pg_sleep(random() * 0.01); COMMIT`)
				if err != nil {
					t.Error(err)
				}
				made.Add(1)
			}
		})
	}
	told := map[string]int{}
	for done := false; !done; {
		done = made.Load() == writers*each
		for _, id := range ids(t, feed) {
			told[id]++
		}
	}
	wg.Wait()
	for id, n := range told {
		if n != 1 {
			t.Errorf("%s told %d times", id, n)
		}
	}
	if len(told) != writers*each {
		t.Errorf("%d changes told, of %d", len(told), writers*each)
	}
}

// What two acts read and write happens one after the other.
func TestWritesAreOrdered(t *testing.T) {
	url := postgrestest.URL(t)
	a, b := opened(t, url), opened(t, url)
	ctx := tenure.Everywhere(t.Context())
	var wg sync.WaitGroup
	for _, db := range []*store.DB{a, b, a, b} {
		wg.Go(func() {
			for range 10 {
				err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
					n, _, err := tx.MetaNumber(ctx, "test.counter")
					if err != nil {
						return err
					}
					return tx.SetMeta(ctx, "test.counter", fmt.Sprint(n+1))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, _, err := a.MetaNumber(ctx, "test.counter"); n != 40 || err != nil {
		t.Errorf("%d after 40 additions, %v", n, err)
	}
}

// Of two super admins who end each other's role at once, one stays.
func TestTheLastSuperAdminStays(t *testing.T) {
	url := postgrestest.URL(t)
	a, b := opened(t, url), opened(t, url)
	ctx := tenure.Everywhere(t.Context())
	newShell(t, url).do(`INSERT INTO users (id, tenant_id, user_name, user_name_fold, role, source, created_at, updated_at)
		SELECT n, 'default', n, n, 'super_admin', 'scim', now(), now() FROM unnest(ARRAY['a', 'b']) n`)
	var counted, wg sync.WaitGroup
	counted.Add(2)
	for who, db := range map[tenure.UserID]*store.DB{"a": a, "b": b} {
		wg.Go(func() {
			first := true
			err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				if _, err := tx.User(ctx, tenure.DefaultTenant, who); err != nil { // from here on it sees what is there now
					return err
				}
				if first {
					first = false
					counted.Done()
					counted.Wait()
				}
				if n, err := tx.CountSupers(ctx, tenure.DefaultTenant); err != nil || n < 2 {
					return err
				}
				return tx.SetRole(ctx, tenure.DefaultTenant, who, tenure.Member)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var n int
	err := a.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		n, err = tx.CountSupers(ctx, tenure.DefaultTenant)
		return err
	})
	if n != 1 || err != nil {
		t.Errorf("%d super admins are left, %v", n, err)
	}
}

// Of two acts that look at what there is before they make something, one finds what the
// other has made: a workspace of the same name in other letters, the root token.
func TestWhatIsMadeOnceIsMadeOnce(t *testing.T) {
	url := postgrestest.URL(t)
	a, b := opened(t, url), opened(t, url)
	ctx := tenure.Everywhere(t.Context())
	atOnce := func(there func(context.Context, *store.Tx) (int, error), put func(context.Context, *store.Tx, int) error) (made int) {
		var looked, wg sync.WaitGroup
		var done atomic.Int64
		looked.Add(2)
		for i, db := range []*store.DB{a, b} {
			wg.Go(func() {
				first := true
				err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
					n, err := there(ctx, tx)
					if first {
						first = false
						looked.Done()
						looked.Wait()
					}
					if err != nil || n > 0 {
						return cmp.Or(err, errTaken)
					}
					return put(ctx, tx, i)
				})
				if err == nil {
					done.Add(1)
				} else if !errors.Is(err, errTaken) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		return int(done.Load())
	}
	named := func(ctx context.Context, tx *store.Tx) (n int, err error) {
		names, err := tx.WorkspaceNames(ctx, tenure.DefaultTenant)
		for _, name := range names {
			if strings.EqualFold(name, "Team") {
				n++
			}
		}
		return n, err
	}
	if n := atOnce(named, func(ctx context.Context, tx *store.Tx, i int) error {
		return tx.InsertWorkspace(ctx, tenure.Workspace{ID: tenure.WorkspaceID(fmt.Sprint(i)), Tenant: tenure.DefaultTenant, Name: []string{"Team", "TEAM"}[i], CreatedAt: tx.Now()})
	}); n != 1 {
		t.Errorf("%d workspaces of one name", n)
	}
	if n := atOnce(func(ctx context.Context, tx *store.Tx) (int, error) {
		rows, err := tx.Tokens(ctx, store.TokenFilter{Tenant: tenure.DefaultTenant, Kind: tenure.KindRoot, Limit: 1})
		return len(rows), err
	}, func(ctx context.Context, tx *store.Tx, i int) error {
		if err := tx.AloneByRoot(ctx); err != nil {
			return err
		}
		return tx.InsertToken(ctx, tenure.Token{ID: tenure.TokenID(fmt.Sprint(i)), Tenant: tenure.DefaultTenant, Name: "root", Kind: tenure.KindRoot, CreatedAt: tx.Now()}, tenure.DigestOf(fmt.Sprint(i)))
	}); n != 1 {
		t.Errorf("%d root tokens", n)
	}
}

var errTaken = errors.New("it is there")

// Replicas that start at once on an empty database migrate it once.
func TestManyStartAtOnce(t *testing.T) {
	url := postgrestest.URL(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			db, err := store.OpenPostgres(tenure.Everywhere(t.Context()), url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			_ = db.Close()
		})
	}
	wg.Wait()
}

// A database that is put back to an earlier state is noticed by whoever has seen a
// later one, and so is another server under the same name.
func TestFeedNoticesADatabaseThatWentBack(t *testing.T) {
	url := postgrestest.URL(t)
	db := opened(t, url)
	hand := newShell(t, url)
	hand.change("kept")
	feed := follow(t, db)
	hand.change("forgotten")
	if got := ids(t, feed); len(got) != 1 {
		t.Fatalf("told %v", got)
	}
	// What a standby without the last commit would show.
	hand.do(`DELETE FROM changes WHERE id = 'forgotten'`)
	news, err := feed.Poll(t.Context())
	if err != nil || !news.Lost || !news.Back {
		t.Errorf("a database that went back: %+v, %v", news, err)
	}
	if news, err := feed.Poll(t.Context()); err != nil || news.Lost || news.Back {
		t.Errorf("and after that: %+v, %v", news, err)
	}
	// Trimming is not going back.
	hand.change("old")
	if got := ids(t, feed); len(got) != 1 {
		t.Fatalf("told %v", got)
	}
	for range 3 {
		hand.change("new")
	}
	hand.do(`DELETE FROM changes WHERE seq < (SELECT MAX(seq) FROM changes)`)
	if news, err := feed.Poll(t.Context()); err != nil || !news.Lost || news.Back {
		t.Errorf("a table that was trimmed: %+v, %v", news, err)
	}
}

// A start finds by what an earlier run has seen that the database went back.
func TestMarkTellsAnEarlierState(t *testing.T) {
	url := postgrestest.URL(t)
	earlierState(t, opened(t, url), newShell(t, url).change, func() { newShell(t, url).do(`DELETE FROM changes WHERE seq = (SELECT MAX(seq) FROM changes)`) })
}

// earlierState opens the feed after change, and again after undo.
func earlierState(t *testing.T, db *store.DB, change func(string), undo func()) {
	t.Helper()
	look := func(from store.Mark) (store.Mark, store.News) {
		t.Helper()
		feed, err := db.Feed(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = feed.Close() }()
		news, err := feed.Poll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := feed.Poll(t.Context()); err != nil || again.Lost || again.Back {
			t.Errorf("the second poll: %+v, %v", again, err)
		}
		return feed.Mark(), news
	}
	change("a")
	change("b")
	mark, news := look(store.Mark{})
	if news.Lost || news.Back || mark.Seq == 0 || mark.Install == "" {
		t.Errorf("seen nothing before: %+v, %+v", mark, news)
	}
	if _, news := look(mark); news.Lost || news.Back {
		t.Errorf("nothing has happened: %+v", news)
	}
	undo()
	if _, news := look(mark); !news.Lost || !news.Back {
		t.Errorf("it went back: %+v", news)
	}
	mark.Install = "another"
	if _, news := look(mark); news.Lost || news.Back {
		t.Errorf("another installation: %+v", news)
	}
}

// The newest change stays, however old it is.
func TestTrimmingKeepsTheNewestChange(t *testing.T) {
	url := postgrestest.URL(t)
	db := opened(t, url)
	hand := newShell(t, url)
	hand.change("a")
	hand.change("b")
	feed := follow(t, db)
	horizon, err := db.Horizon(tenure.Everywhere(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error { return tx.TrimChanges(ctx, -time.Hour, horizon) }); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, feed); len(got) != 0 {
		t.Errorf("told %v", got)
	}
}

// What was made long ago and is committed now is not trimmed before it is seen.
func TestTrimmingLeavesWhatWasNotVisible(t *testing.T) {
	url := postgrestest.URL(t)
	db := opened(t, url)
	slow, hand := newShell(t, url), newShell(t, url)
	slow.do(`BEGIN`)
	slow.change("slow")
	hand.change("quick")
	feed := follow(t, db)
	horizon, err := db.Horizon(tenure.Everywhere(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	slow.do(`COMMIT`)
	hand.change("newest")
	if err := db.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error {
		return tx.TrimChanges(ctx, -time.Hour, horizon)
	}); err != nil {
		t.Fatal(err)
	}
	news, err := feed.Poll(t.Context())
	told := func(id string) bool {
		return slices.ContainsFunc(news.Changes, func(c store.Change) bool { return c.ID == id })
	}
	if err != nil || !news.Lost && !told("slow") {
		t.Errorf("%+v, %v", news, err)
	}
}

// The bell rings for whatever commits, by whichever hand.
func TestBellRings(t *testing.T) {
	url := postgrestest.URL(t)
	db := opened(t, url)
	feed := follow(t, db)
	hand := newShell(t, url)
	for range 50 { // the listener may not listen yet
		hand.change("x")
		select {
		case <-feed.Bell:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Error("it never rang")
}

func TestWhatIsNotPostgreSQL(t *testing.T) {
	_, err := store.OpenPostgres(t.Context(), "postgres://nobody@127.0.0.1:1/none?sslmode=disable", nil)
	if !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
	_, err = store.OpenPostgres(t.Context(), "postgres://%zz", nil)
	var own *tenure.Error
	if err == nil || errors.As(err, &own) {
		t.Errorf("no URL: %v", err)
	}
}
