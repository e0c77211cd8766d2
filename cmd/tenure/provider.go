package main

import (
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/vault"
)

type providerCmd struct {
	Add    providerAdd    `cmd:"" help:"Add a model provider; its key is sealed at once."`
	List   providerList   `cmd:"" help:"List model providers, without their keys."`
	Rotate providerRotate `cmd:"" help:"Check a new key with the provider, and use it in the place of the one before."`
	Set    providerSet    `cmd:"" help:"Set the headers that a model provider gets beside its key, or the exception that lets it be where it is."`
	Rename providerRename `cmd:"" help:"Give a model provider another name."`
	Key    providerKeyCmd `cmd:"" help:"The keys of a provider, one by one."`
	Remove providerRemove `cmd:"" help:"Remove a model provider and its keys."`
}

// providerPlace says in which workspace a provider is.
type providerPlace struct {
	Workspace string `default:"default" placeholder:"NAME" help:"Name or id of the workspace."`
}

// ofProvider names a provider in its workspace.
type ofProvider struct {
	local
	Provider string `arg:"" help:"Name or id of the provider."`
	providerPlace
}

// on runs fn on the provider that is named.
func (c *ofProvider) on(e *env, fn func(*app.App, tenure.Principal, tenure.Provider) error, more ...settingsOf) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Vault.List(e.ctx, by, c.Workspace)
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		for _, p := range rows {
			if p.Name == c.Provider || string(p.ID) == c.Provider {
				return fn(a, by, p)
			}
		}
		return &tenure.Error{Kind: tenure.NotFound, Code: "provider_not_found", Msg: fmt.Sprintf("there is no provider %q", c.Provider)}
	}, more...)
}

type providerAdd struct {
	local
	config.Secrets
	config.Proxy
	headerFlags
	Name    string `arg:"" help:"Name in the workspace, for example openai."`
	Kind    string `default:"openai" help:"openai (and anything compatible) or anthropic."`
	BaseURL string `name:"base-url" placeholder:"URL" help:"Base URL, with /v1 for openai (default: the provider's own)."`
	providerPlace
	KeyFile string `name:"key-file" default:"-" placeholder:"FILE" help:"File with the key; - is standard input, where a terminal is asked for it."`
	KeyRef  string `name:"key-ref" placeholder:"ADDRESS" help:"Where the key is kept, in its place: vault://MOUNT/PATH#FIELD and others."`
}

// Help implements kong.HelpProvider.
func (providerAdd) Help() string {
	return "Example:\n\n  printf %s \"$KEY\" | tenure provider add openai\n  tenure provider add local --base-url http://127.0.0.1:11434/v1 --key-file key.txt\n  printf %s \"$KEY\" | tenure provider add openai --workspace Research\n  tenure provider add openai --key-ref vault://secret/tenure/openai#api_key"
}

// Run implements the verb.
func (c *providerAdd) Run(e *env) error {
	spec := vault.Spec{Workspace: c.Workspace, Name: c.Name, Kind: tenure.ProviderKind(c.Kind), BaseURL: c.BaseURL, KeyReference: c.KeyRef, Headers: c.Header}
	if c.KeyRef == "" {
		var err error
		if spec.Key, err = readSecret(e, "key of "+c.Name, c.KeyFile); err != nil {
			return err
		}
	}
	return c.with(e, true, func(a *app.App, by tenure.Principal) error {
		p, err := a.Vault.Add(e.ctx, by, spec)
		if err != nil {
			return err
		}
		closed := a.Vault.Closed(e.ctx, p)
		return c.print(e, providerView(p), func(w io.Writer) {
			fmt.Fprintln(w, "added", p.Name, p.ID)
			if closed != "" {
				fmt.Fprintln(w, "nothing connects to it yet:", closed)
			}
		})
	}, c.Secrets, c.Proxy)
}

func providerView(p tenure.Provider) map[string]any {
	return map[string]any{
		"id": p.ID, "name": p.Name, "kind": p.Kind, "base_url": p.BaseURL, "workspace": p.Workspace,
		"key_last4": p.Last4, "key_reference": p.Reference, "headers": p.HeadersByName(), "exception": p.Exception, "created_at": stamp(p.CreatedAt), "last_used_at": stamp(p.LastUsedAt),
	}
}

