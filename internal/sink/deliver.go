package sink

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/webhook"
)

// How receivers are tried.
const (
	firstRest   = 2 * time.Second // after the first failure; each further one doubles it
	longestRest = 10 * time.Minute
	lease       = time.Minute // that a process is the one that sends: longer than an attempt takes
	turn        = 20 * time.Second
	quiet       = 1000      // places of others that the cursor need not be moved for
	batchBytes  = 256 << 10 // of events as JSON that are sent at a time, or one event
)

// Deliver sends what has come to every sink that is due and has no turn, and waits until
// these have had theirs. It may run on several replicas: one sends for a sink at a time.
// Only what concerns all sinks is its error.
func (s *Sinks) Deliver(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	return s.start(ctx, &wg)
}

// start begins the turns of the sinks that have none: no receiver waits for another's.
func (s *Sinks) start(ctx context.Context, wg *sync.WaitGroup) error {
	ctx = tenure.Everywhere(tenure.WithoutAsker(ctx))
	rows, err := s.DB.EveryAuditSink(ctx)
	if err != nil {
		return err
	}
	tree, err := s.DB.Tree(ctx)
	if err != nil {
		return err
	}
	s.turns.keep(rows)
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] }) //nolint:gosec // where there is no room for all, no secret
	for _, row := range rows {
		due := !row.Paused && !row.NextTryAt.After(s.DB.Now())
		if s.turns.begin(row, looked{tree, row.Cursor, due}) {
			wg.Go(func() {
				stands, nothing := s.deliverTo(ctx, row, due)
				s.turns.end(row, stands, nothing)
			})
		}
	}
	return nil
}

// deliverTo sends what a sink does not have, for a turn. It gives how far the sink is
// behind then, and for how long it need not be looked at while nothing has come.
func (s *Sinks) deliverTo(ctx context.Context, row tenure.AuditSink, due bool) (Standing, time.Duration) {
	var err error
	nothing := untilMore
	if due {
		nothing, err = s.send(ctx, &row)
	}
	stands, failed := behind(ctx, s.DB, row.All(), row.Cursor)
	if err = errors.Join(err, failed); err != nil {
		stands.Trouble, nothing = webhook.Reason(err), 0
		if ctx.Err() == nil {
			s.Log.Warn("audit sink", "tenant", row.Tenant, "sink", row.ID, "attempts", row.Attempts+1, "error", stands.Trouble)
		}
	}
	return stands, nothing
}

// send sends batch by batch, and moves the cursor behind each that was accepted. It
// gives for how long it need not be asked again while nothing has come.
func (s *Sinks) send(ctx context.Context, row *tenure.AuditSink) (time.Duration, error) {
	held, limit := false, batchBytes
	for start := time.Now(); time.Since(start) < turn && ctx.Err() == nil; {
		at := position{next: row.Cursor, signed: row.Signed}
		items, to, size, err := read(ctx, s.DB, row.All(), at, window, row.ToldOfAll())
		if err != nil {
			return 0, err
		}
		beyond := row.Cursor > size
		if len(items) == 0 && to.next-at.next < quiet && !beyond {
			break
		}
		if !held { // what was read before may be of a log that was begun anew since
			if held, err = s.hold(ctx, *row); err != nil || !held {
				return lease / 6, err // another one sends
			}
			continue
		}
		if beyond {
			return 0, errors.Join(errBeyond, s.fail(ctx, *row, errBeyond, 0))
		}
		var after time.Duration
		if len(items) > 0 {
			var bytes int
			if items, to, bytes, err = cut(*row, items, at, to, limit); err != nil {
				return 0, err
			}
			if after, err = s.post(ctx, *row, items); err == nil {
				row.SentAt = s.DB.Now()
			}
			if tooLarge(err) && len(items) > 1 {
				limit = bytes / 2
				continue
			}
		}
		if ctx.Err() != nil {
			break // told to stop: the lease ends, and what was sent is sent again
		}
		if err != nil {
			return 0, errors.Join(err, s.fail(ctx, *row, err, after))
		}
		if goesOn, err := s.move(ctx, row, to); err != nil {
			return 0, err
		} else if !goesOn {
			break
		}
	}
	if !held {
		return untilMore, nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return 0, s.DB.Tx(last, func(ctx context.Context, tx *store.Tx) error { return tx.LeaveAuditSink(ctx, row.ID, s.Replica) })
}

// errBeyond tells of a sink that nothing would be sent to, and that would not seem behind.
var errBeyond = &tenure.Error{
	Kind: tenure.Conflict, Code: "sink_beyond_log",
	Msg: "the sink has more than the log, which is another one than was sent: make the sink anew with the whole log",
}

// hold makes this process the one that sends, and reports whether it is.
func (s *Sinks) hold(ctx context.Context, row tenure.AuditSink) (held bool, err error) {
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		held, err = tx.HoldAuditSink(ctx, row, s.Replica, tx.Now().Add(lease))
		return err
	})
	return held, err
}

