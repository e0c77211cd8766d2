package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/token"
)

type tokenRotate struct {
	local
	ID      string `arg:"" help:"Id of the token, as 'tenure token list' shows it."`
	Overlap string `placeholder:"TIME" help:"How long the old secret stays good: 0 to 7d (default: the tenant's policy)."`
}

// Help implements kong.HelpProvider.
func (tokenRotate) Help() string {
	return "Example:\n\n  tenure token rotate 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e --overlap 1h\n\nThe new token is printed once, alone on standard output. " +
		"Exit status 4: it is revoked, expired or rotated already."
}

// Run implements the verb.
func (c *tokenRotate) Run(e *env) error {
	var overlap *time.Duration
	if c.Overlap != "" {
		var err error
		if overlap, err = token.ParseOverlap(c.Overlap); err != nil {
			return err
		}
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		t, secret, err := a.Tokens.Rotate(e.ctx, by, tenure.TokenID(c.ID), overlap)
		if err != nil {
			return err
		}
		return c.revealToken(e, t, secret)
	})
}

type tokenRevokeMany struct {
	local
	User           *string `placeholder:"NAME" help:"The personal tokens of this person."`
	Workspace      *string `placeholder:"NAME" help:"Tokens of this workspace."`
	ServiceAccount *string `placeholder:"NAME" help:"Tokens of this service account."`
	Kind           *string `placeholder:"KIND" help:"pat or svc."`
	CreatedBefore  *string `placeholder:"TIME" help:"Made before this day (2026-01-31), or longer ago than this (90d)."`
	UnusedSince    *string `placeholder:"TIME" help:"Neither made nor used since this day, or for so long."`
	Name           *string `placeholder:"PATTERN" help:"Whose name is like this; * stands for any text."`
	Reason         string  `default:"revoked at the command line" placeholder:"TEXT" help:"For the audit log."`
	Confirm        string  `placeholder:"TEXT" help:"What the preview printed; without it, only a preview is shown."`
}

// Help implements kong.HelpProvider.
func (tokenRevokeMany) Help() string {
	return "Example:\n\n  tenure token revoke-many --unused-since 90d --name 'ci-*'\n\n" +
		"lists what it would end, and the --confirm to repeat it with. Exit status 4: something else is selected by now; look again."
}

// selection reads the flags but that of the service account. An empty one must not
// pass for one that was left out, which chooses everything.
func (c *tokenRevokeMany) selection() (sel token.Selection, err error) {
	for flag, value := range map[string]*string{
		"user": c.User, "workspace": c.Workspace, "service-account": c.ServiceAccount, "kind": c.Kind,
		"created-before": c.CreatedBefore, "unused-since": c.UnusedSince, "name": c.Name,
	} {
		if value != nil && *value == "" {
			return sel, tenure.InvalidField(flag, "--%s is empty, and nothing never means all: leave it out, or give it a value", flag)
		}
	}
	said := func(value *string) string {
		if value == nil {
			return ""
		}
		return *value
	}
	sel = token.Selection{User: said(c.User), Workspace: said(c.Workspace), Kind: tenure.TokenKind(said(c.Kind)), Name: said(c.Name)}
	if sel.CreatedBefore, err = longAgo("created-before", said(c.CreatedBefore)); err != nil {
		return sel, err
	}
	sel.UnusedSince, err = longAgo("unused-since", said(c.UnusedSince))
	return sel, err
}

// Run implements the verb.
func (c *tokenRevokeMany) Run(e *env) error {
	sel, err := c.selection()
	if err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		if c.ServiceAccount != nil {
			acc, err := findAccount(e, a, by, *c.ServiceAccount)
			if err != nil {
				return err
			}
			sel.Account = acc.ID
		}
		if c.Confirm == "" {
			return c.preview(e, a, by, sel)
		}
		ended, err := a.Tokens.RevokeMany(e.ctx, by, sel, c.Confirm, c.Reason)
		if err != nil {
			return err
		}
		return c.print(e, map[string]any{"total": ended.Tokens}, func(w io.Writer) { fmt.Fprintf(w, "revoked %d tokens\n", ended.Tokens) })
	})
}

func (c *tokenRevokeMany) preview(e *env, a *app.App, by tenure.Principal, sel token.Selection) error {
	p, err := a.Tokens.Preview(e.ctx, by, sel)
	if err != nil {
		return err
	}
	views := make([]map[string]any, 0, len(p.Tokens))
	for _, t := range p.Tokens {
		views = append(views, tokenView(t))
	}
	return c.print(e, map[string]any{"total": p.Total, "confirm": p.Confirm, "items": views}, func(w io.Writer) {
		fmt.Fprintln(w, "ID\tOWNER\tNAME\tTOKEN\tLAST USED")
		for _, t := range p.Tokens {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s…\t%s\n", t.ID, cmp.Or(t.UserName, t.AccountName), t.Name, t.Prefix, short(t.LastUsedAt))
		}
		fmt.Fprintf(w, "%d tokens; nothing has ended. To end these: --confirm %s\n", p.Total, p.Confirm)
	})
}

// longAgo reads an instant, a day, or a length of time before now; "" is zero.
func longAgo(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range [...]string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && !t.IsZero() {
			return t, nil
		}
	}
	d, err := tenure.ParseLifetime(text)
	if err != nil || d < 0 {
		return time.Time{}, tenure.InvalidField(flag, "--%s: expected a day such as 2026-01-31, or a length of time such as 90d", flag)
	}
	return time.Now().Add(-d), nil
}
