package tenure

import (
	"net/netip"
	"time"
)

// CredentialKind is the kind of thing that a request was authenticated by.
type CredentialKind uint8

// The kinds of credential. The zero value is none of them.
const (
	PAT              CredentialKind = iota + 1 // personal access token
	ServiceToken                               // token of a service account
	BrowserSession                             // cookie of a signed-in browser
	AssertedIdentity                           // header set by a trusted proxy
	ConnectorToken                             // SCIM connector's bearer token
	RootToken                                  // bootstrap and emergency token
	Operator                                   // command line on the machine that holds the data
)

// String is the word used in logs and audit events.
func (k CredentialKind) String() string {
	switch k {
	case PAT:
		return "pat"
	case ServiceToken:
		return "service_token"
	case BrowserSession:
		return "session"
	case AssertedIdentity:
		return "asserted_identity"
	case ConnectorToken:
		return "scim_connector"
	case RootToken:
		return "root"
	case Operator:
		return "operator"
	}
	return "none"
}

// Standing is what is known of one credential and its owner at one instant, as
// read from the store (or, for tokens that the operator sets, the configuration).
// It is read and never modified once it is shared.
type Standing struct {
	Kind           CredentialKind
	Tenant         TenantID
	TenantActive   bool
	Workspace      WorkspaceID // empty for credentials that are not bound to one
	User           UserID
	UserName       string
	UserActive     bool
	Role           Role // in the tenant
	Source         Source
	WorkspaceRole  Role // in Workspace; empty: no member
	ServiceAccount ServiceAccountID
	AccountActive  bool
	Token          TokenID
	Digest         Digest // of the token; of a root session, of the token that opened it
	Session        SessionID
	Name           string // the token's or connector's name
	Connector      ConnectorID
	Networks       []netip.Prefix // from where a token is good; empty: from anywhere
	Scopes         Scopes
	Models         Models // of a token, what it may ask
	SpaceModels    Models // of its workspace, what may be asked there
	// Outage says how long an access token goes on without news from the database.
	Outage    Outage
	ExpiresAt time.Time // the credential's own end, its service account's, or that of its exception; zero: never
	NotBefore time.Time // the beginning of the exception that it hangs on; zero: of none
	Ended     bool      // revoked, rotated away, signed out
	Line      TokenID   // the first token of the token's line of rotations
	RotatedAt time.Time // when a newer secret took a token's place; zero: it is the newest
	// AuthAt is when a person signed in or was asserted last, and SeenAt when
	// their session was used before; both zero for what is no session. Of a person
	// whom a proxy's signed assertion names, AuthAt is when they showed the proxy
	// who they are; zero there: with this very request.
	AuthAt time.Time
	SeenAt time.Time
	Via    string // how a session was opened, or who asks asserted, as in SignIn; empty for others
	ACR    string // of the sign-in, as in SignIn
	AMR    string // likewise
	Lapsed bool   // the session was once idle for too long to administer with
	// Limits are those of a session, by the tenant's policy.
	Limits SessionLimits
	// Factor is the second factor of a person who is signed in, and zero for all else.
	Factor SecondFactor
	// Extract is when beliefs are drawn out of a personal access token's turns.
	Extract Extracting
}

// Outage is how long an access token goes on without news from the database, as its
// workspace and the tenant's policy say, and the exception lets it. The zero value: no
// longer than everything.
type Outage struct {
	Grace       time.Duration
	By          ExceptionID // of RuleBestEffort
	From, Until time.Time   // when that is in force
}

// GraceAt is how long that is at now: nothing, unless the exception is in force then.
func (o Outage) GraceAt(now time.Time) time.Duration {
	if now.Before(o.From) || !now.Before(o.Until) {
		return 0
	}
	return o.Grace
}

// SessionLimits are how long a session lives, and administers. The zero value
// lets nobody in for longer than an instant.
type SessionLimits struct {
	Idle      time.Duration // without use
	Life      time.Duration // at all
	AdminIdle time.Duration // without use, to administer
	Reauth    time.Duration // since the sign-in, for what is dangerous
}

// Principal is the subject that asks, as established by exactly one credential
// that was alive at that instant. It is made by Standing.Admit and nowhere
// else; the zero Principal may do nothing.
type Principal struct {
	standing *Standing
	at       time.Time
	asOf     uint64
	// bestEffort is set for whoever is admitted by what was known before an outage.
	bestEffort bool
}