type providerList struct {
	local
	providerPlace
}

// Help implements kong.HelpProvider.
func (providerList) Help() string { return "Example:\n\n  tenure provider list" }

// Run implements the verb.
func (c *providerList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Vault.List(e.ctx, by, c.Workspace)
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		views := make([]map[string]any, 0, len(rows))
		for _, p := range rows {
			views = append(views, providerView(p))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tNAME\tKIND\tBASE URL\tKEY\tLAST USED")
			for _, p := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t…%s %s\t%s\n", p.ID, p.Name, p.Kind, p.BaseURL, p.Last4, p.Reference, short(p.LastUsedAt))
			}
		})
	})
}

type providerSet struct {
	ofProvider
	config.Proxy
	headerFlags
	NoHeaders bool    `name:"no-headers" help:"It gets none any more."`
	Exception *string `placeholder:"ID" help:"The exception of the rule provider_network by which it is where provider_networks lets none be; empty: none."`
}

// headerFlags say what a provider gets beside its key.
type headerFlags struct {
	Header map[string]string `sep:"none" placeholder:"NAME=VALUE" help:"A header that the provider gets with every request; once for each."`
}

// Help implements kong.HelpProvider.
func (providerSet) Help() string {
	return "Example:\n\n  tenure provider set openai --header OpenAI-Organization=org-1 --header OpenAI-Project=proj-2\n  tenure provider set openai --no-headers\n  tenure provider set local --exception 01939c2e-…\n\n" +
		"What is named are all the headers that it gets: others are not sent any more. They are stored and shown as they are: a key belongs in \"tenure provider rotate\"."
}

// Run implements the verb.
func (c *providerSet) Run(e *env) error {
	change := vault.ProviderChange{Exception: (*tenure.ExceptionID)(c.Exception)}
	if c.NoHeaders || len(c.Header) > 0 {
		change.Headers = &c.Header
	}
	if c.NoHeaders && len(c.Header) > 0 || change == (vault.ProviderChange{}) {
		return tenure.InvalidField("header", "--header NAME=VALUE, once for each header that it is to get, or --no-headers; or --exception ID")
	}
	return c.on(e, func(a *app.App, by tenure.Principal, p tenure.Provider) error {
		p, err := a.Vault.Change(e.ctx, by, p.ID, change)
		if err != nil {
			return err
		}
		return c.print(e, providerView(p), func(w io.Writer) {
			fmt.Fprintf(w, "%s gets %d headers of its own\n", p.Name, len(p.Headers))
			if p.Exception != "" {
				fmt.Fprintf(w, "until %s it may be in a private network or on this machine, by the exception %s\n", short(p.ExceptionUntil), p.Exception)
			}
		})
	}, c.Proxy)
}

type providerRename struct {
	ofProvider
	To string `arg:"" help:"The new name."`
}

// Help implements kong.HelpProvider.
func (providerRename) Help() string {
	return "Example:\n\n  tenure provider rename openai openai-eu\n\nIts base URL stays: whoever could change it could have the key sent to themselves."
}

// Run implements the verb.
func (c *providerRename) Run(e *env) error {
	return c.on(e, func(a *app.App, by tenure.Principal, p tenure.Provider) error {
		p, err := a.Vault.Change(e.ctx, by, p.ID, vault.ProviderChange{Name: &c.To})
		if err != nil {
			return err
		}
		return c.print(e, providerView(p), func(w io.Writer) { fmt.Fprintln(w, "renamed to", p.Name) })
	})
}

type providerRemove struct{ ofProvider }

// Help implements kong.HelpProvider.
func (providerRemove) Help() string { return "Example:\n\n  tenure provider remove openai" }

// Run implements the verb.
func (c *providerRemove) Run(e *env) error {
	return c.on(e, func(a *app.App, by tenure.Principal, p tenure.Provider) error {
		if err := a.Vault.Remove(e.ctx, by, p.ID); err != nil {
			return err
		}
		return c.print(e, providerView(p), func(w io.Writer) { fmt.Fprintln(w, "removed", p.Name) })
	})
}
