package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/doctor"
)

type doctorCmd struct {
	config.Serve
	URL       string   `name:"url" placeholder:"URL" help:"Where people reach Tenure, through the proxy (default: TENURE_PUBLIC_URL)."`
	Header    []string `placeholder:"NAME: VALUE" sep:"none" help:"Header to send there, such as the Cookie of somebody who is signed in; may be given again."`
	Providers bool     `help:"Ask each provider for its models, with its key."`
	Repo      string   `placeholder:"DIR" help:"Look for secrets in this directory and in the whole history of its git repository, and at nothing else."`
	Staged    bool     `help:"With --repo: only in what the next commit would change."`
	Replicas  int      `default:"3" placeholder:"N" help:"How many replicas are to serve from one PostgreSQL (default: ${default})."`
	Strict    bool     `help:"Exit with status 1 for warnings too."`
	JSON      bool     `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (doctorCmd) Help() string {
	return `Example, with the environment of the server:

  tenure doctor --url https://tenure.example.com

It takes every setting of "tenure serve", looks at what that would run with (settings, database, key, providers, proxy, SCIM, who has access that nothing would end), and says in one line each what it found and what to do. ` +
		`With --repo it looks for secrets in a source tree instead. It changes nothing, and takes half a minute at most (a long history may take longer). Exit status 0: nothing failed. 1: something did.`
}

// Run implements the verb.
func (c *doctorCmd) Run(e *env) error {
	d := &doctor.Doctor{Settings: c.Serve, Header: http.Header{}, AskProviders: c.Providers, Replicas: c.Replicas, Secrets: app.NewResolver}
	if c.Replicas < 1 {
		return tenure.InvalidField("replicas", "--replicas: expected a number from 1")
	}
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return tenure.InvalidField("url", "--url: it must be http(s)://host without path or query, for example https://tenure.example.com")
		}
		d.URL = u
	}
	for _, line := range c.Header {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return tenure.InvalidField("header", "--header: expected NAME: VALUE, for example 'Cookie: session=…'")
		}
		d.Header.Add(name, strings.TrimSpace(value))
	}
	if c.Repo != "" {
		found, secrets, err := d.Repository(e.ctx, c.Repo, c.Staged)
		if err != nil {
			return err
		}
		return c.tell(e, found, secrets)
	}
	if c.Staged {
		return tenure.InvalidField("staged", "--staged goes with --repo")
	}
	d.As = func(t tenure.TenantID) tenure.Principal { return app.Operator(account(), t) }
	return c.tell(e, d.Run(e.ctx), nil)
}

func (c *doctorCmd) tell(e *env, found []doctor.Finding, secrets []doctor.Secret) error {
	counts := map[doctor.Status]int{doctor.OK: 0, doctor.Warn: 0, doctor.Fail: 0, doctor.Skip: 0}
	for _, f := range found {
		counts[f.Status]++
	}
	view := map[string]any{"findings": found, "counts": counts}
	if c.Repo != "" {
		view["secrets"] = secrets
	}
	err := local{JSON: c.JSON}.print(e, view, func(io.Writer) {
		for _, f := range found {
			line := fmt.Sprintf("%s: %s: %s", f.Area, f.Check, f.Found)
			if f.Do != "" {
				line += " → " + f.Do
			}
			fmt.Fprintf(e.stdout, "%-4s  %s\n", f.Status, strings.Join(strings.Fields(line), " ")) // in one line
		}
		fmt.Fprintf(e.stdout, "%d ok, %d warn, %d fail, %d skip\n", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail], counts[doctor.Skip])
	})
	if err == nil && (counts[doctor.Fail] > 0 || c.Strict && counts[doctor.Warn] > 0) {
		err = errNo{}
	}
	return err
}
