package secretref

import (
	"context"
	"sync"
	"time"
)

// How often Run looks.
const (
	lookEvery = time.Second      // at mounted files
	tendEvery = 10 * time.Second // at leases of credentials
)

// Run watches mounted files, keeps the credentials of systems alive and forgets what is
// over until ctx ends.
// A file system that hangs keeps nobody else waiting.
func (r *Resolver) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var look flight[struct{}]
	wg.Go(func() {
		every(ctx, tendEvery, func() { r.tend(ctx) })
	})
	every(ctx, lookEvery, func() {
		look.start(ctx, r.Now, true, func(context.Context) (struct{}, error) {
			r.look()
			return struct{}{}, nil
		})
	})
}

func every(ctx context.Context, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// tender is a system whose own credential has to be renewed.
type tender interface{ Tend(ctx context.Context) }

func (r *Resolver) tend(ctx context.Context) {
	for _, s := range r.Systems {
		if t, ok := s.(tender); ok {
			t.Tend(ctx)
		}
	}
	r.giveUp(ctx)
}

// look drops secrets whose mounted file has changed, and tells of them.
func (r *Resolver) look() {
	type watched struct {
		e    *entry
		mark string
	}
	var all []watched
	r.mu.Lock()
	for _, e := range r.kept {
		if e.value.mark != "" {
			all = append(all, watched{e, e.value.mark})
		}
	}
	r.mu.Unlock()
	for _, one := range all {
		files, ok := r.Systems[one.e.address.Scheme].(*Files)
		if !ok || files.mark(one.e.address) == one.mark {
			continue
		}
		r.mu.Lock()
		if one.e.value.mark == one.mark {
			one.e.value = Value{}
		}
		r.mu.Unlock()
		if r.Changed != nil {
			r.Changed(one.e.key.tenant, one.e.key.address)
		}
	}
}
