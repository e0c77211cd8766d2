package tenure

// Role is what a person is in a tenant or in a workspace. The empty role is
// that of somebody who does not belong.
type Role string

// The roles of a tenant.
const (
	SuperAdmin Role = "super_admin"
	Admin      Role = "admin"
	Auditor    Role = "auditor"
	Member     Role = "member" // also a role of a workspace
)

// The roles of a workspace, beside Member.
const (
	WorkspaceAdmin Role = "workspace_admin"
	Viewer         Role = "viewer"
)
