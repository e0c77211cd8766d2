package main

import (
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/ledger"
)

type auditErase struct {
	local
	Person string `required:"" placeholder:"WHO" help:"userName, or id of somebody who was deleted."`
	Reason string `required:"" help:"Why; the audit log tells it for ever, so name nobody in it."`
	Recent bool   `help:"Events of the last 90 days, too. On PostgreSQL it needs the role that owns the tables."`
}

// Help implements kong.HelpProvider.
func (auditErase) Help() string {
	return "The events stay in their places, and proofs of them hold; who did what, on whom, from where and why is emptied in them. " +
		"Nothing brings it back but a backup of before. What was sent elsewhere stays there.\n\n" +
		"Example:\n\n  tenure audit erase --person bob@example.com --reason 'request 4711'"
}

// Run implements the verb.
func (c *auditErase) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		id := tenure.UserID(c.Person)
		u, err := find(e, a, by, c.Person)
		switch {
		case err == nil:
			id = u.ID
		case !tenure.IsKind(err, tenure.NotFound):
			return err
		}
		got, err := a.Ledger.Erase(e.ctx, by, ledger.Erasure{Person: id, Reason: c.Reason, Recent: c.Recent})
		if err != nil {
			return err
		}
		return c.print(e, got, func(w io.Writer) {
			fmt.Fprintf(w, "erased from %d events\n", got.Events)
			if got.Until != nil {
				fmt.Fprintf(w, "%d are younger than 90 days and stay; the last of them is old enough at %s\n", got.Kept, short(*got.Until))
			}
		})
	})
}
