package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/exception"
)

type exceptionCmd struct {
	List     exceptionList     `cmd:"" help:"List exceptions, newest first."`
	Show     exceptionShow     `cmd:"" help:"Show one exception."`
	Ask      exceptionAsk      `cmd:"" help:"Ask for an exception, which another person approves."`
	Renew    exceptionRenew    `cmd:"" help:"Ask for an exception in the place of one that ends."`
	Approve  exceptionApprove  `cmd:"" help:"Approve an exception."`
	Reject   exceptionReject   `cmd:"" help:"Reject an exception."`
	Withdraw exceptionWithdraw `cmd:"" help:"Withdraw an exception that was asked for at the command line."`
	Revoke   exceptionRevoke   `cmd:"" help:"Revoke an exception: what hangs on it ends at once."`
	Remedied exceptionRemedied `cmd:"" help:"Say that the remedy is made: the exception ends."`
}

// exceptionFirst is how many exceptions the list has at most.
const exceptionFirst = 1000

type exceptionList struct{ local }

// Help implements kong.HelpProvider.
func (exceptionList) Help() string { return "Example:\n\n  tenure exception list" }

// Run implements the verb.
func (c *exceptionList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		page, err := a.Exceptions.List(e.ctx, by, "", exceptionFirst)
		if err != nil {
			return err
		}
		views := make([]api.Exception, 0, len(page.Exceptions))
		for _, v := range page.Exceptions {
			views = append(views, api.ShowException(v))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tSTATE\tRULE\tFOR\tENDS\tOWNER\tRENEWALS\tTITLE")
			for _, v := range page.Exceptions {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", v.ID, v.Status, v.Rule, v.About(), short(v.End()), v.OwnerName, v.Renewals, v.Title)
			}
		})
	})
}

type exceptionShow struct {
	local
	ID string `arg:"" help:"Id of the exception."`
}

// Help implements kong.HelpProvider.
func (exceptionShow) Help() string {
	return "Example:\n\n  tenure exception show 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e"
}

// Run implements the verb.
func (c *exceptionShow) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Exceptions.Read(e.ctx, by, tenure.ExceptionID(c.ID))
		if err != nil {
			return err
		}
		return c.print(e, api.ShowException(v), func(w io.Writer) {
			for _, line := range [][2]string{
				{"title", v.Title},
				{"state", tenure.ExceptionWords(v.Status)},
				{"rule", string(v.Rule)},
				{"for", v.About()},
				{"base URL", orDash(v.BaseURL)},
				{"reason", v.Reason},
				{"risk", v.Before.Rating() + ", with controls " + v.After.Rating()},
				{"controls", v.Controls},
				{"live check", orDash(strings.Trim(v.Check+", "+v.FailedWhy, ", "))},
				{"asked by", v.RequestedBy},
				{"decided by", orDash(v.DecidedBy)},
				{"from", short(v.From)},
				{"until", short(v.End())},
				{"owner", v.OwnerName},
				{"plan", v.Plan},
				{"remedy by", short(v.RemedyBy)},
				{"renewals", fmt.Sprint(v.Renewals)},
				{"tokens on it", fmt.Sprint(v.Tokens)},
				{"workspaces on it", fmt.Sprint(v.Spaces)},
				{"sessions on it", fmt.Sprint(v.Sessions)},
				{"providers on it", fmt.Sprint(v.Providers)},
			} {
				fmt.Fprintf(w, "%s\t%s\n", line[0], strings.ReplaceAll(line[1], "\n", " "))
			}
		})
	})
}

// exceptionWish are the flags that say what an exception is to be.
type exceptionWish struct {
	Until    string `required:"" placeholder:"TIME" help:"Its end: 90d, or a day such as 2027-03-31; at most 180 days after its beginning."`
	Reason   string `placeholder:"TEXT" help:"Why it is needed."`
	Controls string `placeholder:"TEXT" help:"What compensates for the rule meanwhile."`
	Check    string `placeholder:"NAME" help:"The live check that must not fail meanwhile: networks_set, models_set, rate_limit_set."`
	Before   string `placeholder:"RISK" help:"Risk without that: likelihood and impact, low, medium or high each, such as medium/high."`
	After    string `placeholder:"RISK" help:"Risk with it, such as low/high."`
	Owner    string `placeholder:"NAME" help:"Who answers for the remedy: an active person."`
	Plan     string `placeholder:"TEXT" help:"How it is to become needless."`
	RemedyBy string `placeholder:"TIME" help:"The day of the remedy (default: the end)."`
}

func (c exceptionWish) spec() (exception.Spec, error) {
	spec := exception.Spec{Reason: c.Reason, Controls: c.Controls, Check: c.Check, Remedy: exception.Remedy{Owner: c.Owner, Plan: c.Plan}}
	spec.Risks.Before.Likelihood, spec.Risks.Before.Impact, _ = strings.Cut(c.Before, "/")
	spec.Risks.After.Likelihood, spec.Risks.After.Impact, _ = strings.Cut(c.After, "/")
	var err error
	if spec.Time.End, err = dayOrLife("until", c.Until); err == nil && c.RemedyBy != "" {
		spec.Remedy.By, err = dayOrLife("remedy-by", c.RemedyBy)
	}
	return spec, err
}

// dayOrLife reads a day, which ends at midnight UTC, or a length of time from now.
func dayOrLife(flag, text string) (time.Time, error) {
	t, err := endDate(text)
	if err != nil {
		return t, tenure.InvalidField(strings.ReplaceAll(flag, "-", "_"), "--%s: expected a length of time such as 90d, or a day such as 2027-03-31", flag)
	}
	return t, nil
}

