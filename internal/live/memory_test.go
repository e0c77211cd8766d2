package live_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
)

// What a process has seen to end is ended again in a database that has forgotten
// it, and nobody is admitted before that; what lived again since is left alone.
func TestWhatTheDatabaseForgotEndsAgain(t *testing.T) {
	url := postgrestest.URL(t)
	ctx := tenure.Everywhere(t.Context())
	db, err := store.OpenPostgres(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	hand, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hand.Close(context.Background()) }()
	do := func(statement string) {
		t.Helper()
		if _, err := hand.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	told, fail := make(chan []store.Change, 10), make(chan bool, 1)
	fail <- true
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Options: live.Options{Now: time.Now, MaxStaleness: time.Minute, StreamStaleness: time.Minute},
		Forget: func(store.Change) {},
		Check:  func(tenure.Principal, tenure.Action) error { return nil },
		Recheck: func(context.Context, tenure.Principal) (tenure.Principal, error) {
			return tenure.Principal{}, errors.New("nobody is here")
		},
	}
	l.EndAgain = func(_ context.Context, ends []store.Change) error {
		if len(fail) > 0 && <-fail {
			if l.Fresh() == nil {
				t.Error("somebody could be admitted before the ends were written again")
			}
			return tenure.ErrStale
		}
		told <- ends
		return nil
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	w := &world{Live: l}
	w.follow(t)

	do(`INSERT INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at) SELECT n, 'default', n, n, 'scim', now(), now() FROM unnest(ARRAY['gone', 'back']) n`)
	do(`UPDATE users SET active = FALSE`)
	do(`UPDATE users SET active = TRUE WHERE id = 'back'`)
	generation := l.Generation()
	do(`UPDATE tenants SET name = 'x' WHERE id = 'default'`) // its news means that all before it was heard
	for l.Generation() == generation {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	do(`DELETE FROM changes WHERE seq > (SELECT MIN(seq) FROM changes)`)
	select {
	case ends := <-told:
		is := func(id string) func(store.Change) bool {
			return func(c store.Change) bool { return c.Kind == "user" && c.ID == id && c.Ended }
		}
		if !slices.ContainsFunc(ends, is("gone")) || slices.ContainsFunc(ends, is("back")) {
			t.Errorf("ended again: %+v", ends)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the database went back, and nothing was ended again")
	}
	for deadline := time.Now().Add(5 * time.Second); l.Fresh() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody is admitted after all was written")
		}
	}
}
