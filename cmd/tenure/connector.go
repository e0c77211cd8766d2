package main

import (
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/connector"
)

type connectorCmd struct {
	Create connectorCreate `cmd:"" help:"Make a SCIM connector with its token."`
	List   connectorList   `cmd:"" help:"List SCIM connectors, what came through them, and which are silent."`
	Rotate connectorRotate `cmd:"" help:"Give a SCIM connector a new token."`
	Delete connectorDelete `cmd:"" help:"End a SCIM connector and its tokens."`
}

type connectorCreate struct {
	local
	Name string   `arg:"" help:"Name, for example Okta."`
	CIDR []string `name:"cidr" placeholder:"CIDR,…" help:"Networks from where its token is good (default: anywhere)."`
}

// Help implements kong.HelpProvider.
func (connectorCreate) Help() string {
	return "Example:\n\n  tenure connector create Okta --cidr 203.0.113.0/24\n\nThe token is printed once, alone on standard output. Exit status 4: the name is taken."
}

// Run implements the verb.
func (c *connectorCreate) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		v, secret, err := a.Connectors.Create(e.ctx, by, connector.Spec{Name: c.Name, Networks: c.CIDR})
		if err != nil {
			return err
		}
		return c.reveal(e, v, secret)
	})
}

// reveal shows a new token, this once.
func (l local) reveal(e *env, v connector.View, secret tenure.Secret) error {
	m := connectorView(v)
	m["token"] = secret.Reveal()
	return l.print(e, m, func(w io.Writer) { fmt.Fprintln(w, secret.Reveal()) })
}

// connectorView is a connector as the API shows it too.
func connectorView(v connector.View) map[string]any {
	cidrs, tokens, operations := []string{}, []map[string]any{}, map[string]any{}
	for _, n := range v.Networks {
		cidrs = append(cidrs, n.String())
	}
	for _, t := range v.Tokens {
		tokens = append(tokens, map[string]any{
			"id": t.ID, "prefix": t.Prefix, "created_at": stamp(t.CreatedAt), "expires_at": stamp(t.ExpiresAt), "last_used_at": stamp(t.LastUsedAt),
		})
	}
	for _, c := range v.Figures.Counts {
		operations[c.Operation] = map[string]any{"ok": c.OK, "failed": c.Failed}
	}
	m := map[string]any{
		"id": v.ID, "name": v.Name, "builtin": v.Builtin(), "cidrs": cidrs, "tokens": tokens, "operations": operations,
		"created_at": stamp(v.CreatedAt), "created_by": v.CreatedBy, "last_seen_at": stamp(v.Figures.LastSeenAt),
		"usual_interval": int64(v.Figures.Usual.Seconds()), "silent_for": nil, "warning": v.Warning, "last_error": nil,
	}
	if !v.Figures.LastSeenAt.IsZero() {
		m["silent_for"] = int64(v.SilentFor.Seconds())
	}
	if f := v.Figures.LastError; f != nil {
		m["last_error"] = map[string]any{
			"at": stamp(f.At), "operation": f.Operation, "status": f.Status, "scim_type": f.ScimType, "shape": f.Shape, "request_id": f.RequestID,
		}
	}
	return m
}

type connectorList struct {
	local
}

// Help implements kong.HelpProvider.
func (connectorList) Help() string {
	return "Example:\n\n  tenure connector list --json\n\nThe connector of TENURE_SCIM_TOKEN is listed once something has come through it."
}

// Run implements the verb.
func (c *connectorList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Connectors.List(e.ctx, by)
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(rows))
		for _, v := range rows {
			views = append(views, connectorView(v))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tNAME\tTOKENS\tLAST SEEN\tOK\tFAILED\tLAST ERROR\tWARNING")
			for _, v := range rows {
				fmt.Fprintln(w, connectorLine(v))
			}
		})
	})
}

func connectorLine(v connector.View) string {
	tokens, last, warning := "set by operator", "–", "–"
	if !v.Builtin() {
		tokens = ""
		for _, t := range v.Tokens {
			tokens += t.Prefix + "… "
		}
	}
	var ok, failed int64
	for _, c := range v.Figures.Counts {
		ok, failed = ok+c.OK, failed+c.Failed
	}
	if f := v.Figures.LastError; f != nil {
		last = fmt.Sprintf("%s %d %s", f.Operation, f.Status, f.ScimType)
	}
	if v.Warning != "" {
		warning = "! " + v.Warning
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s", v.ID, v.Name, tokens, short(v.Figures.LastSeenAt), ok, failed, last, warning)
}

type connectorRotate struct {
	local
	Name    string `arg:"" help:"Name or id."`
	Overlap string `default:"24h" placeholder:"TIME" help:"How long the tokens before stay good: 0 to 7d."`
}

// Help implements kong.HelpProvider.
func (connectorRotate) Help() string {
	return "Example:\n\n  tenure connector rotate Okta --overlap 1h\n\nThe new token is printed once, alone on standard output. " +
		"Exit status 4: its token is set by TENURE_SCIM_TOKEN."
}

// Run implements the verb.
func (c *connectorRotate) Run(e *env) error {
	overlap, err := connector.ParseOverlap(c.Overlap)
	if err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		id, err := findConnector(e, a, by, c.Name)
		if err != nil {
			return err
		}
		v, secret, err := a.Connectors.Rotate(e.ctx, by, id, overlap)
		if err != nil {
			return err
		}
		return c.reveal(e, v, secret)
	})
}

type connectorDelete struct {
	local
	Name string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (connectorDelete) Help() string {
	return "Example:\n\n  tenure connector delete Okta\n\nIts tokens end at once; the people it provisioned stay as they are."
}

// Run implements the verb.
func (c *connectorDelete) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		id, err := findConnector(e, a, by, c.Name)
		if err != nil {
			return err
		}
		ended, err := a.Connectors.Delete(e.ctx, by, id)
		if err != nil {
			return err
		}
		return c.print(e, map[string]any{"id": id, "ended": ended}, func(w io.Writer) {
			fmt.Fprintf(w, "deleted %s: %d tokens ended\n", c.Name, ended.Tokens)
		})
	})
}

// findConnector gives the id of the connector with this name or id.
func findConnector(e *env, a *app.App, by tenure.Principal, name string) (tenure.ConnectorID, error) {
	rows, err := a.Connectors.List(e.ctx, by)
	if err != nil {
		return "", err
	}
	for _, v := range rows {
		if v.Name == name || string(v.ID) == name {
			return v.ID, nil
		}
	}
	if name == string(tenure.BuiltinConnector) || name == "TENURE_SCIM_TOKEN" {
		return tenure.BuiltinConnector, nil // nothing has come through it yet
	}
	return "", &tenure.Error{Kind: tenure.NotFound, Code: "connector_not_found", Msg: fmt.Sprintf("there is no SCIM connector %q", name)}
}
