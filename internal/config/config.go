// Package config is the settings of a serving Tenure: one struct, read from
// flags and the environment by cmd/tenure, and checked here. It owns what each
// setting is called, its default, and what is wrong with a wrong one.
//
// It opens nothing and connects to nothing.
package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Home is the setting that every verb needs.
type Home struct {
	Home string `name:"home" env:"TENURE_HOME" placeholder:"DIR" help:"Data directory, made with mode 0700 (default: ~/.tenure)."`
}

// Dir is the data directory as an absolute path.
func (h Home) Dir() (string, error) {
	dir := h.Home
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", Wrong("TENURE_HOME", "it is not set and there is no home directory", "/var/lib/tenure")
		}
		dir = filepath.Join(home, ".tenure")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", Wrong("TENURE_HOME", err.Error(), "/var/lib/tenure")
	}
	return dir, nil
}

// Local are the settings of the verbs that work on the data directory.
type Local struct {
	Home
	DatabaseURL string `name:"database-url" env:"TENURE_DATABASE_URL" placeholder:"URL" help:"sqlite:FILE (default: sqlite: tenure.db in the home), or postgres://… (PostgreSQL 15 or later) for many replicas."`
	KeyURL      string `name:"key-url" env:"TENURE_KEY_URL" placeholder:"URL" help:"Key-encryption key: file:FILE, hashivault://KEY, awskms://KEY, gcpkms://KEY or azurekeyvault://KEY (default: file: master.key in the home)."`
	// Separated by spaces: the URLs themselves may hold commas.
	KeyURLPrevious string `name:"key-url-previous" env:"TENURE_KEY_URL_PREVIOUS" placeholder:"URL …" help:"Key-encryption keys that still open what they have wrapped, separated by spaces, until \"tenure vault rewrap\" is through."`
}

// Proxy are the headers by which a trusted proxy asserts who people are.
type Proxy struct {
	ProxyHeader       string `name:"oidc-proxy-header" env:"OIDC_PROXY_HEADER" placeholder:"NAME" help:"Header by which a trusted proxy asserts who a person is (default in teams mode: x-user-id)."`
	ProxyTenantHeader string `name:"proxy-tenant-header" env:"TENURE_PROXY_TENANT_HEADER" placeholder:"NAME" help:"Header by which a trusted proxy asserts the tenant of that person, by id or name (default: everybody is of the tenant default)."`
	JWTHeader         string `name:"proxy-jwt-header" env:"TENURE_PROXY_JWT_HEADER" placeholder:"NAME" help:"Header that carries the assertion."`
}

// Into makes them typed, for a verb that must know them beside the server, or gives the
// first thing that is wrong with them.
func (p Proxy) Into(c *Checked) error {
	var r reader
	c.IdentityHeader = r.header("OIDC_PROXY_HEADER", p.ProxyHeader, "x-user-id")
	if p.JWTHeader != "" {
		c.IdentityHeader = r.header("TENURE_PROXY_JWT_HEADER", p.JWTHeader, "Cf-Access-Jwt-Assertion")
	}
	c.TenantHeader = r.header("TENURE_PROXY_TENANT_HEADER", p.ProxyTenantHeader, "x-tenant-id")
	return r.first()
}

// Asserted are the headers by which the proxy asserts people, and their tenants.
func (c *Checked) Asserted() []string { return []string{c.IdentityHeader, c.TenantHeader} }

