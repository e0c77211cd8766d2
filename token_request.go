package tenure

import (
	"net/netip"
	"time"
)

// RequestID names a request for a token.
type RequestID string

// How long requests for tokens wait.
const (
	// RequestLife is how long a request waits to be decided on.
	RequestLife = 30 * 24 * time.Hour
	// ApprovalLife is how long an approval waits to be collected.
	ApprovalLife = 7 * 24 * time.Hour
)

// TokenRequest asks for a token of a service account with scopes of
// administration, which a second person grants. There is no token before its
// requester collects it.
type TokenRequest struct {
	ID          RequestID
	Tenant      TenantID
	Workspace   WorkspaceID
	Account     ServiceAccountID
	AccountName string // read along with the request
	Name        string // of the token
	Scopes      Scopes
	Models      Models
	Networks    []netip.Prefix
	Life        time.Duration // of the token, from its collection
	Reason      string
	Requester   UserID // empty: no person signed in asked, but the root token or an operator
	RequestedBy string
	RequestedAt time.Time
	Decision    string // why, in the words of who decided
	Decider     UserID
	DecidedBy   string
	DecidedAt   time.Time // zero: not yet
	Token       TokenID   // once it is collected
	Stored      string    // the state as it is stored, which State judges
}

// The states of a request for a token.
const (
	RequestPending   = "pending"
	RequestApproved  = "approved"
	RequestRejected  = "rejected"
	RequestWithdrawn = "withdrawn"
	RequestCollected = "collected"
	RequestLapsed    = "lapsed" // nobody decided, or collected, in time
)

// State says in one word how the request stands at now.
func (r TokenRequest) State(now time.Time) string {
	if r.Stored == RequestPending && !now.Before(r.RequestedAt.Add(RequestLife)) ||
		r.Stored == RequestApproved && !now.Before(r.DecidedAt.Add(ApprovalLife)) {
		return RequestLapsed
	}
	return r.Stored
}

// AskedBy reports whether p is who made the request. Those who act without being
// a person, the root token and operators, count as one.
func (r TokenRequest) AskedBy(p Principal) bool { return r.Requester == p.User() }
