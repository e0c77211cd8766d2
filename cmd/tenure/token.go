package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
)

type tokenCmd struct {
	Create tokenCreate `cmd:"" help:"Make a personal access token for a person."`
	List   tokenList   `cmd:"" help:"List tokens, newest first."`
	Revoke tokenRevoke `cmd:"" help:"End tokens, and every stream that they carry."`
	Rotate tokenRotate `cmd:"" help:"Give a token a new secret; the old one stays good for the overlap."`

	RevokeMany tokenRevokeMany `cmd:"" help:"End many tokens at once, after a preview."`

	Requests tokenRequests `cmd:"" help:"List requests for tokens with scopes of administration, newest first."`
	Approve  tokenApprove  `cmd:"" help:"Approve a request for a token."`
	Reject   tokenReject   `cmd:"" help:"Reject a request for a token."`
	Collect  tokenCollect  `cmd:"" help:"Make the token of an approved request that was made at the command line."`
}

type tokenCreate struct {
	local
	wish
	User      string   `required:"" placeholder:"NAME" help:"userName of the owner, who must be known already."`
	Name      string   `required:"" placeholder:"TEXT" help:"What the token is for."`
	Workspace string   `placeholder:"NAME" help:"Name or id of one of the owner's workspaces (default: default)."`
	Scope     []string `aliases:"scopes" placeholder:"SCOPE,…" help:"chat, messages, models, beliefs, … (default: the tenant's policy)."`
}

// Help implements kong.HelpProvider.
func (tokenCreate) Help() string {
	return "Example:\n\n  tenure token create --user alice@example.com --name 'VS Code' --scope chat,models --expires 30d\n\nThe token is printed once, alone on standard output."
}

// Run implements the verb.
func (c *tokenCreate) Run(e *env) error {
	spec, err := c.spec(c.Name, c.Scope)
	if err != nil {
		return err
	}
	spec.For, spec.Workspace = c.User, c.Workspace
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		t, secret, err := a.Tokens.Mint(e.ctx, by, spec)
		if err != nil {
			return err
		}
		return c.revealToken(e, t, secret)
	})
}

func tokenView(t tenure.Token) map[string]any {
	return map[string]any{
		"id": t.ID, "name": t.Name, "kind": t.Kind, "prefix": t.Prefix, "user": t.UserName, "workspace": t.Workspace,
		"service_account": t.ServiceAccount, "models": t.Models, "cidrs": tenure.NetworkNames(t.Networks), "family": t.Family, "created_by": t.CreatedBy,
		"exception": t.Exception, "rotated_at": stamp(t.RotatedAt), "rotated_to": t.RotatedTo, "scopes": t.Scopes.Names(), "state": t.State(time.Now()), "created_at": stamp(t.CreatedAt), "expires_at": stamp(t.ExpiresAt),
		"last_used_at": stamp(t.LastUsedAt), "revoked_at": stamp(t.RevokedAt), "revoked_by": t.RevokedBy, "revoked_reason": t.RevokedReason,
	}
}

type tokenList struct {
	local
	User  string `placeholder:"NAME" help:"Only the tokens of this person."`
	Limit int    `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (tokenList) Help() string {
	return "Example:\n\n  tenure token list --user alice@example.com --json"
}

// Run implements the verb.
func (c *tokenList) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		var owner tenure.UserID
		if c.User != "" {
			u, err := find(e, a, by, c.User)
			if err != nil {
				return err
			}
			owner = u.ID
		}
		page, err := a.Tokens.All(e.ctx, by, owner, "", c.Limit)
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(page.Tokens))
		for _, t := range page.Tokens {
			views = append(views, tokenView(t))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tOWNER\tNAME\tTOKEN\tSTATE\tLAST USED\tEXPIRES")
			for _, t := range page.Tokens {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s…\t%s\t%s\t%s\n", t.ID, cmp.Or(t.UserName, t.AccountName), t.Name, t.Prefix, t.State(time.Now()), short(t.LastUsedAt), short(t.ExpiresAt))
			}
		})
	})
}

type tokenRevoke struct {
	local
	ID     []string `arg:"" help:"Ids of tokens, as 'tenure token list' shows them."`
	Reason string   `default:"revoked at the command line" placeholder:"TEXT" help:"For the audit log."`
}

// Help implements kong.HelpProvider.
func (tokenRevoke) Help() string {
	return "Example:\n\n  tenure token revoke 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e --reason 'laptop stolen'"
}

// Run implements the verb.
func (c *tokenRevoke) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		for _, id := range c.ID {
			ended, err := a.Tokens.Revoke(e.ctx, by, tenure.TokenID(id), c.Reason)
			if err != nil {
				return err
			}
			if err := c.print(e, map[string]any{"id": id, "state": "revoked", "tokens": ended.Tokens}, func(w io.Writer) {
				fmt.Fprintln(w, "revoked", id)
				if ended.Tokens > 1 {
					fmt.Fprintln(w, "ended with it: its other secret, which a rotation had left good")
				}
			}); err != nil {
				return err
			}
		}
		return nil
	})
}