// Serve are the settings of "tenure serve", as text: Check makes them typed, so
// that every wrong one is told in the same way.
type Serve struct {
	Local
	Secrets
	Audit
	Mode      string `env:"TENURE_MODE" default:"single" placeholder:"single|teams" help:"single: one person, the root token covers everything. teams: people sign in and make personal access tokens (default: ${default})."`
	Listen    string `env:"TENURE_LISTEN" default:"127.0.0.1:5757" placeholder:"HOST:PORT" help:"Address to listen on; TLS when a certificate and a key are set (default: ${default})."`
	TLSCert   string `name:"tls-cert" env:"TENURE_TLS_CERT" placeholder:"FILE" help:"Certificate chain, PEM."`
	TLSKey    string `name:"tls-key" env:"TENURE_TLS_KEY" placeholder:"FILE" help:"Private key, PEM."`
	PublicURL string `name:"public-url" env:"TENURE_PUBLIC_URL" placeholder:"URL" help:"URL that people and the identity provider use (default: from the request)."`
	APIToken  string `name:"api-token" env:"TENURE_API_TOKEN" secret:"yes" placeholder:"TOKEN" help:"Root token, at least 24 characters (default: generated in single mode, shown once at first start). Prefer the environment: flags show in process lists."`
	Proxy
	TrustedProxies     string `name:"trusted-proxies" env:"TENURE_TRUSTED_PROXIES" placeholder:"CIDR,…" help:"Peers whose identity header is believed (default: loopback only)."`
	JWKSURL            string `name:"proxy-jwks-url" env:"TENURE_PROXY_JWKS_URL" placeholder:"URL" help:"Where the proxy publishes the keys that it signs with; a signed assertion is then needed instead of a bare header."`
	JWTIssuer          string `name:"proxy-jwt-issuer" env:"TENURE_PROXY_JWT_ISSUER" placeholder:"TEXT" help:"Its iss, to the letter."`
	JWTAudience        string `name:"proxy-jwt-audience" env:"TENURE_PROXY_JWT_AUDIENCE" placeholder:"TEXT" help:"Its aud."`
	JWTAlgs            string `name:"proxy-jwt-algs" env:"TENURE_PROXY_JWT_ALGS" default:"RS256,ES256" placeholder:"ALG,…" help:"Algorithms that it may be signed with (default: ${default})."`
	JWTClaim           string `name:"proxy-jwt-claim" env:"TENURE_PROXY_JWT_CLAIM" default:"sub" placeholder:"NAME" help:"The claim that is the userName (default: ${default})."`
	OIDCIssuer         string `name:"oidc-issuer" env:"TENURE_OIDC_ISSUER" placeholder:"URL" help:"Identity provider by which people sign in directly, to the letter as it writes itself. Unless oidc-proxy-header is set too, no header is believed then."`
	OIDCClientID       string `name:"oidc-client-id" env:"TENURE_OIDC_CLIENT_ID" placeholder:"ID" help:"Tenure's client id there."`
	OIDCClientSecret   string `name:"oidc-client-secret" env:"TENURE_OIDC_CLIENT_SECRET" secret:"yes" placeholder:"SECRET" help:"Tenure's client secret there. Prefer the environment."`
	OIDCUserNameClaim  string `name:"oidc-username-claim" env:"TENURE_OIDC_USERNAME_CLAIM" default:"preferred_username" placeholder:"NAME" help:"The claim of the ID token that is the userName (default: ${default})."`
	OIDCScopes         string `name:"oidc-scopes" env:"TENURE_OIDC_SCOPES" default:"openid profile email" placeholder:"NAMES" help:"Scopes that are asked for (default: ${default})."`
	OIDCTrustEmail     string `name:"oidc-trust-email" env:"TENURE_OIDC_TRUST_EMAIL" default:"false" placeholder:"BOOL" help:"Where the claim is email: believe it without email_verified, never against it (default: ${default})."`
	OIDCDomains        string `name:"oidc-domains" env:"TENURE_OIDC_DOMAINS" placeholder:"DOMAIN,…" help:"Domains of e-mail addresses whose people sign in by it, where there are several connections."`
	SCIMToken          string `name:"scim-token" env:"TENURE_SCIM_TOKEN" secret:"yes" placeholder:"TOKEN" help:"Bearer token of the default tenant's SCIM connector, at least 24 characters."`
	SCIMTokenPrevious  string `name:"scim-token-previous" env:"TENURE_SCIM_TOKEN_PREVIOUS" secret:"yes" placeholder:"TOKEN" help:"Its predecessor, good while it is set."`
	RequireSCIM        string `name:"require-scim" env:"TENURE_REQUIRE_SCIM" default:"false" placeholder:"BOOL" help:"Refuse people whom SCIM never provisioned (default: ${default})."`
	Admins             string `env:"TENURE_ADMINS" placeholder:"NAME,…" help:"userNames that are super_admin of the default tenant from their first sign-in."`
	MaxStaleness       string `name:"max-staleness" env:"TENURE_MAX_STALENESS" default:"5s" placeholder:"DURATION" help:"How long credentials are admitted while the database is silent; then 503 (default: ${default})."`
	StreamStaleness    string `name:"stream-staleness" env:"TENURE_STREAM_STALENESS" default:"60s" placeholder:"DURATION" help:"How long open streams go on while the database is silent; then they are cut (default: ${default})."`
	ShutdownGrace      string `name:"shutdown-grace" env:"TENURE_SHUTDOWN_GRACE" default:"30s" placeholder:"DURATION" help:"How long open streams may finish on SIGTERM (default: ${default})."`
	OpenAIKey          string `name:"openai-api-key" env:"OPENAI_API_KEY" secret:"yes" placeholder:"KEY" help:"Seeds the default workspace's provider \"openai\" when it has no provider."`
	OpenAIBaseURL      string `name:"openai-base-url" env:"OPENAI_BASE_URL" placeholder:"URL" help:"Its base URL, with /v1."`
	AnthropicKey       string `name:"anthropic-api-key" env:"ANTHROPIC_API_KEY" secret:"yes" placeholder:"KEY" help:"Seeds the default workspace's provider \"anthropic\" when it has no provider."`
	AnthropicBaseURL   string `name:"anthropic-base-url" env:"ANTHROPIC_BASE_URL" placeholder:"URL" help:"Its base URL, without /v1."`
	MaxBody            string `name:"max-body" env:"TENURE_MAX_BODY" default:"32MiB" placeholder:"SIZE" help:"Largest request body on the model routes; 413 beyond (default: ${default})."`
	BodyTimeout        string `name:"body-timeout" env:"TENURE_BODY_TIMEOUT" default:"60s" placeholder:"DURATION" help:"How long a client may take to send its request (default: ${default})."`
	ConnectTimeout     string `name:"connect-timeout" env:"TENURE_CONNECT_TIMEOUT" default:"10s" placeholder:"DURATION" help:"How long connecting to a provider may take (default: ${default})."`
	FirstByteTimeout   string `name:"first-byte-timeout" env:"TENURE_FIRST_BYTE_TIMEOUT" default:"10m" placeholder:"DURATION" help:"How long a provider may think before it answers; 504 beyond (default: ${default})."`
	StreamIdleTimeout  string `name:"stream-idle-timeout" env:"TENURE_STREAM_IDLE_TIMEOUT" default:"5m" placeholder:"DURATION" help:"How long a provider may pause in the middle of an answer. An answer that goes on has no limit (default: ${default})."`
	SessionIdleTimeout string `name:"session-idle-timeout" env:"TENURE_SESSION_IDLE_TIMEOUT" default:"60m" placeholder:"DURATION" help:"How long a dashboard session lives without use (default: ${default})."`
	SessionLifetime    string `name:"session-lifetime" env:"TENURE_SESSION_LIFETIME" default:"12h" placeholder:"DURATION" help:"How long a dashboard session lives at all (default: ${default})."`
	MaxInflight        string `name:"max-inflight" env:"TENURE_MAX_INFLIGHT" placeholder:"N" help:"Model requests in flight at once; 503 beyond (default: what memory and open files hold, 10000 at most)."`
	MaxPerOwner        string `name:"max-inflight-per-owner" env:"TENURE_MAX_INFLIGHT_PER_OWNER" placeholder:"N" help:"How many of them one person or service account may have; 429 beyond (default: half)."`
	LeakKeys           string `name:"leak-keys" env:"TENURE_LEAK_KEYS" placeholder:"FILE" help:"Public keys, PEM, that reports of leaked tokens are signed with (default: such reports are not taken)."`
	BackupExports      string `name:"backup-exports-enabled" env:"TENURE_BACKUP_EXPORTS_ENABLED" default:"true" placeholder:"BOOL" help:"Whether backups can be made (default: ${default})."`
	BackupImports      string `name:"backup-imports-enabled" env:"TENURE_BACKUP_IMPORTS_ENABLED" default:"true" placeholder:"BOOL" help:"Whether backups can be restored (default: ${default})."`
	TokenCache         string `name:"token-cache" env:"TENURE_TOKEN_CACHE" default:"256MiB" placeholder:"SIZE" help:"Memory for tokens that were seen lately (default: ${default})."`
}

