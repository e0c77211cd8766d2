package dash

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/exception"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/notice"
	"github.com/tenure-gateway/tenure/internal/policy"
	"github.com/tenure-gateway/tenure/internal/price"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/trust"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A house is the dashboard over a real database, behind a router that believes
// X-User-Id, the session cookie and tokens without asking further.
type house struct {
	*Dash
	t      *testing.T
	router *web.Router
	live   *live.Live
	now    time.Time
	log    *strings.Builder
	lines  *web.LogWriter
	way    string // the only OIDC connection, or ""
	own    bool   // sessions were opened by it
	next   string // where the browser signs out of the identity provider
}

func open(t *testing.T, single bool) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2025, 11, 21, 9, 14, 3, 0, time.UTC), log: &strings.Builder{}}
	h.lines = web.NewLogWriter(h.log)
	clock := func() time.Time { return h.now }
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	key, err := vault.OpenKey(t.Context(), db, vault.KeyURLs{Present: "file:" + filepath.Join(t.TempDir(), "master.key")}, keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	l := &live.Live{
		Check: func(tenure.Principal, tenure.Action) error { return nil },
		DB:    db, Log: slog.New(slog.DiscardHandler),
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		// Nothing follows the feed here: what is known never grows stale.
		Options: live.Options{Now: clock, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(reg, l)
	uses := &store.LastUse{DB: db, FirstUse: audit.TokenFirstUsed}
	tokens := &token.Tokens{DB: db, Live: l, Uses: uses, Cache: token.NewCache(100), Reuse: token.NewReuse(), Single: single}
	use := &store.ModelUse{DB: db}
	bounds := limits.New(db, l, use, limits.NewMetrics(reg))
	l.Forget = func(c store.Change) { tokens.Forget(c); bounds.Forget(c) }
	people := &directory.Directory{
		DB: db, Live: l, Uses: uses, Usage: &store.Usage{DB: db}, ModelUse: use, Admins: map[string]bool{"root@example.com": true},
		SessionIdle: time.Hour, SessionLife: 24 * time.Hour, RootStands: tokens.RootStands,
	}
	h.live = l
	signer := &ledger.Ledger{DB: db, Sealer: key.Sealer, Open: key.Open}
	l.Note = people.Usage.NoteEnd
	h.Dash = &Dash{
		Acts: Acts{
			Tokens: tokens, Directory: people,
			Oversight: Oversight{
				Governance: &governance.Governance{DB: db, Live: l, SessionIdle: time.Hour},
				Notices:    &notice.Notices{DB: db, Log: slog.New(slog.DiscardHandler), Metrics: notice.NewMetrics(reg)},
				Exceptions: &exception.Exceptions{DB: db, Live: l},
				Reviews:    reviewsOf(db, tokens, h),
				Trust:      &trust.Trust{DB: db, Facts: trust.Facts{Ways: []trust.Way{{Says: "asserted by a proxy"}}, Keys: "a file"}, Sealed: func() error { return nil }, Broken: func() bool { return false }},
				Ledger:     signer,
				Sinks:      &sink.Sinks{DB: db, Log: slog.New(slog.DiscardHandler), Sealer: key.Sealer, Open: key.Open, Net: sink.Net{Client: http.DefaultClient, Public: http.DefaultClient, Replica: "one"}},
				Evidence: &evidence.Evidence{DB: db, Place: signer.Place, Sign: signer.Sign, House: func(context.Context, tenure.Principal) (evidence.House, error) {
					return evidence.House{}, nil
				}},
			},
			Connectors: &connector.Connectors{DB: db, Live: l, Use: &store.ConnectorUse{DB: db}},
			Policies:   &policy.Policies{DB: db, Live: l, Single: single},
			Vault:      &vault.Vault{DB: db, Live: l, Key: key},
			Limits:     bounds,
			Prices:     price.New(db, l, use),
			Beliefs:    &belief.Beliefs{DB: db, Live: l, Ring: &belief.Ring{DB: db, Sealer: key.Sealer, Open: key.Open}},
		},
		System: func(context.Context, tenure.Principal) (System, error) {
			return System{Version: "v1", Database: Database{Engine: "SQLite", Bytes: 3 << 19}, Settings: []Setting{{"TENURE_MODE", "teams"}, {"TENURE_API_TOKEN", ""}}}, nil
		},
		Doors: Doors{Establish: h.establish, WithRoot: h.withRoot, Again: h.again, SignOut: h.signOut, Direct: Direct{
			Way: func(*http.Request) (string, bool, error) { return h.way, false, nil }, Own: func(*http.Request) bool { return h.own },
		}},
		Single: single, Base: func(r *http.Request) string { return "http://" + r.Host },
	}
	h.router = &web.Router{
		Authenticate: h.authenticate, Known: access.Known, Now: clock,
		Check:   func(_ context.Context, p tenure.Principal, a tenure.Action) error { return access.Admits(p, a) },
		Address: func(*http.Request) string { return "192.0.2.7" }, Observe: func(*http.Request, *web.Event) {},
		Log: h.lines, Metrics: web.NewMetrics(reg),
	}
	routes, err := h.Routes()
	if err != nil {
		t.Fatal(err)
	}
	// A page of administration that asks for a fresh sign-in, and is empty.
	routes = append(routes, h.route("GET /stale", tenure.SetPolicy, nowhere))
	if err := h.router.Mount(routes); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) authenticate(r *http.Request, action tenure.Action) (tenure.Principal, error) {
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch cookie, _ := r.Cookie(web.PlainCookie); {
	case action == tenure.Public:
		return tenure.Principal{}, nil
	case bearer != "":
		return h.Tokens.Resolve(r.Context(), bearer)
	case cookie != nil:
		return h.Directory.ResolveSession(r.Context(), cookie.Value, directory.Asserted{})
	case r.Header.Get("X-User-Id") != "":
		return h.Directory.Join(r.Context(), tenure.DefaultTenant, r.Header.Get("X-User-Id"), tenure.SignIn{})
	}
	return tenure.Principal{}, tenure.ErrNoCredential
}

func (h *house) establish(w http.ResponseWriter, r *http.Request) error {
	if p := web.Principal(r.Context()); p.Kind() == tenure.AssertedIdentity {
		return h.session(w, r, p)
	}
	return nil
}

func (h *house) withRoot(w http.ResponseWriter, r *http.Request, presented string) error {
	p, err := h.Tokens.Resolve(r.Context(), presented)
	if err != nil {
		return err
	}
	return h.session(w, r, p)
}

func (h *house) session(w http.ResponseWriter, r *http.Request, p tenure.Principal) error {
	_, secret, err := h.Directory.OpenSession(r.Context(), p, tenure.SignIn{Via: "proxy"})
	if err == nil && !strings.HasPrefix(r.Host, "plain.") {
		http.SetCookie(w, &http.Cookie{Name: web.PlainCookie, Value: secret.Reveal(), Path: "/", HttpOnly: true})
	}
	return err
}

func (h *house) signOut(w http.ResponseWriter, r *http.Request) (string, error) {
	p := web.Principal(r.Context())
	http.SetCookie(w, &http.Cookie{Name: web.PlainCookie, Path: "/", MaxAge: -1})
	if p.Session() == "" {
		return h.next, nil
	}
	return h.next, h.Directory.EndSession(r.Context(), p, p.Session(), "signed out")
}

// operator may do all that a person at the machine may.
func (h *house) operator() tenure.Principal {
	p, err := (&tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true}).Admit(h.now, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// A visitor is one browser or program: the headers that it sends each time.
type visitor struct {
	*house
	headers http.Header
}

func (h *house) as(user string) visitor {
	v := visitor{h, http.Header{"Accept": {"text/html,*/*;q=0.8"}}}
	if user != "" {
		v.headers.Set("X-User-Id", user)
	}
	return v
}

// with gives the same visitor with one more header.
func (v visitor) with(name, value string) visitor {
	v.headers = v.headers.Clone()
	v.headers.Set(name, value)
	return v
}

func (v visitor) get(path string) page { return v.do(http.MethodGet, path, nil) }

// post sends a form of name, value, name, value.
func (v visitor) post(path string, fields ...string) page {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return v.do(http.MethodPost, path, strings.NewReader(form.Encode()))
}

func (v visitor) do(method, path string, body io.Reader) page {
	v.t.Helper()
	h := v.house
	h.now = h.now.Add(time.Millisecond) // ids are in the order of their milliseconds
	r := httptest.NewRequestWithContext(v.t.Context(), method, path, body)
	r.Host = "tenure.example.com"
	r.Header = v.headers.Clone()
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	v.router.ServeHTTP(w, r)
	return page{t: v.t, Response: w.Result(), body: w.Body.String()}
}

// generate makes a token through the page and gives what it reveals.
func (v visitor) generate(name string) string {
	v.t.Helper()
	p := v.post("/settings/tokens", "name", name, "expires_in", "90d", "scope", "chat", "scope", "messages", "scope", "models").must(http.StatusOK)
	return p.one("#secret").text()
}

// join gives the principal of a person.
func (h *house) join(name string) tenure.Principal {
	h.t.Helper()
	p, err := h.Directory.Join(h.t.Context(), tenure.DefaultTenant, name, tenure.SignIn{})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// newest gives the id of a person's newest token.
func (h *house) newest(name string) string {
	h.t.Helper()
	p, err := h.Tokens.Mine(h.t.Context(), h.join(name), "", 1)
	if err != nil || len(p.Tokens) == 0 {
		h.t.Fatalf("no token of %s: %v", name, err)
	}
	return string(p.Tokens[0].ID)
}

// signIn visits Settings by an asserted identity and goes on with the session
// that this opens.
func (h *house) signIn(name, userAgent string) visitor {
	h.t.Helper()
	v := h.as(name).with("User-Agent", userAgent)
	p := v.get("/settings").must(http.StatusOK)
	return v.withSession(p)
}

// withSession takes the cookie that an answer set.
func (v visitor) withSession(p page) visitor {
	v.t.Helper()
	for _, c := range p.Cookies() {
		if c.Name == web.PlainCookie && c.Value != "" {
			return v.with("Cookie", c.Name+"="+c.Value)
		}
	}
	v.t.Fatal("no session cookie")
	return v
}

// logged is what has been logged so far.
func (h *house) logged() string {
	h.lines.Flush()
	return h.log.String()
}

// reviewsOf reviews with tokens that end, and all else that stays.
func reviewsOf(db *store.DB, tokens *token.Tokens, h *house) *review.Reviews {
	return &review.Reviews{
		DB: db, Log: slog.New(slog.DiscardHandler), Metrics: review.NewMetrics(prometheus.NewRegistry()), Flush: tokens.Uses.Flush,
		Things: review.Things{
			Beside: func(tenure.TenantID) []tenure.ReviewSubject { return nil },
			End: func(ctx context.Context, i tenure.ReviewItem, reason string) error {
				_, err := tokens.Revoke(ctx, h.operator(), tenure.TokenID(i.Subject), reason)
				return err
			},
			Alive: func(ctx context.Context, i tenure.ReviewItem) (bool, error) {
				return tokens.Stands(ctx, i.Tenant, tenure.TokenID(i.Subject))
			},
			Gone:   func(context.Context, tenure.ReviewItem) (string, error) { return "", nil },
			Change: func(context.Context, tenure.Principal, tenure.ReviewItem, string) (bool, error) { return false, nil },
		},
		Sign:       func(_ context.Context, kind, text string) (string, error) { return kind + "\n" + text, nil },
		Checkpoint: func(context.Context) (string, error) { return "", nil },
		Version:    func() string { return "v1" },
	}
}
