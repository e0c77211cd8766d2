package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// Model is a model that a provider lists.
type Model struct {
	ID          string
	DisplayName string
	Created     time.Time
	Provider    string // its name
}

// target is where a request goes.
type target struct {
	provider tenure.Provider
	base     *url.URL
	model    string // as the provider knows it
	rules    rules
	headers  []vault.Header // that the provider gets beside its key
	guessed  bool           // the provider's list could not be had
}

// rules are what the tenant's policy says of its providers.
type rules struct {
	reach  tenure.Egress // where they may be, beside the public internet
	stream bool          // all are asked for the use of a stream
}

// Times of the catalogue.
const (
	listFor     = 5 * time.Minute  // a list is used this long before it is fetched anew, in the background
	lookAgain   = 10 * time.Second // a model that is not listed makes for a new look this often at most
	listTimeout = 10 * time.Second
	maxList     = 8 << 20
)

// catalogue knows which provider of a workspace has which model.
type catalogue struct {
	vault *vault.Vault
	rota  *rota
	log   *slog.Logger
	// refusals are told of; nil: to nobody.
	refusals *refusals
	// lookAgain is how often at most an unknown model makes for a new look.
	lookAgain time.Duration

	mu       *sync.Mutex
	known    map[tenure.WorkspaceID]*listing // what requests are routed by
	renewing map[tenure.WorkspaceID]*listing // what will take its place
}

// listing is what a workspace's providers have. It is complete once done is
// closed, and never modified afterwards.
type listing struct {
	tenant tenure.TenantID
	done   chan struct{}
	err    error
	at     time.Time
	offers []offer
}

type offer struct {
	provider tenure.Provider
	base     *url.URL
	rules    rules
	headers  []vault.Header
	models   []Model
	err      error // the list could not be had
}

// target is where a request for one of its models goes.
func (o *offer) target(model string) target {
	return target{provider: o.provider, base: o.base, model: model, rules: o.rules, headers: o.headers}
}

func newCatalogue(v *vault.Vault, t *rota, log *slog.Logger) catalogue {
	return catalogue{
		vault: v, rota: t, log: log, lookAgain: lookAgain, mu: &sync.Mutex{}, known: make(map[tenure.WorkspaceID]*listing), renewing: make(map[tenure.WorkspaceID]*listing),
	}
}

// find chooses the provider for a model: by its list, else by "provider/model",
// else the only one of that kind whose list cannot be had. What the token or its
// workspace does not allow is passed over as if no provider had it; judged is the
// name that the provider would get.
func (c *catalogue) find(ctx context.Context, p tenure.Principal, kind tenure.ProviderKind, model string) (target, error) {
	l, err := c.listing(ctx, p)
	if err != nil {
		return target{}, err
	}
	t, ok := l.find(p, kind, model)
	if !ok && time.Since(l.at) > c.lookAgain { // it may be new: those who ask for it wait, nobody else
		if l, err = c.await(ctx, c.renew(ctx, p.Tenant(), p.Workspace(), l)); err != nil {
			return target{}, err
		}
		t, ok = l.find(p, kind, model)
	}
	if !ok {
		return target{}, cmp.Or(c.waits(l), l.explain(p, kind, model))
	}
	return t, nil
}

// waits is why a workspace that has no provider may have one once the vault is open:
// those of the environment are stored only then.
func (c *catalogue) waits(l *listing) error {
	if len(l.offers) > 0 {
		return nil
	}
	return c.vault.Key.Refusal()
}

func (l *listing) find(p tenure.Principal, kind tenure.ProviderKind, model string) (target, bool) {
	unlisted := -1
	for i, o := range l.offers {
		if o.provider.Kind != kind || !access.Model(p, o.provider.Name, model) {
			continue
		}
		for _, m := range o.models {
			if m.ID == model {
				return o.target(model), true
			}
		}
		if o.err != nil {
			if unlisted >= 0 {
				unlisted = len(l.offers) // two: nobody can tell
				continue
			}
			unlisted = i
		}
	}
	if name, rest, ok := strings.Cut(model, "/"); ok && rest != "" {
		for _, o := range l.offers {
			if o.provider.Kind == kind && o.provider.Name == name && access.Model(p, name, rest) {
				return o.target(rest), true
			}
		}
	}
	if unlisted >= 0 && unlisted < len(l.offers) {
		t := l.offers[unlisted].target(model)
		t.guessed = true
		return t, true
	}
	return target{}, false
}

