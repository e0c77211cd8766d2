// Package app puts the product together: it opens the store, builds the acts
// and the edges, mounts their routes, serves, and drains. It owns the order of
// starting and stopping, and is the only room that knows all the others.
//
// It holds no behaviour of its own that a request could meet.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/beliefs"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/exception"
	"github.com/tenure-gateway/tenure/internal/federation"
	"github.com/tenure-gateway/tenure/internal/gateway"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/notice"
	"github.com/tenure-gateway/tenure/internal/policy"
	"github.com/tenure-gateway/tenure/internal/price"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/secretref"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/trust"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// App is a Tenure that is open: its acts can be used, and it can be served.
type App struct {
	Config    *config.Checked
	Log       *slog.Logger
	Store     *store.DB
	Live      *live.Live
	Uses      *store.LastUse
	Usage     *store.Usage
	ModelUse  *store.ModelUse
	Tokens    *token.Tokens
	Directory *directory.Directory
	Limits    *limits.Limits
	Prices    *price.Prices
	// Exceptions is the register of what deviates from the rules.
	Exceptions *exception.Exceptions
	// Beliefs keeps what people stated or decided, for each of them alone.
	Beliefs *belief.Beliefs
	// Ledger keeps the tree of the audit log.
	Ledger *ledger.Ledger
	// Sinks are where its events are sent.
	Sinks *sink.Sinks
	// Evidence makes what an auditor asks for.
	Evidence *evidence.Evidence
	// Connectors are the identity providers' ways in.
	Connectors *connector.Connectors
	// Connections are the identity providers by which people sign in.
	Connections *federation.Connections
	Policies    *policy.Policies
	// Secrets resolves those that are kept elsewhere.
	Secrets *secretref.Resolver
	Vault   *vault.Vault
	// Notices tell people what they should know.
	Notices *notice.Notices
	// Trust are the pages that tell others what is enforced.
	Trust *trust.Trust
	// Governance answers for what was done.
	Governance *governance.Governance
	// Reviews are campaigns in which everything that gives access is looked at.
	Reviews *review.Reviews
	Metrics *prometheus.Registry
	// Version is that of the program.
	Version string

	started time.Time
	events  *audit.Log
	guard   *egress.Guard
	outage  *audit.Outage
	gateway *gateway.Gateway
	sockets *beliefs.Sockets
	logs    *web.LogWriter
	// sealedOnce is Keep's own: the vault was sealed since the start.
	sealedOnce bool
	// unseeded: the providers of the environment could not be sealed at the start.
	unseeded atomic.Bool
}

// openStore makes the data directory, with mode 0700, and opens the database.
func openStore(ctx context.Context, cfg *config.Checked) (*store.DB, error) {
	if err := os.MkdirAll(cfg.Home, 0o700); err != nil {
		return nil, config.Wrong("TENURE_HOME", err.Error(), "/var/lib/tenure")
	}
	if !cfg.Postgres.IsZero() {
		return openPostgres(ctx, cfg)
	}
	db, err := store.OpenSQLite(ctx, cfg.Database, nil)
	return db, refused(err, sqliteExample)
}

func openPostgres(ctx context.Context, cfg *config.Checked) (*store.DB, error) {
	db, err := store.OpenPostgres(ctx, cfg.Postgres.Reveal(), nil)
	return db, refused(err, postgresExample)
}

// What TENURE_DATABASE_URL may be.
const (
	sqliteExample   = "sqlite:/var/lib/tenure/tenure.db"
	postgresExample = "postgres://tenure:password@db.internal/tenure?sslmode=verify-full"
)

// refused says that a database cannot be used with which example of one that can,
// unless the error has a kind already.
func refused(err error, example string) error {
	var own *tenure.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	return config.Wrong("TENURE_DATABASE_URL", err.Error(), example)
}

// Schema tells of which version the database's schema is, and changes nothing.
func Schema(ctx context.Context, cfg *config.Checked) (store.Schema, error) {
	if cfg.Postgres.IsZero() {
		s, err := store.SchemaOfSQLite(ctx, cfg.Database)
		return s, refused(err, sqliteExample)
	}
	s, err := store.SchemaOfPostgres(ctx, cfg.Postgres.Reveal())
	return s, refused(err, postgresExample)
}

// Migrate brings the database's schema up to date, and tells of which version it
// was and is. It is done by the database's own role, and where nothing is pending
// it changes nothing.
func Migrate(ctx context.Context, cfg *config.Checked) (from, to store.Schema, err error) {
	from, err = Schema(ctx, cfg)
	if err != nil || !from.Pending() {
		return from, from, err
	}
	open := openStore
	if !cfg.Postgres.IsZero() {
		open = openPostgres // which needs no directory
	}
	db, err := open(ctx, cfg)
	if err != nil {
		return from, from, err
	}
	if err := db.Close(); err != nil {
		return from, from, err
	}
	to, err = Schema(ctx, cfg)
	return from, to, err
}

