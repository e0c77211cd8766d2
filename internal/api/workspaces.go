package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Workspace is a part of the tenant.
type Workspace struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	About     string    `json:"about,omitempty"`
	Models    []string  `json:"models" doc:"Patterns of the models that may be asked there; * is any text"`
	Role      string    `json:"role,omitempty" doc:"What the asker is in it; absent: nothing"`
	Outage    int       `json:"outage_grace_seconds" doc:"How long its tokens are to go on while the database is away; 0: strict"`
	InForce   int       `json:"effective_grace_seconds" doc:"What the policy best_effort_max leaves of that, while the exception is in force"`
	Exception string    `json:"exception,omitempty" doc:"Id of the exception by which its tokens go on"`
	CreatedAt time.Time `json:"created_at"`
}

func showWorkspace(w directory.WorkspaceRole) Workspace {
	return Workspace{
		string(w.ID), w.Name, w.About, append([]string{}, w.Models...), string(w.Role),
		int(w.OutageGrace / time.Second), int(w.BestEffort(time.Now()) / time.Second), string(w.Exception), w.CreatedAt,
	}
}

// OwnWorkspace is a workspace in which somebody has a role.
type OwnWorkspace struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role" enum:"workspace_admin,member,viewer"`
}

// Membership is what somebody is in a workspace.
type Membership struct {
	Workspace     string      `json:"workspace" doc:"Id"`
	WorkspaceName string      `json:"workspace_name"`
	User          string      `json:"user" doc:"Id"`
	UserName      string      `json:"user_name"`
	Active        bool        `json:"active" doc:"Whether the person is"`
	Role          string      `json:"role" enum:"workspace_admin,member,viewer" doc:"The highest of direct and groups"`
	Direct        string      `json:"direct,omitempty" doc:"The role that was given to the person; absent: none"`
	Groups        []GroupRole `json:"groups" doc:"Through which they have a role"`
}

// GroupRole is what the members of a group are in a workspace.
type GroupRole struct {
	Group     string    `json:"group" doc:"Id, as SCIM has it"`
	Name      string    `json:"name"`
	Role      string    `json:"role" enum:"workspace_admin,member,viewer"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
}

func showGroupRole(g tenure.GroupRole) GroupRole {
	return GroupRole{string(g.Group), g.Name, string(g.Role), g.CreatedAt, g.CreatedBy}
}

func showMembership(m tenure.Membership) Membership {
	out := Membership{
		Workspace: string(m.Workspace), WorkspaceName: m.Name, User: string(m.User), UserName: m.UserName, Active: m.Active,
		Role: string(m.Role), Direct: string(m.Direct), Groups: []GroupRole{},
	}
	for _, g := range m.Groups {
		out.Groups = append(out.Groups, showGroupRole(g))
	}
	return out
}

// listOf shows a page of at most limit of the rows, which are one more than that
// where there are further ones; cursor tells where the next page begins after a row.
func listOf[Row, Shown any](rows []Row, limit int, show func(Row) Shown, cursor func(Row) string) *list[Shown] {
	out := &list[Shown]{}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Body.Next = cursor(rows[limit-1])
	}
	out.Body.Items = make([]Shown, 0, len(rows))
	for _, row := range rows {
		out.Body.Items = append(out.Body.Items, show(row))
	}
	return out
}

func workspaceCursor(w directory.WorkspaceRole) string { return string(w.ID) }

func membershipCursor(m tenure.Membership) string { return string(m.Workspace) + " " + string(m.User) }

// after reads what membershipCursor wrote.
func (p PairPaging) after() (tenure.WorkspaceID, tenure.UserID) {
	ws, user, _ := strings.Cut(p.Cursor, " ")
	return tenure.WorkspaceID(ws), tenure.UserID(user)
}

type workspaceIn struct {
	Body struct {
		Name   string   `json:"name" doc:"Unique in the tenant; 1 to 100 bytes" example:"Research"`
		About  string   `json:"about,omitempty"`
		Models []string `json:"models,omitempty" doc:"Patterns such as gpt-4o* or anthropic/*; every model when left out"`
	}
}

type workspacePatch struct {
	ID   string `path:"id" maxLength:"200" doc:"Id or name"`
	Body struct {
		Name   *string  `json:"name,omitempty"`
		About  *string  `json:"about,omitempty"`
		Models []string `json:"models,omitempty" doc:"As a whole; what is left out of the body stays as it is"`
		Outage *int     `json:"outage_grace_seconds,omitempty" minimum:"0" maximum:"300" doc:"How long its tokens go on while the database is away, where the policy best_effort_max and an exception let them; needs admin.workspaces.set_outage_grace. 0: strict"`
		By     *string  `json:"exception,omitempty" maxLength:"200" doc:"Id of the exception of the rule best_effort by which they do"`
	}
}

// spec is what a PATCH says.
func (in *workspacePatch) spec() directory.WorkspaceSpec {
	spec := directory.WorkspaceSpec{Name: in.Body.Name, About: in.Body.About, Models: in.Body.Models}
	if in.Body.Outage != nil {
		grace := time.Duration(*in.Body.Outage) * time.Second
		spec.OutageGrace = &grace
	}
	spec.Exception = (*tenure.ExceptionID)(in.Body.By)
	return spec
}

type spaceIn struct {
	ID string `path:"id" maxLength:"200" doc:"Id or name"`
}

type spacePageIn struct {
	Paging
	ID string `path:"id" maxLength:"200" doc:"Id or name"`
}

// PairPaging is what lists of memberships take.
type PairPaging struct {
	Cursor string `query:"cursor" pattern:"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|default) ([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|default)$" patternDescription:"next_cursor of the page before" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type membersIn struct {
	PairPaging
	ID string `path:"id" maxLength:"200" doc:"Id or name"`
}

type membershipsIn struct {
	PairPaging
	User string `query:"user" maxLength:"200" doc:"Only those of the person with this id"`
}

type memberIn struct {
	ID   string `path:"id" maxLength:"200" doc:"Id or name"`
	User string `path:"user" maxLength:"200" doc:"The person's id or userName"`
}

type memberRoleIn struct {
	ID   string `path:"id" maxLength:"200" doc:"Id or name"`
	User string `path:"user" maxLength:"200" doc:"The person's id or userName"`
	Body RoleBody
}

type groupIn struct {
	ID    string `path:"id" maxLength:"200" doc:"Id or name"`
	Group string `path:"group" maxLength:"1100" doc:"The group's id or displayName"`
}

type groupRoleIn struct {
	ID    string `path:"id" maxLength:"200" doc:"Id or name"`
	Group string `path:"group" maxLength:"1100" doc:"The group's id or displayName"`
	Body  RoleBody
}

type userRoleIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body RoleBody
}

