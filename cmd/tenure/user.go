package main

import (
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/directory"
)

type userCmd struct {
	Drift      userDrift      `cmd:"" help:"Compare what people sign in as with what SCIM provisions."`
	Report     userReport     `cmd:"" help:"Tell everything that a person has or had, and whether they are gone."`
	List       userList       `cmd:"" help:"List people."`
	Deactivate userDeactivate `cmd:"" help:"End a person's access: tokens, sessions, open streams."`
	Reactivate userReactivate `cmd:"" help:"Let a person sign in again. Nothing that ended comes back."`
	Role       userRole       `cmd:"" help:"Give a person a role in the tenant."`
	Unlink     userUnlink     `cmd:"" help:"Forget which identity of the identity provider a person is."`
}

// find gives the person with this userName or id.
func find(e *env, a *app.App, by tenure.Principal, name string) (tenure.User, error) {
	rows, _, err := a.Directory.Users(e.ctx, by, directory.UserFilter{UserName: name, Limit: 1})
	if err != nil {
		return tenure.User{}, err
	}
	if len(rows) == 1 {
		return rows[0], nil
	}
	u, err := a.Directory.User(e.ctx, by, tenure.UserID(name))
	if tenure.IsKind(err, tenure.NotFound) {
		err = &tenure.Error{Kind: tenure.NotFound, Code: "user_not_found", Msg: fmt.Sprintf("there is no user %q", name)}
	}
	return u, err
}

func userView(u tenure.User) map[string]any {
	return map[string]any{
		"id": u.ID, "user_name": u.UserName, "display_name": u.DisplayName, "external_id": u.ExternalID, "active": u.Active,
		"role": u.Role, "source": u.Source, "created_at": stamp(u.CreatedAt), "deactivated_at": stamp(u.DeactivatedAt), "last_seen_at": stamp(u.LastSeenAt),
	}
}

type userList struct {
	local
	Limit int `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (userList) Help() string { return "Example:\n\n  tenure user list --json" }

// Run implements the verb.
func (c *userList) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, _, err := a.Directory.Users(e.ctx, by, directory.UserFilter{Limit: c.Limit})
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(rows))
		for _, u := range rows {
			views = append(views, userView(u))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tUSER\tACTIVE\tROLE\tSOURCE\tLAST SEEN")
			for _, u := range rows {
				fmt.Fprintf(w, "%s\t%s\t%t\t%s\t%s\t%s\n", u.ID, u.UserName, u.Active, u.Role, u.Source, short(u.LastSeenAt))
			}
		})
	})
}

type userDeactivate struct {
	local
	User   string `arg:"" help:"userName or id."`
	Reason string `default:"deactivated at the command line" placeholder:"TEXT" help:"For the audit log."`
}

// Help implements kong.HelpProvider.
func (userDeactivate) Help() string { return "Example:\n\n  tenure user deactivate bob@example.com" }

// Run implements the verb.
func (c *userDeactivate) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		u, err := find(e, a, by, c.User)
		if err != nil {
			return err
		}
		u, ended, err := a.Directory.Deactivate(e.ctx, by, u.ID, c.Reason)
		if err != nil {
			return err
		}
		v := userView(u)
		v["ended"] = map[string]int{"tokens": ended.Tokens, "sessions": ended.Sessions, "orphans": ended.Orphans, "service_accounts": len(ended.Accounts)} // streams are in another process
		return c.print(e, v, func(w io.Writer) {
			fmt.Fprintf(w, "deactivated %s: tokens ended %d, sessions ended %d; open streams are cut within a second\n", u.UserName, ended.Tokens, ended.Sessions)
		})
	})
}

type userReactivate struct {
	local
	User string `arg:"" help:"userName or id."`
}

// Help implements kong.HelpProvider.
func (userReactivate) Help() string { return "Example:\n\n  tenure user reactivate bob@example.com" }

// Run implements the verb.
func (c *userReactivate) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		u, err := find(e, a, by, c.User)
		if err != nil {
			return err
		}
		if u, err = a.Directory.Reactivate(e.ctx, by, u.ID); err != nil {
			return err
		}
		return c.print(e, userView(u), func(w io.Writer) {
			fmt.Fprintf(w, "reactivated %s; tokens and sessions that ended stay ended\n", u.UserName)
		})
	})
}

type userRole struct {
	local
	User string `arg:"" help:"userName or id."`
	Role string `arg:"" help:"super_admin, admin, auditor or member."`
}

// Help implements kong.HelpProvider.
func (userRole) Help() string {
	return "Example:\n\n  tenure user role bob@example.com auditor\n\n" +
		"It holds from the next request on, and ends their sessions. Whoever TENURE_ADMINS names is super_admin again at the next sign-in. Exit status 4: they are the last active super admin."
}

// Run implements the verb.
func (c *userRole) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		u, err := find(e, a, by, c.User)
		if err != nil {
			return err
		}
		was := u.Role
		if u, _, err = a.Directory.SetRole(e.ctx, by, u.ID, tenure.Role(c.Role)); err != nil {
			return err
		}
		return c.print(e, userView(u), func(w io.Writer) {
			fmt.Fprintf(w, "%s is %s\n", u.UserName, u.Role)
			if was == tenure.SuperAdmin && u.Role != was {
				fmt.Fprintln(w, "if TENURE_ADMINS names them, the next sign-in makes them super_admin again: take the name out of it and restart")
			}
		})
	})
}
