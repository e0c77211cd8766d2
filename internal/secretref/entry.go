package secretref

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-gateway/tenure"
)

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

// entry is one secret. Its fields are under the resolver's lock.
type entry struct {
	key     key
	address Address
	value   Value     // that was last good; zero: none is
	asked   time.Time // when the question began that value answers
	stale   bool      // it is used without being confirmed, and that was told
	retry   time.Time // while stale: when the system is asked again
	forced  time.Time // when it was last asked for anew

	flight flight[Value]
}

// use gives the secret where it may be used without waiting, and whether to ask for it
// anew: in the last quarter of its time, and every few seconds while it cannot be
// confirmed. The resolver's lock is held.
func (e *entry) use(now time.Time, grace time.Duration) (found Found, ask bool) {
	until := e.last(0)
	due := e.asked.Add(until.Sub(e.asked) * 3 / 4)
	switch {
	case now.Before(due):
		return Found{Secret: e.value.Secret, Back: due, Confirmed: e.asked}, false
	case now.Before(until):
		return Found{Secret: e.value.Secret, Back: until, Confirmed: e.asked}, true
	case !e.stale || !now.Before(e.last(grace)):
		return Found{}, true
	}
	if ask = !now.Before(e.retry); ask {
		e.retry = now.Add(staleFor)
	}
	return Found{Secret: e.value.Secret, Back: earlier(e.retry, e.last(grace)), Confirmed: e.asked}, ask
}

// last is when the secret is used no more, even if it cannot be confirmed.
func (e *entry) last(grace time.Duration) time.Time {
	if e.value.Secret.IsZero() {
		return time.Time{}
	}
	at := e.asked.Add(max(keepFor, grace))
	if ends := e.value.Until; !ends.IsZero() && ends.Before(at) {
		return ends
	}
	return at
}

// entry finds or makes that of a key.
func (r *Resolver) entry(k key, a Address) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.kept[k]
	if e == nil {
		if r.kept == nil {
			r.kept = make(map[key]*entry)
		}
		if len(r.kept) >= mostKept {
			r.sweep()
		}
		e = &entry{key: k, address: a}
		r.kept[k] = e
	}
	return e
}

// Unconfirmed counts the secrets that are used though their systems cannot be asked.
func (r *Resolver) Unconfirmed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, now := 0, r.Now()
	for _, e := range r.kept {
		if e.stale && now.Before(e.last(r.Grace)) {
			n++
		}
	}
	return n
}

// errLapsed is why a secret is given up that nobody asked for again.
var errLapsed = errors.New("the grace is over, and nobody has asked for it since")

// giveUp ends the use of those secrets whose grace is over: nobody may come to be told.
func (r *Resolver) giveUp(ctx context.Context) {
	over := map[*entry]Outage{}
	r.mu.Lock()
	now := r.Now()
	for _, e := range r.kept {
		if e.stale && !now.Before(e.last(r.Grace)) {
			over[e] = e.drop(errLapsed)
		}
	}
	r.sweep()
	r.mu.Unlock()
	for e, what := range over {
		r.tell(ctx, e, what)
	}
}

// sweep drops what is over. r.mu is held.
func (r *Resolver) sweep() {
	now := r.Now()
	for k, e := range r.kept {
		// One that is told of as stale stays until giveUp tells its end, too.
		if !e.stale && !now.Before(e.last(r.Grace)) && e.flight.idle(now) {
			delete(r.kept, k)
		}
	}
}

// note keeps what a system answered, and tells whoever should know.
func (r *Resolver) note(ctx context.Context, e *entry, asked time.Time, v Value, err error) {
	var what Outage
	var changed bool
	r.mu.Lock()
	before := e.value.Secret
	switch {
	case err == nil:
		changed = !before.IsZero() && !before.Equal(v.Secret)
		if e.stale {
			what = Outage{State: OutageEnded, Since: e.asked}
		}
		e.value, e.asked, e.stale = v, asked, false
	case !tenure.IsKind(err, tenure.Unavailable): // it is there no more, or not for us
		changed = !before.IsZero()
		what = e.drop(err)
	}
	r.mu.Unlock()
	r.tell(ctx, e, what)
	if changed && r.Changed != nil {
		r.Changed(e.key.tenant, e.key.address)
	}
}

// drop ends the use of a secret, and gives what there is to tell of that. The
// resolver's lock is held.
func (e *entry) drop(why error) Outage {
	var what Outage
	if e.stale {
		what = Outage{State: OutageGaveUp, Since: e.asked, Err: why}
	}
	e.value, e.stale = Value{}, false
	return what
}

func (r *Resolver) tell(ctx context.Context, e *entry, what Outage) {
	if what.State != "" && r.Told != nil {
		r.Told(ctx, e.key.tenant, e.key.address, what)
	}
}

// settle gives what is used after a question has ended with err, or could not be
// waited for.
func (r *Resolver) settle(ctx context.Context, e *entry, err error) (Found, error) {
	if err != nil && ctx.Err() != nil { // whoever leaves says nothing of the system
		return Found{}, unavailable(e.address, ctx.Err())
	}
	if err != nil && !final(err) && !tenure.IsKind(err, tenure.Unavailable) {
		err = unavailable(e.address, err)
	}
	var what Outage
	r.mu.Lock()
	now := r.Now()
	if err != nil && !final(err) { // of the others note has dropped the secret
		switch {
		case !now.Before(e.last(r.Grace)):
			what = e.drop(err)
		case !e.stale && !now.Before(e.last(0)):
			what = Outage{State: OutageBegan, Since: e.asked, Err: err}
			e.stale, e.retry = true, now.Add(staleFor)
		}
	}
	found, _ := e.use(now, r.Grace)
	r.mu.Unlock()
	r.tell(ctx, e, what)
	switch {
	case !found.Secret.IsZero():
		return found, nil
	case err == nil: // what it was read from changed again, or it ended meanwhile
		err = strange(e.address, "it changed while it was read")
	}
	return Found{}, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
