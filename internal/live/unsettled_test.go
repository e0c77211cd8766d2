package live

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A poll tells that something changed of alice, among too much else to be told singly,
// and the database is gone before that is looked up. What is cached is forgotten, and
// her flight goes on no longer than any other.
func TestNewsThatCannotBeSettled(t *testing.T) {
	db, err := store.OpenSQLite(t.Context(), t.TempDir()+"/t.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	forgot := 0
	l := &Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Options: Options{Now: time.Now, MaxStaleness: 5 * time.Second, StreamStaleness: time.Minute},
		Check:  func(tenure.Principal, tenure.Action) error { return nil },
		Forget: func(store.Change) { forgot++ },
		Recheck: func(context.Context, tenure.Principal) (tenure.Principal, error) {
			return tenure.Principal{}, errors.New("gone")
		},
	}
	l.Metrics = NewMetrics(prometheus.NewRegistry(), l)
	feed, err := db.Feed(t.Context(), store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = feed.Close() }()
	if err := l.poll(t.Context(), feed); err != nil {
		t.Fatal(err)
	}
	s := &tenure.Standing{
		Kind: tenure.PAT, Tenant: "default", TenantActive: true, User: "alice", UserActive: true, Token: "t",
		Workspace: "default", WorkspaceRole: tenure.Member, Outage: tenure.Outage{Grace: 5 * time.Minute, Until: time.Now().Add(time.Hour)},
	}
	p, err := s.Admit(time.Now(), l.Generation())
	if err != nil {
		t.Fatal(err)
	}
	_, f, err := l.Enter(t.Context(), p, tenure.ChatCompletions, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMembership(ctx, "default", "w2", "alice", tenure.Member)
	}); err != nil {
		t.Fatal(err)
	}
	away, err := store.OpenSQLite(t.Context(), t.TempDir()+"/u.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = away.Close()
	l.DB, l.memory.unheard = away, true // the feed has a connection of its own
	if err := l.poll(t.Context(), feed); err == nil {
		t.Fatal("it was settled")
	}
	if forgot == 0 || l.Generation() == p.AsOf() {
		t.Error("what was told to have changed is still cached")
	}
	if grace := f.outage.Load().GraceAt(time.Now()); grace != 0 {
		t.Errorf("the flight goes on for %v", grace)
	}
}