// move notes how far a sink has come, and reports whether this process may go on: another
// one that has the lease goes on itself, and nobody does where the sink was paused.
func (s *Sinks) move(ctx context.Context, row *tenure.AuditSink, to position) (goesOn bool, err error) {
	moved := false
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		moved, goesOn, err = tx.MoveAuditSink(ctx, *row, s.Replica, to.next, to.signed, tx.Now().Add(lease))
		return err
	})
	if err == nil && moved {
		row.Cursor, row.Signed, row.Attempts = to.next, to.signed, 0
	}
	return goesOn, err
}

// tooLarge reports whether a receiver takes no request of that size.
func tooLarge(err error) bool {
	var status *webhook.StatusError
	return errors.As(err, &status) && status.Status == http.StatusRequestEntityTooLarge
}

// cut keeps of items what one request carries, at least one, as the sink's format has
// them. It gives where the sink is behind these, and how long they are.
func cut(row tenure.AuditSink, items []item, at, to position, limit int) ([]item, position, int, error) {
	bytes, behind := 0, at
	for n := range items {
		text, err := json.Marshal(payload(row, items[n]))
		if err != nil {
			return nil, at, 0, err
		}
		if n > 0 && bytes+len(text) > limit {
			return items[:n], behind, bytes, nil
		}
		items[n].text = text
		bytes += len(text)
		behind = items[n].behind(behind)
	}
	return items, to, bytes, nil
}

// fail notes a failure: the sink rests, longer each time, and as long as it asks for.
func (s *Sinks) fail(ctx context.Context, row tenure.AuditSink, failed error, asked time.Duration) error {
	rest := longestRest
	if row.Attempts < 10 {
		rest = min(longestRest, firstRest<<row.Attempts)
	}
	rest = rest/2 + rand.N(rest/2) //nolint:gosec // so that many do not come back at once, no secret
	rest = max(rest, min(asked, longestRest))
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.FailAuditSink(ctx, row, s.Replica, webhook.Reason(failed), tx.Now().Add(rest))
	})
}

// post sends a batch, and gives how long the receiver asks to be left alone.
func (s *Sinks) post(ctx context.Context, row tenure.AuditSink, items []item) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, lease/2)
	defer cancel()
	secret, err := s.secret(ctx, row)
	if err != nil {
		return 0, err
	}
	switch row.Kind {
	case tenure.SinkSyslog:
		err = s.postSyslog(ctx, row, secret, items)
	case tenure.SinkOTLP:
		err = s.postOTLP(ctx, row, secret, items)
	default:
		err = s.postWebhook(ctx, row, secret, items)
	}
	var status *webhook.StatusError
	if errors.As(err, &status) {
		return status.RetryAfter, err
	}
	return 0, err
}

func (s *Sinks) secret(ctx context.Context, row tenure.AuditSink) (tenure.Secret, error) {
	sealed, err := s.DB.AuditSinkSecret(ctx, row.ID)
	if err != nil {
		return tenure.Secret{}, err
	}
	if len(sealed.Sealed) == 0 {
		if row.Kind == tenure.SinkWebhook || row.Header != "" || row.Cert != "" {
			return tenure.Secret{}, &tenure.Error{Kind: tenure.Conflict, Code: "no_sink_secret", Msg: "the sink's secret was lost with the key that sealed it: give it another one"}
		}
		return tenure.Secret{}, nil
	}
	return s.Open(ctx, sealed, store.BoundAuditSink(row))
}