// explain says why there is no provider for a model, and what would help. Of a
// model that is not allowed it says what it says of one that nobody has.
func (l *listing) explain(p tenure.Principal, kind tenure.ProviderKind, model string) error {
	e := &tenure.Error{Kind: tenure.NotFound, Code: "model_not_found", Field: "model"}
	route := map[tenure.ProviderKind]string{tenure.OpenAI: "/v1/chat/completions", tenure.Anthropic: "/v1/messages"}
	if len(l.offers) == 0 {
		e.Code, e.Msg = "no_provider", "this workspace has no model provider yet; an administrator adds one with \"tenure provider add\""
		return e
	}
	for _, o := range l.offers {
		for _, m := range o.models {
			if m.ID == model && o.provider.Kind != kind && access.Model(p, o.provider.Name, model) {
				e.Msg = fmt.Sprintf("the model %q is served on %s, not here", model, route[o.provider.Kind])
				return e
			}
		}
	}
	for _, o := range l.offers {
		if o.provider.Kind == kind && o.err != nil && access.Model(p, o.provider.Name, model) {
			if sealed := sealedOf(o.err); sealed != nil {
				return sealed
			}
			return &tenure.Error{
				Kind: tenure.Unavailable, Code: "providers_unavailable", RetryAfter: lookAgain,
				Msg: fmt.Sprintf("no provider is known to have the model %q, and not all could be asked; name one as \"provider/model\"", model),
			}
		}
	}
	return errNoModel(model)
}

// sealedOf gives the error of a vault that does not open now, or nil: it says what
// is the matter, and when to try again.
func sealedOf(err error) error {
	if err == nil {
		return nil
	}
	var sealed *tenure.Error
	if errors.As(err, &sealed) && (sealed.Code == "vault_sealed" || sealed.Code == "vault_busy") {
		return sealed
	}
	return nil
}

// models lists what a principal may ask over a protocol. Unavailable: no provider's
// list could be had, so that an empty one would say what nobody knows.
func (c *catalogue) models(ctx context.Context, p tenure.Principal, kind tenure.ProviderKind) ([]Model, error) {
	l, err := c.listing(ctx, p)
	if err != nil {
		return nil, err
	}
	out, whole := l.models(p, kind)
	if err := c.waits(l); err != nil {
		return nil, err
	}
	if len(out) == 0 && !whole && time.Since(l.at) > c.lookAgain {
		if l, err = c.await(ctx, c.renew(ctx, p.Tenant(), p.Workspace(), l)); err != nil {
			return nil, err
		}
		out, whole = l.models(p, kind)
	}
	if err := c.waits(l); err != nil {
		return nil, err
	}
	if len(out) == 0 && !whole {
		for _, o := range l.offers {
			if sealed := sealedOf(o.err); sealed != nil && o.provider.Kind == kind {
				return nil, sealed
			}
		}
		return nil, &tenure.Error{
			Kind: tenure.Unavailable, Code: "providers_unavailable", RetryAfter: lookAgain,
			Msg: "no list of models can be had from the workspace's providers at the moment; try again",
		}
	}
	return out, nil
}

// models are those that a principal may ask over a protocol, and whether every
// provider of it has told its own.
func (l *listing) models(p tenure.Principal, kind tenure.ProviderKind) (out []Model, whole bool) {
	out, whole = []Model{}, true
	for _, o := range l.offers {
		if o.provider.Kind != kind {
			continue
		}
		whole = whole && o.err == nil
		for _, m := range o.models {
			if access.Model(p, o.provider.Name, m.ID) {
				out = append(out, m)
			}
		}
	}
	return out, whole
}

