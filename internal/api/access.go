package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// AccessRow is one action of the table of access: who may do it.
type AccessRow struct {
	Action    string   `json:"action"`
	What      string   `json:"what" doc:"In words"`
	Roles     []string `json:"roles" doc:"Of the tenant: any of them"`
	Within    []string `json:"workspace_roles" doc:"Of the workspace that the thing lies in: any of them; of a personal access token, those that its owner must have in the token's workspace"`
	Scope     string   `json:"scope,omitempty" doc:"By which a token may; absent: none may"`
	Personal  bool     `json:"personal" doc:"Whether a personal access token may have the scope"`
	Connector bool     `json:"scim_connector"`
	Root      bool     `json:"root" doc:"In teams mode"`
	Fresh     string   `json:"fresh,omitempty" doc:"What is asked of a session beside: the policy that says how lately it must have been used, or its person signed in" enum:"admin_idle,reauth"`
}

func showRow(r access.Row) AccessRow {
	return AccessRow{
		string(r.Action), r.What, roleNames(r.Roles), roleNames(r.Within), r.Scope.String(), r.Personal, r.Connector, r.Root, r.Fresh.String(),
	}
}

func roleNames(roles []tenure.Role) []string {
	out := make([]string, 0, len(roles))
	for _, r := range roles {
		out = append(out, string(r))
	}
	return out
}

// Explanation says whether somebody may do something now, and by which rule.
type Explanation struct {
	Allowed       bool   `json:"allowed"`
	Why           string `json:"why"`
	Action        string `json:"action"`
	What          string `json:"what" doc:"The action in words"`
	User          string `json:"user"`
	UserName      string `json:"user_name"`
	Active        bool   `json:"active"`
	Role          string `json:"role" doc:"In the tenant"`
	Workspace     string `json:"workspace,omitempty" doc:"Id"`
	WorkspaceName string `json:"workspace_name,omitempty"`
	WorkspaceRole string `json:"workspace_role,omitempty"`
	Credential    string `json:"credential"`
	Fresh         string `json:"fresh,omitempty" doc:"What is asked of a session beside"`
}

type explainIn struct {
	User       string `query:"user" required:"true" maxLength:"255" doc:"userName or id"`
	Action     string `query:"action" required:"true" maxLength:"100"`
	Workspace  string `query:"workspace" maxLength:"200" doc:"Id or name; of a personal access token, default when left out"`
	Credential string `query:"credential" maxLength:"50" doc:"session, asserted_identity or pat; the one that the action is for when left out"`
}

func (a *API) mountAccess(m *mounting) {
	tags := []string{"Administration: access"}
	operation(m, tenure.ReadAccess, huma.Operation{OperationID: "access-matrix", Method: http.MethodGet, Path: "/api/v1/admin/access", Summary: "Who may do what: the whole table, by action", Tags: tags},
		func(_ context.Context, in *anyPaging) (*list[AccessRow], error) {
			rows := access.Matrix()
			for len(rows) > 0 && string(rows[0].Action) <= in.Cursor {
				rows = rows[1:]
			}
			return listOf(rows, in.Limit, showRow, func(r access.Row) string { return string(r.Action) }), nil
		})
	operation(m, tenure.ReadAccess, huma.Operation{OperationID: "explain-access", Method: http.MethodGet, Path: "/api/v1/admin/access/explain", Summary: "Whether somebody may do something now, and by which rule", Tags: tags},
		func(ctx context.Context, in *explainIn) (*body[Explanation], error) {
			x, err := a.Directory.Explain(ctx, web.Principal(ctx), directory.Question{User: in.User, Action: tenure.Action(in.Action), Workspace: in.Workspace, Credential: in.Credential})
			return &body[Explanation]{Explanation{
				x.Allowed, x.Why, string(x.Action), x.What, string(x.User.ID), x.User.UserName, x.User.Active, string(x.User.Role),
				string(x.Workspace.ID), x.Workspace.Name, string(x.WorkspaceRole), x.Credential.String(), x.Fresh.String(),
			}}, err
		})
}
