package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Me is who asks.
type Me struct {
	ID         string         `json:"id,omitempty"`
	UserName   string         `json:"user_name,omitempty"`
	Tenant     string         `json:"tenant"`
	Role       string         `json:"role"`
	Workspaces []OwnWorkspace `json:"workspaces" doc:"Those in which one has a role; the first 1000"`
	Credential string         `json:"credential" doc:"What this request was authenticated by"`
	Mode       string         `json:"mode" enum:"single,teams"`
}

// Token is an access token as it is shown: never the token itself.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Kind       string     `json:"kind"`
	Prefix     string     `json:"prefix"`
	State      string     `json:"state" enum:"active,expired,revoked"`
	User       string     `json:"user,omitempty"`
	Account    string     `json:"service_account,omitempty" doc:"Id of the service account that it is of"`
	Workspace  string     `json:"workspace,omitempty"`
	Scopes     []string   `json:"scopes"`
	Models     []string   `json:"models" doc:"Patterns that narrow what the workspace allows; * is no narrowing"`
	CIDRs      []string   `json:"cidrs" doc:"From where it is good; empty: from anywhere"`
	Family     string     `json:"family" doc:"The first token of its line of rotations"`
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  string     `json:"created_by,omitempty"`
	RotatedAt  *time.Time `json:"rotated_at" doc:"When a newer secret took its place"`
	RotatedTo  string     `json:"rotated_to,omitempty" doc:"Id of the token that did"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	RevokedBy  string     `json:"revoked_by,omitempty"`
	Reason     string     `json:"revoked_reason,omitempty"`
	Exception  string     `json:"exception,omitempty" maxLength:"200" doc:"Id of the exception that it hangs on: it lives no longer than that"`
}

func showToken(t tenure.Token) Token {
	return Token{
		ID: string(t.ID), Name: t.Name, Kind: string(t.Kind), Prefix: t.Prefix, State: t.State(time.Now()), User: t.UserName,
		Account: string(t.ServiceAccount), Workspace: string(t.Workspace), Scopes: t.Scopes.Names(), Models: t.Models, CIDRs: tenure.NetworkNames(t.Networks),
		Family: string(t.Family), CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy, RotatedAt: when(t.RotatedAt), RotatedTo: string(t.RotatedTo), ExpiresAt: when(t.ExpiresAt),
		LastUsedAt: when(t.LastUsedAt), RevokedAt: when(t.RevokedAt), RevokedBy: t.RevokedBy, Reason: t.RevokedReason, Exception: string(t.Exception),
	}
}

func showTokens(page token.Page) *list[Token] {
	out := &list[Token]{}
	out.Body.Items = make([]Token, 0, len(page.Tokens))
	for _, t := range page.Tokens {
		out.Body.Items = append(out.Body.Items, showToken(t))
	}
	out.Body.Next = string(page.Next)
	return out
}

// NewToken is the answer to minting: the one time that the token is shown.
type NewToken struct {
	Token     string     `json:"token" doc:"Shown only this once"`
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Prefix    string     `json:"prefix"`
	Scopes    []string   `json:"scopes"`
	Models    []string   `json:"models"`
	CIDRs     []string   `json:"cidrs"`
	Workspace string     `json:"workspace"`
	Account   string     `json:"service_account,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func showNew(t tenure.Token, secret tenure.Secret) *NewToken {
	return &NewToken{
		Token: secret.Reveal(), ID: string(t.ID), Name: t.Name, Prefix: t.Prefix, Scopes: t.Scopes.Names(), Models: t.Models,
		CIDRs: tenure.NetworkNames(t.Networks), Workspace: string(t.Workspace), Account: string(t.ServiceAccount),
		CreatedAt: t.CreatedAt, ExpiresAt: when(t.ExpiresAt),
	}
}

// Lifetime is a length of time as it was sent: seconds as a number (RFC 6749 §5.1
// expires_in), or text such as "90d" or "12h".
type Lifetime string

// UnmarshalJSON takes either form; read tells whether it is a length of time.
func (l *Lifetime) UnmarshalJSON(b []byte) error {
	*l = Lifetime(b)
	return nil
}

