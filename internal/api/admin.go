package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// User is a person as an administrator sees them.
type User struct {
	ID            string     `json:"id"`
	UserName      string     `json:"user_name"`
	DisplayName   string     `json:"display_name,omitempty"`
	ExternalID    string     `json:"external_id,omitempty"`
	Active        bool       `json:"active"`
	Role          string     `json:"role"`
	Source        string     `json:"source" enum:"scim,proxy"`
	CreatedAt     time.Time  `json:"created_at"`
	DeactivatedAt *time.Time `json:"deactivated_at"`
	LastSeenAt    *time.Time `json:"last_seen_at"`
	Drift         *UserDrift `json:"drift,omitempty" doc:"With drift=true: how the person's names diverge"`
}

func showUser(u tenure.User) User {
	return User{
		ID: string(u.ID), UserName: u.UserName, DisplayName: u.DisplayName, ExternalID: u.ExternalID, Active: u.Active, Role: string(u.Role),
		Source: string(u.Source), CreatedAt: u.CreatedAt, DeactivatedAt: when(u.DeactivatedAt), LastSeenAt: when(u.LastSeenAt),
	}
}

// UserEnded is a person and what an act has ended of theirs.
type UserEnded struct {
	User  User  `json:"user"`
	Ended Ended `json:"ended"`
}

type usersIn struct {
	Paging
	UserName string `query:"user_name" maxLength:"255" doc:"Only the person of this userName, in any case"`
	Drift    bool   `query:"drift" doc:"Only those whose names diverge between sign-in and SCIM"`
}

func (a *API) mountUsers(m *mounting) {
	tags := []string{"Administration: users"}
	operation(m, tenure.ListUsers, huma.Operation{OperationID: "list-users", Method: http.MethodGet, Path: "/api/v1/admin/users", Summary: "People, in the order of their making", Tags: tags},
		func(ctx context.Context, in *usersIn) (*list[User], error) {
			if in.Drift {
				return a.usersInDrift(ctx, in)
			}
			rows, _, err := a.Directory.Users(ctx, web.Principal(ctx), directory.UserFilter{UserName: in.UserName, After: tenure.UserID(in.Cursor), Limit: in.Limit + 1})
			out := &list[User]{}
			if len(rows) > in.Limit {
				rows = rows[:in.Limit]
				out.Body.Next = string(rows[in.Limit-1].ID)
			}
			out.Body.Items = make([]User, 0, len(rows))
			for _, u := range rows {
				out.Body.Items = append(out.Body.Items, showUser(u))
			}
			return out, err
		})
	operation(m, tenure.ReadUser, huma.Operation{OperationID: "get-user", Method: http.MethodGet, Path: "/api/v1/admin/users/{id}", Summary: "A person", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[User], error) {
			u, err := a.Directory.User(ctx, web.Principal(ctx), tenure.UserID(in.ID))
			return &body[User]{showUser(u)}, err
		})
	operation(m, tenure.DeactivateUser, huma.Operation{OperationID: "deactivate-user", Method: http.MethodPost, Path: "/api/v1/admin/users/{id}/deactivate", Summary: "End a person's access: tokens, sessions, open streams", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[UserEnded], error) {
			u, e, err := a.Directory.Deactivate(ctx, web.Principal(ctx), tenure.UserID(in.ID), "deactivated by an administrator")
			return &body[UserEnded]{UserEnded{showUser(u), ended(e)}}, err
		})
	operation(m, tenure.ReactivateUser, huma.Operation{OperationID: "reactivate-user", Method: http.MethodPost, Path: "/api/v1/admin/users/{id}/reactivate", Summary: "Let a person sign in again; nothing that ended comes back", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[User], error) {
			u, err := a.Directory.Reactivate(ctx, web.Principal(ctx), tenure.UserID(in.ID))
			return &body[User]{showUser(u)}, err
		})
	operation(m, tenure.RevokeAll, huma.Operation{OperationID: "revoke-all-of-user", Method: http.MethodPost, Path: "/api/v1/admin/users/{id}/revoke-all", Summary: "End everything that a person carries; the person stays active", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[UserEnded], error) {
			u, e, err := a.Directory.RevokeAll(ctx, web.Principal(ctx), tenure.UserID(in.ID), "revoked by an administrator")
			return &body[UserEnded]{UserEnded{showUser(u), ended(e)}}, err
		})
	operation(m, tenure.ListSessionsOf, huma.Operation{OperationID: "list-sessions-of-user", Method: http.MethodGet, Path: "/api/v1/admin/users/{id}/sessions", Summary: "A person's open sessions", Tags: tags},
		func(ctx context.Context, in *idIn) (*list[Session], error) {
			rows, err := a.Directory.SessionsOf(ctx, web.Principal(ctx), tenure.UserID(in.ID))
			return showSessions(ctx, rows), err
		})
	operation(m, tenure.EndSessionsOf, huma.Operation{OperationID: "end-sessions-of-user", Method: http.MethodDelete, Path: "/api/v1/admin/users/{id}/sessions", Summary: "End a person's sessions; their tokens go on", Tags: tags, DefaultStatus: http.StatusOK},
		func(ctx context.Context, in *idIn) (*body[Ended], error) {
			e, err := a.Directory.EndSessionsOf(ctx, web.Principal(ctx), tenure.UserID(in.ID), "ended by an administrator")
			return &body[Ended]{ended(e)}, err
		})
}

