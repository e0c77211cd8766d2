package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/price"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Price is what the tokens of some models cost from a day on: each figure in millionths
// of the currency for a million tokens.
type Price struct {
	ID         string    `json:"id"`
	Everyone   bool      `json:"everyone" doc:"Of every tenant that has no own that fits"`
	Pattern    string    `json:"pattern" doc:"Of the models, as gpt-4o* or anthropic/*"`
	From       string    `json:"from" format:"date" doc:"The first day, UTC"`
	Input      int64     `json:"input" doc:"In millionths of the currency for a million tokens that were neither read from the provider's cache nor put there"`
	CacheRead  int64     `json:"cache_read" doc:"Of tokens read from the cache"`
	CacheWrite int64     `json:"cache_write" doc:"Of tokens put there"`
	Output     int64     `json:"output"`
	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by"`
	Currency   string    `json:"currency" doc:"A code of ISO 4217, the installation's"`
}

// ShowPrice is a price in the form of the API.
func ShowPrice(p tenure.ModelPrice, currency string) Price {
	return Price{
		string(p.ID), p.Tenant == "", p.Pattern, p.From.Format(time.DateOnly), p.Rates.Input, p.Rates.CacheRead, p.Rates.CacheWrite, p.Rates.Output,
		p.CreatedAt, p.CreatedBy, currency,
	}
}

type priceIn struct {
	Body struct {
		Everyone   bool   `json:"everyone,omitempty" doc:"Of every tenant that has no own that fits; in the tenant default only"`
		Pattern    string `json:"pattern" doc:"Of the models, as gpt-4o* or anthropic/*" example:"gpt-4o*"`
		From       string `json:"from,omitempty" format:"date" doc:"The first day, UTC; today if nothing is said"`
		Input      int64  `json:"input" minimum:"0" maximum:"10000000000" doc:"In millionths of the currency for a million tokens"`
		CacheRead  *int64 `json:"cache_read,omitempty" minimum:"0" maximum:"10000000000" doc:"As input if nothing is said"`
		CacheWrite *int64 `json:"cache_write,omitempty" minimum:"0" maximum:"10000000000" doc:"As input if nothing is said"`
		Output     int64  `json:"output" minimum:"0" maximum:"10000000000"`
	}
}

func (in *priceIn) spec() (price.Spec, error) {
	b := in.Body
	from, err := Day("from", b.From)
	r := tenure.Rates{Input: b.Input, CacheRead: b.Input, CacheWrite: b.Input, Output: b.Output}
	if b.CacheRead != nil {
		r.CacheRead = *b.CacheRead
	}
	if b.CacheWrite != nil {
		r.CacheWrite = *b.CacheWrite
	}
	return price.Spec{Everyone: b.Everyone, Pattern: b.Pattern, From: from, Rates: r}, err
}

// Applied is what was reckoned anew.
type Applied struct {
	Rows     int `json:"rows" doc:"Of the use of models, that were reckoned by the prices in force"`
	Unpriced int `json:"unpriced" doc:"Models, each on one day, of which nobody knows the price; they stay as they were"`
}

type applyIn struct {
	Body struct {
		Since string `json:"since" format:"date" doc:"The first day, UTC" example:"2026-01-31"`
	}
}

func (a *API) mountPrices(m *mounting) {
	const path = "/api/v1/admin/prices"
	tags := []string{"Administration: prices"}
	operation(m, tenure.ListPrices, huma.Operation{OperationID: "list-prices", Method: http.MethodGet, Path: path, Summary: "What the tokens of models cost: the tenant's own prices, and those of every tenant", Tags: tags},
		func(ctx context.Context, in *Paging) (*list[Price], error) {
			rows, err := a.Prices.List(ctx, web.Principal(ctx), tenure.PriceID(in.Cursor), in.Limit+1)
			if err != nil {
				return nil, err
			}
			currency, err := a.Prices.Currency(ctx)
			show := func(p tenure.ModelPrice) Price { return ShowPrice(p, currency) }
			return listOf(rows, in.Limit, show, func(p tenure.ModelPrice) string { return string(p.ID) }), err
		})
	operation(m, tenure.SetPrice, huma.Operation{OperationID: "set-price", Method: http.MethodPost, Path: path, Summary: "Set a price, in the place of the one with the same pattern and first day", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *priceIn) (*body[Price], error) {
			spec, err := in.spec()
			if err != nil {
				return nil, err
			}
			rows, err := a.Prices.Set(ctx, web.Principal(ctx), []price.Spec{spec})
			if err != nil {
				return nil, err
			}
			currency, err := a.Prices.Currency(ctx)
			return &body[Price]{ShowPrice(rows[0], currency)}, err
		})
	operation(m, tenure.RemovePrice, huma.Operation{OperationID: "delete-price", Method: http.MethodDelete, Path: path + "/{id}", Summary: "End a price; what was reckoned by it stays", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			return nil, a.Prices.Remove(ctx, web.Principal(ctx), tenure.PriceID(in.ID))
		})
	operation(m, tenure.SetPrice, huma.Operation{OperationID: "apply-prices", Method: http.MethodPost, Path: path + "/apply", Summary: "Reckon anew what was used since a day, by the prices in force", Tags: tags},
		func(ctx context.Context, in *applyIn) (*body[Applied], error) {
			since, err := Day("since", in.Body.Since)
			if err != nil {
				return nil, err
			}
			done, err := a.Prices.Apply(ctx, web.Principal(ctx), since)
			return &body[Applied]{Applied(done)}, err
		})
}
