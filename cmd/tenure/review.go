package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/review"
)

type reviewCmd struct {
	List     reviewList     `cmd:"" help:"List access reviews, newest first."`
	Open     reviewOpen     `cmd:"" help:"Open an access review."`
	Show     reviewShow     `cmd:"" help:"Show the items of an access review."`
	Decide   reviewDecide   `cmd:"" help:"Decide one item."`
	Reassign reviewReassign `cmd:"" help:"Give an item to another reviewer."`
	Close    reviewClose    `cmd:"" help:"Close an access review."`
	Report   reviewReport   `cmd:"" help:"Print the signed report of a closed review, or the items as CSV."`
	Verify   reviewVerify   `cmd:"" help:"Verify a signed report, without a database."`
}

type reviewList struct {
	local
	Open  bool `help:"Only those that are open."`
	Limit int  `default:"100" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (reviewList) Help() string { return "Example:\n\n  tenure review list --open" }

// Run implements the verb.
func (c *reviewList) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Reviews.List(e.ctx, by, c.Open, "", c.Limit)
		if err != nil {
			return err
		}
		views := make([]api.Review, 0, len(rows))
		for _, v := range rows {
			views = append(views, api.ShowReview(v))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tTITLE\tOPENED\tDUE\tDECIDED\tNOT DEAD\tCLOSED")
			for _, v := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", v.ID, v.Title, short(v.OpenedAt), short(v.DueAt),
					of(v.Counts.Items-v.Counts.Undecided, v.Counts.Items), v.Counts.Unresolved-v.Counts.Undecided, short(v.ClosedAt))
			}
		})
	})
}

type reviewOpen struct {
	local
	Title      string   `arg:"" help:"For people, such as \"Access review, fourth quarter\"."`
	Kind       []string `placeholder:"KIND" help:"Only items of this kind, such as personal_token. Repeatable."`
	Workspace  []string `placeholder:"NAME" help:"Only what lies in this workspace. Repeatable."`
	DueIn      string   `placeholder:"TIME" help:"How long the reviewers have, such as 14d (default: the policy review_due)."`
	Unanswered string   `placeholder:"WHAT" help:"What becomes of what nobody decides: escalate or revoke (default: the policy review_unanswered)."`
}

// Help implements kong.HelpProvider.
func (reviewOpen) Help() string {
	return "Everything that gives access is written down as it is at this instant, each item with who is to decide it.\n\n" +
		"Example:\n\n  tenure review open \"Access review, fourth quarter\" --due-in 14d"
}

// Run implements the verb.
func (c *reviewOpen) Run(e *env) error {
	spec := review.Spec{Title: c.Title, Kinds: c.Kind, Workspaces: c.Workspace, Unanswered: c.Unanswered}
	if c.DueIn != "" {
		var err error
		if spec.Due, err = tenure.ParseLifetime(c.DueIn); err != nil {
			return tenure.InvalidField("due_in", "--due-in: %v", err)
		}
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, err := a.Reviews.Open(e.ctx, by, spec)
		if err != nil {
			return err
		}
		return c.print(e, api.ShowReview(v), func(w io.Writer) {
			fmt.Fprintf(w, "opened %s: %d items, due %s\nsnapshot %s\n", v.ID, v.Items, short(v.DueAt), v.Snapshot)
		})
	})
}

type reviewShow struct {
	local
	ID        string `arg:"" help:"Id of the review, as listed."`
	Kind      string `placeholder:"KIND" help:"Only items of this kind."`
	Flagged   bool   `help:"Only those that have a flag."`
	Undecided bool   `help:"Only those that wait for a decision."`
	Limit     int    `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (reviewShow) Help() string {
	return "Example:\n\n  tenure review show 01900000-0000-7000-8000-000000000000 --flagged --undecided"
}

// Run implements the verb.
func (c *reviewShow) Run(e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		f := review.ItemFilter{}
		f.Kind, f.Flagged, f.Undecided, f.Limit = tenure.ReviewKind(c.Kind), c.Flagged, c.Undecided, c.Limit
		rows, err := a.Reviews.Items(e.ctx, by, tenure.ReviewID(c.ID), f)
		if err != nil {
			return err
		}
		views := make([]api.ReviewItem, 0, len(rows))
		for _, i := range rows {
			views = append(views, api.ShowItem(i))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ITEM\tKIND\tSUBJECT\tWORKSPACE\tGRANT\tLAST USED\tFLAGS\tREVIEWER\tSTATE")
			for _, i := range rows {
				reviewer := i.ReviewerName
				if i.Reviewer == "" {
					reviewer = "administrators"
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.N, i.Kind, i.Name, orDash(i.WorkspaceName), i.Grant, short(i.LastUsedAt), orDash(i.Flags), reviewer, stateOf(i))
			}
		})
	})
}

