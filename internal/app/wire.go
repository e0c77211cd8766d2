package app

import (
	"cmp"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/backup"
	"github.com/tenure-gateway/tenure/internal/dash"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/oidc"
	"github.com/tenure-gateway/tenure/internal/scim"
	"github.com/tenure-gateway/tenure/internal/signin"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/web"
)

func firstUse(t tenure.Token) tenure.AuditEvent { return audit.TokenFirstUsed(t) }

// Operator is the principal of whoever runs verbs on the machine that holds the
// data, acting in a tenant: they could edit the database by hand.
func Operator(name string, tenant tenure.TenantID) tenure.Principal {
	s := &tenure.Standing{Kind: tenure.Operator, Tenant: tenant, TenantActive: true, Role: tenure.SuperAdmin, Name: name}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		return tenure.Principal{} // may do nothing
	}
	return p
}

// router mounts every edge.
func (a *App) router() (*web.Router, error) {
	cfg := a.Config
	carriers := &web.Carriers{IdentityHeader: cfg.IdentityHeader, TenantHeader: cfg.TenantHeader, Signed: cfg.Assertion != nil, Trusted: cfg.Trusted, Public: cfg.PublicURL}
	si := &signin.Signin{
		Tokens: a.Tokens, Directory: a.Directory, Connectors: a.Connectors, Carriers: carriers, Log: a.events,
		Origins: http.NewCrossOriginProtection(), Throttle: &signin.Throttle{Now: time.Now}, Fresh: a.Live.Fresh,
	}
	if cfg.Teams {
		si.Root = &signin.RootWatch{Lines: a.Log}
	}
	a.registerSignin(si)
	if cfg.PublicURL != nil {
		if err := si.Origins.AddTrustedOrigin(cfg.PublicURL.String()); err != nil {
			return nil, fmt.Errorf("TENURE_PUBLIC_URL: %w", err)
		}
	}
	base := func(r *http.Request) string { return a.base(r, carriers) }
	direct := a.signIn(si, base)
	rt := &web.Router{
		Authenticate: si.Authenticate, Known: access.Known, Address: carriers.Address, Observe: func(r *http.Request, ev *web.Event) {
			si.Observe(r, ev)
			a.noteUsage(ev)
		},
		Log: a.logs, Metrics: web.NewMetrics(a.Metrics), Now: time.Now, Patience: web.Patience{Write: writeTime, Read: readTime},
		Check: func(ctx context.Context, p tenure.Principal, action tenure.Action) error {
			if err := access.Admits(p, action); err != nil {
				return err
			}
			return si.RootUsed(ctx, p, action)
		},
	}
	pages := &dash.Dash{
		Acts: dash.Acts{
			Tokens: a.Tokens, Directory: a.Directory, Connectors: a.Connectors, Policies: a.Policies, Vault: a.Vault, Limits: a.Limits, Prices: a.Prices, Beliefs: a.Beliefs,
			Oversight: dash.Oversight{Governance: a.Governance, Notices: a.Notices, Ledger: a.Ledger, Reviews: a.Reviews, Exceptions: a.Exceptions, Trust: a.Trust, Evidence: a.Evidence, Sinks: a.Sinks},
		},
		Doors: dash.Doors{Establish: si.Establish, WithRoot: si.WithRoot, Again: si.Again, SignOut: direct.SignOut, Direct: dash.Direct{Way: direct.Way, Own: direct.Own, Begin: direct.Begin}},
		Base:  base, Suggest: a.suggest, Single: !cfg.Teams, System: a.system,
	}
	direct.Fail = pages.Fail
	pageRoutes, err := pages.Routes()
	if err != nil {
		return nil, err
	}
	others, err := a.others(base, si)
	if err != nil {
		return nil, err
	}
	a.Evidence.Version = a.Version
	admin := &api.API{
		Own: api.Own{Tokens: a.Tokens, Beliefs: a.Beliefs}, Directory: a.Directory, Feeds: api.Feeds{Connectors: a.Connectors, Connections: a.Connections}, Policies: a.Policies, Vault: a.Vault, Budgets: api.Budgets{Limits: a.Limits, Prices: a.Prices}, Live: a.Live,
		Oversight: api.Oversight{Governance: a.Governance, Notices: a.Notices, Ledger: a.Ledger, Exceptions: a.Exceptions, Reviews: a.Reviews, Evidence: a.Evidence, Sinks: a.Sinks, Trust: a.Trust, Backups: &backup.Backups{
			DB: a.Store, Version: a.Version, Dir: cfg.Home, NoExports: cfg.NoExports, NoImports: cfg.NoImports,
		}},
		Answers: api.Answers{Find: a.Store.Answered, Keep: a.Store.KeepAnswer}, Single: !cfg.Teams,
	}
	if cfg.Teams {
		pageRoutes = append(pageRoutes, direct.Routes()...)
	}
	models := &web.Lane{Name: "models", Max: int64(a.inflight())}
	for _, routes := range [][]web.Route{
		together(models, a.gateway.Routes()), a.socketRoutes(si),
		apart(scim.Watch(a.scim(base), a.Connectors.Note)), apart(admin.Routes()), apart(others), apart(pageRoutes), apart(a.health()),
	} {
		if err := rt.Mount(routes); err != nil {
			return nil, err
		}
	}
	a.gateway.Inside = rt.Inside
	return rt, nil
}

