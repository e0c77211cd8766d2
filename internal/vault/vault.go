// Package vault keeps provider credentials: sealed at rest, opened at need. It
// owns the envelope encryption and the short-lived cache of opened keys.
//
// It never gives a stored key back to a person. What requests to models are sent with,
// internal/gateway knows; here a provider is asked for its list of models only, to see
// whether it accepts a key.
package vault

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/secretref"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Vault is the act on provider credentials. Its fields are set before first use.
type Vault struct {
	DB   *store.DB
	Live *live.Live
	Key  *MasterKey
	Outside
	// Secrets resolves keys that are kept elsewhere; nil: none are.
	Secrets *secretref.Resolver

	mu      sync.RWMutex
	open    map[tenure.ProviderID]opened
	reading map[tenure.ProviderID]*reading
	sources map[tenure.ProviderID][]source // where keys are kept that were read
	marked  tenure.KeyID                   // the last version that mark has looked at
}

// Outside is what the vault knows of what is around the installation.
type Outside struct {
	// Client makes a client that reaches what is allowed, to check keys with.
	Client func(allowed tenure.Egress) *http.Client
	// Public is the URL under which Tenure itself is reached; nil: not known.
	Public *url.URL
	// Asserted are the headers by which a proxy asserts who people are, and of which
	// tenant, in this installation: no provider ever gets one.
	Asserted []string
}

// Spec says what provider to add.
type Spec struct {
	Workspace string // id or name; "" is the default workspace
	Name      string
	Kind      tenure.ProviderKind
	BaseURL   string // "" is the provider's own
	Key       tenure.Secret
	// KeyReference is the address of where the key is kept, in the place of the key.
	KeyReference string
	// Headers are what it gets with every request beside its key, by name.
	Headers map[string]string
}

var providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// defaultBase are the base URLs of the providers themselves, as their SDKs have them.
var defaultBase = map[tenure.ProviderKind]string{
	tenure.OpenAI:    "https://api.openai.com/v1",
	tenure.Anthropic: "https://api.anthropic.com",
}

// Add stores a provider with its key sealed. Invalid: the spec is wrong, and
// how. Conflict: the name is taken.
func (v *Vault) Add(ctx context.Context, by tenure.Principal, spec Spec) (tenure.Provider, error) {
	if err := access.Check(by, tenure.CreateProvider); err != nil {
		return tenure.Provider{}, err
	}
	added, err := v.add(ctx, by, by.Tenant(), spec)
	if err != nil {
		return tenure.Provider{}, err
	}
	return added[0], nil
}

// Seed adds providers to the default workspace when it has none, from the
// settings that the operator gave: all of them, or none yet. Of replicas that start at
// once one does it.
func (v *Vault) Seed(ctx context.Context, specs []Spec) error {
	have, err := v.DB.Providers(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace)
	if err != nil || len(have) > 0 {
		return err
	}
	if _, err = v.add(ctx, tenure.Principal{}, tenure.DefaultTenant, specs...); tenure.IsKind(err, tenure.Conflict) {
		return nil // another replica has
	}
	return err
}

