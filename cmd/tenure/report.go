package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/governance"
)

type userReport struct {
	local
	User string `arg:"" help:"userName or id; of somebody deleted too."`
	CSV  bool   `name:"csv" xor:"form" help:"Print CSV."`
	Fail bool   `help:"Exit with status 1 while something remains."`
}

// Help implements kong.HelpProvider.
func (userReport) Help() string {
	return `Example, to prove that somebody is gone:

  tenure user report bob@example.com --fail --csv > bob.csv

Lists everything that the person has or had: tokens, sessions, memberships, service accounts, and what they made. ` +
		`Streams that are open right now are known to the process that serves: ask it, by GET /api/v1/admin/users/{id}/report.`
}

// Run implements the verb.
func (c *userReport) Run(e *env) error {
	if c.CSV && c.JSON {
		return tenure.InvalidField("csv", "--csv and --json exclude each other")
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		r, err := a.Governance.Report(e.ctx, by, c.User)
		if err != nil {
			return err
		}
		if c.CSV {
			_, err = e.stdout.Write(r.CSV())
		} else {
			err = c.print(e, api.ShowReport(r), func(w io.Writer) { tellReport(w, r) })
		}
		if err == nil && c.Fail && !r.Complete {
			err = fmt.Errorf("%s is not gone: %d things remain", r.UserName, len(r.Left()))
		}
		return err
	})
}

func tellReport(w io.Writer, r governance.Report) {
	fmt.Fprintf(w, "%s is %s.\n", r.UserName, r.State())
	if r.StreamsCut >= 0 {
		fmt.Fprintf(w, "Streams cut: %d, in %.3f ms.\n", r.StreamsCut, float64(r.CutTook.Microseconds())/1000)
	}
	if r.Complete {
		fmt.Fprintf(w, "Complete: nothing is left. The last of it ended %.3f seconds after the deactivation of %s.\n", r.Took.Seconds(), short(r.DeactivatedAt))
	} else {
		fmt.Fprintln(w, "Not complete. What remains:")
	}
	for _, i := range r.Left() {
		fmt.Fprintf(w, "  %s %s: %s\n", strings.ReplaceAll(i.Kind, "_", " "), i.Name, i.Remaining)
	}
	if seen := r.ToRotate(); len(seen) > 0 {
		fmt.Fprintln(w, "Secrets that live on and that the person has seen; rotate them:")
		for _, i := range seen {
			fmt.Fprintf(w, "  %s %s: %s\n", strings.ReplaceAll(i.Kind, "_", " "), i.Name, i.Rotate)
		}
	}
	if !r.StreamsKnown {
		fmt.Fprintln(w, "Open streams are not known here; the process that serves knows them.")
	}
	fmt.Fprintln(w, "\nKIND\tNAME\tWORKSPACE\tSTATE\tABOUT\tCREATED\tENDED\tBY\tREASON")
	for _, i := range r.Items {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.Kind, i.Name, i.WorkspaceName, i.State, i.About, short(i.CreatedAt), short(i.EndedAt), i.EndedBy, i.Reason)
	}
}