// stateOf says where an item stands, and why.
func stateOf(i tenure.ReviewItem) string {
	switch s := i.State(); s {
	case "gone":
		return s + ": " + i.GoneWhy
	case "failed":
		return s + ": " + i.Failure
	case "revoked":
		return fmt.Sprintf("%s, dead after %.0f ms", s, float64(i.Took.Microseconds())/1000)
	case "finding":
		return fmt.Sprintf("%s: %s, by %s until %s", s, i.Change, i.ChangeOwner, i.ChangeDue.UTC().Format(time.DateOnly))
	default:
		return s
	}
}

type reviewDecide struct {
	local
	ID       string    `arg:"" help:"Id of the review."`
	Item     int64     `arg:"" help:"Number of the item."`
	Decision string    `arg:"" enum:"keep,revoke,change,abstain" help:"What to do: ${enum}."`
	Reason   string    `required:"" placeholder:"TEXT" help:"Why."`
	To       string    `placeholder:"WHAT" help:"Of change: the new role or owner, or what is to be done."`
	Owner    string    `placeholder:"WHO" help:"Of change: who is to make it; without one it is made now."`
	DueAt    time.Time `placeholder:"TIME" help:"Of change: by when, such as 2026-01-31T00:00:00Z."`
	Version  int64     `placeholder:"N" help:"Of the item as you saw it: to decide otherwise what was decided."`
}

// Help implements kong.HelpProvider.
func (reviewDecide) Help() string {
	return "What is revoked ends at once, and is tried.\n\nExample:\n\n  tenure review decide 01900000-0000-7000-8000-000000000000 17 revoke --reason \"left the project\"\n\n" +
		"Exit status 4: it was decided since, or is gone. Exit status 1: it was revoked, and is not dead; it is tried again."
}

// Run implements the verb.
func (c *reviewDecide) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		i, err := a.Reviews.Decide(e.ctx, by, tenure.ReviewID(c.ID), c.Item, review.Choice{
			Decision: tenure.Decision(c.Decision), Reason: c.Reason, To: c.To, Owner: c.Owner, Due: c.DueAt, Version: c.Version,
		})
		if err != nil {
			return err
		}
		if err := c.print(e, api.ShowItem(i), func(w io.Writer) { fmt.Fprintf(w, "item %d, %s: %s\n", i.N, i.Name, stateOf(i)) }); err != nil {
			return err
		}
		if i.Failure != "" {
			return fmt.Errorf("item %d was revoked, and is not dead: %s", i.N, i.Failure)
		}
		return nil
	})
}

type reviewReassign struct {
	local
	ID     string `arg:"" help:"Id of the review."`
	Item   int64  `arg:"" help:"Number of the item."`
	To     string `placeholder:"WHO" help:"Id or userName; without one, any administrator."`
	Reason string `required:"" placeholder:"TEXT" help:"Why."`
}

// Help implements kong.HelpProvider.
func (reviewReassign) Help() string {
	return "It is never for whose access it is.\n\nExample:\n\n  tenure review reassign 01900000-0000-7000-8000-000000000000 17 --to ada@example.com --reason \"knows the team\""
}