// listing gives the listing of a principal's workspace.
func (c *catalogue) listing(ctx context.Context, p tenure.Principal) (*listing, error) {
	return c.of(ctx, p.Tenant(), p.Workspace())
}

// of gives a workspace's listing: at once if there is one, which is
// renewed behind the request when it is old. Only who is first waits for it.
func (c *catalogue) of(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID) (*listing, error) {
	c.mu.Lock()
	l := c.known[ws]
	if l == nil {
		l = &listing{tenant: tenant, done: make(chan struct{})}
		c.known[ws] = l
		go c.first(context.WithoutCancel(ctx), tenant, ws, l)
	}
	c.mu.Unlock()
	l, err := c.await(ctx, l)
	if err == nil && time.Since(l.at) > listFor {
		c.renew(ctx, tenant, ws, l)
	}
	return l, err
}

// await waits until a listing is complete.
func (c *catalogue) await(ctx context.Context, l *listing) (*listing, error) {
	select {
	case <-l.done:
	default:
		select {
		case <-l.done:
		case <-ctx.Done(): // asked for only where one has to wait: it makes a channel
			return nil, failure(ctx, ctx.Err())
		}
	}
	if l.err != nil {
		return nil, &tenure.Error{
			Kind: tenure.Unavailable, Code: "providers_unavailable", RetryAfter: time.Second,
			Msg: "the workspace's providers cannot be read", Err: l.err,
		}
	}
	return l, nil
}

// first fills the first listing, which is not kept if that failed. It stands in
// known before it is read, so that a change that comes meanwhile forgets it.
func (c *catalogue) first(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, l *listing) {
	c.fill(ctx, tenant, ws, l, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[ws] == l && l.err != nil {
		delete(c.known, ws)
	}
}

// renew fetches anew beside the listing in use, once for all who want it, and
// puts the new one in its place when it is there.
func (c *catalogue) renew(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, old *listing) *listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.renewing[ws]; l != nil {
		return l
	}
	l := &listing{tenant: tenant, done: make(chan struct{})}
	c.renewing[ws] = l
	ctx = context.WithoutCancel(ctx)
	go func() {
		c.fill(ctx, tenant, ws, l, old)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.renewing[ws] == l {
			delete(c.renewing, ws)
		}
		if c.known[ws] == old && l.err == nil {
			c.known[ws] = l
		}
	}()
	return l
}

// fill reads the providers and asks each for its models, all at once. A provider
// that does not answer keeps the models that it had in old, but not one that may not be
// where it is.
func (c *catalogue) fill(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, l, old *listing) {
	defer close(l.done)
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	policy, err := c.vault.DB.Policy(ctx, tenant)
	if err != nil {
		l.err = err
		return
	}
	providers, err := c.vault.Providers(ctx, tenant, ws)
	if err != nil {
		l.err = err
		return
	}
	say := rules{policy.Egress, policy.StreamUsage}
	l.offers = make([]offer, len(providers))
	var wg sync.WaitGroup
	for i, p := range providers {
		wg.Go(func() {
			l.offers[i] = c.ask(ctx, p, say)
			if err := l.offers[i].err; err != nil && old != nil && egress.AsRefused(err) == nil {
				l.offers[i].models = old.of(p.ID)
			}
		})
	}
	wg.Wait()
	l.at = time.Now()
}

// of are the models that a provider is known to have.
func (l *listing) of(id tenure.ProviderID) []Model {
	for _, o := range l.offers {
		if o.provider.ID == id {
			return o.models
		}
	}
	return nil
}

// forget drops listings when providers, workspaces, policies or exceptions change, those
// that are on their way, too; of an exception those of its tenant.
func (c *catalogue) forget(kind, id string) {
	switch kind {
	case "provider", "workspace", "tenant", "policy", "exception", "":
		of := func(_ tenure.WorkspaceID, l *listing) bool {
			return kind != "exception" || l.tenant == tenure.TenantID(id)
		}
		c.mu.Lock()
		maps.DeleteFunc(c.known, of)
		maps.DeleteFunc(c.renewing, of)
		c.mu.Unlock()
	}
}