// Open opens the store and builds the acts on it. Log lines are JSON, to logs.
func Open(ctx context.Context, cfg *config.Checked, logs *web.LogWriter) (*App, error) {
	ctx = tenure.Everywhere(ctx)
	db, err := openStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	a := &App{Config: cfg, Log: slog.New(slog.NewJSONHandler(logs, nil)), Store: db, Metrics: prometheus.NewRegistry(), logs: logs, started: time.Now()}
	if err := a.build(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

func (a *App) build(ctx context.Context) error {
	cfg := a.Config
	a.Live = &live.Live{
		DB: a.Store, Log: a.Log, Recheck: a.recheck, Forget: a.forget, Check: access.Check, Allows: access.Model,
		Options: live.Options{Now: time.Now, MaxStaleness: cfg.MaxStaleness, StreamStaleness: cfg.StreamStaleness, Seen: filepath.Join(cfg.Home, "seen.json")},
	}
	a.Usage = &store.Usage{DB: a.Store}
	a.ModelUse = &store.ModelUse{DB: a.Store}
	a.Prices = price.New(a.Store, a.Live, a.ModelUse)
	a.Limits = limits.New(a.Store, a.Live, a.ModelUse, limits.NewMetrics(a.Metrics))
	a.Exceptions = &exception.Exceptions{DB: a.Store, Live: a.Live}
	a.Live.Note = a.Usage.NoteEnd
	a.Live.Metrics = live.NewMetrics(a.Metrics, a.Live)
	a.Uses = &store.LastUse{DB: a.Store, FirstUse: firstUse}
	a.events = &audit.Log{DB: a.Store}
	a.outage = &audit.Outage{DB: a.Store, Fresh: a.Live.Fresh, Log: a.Log}
	a.Live.Spared = func(f *live.Flight) { a.outage.Note(f.Principal, f.ID) }
	a.Tokens = &token.Tokens{
		DB: a.Store, Live: a.Live, Uses: a.Uses, Cache: token.NewCache(cfg.CachedTokens), Reuse: token.NewReuse(), Outage: a.outage,
		Configured: configured(cfg), Single: !cfg.Teams,
	}
	a.Directory = &directory.Directory{
		DB: a.Store, Live: a.Live, Uses: a.Uses, Usage: a.Usage, ModelUse: a.ModelUse, Admins: cfg.Admins,
		RequireSCIM: cfg.RequireSCIM, SessionIdle: cfg.SessionIdle, SessionLife: cfg.SessionLife, RootStands: a.Tokens.RootStands,
	}
	a.Live.EndAgain, a.Live.TellBack = a.Directory.EndAgain, a.Directory.TellBack
	a.Connectors = &connector.Connectors{DB: a.Store, Live: a.Live, Use: &store.ConnectorUse{DB: a.Store}, Builtin: len(cfg.SCIMTokens) > 0}
	a.Policies = &policy.Policies{DB: a.Store, Live: a.Live, Single: !cfg.Teams}
	roots, err := egress.RootsWith(cfg.CAFile)
	if err != nil {
		return config.Wrong("TENURE_CA_FILE", err.Error(), "/etc/tenure/ca.pem")
	}
	key, err := a.openKey(ctx)
	if err != nil {
		return err
	}
	a.openBeliefs(key)
	a.Vault = &vault.Vault{DB: a.Store, Live: a.Live, Key: key}
	a.Live.Excepted = a.Vault.Excepted
	if cfg.PublicURL != nil {
		a.Vault.Public = cfg.PublicURL
	}
	a.Vault.Asserted = cfg.Asserted()
	a.guard = &egress.Guard{Roots: roots}
	a.Vault.Client = func(allowed tenure.Egress) *http.Client {
		return a.guard.Client(&http.Transport{DisableKeepAlives: true}, cfg.ConnectTimeout, true, allowed)
	}
	if err := a.secrets(); err != nil {
		return err
	}
	a.Notices = &notice.Notices{
		DB: a.Store, Log: a.Log, Metrics: notice.NewMetrics(a.Metrics), Client: notice.NewClient(a.guard, tenure.EgressAll), Public: notice.NewClient(a.guard, 0),
		Sealer: key.Sealer, Open: key.Open,
	}
	a.Ledger = &ledger.Ledger{DB: a.Store, Sealer: key.Sealer, Open: key.Open, Log: a.Log, Kept: filepath.Join(cfg.Home, "audit-checkpoint")}
	a.Sinks = a.sinks()
	a.Evidence = &evidence.Evidence{DB: a.Store, Place: a.Ledger.Place, Sign: a.Ledger.Sign, House: a.house, Standing: a.logStanding, Live: a.Live}
	a.Trust = &trust.Trust{DB: a.Store, Facts: trustFacts(cfg), Sealed: func() error {
		_, why := key.Sealed()
		return why
	}, Broken: func() bool {
		tree := a.Ledger.Standing()
		return tree.Fault != nil || tree.Trouble != ""
	}}
	a.Governance = &governance.Governance{DB: a.Store, Live: a.Live, SessionIdle: cfg.SessionIdle}
	a.Reviews = a.reviews()
	a.Connections = &federation.Connections{
		DB: a.Store, Live: a.Live, Sealer: key.Sealer, Open: key.Open,
		Local: cfg.PublicURL != nil && tenure.OnThisMachine(cfg.PublicURL.String()),
	}
	if cfg.OIDC != nil {
		a.Connections.Builtin = &federation.Builtin{Connection: cfg.OIDC.Connection, Secret: cfg.OIDC.Secret}
	}
	a.gateway = gateway.New(a.Vault, a.Live, a.guard, gateway.Limits{
		MaxBody: cfg.MaxBody, BodyTimeout: cfg.BodyTimeout,
		ConnectTimeout: cfg.ConnectTimeout, FirstByteTimeout: cfg.FirstByteTimeout, IdleTimeout: cfg.StreamIdle,
		MaxPerOwner: a.perOwner(),
	}, a.Log)
	a.gateway.Bounds = a.Limits
	a.gateway.OnRefused(a.addressRefused)
	a.gateway.OnKey(a.keyJudged)
	a.drawBeliefs()
	a.registerMetrics()
	if _, why := key.Sealed(); why != nil {
		return nil // seeding waits
	}
	err = a.Vault.Seed(ctx, seeds(cfg))
	if code := tenure.AsError(err).Code; err != nil && (code == "vault_sealed" || code == "vault_busy") {
		a.Log.Error("providers of the environment are not stored yet", "error", err)
		a.unseeded.Store(true)
		return nil
	}
	return err
}

// forget tells every cache of a change.
func (a *App) forget(c store.Change) {
	a.Tokens.Forget(c)
	a.Vault.Forget(c)
	a.gateway.Forget(c.Kind, c.ID)
	a.Limits.Forget(c)
	a.Prices.Forget(c)
	a.sockets.Changed(c.Kind, c.ID)
	a.Beliefs.Changed(c.Kind, c.ID)
}

// recheck looks anew at what a flight was opened with: a token or, for a page that
// listens, a session or an asserted identity.
func (a *App) recheck(ctx context.Context, p tenure.Principal) (tenure.Principal, error) {
	if p.Kind() == tenure.BrowserSession || p.Kind() == tenure.AssertedIdentity {
		return a.Directory.RecheckPage(ctx, p)
	}
	return a.Tokens.Recheck(ctx, p)
}

// configured are the tokens that the operator sets.
func configured(cfg *config.Checked) map[tenure.Digest]*tenure.Standing {
	out := map[tenure.Digest]*tenure.Standing{}
	if !cfg.APIToken.IsZero() {
		s := &tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.SuperAdmin, Name: "TENURE_API_TOKEN"}
		if !cfg.Teams {
			s.Scopes, s.Workspace = tenure.DataPlane, tenure.DefaultWorkspace
		}
		out[tenure.DigestOf(cfg.APIToken.Reveal())] = s
	}
	for _, t := range cfg.SCIMTokens {
		out[tenure.DigestOf(t.Reveal())] = &tenure.Standing{Kind: tenure.ConnectorToken, Tenant: tenure.DefaultTenant, TenantActive: true, Name: "TENURE_SCIM_TOKEN", Connector: tenure.BuiltinConnector}
	}
	return out
}

func seeds(cfg *config.Checked) []vault.Spec {
	var out []vault.Spec
	if !cfg.OpenAI.Key.IsZero() {
		out = append(out, vault.Spec{Name: "openai", Kind: tenure.OpenAI, BaseURL: cfg.OpenAI.BaseURL, Key: cfg.OpenAI.Key})
	}
	if !cfg.Anthropic.Key.IsZero() {
		out = append(out, vault.Spec{Name: "anthropic", Kind: tenure.Anthropic, BaseURL: cfg.Anthropic.BaseURL, Key: cfg.Anthropic.Key})
	}
	return out
}

// addressRefused tells the audit log of a provider that was not connected to.
func (a *App) addressRefused(ctx context.Context, p tenure.Provider, why *egress.Refused) error {
	err := a.events.Record(ctx, audit.ProviderAddressRefused(p, why.Error()))
	if err != nil {
		a.Log.Error("audit of a refused address", "provider", p.Name, "error", err)
	}
	return err
}

// keyJudged is told that a provider does not accept a key any more, or that it does again.
func (a *App) keyJudged(ctx context.Context, p tenure.Provider, key tenure.KeyID, accepted bool) error {
	err := a.Vault.Judged(ctx, p, key, accepted)
	if err != nil {
		a.Log.Error("what a provider says of a key", "provider", p.Name, "error", err)
	}
	return err
}

// Close ends what Open began.
func (a *App) Close() error {
	// A verb at the command line serves nothing, and ends access all the same.
	last, cancel := context.WithTimeout(tenure.Everywhere(context.Background()), 5*time.Second)
	defer cancel()
	err := errors.Join(a.Usage.FlushEnds(last), a.Store.Close())
	a.logs.Flush()
	return err
}
