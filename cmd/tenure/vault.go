package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

type vaultCmd struct {
	Status vaultStatus `cmd:"" help:"Tell which keys there are, what they have wrapped, and what is wrong."`
	Rewrap vaultRewrap `cmd:"" help:"Wrap all that is sealed by the key-encryption key of TENURE_KEY_URL."`
	Reset  vaultReset  `cmd:"" help:"Begin anew after a key-encryption key is lost for good."`
}

type vaultStatus struct {
	local
}

// Help implements kong.HelpProvider.
func (vaultStatus) Help() string {
	return "Example:\n\n  tenure vault status --json"
}

// Run implements the verb.
func (c *vaultStatus) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		s, err := a.Vault.Status(e.ctx, by)
		if err != nil {
			return err
		}
		return c.print(e, api.ShowKeys(s), func(w io.Writer) {
			for _, k := range s.Keys {
				what := "opens what it has wrapped"
				if k.Wraps {
					what = "wraps"
				}
				if k.Absent != "" {
					what += ", and is not at hand"
				}
				fmt.Fprintf(w, "key\t%s\t%s\t%s\t%s\n", k.Label, cmp.Or(k.ID, "–"), cmp.Or(k.Algorithm, "–"), what)
			}
			if s.RootBy != "" {
				fmt.Fprintf(w, "root key\tof %s\tby %s\tsince %s\n", short(s.RootAt), s.RootBy, short(s.RootWrapped))
			}
			for _, n := range s.Wrapped {
				by := n.KEK
				if by == "" {
					by = "a file, in the old form"
				}
				fmt.Fprintf(w, "%s\t%d\tby %s\tform %d\n", n.Table, n.Count, by, n.Form)
			}
			if !s.SealedSince.IsZero() {
				fmt.Fprintf(w, "sealed\tsince %s\n", short(s.SealedSince))
			}
			for _, p := range s.Problems {
				fmt.Fprintf(w, "wrong: %s\n", p)
			}
		})
	})
}

type vaultRewrap struct {
	local
}

// Help implements kong.HelpProvider.
func (vaultRewrap) Help() string {
	return "Example:\n\n" +
		"  TENURE_KEY_URL=hashivault://tenure TENURE_KEY_URL_PREVIOUS=file:/etc/tenure/master.key tenure vault rewrap\n\n" +
		"Tenure may serve meanwhile. It may be broken off and run again."
}

// Run implements the verb.
func (c *vaultRewrap) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		line := newProgress(e.stderr, "looked at")
		line.at = time.Time{} // the first batch is told of at once
		p, err := a.Vault.Rewrap(e.ctx, by, func(p vault.Progress) { line.tell(int64(p.Done), int64(p.Total)) })
		line.end()
		if err != nil {
			return err
		}
		if p.Failed > 0 {
			return fmt.Errorf("%d secrets were wrapped, and %d do not open: their rows were changed in the database, \"tenure doctor\" names them", p.Written, p.Failed)
		}
		if p.Left > 0 {
			return fmt.Errorf("%d secrets were sealed by another key again and again meanwhile: give every replica the new TENURE_KEY_URL, restart it, and run this again", p.Left)
		}
		view := map[string]any{"written": p.Written, "total": p.Total}
		return c.print(e, view, func(w io.Writer) {
			fmt.Fprintf(w, "%d of %d secrets were wrapped anew; TENURE_KEY_URL_PREVIOUS is not needed any more, but by backups that are older than this\n", p.Written, p.Total)
		})
	})
}

type vaultReset struct {
	local
	Confirm string `placeholder:"TEXT" help:"What the preview printed; without it, only a preview is shown."`
}

// Help implements kong.HelpProvider.
func (vaultReset) Help() string {
	return "Example, with the settings of the server:\n\n  tenure vault reset\n\n" +
		"lists what no key of TENURE_KEY_URL and TENURE_KEY_URL_PREVIOUS opens, and the --confirm to repeat it with. That destroys these secrets, makes a new root key, and changes nothing else. " +
		"If the key is still somewhere, a backup included, put it back instead."
}

// Run implements the verb.
func (c *vaultReset) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		act := func() (vault.Loss, error) { return a.Vault.Reset(e.ctx, by, c.Confirm) }
		if c.Confirm == "" {
			act = func() (vault.Loss, error) { return a.Vault.Loss(e.ctx, by) }
		}
		loss, err := act()
		if err != nil {
			return err
		}
		items := make([]map[string]any, 0, len(loss.Secrets))
		for _, s := range loss.Secrets {
			items = append(items, map[string]any{
				"purpose": s.Row.Purpose, "tenant": s.Row.Tenant, "workspace": s.Row.Workspace, "id": s.Row.Credential, "of": s.Row.Provider, "kek": s.Row.KEK,
			})
		}
		view := map[string]any{"items": items, "root_key": loss.Root, "total": loss.Total, "destroyed": c.Confirm != "", "confirm": loss.Confirm}
		return c.print(e, view, func(w io.Writer) {
			if c.Confirm != "" {
				fmt.Fprintf(w, "%d secrets were destroyed, of %d; the audit log names them (vault.secret_destroyed). A server opens by itself within 15 seconds; store these secrets anew.\n", len(loss.Secrets), loss.Total)
				return
			}
			fmt.Fprintln(w, "SECRET\tTENANT\tID\tOF\tSEALED BY")
			for _, s := range loss.Secrets {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Row.Purpose, s.Row.Tenant, s.Row.Credential, c.of(e, a, s), cmp.Or(s.Row.KEK, "a file"))
			}
			if loss.Root {
				fmt.Fprintln(w, "root key\t\t\t\tsign-ins by OpenID Connect that are under way begin again; fingerprints of keys are others")
			}
			fmt.Fprintf(w, "%d of %d secrets do not open by any key that is named; nothing is destroyed yet.\n", len(loss.Secrets), loss.Total)
			fmt.Fprintf(w, "If one of these keys is still somewhere, put it back: %s\n", strings.Join(loss.By, ", "))
			fmt.Fprintf(w, "If they are lost for good: --confirm %s\n", loss.Confirm)
		})
	})
}

// of names what a secret is shown to.
func (*vaultReset) of(e *env, a *app.App, s vault.LostSecret) string {
	if s.Row.Purpose == store.ProviderKey {
		if p, err := a.Store.Provider(e.ctx, s.Row.Tenant, tenure.ProviderID(s.Row.Provider)); err == nil {
			return p.Name
		}
	}
	return cmp.Or(s.Row.Provider, "–")
}
