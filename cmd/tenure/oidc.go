package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
)

type oidcCmd struct {
	Create oidcCreate `cmd:"" help:"Let people sign in by an identity provider; the client secret is sealed at once."`
	List   oidcList   `cmd:"" help:"List OIDC connections, without their secrets."`
	Delete oidcDelete `cmd:"" help:"End an OIDC connection and the sessions that it opened."`
}

type oidcCreate struct {
	local
	Name          string   `arg:"" help:"Name in addresses: lower-case letters, digits and dashes, for example acme."`
	Issuer        string   `required:"" placeholder:"URL" help:"The provider, to the letter as it writes itself."`
	ClientID      string   `name:"client-id" required:"" placeholder:"ID" help:"Tenure's client id there."`
	SecretFile    string   `name:"secret-file" default:"-" placeholder:"FILE" help:"File with the client secret; - is standard input, where a terminal is asked for it."`
	UserNameClaim string   `name:"username-claim" placeholder:"NAME" help:"The claim that is the userName (default: preferred_username)."`
	Scopes        string   `placeholder:"NAMES" help:"Scopes that are asked for (default: openid profile email)."`
	TrustEmail    bool     `name:"trust-email" help:"Believe the claim email of a provider that never sends email_verified."`
	Domain        []string `name:"domain" placeholder:"DOMAIN,…" help:"Domains of e-mail addresses whose people sign in by it."`
}

// Help implements kong.HelpProvider.
func (oidcCreate) Help() string {
	return "Example:\n\n  printf %s \"$SECRET\" | tenure oidc create acme --issuer https://login.example.com --client-id tenure --domain acme.com" +
		"\n\nA tenant has one. Exit status 4: it has one already, or the name or a domain is taken."
}

// Run implements the verb.
func (c *oidcCreate) Run(e *env) error {
	secret, err := readSecret(e, "client secret", c.SecretFile)
	if err != nil {
		return err
	}
	return c.with(e, true, func(a *app.App, by tenure.Principal) error {
		row, err := a.Connections.Create(e.ctx, by, tenure.OIDCConnection{
			Name: c.Name, Issuer: c.Issuer, ClientID: c.ClientID, UserNameClaim: c.UserNameClaim, Scopes: c.Scopes, TrustEmail: c.TrustEmail, Domains: c.Domain,
		}, secret)
		if err != nil {
			return err
		}
		return c.print(e, oidcView(row), func(w io.Writer) {
			fmt.Fprintf(w, "created %s\nredirect URI at the provider: <public URL>/oidc/%[1]s/callback\nback-channel logout URI: <public URL>/oidc/%[1]s/backchannel\n", row.Name)
			if by.Tenant() == tenure.DefaultTenant {
				fmt.Fprintln(w, "from now on the header x-user-id is not believed, unless OIDC_PROXY_HEADER is set")
			}
		})
	})
}

func oidcView(c tenure.OIDCConnection) map[string]any {
	domains := append([]string{}, c.Domains...)
	return map[string]any{
		"id": c.ID, "name": c.Name, "issuer": c.Issuer, "client_id": c.ClientID, "scopes": c.Scopes, "username_claim": c.UserNameClaim, "trust_email": c.TrustEmail,
		"domains": domains, "created_at": stamp(c.CreatedAt), "created_by": c.CreatedBy,
	}
}

type oidcList struct {
	local
}

// Help implements kong.HelpProvider.
func (oidcList) Help() string {
	return "Example:\n\n  tenure oidc list --json\n\nThe connection of TENURE_OIDC_ISSUER is not listed here: only the serving process knows it."
}

// Run implements the verb.
func (c *oidcList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Connections.List(e.ctx, by)
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(rows))
		for _, row := range rows {
			views = append(views, oidcView(row))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tNAME\tISSUER\tCLIENT\tUSERNAME CLAIM\tDOMAINS")
			for _, row := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", row.ID, row.Name, row.Issuer, row.ClientID, row.UserNameClaim, strings.Join(row.Domains, " "))
			}
		})
	})
}

type oidcDelete struct {
	local
	Name string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (oidcDelete) Help() string {
	return "Example:\n\n  tenure oidc delete acme\n\nThe sessions that it opened end; people, and whose subject they are, stay as they are."
}

// Run implements the verb.
func (c *oidcDelete) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Connections.List(e.ctx, by)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Name != c.Name && string(row.ID) != c.Name {
				continue
			}
			ended, err := a.Connections.Delete(e.ctx, by, row.ID)
			if err != nil {
				return err
			}
			return c.print(e, map[string]any{"id": row.ID, "ended": ended}, func(w io.Writer) {
				fmt.Fprintf(w, "deleted %s: %d sessions ended\n", row.Name, ended.Sessions)
			})
		}
		return &tenure.Error{Kind: tenure.NotFound, Code: "connection_not_found", Msg: fmt.Sprintf("there is no OIDC connection %q", c.Name)}
	})
}

type userUnlink struct {
	local
	User string `arg:"" help:"userName or id."`
}

// Help implements kong.HelpProvider.
func (userUnlink) Help() string {
	return "Example:\n\n  tenure user unlink bob@example.com\n\nWhoever next signs in at the identity provider by that userName is taken for them. Their sessions by it end."
}

// Run implements the verb.
func (c *userUnlink) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		u, err := find(e, a, by, c.User)
		if err != nil {
			return err
		}
		ended, err := a.Directory.Unlink(e.ctx, by, u.ID)
		if err != nil {
			return err
		}
		v := userView(u)
		v["ended"] = map[string]int{"sessions": ended.Sessions}
		return c.print(e, v, func(w io.Writer) {
			fmt.Fprintf(w, "unlinked %s: sessions ended %d\n", u.UserName, ended.Sessions)
		})
	})
}