// Admit is the liveness check that every kind of credential passes. asOf is the
// generation of the change feed that was current before the standing was
// looked up. It answers Unauthenticated for a credential that is dead, and
// Forbidden for a person who is known but deactivated, or signed in without the
// second factor that is asked of all. It never tells an outsider why a token is dead.
func (s *Standing) Admit(now time.Time, asOf uint64) (Principal, error) {
	if s == nil || s.Ended || !s.TenantActive || s.ExpiredAt(now) || now.Before(s.NotBefore) {
		return Principal{}, ErrInvalidToken
	}
	alive := false
	switch s.Kind {
	case PAT:
		alive = s.User != "" && s.UserActive && s.Workspace != "" && s.WorkspaceRole != ""
	case ServiceToken:
		alive = s.ServiceAccount != "" && s.AccountActive && s.Workspace != ""
	case BrowserSession:
		if s.User != "" && !s.UserActive {
			return Principal{}, ErrDeactivated
		}
		alive = s.Session != "" && (s.User != "" || s.Role == SuperAdmin)
	case AssertedIdentity:
		if !s.UserActive {
			return Principal{}, ErrDeactivated
		}
		alive = s.User != ""
	case ConnectorToken, RootToken, Operator:
		alive = true
	}
	if !alive {
		return Principal{}, ErrInvalidToken
	}
	if s.Factor.Of == MFAAll && s.Factor.Missing() {
		return Principal{}, s.ErrMFA()
	}
	return Principal{standing: s, at: now, asOf: asOf}, nil
}

// ExpiredAt reports whether the credential's own end lies at or before now.
func (s *Standing) ExpiredAt(now time.Time) bool {
	return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
}

// Standing gives the facts behind the principal, to be read only.
func (p Principal) Standing() *Standing {
	if p.standing == nil {
		return &Standing{}
	}
	return p.standing
}

// Valid reports whether the principal was made by Admit.
func (p Principal) Valid() bool { return p.standing != nil }

// At is the instant at which the principal was admitted.
func (p Principal) At() time.Time { return p.at }

// AsOf is the generation of the change feed before the look-up: if the feed has
// moved since, the standing may be out of date.
func (p Principal) AsOf() uint64 { return p.asOf }

// ByMemory is the principal as one who is admitted although the database has been
// silent for longer than anybody but those of such a workspace may go on.
func (p Principal) ByMemory() Principal {
	p.bestEffort = p.Valid()
	return p
}

// BestEffort reports whether the principal was admitted by what was known before an
// outage of the database (ByMemory). Each such use is told in the audit.
func (p Principal) BestEffort() bool { return p.bestEffort }

// Kind is the kind of the credential.
func (p Principal) Kind() CredentialKind { return p.Standing().Kind }

// IsRoot reports whether the root token is behind the principal: itself, or in a
// session that it opened.
func (p Principal) IsRoot() bool {
	return p.Kind() == RootToken || p.Kind() == BrowserSession && p.User() == ""
}

// Tenant is the tenant in whose context everything is judged.
func (p Principal) Tenant() TenantID { return p.Standing().Tenant }

// Workspace is the workspace that the credential brings, or empty.
func (p Principal) Workspace() WorkspaceID { return p.Standing().Workspace }

// User is the person behind the credential, or empty.
func (p Principal) User() UserID { return p.Standing().User }

// Account is the service account behind the credential, or empty.
func (p Principal) Account() ServiceAccountID { return p.Standing().ServiceAccount }

// Token is the token that was presented, or empty.
func (p Principal) Token() TokenID { return p.Standing().Token }

// Line is the first token of the line of rotations of the token that was presented: what
// is counted of a token goes on when its secret is another.
func (p Principal) Line() TokenID { return p.Standing().Line }

// Session is the browser session that was presented, or empty.
func (p Principal) Session() SessionID { return p.Standing().Session }

// Label names the principal for people and for the audit log: the userName, or
// the kind and name of what is not a person. It is never a secret.
func (p Principal) Label() string { return p.Standing().Label() }

// Label names whom a credential stands for, whether it is good or not.
func (s *Standing) Label() string {
	switch {
	case s.UserName != "":
		return s.UserName
	case s.Kind == ConnectorToken:
		return "scim:" + s.Name
	case s.Name != "":
		return s.Kind.String() + ":" + s.Name
	}
	return s.Kind.String()
}
