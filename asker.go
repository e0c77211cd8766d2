package tenure

import "context"

// AskerKey is the key under which a context carries a *Principal: the one whose
// request it belongs to.
type AskerKey struct{}

// AskerOf gives the principal whose request ctx belongs to. It is not valid
// where nobody asks.
func AskerOf(ctx context.Context) Principal {
	if p, ok := ctx.Value(AskerKey{}).(*Principal); ok && p != nil {
		return *p
	}
	return Principal{}
}

// WithAsker is for work that somebody asked for and that is done after their request: a
// transaction of the context it returns asks whether they still may.
func WithAsker(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, AskerKey{}, &p)
}

// WithoutAsker is for what is done about a request after its act, or whoever has
// asked: a transaction of the context it returns asks nobody whether they still may.
// Its reach stays what it was.
func WithoutAsker(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, ReachKey{}, ReachOf(ctx))
	return context.WithValue(ctx, AskerKey{}, (*Principal)(nil))
}

// WithoutOrigin is for what a request only set off, and would have been done without it:
// what is written down of it is not that request's.
func WithoutOrigin(ctx context.Context) context.Context {
	return context.WithValue(ctx, OriginKey{}, &Origin{})
}

// ErrRoleChanged is the answer to somebody whose role in the tenant has changed
// since their request was admitted.
var ErrRoleChanged = &Error{
	Kind: Forbidden, Code: "role_changed",
	Msg: "your role has changed while the request was running, and nothing was done; ask again",
}
