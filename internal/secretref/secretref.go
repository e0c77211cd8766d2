// Package secretref resolves secrets that are kept elsewhere: an address in, a secret
// and until when it may be used out. It owns the form of addresses, which tenant may
// name which, how each system is asked, and how long an answer is good.
//
// It stores nothing, and keeps a secret in memory only: for a minute at most, and
// through an outage for as long as Lasting is told.
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
	keepFor    = time.Minute      // the longest that a secret is used without asking again
	fetchLimit = 5 * time.Second  // one question to a system
	mostKept   = 10000            // secrets; beyond them, those that are over are dropped
	runEvery   = time.Second      // looks at mounted files
	tendEvery  = 10 * time.Second // looks at leases of credentials
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

// Resolver gives secrets for their addresses. Its fields are set before first use.
type Resolver struct {
	// Allow are the addresses that tenants may name.
	Allow Rules
	// Systems are the places, by the scheme of their addresses.
	Systems map[string]System
	Now     func() time.Time
	// Changed is told of an address whose mounted file has changed, by Run; nil: nobody.
	Changed func(tenant tenure.TenantID, address string)

	mu   sync.Mutex
	kept map[key]*entry
}

type key struct {
	tenant  tenure.TenantID
	address string
}

// entry is one secret, or the question for it that is under way.
type entry struct {
	address Address
	asking  chan struct{} // closed when the answer is there; nil: nobody asks
	value   Value
	err     error     // of the last question
	tried   time.Time // when the last question began
	asked   time.Time // when the one began that value answers
	until   time.Time // value is good before that; zero: there is none
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
	if !r.Allow.Names(tenant, a) {
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

// Resolve gives the secret at an address, and until when it may be used. However many
// ask at once, its system is asked once, and at most once a minute unless the secret
// ends sooner; before that it is asked anew while the secret that is there is used.
// Errors are those of Check and of System.
func (r *Resolver) Resolve(ctx context.Context, tenant tenure.TenantID, address string) (tenure.Secret, time.Time, error) {
	a, err := r.check(tenant, address)
	if err != nil {
		return tenure.Secret{}, time.Time{}, err
	}
	now := r.Now()
	r.mu.Lock()
	e := r.entry(key{tenant, address}, a, now)
	good := now.Before(e.until)
	// The last quarter of its time is for asking anew.
	due := now.Sub(e.asked) >= e.until.Sub(e.asked)*3/4 && now.Sub(e.tried) >= time.Second
	if e.asking == nil && (!good || due) {
		e.asking, e.tried = make(chan struct{}), now
		go r.ask(context.WithoutCancel(ctx), e, now)
	}
	value, until, asking := e.value, e.until, e.asking
	r.mu.Unlock()
	if good {
		return value.Secret, until, nil
	}
	select {
	case <-asking:
	case <-ctx.Done():
		return tenure.Secret{}, time.Time{}, unavailable(a, ctx.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.err != nil {
		return tenure.Secret{}, time.Time{}, e.err
	}
	if e.value.Secret.IsZero() { // its file changed again
		return tenure.Secret{}, time.Time{}, strange(a, "it changed while it was read")
	}
	return e.value.Secret, e.until, nil
}

// entry finds or makes the entry of a key. r.mu is held.
func (r *Resolver) entry(k key, a Address, now time.Time) *entry {
	e := r.kept[k]
	if e == nil {
		if r.kept == nil {
			r.kept = make(map[key]*entry)
		}
		if len(r.kept) >= mostKept {
			r.sweep(now)
		}
		e = &entry{address: a}
		r.kept[k] = e
	}
	return e
}

// sweep drops what is over. r.mu is held.
func (r *Resolver) sweep(now time.Time) {
	for k, e := range r.kept {
		if e.asking == nil && !now.Before(e.until) {
			delete(r.kept, k)
		}
	}
}

// ask asks the system, and tells whoever waits.
func (r *Resolver) ask(ctx context.Context, e *entry, asked time.Time) {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	value, err := r.Systems[e.address.Scheme].Fetch(ctx, e.address)
	if err == nil {
		err = plausible(e.address, value.Secret)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.err = err
	switch {
	case err == nil:
		e.value, e.asked, e.until = value, asked, asked.Add(keepFor)
		if !value.Until.IsZero() && value.Until.Before(e.until) {
			e.until = value.Until
		}
	case !tenure.IsKind(err, tenure.Unavailable): // it is there no more, or not for us
		e.value, e.until = Value{}, time.Time{}
	}
	close(e.asking)
	e.asking = nil
}

// maxSecret is the longest secret, in bytes.
const maxSecret = 64 << 10

func plausible(a Address, s tenure.Secret) error {
	if s.IsZero() || len(s.Reveal()) > maxSecret {
		return &tenure.Error{Kind: tenure.NotFound, Code: "secret_empty", Msg: fmt.Sprintf("%s is empty, or longer than %d bytes", a, maxSecret)}
	}
	return nil
}

// Run watches mounted files and keeps the credentials of systems alive until ctx ends.
func (r *Resolver) Run(ctx context.Context) {
	tick := time.NewTicker(runEvery)
	defer tick.Stop()
	tended := r.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.look()
		if now := r.Now(); now.Sub(tended) >= tendEvery {
			tended = now
			r.tend(ctx)
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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(r.Now())
}

// look drops secrets whose mounted file has changed, and tells of them.
func (r *Resolver) look() {
	type watched struct {
		k    key
		a    Address
		mark string
	}
	var all []watched
	r.mu.Lock()
	for k, e := range r.kept {
		if e.value.mark != "" {
			all = append(all, watched{k, e.address, e.value.mark})
		}
	}
	r.mu.Unlock()
	for _, one := range all {
		files, ok := r.Systems[one.a.Scheme].(*Files)
		if !ok || files.mark(one.a) == one.mark {
			continue
		}
		r.mu.Lock()
		if e := r.kept[one.k]; e != nil && e.value.mark == one.mark {
			e.value, e.until = Value{}, time.Time{}
		}
		r.mu.Unlock()
		if r.Changed != nil {
			r.Changed(one.k.tenant, one.k.address)
		}
	}
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