// read gives the length of time. Invalid: it is none.
func (l Lifetime) read() (time.Duration, error) {
	text := string(l)
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		text += "s"
	} else if err := json.Unmarshal([]byte(l), &text); err != nil {
		return 0, tenure.InvalidField("expires_in", "expected seconds, or text such as \"90d\"")
	}
	d, err := tenure.ParseLifetime(text)
	if err != nil {
		return 0, tenure.InvalidField("expires_in", "%v", err)
	}
	return d, nil
}

// Schema implements huma.SchemaProvider.
func (l Lifetime) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		OneOf:       []*huma.Schema{{Type: huma.TypeInteger}, {Type: huma.TypeString}},
		Description: "Seconds, or text such as \"90d\", \"12h\"; \"never\" needs an exception", Examples: []any{7776000, "90d"},
	}
}

// Session is a signed-in browser.
type Session struct {
	ID         string    `json:"id"`
	Current    bool      `json:"current"`
	Via        string    `json:"via"`
	Address    string    `json:"address"`
	UserAgent  string    `json:"user_agent"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

type idIn struct {
	ID string `path:"id" maxLength:"200"`
}

// TokenWish is what a token is asked to be.
type TokenWish struct {
	Name      string    `json:"name" doc:"What it is for" example:"VS Code on my laptop"`
	Scopes    []string  `json:"scopes,omitempty" doc:"What it may do: chat, messages, models, beliefs, and what the policy opens; a service token needs them said"`
	Models    []string  `json:"models,omitempty" doc:"Patterns that narrow what the workspace allows, for example gpt-4o*; left out: all of it" example:"[\"gpt-4o*\"]"`
	CIDRs     []string  `json:"cidrs,omitempty" doc:"Networks from where it is good; left out: from anywhere"`
	ExpiresIn *Lifetime `json:"expires_in,omitempty"`
	Exception string    `json:"exception,omitempty" maxLength:"200" doc:"Id of an exception that is in force: of the rule token_lifetime for a longer life than the policy lets it, of token_never_expires for one without an end"`
}

func (w TokenWish) spec() (token.Spec, error) {
	spec := token.Spec{Name: w.Name, Scopes: w.Scopes, Models: w.Models, Networks: w.CIDRs, Exception: tenure.ExceptionID(w.Exception)}
	if w.ExpiresIn == nil {
		return spec, nil
	}
	if *w.ExpiresIn == `"never"` {
		spec.Never = true
		return spec, nil
	}
	var err error
	if spec.Life, err = w.ExpiresIn.read(); spec.Life == 0 {
		spec.Life = -1 // zero is no lifetime; leaving it out is the default
	}
	return spec, err
}

type mintIn struct {
	Body struct {
		TokenWish
		Workspace string `json:"workspace,omitempty" doc:"Id or name; the default workspace when left out"`
	}
}

func (a *API) mountSelf(m *mounting) {
	operation(m, tenure.ReadSelf, huma.Operation{OperationID: "me", Method: http.MethodGet, Path: "/api/v1/me", Summary: "Who asks", Tags: []string{"Self"}},
		func(ctx context.Context, _ *struct{}) (*body[Me], error) {
			p := web.Principal(ctx)
			s := p.Standing()
			me := Me{ID: string(s.User), UserName: s.UserName, Tenant: string(s.Tenant), Role: string(s.Role), Credential: s.Kind.String(), Mode: "teams"}
			if a.Single {
				me.Mode = "single"
			}
			own, err := a.Directory.OwnWorkspaces(ctx, p, "", 1000)
			me.Workspaces = make([]OwnWorkspace, 0, len(own))
			for _, w := range own {
				me.Workspaces = append(me.Workspaces, OwnWorkspace{string(w.ID), w.Name, string(w.Role)})
			}
			return &body[Me]{me}, err
		})
	operation(m, tenure.ListSession, huma.Operation{OperationID: "list-sessions", Method: http.MethodGet, Path: "/api/v1/sessions", Summary: "My open sessions", Tags: []string{"Self"}}, a.sessions)
	operation(m, tenure.EndSession, huma.Operation{OperationID: "end-session", Method: http.MethodDelete, Path: "/api/v1/sessions/{id}", Summary: "End a session", Tags: []string{"Self"}, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			return nil, a.Directory.EndSession(ctx, web.Principal(ctx), tenure.SessionID(in.ID), "ended by "+web.Principal(ctx).Label())
		})
	operation(m, tenure.EndSession, huma.Operation{OperationID: "end-other-sessions", Method: http.MethodPost, Path: "/api/v1/sessions/end-others", Summary: "End my sessions, except the one that asks", Tags: []string{"Self"}},
		func(ctx context.Context, _ *struct{}) (*body[Ended], error) {
			p := web.Principal(ctx)
			e, err := a.Directory.EndOtherSessions(ctx, p, "ended by "+p.Label())
			return &body[Ended]{ended(e)}, err
		})
	if a.Single {
		return
	}
	operation(m, tenure.ListActivity, huma.Operation{OperationID: "list-activity", Method: http.MethodGet, Path: "/api/v1/activity", Summary: "What I did, and what was done to what is mine, newest first", Tags: []string{"Self"}},
		func(ctx context.Context, in *Paging) (*list[AuditEvent], error) {
			page, err := a.Governance.Activity(ctx, web.Principal(ctx), in.Cursor, in.Limit)
			out := &list[AuditEvent]{}
			out.Body.Items = make([]AuditEvent, 0, len(page.Events))
			for _, e := range page.Events {
				out.Body.Items = append(out.Body.Items, ShowAudit(e))
			}
			out.Body.Next = page.Next
			return out, err
		})
	operation(m, tenure.ListTokens, huma.Operation{OperationID: "list-tokens", Method: http.MethodGet, Path: "/api/v1/tokens", Summary: "My tokens, newest first", Tags: []string{"Self"}},
		func(ctx context.Context, in *Paging) (*list[Token], error) {
			page, err := a.Tokens.Mine(ctx, web.Principal(ctx), tenure.TokenID(in.Cursor), in.Limit)
			return showTokens(page), err
		})
	operation(m, tenure.MintToken, huma.Operation{OperationID: "create-token", Method: http.MethodPost, Path: "/api/v1/tokens", Summary: "Make a personal access token", Tags: []string{"Self"}, DefaultStatus: http.StatusCreated, Metadata: reveals("token")}, a.mint)
	operation(m, tenure.ListTokens, huma.Operation{OperationID: "get-token", Method: http.MethodGet, Path: "/api/v1/tokens/{id}", Summary: "One of my tokens, or one that I may read", Tags: []string{"Self"}},
		func(ctx context.Context, in *idIn) (*body[Token], error) {
			t, err := a.Tokens.Get(ctx, web.Principal(ctx), tenure.TokenID(in.ID))
			return &body[Token]{showToken(t)}, err
		})
	operation(m, tenure.RevokeToken, huma.Operation{OperationID: "revoke-token", Method: http.MethodDelete, Path: "/api/v1/tokens/{id}", Summary: "Revoke one of my tokens, and cut what it carries", Tags: []string{"Self"}, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			_, err := a.Tokens.Revoke(ctx, web.Principal(ctx), tenure.TokenID(in.ID), "revoked by its owner")
			return nil, err
		})
}

func (a *API) sessions(ctx context.Context, _ *struct{}) (*list[Session], error) {
	rows, err := a.Directory.Sessions(ctx, web.Principal(ctx))
	return showSessions(ctx, rows), err
}

func showSessions(ctx context.Context, rows []tenure.Session) *list[Session] {
	p := web.Principal(ctx)
	out := &list[Session]{}
	out.Body.Items = make([]Session, 0, len(rows))
	for _, s := range rows {
		out.Body.Items = append(out.Body.Items, Session{
			ID: string(s.ID), Current: s.ID == p.Session(), Via: s.Via, Address: s.Address,
			UserAgent: s.UserAgent, CreatedAt: s.CreatedAt, LastSeenAt: s.SeenAt, ExpiresAt: s.ExpiresAt,
		})
	}
	return out
}

func (a *API) mint(ctx context.Context, in *mintIn) (*body[NewToken], error) {
	spec, err := in.Body.spec()
	if err != nil {
		return nil, err
	}
	spec.Workspace = in.Body.Workspace
	t, secret, err := a.Tokens.Mint(ctx, web.Principal(ctx), spec)
	if err != nil {
		return nil, err
	}
	return &body[NewToken]{*showNew(t, secret)}, nil
}