// add stores providers with their keys, all or none.
func (v *Vault) add(ctx context.Context, by tenure.Principal, tenant tenure.TenantID, specs ...Spec) ([]tenure.Provider, error) {
	ready := make([]addition, 0, len(specs))
	for _, spec := range specs {
		a, err := v.ready(ctx, tenant, spec)
		if err != nil {
			return nil, err
		}
		ready = append(ready, a)
	}
	var added []tenure.Provider
	err := v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		added = added[:0]
		for _, a := range ready {
			p, err := a.insert(ctx, tx, by, tenant)
			if err != nil {
				return err
			}
			added = append(added, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add provider: %w", err)
	}
	for _, p := range added {
		v.Live.Changed(ctx, store.Change{Kind: "provider", ID: string(p.ID)})
	}
	return added, nil
}

// addition is a provider that may be stored.
type addition struct {
	spec    Spec
	headers []tenure.ProviderHeader
	made    prepared
}

// ready judges a provider, and prepares its key.
func (v *Vault) ready(ctx context.Context, tenant tenure.TenantID, spec Spec) (addition, error) {
	if err := spec.validate(); err != nil {
		return addition{}, err
	}
	if err := v.judge(spec.BaseURL); err != nil {
		return addition{}, err
	}
	headers, err := v.headers(spec.Headers)
	if err != nil {
		return addition{}, err
	}
	made, err := v.prepare(ctx, tenant, spec.Key, spec.KeyReference)
	return addition{spec, headers, made}, err
}

func (a addition) insert(ctx context.Context, tx *store.Tx, by tenure.Principal, tenant tenure.TenantID) (tenure.Provider, error) {
	ws, err := tx.Workspace(ctx, tenant, a.spec.Workspace)
	if tenure.IsKind(err, tenure.NotFound) {
		err = tenure.InvalidField("workspace", "there is no workspace %q", tenure.Shown(a.spec.Workspace))
	}
	if err != nil {
		return tenure.Provider{}, err
	}
	p := tenure.Provider{
		ID: tenure.ProviderID(tenure.NewID(tx.Now())), Tenant: tenant, Workspace: ws.ID, Name: a.spec.Name, Kind: a.spec.Kind,
		BaseURL: a.spec.BaseURL, Last4: a.made.last4, Reference: a.made.reference, Headers: a.headers, MadeBy: by.User(), CreatedBy: maker(by), CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
	}
	key := tenure.ProviderKey{
		ID: tenure.KeyID(tenure.NewID(tx.Now())), Tenant: tenant, Workspace: ws.ID, Provider: p.ID, Name: tenure.DefaultKeyName, Version: 1, State: tenure.KeyActive,
		Position: 1, Weight: 1, Reference: a.made.reference, Last4: a.made.last4, Fingerprint: a.made.fingerprint, MadeBy: p.MadeBy, CreatedBy: p.CreatedBy, CreatedAt: tx.Now(), ActivatedAt: tx.Now(),
	}
	sealed, err := a.made.sealed(key)
	if err != nil {
		return p, err
	}
	if err := tx.InsertProvider(ctx, p); err != nil {
		return p, err
	}
	if err := tx.InsertProviderKey(ctx, key, sealed); err != nil {
		return p, err
	}
	return p, tx.Append(ctx, audit.ProviderChanged(by, p, "created"))
}

// maker names who adds a provider; nobody is behind the settings of a first start.
func maker(by tenure.Principal) string {
	if !by.Valid() {
		return "configuration"
	}
	return by.Label()
}

func (s *Spec) validate() error {
	if s.Workspace == "" {
		s.Workspace = string(tenure.DefaultWorkspace)
	}
	if err := validName(s.Name); err != nil {
		return err
	}
	base, ok := defaultBase[s.Kind]
	if !ok {
		return tenure.InvalidField("kind", "the kind must be %q or %q (%[1]q for anything OpenAI-compatible)", tenure.OpenAI, tenure.Anthropic)
	}
	if s.BaseURL == "" {
		s.BaseURL = base
	}
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	u, err := url.Parse(s.BaseURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return tenure.InvalidField("base_url", "the base URL must be http or https with a host, and without user, query or fragment, for example %q", base)
	}
	return nil
}

func validName(name string) error {
	if !providerName.MatchString(name) {
		return tenure.InvalidField("name", "a provider's name has 1 to 63 lower-case letters, digits, dots, dashes and underscores, for example \"openai\"")
	}
	return nil
}

// last4 shows the end of a key, unless that would show much of a short one.
func last4(key tenure.Secret) string {
	if text := key.Reveal(); len(text) >= 16 {
		return text[len(text)-4:]
	}
	return ""
}

// List gives the providers of a workspace, by its id or its name, without their
// keys. NotFound: there is no such workspace.
func (v *Vault) List(ctx context.Context, by tenure.Principal, workspace string) ([]tenure.Provider, error) {
	if err := access.Check(by, tenure.ListProviders); err != nil {
		return nil, err
	}
	ws, err := v.DB.Workspace(ctx, by.Tenant(), workspace)
	if err != nil {
		return nil, err
	}
	return v.DB.Providers(ctx, by.Tenant(), ws.ID)
}

// All lists the providers of every workspace of the asker's tenant, without their
// keys, in the order of their making.
func (v *Vault) All(ctx context.Context, by tenure.Principal, after tenure.ProviderID, limit int) ([]tenure.Provider, error) {
	if err := access.Check(by, tenure.ListProviders); err != nil {
		return nil, err
	}
	return v.DB.AllProviders(ctx, by.Tenant(), after, limit)
}

// Get reads one provider of the asker's tenant, without its key.
func (v *Vault) Get(ctx context.Context, by tenure.Principal, id tenure.ProviderID) (tenure.Provider, error) {
	if err := access.Check(by, tenure.ListProviders); err != nil {
		return tenure.Provider{}, err
	}
	return v.DB.Provider(ctx, by.Tenant(), id)
}

// ProviderChange is what of a provider is to be another; what is nil stays. Its base URL
// stays for good: whoever could move a provider could have its key sent to themselves.
type ProviderChange struct {
	Name    *string            // what stands before the slash when a model is asked for
	Headers *map[string]string // all that it gets, by name
	// Exception is the one of tenure.RuleProviderNetwork by which it is where the policy
	// lets none be; "": none.
	Exception *tenure.ExceptionID
}

// Change changes a provider. Invalid: the name or a header is none, or the exception does
// not let it be where it is. Conflict: the name
// is taken.
func (v *Vault) Change(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, c ProviderChange) (tenure.Provider, error) {
	var p tenure.Provider
	if err := access.Check(by, tenure.ChangeProvider); err != nil {
		return p, err
	}
	if c.Name != nil {
		if err := validName(*c.Name); err != nil {
			return p, err
		}
	}
	var headers []tenure.ProviderHeader
	if c.Headers != nil {
		var err error
		if headers, err = v.headers(*c.Headers); err != nil {
			return p, err
		}
	}
	err := v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var said []string
		if c.Name != nil {
			if err := tx.RenameProvider(ctx, by.Tenant(), provider, *c.Name); err != nil {
				return err
			}
			said = append(said, "renamed")
		}
		if c.Headers != nil {
			if err := tx.SetProviderHeaders(ctx, by.Tenant(), provider, headers); err != nil {
				return err
			}
			said = append(said, "headers_changed")
		}
		if c.Exception != nil {
			was, err := tx.Provider(ctx, by.Tenant(), provider)
			if err == nil {
				err = mayBeThere(ctx, tx, was, *c.Exception)
			}
			if err == nil {
				err = tx.SetProviderException(ctx, by.Tenant(), provider, *c.Exception)
			}
			if err != nil {
				return err
			}
			said = append(said, "exception_changed")
		}
		var err error
		if p, err = tx.Provider(ctx, by.Tenant(), provider); err != nil {
			return err
		}
		for _, what := range said {
			if err := tx.Append(ctx, audit.ProviderChanged(by, p, what)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("change provider %s: %w", provider, err)
	}
	v.Live.Changed(ctx, store.Change{Kind: "provider", ID: string(provider)})
	return p, nil
}

// Remove deletes a provider and its keys.
func (v *Vault) Remove(ctx context.Context, by tenure.Principal, id tenure.ProviderID) error {
	if err := access.Check(by, tenure.DeleteProvider); err != nil {
		return err
	}
	err := v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		p, err := tx.Provider(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		if err := tx.DeleteProvider(ctx, by.Tenant(), id); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ProviderChanged(by, p, "deleted"))
	})
	if err != nil {
		return fmt.Errorf("remove provider %s: %w", id, err)
	}
	v.Live.Changed(ctx, store.Change{Kind: "provider", ID: string(id)})
	return nil
}

// Providers gives what a workspace may use, for routing requests of people who
// may use models there.
func (v *Vault) Providers(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID) ([]tenure.Provider, error) {
	return v.DB.Providers(ctx, tenant, ws)
}
