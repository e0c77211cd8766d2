package tenure

import (
	"context"
	"sync/atomic"
	"time"
)

// Once is a request that its sender may repeat and that must be carried out one
// time at most: what an Idempotency-Key stands for. The store notes it in the
// first transaction of the context that carries it, so that what was made and
// the note of it are there together or not at all.
type Once struct {
	Tenant  TenantID
	Actor   string // who asks: a key is nobody else's
	Key     string // SHA-256 of the key, in hexadecimal
	Request string // SHA-256 of what is asked, in hexadecimal

	noted atomic.Bool
}

// OnceLife is for how long a request is known again.
const OnceLife = 24 * time.Hour

// ErrRepeated is the answer of a transaction whose request was carried out before.
var ErrRepeated = &Error{Kind: Conflict, Code: "repeated_request", Msg: "a request with this Idempotency-Key was carried out before"}

// Answer is what a request was answered with.
type Answer struct {
	Request string // of the Once
	Status  int    // 0: it was carried out, and the answer is not known
	Body    []byte // without secrets
	At      time.Time
}

type onceKey struct{}

// WithOnce returns a context whose first transaction notes o; nil: notes nothing.
func WithOnce(ctx context.Context, o *Once) context.Context {
	return context.WithValue(ctx, onceKey{}, o)
}

// OnceOf gives what ctx carries and no transaction has noted yet, or nil.
func OnceOf(ctx context.Context) *Once {
	if o, ok := ctx.Value(onceKey{}).(*Once); ok && o != nil && !o.Noted() {
		return o
	}
	return nil
}

// Note tells that a transaction with the note was committed.
func (o *Once) Note() { o.noted.Store(true) }

// Noted reports whether one was.
func (o *Once) Noted() bool { return o.noted.Load() }
