package tenure

import "time"

// TrustRequestID names a request for evidence.
type TrustRequestID string

// Who may read a tenant's trust page: the words of the policy trust_page.
const (
	TrustOff    = "off"    // nobody
	TrustPeople = "people" // who is signed in
	TrustPublic = "public" // everybody
)

// TrustRequest asks for evidence: an item that an administrator answers or declines.
type TrustRequest struct {
	ID           TrustRequestID
	Tenant       TenantID
	At           time.Time
	User         UserID // empty: nobody signed in asked
	Name         string
	Email        string // where the answer goes
	Organisation string
	Wants        []string // of TrustTopics
	Message      string
	Address      string // of the client
	State        string
	ClosedAt     time.Time // zero: it waits
	ClosedBy     string
	Answer       string // what was sent, or why nothing is
}

// The states of a request for evidence.
const (
	TrustOpen     = "open"
	TrustAnswered = "answered"
	TrustDeclined = "declined"
)

// TrustTopic is a kind of evidence that can be asked for.
type TrustTopic struct{ Name, What string }

// TrustTopics lists the evidence that can be asked for.
func TrustTopics() []TrustTopic {
	return []TrustTopic{
		{"authentication", "How people and programs sign in, as configured"},
		{"responsibility", "Who runs what: shared responsibility"},
		{"encryption", "Encryption and the management of keys"},
		{"architecture", "Security architecture and trust boundaries"},
		{"leavers", "Joiners, movers and leavers, with times"},
		{"access", "Roles, grants and who gave them"},
		{"privileged", "Privileged acts and uses of the root token"},
		{"exceptions", "Exceptions from the rules"},
		{"reviews", "Access reviews"},
		{"audit", "The audit log's checkpoint and proofs"},
	}
}

// TrustReview is when somebody last read a trust page and found it true.
type TrustReview struct {
	At   time.Time // zero: never
	By   string
	Read string // digest of what it said then; "": not known
}
