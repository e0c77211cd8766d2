package main

import (
	"fmt"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/token"
)

type accountCmd struct {
	Create accountCreate `cmd:"" help:"Make a service account."`
	List   accountList   `cmd:"" help:"List service accounts."`
	Show   accountShow   `cmd:"" help:"Show a service account and its tokens."`
	Update accountUpdate `cmd:"" help:"Change the owner, the description or the end date of a service account."`
	Delete accountDelete `cmd:"" help:"End a service account and its tokens, for good."`
	Token  accountToken  `cmd:"" help:"Make a token of a service account, or ask for one."`
}

type accountCreate struct {
	local
	Name        string `arg:"" help:"Name, unique in the workspace."`
	Workspace   string `default:"default" placeholder:"NAME" help:"Name or id of the workspace."`
	Owner       string `required:"" placeholder:"NAME" help:"userName or id of the active person who answers for it."`
	Description string `required:"" placeholder:"TEXT" help:"What it is for."`
	Expires     string `default:"365d" placeholder:"TIME" help:"End: a length of time, or a date such as 2027-12-31; at most 730d ahead."`
}

// Help implements kong.HelpProvider.
func (accountCreate) Help() string {
	return "Example:\n\n  tenure service-account create nightly --owner grace@example.com --description 'Writes the nightly report'\n\n" +
		"Its id is printed. Exit status 4: the workspace has an account of this name."
}

// Run implements the verb.
func (c *accountCreate) Run(e *env) error {
	end, err := endDate(c.Expires)
	if err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		acc, err := a.Directory.CreateAccount(e.ctx, by, directory.AccountSpec{
			Workspace: c.Workspace, Name: c.Name, About: c.Description, Owner: c.Owner, ExpiresAt: end,
		})
		if err != nil {
			return err
		}
		return c.print(e, accountView(acc), func(w io.Writer) { fmt.Fprintln(w, acc.ID) })
	})
}

// endDate reads a day, which ends at midnight UTC, or a length of time from now.
func endDate(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	d, err := tenure.ParseLifetime(text)
	if err != nil || d <= 0 {
		return time.Time{}, tenure.InvalidField("expires", "--expires: expected a length of time such as 365d, or a day such as 2027-12-31")
	}
	return time.Now().Add(d), nil
}

func accountView(a tenure.ServiceAccount) map[string]any {
	return map[string]any{
		"id": a.ID, "workspace": a.Workspace, "name": a.Name, "description": a.About, "state": a.State(time.Now()),
		"owner": a.OwnerName, "owner_id": a.Owner, "owner_active": a.OwnerActive, "tokens": a.Tokens,
		"expires_at": stamp(a.ExpiresAt), "orphaned_at": stamp(a.OrphanedAt), "grace_ends_at": stamp(a.GraceEndsAt),
		"created_at": stamp(a.CreatedAt), "created_by": a.CreatedBy,
		"ended_at": stamp(a.EndedAt), "ended_by": a.EndedBy, "ended_reason": a.EndReason,
	}
}

