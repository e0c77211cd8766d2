package access_test

import (
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

// What the table permits and the tenant's policy refuses is refused, and the other
// way round for service accounts.
func TestByPolicy(t *testing.T) {
	member := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.AssertedIdentity, tenure.Member })
	super := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.AssertedIdentity, tenure.SuperAdmin })
	for _, c := range []struct {
		who         tenure.Principal
		action      tenure.Action
		within      tenure.Role
		key, policy string
		why, refuse string
	}{
		{member, tenure.MintToken, tenure.Member, "", "", "the role member in the tenant may", ""},
		{member, tenure.MintToken, tenure.Member, "pat_minters", "workspace_admin", "", "pat_minters"},
		{super, tenure.MintToken, tenure.Member, "pat_minters", "workspace_admin", "", "pat_minters"},
		{super, tenure.MintToken, "", "", "", "", "without a role in the workspace"},
		{member, tenure.RotateToken, tenure.Member, "pat_minters", "workspace_admin", "", "pat_minters"},
		{super, tenure.RotateToken, tenure.Member, "pat_minters", "workspace_admin", "the role super_admin in the tenant may", ""}, // a service token
		{member, tenure.CreateAccount, tenure.WorkspaceAdmin, "", "", "the role workspace_admin in the workspace may", ""},
		{member, tenure.CreateAccount, tenure.WorkspaceAdmin, "service_token_minters", "member", "", "service_token_minters"},
		{member, tenure.MintServiceToken, tenure.WorkspaceAdmin, "service_token_minters", "", "", "service_token_minters"},
		{member, tenure.ReadAccount, tenure.WorkspaceAdmin, "service_token_minters", "", "the role workspace_admin in the workspace may", ""},
		{member, tenure.CreateAccount, tenure.Member, "service_token_minters", "member", "the policy service_token_minters lets the role member in the workspace", ""},
		{member, tenure.CreateAccount, tenure.Member, "", "", "", "permits service_accounts.create"},
		{super, tenure.CreateAccount, tenure.WorkspaceAdmin, "service_token_minters", "", "the role super_admin in the tenant may", ""},
		{super, tenure.GrantScopes, "", "", "", "", "admin_scope_approval"},
		{super, tenure.GrantScopes, "", "admin_scope_approval", "none", "the role super_admin in the tenant may", ""},
		{member, tenure.ReadSelf, "", "pat_minters", "", "the role member in the tenant may", ""},
	} {
		policy := tenure.DefaultPolicy()
		if c.key != "" {
			if err := policy.Set(c.key, c.policy); err != nil {
				t.Fatal(err)
			}
		}
		why, err := access.ByPolicy(c.who, c.action, c.within, policy)
		if (err == nil) != (c.refuse == "") || err != nil && !strings.Contains(err.Error(), c.refuse) || why != c.why {
			t.Errorf("%s as %q with %s=%s: %q, %v", c.action, c.within, c.key, c.policy, why, err)
		}
	}
}