// Checked are the settings, typed and complete.
type Checked struct {
	Home              string
	Teams             bool
	Listen            string
	TLSCert, TLSKey   string
	PublicURL         *url.URL      // nil: from the request
	Database          string        // file of the SQLite database; "" with another
	Postgres          tenure.Secret // URL of the PostgreSQL database; zero with another
	APIToken          tenure.Secret
	IdentityHeader    string     // canonical; "": none
	HeaderIsSet       bool       // by the operator; otherwise it is the default
	TenantHeader      string     // canonical; "": everybody is of the default tenant
	Assertion         *Assertion // nil: the header is a bare name
	OIDC              *OIDC      // nil: not by these settings
	Trusted           []netip.Prefix
	SCIMTokens        []tenure.Secret
	RequireSCIM       bool
	Admins            map[string]bool // folded
	KeyURL            string          // of the key-encryption key
	KeyURLsPrevious   []string        // of those that still open
	FindsData         bool            // the data and its key are there already: none is made
	MaxStaleness      time.Duration
	StreamStaleness   time.Duration
	ShutdownGrace     time.Duration
	OpenAI, Anthropic Seed
	MaxBody           int64
	BodyTimeout       time.Duration
	ConnectTimeout    time.Duration
	FirstByteTimeout  time.Duration
	StreamIdle        time.Duration
	SessionIdle       time.Duration
	SessionLife       time.Duration
	Secrets           SecretSources
	Audit             AuditFile
	CachedTokens      int
	CAFile            string // "": none
	MaxInflight       int    // 0: what the machine holds
	MaxPerOwner       int    // 0: half of that
	NoExports         bool   // no backups are made
	NoImports         bool   // none are restored
	LeakKeys          string // file; "": reports of leaks are not taken
	Shown             []Shown
	Unheeded          []string // variables that are set, and do nothing in this version
}

