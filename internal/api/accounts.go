package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// ServiceAccount is a service account as those who look after it see it.
type ServiceAccount struct {
	ID          string     `json:"id"`
	Workspace   string     `json:"workspace"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	State       string     `json:"state" enum:"active,orphaned,expired,ended"`
	Owner       string     `json:"owner" doc:"userName of the accountable person"`
	OwnerID     string     `json:"owner_id"`
	OwnerActive bool       `json:"owner_active"`
	Tokens      int        `json:"tokens" doc:"Those that live"`
	ExpiresAt   *time.Time `json:"expires_at" doc:"The end date"`
	OrphanedAt  *time.Time `json:"orphaned_at" doc:"When its owner left; null: it has one"`
	GraceEndsAt *time.Time `json:"grace_ends_at" doc:"When it stops unless somebody takes it over"`
	CreatedAt   time.Time  `json:"created_at"`
	CreatedBy   string     `json:"created_by,omitempty"`
	EndedAt     *time.Time `json:"ended_at"`
	EndedBy     string     `json:"ended_by,omitempty"`
	Reason      string     `json:"ended_reason,omitempty"`
}

func showAccount(a tenure.ServiceAccount) ServiceAccount {
	return ServiceAccount{
		ID: string(a.ID), Workspace: string(a.Workspace), Name: a.Name, Description: a.About, State: a.State(time.Now()),
		Owner: a.OwnerName, OwnerID: string(a.Owner), OwnerActive: a.OwnerActive, Tokens: a.Tokens, ExpiresAt: when(a.ExpiresAt),
		OrphanedAt: when(a.OrphanedAt), GraceEndsAt: when(a.GraceEndsAt), CreatedAt: a.CreatedAt, CreatedBy: a.CreatedBy,
		EndedAt: when(a.EndedAt), EndedBy: a.EndedBy, Reason: a.EndReason,
	}
}

type accountsIn struct {
	Paging
	Workspace string `query:"workspace" maxLength:"200" doc:"Only those of the workspace with this id"`
	Ended     bool   `query:"ended" doc:"Those that have ended too"`
}

type accountIn struct {
	Body struct {
		Workspace   string     `json:"workspace" doc:"Id or name"`
		Name        string     `json:"name" example:"nightly reports"`
		Description string     `json:"description" doc:"What it is for"`
		Owner       string     `json:"owner" doc:"Id or userName of the active person who answers for it"`
		ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"The end date, at most 730 days ahead; a year from now when left out"`
	}
}

type changeAccountIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Description *string    `json:"description,omitempty"`
		Owner       *string    `json:"owner,omitempty" doc:"Id or userName; ends the waiting for an owner"`
		ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	}
}

type endIn struct {
	ID     string `path:"id" maxLength:"200"`
	Reason string `query:"reason" maxLength:"1000" default:"ended by an administrator"`
}

type accountTokensIn struct {
	Paging
	ID string `path:"id" maxLength:"200"`
}

type mintServiceIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		TokenWish
		Reason string `json:"reason,omitempty" doc:"For whoever decides on scopes of administration"`
	}
}

// ServiceTokenAnswer is a new token, or the request that was made in its place.
type ServiceTokenAnswer struct {
	*NewToken
	Request *TokenRequest `json:"request,omitempty" doc:"With 202: what a second person is to decide on"`
}

type serviceTokenOut struct {
	Status int
	Body   ServiceTokenAnswer
}

func minted(m token.Minted) *serviceTokenOut {
	if m.Request != nil {
		q := showRequest(*m.Request)
		return &serviceTokenOut{http.StatusAccepted, ServiceTokenAnswer{Request: &q}}
	}
	return &serviceTokenOut{http.StatusCreated, ServiceTokenAnswer{NewToken: showNew(m.Token, m.Secret)}}
}