// RoleBody names a role.
type RoleBody struct {
	Role string `json:"role"`
}

const workspacesPath = "/api/v1/admin/workspaces"

func (a *API) mountWorkspaces(m *mounting) {
	tags := []string{"Workspaces"}
	operation(m, tenure.ListWorkspaces, huma.Operation{OperationID: "list-own-workspaces", Method: http.MethodGet, Path: "/api/v1/workspaces", Summary: "My workspaces", Tags: []string{"Self"}},
		func(ctx context.Context, in *Paging) (*list[Workspace], error) {
			rows, err := a.Directory.OwnWorkspaces(ctx, web.Principal(ctx), tenure.WorkspaceID(in.Cursor), in.Limit+1)
			return listOf(rows, in.Limit, showWorkspace, workspaceCursor), err
		})
	operation(m, tenure.ListWorkspaces, huma.Operation{OperationID: "list-workspaces", Method: http.MethodGet, Path: workspacesPath, Summary: "The workspaces that I may read about", Tags: tags},
		func(ctx context.Context, in *Paging) (*list[Workspace], error) {
			rows, err := a.Directory.Workspaces(ctx, web.Principal(ctx), tenure.WorkspaceID(in.Cursor), in.Limit+1)
			return listOf(rows, in.Limit, showWorkspace, workspaceCursor), err
		})
	operation(m, tenure.CreateWorkspace, huma.Operation{OperationID: "create-workspace", Method: http.MethodPost, Path: workspacesPath, Summary: "Make a workspace", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *workspaceIn) (*body[Workspace], error) {
			w, err := a.Directory.CreateWorkspace(ctx, web.Principal(ctx), directory.WorkspaceSpec{Name: &in.Body.Name, About: &in.Body.About, Models: in.Body.Models})
			return &body[Workspace]{showWorkspace(directory.WorkspaceRole{Workspace: w})}, err
		})
	operation(m, tenure.ReadWorkspace, huma.Operation{OperationID: "get-workspace", Method: http.MethodGet, Path: workspacesPath + "/{id}", Summary: "A workspace", Tags: tags},
		func(ctx context.Context, in *spaceIn) (*body[Workspace], error) {
			w, err := a.Directory.Workspace(ctx, web.Principal(ctx), in.ID)
			return &body[Workspace]{showWorkspace(w)}, err
		})
	operation(m, tenure.UpdateWorkspace, huma.Operation{OperationID: "update-workspace", Method: http.MethodPatch, Path: workspacesPath + "/{id}", Summary: "Change a workspace", Tags: tags},
		func(ctx context.Context, in *workspacePatch) (*body[Workspace], error) {
			w, err := a.Directory.UpdateWorkspace(ctx, web.Principal(ctx), in.ID, in.spec())
			return &body[Workspace]{showWorkspace(w)}, err
		})
	operation(m, tenure.DeleteWorkspace, huma.Operation{OperationID: "delete-workspace", Method: http.MethodDelete, Path: workspacesPath + "/{id}", Summary: "Delete a workspace, and end what is in it", Tags: tags},
		func(ctx context.Context, in *spaceIn) (*body[Ended], error) {
			e, err := a.Directory.DeleteWorkspace(ctx, web.Principal(ctx), in.ID)
			return &body[Ended]{ended(e)}, err
		})
}

