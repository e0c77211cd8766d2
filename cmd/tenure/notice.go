package main

import (
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
)

type noticeCmd struct {
	List noticeList `cmd:"" help:"List the tenant's notices, newest first."`
}

type noticeList struct {
	local
	Unread bool `help:"Only those that nobody has read."`
	Limit  int  `default:"100" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (noticeList) Help() string { return "Example:\n\n  tenure notice list --unread" }

// Run implements the verb.
func (c *noticeList) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		page, err := a.Notices.All(e.ctx, by, c.Unread, "", c.Limit)
		if err != nil {
			return err
		}
		views := make([]api.Notice, 0, len(page.Notices))
		for _, n := range page.Notices {
			views = append(views, api.ShowNotice(n))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "AT\tSEVERITY\tKIND\tREAD\tMESSAGE")
			for _, n := range page.Notices {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", short(n.At), n.Severity, n.Kind, short(n.ReadAt), n.Message)
			}
		})
	})
}

type webhookCmd struct {
	Secret webhookSecret `cmd:"" help:"Make the secret that the webhook signs with; the one before is good no more."`
	Test   webhookTest   `cmd:"" help:"Send a test through the webhook, and wait for the answer."`
}

type webhookSecret struct{ local }

// Help implements kong.HelpProvider.
func (webhookSecret) Help() string {
	return "Example:\n\n  tenure webhook secret\n\nIt is shown this once. Set where to post by: tenure policy set webhook_url=https://hooks.example.com/tenure"
}

// Run implements the verb.
func (c *webhookSecret) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		secret, err := a.Notices.NewSecret(e.ctx, by)
		if err != nil {
			return err
		}
		return c.print(e, map[string]string{"secret": secret.Reveal()}, func(w io.Writer) { fmt.Fprintln(w, secret.Reveal()) })
	})
}

type webhookTest struct{ local }

// Help implements kong.HelpProvider.
func (webhookTest) Help() string { return "Example:\n\n  tenure webhook test" }

// Run implements the verb.
func (c *webhookTest) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		status, took, err := a.Notices.Test(e.ctx, by)
		if err != nil {
			return err
		}
		ms := float64(took.Microseconds()) / 1000
		return c.print(e, map[string]any{"status": status, "took_ms": ms}, func(w io.Writer) {
			fmt.Fprintf(w, "accepted with status %d in %.1f ms\n", status, ms)
		})
	})
}
