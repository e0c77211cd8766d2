package main

import (
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
)

type auditHold struct {
	Place   auditHoldPlace   `cmd:"" help:"Place a legal hold."`
	List    auditHoldList    `cmd:"" help:"List legal holds, the newest first."`
	Release auditHoldRelease `cmd:"" help:"Release a legal hold."`
}

type auditHoldPlace struct {
	local
	Matter string `required:"" help:"What it is for; the audit log tells it for ever, so name nobody in it."`
}

// Help implements kong.HelpProvider.
func (auditHoldPlace) Help() string {
	return "While it is in force nothing of the tenant's audit log is removed by the policy audit_retention, and nothing is erased.\n\n" +
		"Example:\n\n  tenure audit hold place --matter 'Case 4711'"
}

// Run implements the verb.
func (c *auditHoldPlace) Run(e *env) error {
	return c.with(e, true, func(a *app.App, by tenure.Principal) error {
		h, err := a.Ledger.PlaceHold(e.ctx, by, c.Matter)
		if err != nil {
			return err
		}
		return c.print(e, api.ShowAuditHold(h), func(w io.Writer) { fmt.Fprintf(w, "placed %s\n", h.ID) })
	})
}

type auditHoldList struct{ local }

// Help implements kong.HelpProvider.
func (auditHoldList) Help() string {
	return "Example:\n\n  tenure audit hold list --json"
}

// Run implements the verb.
func (c *auditHoldList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Ledger.Holds(e.ctx, by)
		if err != nil {
			return err
		}
		views := make([]api.AuditHold, 0, len(rows))
		for _, h := range rows {
			views = append(views, api.ShowAuditHold(h))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tMATTER\tPLACED\tBY\tRELEASED\tREASON")
			for _, h := range rows {
				released := "in force"
				if !h.InForce() {
					released = short(h.ReleasedAt)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", h.ID, h.Matter, short(h.PlacedAt), h.PlacedBy, released, h.ReleaseReason)
			}
		})
	})
}

type auditHoldRelease struct {
	local
	Hold   string `arg:"" help:"Id of the hold."`
	Reason string `required:"" help:"Why; the audit log tells it for ever, so name nobody in it."`
}

// Help implements kong.HelpProvider.
func (auditHoldRelease) Help() string {
	return "Where no other hold is in force, what is older than the policy audit_retention says is removed from then on.\n\n" +
		"Example:\n\n  tenure audit hold release 0198c0de-0000-7000-8000-000000000000 --reason 'case 4711 is closed'"
}

// Run implements the verb.
func (c *auditHoldRelease) Run(e *env) error {
	return c.with(e, true, func(a *app.App, by tenure.Principal) error {
		h, err := a.Ledger.ReleaseHold(e.ctx, by, tenure.HoldID(c.Hold), c.Reason)
		if err != nil {
			return err
		}
		return c.print(e, api.ShowAuditHold(h), func(w io.Writer) { fmt.Fprintf(w, "released %s\n", h.ID) })
	})
}
