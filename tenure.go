// Package tenure is the vocabulary that every room of the product speaks:
// tenants, workspaces, users, credentials, principals, tokens, scopes, actions,
// roles, secrets, errors and audit events.
//
// It owns the meaning of those words and the one liveness check that every
// credential passes (Standing.Admit). It does no I/O and imports nothing but
// the standard library; it never decides who may do what (internal/access does).
package tenure

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// Identifiers. All are opaque text; those that Tenure makes are UUIDs of
// version 7 (RFC 9562 §5.7), so that they sort by the time of their making.
type (
	// TenantID names one customer organisation.
	TenantID string
	// WorkspaceID names a part of a tenant, unique over all tenants.
	WorkspaceID string
	// UserID names a person; it is the SCIM "id" (RFC 7643 §3.1).
	UserID string
	// ServiceAccountID names a non-human owner of tokens.
	ServiceAccountID string
	// TokenID names a token's row. It is not a secret.
	TokenID string
	// SessionID names a browser session's row. It is not the cookie's value.
	SessionID string
	// ProviderID names a provider credential of a workspace.
	ProviderID string
	// KeyID names one version of a key of a provider.
	KeyID string
)

// The tenant and the workspace that a fresh database has.
const (
	DefaultTenant    TenantID    = "default"
	DefaultWorkspace WorkspaceID = "default"
)

// NewID returns a fresh UUID of version 7 for the instant now, in the usual
// text form (RFC 9562 §4). The 12 bits after the milliseconds are a finer part of
// the time (§6.2, method 3), so that ids sort to a quarter of a microsecond; 62
// bits are random.
func NewID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // crypto/rand never fails (Go 1.24 and later)
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	fine := now.Nanosecond() % 1e6 << 12 / 1e6
	b[6], b[7] = byte(fine>>8)|0x70, byte(fine)
	b[8] = b[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// Source tells who made Tenure know a user.
type Source string

// The sources of users.
const (
	SourceSCIM  Source = "scim"  // provisioned by the identity provider
	SourceProxy Source = "proxy" // first seen as an identity asserted by the trusted proxy
	SourceOIDC  Source = "oidc"  // first seen signing in by OpenID Connect
)

// User is a person of a tenant.
type User struct {
	ID          UserID
	Tenant      TenantID
	UserName    string // as given; unique in the tenant without regard to case (RFC 7643 §4.1.1)
	DisplayName string
	ExternalID  string // the provisioning client's own identifier (RFC 7643 §3.1)
	Active      bool
	Role        Role // the role in the tenant
	Source      Source
	// Profile is the SCIM resource as the provisioning client sent it, as a JSON
	// object, without the attributes that have fields of their own here.
	Profile       []byte
	Version       int64 // grows with every change; the SCIM ETag is made of it
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DeactivatedAt time.Time // zero while active
	LastSeenAt    time.Time // zero before the first sign-in
}

// FoldUserName is the form of a userName by which two are compared: RFC 7643
// §4.1.1 makes userName case-insensitive.
func FoldUserName(name string) string { return strings.ToLower(name) }

// MaxUserName is the longest userName that Tenure stores, in bytes.
const MaxUserName = 255

// Tenant is one customer organisation.
type Tenant struct {
	ID        TenantID
	Name      string // unique
	Active    bool   // false: suspended, every credential of it is dead
	Users     int    // those who are active, read along where tenants are listed
	CreatedAt time.Time
}

// Workspace is a part of a tenant.
type Workspace struct {
	ID     WorkspaceID
	Tenant TenantID
	Name   string // unique in the tenant
	About  string
	Models Models // what may be asked there
	// OutageGrace is how long its tokens are to go on without news from the database,
	// where the tenant's policy and an exception let them; 0: no longer than everybody.
	// Whole seconds.
	OutageGrace time.Duration
	// GraceMax is the tenant's policy on that, read along with the workspace.
	GraceMax      time.Duration
	Exception     ExceptionID // of RuleBestEffort, by which it goes on, or empty
	ExceptionFrom time.Time   // read along: from when, and until when, that is in force for it; both zero: it is not
	ExceptionEnds time.Time
	CreatedAt     time.Time
}

// BestEffort is how long the tokens of the workspace go on at now without news from the
// database; 0: no longer than everybody.
func (w Workspace) BestEffort(now time.Time) time.Duration {
	if now.Before(w.ExceptionFrom) || !now.Before(w.ExceptionEnds) {
		return 0
	}
	return OutageGrace(w.OutageGrace, w.GraceMax)
}

// OutageGrace is how long the tokens of a workspace go on without news from the
// database: for as long as the workspace says, and the tenant's policy lets it.
func OutageGrace(workspace, policy time.Duration) time.Duration {
	return max(0, min(workspace, policy, MaxOutageGrace))
}

// MaxName is the longest name of a workspace or a service account, in bytes, and
// MaxText that of what is told about one.
const (
	MaxName = 100
	MaxText = 1000
)

// Membership is what somebody is in a workspace.
type Membership struct {
	Workspace WorkspaceID
	Name      string // of the workspace
	User      UserID
	UserName  string
	Active    bool        // the person
	Role      Role        // the highest, from whichever source
	Direct    Role        // the role that was given to the person, or empty
	Groups    []GroupRole // through which they have one
}

// GroupRole is what the members of a group are in a workspace. A group gives no
// role in the tenant.
type GroupRole struct {
	Workspace WorkspaceID
	Group     GroupID
	Name      string // of the group
	Role      Role
	CreatedAt time.Time
	CreatedBy string
}

// ServiceAccount is a non-human owner of tokens.
type ServiceAccount struct {
	ID          ServiceAccountID
	Tenant      TenantID
	Workspace   WorkspaceID
	Name        string // unique in the workspace
	About       string
	Owner       UserID // the accountable person
	OwnerName   string // read along with the account
	OwnerActive bool
	ExpiresAt   time.Time // the end date; zero: none
	OrphanedAt  time.Time // when its owner left; zero: it has one
	GraceEndsAt time.Time // of an orphan, when it stops; zero: it has an owner
	CreatedAt   time.Time
	CreatedBy   string
	EndedAt     time.Time // zero: it goes on
	EndedBy     string
	EndReason   string
	Tokens      int // those that live
}

// State says in one word how an account stands at now.
func (a ServiceAccount) State(now time.Time) string {
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case !a.EndedAt.IsZero():
		return "ended"
	case past(a.ExpiresAt), past(a.GraceEndsAt):
		return "expired"
	case !a.OrphanedAt.IsZero():
		return "orphaned"
	}
	return "active"
}