// Seed is a provider of the default workspace that the environment names.
type Seed struct {
	Key     tenure.Secret
	BaseURL string
}

// Wrong says in one line which setting is wrong, how, and what would be right.
func Wrong(name, what, example string) error {
	return &tenure.Error{
		Kind: tenure.Invalid, Code: "invalid_setting", Field: name,
		Msg: fmt.Sprintf("%s: %s; for example %s=%s", name, what, name, example),
	}
}

// cachedToken is about what a cached token takes, in bytes.
const cachedToken = 800

// unheeded are settings of the contract that this version does not have, either, and
// that platforms set for whatever they run: those are told of, and not refused.
var unheeded = [...]string{"OTEL_EXPORTER_OTLP_ENDPOINT"}

// Check gives the typed settings, or the first thing that is wrong with them.
func (s Local) Check() (*Checked, error) {
	home, err := s.Dir()
	if err != nil {
		return nil, err
	}
	c, r := &Checked{Home: home, CachedTokens: 1}, reader{}
	r.files(s, c)
	return c, r.first()
}

// Check gives the typed settings, or the first thing that is wrong with them.
func (s Serve) Check() (*Checked, error) {
	c, faults := s.CheckAll()
	if len(faults) > 0 {
		return nil, faults[0]
	}
	return c, nil
}

