package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/directory"
)

type workspaceCmd struct {
	Create       workspaceCreate       `cmd:"" help:"Make a workspace."`
	List         workspaceList         `cmd:"" help:"List workspaces."`
	Update       workspaceUpdate       `cmd:"" help:"Change a workspace: name, description, models, how long it goes on without the database."`
	Delete       workspaceDelete       `cmd:"" help:"Delete a workspace, and end what is in it."`
	Members      workspaceMembers      `cmd:"" help:"List who is what in a workspace, and the groups that count there."`
	AddMember    workspaceAddMember    `cmd:"" help:"Make somebody a member of a workspace, or change their role there."`
	RemoveMember workspaceRemoveMember `cmd:"" help:"Take somebody out of a workspace."`
	MapGroup     workspaceMapGroup     `cmd:"" help:"Say what the members of a group are in a workspace."`
	UnmapGroup   workspaceUnmapGroup   `cmd:"" help:"End what the members of a group are in a workspace."`
}

func workspaceView(w tenure.Workspace) map[string]any {
	return map[string]any{
		"id": w.ID, "name": w.Name, "about": w.About, "models": append([]string{}, w.Models...),
		"outage_grace_seconds": w.OutageGrace / time.Second, "effective_grace_seconds": w.BestEffort(time.Now()) / time.Second, "exception": w.Exception, "created_at": stamp(w.CreatedAt),
	}
}

func membershipView(m tenure.Membership) map[string]any {
	groups := make([]map[string]any, 0, len(m.Groups))
	for _, g := range m.Groups {
		groups = append(groups, mappingView(g))
	}
	return map[string]any{
		"workspace": m.Workspace, "workspace_name": m.Name, "user": m.User, "user_name": m.UserName, "active": m.Active,
		"role": m.Role, "direct": m.Direct, "groups": groups,
	}
}

func mappingView(g tenure.GroupRole) map[string]any {
	return map[string]any{"group": g.Group, "name": g.Name, "role": g.Role, "created_at": stamp(g.CreatedAt), "created_by": g.CreatedBy}
}

// noWorkspace says in words that there is no such workspace.
func noWorkspace(err error, name string) error {
	if errors.Is(err, tenure.ErrNotFound) {
		return &tenure.Error{Kind: tenure.NotFound, Code: "workspace_not_found", Msg: fmt.Sprintf("there is no workspace %q", name)}
	}
	return err
}

type workspaceCreate struct {
	local
	Name   string   `arg:"" help:"Name, unique in the tenant."`
	About  string   `placeholder:"TEXT" help:"What it is for."`
	Models []string `placeholder:"PATTERN,…" help:"Models that may be asked there, such as gpt-4o* or anthropic/* (default: all)."`
}

// Help implements kong.HelpProvider.
func (workspaceCreate) Help() string {
	return "Example:\n\n  tenure workspace create Research --models 'gpt-4o*,anthropic/*'\n\nIts id is printed. Exit status 4: the name is taken."
}

// Run implements the verb.
func (c *workspaceCreate) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		w, err := a.Directory.CreateWorkspace(e.ctx, by, directory.WorkspaceSpec{Name: &c.Name, About: &c.About, Models: c.Models})
		if err != nil {
			return err
		}
		return c.print(e, workspaceView(w), func(out io.Writer) { fmt.Fprintln(out, w.ID) })
	})
}

