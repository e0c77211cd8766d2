package tenure

import (
	"fmt"
	"strings"
)

// Scopes is a set of scopes. A scope narrows what a token may do; the empty set
// permits nothing and never means all.
type Scopes uint32

// The scopes of the data plane: what models are asked by.
const (
	ScopeChat Scopes = 1 << iota
	ScopeMessages
	ScopeModels
	ScopeBeliefs
	ScopeResponses  // only where the tenant's policy opens it
	ScopeEmbeddings // only where the tenant's policy opens it
)

// The scopes of administration. Only a token of a service account carries them,
// and only a super admin grants them.
const (
	ScopeUsersRead Scopes = 1 << (iota + 6)
	ScopeUsersDeactivate
	ScopeTokensRead
	ScopeTokensRevoke
	ScopeWorkspacesRead
	ScopeMembersWrite
	ScopeReportsRead
	ScopeAuditRead
	ScopeHealthRead
	ScopeIntrospect
)

// Sets of scopes.
const (
	// DataPlane is what a personal access token gets that asks for nothing else.
	DataPlane = ScopeChat | ScopeMessages | ScopeModels | ScopeBeliefs
	// ExtraScopes are off unless the tenant's policy opens them.
	ExtraScopes = ScopeResponses | ScopeEmbeddings
	// PersonalScopes are all that a personal access token can have.
	PersonalScopes = DataPlane | ExtraScopes
	// AdminScopes are all scopes of administration.
	AdminScopes = ScopeUsersRead | ScopeUsersDeactivate | ScopeTokensRead | ScopeTokensRevoke | ScopeWorkspacesRead |
		ScopeMembersWrite | ScopeReportsRead | ScopeAuditRead | ScopeHealthRead | ScopeIntrospect
)

// scopeNames are in the order of the bits.
var scopeNames = [...]string{
	"chat", "messages", "models", "beliefs", "responses", "embeddings",
	"users.read", "users.deactivate", "tokens.read", "tokens.revoke", "workspaces.read", "members.write",
	"reports.read", "audit.read", "health.read", "introspect",
}

// ParseScopes reads names parted by spaces (RFC 6749 §3.3). It answers Invalid
// for a name that is not a scope; what it could read it returns all the same,
// so that a row edited by hand grants no more than what is understood.
func ParseScopes(text string) (Scopes, error) {
	var set Scopes
	var err error
	for name := range strings.FieldsSeq(text) {
		bit := scopeOf(name)
		if bit == 0 {
			err = &Error{
				Kind: Invalid, Code: "invalid_scope", Field: "scopes",
				Msg: fmt.Sprintf("unknown scope %q; the scopes are %s", Shown(name), strings.Join(scopeNames[:], ", ")),
			}
		}
		set |= bit
	}
	return set, err
}

func scopeOf(name string) Scopes {
	for i, n := range scopeNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// Has reports whether every scope of want is in the set.
func (s Scopes) Has(want Scopes) bool { return s&want == want }

// Names lists the scopes of the set.
func (s Scopes) Names() []string {
	out := make([]string, 0, len(scopeNames))
	for i, n := range scopeNames {
		if s&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// String gives the names parted by spaces, as they are stored.
func (s Scopes) String() string { return strings.Join(s.Names(), " ") }