func (a *API) mountAccounts(m *mounting) {
	if a.Single {
		return
	}
	const path = "/api/v1/admin/service-accounts"
	tags := []string{"Service accounts"}
	operation(m, tenure.ListAccounts, huma.Operation{OperationID: "list-service-accounts", Method: http.MethodGet, Path: path, Summary: "Service accounts, in the order of their making", Tags: tags}, a.accounts)
	operation(m, tenure.CreateAccount, huma.Operation{OperationID: "create-service-account", Method: http.MethodPost, Path: path, Summary: "Make a service account", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *accountIn) (*body[ServiceAccount], error) {
			spec := directory.AccountSpec{Workspace: in.Body.Workspace, Name: in.Body.Name, About: in.Body.Description, Owner: in.Body.Owner}
			if in.Body.ExpiresAt != nil {
				spec.ExpiresAt = *in.Body.ExpiresAt
			}
			acc, err := a.Directory.CreateAccount(ctx, web.Principal(ctx), spec)
			return &body[ServiceAccount]{showAccount(acc)}, err
		})
	operation(m, tenure.ReadAccount, huma.Operation{OperationID: "get-service-account", Method: http.MethodGet, Path: path + "/{id}", Summary: "A service account", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[ServiceAccount], error) {
			acc, err := a.Directory.Account(ctx, web.Principal(ctx), tenure.ServiceAccountID(in.ID))
			return &body[ServiceAccount]{showAccount(acc)}, err
		})
	operation(m, tenure.UpdateAccount, huma.Operation{OperationID: "update-service-account", Method: http.MethodPatch, Path: path + "/{id}", Summary: "Change a service account: owner, description, end date", Tags: tags},
		func(ctx context.Context, in *changeAccountIn) (*body[ServiceAccount], error) {
			acc, err := a.Directory.UpdateAccount(ctx, web.Principal(ctx), tenure.ServiceAccountID(in.ID),
				directory.AccountChange{Owner: in.Body.Owner, About: in.Body.Description, ExpiresAt: in.Body.ExpiresAt})
			return &body[ServiceAccount]{showAccount(acc)}, err
		})
	operation(m, tenure.DeleteAccount, huma.Operation{OperationID: "end-service-account", Method: http.MethodDelete, Path: path + "/{id}", Summary: "End a service account and its tokens, and cut what they carry", Tags: tags},
		func(ctx context.Context, in *endIn) (*body[Ended], error) {
			e, err := a.Directory.EndAccount(ctx, web.Principal(ctx), tenure.ServiceAccountID(in.ID), in.Reason)
			return &body[Ended]{ended(e)}, err
		})
	operation(m, tenure.ReadAccount, huma.Operation{OperationID: "list-service-tokens", Method: http.MethodGet, Path: path + "/{id}/tokens", Summary: "Tokens of a service account, newest first", Tags: tags},
		func(ctx context.Context, in *accountTokensIn) (*list[Token], error) {
			page, err := a.Tokens.OfAccount(ctx, web.Principal(ctx), tenure.ServiceAccountID(in.ID), tenure.TokenID(in.Cursor), in.Limit)
			return showTokens(page), err
		})
	operation(m, tenure.MintServiceToken, huma.Operation{OperationID: "create-service-token", Method: http.MethodPost, Path: path + "/{id}/tokens", Summary: "Make a token of a service account, or ask for one with scopes of administration (202)", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals("token")},
		func(ctx context.Context, in *mintServiceIn) (*serviceTokenOut, error) {
			spec, err := in.Body.spec()
			if err != nil {
				return nil, err
			}
			spec.Reason = in.Body.Reason
			made, err := a.Tokens.MintService(ctx, web.Principal(ctx), tenure.ServiceAccountID(in.ID), spec)
			if err != nil {
				return nil, err
			}
			return minted(made), nil
		})
}

func (a *API) accounts(ctx context.Context, in *accountsIn) (*list[ServiceAccount], error) {
	rows, err := a.Directory.Accounts(ctx, web.Principal(ctx), directory.AccountFilter{
		Workspace: tenure.WorkspaceID(in.Workspace), Ended: in.Ended, After: tenure.ServiceAccountID(in.Cursor), Limit: in.Limit + 1,
	})
	out := &list[ServiceAccount]{}
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		out.Body.Next = string(rows[in.Limit-1].ID)
	}
	out.Body.Items = make([]ServiceAccount, 0, len(rows))
	for _, acc := range rows {
		out.Body.Items = append(out.Body.Items, showAccount(acc))
	}
	return out, err
}
