// Package secretref resolves secrets that are kept elsewhere: an address in, a secret
// and until when it may be used out. It owns the form of addresses, which tenant may
// name which, how each system is asked, and how long an answer is good.
//
// It stores nothing, and keeps a secret in memory only. It is used for a minute at most,
// and through an outage of its system for the grace: so long it is kept, also while
// nobody asks for it, and then forgotten.
package secretref

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Times of the resolver.
const (
	keepFor    = time.Minute     // the longest that a secret is used without asking again
	fetchLimit = 5 * time.Second // one question to a system
	anewEvery  = 5 * time.Second // who says that a secret is refused may have it asked for anew
	staleFor   = 5 * time.Second // in an outage, whoever uses the last good secret comes back
	mostAtOnce = 16              // questions to one system for one tenant
	mostKept   = 10000           // secrets; beyond them, those that are over are dropped
)

// Value is a secret as a system gives it.
type Value struct {
	Secret tenure.Secret
	// Until is when the system says that it ends; zero: it does not say.
	Until time.Time
	// mark changes when what it was read from does; "" where nobody can tell.
	mark string
}

// System is a place where secrets are kept.
type System interface {
	// Fetch asks for a secret. Unavailable: it cannot be asked now. Forbidden,
	// NotFound, Invalid: asking again does not help.
	Fetch(ctx context.Context, a Address) (Value, error)
}

// Found is a secret, and what whoever uses it should know.
type Found struct {
	Secret tenure.Secret
	// Back is when to come back for it: before it has ended, so that it is asked for
	// anew while it is used.
	Back time.Time
	// Confirmed is when its system was asked. In an outage that is long ago.
	Confirmed time.Time
}

// Resolver gives secrets for their addresses. Its fields are set before first use.
type Resolver struct {
	// Allow are the addresses that tenants may name.
	Allow Rules
	// Systems are the places, by the scheme of their addresses.
	Systems map[string]System
	// Grace is how long after it was last confirmed a secret is used while its system
	// cannot be asked. What the system says is gone, or denies, or that has ended by
	// itself, is not used on.
	Grace time.Duration
	Now   func() time.Time
	// Changed is told of an address whose secret is another, or none any more; nil:
	// nobody.
	Changed func(tenant tenure.TenantID, address string)
	// Told is told of each beginning and end of the use of a secret that cannot be
	// confirmed; nil: nobody. Both are called without locks, by whoever asked.
	Told func(ctx context.Context, tenant tenure.TenantID, address string, what Outage)
	// Asked is told of each question to a system; nil: nobody.
	Asked func(scheme string, took time.Duration, err error)

	mu    sync.Mutex
	kept  map[key]*entry
	slots map[slot]chan struct{}
}

type key struct {
	tenant  tenure.TenantID
	address string
}

// slot is what questions are counted by: a system that hangs for one tenant takes
// nothing from the others.
type slot struct {
	tenant tenure.TenantID
	scheme string
}

// Check answers Invalid when an address is none, and Forbidden when the tenant may not
// name it or the system is not set up. It asks no system.
func (r *Resolver) Check(tenant tenure.TenantID, address string) error {
	_, err := r.check(tenant, address)
	return err
}

func (r *Resolver) check(tenant tenure.TenantID, address string) (Address, error) {
	a, err := Parse(address)
	if err != nil {
		return Address{}, err
	}
	a, ok := r.Allow.bound(tenant, a)
	if !ok {
		return Address{}, &tenure.Error{
			Kind: tenure.Forbidden, Code: "secret_address_not_allowed", Field: "address",
			Msg: fmt.Sprintf("this tenant may not name %s; whoever runs the installation allows addresses by TENURE_SECRET_ADDRESSES", a.withoutField()),
		}
	}
	if r.Systems[a.Scheme] == nil {
		return Address{}, &tenure.Error{
			Kind: tenure.Forbidden, Code: "secret_system_not_set_up", Field: "address",
			Msg: fmt.Sprintf("%s:// is not set up here: %s", a.Scheme, setUp[a.Scheme]),
		}
	}
	return a, nil
}

// setUp says what each system needs. Nobody modifies it.
var setUp = map[string]string{
	SchemeVault: "VAULT_ADDR is not set",
	SchemeAWS:   "AWS_REGION is not set",
}

