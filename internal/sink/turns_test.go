package sink_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/store"
)

// listed is the first sink of the default tenant, as it is now.
func (l *log) listed(s *sink.Sinks, tenant tenure.TenantID) sink.Listed {
	l.t.Helper()
	rows, err := s.List(l.ctx, operator(l.t, tenant))
	if err != nil || len(rows) == 0 {
		l.t.Fatal(rows, err)
	}
	return rows[0]
}

// Receivers that take long hold up neither another tenant's nor, until there are too
// many of them, their own tenant's.
func TestASlowReceiverHoldsUpNobody(t *testing.T) {
	l := onSQLite(t)
	s := l.sinks("a")
	s.Client, s.Public = &http.Client{}, &http.Client{} // without a time limit of their own
	var waiting atomic.Int64
	over := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		waiting.Add(1)
		defer waiting.Add(-1)
		select {
		case <-over:
		case <-req.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(over) })
	for i := range 12 {
		l.create(s, tenure.AuditSink{Name: fmt.Sprint("slow ", i), Kind: tenure.SinkWebhook, Address: slow.URL}, "another", "")
	}
	r := newReceiver(t)
	r.secret = l.create(s, tenure.AuditSink{Name: "SIEM", Kind: tenure.SinkWebhook, Address: r.URL}, tenure.DefaultTenant, "")
	l.add("another", 1, "theirs")
	ctx, stop := context.WithCancel(l.ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx, func(err error) { t.Error(err) }) }()
	await := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	await("no receiver was asked", func() bool { return waiting.Load() > 0 })
	for i := range 3 {
		l.add(tenure.DefaultTenant, 1, fmt.Sprint("round ", i))
		await("it waits for a slow neighbour", func() bool { return slices.Contains(r.events(), fmt.Sprintf("round %d 0.updated", i)) })
	}
	if n := waiting.Load(); n > 4 {
		t.Errorf("%d receivers of one tenant are asked at once", n)
	}
	stop()
	<-ended
}

// A sink that is paused while it sends has what is on its way, and no more.
func TestAPauseEndsTheTurn(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		r := newReceiver(t)
		s := l.sinks("a")
		var row sink.Listed
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if _, err := s.Pause(l.ctx, operator(t, tenure.DefaultTenant), row.ID, true); err != nil {
				t.Error(err)
			}
			r.ServeHTTP(w, req)
		}))
		t.Cleanup(front.Close)
		r.secret = l.create(s, tenure.AuditSink{Name: "SIEM", Kind: tenure.SinkWebhook, Address: front.URL}, tenure.DefaultTenant, "")
		row = l.listed(s, tenure.DefaultTenant)
		l.add(tenure.DefaultTenant, 1600, "one")
		if now := l.deliver(s); now.Cursor == 0 || now.Cursor > 500 || !now.Paused || len(r.events()) != int(now.Cursor) {
			t.Errorf("it is at %d, %d came", now.Cursor, len(r.events()))
		}
	})
}

// begunAnew empties the tree, and gives all events their places anew.
func (l *log) begunAnew() {
	l.t.Helper()
	err := l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.BeginTree(ctx); err != nil {
			return err
		}
		return tx.SetMeta(ctx, "audit.tree", "0") // as what places events here has it
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// After the log was begun anew every sink gets what comes, and one that would be beyond
// its end says so.
func TestSinksOfALogThatIsBegunAnew(t *testing.T) {
	l := onSQLite(t)
	r := newReceiver(t)
	s := l.sinks("a")
	r.secret = l.create(s, tenure.AuditSink{Name: "SIEM", Kind: tenure.SinkWebhook, Address: r.URL}, tenure.DefaultTenant, "")
	l.add(tenure.DefaultTenant, 20, "before")
	l.deliver(s)
	l.begunAnew()
	if row := l.deliver(s); row.Error != "" {
		t.Errorf("%+v", row)
	}
	l.add(tenure.DefaultTenant, 1, "after")
	if row := l.deliver(s); !slices.Contains(r.events(), "after 0.updated") || row.Cursor != 22 {
		t.Errorf("it is at %d, the last that came is %v", row.Cursor, r.events()[len(r.events())-1])
	}
	err := l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetMeta(ctx, "audit.tree", "5") })
	if err != nil {
		t.Fatal(err)
	}
	if row := l.deliver(s); !strings.Contains(row.Error, "more than the log") {
		t.Errorf("beyond the end: %+v", row)
	}
}