type exceptionAsk struct {
	local
	exceptionWish
	Rule    string `arg:"" help:"What is not to hold: token_lifetime, token_never_expires, best_effort, mfa_missing, provider_network, beliefs_read."`
	Kind    string `arg:"" enum:"tenant,workspace,user,service-account,provider" help:"What it is for: ${enum}."`
	Subject string `arg:"" optional:"" help:"Id, userName, or name of the workspace; of the tenant nothing."`
	Title   string `required:"" placeholder:"TEXT" help:"What it is, in a few words."`
	From    string `placeholder:"TIME" help:"Its beginning (default: now)."`
}

// Help implements kong.HelpProvider.
func (exceptionAsk) Help() string {
	return `Example:

  tenure exception ask token_lifetime user ada@example.com --title 'Lab robot' --until 120d \
    --reason 'The lab is offline for the season' --controls 'The lab network alone' --before medium/high --after low/high \
    --owner ada@example.com --plan 'A service account with rotation' --remedy-by 90d

Nothing changes until a person approves it, who neither asked nor is whom it is for. Then the act that would break the rule names its id, for example 'tenure token create --expires 120d --exception ID'.`
}

// Run implements the verb.
func (c *exceptionAsk) Run(e *env) error {
	spec, err := c.spec()
	if err == nil && c.From != "" {
		spec.Time.From, err = dayOrLife("from", c.From)
	}
	if err != nil {
		return err
	}
	spec.Title, spec.Rule = c.Title, tenure.Rule(c.Rule)
	spec.Subject = exception.Subject{Kind: strings.ReplaceAll(c.Kind, "-", "_"), ID: c.Subject}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Exceptions.Ask(e.ctx, by, spec)
		return c.done(e, "asked for", v, err)
	})
}

type exceptionRenew struct {
	local
	exceptionWish
	ID string `arg:"" help:"Id of the exception that is to be renewed."`
}

// Help implements kong.HelpProvider.
func (exceptionRenew) Help() string {
	return "Example:\n\n  tenure exception renew 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e --until 90d --reason 'The new CI is late'\n\nWhat is left out is as it was. Once it is approved, it takes the place of the other, with what hangs on it."
}

// Run implements the verb.
func (c *exceptionRenew) Run(e *env) error {
	spec, err := c.spec()
	if err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Exceptions.Renew(e.ctx, by, tenure.ExceptionID(c.ID), spec)
		return c.done(e, "asked for", v, err)
	})
}

// done tells what became of an exception.
func (l local) done(e *env, what string, v exception.View, err error) error {
	if err != nil {
		return err
	}
	return l.print(e, api.ShowException(v), func(w io.Writer) { fmt.Fprintln(w, what, v.ID) })
}

// named are the arguments of a verb on one exception, with a reason.
type named struct {
	local
	ID     string `arg:"" help:"Id of the exception."`
	Reason string `required:"" placeholder:"TEXT" help:"Why; who asked, the owner and auditors read it."`
}

type exceptionApprove struct{ named }

// Help implements kong.HelpProvider.
func (exceptionApprove) Help() string {
	return "Example:\n\n  tenure exception approve 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e --reason 'The lab network is enough'\n\nThe command line approves only while there is no administrator who could."
}

// Run implements the verb.
func (c *exceptionApprove) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Exceptions.Approve(e.ctx, by, tenure.ExceptionID(c.ID), c.Reason)
		return c.done(e, "approved", v, err)
	})
}

type exceptionReject struct{ named }

// Help implements kong.HelpProvider.
func (exceptionReject) Help() string {
	return "Example:\n\n  tenure exception reject 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e --reason '30 days are enough'"
}

// Run implements the verb.
func (c *exceptionReject) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Exceptions.Reject(e.ctx, by, tenure.ExceptionID(c.ID), c.Reason)
		return c.done(e, "rejected", v, err)
	})
}

type exceptionRevoke struct{ named }

// Help implements kong.HelpProvider.
func (exceptionRevoke) Help() string {
	return "Example:\n\n  tenure exception revoke 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e --reason 'The lab was broken into'\n\nWhat hangs on it ends within a second, streams included."
}

// Run implements the verb.
func (c *exceptionRevoke) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Exceptions.Revoke(e.ctx, by, tenure.ExceptionID(c.ID), c.Reason)
		return c.done(e, "revoked", v, err)
	})
}

type exceptionWithdraw struct {
	local
	ID string `arg:"" help:"Id of the exception."`
}

// Help implements kong.HelpProvider.
func (exceptionWithdraw) Help() string {
	return "Example:\n\n  tenure exception withdraw 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e"
}

// Run implements the verb.
func (c *exceptionWithdraw) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Exceptions.Withdraw(e.ctx, by, tenure.ExceptionID(c.ID))
		return c.done(e, "withdrew", v, err)
	})
}

type exceptionRemedied struct {
	local
	ID string `arg:"" help:"Id of the exception."`
}

// Help implements kong.HelpProvider.
func (exceptionRemedied) Help() string {
	return "Example:\n\n  tenure exception remedied 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e"
}

// Run implements the verb.
func (c *exceptionRemedied) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Exceptions.Remedied(e.ctx, by, tenure.ExceptionID(c.ID))
		return c.done(e, "remedied", v, err)
	})
}