// Resolve gives the secret at an address. However many ask at once, its system is asked
// once, and at most once a minute unless the secret ends sooner. While the system
// cannot be asked, the last good secret is given for the grace. Errors are those of
// Check and of System.
func (r *Resolver) Resolve(ctx context.Context, tenant tenure.TenantID, address string) (Found, error) {
	a, err := r.check(tenant, address) // the rules may be others after a start
	if err != nil {
		return Found{}, err
	}
	e, now := r.entry(key{tenant, address}, a), r.Now()
	r.mu.Lock()
	found, ask := e.use(now, r.Grace)
	r.mu.Unlock()
	if !found.Secret.IsZero() {
		if ask { // and nobody waits
			r.start(ctx, e, false)
		}
		return found, nil
	}
	_, err = r.start(ctx, e, false).wait(ctx)
	return r.settle(ctx, e, err)
}

// Anew is Resolve for whoever was refused with a secret: unless another is there
// already, or that was done a moment ago, its system is asked again. Unavailable: it
// cannot be asked, and there is only the one that was refused.
func (r *Resolver) Anew(ctx context.Context, tenant tenure.TenantID, address string, refused tenure.Secret) (Found, error) {
	a, err := r.check(tenant, address)
	if err != nil {
		return Found{}, err
	}
	e, now := r.entry(key{tenant, address}, a), r.Now()
	r.mu.Lock()
	ask := (e.value.Secret.IsZero() || refused.Equal(e.value.Secret)) && now.Sub(e.forced) >= anewEvery
	if ask {
		e.forced = now
	}
	r.mu.Unlock()
	if !ask {
		return r.Resolve(ctx, tenant, address)
	}
	_, err = r.start(ctx, e, true).wait(ctx)
	found, settled := r.settle(ctx, e, err)
	if err != nil && settled == nil { // the last good one is the one that was refused
		return Found{}, unavailable(a, err)
	}
	return found, settled
}

// Forget drops what is kept for an address that nobody uses any more.
func (r *Resolver) Forget(tenant tenure.TenantID, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.kept, key{tenant, address})
}

// start asks the system behind an entry, unless it is being asked.
func (r *Resolver) start(ctx context.Context, e *entry, anew bool) *call[Value] {
	return e.flight.start(ctx, r.Now, anew, func(ctx context.Context) (Value, error) {
		began := r.Now()
		value, err := r.fetch(ctx, e)
		if r.Asked != nil {
			r.Asked(e.address.Scheme, r.Now().Sub(began), err)
		}
		r.note(ctx, e, began, value, err)
		return value, err
	})
}

// fetch asks the system, when there is room.
func (r *Resolver) fetch(ctx context.Context, e *entry) (v Value, err error) {
	room := r.slot(slot{e.key.tenant, e.address.Scheme})
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
	case <-ctx.Done():
		return Value{}, strange(e.address, "too many questions are waiting for its system")
	}
	defer func() {
		if p := recover(); p != nil {
			err = tripped(p)
		}
		if err != nil && !final(err) && !tenure.IsKind(err, tenure.Unavailable) {
			err = unavailable(e.address, err)
		}
	}()
	v, err = r.Systems[e.address.Scheme].Fetch(ctx, e.address)
	if err == nil {
		err = plausible(e.address, v.Secret)
	}
	return v, err
}

func (r *Resolver) slot(s slot) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	room := r.slots[s]
	if room == nil {
		if r.slots == nil {
			r.slots = make(map[slot]chan struct{})
		}
		room = make(chan struct{}, mostAtOnce)
		r.slots[s] = room
	}
	return room
}

// maxSecret is the longest secret, in bytes.
const maxSecret = 64 << 10

func plausible(a Address, s tenure.Secret) error {
	if s.IsZero() || len(s.Reveal()) > maxSecret {
		return &tenure.Error{Kind: tenure.NotFound, Code: "secret_empty", Msg: fmt.Sprintf("%s is empty, or longer than %d bytes", a, maxSecret)}
	}
	return nil
}

// final reports whether a system has answered that it gives no secret: asking again
// does not help.
func final(err error) bool {
	return tenure.IsKind(err, tenure.Forbidden) || tenure.IsKind(err, tenure.NotFound) || tenure.IsKind(err, tenure.Invalid)
}

// The errors that systems answer with.

func unavailable(a Address, err error) error {
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "secret_system_unavailable", RetryAfter: time.Second,
		Msg: fmt.Sprintf("%s cannot be read at the moment", a), Err: err,
	}
}

func denied(a Address, err error) error {
	return &tenure.Error{Kind: tenure.Forbidden, Code: "secret_denied", Msg: fmt.Sprintf("%s: Tenure may not read it there", a), Err: err}
}

func missing(a Address, what string) error {
	return &tenure.Error{Kind: tenure.NotFound, Code: "secret_not_found", Msg: fmt.Sprintf("%s: %s", a, what)}
}

func strange(a Address, what string) error {
	return unavailable(a, errors.New(what))
}
