package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/vault"
)

type providerKeyCmd struct {
	List   keyList   `cmd:"" help:"List every version of every key of a provider, without the keys."`
	Stage  keyStage  `cmd:"" help:"Store a version of a key without using it."`
	Check  keyCheck  `cmd:"" help:"Ask the provider for its models with a version of a key."`
	Use    keyUse    `cmd:"" help:"Use a staged version in the place of the one before."`
	Set    keySet    `cmd:"" help:"Change a key's place among the others, its share, its reminders."`
	Retire keyRetire `cmd:"" help:"End a version of a key now: what is sealed of it is destroyed."`
}

// newKeyFlags say what a new version is.
type newKeyFlags struct {
	Key     string `default:"default" placeholder:"NAME" help:"Name of the key; one that is new adds a key to the provider."`
	KeyFile string `name:"key-file" default:"-" placeholder:"FILE" help:"File with the key; - is standard input, where a terminal is asked for it."`
	KeyRef  string `name:"key-ref" placeholder:"ADDRESS" help:"Where the key is kept, in its place."`
	arrangeFlags
}

type arrangeFlags struct {
	Position    *int `placeholder:"N" help:"Keys with lower ones are used first (1 for a new key)."`
	Weight      *int `placeholder:"N" help:"The share among the keys of the same position (1 for a new key)."`
	RotateEvery *int `name:"rotate-every" placeholder:"DAYS" help:"Notices tell when the key is to be rotated; 0: never."`
}

func (f arrangeFlags) arrangement() vault.Arrangement { return vault.Arrangement(f) }

func (f newKeyFlags) read(e *env, provider string) (vault.NewKey, error) {
	n := vault.NewKey{Name: f.Key, Reference: f.KeyRef, Arrangement: f.arrangement()}
	var err error
	if f.KeyRef == "" {
		n.Secret, err = readSecret(e, "new key of "+provider, f.KeyFile)
	}
	return n, err
}

// takeFlags say how a version comes into use.
type takeFlags struct {
	Overlap   string `default:"1h" placeholder:"TIME" help:"How long the version before is a last resort: 0 to 7d."`
	Unchecked bool   `help:"Use it though the provider has not accepted it."`
}

func (f takeFlags) taking() (vault.Taking, error) {
	overlap, err := vault.ParseOverlap(f.Overlap)
	return vault.Taking{Overlap: overlap, Unchecked: f.Unchecked}, err
}

type providerRotate struct {
	ofProvider
	config.Secrets
	newKeyFlags
	takeFlags
	Added bool `help:"Only if the provider has no key of this name: none is replaced."`
}

// Help implements kong.HelpProvider.
func (providerRotate) Help() string {
	return "Example:\n\n  tenure provider rotate openai\n  printf %s \"$KEY\" | tenure provider rotate openai --key spare --added --position 2\n\n" +
		"The provider is asked for its models with the new key first. Where it does not accept it, nothing is changed, and the exit status is 4. " +
		"Then the key is used, and the version before stays a last resort for the overlap."
}

// Run implements the verb.
func (c *providerRotate) Run(e *env) error {
	take, err := c.taking()
	if err != nil {
		return err
	}
	n, err := c.read(e, c.Provider)
	if err != nil {
		return err
	}
	n.Added = c.Added
	return c.on(e, func(a *app.App, by tenure.Principal, p tenure.Provider) error {
		k, err := a.Vault.Rotate(e.ctx, by, p.ID, n, take)
		if err != nil {
			return err
		}
		return c.print(e, keyView(k), func(w io.Writer) {
			fmt.Fprintf(w, "%s uses version %d of the key %s (…%s, fingerprint %s) from now on\n", p.Name, k.Version, k.Name, k.Last4, k.Fingerprint)
		})
	}, c.Secrets)
}

func keyView(k tenure.ProviderKey) map[string]any {
	return map[string]any{
		"id": k.ID, "name": k.Name, "version": k.Version, "state": k.State, "position": k.Position, "weight": k.Weight, "key_last4": k.Last4, "key_reference": k.Reference, "fingerprint": k.Fingerprint,
		"created_at": stamp(k.CreatedAt), "created_by": k.CreatedBy, "activated_at": stamp(k.ActivatedAt), "checked_at": stamp(k.CheckedAt), "check": k.Check,
		"check_error": k.CheckError, "retire_at": stamp(k.RetireAt), "retired_at": stamp(k.RetiredAt), "rotate_every_days": k.RotateEvery,
	}
}