type workspaceList struct {
	local
	Limit int `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (workspaceList) Help() string { return "Example:\n\n  tenure workspace list --json" }

// Run implements the verb.
func (c *workspaceList) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Directory.Workspaces(e.ctx, by, "", c.Limit)
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(rows))
		for _, w := range rows {
			views = append(views, workspaceView(w.Workspace))
		}
		return c.print(e, views, func(out io.Writer) {
			fmt.Fprintln(out, "ID\tNAME\tMODELS\tCREATED\tABOUT")
			for _, w := range rows {
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", w.ID, w.Name, w.Models, short(w.CreatedAt), w.About)
			}
		})
	})
}

type workspaceUpdate struct {
	local
	Workspace   string         `arg:"" help:"Name or id."`
	Name        *string        `placeholder:"TEXT" help:"New name."`
	About       *string        `placeholder:"TEXT" help:"What it is for."`
	Models      []string       `placeholder:"PATTERN,…" help:"Models that may be asked there, as a whole; '*' for all."`
	OutageGrace *time.Duration `placeholder:"DURATION" help:"How long its tokens go on while the database is away, such as 30s; 0: strict. The policy best_effort_max must let it, and an exception."`
	Exception   *string        `placeholder:"ID" help:"The exception of the rule best_effort by which they do."`
}

// Help implements kong.HelpProvider.
func (workspaceUpdate) Help() string {
	return "Example:\n\n  tenure workspace update Research --models 'gpt-4o-mini'\n  tenure policy set best_effort_max=2m && tenure workspace update Research --outage-grace 2m --exception 01939c2e-…\n\n" +
		"What is not named stays as it is. It holds from the next request on. With an outage grace, somebody who is deactivated while the database is away may go on for so long; so it takes an exception, and ends with it. Exit status 4: the name is taken, or the policy does not let it."
}

// Run implements the verb.
func (c *workspaceUpdate) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		w, err := a.Directory.UpdateWorkspace(e.ctx, by, c.Workspace, directory.WorkspaceSpec{Name: c.Name, About: c.About, Models: c.Models, OutageGrace: c.OutageGrace, Exception: (*tenure.ExceptionID)(c.Exception)})
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		return c.print(e, workspaceView(w.Workspace), func(out io.Writer) {
			fmt.Fprintf(out, "updated %s: models %s%s\n", w.Name, w.Models, inOutage(w.Workspace))
		})
	})
}

// inOutage says how long the tokens of a workspace go on while the database is away,
// where that is longer than everybody's do.
func inOutage(w tenure.Workspace) string {
	switch {
	case w.OutageGrace == 0:
		return ""
	case w.BestEffort(time.Now()) < w.OutageGrace:
		return fmt.Sprintf("; without the database %s, of which the policy and the exception let %s", tenure.FormatSpan(w.OutageGrace), tenure.FormatSpan(w.BestEffort(time.Now())))
	}
	return "; without the database " + tenure.FormatSpan(w.OutageGrace)
}

type workspaceDelete struct {
	local
	Workspace string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (workspaceDelete) Help() string {
	return "Example:\n\n  tenure workspace delete Research\n\n" +
		"Its tokens, service accounts and streams end for good, and the keys of its providers are forgotten. Exit status 4: it is the workspace default."
}

// Run implements the verb.
func (c *workspaceDelete) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		ended, err := a.Directory.DeleteWorkspace(e.ctx, by, c.Workspace)
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		return c.print(e, map[string]any{"workspace": c.Workspace, "state": "deleted", "ended": map[string]int{"tokens": ended.Tokens, "service_accounts": len(ended.Accounts)}}, func(out io.Writer) {
			fmt.Fprintf(out, "deleted %s: tokens ended %d, service accounts ended %d; open streams are cut within a second\n", c.Workspace, ended.Tokens, len(ended.Accounts))
		})
	})
}

type workspaceMembers struct {
	local
	Workspace string `arg:"" help:"Name or id."`
	Limit     int    `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (workspaceMembers) Help() string { return "Example:\n\n  tenure workspace members Research" }

// Run implements the verb.
func (c *workspaceMembers) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Directory.Members(e.ctx, by, c.Workspace, directory.MembershipFilter{Limit: c.Limit})
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		groups, err := a.Directory.Mappings(e.ctx, by, c.Workspace, "", c.Limit)
		if err != nil {
			return err
		}
		members, mapped := make([]map[string]any, 0, len(rows)), make([]map[string]any, 0, len(groups))
		for _, m := range rows {
			members = append(members, membershipView(m))
		}
		for _, g := range groups {
			mapped = append(mapped, mappingView(g))
		}
		return c.print(e, map[string]any{"members": members, "groups": mapped}, func(out io.Writer) {
			fmt.Fprintln(out, "USER\tROLE\tTHROUGH\tACTIVE\tID")
			for _, m := range rows {
				fmt.Fprintf(out, "%s\t%s\t%s\t%t\t%s\n", m.UserName, m.Role, through(m), m.Active, m.User)
			}
			for _, g := range groups {
				fmt.Fprintf(out, "group %s\t%s\t\t\t%s\n", g.Name, g.Role, g.Group)
			}
		})
	})
}

