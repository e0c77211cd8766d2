// Package api is the JSON API under /api/v1: self-service for people, and
// administration. It owns the shapes of its requests and answers, its errors as
// RFC 9457 problem details, and the OpenAPI document made from them.
//
// It holds no rule: every act is another room's and checks access itself. A
// personal access token opens none of it; a service token opens what its scopes
// of administration say.
package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/backup"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/exception"
	"github.com/tenure-gateway/tenure/internal/federation"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/notice"
	"github.com/tenure-gateway/tenure/internal/policy"
	"github.com/tenure-gateway/tenure/internal/price"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/trust"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Feeds are the identity providers: what they send, and how people sign in there.
type Feeds struct {
	Connectors  *connector.Connectors
	Connections *federation.Connections
}

// Oversight is who answers for what was done, and keeps it.
type Oversight struct {
	Governance *governance.Governance
	Notices    *notice.Notices
	Backups    *backup.Backups
	Ledger     *ledger.Ledger
	Exceptions *exception.Exceptions
	Sinks      *sink.Sinks
	Evidence   *evidence.Evidence
	Reviews    *review.Reviews
	Trust      *trust.Trust
}

// Budgets are what the use of models may be, and what it costs.
type Budgets struct {
	Limits *limits.Limits
	Prices *price.Prices
}

// Own is what people have for themselves.
type Own struct {
	Tokens  *token.Tokens
	Beliefs *belief.Beliefs
}

// API serves /api. Its fields are set before first use.
type API struct {
	Own
	Directory *directory.Directory
	Feeds
	Oversight
	Policies *policy.Policies
	Vault    *vault.Vault
	Budgets
	Live *live.Live
	// Answers remember requests that may be repeated.
	Answers Answers
	// Single leaves personal tokens out.
	Single bool
}

// Version is the version of the API, not of the product.
const Version = "1"

// Routes are the routes under /api/, the OpenAPI document and its page among them.
func (a *API) Routes() []web.Route {
	c := &collector{once: a.once}
	cfg := huma.DefaultConfig("Tenure", Version)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.CreateHooks = nil
	cfg.Formats = map[string]huma.Format{"application/json": strictJSON(), "json": strictJSON()}
	cfg.Transformers = append(cfg.Transformers, withoutValues)
	cfg.Info.Description = "Self-service and administration. Sign in by session or by the identity that the trusted proxy asserts; a personal access token opens nothing here, and a service token what its scopes of administration say."
	m := &mounting{collector: c, api: humago.New(c, cfg)}
	m.api.UseMiddleware(plainQuery(m.api))
	a.mountSelf(m)
	a.mountUsers(m)
	a.mountReport(m)
	a.mountUsage(m)
	a.mountLimits(m)
	a.mountPrices(m)
	a.mountStreams(m)
	a.mountAudit(m)
	a.mountReviews(m)
	a.mountAuditSinks(m)
	a.mountNotices(m)
	a.mountTrust(m)
	a.mountTokens(m)
	a.mountAccounts(m)
	a.mountRequests(m)
	a.mountExceptions(m)
	a.mountRotation(m)
	a.mountProviders(m)
	a.mountProviderKeys(m)
	a.mountKeys(m)
	a.mountAuditKeys(m)
	a.mountAuditHolds(m)
	a.mountConnectors(m)
	a.mountPolicy(m)
	a.mountWorkspaces(m)
	a.mountMembers(m)
	a.mountAccess(m)
	a.mountOIDC(m)
	a.mountRoot(m)
	a.mountBackup(m)
	a.mountEvidence(m)
	a.mountBeliefs(m)
	doc := m.api.OpenAPI()
	complete(doc)
	return append(
		append(c.routes, pages(doc)...),
		web.Route{Pattern: "/api/", Action: tenure.Unrouted, Fail: Fail, Handle: func(http.ResponseWriter, *http.Request) error { return tenure.ErrNotFound }},
	)
}

// collector is the mux that huma mounts on: it turns each operation into a
// route with the action that was named for it.
type collector struct {
	routes []web.Route
	action tenure.Action
	op     huma.Operation // that is being mounted
	once   func(http.ResponseWriter, *http.Request, huma.Operation, http.HandlerFunc) error
}