// A batch is as long as the receiver takes it, and otherwise of a length of its own.
func TestABatchIsBoundedByItsLength(t *testing.T) {
	l := onSQLite(t)
	r := newReceiver(t)
	s := l.sinks("a")
	var longest, refused atomic.Int64
	takes := int64(1 << 30)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		longest.Store(max(longest.Load(), req.ContentLength))
		if req.ContentLength > takes {
			refused.Add(1)
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		r.ServeHTTP(w, req)
	}))
	t.Cleanup(front.Close)
	r.secret = l.create(s, tenure.AuditSink{Name: "SIEM", Kind: tenure.SinkWebhook, Address: front.URL}, tenure.DefaultTenant, "")
	l.add(tenure.DefaultTenant, 300, strings.Repeat("long ", 400))
	if row := l.deliver(s); row.Error != "" || row.Cursor != 301 || len(r.events()) != 301 || longest.Load() > 400<<10 {
		t.Errorf("%s: it is at %d, %d came, the longest of %d bytes", row.Error, row.Cursor, len(r.events()), longest.Load())
	}
	takes = 20 << 10
	l.add(tenure.DefaultTenant, 100, strings.Repeat("late ", 400))
	if row := l.deliver(s); row.Error != "" || row.Cursor != 401 || len(compacted(r.events())) != 401 || refused.Load() == 0 {
		t.Errorf("%s: it is at %d, %d came, %d refused", row.Error, row.Cursor, len(r.events()), refused.Load())
	}
	takes = 1
	l.add(tenure.DefaultTenant, 2, "last")
	if row := l.deliver(s); row.Error != "it answered 413" || row.Cursor != 401 {
		t.Errorf("one event that is too long: %+v", row)
	}
}

// A tenant is told how many of its own events wait, not how much others do; and it is
// behind also where its own come after very many of others.
func TestHowFarATenantsSinkIsBehind(t *testing.T) {
	l := onSQLite(t)
	s := l.sinks("a")
	l.create(s, tenure.AuditSink{Name: "own", Kind: tenure.SinkWebhook, Address: "https://siem.example.com"}, "other", "")
	if _, err := s.Pause(l.ctx, operator(t, "other"), l.listed(s, "other").ID, true); err != nil {
		t.Fatal(err)
	}
	l.add(tenure.DefaultTenant, 40, "ours")
	if row := l.listed(s, "other"); row.Events != 2 || row.Since.IsZero() { // made, and paused
		t.Errorf("%+v", row.Standing)
	}
	err := l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
		row := tenure.AuditSink{ID: "late", Tenant: "other", Name: "a", Kind: tenure.SinkWebhook, Format: tenure.FormatNative, Paused: true, Cursor: 42, CreatedAt: tx.Now()}
		return tx.InsertAuditSink(ctx, row, store.SealedKey{})
	})
	if err != nil {
		t.Fatal(err)
	}
	l.add(tenure.DefaultTenant, 10_500, "ours")
	if row := l.listed(s, "other"); row.Events != 0 || !row.Since.IsZero() {
		t.Errorf("with others' alone: %+v", row.Standing)
	}
	l.add("other", 3, "theirs")
	if row := l.listed(s, "other"); row.Events != 3 || row.Since.IsZero() {
		t.Errorf("behind very many: %+v", row.Standing)
	}
}

// What labels a figure is text.
func TestANameIsText(t *testing.T) {
	l := onSQLite(t)
	_, _, err := l.sinks("a").Create(l.ctx, operator(t, tenure.DefaultTenant), tenure.AuditSink{Name: "a\xff", Kind: tenure.SinkWebhook, Address: "https://siem.example.com"}, tenure.Secret{}, true)
	if !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("%v", err)
	}
}