type keyList struct{ ofProvider }

// Help implements kong.HelpProvider.
func (keyList) Help() string {
	return "Example:\n\n  tenure provider key list openai\n\nWho used it is of its last request; the figures are of the last 30 days. The last seconds of a server that runs are not in them yet."
}

// Run implements the verb.
func (c *keyList) Run(e *env) error {
	return c.on(e, func(a *app.App, by tenure.Principal, p tenure.Provider) error {
		rows, err := a.Vault.ProviderKeys(e.ctx, by, p.ID)
		if err != nil {
			return err
		}
		used, err := a.Directory.KeyUses(e.ctx, by, p.ID)
		if err != nil {
			return err
		}
		currency, err := a.Prices.Currency(e.ctx)
		if err != nil {
			return err
		}
		uses := map[tenure.KeyID]tenure.KeyUse{}
		for _, u := range used {
			uses[u.Key] = u
		}
		views := make([]map[string]any, 0, len(rows))
		for _, k := range rows {
			view := keyView(k)
			view["use"] = api.ShowKeyUse(uses[k.ID], currency)
			views = append(views, view)
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tNAME\tVERSION\tSTATE\tPOSITION\tWEIGHT\tKEY\tFINGERPRINT\tSINCE\tCHECK\tLAST USED\tBY\tREQUESTS\tINPUT\tOUTPUT\tSPEND")
			for _, k := range rows {
				u := uses[k.ID]
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%d\t…%s %s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", k.ID, k.Name, k.Version, k.State, k.Position, k.Weight, k.Last4, k.Reference,
					cmp.Or(k.Fingerprint, "–"), short(k.ActivatedAt), cmp.Or(string(k.Check), "–"),
					short(u.LastAt), usedBy(u), u.Requests, u.Input, u.Output, keySpend(u, currency))
			}
		})
	})
}

// usedBy says whose request was the last that went with a key, and with which token.
func usedBy(u tenure.KeyUse) string {
	switch {
	case u.LastAt.IsZero():
		return "–"
	case u.User == "" && u.Account == "":
		return "root token"
	}
	who := cmp.Or(u.Who, string(u.User), string(u.Account))
	if u.TokenName != "" {
		who += " (" + u.TokenName + ")"
	}
	return who
}

func keySpend(u tenure.KeyUse, currency string) string {
	if u.Requests == 0 {
		return "–"
	}
	shown := api.ShowKeyUse(u, currency)
	return spent(api.ModelUses{Spend: shown.Spend, Unpriced: shown.Unpriced, Currency: currency})
}

type keyStage struct {
	ofProvider
	config.Secrets
	newKeyFlags
}

// Help implements kong.HelpProvider.
func (keyStage) Help() string {
	return "Example:\n\n  printf %s \"$KEY\" | tenure provider key stage openai\n  tenure provider key check openai default\n  tenure provider key use openai default"
}

// Run implements the verb.
func (c *keyStage) Run(e *env) error {
	n, err := c.read(e, c.Provider)
	if err != nil {
		return err
	}
	return c.on(e, func(a *app.App, by tenure.Principal, p tenure.Provider) error {
		k, err := a.Vault.Stage(e.ctx, by, p.ID, n)
		if err != nil {
			return err
		}
		return c.print(e, keyView(k), func(w io.Writer) { fmt.Fprintf(w, "staged version %d of the key %s %s\n", k.Version, k.Name, k.ID) })
	}, c.Secrets)
}

// ofKey names a version of a key.
type ofKey struct {
	ofProvider
	Key string `arg:"" help:"Name of the key, for its newest version that has not ended, or id of a version."`
}

