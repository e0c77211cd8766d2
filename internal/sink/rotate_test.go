package sink_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/store"
)

// While a webhook's secrets overlap, a receiver that has either believes what is sent;
// afterwards only the new one signs.
func TestBothSecretsSignForAWhile(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		s, r, by := l.sinks("one"), newReceiver(t), operator(t, tenure.DefaultTenant)
		first := l.create(s, tenure.AuditSink{Name: "hook", Kind: tenure.SinkWebhook, Address: r.URL}, tenure.DefaultTenant, "")
		id := l.deliver(s).ID
		rotate := func(overlap time.Duration) tenure.Secret {
			t.Helper()
			_, made, err := s.Rotate(l.ctx, by, id, sink.NewSecret{Overlap: overlap})
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		sends := func(event string, signatures int, secrets ...tenure.Secret) {
			t.Helper()
			for _, secret := range secrets {
				r.secret = secret // which verifies what comes
				l.add(tenure.DefaultTenant, 1, event)
				l.retry(s)
			}
			if got := strings.Fields(r.header.Get("Webhook-Signature")); len(got) != signatures {
				t.Errorf("%s has %d signatures", event, len(got))
			}
		}
		sends("before", 1, first)
		second := rotate(time.Hour)
		sends("overlap", 2, first, second)
		third := rotate(time.Hour) // the one before is the second now
		sends("twice", 2, second, third)
		sends("at once", 1, rotate(0))

		// Who read another secret than there is changes nothing.
		if _, _, err := s.Rotate(l.ctx, by, id, sink.NewSecret{Secret: tenure.NewSecret("mine")}); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("a webhook's own secret: %v", err)
		}
		other := l.sinks("two")
		open := s.Open
		s.Open = func(ctx context.Context, k store.SealedKey, to store.Bound) (tenure.Secret, error) {
			if _, _, err := other.Rotate(l.ctx, by, id, sink.NewSecret{}); err != nil {
				t.Error(err)
			}
			return open(ctx, k, to)
		}
		if _, _, err := s.Rotate(l.ctx, by, id, sink.NewSecret{Overlap: time.Hour}); !tenure.IsKind(err, tenure.Conflict) {
			t.Errorf("two at once: %v", err)
		}
	})
}