// through tells where a role comes from.
func through(m tenure.Membership) string {
	text := ""
	if m.Direct != "" {
		text = "direct"
	}
	for _, g := range m.Groups {
		if text != "" {
			text += ", "
		}
		text += g.Name
	}
	return text
}

type workspaceAddMember struct {
	local
	Workspace string `arg:"" help:"Name or id."`
	User      string `arg:"" help:"userName or id of somebody who is known."`
	Role      string `default:"member" placeholder:"ROLE" help:"workspace_admin, member or viewer (default: ${default})."`
}

// Help implements kong.HelpProvider.
func (workspaceAddMember) Help() string {
	return "Example:\n\n  tenure workspace add-member Research alice@example.com --role workspace_admin\n\nFor somebody who is a member it changes the role."
}

// Run implements the verb.
func (c *workspaceAddMember) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		u, err := find(e, a, by, c.User)
		if err != nil {
			return err
		}
		m, err := a.Directory.SetMember(e.ctx, by, c.Workspace, u.ID, tenure.Role(c.Role))
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		return c.print(e, membershipView(m), func(out io.Writer) { fmt.Fprintf(out, "%s is %s in %s\n", m.UserName, m.Role, m.Name) })
	})
}

type workspaceRemoveMember struct {
	local
	Workspace string `arg:"" help:"Name or id."`
	User      string `arg:"" help:"userName or id."`
}

// Help implements kong.HelpProvider.
func (workspaceRemoveMember) Help() string {
	return "Example:\n\n  tenure workspace remove-member Research alice@example.com\n\n" +
		"Whoever has no other role there, through a group, loses their tokens in it. Exit status 4: only a group makes them a member."
}

// Run implements the verb.
func (c *workspaceRemoveMember) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		u, err := find(e, a, by, c.User)
		if err != nil {
			return err
		}
		ended, err := a.Directory.RemoveMember(e.ctx, by, c.Workspace, u.ID)
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		return c.print(e, map[string]any{"workspace": c.Workspace, "user": u.ID, "ended": map[string]int{"tokens": ended.Tokens}}, func(out io.Writer) {
			fmt.Fprintf(out, "removed %s from %s: tokens ended %d\n", u.UserName, c.Workspace, ended.Tokens)
		})
	})
}

type workspaceMapGroup struct {
	local
	Workspace string `arg:"" help:"Name or id."`
	Group     string `arg:"" help:"displayName or id of a group that SCIM pushed."`
	Role      string `default:"member" placeholder:"ROLE" help:"workspace_admin, member or viewer (default: ${default})."`
}

// Help implements kong.HelpProvider.
func (workspaceMapGroup) Help() string {
	return "Example:\n\n  tenure workspace map-group Research 'R&D' --role member\n\nWhoever comes into the group later is one too, and whoever leaves it is none any more."
}

// Run implements the verb.
func (c *workspaceMapGroup) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		g, err := a.Directory.SetMapping(e.ctx, by, c.Workspace, c.Group, tenure.Role(c.Role))
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		return c.print(e, mappingView(g), func(out io.Writer) { fmt.Fprintf(out, "members of %s are %s in %s\n", g.Name, g.Role, c.Workspace) })
	})
}

type workspaceUnmapGroup struct {
	local
	Workspace string `arg:"" help:"Name or id."`
	Group     string `arg:"" help:"displayName or id."`
}

// Help implements kong.HelpProvider.
func (workspaceUnmapGroup) Help() string {
	return "Example:\n\n  tenure workspace unmap-group Research 'R&D'"
}

// Run implements the verb.
func (c *workspaceUnmapGroup) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		ended, err := a.Directory.RemoveMapping(e.ctx, by, c.Workspace, c.Group)
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		return c.print(e, map[string]any{"workspace": c.Workspace, "group": c.Group, "ended": map[string]int{"tokens": ended.Tokens}}, func(out io.Writer) {
			fmt.Fprintf(out, "the group %s is nothing in %s any more: tokens ended %d\n", c.Group, c.Workspace, ended.Tokens)
		})
	})
}
