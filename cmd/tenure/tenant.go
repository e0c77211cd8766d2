package main

import (
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
)

type tenantCmd struct {
	Create  tenantCreate  `cmd:"" help:"Make a tenant, with its workspace default."`
	List    tenantList    `cmd:"" help:"List tenants."`
	Suspend tenantSuspend `cmd:"" help:"Make every credential of a tenant dead, and cut its streams."`
	Resume  tenantResume  `cmd:"" help:"End the suspension of a tenant."`
}

func tenantView(t tenure.Tenant) map[string]any {
	return map[string]any{"id": t.ID, "name": t.Name, "active": t.Active, "created_at": stamp(t.CreatedAt)}
}

type tenantCreate struct {
	local
	Name string `arg:"" help:"Name, in the form that a header can carry."`
}

// Help implements kong.HelpProvider.
func (tenantCreate) Help() string {
	return "Example:\n\n  tenure tenant create acme\n\nIts id is printed. Other verbs act in it with --tenant acme. Exit status 4: the name is taken."
}

// Run implements the verb.
func (c *tenantCreate) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		t, err := a.Directory.CreateTenant(e.ctx, by, c.Name)
		if err != nil {
			return err
		}
		return c.print(e, tenantView(t), func(w io.Writer) { fmt.Fprintln(w, t.ID) })
	})
}

type tenantList struct {
	local
}

// Help implements kong.HelpProvider.
func (tenantList) Help() string { return "Example:\n\n  tenure tenant list --json" }

// Run implements the verb.
func (c *tenantList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Directory.Tenants(e.ctx, by)
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(rows))
		for _, t := range rows {
			v := tenantView(t)
			v["users"] = t.Users
			views = append(views, v)
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tNAME\tACTIVE\tUSERS\tCREATED")
			for _, t := range rows {
				fmt.Fprintf(w, "%s\t%s\t%t\t%d\t%s\n", t.ID, t.Name, t.Active, t.Users, short(t.CreatedAt))
			}
		})
	})
}

type tenantSuspend struct {
	local
	Name string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (tenantSuspend) Help() string {
	return "Example:\n\n  tenure tenant suspend acme\n\nNothing of it is revoked: what has not ended meanwhile is good again after 'tenure tenant resume'."
}

// Run implements the verb.
func (c *tenantSuspend) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		t, err := a.Directory.SuspendTenant(e.ctx, by, c.Name)
		if err != nil {
			return err
		}
		return c.print(e, tenantView(t), func(w io.Writer) { fmt.Fprintf(w, "suspended %s; open streams are cut within a second\n", t.Name) })
	})
}

type tenantResume struct {
	local
	Name string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (tenantResume) Help() string { return "Example:\n\n  tenure tenant resume acme" }

// Run implements the verb.
func (c *tenantResume) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		t, err := a.Directory.ResumeTenant(e.ctx, by, c.Name)
		if err != nil {
			return err
		}
		return c.print(e, tenantView(t), func(w io.Writer) { fmt.Fprintf(w, "resumed %s\n", t.Name) })
	})
}
