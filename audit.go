package tenure

import (
	"context"
	"time"
)

// KeptAtLeast is how long an event of the audit log is kept whatever anybody wants, but
// the operator.
const KeptAtLeast = 90 * 24 * time.Hour

// MaxAuditRetention is the longest time for which a tenant says that events are kept; to
// keep them longer, they are kept for ever.
const MaxAuditRetention = 36_500 * 24 * time.Hour

// AuditEvent is one thing that happened, as the audit log keeps it. The
// constructors in internal/audit are the only vocabulary of Action.
type AuditEvent struct {
	ID        string
	Seq       int64 // its place in the log
	At        time.Time
	Tenant    TenantID
	Workspace WorkspaceID // empty when it concerns no workspace
	Action    string      // past tense: "token.revoked"
	ActorKind string      // CredentialKind of who did it, or "system"
	ActorID   string
	Actor     string // for people
	ObjectID  string
	Object    string // for people; never a secret
	Outcome   string // "success" or "refused"
	Reason    string
	RequestID string
	Address   string
	Detail    map[string]string // further facts; never a secret
	Salt      []byte            // random; under it what may be about a person is bound to the event
	Erased    []byte            // what binds it, where what may be about a person was erased; else nil
}

// Origin is where a request came from, as its audit events tell it.
type Origin struct {
	RequestID string
	Address   string // the client's address
	UserAgent string
	// Background tells that a page asked by itself: nobody used the session.
	Background bool
}

// OriginKey is the key under which a context carries an *Origin.
type OriginKey struct{}

// WithOrigin returns a context that carries o.
func WithOrigin(ctx context.Context, o *Origin) context.Context {
	return context.WithValue(ctx, OriginKey{}, o)
}

// OriginOf gives the origin that ctx carries, or an empty one.
func OriginOf(ctx context.Context) Origin {
	if o, ok := ctx.Value(OriginKey{}).(*Origin); ok {
		return *o
	}
	return Origin{}
}
