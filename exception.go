package tenure

import (
	"fmt"
	"time"
)

// ExceptionID names an exception.
type ExceptionID string

// MaxException is the longest time from the beginning of an exception to its end. One
// that a hand made longer ends then.
const MaxException = 180 * 24 * time.Hour

// A Rule is what holds for everybody, and what an exception lets one thing off.
type Rule string

// The rules that an exception can open.
const (
	// RuleTokenLifetime is the policy's longest life of a token.
	RuleTokenLifetime Rule = "token_lifetime"
	// RuleTokenExpires is that a token has an end of its own.
	RuleTokenExpires Rule = "token_never_expires"
	// RuleBestEffort is that nothing is admitted without news from the database.
	RuleBestEffort Rule = "best_effort"
	// RuleMFAMissing is that the policy mfa asks for a second factor.
	RuleMFAMissing Rule = "mfa_missing"
	// RuleProviderNetwork is the policy's provider_networks.
	RuleProviderNetwork Rule = "provider_network"
	// RuleBeliefsRead is that nobody reads what another's beliefs say.
	RuleBeliefsRead Rule = "beliefs_read"
)

// Rules are those that an exception can open, each with what it is. Nobody modifies it.
func Rules() []RuleMeaning {
	return []RuleMeaning{
		{RuleTokenLifetime, "A token lives longer than the policy lets it: at most until the exception ends", []string{SubjectUser, SubjectAccount, SubjectWorkspace, SubjectTenant}},
		{RuleTokenExpires, "A token has no end of its own: it ends when the exception does", []string{SubjectUser, SubjectAccount, SubjectWorkspace, SubjectTenant}},
		{RuleBestEffort, "Tokens of a workspace go on while the database is away, for as long as it says and best_effort_max lets it", []string{SubjectWorkspace, SubjectTenant}},
		{RuleMFAMissing, "Somebody signs in without the second factor that the policy mfa asks for: their session ends when the exception does", []string{SubjectUser}},
		{RuleProviderNetwork, "A provider is in a private network or on this machine, where provider_networks lets none be", []string{SubjectProvider}},
		{RuleBeliefsRead, "Whoever asked for it reads what a person's beliefs say, and changes none of them; the person sees that it is so", []string{SubjectUser}},
	}
}

// RuleMeaning says what an exception of a rule lets happen, and of what kinds of things.
type RuleMeaning struct {
	Rule     Rule
	What     string
	Subjects []string
}

// The kinds of things that exceptions are for.
const (
	SubjectTenant    = "tenant"
	SubjectWorkspace = "workspace"
	SubjectUser      = "user"
	SubjectAccount   = "service_account"
	SubjectProvider  = "provider"
)

// Risk is how likely harm is, and how bad it would be: low, medium or high each.
type Risk struct{ Likelihood, Impact string }

// Rating is what follows from both: low, medium, high or critical.
func (r Risk) Rating() string {
	levels := map[string]int{"low": 1, "medium": 2, "high": 3}
	switch n := levels[r.Likelihood] * levels[r.Impact]; {
	case n >= 9:
		return "critical"
	case n >= 6:
		return "high"
	case n >= 3:
		return "medium"
	}
	return "low"
}

// Exception lets one rule not hold for one thing, from one instant to another.
type Exception struct {
	ID           ExceptionID
	Tenant       TenantID
	Title        string
	Rule         Rule
	Kind         string // of what it is for: SubjectUser, …
	Subject      string // its id; of the tenant the tenant's
	SubjectName  string // read along: its name today, or empty
	BaseURL      string // read along: where the provider that it is for says that it is
	Workspace    WorkspaceID
	For          UserID // the person whom it is for, or empty
	Reason       string
	Before       Risk // without what compensates
	After        Risk // with it
	Controls     string
	Check        string // the live check that must not fail, or empty
	CheckedAt    time.Time
	Requester    UserID // empty: no person signed in asked
	RequestedBy  string
	RequestedAt  time.Time
	From         time.Time
	ExpiresAt    time.Time // End says when it ends
	Owner        UserID    // of the remedy
	OwnerName    string    // read along
	Plan         string
	RemedyBy     time.Time
	Decision     string // "", ExceptionApproved, ExceptionRejected or ExceptionWithdrawn
	Decider      UserID
	DecidedBy    string
	DecidedAt    time.Time
	Why          string // it was decided so
	RevokedAt    time.Time
	RevokedBy    string
	RevokedWhy   string
	FailedAt     time.Time // what compensates was found failing
	FailedWhy    string
	RemediatedAt time.Time
	RemediatedBy string
	Renews       ExceptionID // the one before
	Successor    ExceptionID // the one that took its place, with what hung on it
}

