package notice

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A sink that accepts nothing for a while is told of once a day; one that is paused is not.
func TestSinksThatAcceptNothing(t *testing.T) {
	b := open(t)
	ctx := tenure.Everywhere(t.Context())
	do := func(f func(context.Context, *store.Tx) error) {
		t.Helper()
		if err := b.DB.Tx(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	sink := tenure.AuditSink{ID: "s", Tenant: tenure.DefaultTenant, Name: "SIEM", Kind: tenure.SinkWebhook, Format: tenure.FormatNative, CreatedAt: b.now}
	do(func(ctx context.Context, tx *store.Tx) error { return tx.InsertAuditSink(ctx, sink, store.SealedKey{}) })
	told := func() (n int) {
		t.Helper()
		if err := b.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		rows, err := b.DB.Notices(ctx, store.NoticeFilter{Tenant: tenure.DefaultTenant, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range rows {
			if one.Kind == tenure.NoticeSinkBehind {
				n++
				if one.Severity != tenure.Alert || !strings.Contains(one.Message, `"SIEM" has accepted nothing since it was made: it answered 500`) {
					t.Errorf("%+v", one)
				}
			}
		}
		return n
	}
	for i := range sinkAttempts {
		if n := told(); n != 0 {
			t.Errorf("%d notices after %d failures", n, i)
		}
		do(func(ctx context.Context, tx *store.Tx) error {
			held, err := tx.HoldAuditSink(ctx, sink, "a", b.now)
			if err == nil && !held {
				t.Error("it is not held")
			}
			return err
		})
		do(func(ctx context.Context, tx *store.Tx) error {
			return tx.FailAuditSink(ctx, sink, "a", "it answered 500", b.now)
		})
	}
	if first, again := told(), told(); first != 1 || again != 1 {
		t.Errorf("%d notices, then %d", first, again)
	}
	b.now = b.now.Add(24 * time.Hour)
	if n := told(); n != 2 {
		t.Errorf("%d notices the day after", n)
	}
	do(func(ctx context.Context, tx *store.Tx) error {
		return tx.PauseAuditSink(ctx, sink.Tenant, sink.ID, true)
	})
	b.now = b.now.Add(24 * time.Hour)
	if n := told(); n != 2 {
		t.Errorf("%d notices of one that is paused", n)
	}
}
