package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// local are the flags of every verb that works on the data directory. Such a
// verb may run while Tenure serves from it: what it ends is cut there within a
// second.
type local struct {
	config.Local
	JSON bool `name:"json" help:"Print JSON."`
}

// open opens the data. fresh allows a data directory that is not there yet.
func (l local) open(e *env, fresh bool) (*app.App, tenure.Principal, error) {
	cfg, err := l.Check()
	if err != nil {
		return nil, tenure.Principal{}, err
	}
	if _, err := os.Stat(cfg.Database); errors.Is(err, os.ErrNotExist) && !fresh {
		return nil, tenure.Principal{}, &tenure.Error{
			Kind: tenure.NotFound, Code: "no_data",
			Msg: fmt.Sprintf("there is no Tenure data at %s; run \"tenure serve\" first, or name the right TENURE_HOME", cfg.Database),
		}
	}
	logs := web.NewLogWriter(e.stderr)
	a, err := app.Open(e.ctx, cfg, logs)
	if err != nil {
		return nil, tenure.Principal{}, err
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return a, app.Operator(name), nil
}

// with opens the data, runs the verb and closes.
func (l local) with(e *env, fresh bool, verb func(*app.App, tenure.Principal) error) error {
	a, by, err := l.open(e, fresh)
	if err != nil {
		return err
	}
	return errors.Join(verb(a, by), a.Close())
}

// print shows v as JSON, or by text.
func (l local) print(e *env, v any, text func(io.Writer)) error {
	if l.JSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

func short(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

type tokenCmd struct {
	Create tokenCreate `cmd:"" help:"Make a personal access token for a person."`
	List   tokenList   `cmd:"" help:"List tokens, newest first."`
	Revoke tokenRevoke `cmd:"" help:"End tokens, and every stream that they carry."`
}

type tokenCreate struct {
	local
	User    string `required:"" placeholder:"NAME" help:"userName of the owner, who must be known already."`
	Name    string `required:"" placeholder:"TEXT" help:"What the token is for."`
	Scopes  string `placeholder:"SCOPE,…" help:"chat, messages, models, beliefs (default: all)."`
	Expires string `default:"90d" placeholder:"TIME" help:"Lifetime, at most 365d."`
}

// Help implements kong.HelpProvider.
func (tokenCreate) Help() string {
	return "Example:\n\n  tenure token create --user alice@example.com --name 'VS Code' --expires 30d\n\nThe token is printed once, alone on standard output."
}

// Run implements the verb.
func (c *tokenCreate) Run(e *env) error {
	life, err := tenure.ParseLifetime(c.Expires)
	if err != nil {
		return &tenure.Error{Kind: tenure.Invalid, Code: "invalid_expires", Field: "expires", Msg: "--expires: " + err.Error()}
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		t, secret, err := a.Tokens.Mint(e.ctx, by, token.Spec{
			Name: c.Name, For: c.User, Life: life,
			Scopes: strings.FieldsFunc(c.Scopes, func(r rune) bool { return r == ',' || r == ' ' }),
		})
		if err != nil {
			return err
		}
		v := tokenView(t)
		v["token"] = secret.Reveal()
		return c.print(e, v, func(w io.Writer) { fmt.Fprintln(w, secret.Reveal()) })
	})
}

func tokenView(t tenure.Token) map[string]any {
	return map[string]any{
		"id": t.ID, "name": t.Name, "kind": t.Kind, "prefix": t.Prefix, "user": t.UserName, "workspace": t.Workspace,
		"scopes": t.Scopes.Names(), "state": t.State(time.Now()), "created_at": stamp(t.CreatedAt), "expires_at": stamp(t.ExpiresAt),
		"last_used_at": stamp(t.LastUsedAt), "revoked_at": stamp(t.RevokedAt), "revoked_by": t.RevokedBy, "revoked_reason": t.RevokedReason,
	}
}

type tokenList struct {
	local
	User  string `placeholder:"NAME" help:"Only the tokens of this person."`
	Limit int    `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (tokenList) Help() string {
	return "Example:\n\n  tenure token list --user alice@example.com --json"
}

// Run implements the verb.
func (c *tokenList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		var owner tenure.UserID
		if c.User != "" {
			u, err := find(e, a, by, c.User)
			if err != nil {
				return err
			}
			owner = u.ID
		}
		page, err := a.Tokens.All(e.ctx, by, owner, "", c.Limit)
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(page.Tokens))
		for _, t := range page.Tokens {
			views = append(views, tokenView(t))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tUSER\tNAME\tTOKEN\tSTATE\tLAST USED\tEXPIRES")
			for _, t := range page.Tokens {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s…\t%s\t%s\t%s\n", t.ID, t.UserName, t.Name, t.Prefix, t.State(time.Now()), short(t.LastUsedAt), short(t.ExpiresAt))
			}
		})
	})
}

type tokenRevoke struct {
	local
	ID     []string `arg:"" help:"Ids of tokens, as 'tenure token list' shows them."`
	Reason string   `default:"revoked at the command line" placeholder:"TEXT" help:"For the audit log."`
}

// Help implements kong.HelpProvider.
func (tokenRevoke) Help() string {
	return "Example:\n\n  tenure token revoke 01939c2e-6d0c-7c1e-8d5a-3f1b2a4c5d6e --reason 'laptop stolen'"
}

// Run implements the verb.
func (c *tokenRevoke) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		for _, id := range c.ID {
			if _, err := a.Tokens.Revoke(e.ctx, by, tenure.TokenID(id), c.Reason); err != nil {
				return err
			}
			if err := c.print(e, map[string]any{"id": id, "state": "revoked"}, func(w io.Writer) { fmt.Fprintln(w, "revoked", id) }); err != nil {
				return err
			}
		}
		return nil
	})
}

type userCmd struct {
	List       userList       `cmd:"" help:"List people."`
	Deactivate userDeactivate `cmd:"" help:"End a person's access: tokens, sessions, open streams."`
	Reactivate userReactivate `cmd:"" help:"Let a person sign in again. Nothing that ended comes back."`
}

// find gives the person with this userName or id.
func find(e *env, a *app.App, by tenure.Principal, name string) (tenure.User, error) {
	rows, _, err := a.Directory.Users(e.ctx, by, directory.UserFilter{UserName: name, Limit: 1})
	if err != nil {
		return tenure.User{}, err
	}
	if len(rows) == 1 {
		return rows[0], nil
	}
	u, err := a.Directory.User(e.ctx, by, tenure.UserID(name))
	if tenure.IsKind(err, tenure.NotFound) {
		err = &tenure.Error{Kind: tenure.NotFound, Code: "user_not_found", Msg: fmt.Sprintf("there is no user %q", name)}
	}
	return u, err
}

func userView(u tenure.User) map[string]any {
	return map[string]any{
		"id": u.ID, "user_name": u.UserName, "display_name": u.DisplayName, "external_id": u.ExternalID, "active": u.Active,
		"role": u.Role, "source": u.Source, "created_at": stamp(u.CreatedAt), "deactivated_at": stamp(u.DeactivatedAt), "last_seen_at": stamp(u.LastSeenAt),
	}
}

type userList struct {
	local
	Limit int `default:"1000" help:"At most so many."`
}

// Help implements kong.HelpProvider.
func (userList) Help() string { return "Example:\n\n  tenure user list --json" }

// Run implements the verb.
func (c *userList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, _, err := a.Directory.Users(e.ctx, by, directory.UserFilter{Limit: c.Limit})
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(rows))
		for _, u := range rows {
			views = append(views, userView(u))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tUSER\tACTIVE\tROLE\tSOURCE\tLAST SEEN")
			for _, u := range rows {
				fmt.Fprintf(w, "%s\t%s\t%t\t%s\t%s\t%s\n", u.ID, u.UserName, u.Active, u.Role, u.Source, short(u.LastSeenAt))
			}
		})
	})
}

type userDeactivate struct {
	local
	User   string `arg:"" help:"userName or id."`
	Reason string `default:"deactivated at the command line" placeholder:"TEXT" help:"For the audit log."`
}

// Help implements kong.HelpProvider.
func (userDeactivate) Help() string { return "Example:\n\n  tenure user deactivate bob@example.com" }

// Run implements the verb.
func (c *userDeactivate) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		u, err := find(e, a, by, c.User)
		if err != nil {
			return err
		}
		u, ended, err := a.Directory.Deactivate(e.ctx, by, u.ID, c.Reason)
		if err != nil {
			return err
		}
		v := userView(u)
		v["ended"] = ended
		return c.print(e, v, func(w io.Writer) {
			fmt.Fprintf(w, "deactivated %s: %d tokens and %d sessions ended; open streams are cut within a second\n", u.UserName, ended.Tokens, ended.Sessions)
		})
	})
}

type userReactivate struct {
	local
	User string `arg:"" help:"userName or id."`
}

// Help implements kong.HelpProvider.
func (userReactivate) Help() string { return "Example:\n\n  tenure user reactivate bob@example.com" }

// Run implements the verb.
func (c *userReactivate) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		u, err := find(e, a, by, c.User)
		if err != nil {
			return err
		}
		if u, err = a.Directory.Reactivate(e.ctx, by, u.ID); err != nil {
			return err
		}
		return c.print(e, userView(u), func(w io.Writer) {
			fmt.Fprintf(w, "reactivated %s; tokens and sessions that ended stay ended\n", u.UserName)
		})
	})
}

type providerCmd struct {
	Add    providerAdd    `cmd:"" help:"Add a model provider; its key is sealed at once."`
	List   providerList   `cmd:"" help:"List model providers, without their keys."`
	Remove providerRemove `cmd:"" help:"Remove a model provider and its key."`
}

type providerAdd struct {
	local
	Name    string `arg:"" help:"Name in the workspace, for example openai."`
	Kind    string `default:"openai" help:"openai (and anything compatible) or anthropic."`
	BaseURL string `name:"base-url" placeholder:"URL" help:"Base URL, with /v1 for openai (default: the provider's own)."`
	KeyFile string `name:"key-file" default:"-" placeholder:"FILE" help:"File with the key; - is standard input."`
}

// Help implements kong.HelpProvider.
func (providerAdd) Help() string {
	return "Example:\n\n  printf %s \"$KEY\" | tenure provider add openai\n  tenure provider add local --base-url http://127.0.0.1:11434/v1 --key-file key.txt"
}

// Run implements the verb.
func (c *providerAdd) Run(e *env) error {
	in := io.Reader(os.Stdin)
	if c.KeyFile != "-" {
		f, err := os.Open(c.KeyFile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	key, err := bufio.NewReader(io.LimitReader(in, 8<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return c.with(e, true, func(a *app.App, by tenure.Principal) error {
		p, err := a.Vault.Add(e.ctx, by, vault.Spec{Name: c.Name, Kind: tenure.ProviderKind(c.Kind), BaseURL: c.BaseURL, Key: tenure.NewSecret(strings.TrimSpace(key))})
		if err != nil {
			return err
		}
		return c.print(e, providerView(p), func(w io.Writer) { fmt.Fprintln(w, "added", p.Name, p.ID) })
	})
}

func providerView(p tenure.Provider) map[string]any {
	return map[string]any{
		"id": p.ID, "name": p.Name, "kind": p.Kind, "base_url": p.BaseURL, "workspace": p.Workspace,
		"key_last4": p.Last4, "created_at": stamp(p.CreatedAt),
	}
}

type providerList struct {
	local
}

// Help implements kong.HelpProvider.
func (providerList) Help() string { return "Example:\n\n  tenure provider list" }

// Run implements the verb.
func (c *providerList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Vault.List(e.ctx, by, tenure.DefaultWorkspace)
		if err != nil {
			return err
		}
		views := make([]map[string]any, 0, len(rows))
		for _, p := range rows {
			views = append(views, providerView(p))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tNAME\tKIND\tBASE URL\tKEY")
			for _, p := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t…%s\n", p.ID, p.Name, p.Kind, p.BaseURL, p.Last4)
			}
		})
	})
}

type providerRemove struct {
	local
	Name string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (providerRemove) Help() string { return "Example:\n\n  tenure provider remove openai" }

// Run implements the verb.
func (c *providerRemove) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Vault.List(e.ctx, by, tenure.DefaultWorkspace)
		if err != nil {
			return err
		}
		for _, p := range rows {
			if p.Name != c.Name && string(p.ID) != c.Name {
				continue
			}
			if err := a.Vault.Remove(e.ctx, by, p.ID); err != nil {
				return err
			}
			return c.print(e, providerView(p), func(w io.Writer) { fmt.Fprintln(w, "removed", p.Name) })
		}
		return &tenure.Error{Kind: tenure.NotFound, Code: "provider_not_found", Msg: fmt.Sprintf("there is no provider %q", c.Name)}
	})
}