func (c *ofKey) onKey(e *env, fn func(*app.App, tenure.Principal, tenure.Provider, tenure.KeyID) error, more ...settingsOf) error {
	return c.on(e, func(a *app.App, by tenure.Principal, p tenure.Provider) error {
		rows, err := a.Vault.ProviderKeys(e.ctx, by, p.ID)
		if err != nil {
			return err
		}
		for _, k := range rows { // the newest version of each comes first
			if string(k.ID) == c.Key || k.Name == c.Key && k.State != tenure.KeyRetired {
				return fn(a, by, p, k.ID)
			}
		}
		return &tenure.Error{Kind: tenure.NotFound, Code: "key_not_found", Msg: fmt.Sprintf("the provider %q has no key %q that has not ended", p.Name, c.Key)}
	}, more...)
}

func (c *ofKey) tell(e *env, k tenure.ProviderKey) error {
	return c.print(e, keyView(k), func(w io.Writer) { fmt.Fprintf(w, "version %d of the key %s is %s\n", k.Version, k.Name, k.State) })
}

type keyCheck struct {
	ofKey
	config.Secrets
}

// Help implements kong.HelpProvider.
func (keyCheck) Help() string {
	return "Example:\n\n  tenure provider key check openai default\n\nExit status 4: the provider does not accept the key, or could not be reached. That is noted, and nothing else is changed."
}

// Run implements the verb.
func (c *keyCheck) Run(e *env) error {
	return c.onKey(e, func(a *app.App, by tenure.Principal, p tenure.Provider, id tenure.KeyID) error {
		k, err := a.Vault.CheckKey(e.ctx, by, p.ID, id)
		if err != nil {
			return err
		}
		if k.Check != tenure.CheckPassed {
			return &tenure.Error{Kind: tenure.Conflict, Code: "key_check_failed", Msg: fmt.Sprintf("%s was asked with version %d of the key %s: %s", p.Name, k.Version, k.Name, k.CheckError)}
		}
		return c.print(e, keyView(k), func(w io.Writer) { fmt.Fprintf(w, "%s accepts version %d of the key %s\n", p.Name, k.Version, k.Name) })
	}, c.Secrets)
}

type keyUse struct {
	ofKey
	takeFlags
}

// Help implements kong.HelpProvider.
func (keyUse) Help() string {
	return "Example:\n\n  tenure provider key use openai default --overlap 24h\n\nExit status 4: it is not staged, or its last check has not passed."
}

// Run implements the verb.
func (c *keyUse) Run(e *env) error {
	take, err := c.taking()
	if err != nil {
		return err
	}
	return c.onKey(e, func(a *app.App, by tenure.Principal, p tenure.Provider, id tenure.KeyID) error {
		k, err := a.Vault.Activate(e.ctx, by, p.ID, id, take)
		if err != nil {
			return err
		}
		return c.tell(e, k)
	})
}

type keySet struct {
	ofKey
	arrangeFlags
}

// Help implements kong.HelpProvider.
func (keySet) Help() string {
	return "Example:\n\n  tenure provider key set openai spare --position 2\n  tenure provider key set openai default --rotate-every 90"
}

// Run implements the verb.
func (c *keySet) Run(e *env) error {
	return c.onKey(e, func(a *app.App, by tenure.Principal, p tenure.Provider, id tenure.KeyID) error {
		k, err := a.Vault.Arrange(e.ctx, by, p.ID, id, c.arrangement())
		if err != nil {
			return err
		}
		return c.print(e, keyView(k), func(w io.Writer) {
			fmt.Fprintf(w, "the key %s has position %d, weight %d, and is to be rotated every %d days\n", k.Name, k.Position, k.Weight, k.RotateEvery)
		})
	})
}

type keyRetire struct{ ofKey }

// Help implements kong.HelpProvider.
func (keyRetire) Help() string {
	return "Example:\n\n  tenure provider key retire openai default\n\nA key that may have leaked is to be revoked at the provider too."
}

// Run implements the verb.
func (c *keyRetire) Run(e *env) error {
	return c.onKey(e, func(a *app.App, by tenure.Principal, p tenure.Provider, id tenure.KeyID) error {
		k, err := a.Vault.Retire(e.ctx, by, p.ID, id)
		if err != nil {
			return err
		}
		return c.tell(e, k)
	})
}
