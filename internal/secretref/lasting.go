package secretref

import (
	"context"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// retryEvery is how often a system that is out is asked for one secret.
const retryEvery = 5 * time.Second

// Lasting is a Resolver that goes on with the last good secret while a system cannot
// be asked. What the system says is gone, or denies, is not used on. Its fields are
// set before first use.
type Lasting struct {
	*Resolver
	// Grace is how long after it was last confirmed a secret is used.
	Grace time.Duration
	// Told is told of each beginning and end of that. It is called without locks, by
	// whoever asked.
	Told func(ctx context.Context, tenant tenure.TenantID, address string, what Outage)

	mu   sync.Mutex
	held map[key]*held
}

// Outage is a change in the use of a secret that cannot be confirmed.
type Outage struct {
	// State is OutageBegan, OutageEnded or OutageGaveUp.
	State string
	Since time.Time // when the secret was last confirmed
	Err   error     // what the system, or the way to it, says; nil when it ended
}

// The states of an outage.
const (
	OutageBegan  = "began"    // the last good secret is used from now on
	OutageEnded  = "ended"    // the system answers again
	OutageGaveUp = "given_up" // the grace is over, or the system denies the secret: it is used no more
)

type held struct {
	secret    tenure.Secret
	confirmed time.Time
	stale     bool
	retry     time.Time // while stale: when the system is asked again
}

// Resolve is that of Resolver, with the last good secret in an outage.
func (l *Lasting) Resolve(ctx context.Context, tenant tenure.TenantID, address string) (tenure.Secret, time.Time, error) {
	k, now := key{tenant, address}, l.Now()
	if err := l.Check(tenant, address); err != nil { // the rules may be others after a start
		return tenure.Secret{}, time.Time{}, err
	}
	l.mu.Lock()
	if h := l.held[k]; h != nil && h.stale && l.within(h, now) {
		if now.Before(h.retry) {
			defer l.mu.Unlock()
			return h.secret, earlier(h.retry, h.confirmed.Add(l.Grace)), nil
		}
		h.retry = now.Add(retryEvery) // one asks; the others go on
	}
	l.mu.Unlock()
	secret, until, err := l.Resolver.Resolve(ctx, tenant, address)
	secret, until, what, err := l.settle(k, secret, until, err)
	if what.State != "" && l.Told != nil {
		l.Told(ctx, tenant, address, what)
	}
	return secret, until, err
}

func (l *Lasting) within(h *held, now time.Time) bool { return now.Before(h.confirmed.Add(l.Grace)) }

// settle notes an answer, and gives what is used and what there is to tell.
func (l *Lasting) settle(k key, secret tenure.Secret, until time.Time, err error) (tenure.Secret, time.Time, Outage, error) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[k]
	var what Outage
	switch {
	case err == nil:
		if h != nil && h.stale {
			what = Outage{State: OutageEnded, Since: h.confirmed}
		}
		l.keep(k, secret, now)
	case h == nil:
	case tenure.IsKind(err, tenure.Unavailable) && l.within(h, now):
		if !h.stale {
			what = Outage{State: OutageBegan, Since: h.confirmed, Err: err}
		}
		h.stale, h.retry = true, now.Add(retryEvery)
		return h.secret, earlier(h.retry, h.confirmed.Add(l.Grace)), what, nil
	default:
		if h.stale {
			what = Outage{State: OutageGaveUp, Since: h.confirmed, Err: err}
		}
		delete(l.held, k)
	}
	return secret, until, what, err
}

// keep notes a secret that was confirmed. l.mu is held.
func (l *Lasting) keep(k key, secret tenure.Secret, now time.Time) {
	if l.held == nil {
		l.held = make(map[key]*held)
	}
	if len(l.held) >= mostKept {
		for other, h := range l.held {
			if !l.within(h, now) {
				delete(l.held, other)
			}
		}
	}
	l.held[k] = &held{secret: secret, confirmed: now}
}

// Forget drops what is kept for an address that nobody uses any more.
func (l *Lasting) Forget(tenant tenure.TenantID, address string) {
	k := key{tenant, address}
	l.mu.Lock()
	delete(l.held, k)
	l.mu.Unlock()
	l.Resolver.mu.Lock()
	delete(l.kept, k)
	l.Resolver.mu.Unlock()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
