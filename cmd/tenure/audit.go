package main

import (
	"fmt"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/governance"
)

type auditCmd struct {
	List       auditList       `cmd:"" help:"List the audit log, newest first."`
	Verify     auditVerify     `cmd:"" help:"Verify that no event was changed, removed or moved."`
	Prove      auditProve      `cmd:"" help:"Prove that one event is in the log."`
	Export     auditExport     `cmd:"" help:"Write the whole log with its tree, to be verified elsewhere."`
	Checkpoint auditCheckpoint `cmd:"" help:"Print the newest signed root of the log."`
	Keys       auditKeys       `cmd:"" help:"List the keys that sign the log."`
	Sink       auditSink       `cmd:"" help:"Have audit events sent somewhere."`
	Erase      auditErase      `cmd:"" help:"Erase what the log has about a person who is gone."`
	Hold       auditHold       `cmd:"" help:"Keep everything that the log has: legal holds."`
	RotateKey  auditRotateKey  `cmd:"" help:"Replace the key that signs the log."`
	BeginAnew  auditBeginAnew  `cmd:"" help:"Begin the tree of the log anew, where it is broken and not signed any more."`
}

type auditList struct {
	local
	Actor     string    `placeholder:"WHO" help:"Only what this person, by name or id, or credential did."`
	Object    string    `placeholder:"WHAT" help:"Only what was done to this, by name or id."`
	Action    string    `placeholder:"ACTION" help:"Only this action, or those that begin so: token.minted, token."`
	Workspace string    `placeholder:"ID" help:"Only this workspace."`
	Request   string    `placeholder:"ID" help:"Only this request, as in X-Request-Id."`
	Since     time.Time `placeholder:"TIME" help:"At this time or later, such as 2026-01-31T00:00:00Z."`
	Until     time.Time `placeholder:"TIME" help:"Before this time."`
	Limit     int       `default:"100" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (auditList) Help() string {
	return "Example:\n\n  tenure audit list --action user --since 2026-01-01T00:00:00Z --json"
}

// Run implements the verb.
func (c *auditList) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Governance.Audit(e.ctx, by, governance.AuditFilter{
			Actor: c.Actor, Object: c.Object, Action: c.Action, Workspace: tenure.WorkspaceID(c.Workspace), RequestID: c.Request,
			Since: c.Since, Until: c.Until, Limit: c.Limit,
		})
		if err != nil {
			return err
		}
		views := make([]api.AuditEvent, 0, len(rows))
		for _, r := range rows {
			views = append(views, api.ShowAudit(r))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "AT\tACTION\tACTOR\tOBJECT\tOUTCOME\tREASON")
			for _, r := range rows {
				reason := r.Reason
				if len(r.Erased) > 0 {
					reason = "(erased)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", short(r.At), r.Action, r.Actor, r.Object, r.Outcome, reason)
			}
		})
	})
}
