package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/directory"
)

type accessCmd struct {
	Matrix  accessMatrix  `cmd:"" help:"Print the whole table of who may do what."`
	Explain accessExplain `cmd:"" help:"Say whether somebody may do something now, and by which rule."`
}

type accessMatrix struct {
	JSON     bool `name:"json" xor:"form" help:"Print JSON."`
	Markdown bool `xor:"form" help:"Print the tables of docs/reference/access.md."`
}

// Help implements kong.HelpProvider.
func (accessMatrix) Help() string {
	return "Example:\n\n  tenure access matrix --json\n\nIt is the table by which this program judges; it needs no data."
}

// Run implements the verb.
func (c *accessMatrix) Run(e *env) error {
	if c.Markdown {
		_, err := io.WriteString(e.stdout, access.Markdown())
		return err
	}
	rows := access.Matrix()
	views := make([]map[string]any, 0, len(rows))
	for _, r := range rows {
		views = append(views, map[string]any{
			"action": r.Action, "what": r.What, "roles": append([]tenure.Role{}, r.Roles...), "workspace_roles": append([]tenure.Role{}, r.Within...),
			"scope": r.Scope.String(), "personal": r.Personal, "scim_connector": r.Connector, "root": r.Root, "fresh": r.Fresh.String(),
		})
	}
	return local{JSON: c.JSON}.print(e, views, func(w io.Writer) {
		fmt.Fprintln(w, "ACTION\tTENANT ROLES\tWORKSPACE ROLES\tTOKEN SCOPE\tSCIM\tROOT\tFRESH")
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Action, words(r.Roles), words(r.Within), orDash(r.Scope.String()), yes(r.Connector), yes(r.Root), orDash(r.Fresh.String()))
		}
	})
}

func words(roles []tenure.Role) string {
	out := make([]string, 0, len(roles))
	for _, r := range roles {
		out = append(out, string(r))
	}
	return orDash(strings.Join(out, " "))
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "–"
}

type accessExplain struct {
	local
	User       string `required:"" placeholder:"NAME" help:"userName or id."`
	Action     string `required:"" placeholder:"ACTION" help:"As 'tenure access matrix' lists them."`
	Workspace  string `placeholder:"NAME" help:"Name or id of the workspace in which it is asked."`
	Credential string `placeholder:"KIND" help:"session, asserted_identity or pat (default: the one that the action is for)."`
}

// Help implements kong.HelpProvider.
func (accessExplain) Help() string {
	return "Example:\n\n  tenure access explain --user bob@example.com --action workspaces.members.set --workspace Research\n\nExit status 0: yes. 1: no."
}

// Run implements the verb.
func (c *accessExplain) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		x, err := a.Directory.Explain(e.ctx, by, directory.Question{User: c.User, Action: tenure.Action(c.Action), Workspace: c.Workspace, Credential: c.Credential})
		if err != nil {
			return err
		}
		view := map[string]any{
			"allowed": x.Allowed, "why": x.Why, "action": x.Action, "what": x.What, "user": x.User.ID, "user_name": x.User.UserName, "active": x.User.Active,
			"role": x.User.Role, "workspace": x.Workspace.ID, "workspace_name": x.Workspace.Name, "workspace_role": x.WorkspaceRole,
			"credential": x.Credential.String(), "fresh": x.Fresh.String(),
		}
		if err := c.print(e, view, func(w io.Writer) { tellExplanation(w, x) }); err != nil || x.Allowed {
			return err
		}
		return errNo{}
	})
}

func tellExplanation(w io.Writer, x directory.Explanation) {
	answer := "no"
	if x.Allowed {
		answer = "yes"
	}
	fmt.Fprintf(w, "%s: %s\n", answer, x.Why)
	where := ""
	if x.Workspace.ID != "" {
		where = fmt.Sprintf(", %s in the workspace %s", orNothing(x.WorkspaceRole), x.Workspace.Name)
	}
	fmt.Fprintf(w, "%s (%s in the tenant%s) asked by %s to %s\n", x.User.UserName, x.User.Role, where, x.Credential, x.What)
	if x.Allowed && x.Fresh != access.AnyTime && x.Credential == tenure.BrowserSession {
		fmt.Fprintf(w, "a session must be fresh for it: %s\n", x.Fresh)
	}
}

func orNothing(r tenure.Role) string {
	if r == "" {
		return "nothing"
	}
	return string(r)
}

// errNo is the answer no: it has been printed, and is exit status 1.
type errNo struct{}

// Error implements error.
func (errNo) Error() string { return "no" }