// The states of an exception. Those that are stored are what was decided on it.
const (
	ExceptionSubmitted  = "submitted"
	ExceptionApproved   = "approved" // and not begun
	ExceptionActive     = "active"   // in force
	ExceptionExpired    = "expired"
	ExceptionRevoked    = "revoked"
	ExceptionRejected   = "rejected"
	ExceptionWithdrawn  = "withdrawn"
	ExceptionFailed     = "failed_control"
	ExceptionRemediated = "remediated"
	ExceptionRenewed    = "renewed" // another took its place
)

// End is when the exception ends by the clock.
func (x Exception) End() time.Time {
	if longest := x.From.Add(MaxException); x.ExpiresAt.After(longest) {
		return longest
	}
	return x.ExpiresAt
}

// State says in one word how the exception stands at now.
func (x Exception) State(now time.Time) string {
	switch {
	case x.Decision == ExceptionRejected || x.Decision == ExceptionWithdrawn:
		return x.Decision
	case !x.RevokedAt.IsZero():
		return ExceptionRevoked
	case !x.RemediatedAt.IsZero():
		return ExceptionRemediated
	case x.Successor != "":
		return ExceptionRenewed
	case !now.Before(x.End()):
		return ExceptionExpired
	case x.Decision != ExceptionApproved:
		return ExceptionSubmitted
	case !x.FailedAt.IsZero():
		return ExceptionFailed
	case now.Before(x.From):
		return ExceptionApproved
	}
	return ExceptionActive
}

// AskedBy reports whether p is who asked. Those who act without being a person, the
// root token and operators, count as one.
func (x Exception) AskedBy(p Principal) bool { return x.Requester == p.User() }

// Deviation is the thing for which a rule is not to hold: of a token its tenant, its
// workspace, and its person or service account; of a workspace its tenant and itself; of a
// session, and of beliefs, its person; of a provider its tenant, its workspace and itself.
type Deviation struct {
	Tenant    TenantID
	Workspace WorkspaceID
	User      UserID
	Account   ServiceAccountID
	Provider  ProviderID
}

// Covers reports whether the exception is for the thing.
func (x Exception) Covers(d Deviation) bool {
	var id string
	switch x.Kind {
	case SubjectTenant:
		id = string(d.Tenant)
	case SubjectWorkspace:
		id = string(d.Workspace)
	case SubjectUser:
		id = string(d.User)
	case SubjectAccount:
		id = string(d.Account)
	case SubjectProvider:
		id = string(d.Provider)
	}
	return id != "" && id == x.Subject
}

// Opens answers nil when the exception lets the thing off the rule at now, and else
// Invalid, and why it does not.
func (x Exception) Opens(rule Rule, d Deviation, now time.Time) error {
	refuse := func(format string, args ...any) error {
		return InvalidField("exception", "the exception %s "+format, append([]any{x.ID}, args...)...)
	}
	switch state := x.State(now); {
	case x.Rule != rule:
		return refuse("is of the rule %s, and this needs one of %s", x.Rule, rule)
	case !x.Covers(d):
		return refuse("is for something else: %s", x.About())
	case state == ExceptionApproved:
		return refuse("begins on %s", x.From.UTC().Format(time.RFC3339))
	case state != ExceptionActive:
		return refuse("is not in force: %s", ExceptionWords(state))
	}
	return nil
}

// About says in words what the exception is for.
func (x Exception) About() string {
	name := x.SubjectName
	if name == "" {
		name = x.Subject
	}
	switch x.Kind {
	case SubjectTenant:
		return "the whole tenant"
	case SubjectAccount:
		return "service account " + name
	case SubjectUser:
		return "person " + name
	}
	return fmt.Sprintf("%s %s", x.Kind, name)
}

// ExceptionWords says a state to people.
func ExceptionWords(state string) string {
	switch state {
	case ExceptionSubmitted:
		return "waits for approval"
	case ExceptionFailed:
		return "its control failed"
	case ExceptionApproved:
		return "approved, not begun"
	}
	return state
}