func (a *API) mountMembers(m *mounting) {
	tags := []string{"Workspaces"}
	operation(m, tenure.ListMembers, huma.Operation{OperationID: "list-members", Method: http.MethodGet, Path: workspacesPath + "/{id}/members", Summary: "Who is what in a workspace, directly and through groups", Tags: tags},
		func(ctx context.Context, in *membersIn) (*list[Membership], error) {
			f := directory.MembershipFilter{Limit: in.Limit + 1}
			f.AfterWorkspace, f.AfterUser = in.after()
			rows, err := a.Directory.Members(ctx, web.Principal(ctx), in.ID, f)
			return listOf(rows, in.Limit, showMembership, membershipCursor), err
		})
	operation(m, tenure.SetMember, huma.Operation{OperationID: "set-member", Method: http.MethodPut, Path: workspacesPath + "/{id}/members/{user}", Summary: "Make somebody a member, or change their role", Tags: tags},
		func(ctx context.Context, in *memberRoleIn) (*body[Membership], error) {
			row, err := a.Directory.SetMember(ctx, web.Principal(ctx), in.ID, tenure.UserID(in.User), tenure.Role(in.Body.Role))
			return &body[Membership]{showMembership(row)}, err
		})
	operation(m, tenure.RemoveMember, huma.Operation{OperationID: "remove-member", Method: http.MethodDelete, Path: workspacesPath + "/{id}/members/{user}", Summary: "Take somebody out; without another role there they lose their tokens in it", Tags: tags},
		func(ctx context.Context, in *memberIn) (*body[Ended], error) {
			e, err := a.Directory.RemoveMember(ctx, web.Principal(ctx), in.ID, tenure.UserID(in.User))
			return &body[Ended]{ended(e)}, err
		})
	operation(m, tenure.ListMappings, huma.Operation{OperationID: "list-workspace-groups", Method: http.MethodGet, Path: workspacesPath + "/{id}/groups", Summary: "What groups of the identity provider are in a workspace", Tags: tags},
		func(ctx context.Context, in *spacePageIn) (*list[GroupRole], error) {
			rows, err := a.Directory.Mappings(ctx, web.Principal(ctx), in.ID, tenure.GroupID(in.Cursor), in.Limit+1)
			return listOf(rows, in.Limit, showGroupRole, func(g tenure.GroupRole) string { return string(g.Group) }), err
		})
	operation(m, tenure.SetMapping, huma.Operation{OperationID: "set-workspace-group", Method: http.MethodPut, Path: workspacesPath + "/{id}/groups/{group}", Summary: "Say what the members of a group are in a workspace", Tags: tags},
		func(ctx context.Context, in *groupRoleIn) (*body[GroupRole], error) {
			g, err := a.Directory.SetMapping(ctx, web.Principal(ctx), in.ID, in.Group, tenure.Role(in.Body.Role))
			return &body[GroupRole]{showGroupRole(g)}, err
		})
	operation(m, tenure.RemoveMapping, huma.Operation{OperationID: "remove-workspace-group", Method: http.MethodDelete, Path: workspacesPath + "/{id}/groups/{group}", Summary: "End what a group is in a workspace", Tags: tags},
		func(ctx context.Context, in *groupIn) (*body[Ended], error) {
			e, err := a.Directory.RemoveMapping(ctx, web.Principal(ctx), in.ID, in.Group)
			return &body[Ended]{ended(e)}, err
		})
	operation(m, tenure.ListMembers, huma.Operation{OperationID: "list-memberships", Method: http.MethodGet, Path: "/api/v1/admin/memberships", Summary: "Who is what in which workspace", Tags: tags},
		func(ctx context.Context, in *membershipsIn) (*list[Membership], error) {
			f := directory.MembershipFilter{User: tenure.UserID(in.User), Limit: in.Limit + 1}
			f.AfterWorkspace, f.AfterUser = in.after()
			rows, err := a.Directory.Memberships(ctx, web.Principal(ctx), f)
			return listOf(rows, in.Limit, showMembership, membershipCursor), err
		})
	operation(m, tenure.SetUserRole, huma.Operation{OperationID: "set-user-role", Method: http.MethodPut, Path: "/api/v1/admin/users/{id}/role", Summary: "Give a person a role in the tenant", Tags: []string{"Administration: users"}},
		func(ctx context.Context, in *userRoleIn) (*body[User], error) {
			u, _, err := a.Directory.SetRole(ctx, web.Principal(ctx), tenure.UserID(in.ID), tenure.Role(in.Body.Role))
			return &body[User]{showUser(u)}, err
		})
}
