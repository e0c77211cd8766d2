package store

import (
	"context"
	"time"
)

// lastFlush is how long the last writing of a server that stops may take.
const lastFlush = 10 * time.Second

// WriteBehind calls flush every so often until ctx ends, and then once more: a clean
// stop loses nothing. Failures are given to report; flush keeps what it could not write
// for the next time.
func WriteBehind(ctx context.Context, every time.Duration, flush func(context.Context) error, report func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			if err := flush(last); err != nil {
				report(err)
			}
			return
		case <-tick.C:
			if err := flush(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}
