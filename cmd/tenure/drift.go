package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/directory"
)

type userDrift struct {
	local
	Fail bool `help:"Exit with status 1 when somebody signs in under a name that SCIM does not know."`
}

// Help implements kong.HelpProvider.
func (userDrift) Help() string {
	return `Example, to be told every morning:

  tenure user drift --fail || mail -s 'Tenure: offboarding would miss somebody' security@example.com

Lists the people whose names diverge between sign-in and SCIM: deactivating the one would not end the other. ` +
		`Who was provisioned and has not signed in is listed too, and is no reason to fail.`
}

// Run implements the verb.
func (c *userDrift) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		report, err := a.Directory.Drift(e.ctx, by)
		if err != nil {
			return err
		}
		if err := c.print(e, driftView(report), func(w io.Writer) { tellDrift(w, report) }); err != nil {
			return err
		}
		if n := report.Diverging(); c.Fail && n > 0 {
			return fmt.Errorf("%d %s under a name that SCIM does not know", n, map[bool]string{true: "person signs in", false: "people sign in"}[n == 1])
		}
		return nil
	})
}

func driftView(report directory.Drift) map[string]any {
	people := make([]map[string]any, 0, len(report.People))
	for _, p := range report.People {
		like := []map[string]any{}
		for _, l := range p.Like {
			like = append(like, map[string]any{"id": l.ID, "user_name": l.UserName, "active": l.Active, "differs": l.Differs, "active_tokens": l.Tokens})
		}
		people = append(people, map[string]any{
			"id": p.ID, "user_name": p.UserName, "kind": p.Kind, "source": p.Source, "active_tokens": p.Tokens, "like": like,
			"created_at": stamp(p.CreatedAt), "last_seen_at": stamp(p.LastSeenAt),
		})
	}
	return map[string]any{"diverging": report.Diverging(), "provisioned": report.Provisioned, "people": people}
}

// tellDrift tells the report, the worst first, each kind with what to do.
func tellDrift(w io.Writer, report directory.Drift) {
	if report.Diverging() == 0 {
		fmt.Fprintln(w, "Everybody who signs in is known to SCIM by the same name.")
	}
	if report.Provisioned == 0 {
		fmt.Fprintln(w, "SCIM has provisioned nobody: is the identity provider connected? See 'tenure connector list'.")
	}
	for _, kind := range directory.DriftKinds() {
		people := report.Of(kind)
		if len(people) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n\nUSER\tDRIFT\tACTIVE TOKENS\tLAST SEEN\tNEARLY\n", kind.Advice())
		for _, p := range people {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", p.UserName, p.Kind, p.Tokens, short(p.LastSeenAt), likes(p))
		}
	}
}

func likes(p directory.Drifter) string {
	parts := make([]string, 0, len(p.Like))
	for _, l := range p.Like {
		state := fmt.Sprintf("%d active tokens", l.Tokens)
		if !l.Active {
			state = "deactivated"
		}
		parts = append(parts, fmt.Sprintf("%s (%s; %s)", l.UserName, strings.Join(l.Differs, ", "), state))
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, ", ")
}
