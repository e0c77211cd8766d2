package tenure

import (
	"slices"
	"strings"
	"time"
)

// ReviewID names an access review.
type ReviewID string

// ReviewKind is the kind of thing that an item of a review is about.
type ReviewKind string

// The kinds of item.
const (
	ReviewPerson     ReviewKind = "person"          // somebody may sign in
	ReviewRole       ReviewKind = "role"            // and has a role in the tenant above member
	ReviewMembership ReviewKind = "membership"      // and is something in a workspace
	ReviewPAT        ReviewKind = "personal_token"  // a personal access token
	ReviewService    ReviewKind = "service_token"   // a token of a service account
	ReviewAccount    ReviewKind = "service_account" // a service account
	ReviewConnector  ReviewKind = "scim_connector"  // an identity provider's way in
	ReviewKey        ReviewKind = "provider_key"    // a key of a model provider
	ReviewProxy      ReviewKind = "trusted_proxy"   // networks whose identity header is believed: a setting
	ReviewOIDC       ReviewKind = "oidc_connection" // an identity provider by which people sign in
	ReviewException  ReviewKind = "exception"       // what lets a rule not hold
	ReviewRoot       ReviewKind = "root_token"      // the root token: break-glass
)

// ReviewKinds are the kinds of item, in the order in which a review has them. Nobody
// modifies it.
var ReviewKinds = [...]ReviewKind{
	ReviewPerson, ReviewRole, ReviewMembership, ReviewPAT, ReviewService, ReviewAccount, ReviewConnector, ReviewOIDC, ReviewKey, ReviewException,
	ReviewProxy, ReviewRoot,
}

// ParseReviewKinds reads kinds of item. Invalid: one of them is none.
func ParseReviewKinds(names []string) ([]ReviewKind, error) {
	var out []ReviewKind
	for _, name := range names {
		k := ReviewKind(name)
		if !slices.Contains(ReviewKinds[:], k) {
			return nil, InvalidField("kinds", "%q is no kind of item; the kinds are %s", Shown(name), JoinKinds(ReviewKinds[:], ", "))
		}
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out, nil
}

// JoinKinds writes kinds of item one after the other.
func JoinKinds(kinds []ReviewKind, between string) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, between)
}

// Decision is what a reviewer has decided about an item; "" is nothing yet.
type Decision string

// The decisions.
const (
	DecideKeep    Decision = "keep"
	DecideRevoke  Decision = "revoke"
	DecideChange  Decision = "change"  // to something else, or found to be changed by somebody
	DecideAbstain Decision = "abstain" // it goes to the administrators
)

// Decisions are the decisions. Nobody modifies it.
var Decisions = [...]Decision{DecideKeep, DecideRevoke, DecideChange, DecideAbstain}

// What becomes of items that nobody has decided by the due date.
const (
	UnansweredEscalate = "escalate" // they go to the administrators, with a second due date
	UnansweredRevoke   = "revoke"
)

// Review is a campaign in which everything that gives access is looked at once.
type Review struct {
	ID         ReviewID
	Tenant     TenantID
	Title      string
	Kinds      []ReviewKind  // of items; none: all
	Workspaces []WorkspaceID // whose items; none: all, and what lies in none
	From       time.Time     // the period that it is about; it ends with OpenedAt
	OpenedAt   time.Time
	OpenedBy   string // for people
	Automatic  bool   // opened because the policy says so
	DueAt      time.Time
	SecondDue  time.Time // of what was escalated
	Unanswered string    // UnansweredEscalate or UnansweredRevoke
	Items      int64
	Snapshot   string    // SHA-256 over the items as they were taken, in hexadecimal
	OverdueAt  time.Time // when what was unanswered at the due date was taken up; zero: not yet
	ClosedAt   time.Time // zero: it is open
	ClosedBy   string
	CloseWhy   string
	Report     string // signed; "" until it is
}

// ReviewItem is one thing that gives access, as it was when the review was opened, and
// what was decided about it.
type ReviewItem struct {
	Review ReviewID
	Tenant TenantID
	N      int64 // in the review, from 1
	ReviewSubject
	Reviewer     UserID // who is to decide; "": any administrator
	ReviewerName string // read along
	Given        bool   // somebody has given it to the reviewer, or the due date to the administrators
	Decision     Decision
	Reason       string
	Change       string    // what it is to be changed to, or what somebody is to do about it
	ChangeOwner  string    // who is to do it; "": it was carried out
	ChangeDue    time.Time // by when
	DecidedAt    time.Time
	DecidedBy    string // for people
	DecidedUser  UserID
	Together     int64         // how many items the same act has decided
	Version      int64         // how often it was decided
	EndedAt      time.Time     // what was revoked was tried, and is dead
	Took         time.Duration // from the decision until then
	Failure      string        // why it is not dead yet
	Attempts     int64
	ClaimedUntil time.Time // somebody is at it: it is being ended, or changed
	GoneAt       time.Time // it was found to be not there any more, or changed, before anybody decided
	GoneWhy      string
}

// ReviewSubject is what an item is about.
type ReviewSubject struct {
	Kind          ReviewKind
	Subject       string // id
	Name          string
	Person        UserID // whose access it is; "": no person's
	Workspace     WorkspaceID
	WorkspaceName string
	Grant         string  // a role, scopes, …
	Source        string  // "direct", a group's name, …
	Via           GroupID // the group that gives it; "": none
	GrantedAt     time.Time
	GrantedBy     string
	LastUsedAt    time.Time
	ExpiresAt     time.Time
	Flags         string // words with spaces between them
}

// The flags of an item.
const (
	FlagUnused        = "unused"   // for 90 days
	FlagAdmin         = "admin"    // it administers
	FlagNoOwner       = "no_owner" // nobody who is there answers for it
	FlagEndless       = "never_expires"
	FlagLong          = "long_lived" // it is good for more than 180 days to come
	FlagShared        = "break_glass"
	FlagException     = "exception"               // it hangs on one
	FlagNoIndependent = "no_independent_reviewer" // nobody but whose it is could decide
)

// Open reports whether an item waits for a decision, or for what was decided to be true.
func (i ReviewItem) Open() bool {
	switch {
	case !i.GoneAt.IsZero():
		return false
	case i.Decision == DecideRevoke:
		return i.EndedAt.IsZero()
	}
	return i.Decision == "" || i.Decision == DecideAbstain
}

// Undecided reports whether an item waits for a decision.
func (i ReviewItem) Undecided() bool { return i.Open() && i.Decision != DecideRevoke }

// State says in one word where an item stands.
func (i ReviewItem) State() string {
	switch {
	case !i.GoneAt.IsZero():
		return "gone"
	case i.Decision == "":
		return "undecided"
	case i.Decision == DecideAbstain:
		return "abstained"
	case i.Decision == DecideRevoke && !i.EndedAt.IsZero():
		return "revoked"
	case i.Decision == DecideRevoke && i.Failure != "":
		return "failed"
	case i.Decision == DecideRevoke:
		return "revoking"
	case i.Decision == DecideChange && i.ChangeOwner == "":
		return "changed"
	case i.Decision == DecideChange:
		return "finding"
	}
	return "kept"
}