// suggest names a model of each protocol that whoever holds a credential may ask,
// and tells the protocols for which there is no provider.
func (a *App) suggest(ctx context.Context, p tenure.Principal) (openai, anthropic string, without []tenure.ProviderKind) {
	ws, allowed := p.Workspace(), func(provider, model string) bool { return access.Model(p, provider, model) }
	if p.IsRoot() {
		ws, allowed = tenure.DefaultWorkspace, func(string, string) bool { return true }
	}
	return a.gateway.Suggest(ctx, p.Tenant(), ws, allowed)
}

// noteUsage counts a request for the pictures of use. What nobody known asked for
// is counted where the refusals of the audit log are: in the default tenant.
func (a *App) noteUsage(ev *web.Event) {
	refused := ev.Err != nil && (ev.Status == http.StatusUnauthorized || ev.Status == http.StatusForbidden || ev.Status == http.StatusTooManyRequests)
	tenant := cmp.Or(ev.Principal.Tenant(), tenure.DefaultTenant)
	a.Usage.Note(tenant, ev.Start, strings.HasPrefix(ev.Route, "POST /v1/"), refused, ev.Status >= http.StatusInternalServerError)
	if ev.Used {
		a.ModelUse.Note(ev.Principal, store.AskedModel{Provider: ev.Credential, Key: ev.Key, Name: ev.Provider, Model: ev.Asked}, ev.Start, ev.Use)
	}
}

// signIn completes who is believed, and by what: what a proxy has signed, and
// identity providers.
func (a *App) signIn(si *signin.Signin, base func(*http.Request) string) *signin.OIDC {
	// Of the settings' own provider the operator answers; no stored one is on this machine.
	client, guarded := a.oidcClient(tenure.EgressAll), a.oidcClient(tenure.EgressPrivate)
	if s := a.Config.Assertion; s != nil {
		si.Assertions = &signin.Assertions{Claim: s.Claim, Verifier: &oidc.Verifier{
			Keys: oidc.NewKeys(s.JWKSURL, client, time.Now), Issuer: s.Issuer, Audience: s.Audience, Algs: s.Algs, Now: time.Now,
		}}
	}
	direct := &signin.OIDC{
		Connections: a.Connections, Signin: si, Base: base, Life: a.Config.SessionLife,
		Client: client, Guarded: guarded,
		Seal: func() (cipher.AEAD, error) { return a.Vault.Key.Derive("sign-in attempts") },
	}
	a.Connections.Gone = direct.Forget
	a.bareHeader(si)
	return direct
}

func (a *App) oidcClient(allowed tenure.Egress) *http.Client {
	return oidc.NewClient(a.guard.NewTransport(&http.Transport{ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}, oidc.FetchTimeout, true,
		func(*http.Request) egress.Reach { return egress.Reach{Egress: allowed} }))
}

// bareHeader keeps the header that is believed by default from being believed where
// the people of the default tenant sign in by a connection, or once did, and says so.
func (a *App) bareHeader(si *signin.Signin) {
	if a.Config.IdentityHeader == "" || a.Config.HeaderIsSet {
		return
	}
	si.Carriers.Believed = func(ctx context.Context) (bool, error) {
		used, err := a.Connections.Used(ctx)
		return !used, err
	}
	si.Carriers.Disbelieved = sync.OnceFunc(func() {
		a.Log.Warn("no identity header is believed: people of the default tenant sign in by an OIDC connection, or did; set OIDC_PROXY_HEADER if a proxy is to be believed")
	})
}

// scim is the edge that identity providers speak to.
func (a *App) scim(base func(*http.Request) string) []web.Route {
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tenure_scim_dropped_attributes_total",
		Help: "Attributes that identity providers sent and no schema knows.",
	})
	a.Metrics.MustRegister(dropped)
	s := &scim.SCIM{Directory: a.Directory, Base: base, Dropped: func(n int) { dropped.Add(float64(n)) }}
	return s.Routes()
}

// base is the URL under which the caller reaches this installation.
func (a *App) base(r *http.Request, c *web.Carriers) string {
	if a.Config.PublicURL != nil {
		return a.Config.PublicURL.String()
	}
	if c.Secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// health are the routes for machines that watch.
func (a *App) health() []web.Route {
	metrics := promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{})
	fail := func(w http.ResponseWriter, _ *http.Request, err error) {
		e := tenure.AsError(err)
		web.Challenge(w.Header(), e)
		web.RetryAfter(w.Header(), e)
		http.Error(w, e.Msg, web.Status(e.Kind))
	}
	route := func(pattern string, h func(http.ResponseWriter, *http.Request) error) web.Route {
		return web.Route{Pattern: pattern, Action: tenure.Public, Handle: h, Fail: fail}
	}
	return []web.Route{
		route("GET /healthz", func(w http.ResponseWriter, _ *http.Request) error {
			web.WriteJSON(w, "application/json", http.StatusOK, map[string]string{"status": "alive"})
			return nil
		}),
		route("GET /readyz", func(w http.ResponseWriter, r *http.Request) error {
			status, err := a.ready(r.URL.Query().Has("strict"))
			if err != nil {
				return err
			}
			web.WriteJSON(w, "application/json", http.StatusOK, map[string]string{"status": status})
			return nil
		}),
		route("GET /metrics", func(w http.ResponseWriter, r *http.Request) error {
			metrics.ServeHTTP(w, r)
			return nil
		}),
	}
}

