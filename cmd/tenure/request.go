package main

import (
	"fmt"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
)

func requestView(q tenure.TokenRequest) map[string]any {
	return map[string]any{
		"id": q.ID, "state": q.State(time.Now()), "workspace": q.Workspace, "service_account": q.Account, "service_account_name": q.AccountName,
		"name": q.Name, "scopes": q.Scopes.Names(), "models": q.Models, "cidrs": tenure.NetworkNames(q.Networks), "expires_in": int64(q.Life.Seconds()),
		"reason": q.Reason, "requested_by": q.RequestedBy, "requested_at": stamp(q.RequestedAt),
		"decided_by": q.DecidedBy, "decided_at": stamp(q.DecidedAt), "decision": q.Decision, "token_id": q.Token,
	}
}

type tokenRequests struct {
	local
	Limit int `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (tokenRequests) Help() string { return "Example:\n\n  tenure token requests --json" }

// Run implements the verb.
func (c *tokenRequests) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		page, err := a.Tokens.Requests(e.ctx, by, "", c.Limit)
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(page.Requests))
		for _, q := range page.Requests {
			views = append(views, requestView(q))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tSTATE\tSERVICE ACCOUNT\tSCOPES\tREQUESTED BY\tREQUESTED\tDECIDED BY")
			for _, q := range page.Requests {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", q.ID, q.State(time.Now()), q.AccountName, q.Scopes, q.RequestedBy, short(q.RequestedAt), q.DecidedBy)
			}
		})
	})
}

type tokenApprove struct {
	local
	ID     string `arg:"" help:"Id of the request, as 'tenure token requests' shows it."`
	Reason string `placeholder:"TEXT" help:"Why, for whoever asked and for the audit log."`
}

// Help implements kong.HelpProvider.
func (tokenApprove) Help() string {
	return "Example:\n\n  tenure token approve 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e\n\nWhoever asked collects the token within 7 days. A request made at the command line is decided on by a super admin in the dashboard or over the API."
}

// Run implements the verb.
func (c *tokenApprove) Run(e *env) error { return c.decide(e, c.ID, true, c.Reason) }

type tokenReject struct {
	local
	ID     string `arg:"" help:"Id of the request, as 'tenure token requests' shows it."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, for whoever asked and for the audit log."`
}

// Help implements kong.HelpProvider.
func (tokenReject) Help() string {
	return "Example:\n\n  tenure token reject 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e --reason 'users.read is enough'"
}

// Run implements the verb.
func (c *tokenReject) Run(e *env) error { return c.decide(e, c.ID, false, c.Reason) }

func (l local) decide(e *env, id string, approve bool, why string) error {
	return l.with(e, false, func(a *app.App, by tenure.Principal) error {
		q, err := a.Tokens.Decide(e.ctx, by, tenure.RequestID(id), approve, why)
		if err != nil {
			return err
		}
		return l.print(e, requestView(q), func(w io.Writer) { fmt.Fprintln(w, q.Stored, q.ID) })
	})
}

type tokenCollect struct {
	local
	ID string `arg:"" help:"Id of an approved request that was made at the command line."`
}

// Help implements kong.HelpProvider.
func (tokenCollect) Help() string {
	return "Example:\n\n  tenure token collect 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e\n\nThe token is printed once, alone on standard output."
}

// Run implements the verb.
func (c *tokenCollect) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		made, err := a.Tokens.Collect(e.ctx, by, tenure.RequestID(c.ID))
		if err != nil {
			return err
		}
		return c.revealToken(e, made.Token, made.Secret)
	})
}