// CheckAll gives the typed settings and everything that is wrong with them. A
// setting that is wrong has any value then; without a home there are no settings.
func (s Serve) CheckAll() (*Checked, []error) {
	home, err := s.Dir()
	if err != nil {
		return nil, []error{err}
	}
	c, r := &Checked{Home: home}, reader{}
	r.files(s.Local, c)
	s.fillIn()
	c.Listen, c.TLSCert, c.TLSKey, c.Admins = s.Listen, s.TLSCert, s.TLSKey, map[string]bool{}
	for _, name := range unheeded {
		if os.Getenv(name) != "" {
			c.Unheeded = append(c.Unheeded, name)
		}
	}
	r.mode(s.Mode, c)
	r.listen(s, c)
	r.identity(s, c)
	r.assertion(s, c)
	r.oidc(s, c)
	r.tokens(s, c)
	r.secrets(s.Secrets, c)
	r.audit(s.Audit, c)
	for name := range strings.SplitSeq(s.Admins, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.Admins[tenure.FoldUserName(name)] = true
		}
	}
	c.MaxStaleness = r.duration("TENURE_MAX_STALENESS", s.MaxStaleness, 200*time.Millisecond, time.Minute)
	c.StreamStaleness = r.duration("TENURE_STREAM_STALENESS", s.StreamStaleness, c.MaxStaleness, time.Hour)
	c.ShutdownGrace = r.duration("TENURE_SHUTDOWN_GRACE", s.ShutdownGrace, 0, 24*time.Hour)
	c.BodyTimeout = r.duration("TENURE_BODY_TIMEOUT", s.BodyTimeout, time.Second, time.Hour)
	c.ConnectTimeout = r.duration("TENURE_CONNECT_TIMEOUT", s.ConnectTimeout, 10*time.Millisecond, 10*time.Minute)
	c.FirstByteTimeout = r.duration("TENURE_FIRST_BYTE_TIMEOUT", s.FirstByteTimeout, 10*time.Millisecond, 24*time.Hour)
	c.StreamIdle = r.duration("TENURE_STREAM_IDLE_TIMEOUT", s.StreamIdleTimeout, 10*time.Millisecond, 24*time.Hour)
	c.SessionIdle = r.duration("TENURE_SESSION_IDLE_TIMEOUT", s.SessionIdleTimeout, time.Second, 30*24*time.Hour)
	c.SessionLife = r.duration("TENURE_SESSION_LIFETIME", s.SessionLifetime, time.Second, 30*24*time.Hour)
	c.MaxBody = r.size("TENURE_MAX_BODY", s.MaxBody, 1<<10, 1<<30)
	c.CachedTokens = int(r.size("TENURE_TOKEN_CACHE", s.TokenCache, 1<<20, 64<<30) / cachedToken)
	c.MaxInflight = r.count("TENURE_MAX_INFLIGHT", s.MaxInflight, 1_000_000)
	c.MaxPerOwner = r.count("TENURE_MAX_INFLIGHT_PER_OWNER", s.MaxPerOwner, 1_000_000)
	c.LeakKeys = s.LeakKeys
	c.NoExports = !r.boolean("TENURE_BACKUP_EXPORTS_ENABLED", s.BackupExports)
	c.NoImports = !r.boolean("TENURE_BACKUP_IMPORTS_ENABLED", s.BackupImports)
	c.RequireSCIM = r.boolean("TENURE_REQUIRE_SCIM", s.RequireSCIM)
	c.OpenAI = r.seed("OPENAI", s.OpenAIKey, s.OpenAIBaseURL, "https://api.openai.com/v1")
	c.Anthropic = r.seed("ANTHROPIC", s.AnthropicKey, s.AnthropicBaseURL, "https://api.anthropic.com")
	c.Shown = s.shown()
	return c, r.faults
}

// fillIn takes a setting that is set but empty, as compose files pass it, for one
// that is not set. The tags say the same defaults, for --help; a test compares.
func (s *Serve) fillIn() {
	for _, d := range []struct {
		value *string
		usual string
	}{
		{&s.Mode, "single"},
		{&s.Listen, "127.0.0.1:5757"},
		{&s.RequireSCIM, "false"},
		{&s.JWTAlgs, "RS256,ES256"},
		{&s.JWTClaim, "sub"},
		{&s.OIDCUserNameClaim, tenure.DefaultUserNameClaim},
		{&s.OIDCScopes, tenure.DefaultOIDCScopes},
		{&s.OIDCTrustEmail, "false"},
		{&s.MaxStaleness, "5s"},
		{&s.StreamStaleness, "60s"},
		{&s.ShutdownGrace, "30s"},
		{&s.MaxBody, "32MiB"},
		{&s.BodyTimeout, "60s"},
		{&s.ConnectTimeout, "10s"},
		{&s.FirstByteTimeout, "10m"},
		{&s.StreamIdleTimeout, "5m"},
		{&s.SessionIdleTimeout, "60m"},
		{&s.SessionLifetime, "12h"},
		{&s.TokenCache, "256MiB"},
		{&s.BackupExports, "true"},
		{&s.BackupImports, "true"},
	} {
		*d.value = cmp.Or(*d.value, d.usual)
	}
}