type tokensIn struct {
	Paging
	User string `query:"user" maxLength:"200" doc:"Only the tokens of the person with this id"`
}

func (a *API) mountTokens(m *mounting) {
	if a.Single {
		return
	}
	tags := []string{"Administration: tokens"}
	operation(m, tenure.ListAllTokens, huma.Operation{OperationID: "list-all-tokens", Method: http.MethodGet, Path: "/api/v1/admin/tokens", Summary: "Tokens of the tenant, newest first", Tags: tags},
		func(ctx context.Context, in *tokensIn) (*list[Token], error) {
			page, err := a.Tokens.All(ctx, web.Principal(ctx), tenure.UserID(in.User), tenure.TokenID(in.Cursor), in.Limit)
			return showTokens(page), err
		})
	operation(m, tenure.RevokeAnyToken, huma.Operation{OperationID: "revoke-any-token", Method: http.MethodDelete, Path: "/api/v1/admin/tokens/{id}", Summary: "Revoke anybody's token, and cut what it carries", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[Ended], error) {
			e, err := a.Tokens.Revoke(ctx, web.Principal(ctx), tenure.TokenID(in.ID), "revoked by an administrator")
			return &body[Ended]{ended(e)}, err
		})
}

// Provider is a model provider as it is shown: never its key.
type Provider struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Kind         string            `json:"kind" enum:"openai,anthropic"`
	BaseURL      string            `json:"base_url"`
	Workspace    string            `json:"workspace"`
	KeyLast4     string            `json:"key_last4,omitempty"`
	KeyReference string            `json:"key_reference,omitempty" doc:"Address of where the key is kept; absent: it is sealed here"`
	Headers      map[string]string `json:"headers,omitempty" doc:"What the provider gets with every request beside its key, by name"`
	Exception    string            `json:"exception,omitempty" doc:"Id of the exception of the rule provider_network that it hangs on"`
	Closed       string            `json:"closed,omitempty" doc:"Why nothing connects to it yet, as far as its base URL says; told when it is added"`
	CreatedAt    time.Time         `json:"created_at"`
	LastUsedAt   *time.Time        `json:"last_used_at" doc:"When a model last answered a request by one of its keys, to the second"`
}

func showProvider(p tenure.Provider) Provider {
	return Provider{string(p.ID), p.Name, string(p.Kind), p.BaseURL, string(p.Workspace), p.Last4, p.Reference, p.HeadersByName(), string(p.Exception), "", p.CreatedAt, when(p.LastUsedAt)}
}

type providerIn struct {
	Body struct {
		Name         string            `json:"name" example:"openai"`
		Kind         string            `json:"kind" enum:"openai,anthropic"`
		BaseURL      string            `json:"base_url,omitempty" doc:"The provider's own when left out"`
		Workspace    string            `json:"workspace,omitempty"`
		Key          string            `json:"key,omitempty" doc:"Sealed at once and never given back" writeOnly:"true"`
		KeyReference string            `json:"key_reference,omitempty" example:"vault://secret/tenure/openai#api_key" doc:"Address of where the key is kept, in its place; the operator allows addresses to tenants"`
		Headers      map[string]string `json:"headers,omitempty" doc:"What the provider gets with every request beside its key: no credential, nothing that says who people are"`
	}
}

type providersIn struct {
	Workspace string `query:"workspace" default:"default" maxLength:"200"`
}

