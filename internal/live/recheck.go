package live

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
)

// again asks whether the flight still stands, and may go on; excepted is Excepted.
func (l *Live) again(ctx context.Context, f *Flight, excepted exceptedFunc) error {
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	now, err := l.Recheck(ctx, f.Principal)
	if err == nil {
		err = l.memory.stands(now.Standing())
	}
	if err == nil {
		f.endAt(now)
		err = l.Check(now, f.Action)
	}
	if err == nil {
		err = now.Standing().CheckFrom(f.Address)
	}
	if m := f.model.Load(); err == nil && m != nil {
		if !l.Allows(now, m.Provider, m.Name) {
			return ErrNoModel
		}
		return mayGoThere(ctx, f, m, excepted)
	}
	return err
}

type exceptedFunc func(context.Context, tenure.TenantID, tenure.ProviderID) (time.Time, error)

// once asks of each provider once, for all flights that are looked at together.
func (excepted exceptedFunc) once() exceptedFunc {
	var mu sync.Mutex
	known := map[tenure.ProviderID]func() (time.Time, error){}
	return func(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) (time.Time, error) {
		mu.Lock()
		if known[id] == nil {
			known[id] = sync.OnceValues(func() (time.Time, error) { return excepted(ctx, tenant, id) })
		}
		ask := known[id]
		mu.Unlock()
		return ask()
	}
}

// mayGoThere asks whether the exception still stands by which the provider of a flight is
// where it is, and until when.
func mayGoThere(ctx context.Context, f *Flight, m *Model, excepted exceptedFunc) error {
	if m.Excepted == "" {
		return nil
	}
	until, err := excepted(ctx, f.Principal.Tenant(), m.Excepted)
	if err == nil {
		f.excepted.Store(until.UnixMilli())
	}
	return err
}

// recheckTimeout is how long one look at one credential may take.
const recheckTimeout = 2 * time.Second

// recheck asks of every one of flights whether it still stands, and ends those that do
// not. It tells how many it ended, and whether all of them could be known; a flight of
// which nothing can be known goes on, until Options.StreamStaleness ends it, whatever
// its workspace chose: something did change. byFeed tells that no act is there to count
// them.
func (l *Live) recheck(ctx context.Context, flights []*Flight, byFeed bool) (cut int, known bool) {
	var ended, unknown atomic.Int64
	var wg sync.WaitGroup
	stands := make([]bool, len(flights))
	excepted := l.Excepted.once()
	var next atomic.Int64
	for range min(rechecksAtOnce, len(flights)) {
		wg.Go(func() {
			// Where one cannot be known, the others are not waited for.
			for unknown.Load() == 0 {
				i := int(next.Add(1)) - 1
				if i >= len(flights) {
					return
				}
				switch err := l.again(ctx, flights[i], excepted); {
				case err == nil:
					stands[i] = true
				case isEnd(err):
					cause := tenure.ErrRevoked
					if errors.Is(err, tenure.ErrProviderEnded) {
						cause = tenure.ErrProviderEnded
					}
					n := l.flights.end(flights[i], cause, byFeed, l.Options.Now())
					l.Metrics.cut(n, cause)
					ended.Add(int64(n))
				default:
					unknown.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for i, f := range flights {
		if !stands[i] {
			f.outage.Store(&tenure.Outage{}) // until it is known again
		}
	}
	return int(ended.Load()), unknown.Load() == 0
}

// rechecksAtOnce is how many flights are looked at anew at the same time.
const rechecksAtOnce = 8

// isEnd tells that a credential does not stand from not being able to know.
func isEnd(err error) bool {
	return tenure.IsKind(err, tenure.Unauthenticated) || tenure.IsKind(err, tenure.Forbidden) || tenure.IsKind(err, tenure.NotFound) ||
		errors.Is(err, tenure.ErrProviderEnded)
}
