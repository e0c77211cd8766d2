package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/limits"
)

type limitCmd struct {
	List   limitList   `cmd:"" help:"List limits, and what was used of them."`
	Set    limitSet    `cmd:"" help:"Set a limit on a tenant, workspace, person, service account or token."`
	Remove limitRemove `cmd:"" help:"End a limit."`
}

type limitList struct {
	local
	Workspace string `placeholder:"NAME" help:"Only those that count what is asked in this workspace alone."`
}

// Help implements kong.HelpProvider.
func (limitList) Help() string {
	return "Example:\n\n  tenure limit list\n\nWhat was used in the last seconds of a server that runs is not in it yet."
}

// Run implements the verb.
func (c *limitList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Limits.List(e.ctx, by, limits.Filter{Workspace: c.Workspace})
		if err != nil {
			return err
		}
		currency, err := a.Prices.Currency(e.ctx)
		if err != nil {
			return err
		}
		views := make([]api.Limit, 0, len(rows))
		for _, v := range rows {
			views = append(views, api.ShowLimit(v, currency))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tON\tIN WORKSPACE\tREQUESTS A MINUTE\tTOKENS A DAY\tSPEND A MONTH\tSET BY")
			for _, v := range views {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, onWhat(v), orDash(v.Workspace), of(v.Used.Requests, v.Requests), of(v.Used.Tokens, v.Tokens), ofMoney(v), orDash(v.CreatedBy))
			}
		})
	})
}

// onWhat says what a limit is on.
func onWhat(v api.Limit) string {
	name := v.SubjectName
	if name == "" {
		name = v.Subject
	}
	return strings.ReplaceAll(v.Kind, "_", " ") + " " + name
}

// of says how much of a bound was used.
func of(used, bound int64) string {
	if bound == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d", used, bound)
}

// ofMoney says how much of a bound on spend was used, and what is not in it.
func ofMoney(v api.Limit) string {
	if v.Spend == 0 {
		return "–"
	}
	text := tenure.FormatMoney(v.Used.Spend) + " of " + tenure.FormatAmount(v.Spend, v.Currency)
	if v.Used.Unpriced > 0 {
		text += fmt.Sprintf(", and %d requests without a price", v.Used.Unpriced)
	}
	return text
}

type limitSet struct {
	local
	Kind      string `arg:"" enum:"tenant,workspace,user,service-account,token" help:"What it is on: ${enum}."`
	Subject   string `arg:"" optional:"" help:"Id, userName, or name of the workspace; of the tenant nothing."`
	Workspace string `placeholder:"NAME" help:"Count what is asked in this workspace alone (default: everywhere)."`
	Requests  int64  `placeholder:"N" help:"Requests a minute (default: no bound)."`
	Tokens    int64  `placeholder:"N" help:"Tokens a day, input and output (default: no bound)."`
	Spend     string `placeholder:"N" help:"Spend a month, such as 250 or 12.50, by the prices that are set (default: no bound)."`
}

// Help implements kong.HelpProvider.
func (limitSet) Help() string {
	return `Examples:

  tenure limit set user ada@example.com --requests 60 --tokens 2000000
  tenure limit set workspace Research --tokens 50000000 --spend 2000

A limit that there is already gets these bounds, and no others. It holds within a second, on every replica.`
}

// Run implements the verb.
func (c *limitSet) Run(e *env) error {
	bounds := tenure.UsageBounds{RequestsPerMinute: c.Requests, TokensPerDay: c.Tokens}
	if c.Spend != "" {
		var err error
		if bounds.SpendPerMonth, err = tenure.ParseMoney(c.Spend); err != nil {
			return tenure.InvalidField("spend_per_month", "--spend: %v", err)
		}
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Limits.Set(e.ctx, by, limits.Spec{
			Kind: strings.ReplaceAll(c.Kind, "-", "_"), Subject: c.Subject, Workspace: c.Workspace, Bounds: bounds,
		})
		if err != nil {
			return err
		}
		currency, err := a.Prices.Currency(e.ctx)
		if err != nil {
			return err
		}
		shown := api.ShowLimit(v, currency)
		return c.print(e, shown, func(w io.Writer) { fmt.Fprintf(w, "set %s on %s\n", v.ID, onWhat(shown)) })
	})
}

type limitRemove struct {
	local
	ID string `arg:"" help:"Id of the limit, as listed."`
}

// Help implements kong.HelpProvider.
func (limitRemove) Help() string {
	return "Example:\n\n  tenure limit remove 01900000-0000-7000-8000-000000000000\n\nExit status 3: there is no such limit."
}

// Run implements the verb.
func (c *limitRemove) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		if err := a.Limits.Remove(e.ctx, by, tenure.LimitID(c.ID)); err != nil {
			return err
		}
		return c.print(e, map[string]any{"id": c.ID}, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", c.ID) })
	})
}