// Run implements the verb.
func (c *reviewReassign) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		i, err := a.Reviews.Reassign(e.ctx, by, tenure.ReviewID(c.ID), c.Item, c.To, c.Reason)
		if err != nil {
			return err
		}
		return c.print(e, api.ShowItem(i), func(w io.Writer) {
			fmt.Fprintf(w, "item %d, %s: for %s\n", i.N, i.Name, cmp.Or(i.ReviewerName, "any administrator"))
		})
	})
}

type reviewClose struct {
	local
	ID     string `arg:"" help:"Id of the review."`
	Reason string `required:"" placeholder:"TEXT" help:"Why."`
}

// Help implements kong.HelpProvider.
func (reviewClose) Help() string {
	return "What was not decided stays so, and the report says it.\n\nExample:\n\n  tenure review close 01900000-0000-7000-8000-000000000000 --reason \"all that matters is decided\""
}

// Run implements the verb.
func (c *reviewClose) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		a.Version = built()
		v, err := a.Reviews.Close(e.ctx, by, tenure.ReviewID(c.ID), c.Reason)
		if err != nil {
			return err
		}
		return c.print(e, api.ShowReview(v), func(w io.Writer) {
			fmt.Fprintf(w, "closed %s: %d of %d items resolved\n", v.ID, v.Counts.Items-v.Counts.Unresolved, v.Counts.Items)
		})
	})
}

type reviewReport struct {
	local
	ID  string `arg:"" help:"Id of the review."`
	CSV bool   `name:"csv" help:"The items as CSV, also of a review that is open."`
}

// Help implements kong.HelpProvider.
func (reviewReport) Help() string {
	return "Example:\n\n  tenure review report 01900000-0000-7000-8000-000000000000 > review.note"
}

// Run implements the verb.
func (c *reviewReport) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		if c.CSV {
			return a.Reviews.WriteCSV(e.ctx, by, tenure.ReviewID(c.ID), e.stdout)
		}
		text, err := a.Reviews.Signed(e.ctx, by, tenure.ReviewID(c.ID))
		if err == nil {
			_, err = io.WriteString(e.stdout, text)
		}
		return err
	})
}

type reviewVerify struct {
	File string   `arg:"" help:"The report (- for standard input)."`
	Key  []string `required:"" placeholder:"KEY" help:"A public key to trust, as \"tenure audit keys\" shows it. Repeatable."`
	CSV  string   `name:"csv" type:"path" placeholder:"FILE" help:"The items as CSV, which are to be those of the report."`
}

// Help implements kong.HelpProvider.
func (reviewVerify) Help() string {
	return "Exit status 1: it was not signed by that key, or was changed since.\n\nExample:\n\n  tenure review verify review.note --key 'tenure/0198c0de…+1a2b3c4d+AQ…' --csv review.csv"
}

// Run implements the verb.
func (c *reviewVerify) Run(e *env) error {
	signed, err := readNamed(c.File)
	if err != nil {
		return err
	}
	text, by, err := ledger.OpenStatement(string(signed), review.Statement, c.Key...)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	var r review.Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("%s: what is signed is no report: %w", c.File, err)
	}
	if c.CSV != "" {
		f, err := os.Open(c.CSV)
		if err != nil {
			return err
		}
		if err := errors.Join(review.CheckCSV(r, f), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", c.CSV, err)
		}
	}
	fmt.Fprintf(e.stdout, "%s (%s), closed %s by %s\n%d items, %.1f %% covered; signed by %s\n", r.Title, r.Review, short(r.ClosedAt), r.ClosedBy, r.Items, r.Coverage, by)
	fmt.Fprintf(e.stdout, "the snapshot's hash, made anew when the review was closed: %s\n", review.Agrees(r))
	if p := review.Fastest(r); p != nil {
		fmt.Fprintf(e.stdout, "%s decided %d items, %d of them within a minute\n", p.By, p.Items, p.Most)
	}
	for _, line := range r.ByKind {
		var parts []string
		for _, s := range review.States() {
			if n := line.States[s]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, s))
			}
		}
		fmt.Fprintf(e.stdout, "  %s: %s\n", strings.ReplaceAll(line.Kind, "_", " "), strings.Join(parts, ", "))
	}
	return nil
}