// ready says whether requests should be sent here. While the database is away that is
// so for as long as a token that is in memory may go on by its workspace's choice,
// unless it is asked for strictly: else a balancer would take away whoever serves them.
func (a *App) ready(strictly bool) (string, error) {
	err := a.Live.Fresh()
	switch {
	case err == nil:
		return a.unsealed(strictly)
	case !strictly && a.Live.FreshFor(a.Tokens.Cache.Grace(a.Store.Now())) == nil:
		return "degraded", nil
	}
	return "", err
}

// unsealed says the same of the vault. A replica that never had the key because its
// own settings are wrong would, were it sent requests, take the place of one that has
// it: so a rollout with a wrong key ends at its first replica. Where the key's service
// is away, or the key was there before, the others are no better off, and this one can
// still end access; and SQLite has no others.
func (a *App) unsealed(strictly bool) (string, error) {
	_, why := a.Vault.Key.Sealed()
	if why == nil {
		return "ready", nil
	}
	var problem *keys.Error
	ours := errors.As(a.Vault.Key.NeverOpened(), &problem) && problem.Problem != keys.Away && problem.Problem != keys.Busy
	if strictly || ours && !a.Config.Postgres.IsZero() {
		return "", a.Vault.Key.Refusal()
	}
	return "sealed", nil
}

func (a *App) registerMetrics() {
	a.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenure_last_use_waiting",
			Help: "Tokens whose last use is not written yet.",
		}, func() float64 { return float64(a.Uses.Waiting()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenure_token_cache_hits_total",
			Help: "Tokens resolved without the database.",
		}, func() float64 { return float64(a.Tokens.Cache.Hits()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenure_token_cache_misses_total",
			Help: "Tokens looked up in the database.",
		}, func() float64 { return float64(a.Tokens.Cache.Misses()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenure_best_effort_total",
			Help: "Requests and streams that went on without the database by their workspace's choice.",
		}, func() float64 { return float64(a.outage.Uses()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenure_token_reuse_total",
			Help: "Rotated secrets that were presented after their overlap.",
		}, func() float64 { return float64(a.Tokens.Reuse.Seen()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenure_audit_places",
			Help: "Events that have their place in the tree of the audit log.",
		}, func() float64 { return float64(a.Ledger.Standing().Places) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenure_audit_unsigned",
			Help: "1 while events of the audit log wait for their places and nothing is signed, 0 otherwise.",
		}, func() float64 {
			if a.Ledger.Standing().Trouble != "" {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenure_audit_verified",
			Help: "Events of the audit log that a replica has verified, from the first one on.",
		}, func() float64 { return float64(a.Ledger.Standing().Verified) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenure_audit_verified_age_seconds",
			Help: "Seconds since a replica verified the audit log, or since this one first looked.",
		}, func() float64 {
			since := a.Ledger.Standing().Since
			if since.IsZero() {
				return 0
			}
			return a.Store.Now().Sub(since).Seconds()
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenure_audit_removed_total",
			Help: "Events of the audit log that retention removed, by this process.",
		}, func() float64 { return float64(a.Ledger.Removed()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenure_audit_fault",
			Help: "1 while the audit log is not what was signed, 0 otherwise.",
		}, func() float64 {
			if a.Ledger.Standing().Fault != nil {
				return 1
			}
			return 0
		}))
}

func (a *App) registerSignin(si *signin.Signin) {
	a.Metrics.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenure_throttled_total",
			Help: "Failed authentications that were answered with 429.",
		}, func() float64 { return float64(si.Throttle.Refused()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tenure_root_token_uses_total",
			Help: "Uses of the root token in teams mode.",
		}, func() float64 {
			if si.Root == nil {
				return 0
			}
			return float64(si.Root.Uses())
		}))
}

// ensureRoot makes the root token of a fresh single-mode installation and shows
// it once.
func (a *App) ensureRoot(ctx context.Context, banner io.Writer) error {
	if a.Config.Teams || !a.Config.APIToken.IsZero() {
		return nil
	}
	secret, err := a.Tokens.EnsureRoot(ctx, Operator("first start", tenure.DefaultTenant))
	if err != nil || secret.IsZero() {
		return err
	}
	_, err = fmt.Fprintf(banner, "\nYour root token, shown only this once:\n\n    %s\n\nUse it as the API key of your clients, and to sign in to the dashboard.\n\n", secret.Reveal())
	return err
}