type accountList struct {
	local
	Workspace string `placeholder:"ID" help:"Only those of the workspace with this id."`
	Ended     bool   `help:"Those that have ended too."`
	Limit     int    `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (accountList) Help() string { return "Example:\n\n  tenure service-account list --json" }

// Run implements the verb.
func (c *accountList) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Directory.Accounts(e.ctx, by, directory.AccountFilter{Workspace: tenure.WorkspaceID(c.Workspace), Ended: c.Ended, Limit: c.Limit})
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(rows))
		for _, acc := range rows {
			views = append(views, accountView(acc))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tWORKSPACE\tNAME\tOWNER\tSTATE\tTOKENS\tENDS\tGRACE ENDS")
			for _, acc := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", acc.ID, acc.Workspace, acc.Name, acc.OwnerName, acc.State(time.Now()), acc.Tokens, short(acc.ExpiresAt), short(acc.GraceEndsAt))
			}
		})
	})
}

// findAccount gives the service account with this id, or with this name if only
// one that goes on has it.
func findAccount(e *env, a *app.App, by tenure.Principal, name string) (tenure.ServiceAccount, error) {
	acc, err := a.Directory.Account(e.ctx, by, tenure.ServiceAccountID(name))
	if !tenure.IsKind(err, tenure.NotFound) {
		return acc, err
	}
	rows, err := a.Directory.Accounts(e.ctx, by, directory.AccountFilter{Limit: 1_000_000})
	if err != nil {
		return acc, err
	}
	n := 0
	for _, row := range rows {
		if row.Name == name {
			acc, n = row, n+1
		}
	}
	switch n {
	case 0:
		return acc, &tenure.Error{Kind: tenure.NotFound, Code: "account_not_found", Msg: fmt.Sprintf("there is no service account %q", name)}
	case 1:
		return acc, nil
	}
	return acc, tenure.InvalidField("name", "%d workspaces have a service account %q; give its id", n, name)
}

type accountShow struct {
	local
	Name string `arg:"" help:"Id, or name if only one has it."`
}

// Help implements kong.HelpProvider.
func (accountShow) Help() string { return "Example:\n\n  tenure service-account show nightly" }

// Run implements the verb.
func (c *accountShow) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		acc, err := findAccount(e, a, by, c.Name)
		if err != nil {
			return err
		}
		page, err := a.Tokens.OfAccount(e.ctx, by, acc.ID, "", 1000)
		if err != nil {
			return err
		}
		v := accountView(acc)
		tokens := make([]map[string]any, 0, len(page.Tokens))
		for _, t := range page.Tokens {
			tokens = append(tokens, tokenView(t))
		}
		v["tokens"] = tokens
		return c.print(e, v, func(w io.Writer) {
			fmt.Fprintf(w, "id\t%s\nname\t%s\nworkspace\t%s\ndescription\t%s\nowner\t%s\nstate\t%s\nends\t%s\ngrace ends\t%s\n",
				acc.ID, acc.Name, acc.Workspace, acc.About, acc.OwnerName, acc.State(time.Now()), short(acc.ExpiresAt), short(acc.GraceEndsAt))
			for _, t := range page.Tokens {
				fmt.Fprintf(w, "token\t%s %s… %s (%s), %s, ends %s\n", t.ID, t.Prefix, t.Name, t.Scopes, t.State(time.Now()), short(t.ExpiresAt))
			}
		})
	})
}

type accountUpdate struct {
	local
	Name        string  `arg:"" help:"Id, or name if only one has it."`
	Owner       *string `placeholder:"NAME" help:"userName or id of its new owner; ends the waiting for one."`
	Description *string `placeholder:"TEXT" help:"What it is for."`
	Expires     string  `placeholder:"TIME" help:"New end: a length of time from now, or a day."`
}

// Help implements kong.HelpProvider.
func (accountUpdate) Help() string {
	return "Example:\n\n  tenure service-account update nightly --owner heidi@example.com\n\nExit status 4: it has come to its end; nothing revives it."
}

// Run implements the verb.
func (c *accountUpdate) Run(e *env) error {
	change := directory.AccountChange{Owner: c.Owner, About: c.Description}
	if c.Expires != "" {
		end, err := endDate(c.Expires)
		if err != nil {
			return err
		}
		change.ExpiresAt = &end
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		acc, err := findAccount(e, a, by, c.Name)
		if err != nil {
			return err
		}
		if acc, err = a.Directory.UpdateAccount(e.ctx, by, acc.ID, change); err != nil {
			return err
		}
		return c.print(e, accountView(acc), func(w io.Writer) {
			fmt.Fprintf(w, "changed %s: owner %s, ends %s\n", acc.Name, acc.OwnerName, short(acc.ExpiresAt))
		})
	})
}

type accountDelete struct {
	local
	Name   string `arg:"" help:"Id, or name if only one has it."`
	Reason string `default:"ended at the command line" placeholder:"TEXT" help:"For the audit log."`
}

// Help implements kong.HelpProvider.
func (accountDelete) Help() string {
	return "Example:\n\n  tenure service-account delete nightly --reason 'replaced by airflow'\n\nIts tokens end at once, and its name is free again."
}

// Run implements the verb.
func (c *accountDelete) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		acc, err := findAccount(e, a, by, c.Name)
		if err != nil {
			return err
		}
		ended, err := a.Directory.EndAccount(e.ctx, by, acc.ID, c.Reason)
		if err != nil {
			return err
		}
		return c.print(e, map[string]any{"id": acc.ID, "ended": ended}, func(w io.Writer) {
			fmt.Fprintf(w, "ended %s: %d tokens ended\n", acc.Name, ended.Tokens)
		})
	})
}

type accountToken struct {
	local
	wish
	Account string   `arg:"" help:"Id of the account, or name if only one has it."`
	Name    string   `required:"" placeholder:"TEXT" help:"What the token is for."`
	Scope   []string `required:"" placeholder:"SCOPE,…" help:"Exactly what it may do: chat, messages, models, users.read, …"`
	Reason  string   `placeholder:"TEXT" help:"For whoever decides on scopes of administration."`
}

// Help implements kong.HelpProvider.
func (accountToken) Help() string {
	return "Example:\n\n  tenure service-account token nightly --name 'cluster ops-1' --scope chat,models --model 'gpt-4o*' --expires 30d\n\n" +
		"The token is printed once, alone on standard output. Scopes of administration need a second person, unless the policy admin_scope_approval " +
		"needs none: then the id of the request is printed; see 'tenure token requests'."
}

// Run implements the verb.
func (c *accountToken) Run(e *env) error {
	spec, err := c.spec(c.Name, c.Scope)
	if err != nil {
		return err
	}
	spec.Reason = c.Reason
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		acc, err := findAccount(e, a, by, c.Account)
		if err != nil {
			return err
		}
		made, err := a.Tokens.MintService(e.ctx, by, acc.ID, spec)
		if err != nil {
			return err
		}
		if q := made.Request; q != nil {
			return c.print(e, map[string]any{"request": requestView(*q)}, func(w io.Writer) { fmt.Fprintln(w, "requested", q.ID) })
		}
		return c.revealToken(e, made.Token, made.Secret)
	})
}

// wish are the flags that say what a token is to be.
type wish struct {
	Model     []string `placeholder:"PATTERN,…" help:"Models that it may ask, such as gpt-4o* (default: all of the workspace)."`
	CIDR      []string `name:"cidr" placeholder:"CIDR,…" help:"Networks from where it is good (default: anywhere)."`
	Expires   string   `placeholder:"TIME" help:"Lifetime (default and longest: the tenant's policy); longer, or never, with an exception."`
	Exception string   `placeholder:"ID" help:"The exception that lets it live longer than the policy does."`
}

func (c wish) spec(name string, scopes []string) (token.Spec, error) {
	spec := token.Spec{Name: name, Scopes: scopes, Models: c.Model, Networks: c.CIDR, Exception: tenure.ExceptionID(c.Exception)}
	if c.Expires == "never" {
		spec.Never = true
		return spec, nil
	}
	if c.Expires != "" {
		life, err := tenure.ParseLifetime(c.Expires)
		if err == nil && life <= 0 {
			err = fmt.Errorf("a lifetime is longer than zero")
		}
		if err != nil {
			return spec, &tenure.Error{Kind: tenure.Invalid, Code: "invalid_expires", Field: "expires", Msg: "--expires: " + err.Error()}
		}
		spec.Life = life
	}
	return spec, nil
}

// revealToken shows a new token, this once.
func (l local) revealToken(e *env, t tenure.Token, secret tenure.Secret) error {
	v := tokenView(t)
	v["token"] = secret.Reveal()
	return l.print(e, v, func(w io.Writer) { fmt.Fprintln(w, secret.Reveal()) })
}
