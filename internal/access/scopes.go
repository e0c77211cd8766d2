package access

import (
	"fmt"
	"slices"

	"github.com/tenure-gateway/tenure"
)

// Scopes are those that a token can use now: none, where its owner's role in its
// workspace permits nothing.
func Scopes(p tenure.Principal) tenure.Scopes {
	s := p.Standing()
	if s.Kind == tenure.PAT && !slices.Contains(workspaceUsers, s.WorkspaceRole) {
		return 0
	}
	return s.Scopes
}

// Holds answers nil when p is a token that can use every scope of want now, and
// Forbidden, with the reason, when it cannot. It is for what other gateways do:
// their actions are not in the table.
func Holds(p tenure.Principal, want tenure.Scopes) error {
	s := p.Standing()
	if lacks := want &^ s.Scopes; lacks != 0 {
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "insufficient_scope", Field: lacks.String(),
			Msg: fmt.Sprintf("this token lacks the scope %q", lacks),
		}
	}
	if want&^Scopes(p) != 0 {
		return refuse("the role %s in the token's workspace does not permit to use %s", s.WorkspaceRole, want)
	}
	return nil
}