func (a *API) mountProviders(m *mounting) {
	tags := []string{"Administration: providers"}
	operation(m, tenure.ListProviders, huma.Operation{OperationID: "list-providers", Method: http.MethodGet, Path: "/api/v1/admin/providers", Summary: "Model providers of a workspace", Tags: tags},
		func(ctx context.Context, in *providersIn) (*list[Provider], error) {
			rows, err := a.Vault.List(ctx, web.Principal(ctx), in.Workspace)
			out := &list[Provider]{}
			out.Body.Items = make([]Provider, 0, len(rows))
			for _, p := range rows {
				out.Body.Items = append(out.Body.Items, showProvider(p))
			}
			return out, err
		})
	operation(m, tenure.CreateProvider, huma.Operation{OperationID: "create-provider", Method: http.MethodPost, Path: "/api/v1/admin/providers", Summary: "Add a model provider", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *providerIn) (*body[Provider], error) {
			p, err := a.Vault.Add(ctx, web.Principal(ctx), vault.Spec{
				Workspace: in.Body.Workspace, Name: in.Body.Name,
				Kind: tenure.ProviderKind(in.Body.Kind), BaseURL: in.Body.BaseURL, Key: tenure.NewSecret(in.Body.Key), KeyReference: in.Body.KeyReference, Headers: in.Body.Headers,
			})
			out := showProvider(p)
			if err == nil {
				out.Closed = a.Vault.Closed(ctx, p)
			}
			return &body[Provider]{out}, err
		})
	operation(m, tenure.DeleteProvider, huma.Operation{OperationID: "delete-provider", Method: http.MethodDelete, Path: "/api/v1/admin/providers/{id}", Summary: "Remove a model provider and its keys", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			return nil, a.Vault.Remove(ctx, web.Principal(ctx), tenure.ProviderID(in.ID))
		})
	operation(m, tenure.ReadHealth, huma.Operation{OperationID: "health", Method: http.MethodGet, Path: "/api/v1/admin/health", Summary: "What this process knows of itself", Tags: []string{"Administration"}},
		func(context.Context, *struct{}) (*body[Health], error) {
			since, why := a.Vault.Key.Sealed()
			h := Health{Open: a.Live.Open(), FeedLagMS: a.Live.Lag().Milliseconds(), Fresh: a.Live.Fresh() == nil, Waiting: a.Tokens.Uses.Waiting()}
			if why != nil {
				h.Sealed, h.SealedWhy, h.SealedSince = true, why.Error(), &since
			}
			log := a.Ledger.Standing()
			if f := log.Fault; f != nil {
				h.AuditFault = fmt.Sprintf("at place %d %s", f.Place, f.What)
			}
			h.AuditStale = when(log.Stale)
			return &body[Health]{h}, nil
		})
}

// Health is what this process knows of itself.
type Health struct {
	Open      int   `json:"open" doc:"Model requests in flight"`
	FeedLagMS int64 `json:"feed_lag_ms" doc:"Milliseconds since the database last answered"`
	Fresh     bool  `json:"fresh" doc:"Whether credentials can be verified"`
	Waiting   int   `json:"last_use_waiting" doc:"Tokens whose last use is not written yet"`
	// What needs a stored secret answers 503 while it is sealed.
	Sealed      bool       `json:"vault_sealed" doc:"Whether stored secrets cannot be opened, so that model requests answer 503"`
	SealedWhy   string     `json:"vault_sealed_reason,omitempty" doc:"Why, and what to do"`
	SealedSince *time.Time `json:"vault_sealed_since,omitempty" doc:"Since when"`
	AuditFault  string     `json:"audit_fault,omitempty" doc:"What is wrong with the audit log; absent: nothing that is known"`
	AuditStale  *time.Time `json:"audit_not_verified_since,omitempty" doc:"Since when no replica has verified the audit log; absent: within ten minutes"`
}

// NewRoot is a new root token, the one time that it is shown.
type NewRoot struct {
	Token string `json:"token" doc:"Shown only this once"`
	Ended Ended  `json:"ended"`
}

func (a *API) mountRoot(m *mounting) {
	operation(m, tenure.RotateRoot, huma.Operation{OperationID: "rotate-root-token", Method: http.MethodPost, Path: "/api/v1/admin/root-token/rotate", Summary: "Make a new root token; the old one ends at once", Tags: []string{"Administration"}},
		func(ctx context.Context, _ *struct{}) (*body[NewRoot], error) {
			secret, e, err := a.Tokens.RotateRoot(ctx, web.Principal(ctx))
			if err != nil {
				return nil, err
			}
			return &body[NewRoot]{NewRoot{secret.Reveal(), ended(e)}}, nil
		})
}
