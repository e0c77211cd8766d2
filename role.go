package tenure

// Role is what a person is in a tenant or in a workspace. The empty role is
// that of somebody who does not belong.
type Role string

// The roles of a tenant.
const (
	SuperAdmin Role = "super_admin"
	Admin      Role = "admin"
	Auditor    Role = "auditor" // reads everything, changes nothing
	Member     Role = "member"  // also a role of a workspace
)

// The roles of a workspace, beside Member.
const (
	WorkspaceAdmin Role = "workspace_admin"
	Viewer         Role = "viewer" // sees the workspace and asks no model
)

// TenantRoles are the roles of a tenant, the highest first. Nobody modifies it.
var TenantRoles = [...]Role{SuperAdmin, Admin, Auditor, Member}

// WorkspaceRoles are the roles of a workspace, the highest first. Nobody modifies it.
var WorkspaceRoles = [...]Role{WorkspaceAdmin, Member, Viewer}

// ParseTenantRole reads a role of a tenant.
func ParseTenantRole(text string) (Role, error) {
	for _, r := range TenantRoles {
		if text == string(r) {
			return r, nil
		}
	}
	return "", InvalidField("role", "%q is no role of a tenant; the roles are super_admin, admin, auditor and member", Shown(text))
}

// ParseWorkspaceRole reads a role of a workspace.
func ParseWorkspaceRole(text string) (Role, error) {
	for _, r := range WorkspaceRoles {
		if text == string(r) {
			return r, nil
		}
	}
	return "", InvalidField("role", "%q is no role of a workspace; the roles are workspace_admin, member and viewer", Shown(text))
}
