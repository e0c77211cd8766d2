package secretref

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// How long an error is the answer without asking again: so long, and up to as long
// once more, so that those who failed together do not come back together.
const errorFor = time.Second

// A flight is work that one does for all who want it. Whoever waits does so within a
// bound, even where the work itself hangs: then it goes on alone, and nobody begins
// it a second time.
type flight[T any] struct {
	mu     sync.Mutex
	call   *call[T]  // under way; nil: none is
	failed error     // of the last one; nil: it was good
	again  time.Time // before that, failed is the answer
}

// call is one going of a flight. What it gave is read after done is closed.
type call[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// start gives the call that is under way, or begins one. Shortly after one that failed,
// it gives that error, unless anew says to ask all the same.
func (f *flight[T]) start(ctx context.Context, clock func() time.Time, anew bool, work func(context.Context) (T, error)) *call[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.call != nil {
		return f.call
	}
	c := &call[T]{done: make(chan struct{})}
	if f.failed != nil && !anew && clock().Before(f.again) {
		c.err = f.failed
		close(c.done)
		return c
	}
	f.call = c
	go f.run(context.WithoutCancel(ctx), clock, c, work)
	return c
}

func (f *flight[T]) run(ctx context.Context, clock func() time.Time, c *call[T], work func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	func() {
		defer func() {
			if p := recover(); p != nil {
				c.err = tripped(p)
			}
		}()
		c.value, c.err = work(ctx)
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call, f.failed = nil, c.err
	f.again = clock().Add(errorFor + rand.N(errorFor)) //nolint:gosec // it spreads attempts, and hides nothing
	close(c.done)
}

// do is start and wait.
func (f *flight[T]) do(ctx context.Context, clock func() time.Time, work func(context.Context) (T, error)) (T, error) {
	return f.start(ctx, clock, false, work).wait(ctx)
}

// idle reports whether nothing is under way, and no error remembered.
func (f *flight[T]) idle(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.call == nil && (f.failed == nil || !now.Before(f.again))
}

// errHangs says that work did not end within its bound.
var errHangs = errors.New("it does not answer")

// wait gives what the call gave, or an error when that takes too long.
func (c *call[T]) wait(ctx context.Context) (T, error) {
	limit := time.NewTimer(fetchLimit)
	defer limit.Stop()
	select {
	case <-c.done:
		return c.value, c.err
	case <-limit.C:
	case <-ctx.Done():
	}
	select {
	case <-c.done: // both at once
		return c.value, c.err
	default:
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	return none, errHangs
}

// tripped makes an error of a panic: a fault in reading one answer ends no server. Of the
// panic only what the runtime says is told: other text may have a secret in it.
func tripped(p any) error {
	var fault runtime.Error
	if err, ok := p.(error); ok && errors.As(err, &fault) {
		return fmt.Errorf("a fault in reading the answer: %w", fault)
	}
	return fmt.Errorf("a fault in reading the answer (%T)", p)
}
