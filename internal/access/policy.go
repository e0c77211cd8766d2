package access

import (
	"fmt"
	"slices"

	"github.com/tenure-gateway/tenure"
)

// ByPolicy judges as Explain does and, where the tenant's policy has a word on the
// action, by that too. What it permits may still be refused for one particular
// thing: a person of a higher role (Above), a token of somebody else (Owner).
func ByPolicy(p tenure.Principal, a tenure.Action, within tenure.Role, policy tenure.Policy) (string, error) {
	why, err := Explain(p, a, within)
	switch a {
	case tenure.ListAccounts, tenure.ReadAccount, tenure.CreateAccount, tenure.UpdateAccount, tenure.DeleteAccount, tenure.MintServiceToken:
		after := LookAfter(p, a, within, policy.ServiceMinters)
		switch {
		case after == nil && err != nil:
			return fmt.Sprintf("the policy service_token_minters lets the role %s in the workspace", within), nil
		case err == nil:
			err = after
		}
	case tenure.MintToken:
		if err == nil {
			err = MintsPATs(policy, within)
		}
	case tenure.RotateToken:
		// One's own, or a service token that one may mint.
		if err == nil && LookAfter(p, tenure.MintServiceToken, within, policy.ServiceMinters) != nil {
			err = MintsPATs(policy, within)
		}
	case tenure.GrantScopes:
		if err == nil && policy.AdminApproval {
			err = refuse("the policy admin_scope_approval asks for a second person: make a request, and another administrator approves it")
		}
	}
	if err != nil {
		return "", err
	}
	return why, nil
}

// MintsPATs answers Forbidden when the tenant's policy does not let a role of a
// workspace make personal access tokens there. Without a role nobody does.
func MintsPATs(p tenure.Policy, within tenure.Role) error {
	switch {
	case within == "":
		return refuse("without a role in the workspace there are no personal tokens in it")
	case slices.Contains(p.PATMinters, within):
		return nil
	}
	return &tenure.Error{
		Kind: tenure.Forbidden, Code: "insufficient_role",
		Msg: fmt.Sprintf("the tenant's policy pat_minters does not let the role %s of a workspace make personal tokens there", within),
	}
}