// HandleFunc implements humago.Mux.
func (c *collector) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	op := c.op
	c.routes = append(c.routes, web.Route{Pattern: pattern, Action: c.action, Fail: Fail, Handle: func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if creates(op) {
			return c.once(w, r, op, h)
		}
		h(w, r)
		return web.EventOf(r.Context()).Err
	}})
}

// ServeHTTP implements humago.Mux; the router serves, not this.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) { Fail(w, r, tenure.ErrNotFound) }

type mounting struct {
	*collector
	api huma.API
}

// operation mounts one operation under its action.
func operation[In, Out any](m *mounting, action tenure.Action, op huma.Operation, h func(context.Context, *In) (*Out, error)) {
	m.action, m.op = action, op
	op.MaxBodyBytes = maxBody
	if creates(op) {
		describeOnce(&op)
	}
	op.Extensions = map[string]any{"x-tenure-action": string(action)}
	huma.Register(m.api, op, func(ctx context.Context, in *In) (*Out, error) {
		out, err := h(ctx, in)
		if err != nil {
			web.EventOf(ctx).Err = err
			h := http.Header{}
			e := tenure.AsError(err)
			web.Challenge(h, e)
			web.RetryAfter(h, e)
			return nil, huma.ErrorWithHeaders(asProblem(ctx, op.Method, err), h)
		}
		return out, nil
	})
}

// Problem is an RFC 9457 problem detail, with the code and the request's id as
// extension members.
type Problem struct {
	Type      string        `json:"type"`
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Detail    string        `json:"detail"`
	Code      string        `json:"code"`
	RequestID string        `json:"request_id"`
	Errors    []FieldDetail `json:"errors,omitempty"`
}

// FieldDetail says what was wrong with one field.
type FieldDetail struct {
	Message  string `json:"message"`
	Location string `json:"location"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func asProblem(ctx context.Context, method string, err error) *Problem {
	e := tenure.AsError(err)
	p := &Problem{Type: "about:blank", Status: web.Status(e.Kind), Detail: tenure.Redact(e.Msg), Code: e.Code, RequestID: web.EventOf(ctx).ID}
	if e.Kind == tenure.Invalid && e.Field != "" {
		p.Status = http.StatusUnprocessableEntity
		p.Errors = []FieldDetail{{Message: tenure.Redact(e.Msg), Location: place(method, e.Field)}}
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// Fail answers with a problem.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	e := tenure.AsError(err)
	web.Challenge(w.Header(), e)
	web.RetryAfter(w.Header(), e)
	p := asProblem(r.Context(), r.Method, err)
	web.WriteJSON(w, "application/problem+json", p.Status, p)
}

// withoutValues takes what was sent out of huma's own validation errors: it may
// be a secret in the wrong field.
func withoutValues(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &Problem{Type: "about:blank", Title: m.Title, Status: m.Status, Detail: m.Detail, Code: "invalid_request", RequestID: web.EventOf(ctx.Context()).ID}
	for _, d := range m.Errors {
		p.Errors = append(p.Errors, fieldDetail(d))
	}
	return p, nil
}

// Paging is what lists take whose pages end with an id.
type Paging struct {
	Cursor string `query:"cursor" pattern:"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|default)$" patternDescription:"next_cursor of the page before" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// anyPaging is what other lists take.
type anyPaging struct {
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// list is what every list gives.
type list[T any] struct {
	Body struct {
		Items []T    `json:"items"`
		Next  string `json:"next_cursor,omitempty" doc:"Give it as cursor to read on; absent at the end"`
	}
}

// body is an answer with one thing in it.
type body[T any] struct{ Body T }

// when gives a time for JSON; the zero time is null.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Ended tells what an act brought to its end.
type Ended struct {
	Tokens   int     `json:"tokens"`
	Sessions int     `json:"sessions"`
	Streams  int     `json:"streams"`
	Orphans  int     `json:"orphans" doc:"Service accounts that need a new owner"`
	Accounts int     `json:"service_accounts" doc:"Service accounts that ended too"`
	TookMS   float64 `json:"took_ms" doc:"Milliseconds until the last stream was told to end"`
}

func ended(e tenure.Ended) Ended {
	return Ended{e.Tokens, e.Sessions, e.Streams, e.Orphans, len(e.Accounts), float64(e.Took.Microseconds()) / 1000}
}
