package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// TokenRequest is a request for a token with scopes of administration.
type TokenRequest struct {
	ID          string     `json:"id"`
	State       string     `json:"state" enum:"pending,approved,rejected,withdrawn,collected,lapsed"`
	Workspace   string     `json:"workspace"`
	Account     string     `json:"service_account" doc:"Id of the service account"`
	AccountName string     `json:"service_account_name"`
	Name        string     `json:"name"`
	Scopes      []string   `json:"scopes"`
	Models      []string   `json:"models"`
	CIDRs       []string   `json:"cidrs"`
	ExpiresIn   int64      `json:"expires_in" doc:"Seconds that the token lives from its collection"`
	Reason      string     `json:"reason,omitempty"`
	RequestedBy string     `json:"requested_by"`
	RequestedAt time.Time  `json:"requested_at"`
	DecidedBy   string     `json:"decided_by,omitempty"`
	DecidedAt   *time.Time `json:"decided_at"`
	Decision    string     `json:"decision,omitempty" doc:"Why it was decided so"`
	Token       string     `json:"token_id,omitempty" doc:"Once it is collected"`
}

func showRequest(q tenure.TokenRequest) TokenRequest {
	return TokenRequest{
		ID: string(q.ID), State: q.State(time.Now()), Workspace: string(q.Workspace), Account: string(q.Account), AccountName: q.AccountName,
		Name: q.Name, Scopes: q.Scopes.Names(), Models: q.Models, CIDRs: tenure.NetworkNames(q.Networks), ExpiresIn: int64(q.Life.Seconds()),
		Reason: q.Reason, RequestedBy: q.RequestedBy, RequestedAt: q.RequestedAt, DecidedBy: q.DecidedBy, DecidedAt: when(q.DecidedAt),
		Decision: q.Decision, Token: string(q.Token),
	}
}

type decideIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body *struct {
		Reason string `json:"reason,omitempty" doc:"A rejection needs one"`
	}
}

func (a *API) mountRequests(m *mounting) {
	if a.Single {
		return
	}
	const path, admin = "/api/v1/token-requests", "/api/v1/admin/token-requests"
	tags := []string{"Service accounts"}
	operation(m, tenure.ListRequests, huma.Operation{OperationID: "list-token-requests", Method: http.MethodGet, Path: path, Summary: "Requests for tokens, newest first: my own, or all for those who may list all tokens", Tags: tags},
		func(ctx context.Context, in *Paging) (*list[TokenRequest], error) {
			page, err := a.Tokens.Requests(ctx, web.Principal(ctx), tenure.RequestID(in.Cursor), in.Limit)
			out := &list[TokenRequest]{}
			out.Body.Items = make([]TokenRequest, 0, len(page.Requests))
			for _, q := range page.Requests {
				out.Body.Items = append(out.Body.Items, showRequest(q))
			}
			out.Body.Next = string(page.Next)
			return out, err
		})
	operation(m, tenure.CollectRequest, huma.Operation{OperationID: "collect-token-request", Method: http.MethodPost, Path: path + "/{id}/collect", Summary: "Make the token of my approved request; it is shown once", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals("token")},
		func(ctx context.Context, in *idIn) (*body[NewToken], error) {
			made, err := a.Tokens.Collect(ctx, web.Principal(ctx), tenure.RequestID(in.ID))
			if err != nil {
				return nil, err
			}
			return &body[NewToken]{*showNew(made.Token, made.Secret)}, nil
		})
	operation(m, tenure.WithdrawRequest, huma.Operation{OperationID: "withdraw-token-request", Method: http.MethodPost, Path: path + "/{id}/withdraw", Summary: "Withdraw my request", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[TokenRequest], error) {
			q, err := a.Tokens.Withdraw(ctx, web.Principal(ctx), tenure.RequestID(in.ID))
			return &body[TokenRequest]{showRequest(q)}, err
		})
	decide := func(verb, summary string, approve bool) {
		operation(m, tenure.DecideRequest, huma.Operation{OperationID: verb + "-token-request", Method: http.MethodPost, Path: admin + "/{id}/" + verb, Summary: summary, Tags: tags},
			func(ctx context.Context, in *decideIn) (*body[TokenRequest], error) {
				why := ""
				if in.Body != nil {
					why = in.Body.Reason
				}
				q, err := a.Tokens.Decide(ctx, web.Principal(ctx), tenure.RequestID(in.ID), approve, why)
				return &body[TokenRequest]{showRequest(q)}, err
			})
	}
	decide("approve", "Approve somebody else's request for a token", true)
	decide("reject", "Reject somebody else's request for a token", false)
}
