package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Limit is a limit on the use of models.
type Limit struct {
	ID          string      `json:"id"`
	Kind        string      `json:"kind" enum:"user,service_account,token,workspace,tenant" doc:"What it is on"`
	Subject     string      `json:"subject" doc:"Id of what it is on"`
	SubjectName string      `json:"subject_name,omitempty" doc:"Its name today; absent: it is not there any more"`
	Workspace   string      `json:"workspace,omitempty" doc:"Id: what is asked in it alone is counted; absent: everywhere"`
	Requests    int64       `json:"requests_per_minute" doc:"In any 60 seconds; 0: no bound"`
	Tokens      int64       `json:"tokens_per_day" doc:"Input and output of a day (UTC); 0: no bound"`
	Spend       int64       `json:"spend_per_month" doc:"Of a month (UTC), in millionths of the currency; 0: no bound"`
	Used        LimitedUsed `json:"used" doc:"What was used of it, other replicas' last seconds not in it"`
	CreatedAt   time.Time   `json:"created_at"`
	CreatedBy   string      `json:"created_by"`
	UpdatedAt   time.Time   `json:"updated_at"`
	Currency    string      `json:"currency" doc:"Of the spend: a code of ISO 4217, the installation's"`
}

// LimitedUsed is what was used of a limit.
type LimitedUsed struct {
	Requests int64 `json:"requests" doc:"In the last minute, of a limit on requests"`
	Tokens   int64 `json:"tokens" doc:"Today, of a limit on tokens: input and output"`
	Spend    int64 `json:"spend" doc:"In this month, of a limit on spend"`
	Unpriced int64 `json:"unpriced_requests" doc:"In this month, of a limit on spend: requests of which nobody knows what they cost. They are not in spend"`
}

// ShowLimit is a limit in the form of the API.
func ShowLimit(v limits.View, currency string) Limit {
	return Limit{
		string(v.ID), v.Kind, v.Subject, v.Name, string(v.Workspace), v.Bounds.RequestsPerMinute, v.Bounds.TokensPerDay, v.Bounds.SpendPerMonth,
		LimitedUsed{v.Requests, v.Tokens, v.Spend, v.Unpriced},
		v.CreatedAt, v.CreatedBy, v.UpdatedAt, currency,
	}
}

type limitsIn struct {
	Paging
	Workspace string `query:"workspace" maxLength:"200" doc:"Id or name: those that count what is asked in it alone. Whoever heads a workspace lists those, and names it"`
}

type limitIn struct {
	Body struct {
		Kind      string `json:"kind" enum:"user,service_account,token,workspace,tenant" doc:"What it is on"`
		Subject   string `json:"subject,omitempty" doc:"Id; of a person the userName and of a workspace the name will do; of the tenant nothing"`
		Workspace string `json:"workspace,omitempty" doc:"Id or name: what is asked in it alone is counted; left out: everywhere. Whoever heads a workspace names it"`
		Requests  int64  `json:"requests_per_minute,omitempty" minimum:"0" doc:"In any 60 seconds; 0: no bound"`
		Tokens    int64  `json:"tokens_per_day,omitempty" minimum:"0" doc:"Input and output of a day (UTC); 0: no bound"`
		Spend     int64  `json:"spend_per_month,omitempty" minimum:"0" doc:"Of a month (UTC), in millionths of the currency; 0: no bound"`
	}
}

type limitPatch struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Requests *int64 `json:"requests_per_minute,omitempty" minimum:"0" doc:"What is left out stays"`
		Tokens   *int64 `json:"tokens_per_day,omitempty" minimum:"0"`
		Spend    *int64 `json:"spend_per_month,omitempty" minimum:"0"`
	}
}

// oneLimit answers a limit, if an act gave one.
func (a *API) oneLimit(ctx context.Context, v limits.View, err error) (*body[Limit], error) {
	if err != nil {
		return nil, err
	}
	currency, err := a.Prices.Currency(ctx)
	return &body[Limit]{ShowLimit(v, currency)}, err
}

func (a *API) mountLimits(m *mounting) {
	const path = "/api/v1/admin/limits"
	tags := []string{"Administration: limits"}
	operation(m, tenure.ListLimits, huma.Operation{OperationID: "list-limits", Method: http.MethodGet, Path: path, Summary: "Limits on the use of models, and what was used of them", Tags: tags},
		func(ctx context.Context, in *limitsIn) (*list[Limit], error) {
			rows, err := a.Limits.List(ctx, web.Principal(ctx), limits.Filter{Workspace: in.Workspace, After: tenure.LimitID(in.Cursor), Limit: in.Limit + 1})
			if err != nil {
				return nil, err
			}
			currency, err := a.Prices.Currency(ctx)
			show := func(v limits.View) Limit { return ShowLimit(v, currency) }
			return listOf(rows, in.Limit, show, func(v limits.View) string { return string(v.ID) }), err
		})
	operation(m, tenure.SetLimit, huma.Operation{OperationID: "create-limit", Method: http.MethodPost, Path: path, Summary: "Make a limit; there is one for each subject and workspace", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *limitIn) (*body[Limit], error) {
			v, err := a.Limits.Create(ctx, web.Principal(ctx), limits.Spec{
				Kind: in.Body.Kind, Subject: in.Body.Subject, Workspace: in.Body.Workspace,
				Bounds: tenure.UsageBounds{RequestsPerMinute: in.Body.Requests, TokensPerDay: in.Body.Tokens, SpendPerMonth: in.Body.Spend},
			})
			return a.oneLimit(ctx, v, err)
		})
	operation(m, tenure.ListLimits, huma.Operation{OperationID: "get-limit", Method: http.MethodGet, Path: path + "/{id}", Summary: "A limit, and what was used of it", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[Limit], error) {
			v, err := a.Limits.Get(ctx, web.Principal(ctx), tenure.LimitID(in.ID))
			return a.oneLimit(ctx, v, err)
		})
	operation(m, tenure.SetLimit, huma.Operation{OperationID: "update-limit", Method: http.MethodPatch, Path: path + "/{id}", Summary: "Give a limit other bounds", Tags: tags},
		func(ctx context.Context, in *limitPatch) (*body[Limit], error) {
			v, err := a.Limits.Change(ctx, web.Principal(ctx), tenure.LimitID(in.ID), limits.Patch{Requests: in.Body.Requests, Tokens: in.Body.Tokens, Spend: in.Body.Spend})
			return a.oneLimit(ctx, v, err)
		})
	operation(m, tenure.RemoveLimit, huma.Operation{OperationID: "delete-limit", Method: http.MethodDelete, Path: path + "/{id}", Summary: "End a limit", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			return nil, a.Limits.Remove(ctx, web.Principal(ctx), tenure.LimitID(in.ID))
		})
}