// WhyExpired says why an account's time is over at now.
func (a ServiceAccount) WhyExpired(now time.Time) string {
	if !a.GraceEndsAt.IsZero() && !now.Before(a.GraceEndsAt) {
		return "its owner left, and nobody took it over in time"
	}
	return "its end date is past"
}

// Session is one signed-in browser of one person.
type Session struct {
	ID       SessionID
	Tenant   TenantID
	User     UserID  // empty for a session opened with the root token
	UserName string  // read along with the session
	Token    TokenID // the root token that opened it, or empty
	OpenedBy string  // the digest of that root token, in hexadecimal, or empty
	SignIn
	Exception ExceptionID // of RuleMFAMissing, on which it hangs, or empty
	Address   string      // client address at sign-in
	UserAgent string      // at sign-in, cut to 255 bytes
	CreatedAt time.Time
	SeenAt    time.Time // right to the second, written behind
	ExpiresAt time.Time // the absolute limit
	EndedAt   time.Time // zero while open
	EndedBy   string
	EndReason string
}

// Ended counts what an act of revocation brought to its end.
type Ended struct {
	Tokens   int `json:"tokens"`
	Sessions int `json:"sessions"`
	Streams  int `json:"streams"`
	Orphans  int `json:"orphans"` // service accounts that need a new owner
	// Skipped are tokens that were selected and are a super admin's, where the asker is none.
	Skipped int `json:"skipped,omitempty"`
	// Accounts are the service accounts that ended too.
	Accounts []ServiceAccountID `json:"accounts,omitempty"`
	Took     time.Duration      `json:"-"` // from the start of the act until the last stream was told to end
}

// Nothing tells that nothing was left to end.
func (e Ended) Nothing() bool { return e.Tokens+e.Sessions+e.Streams+len(e.Accounts) == 0 }
