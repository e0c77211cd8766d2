package evidence_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// held is a client that takes one piece and reads no more.
type held struct {
	bytes.Buffer
	took chan struct{}
	free chan struct{}
}

func (w *held) Write(p []byte) (int, error) {
	if w.Len() > 0 {
		<-w.free
		return 0, errors.New("the connection is gone")
	}
	defer close(w.took)
	return w.Buffer.Write(p)
}

// Whoever loses their authority while a bundle is sent to them gets no more of it, though
// they do not read, and what they have does not verify.
func TestAnExportEndsWithWhoAsked(t *testing.T) {
	h := open(t)
	l := &live.Live{
		DB: h.db, Log: slog.New(slog.DiscardHandler), Forget: func(store.Change) {},
		Check:   func(tenure.Principal, tenure.Action) error { return nil },
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Options: live.Options{Now: time.Now, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	ready := make(chan struct{})
	go func() { _ = l.Follow(tenure.Everywhere(t.Context()), func() { close(ready) }) }()
	<-ready
	h.Live = l
	s := &tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.SuperAdmin, Name: "test", User: "grace"}
	by, err := s.Admit(time.Now(), l.Generation())
	if err != nil {
		t.Fatal(err)
	}
	w := &held{took: make(chan struct{}), free: make(chan struct{})}
	ended := make(chan error)
	go func() {
		_, err := h.Export(t.Context(), by, evidence.Query{From: time.Now().Add(-time.Hour), Unblock: func() { close(w.free) }}, w)
		ended <- err
	}()
	<-w.took
	if n := len(l.Flights(live.User("grace"))); n != 1 {
		t.Errorf("%d flights", n)
	}
	l.Cut(store.Change{Kind: "user", ID: "grace"}, live.User("grace"), tenure.ErrRevoked)
	if err := <-ended; !errors.Is(err, tenure.ErrRevoked) {
		t.Errorf("%v", err)
	}
	if _, err := verified(w.Bytes(), trust()); err == nil {
		t.Error("what was sent verifies")
	}
	events, err := h.db.AuditTail(tenure.Everywhere(t.Context()), tenure.DefaultTenant, "evidence", 10)
	if err != nil || len(events) != 1 || events[0].Action != "evidence.begun" {
		t.Errorf("%v %v", events, err)
	}
}
