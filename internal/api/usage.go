package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// ModelUses is what models used, of one of what it is summed up by.
type ModelUses struct {
	ID               string    `json:"id" doc:"Of the workspace, person, service account, token, provider or version of a key; the model; the day"`
	Name             string    `json:"name" doc:"Empty when it is not there any more"`
	Requests         int64     `json:"requests" doc:"That a model answered"`
	InputTokens      int64     `json:"input_tokens" doc:"All that was read, from the provider's cache too"`
	CacheReadTokens  int64     `json:"cache_read_tokens" doc:"Of the input"`
	CacheWriteTokens int64     `json:"cache_write_tokens" doc:"Of the input"`
	OutputTokens     int64     `json:"output_tokens"`
	Spend            *int64    `json:"spend" doc:"In millionths of the currency, of the requests that have a price; null: none has"`
	Unpriced         int64     `json:"unpriced_requests" doc:"Of which nobody knows what they cost; they are not in spend"`
	LastUsedAt       time.Time `json:"last_used_at"`
	Currency         string    `json:"currency" doc:"Of spend: a code of ISO 4217, the installation's"`
}

// ShowModelUses gives sums in the form in which the API and the command line tell them.
func ShowModelUses(rows []tenure.ModelUses, currency string) []ModelUses {
	out := make([]ModelUses, 0, len(rows))
	for _, r := range rows {
		u := ModelUses{r.ID, r.Name, r.Requests, r.Input, r.CacheReads, r.CacheWrites, r.Output, nil, r.Unpriced, r.LastAt.UTC(), currency}
		if r.Unpriced < r.Requests {
			u.Spend = &r.Spend
		}
		out = append(out, u)
	}
	return out
}

type usageIn struct {
	From string `query:"from" format:"date" doc:"The first day, UTC; 30 days before the last if nothing is said"`
	To   string `query:"to" format:"date" doc:"The last day, UTC; today if nothing is said"`
	By   string `query:"by" enum:"day,workspace,user,token,provider,key,model" default:"day" doc:"key, a version of a provider's key, is for administrators and auditors"`
}

func (in *usageIn) days() (from, to time.Time, err error) {
	if from, err = Day("from", in.From); err == nil {
		to, err = Day("to", in.To)
	}
	return from, to, err
}

// Day reads a day, as 2026-01-31; nothing is the zero time. Invalid: it is none.
func Day(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, tenure.InvalidField(field, "expected a day such as 2026-01-31")
	}
	return t, nil
}

func (a *API) mountUsage(m *mounting) {
	sum := func(act func(context.Context, tenure.Principal, time.Time, time.Time, string) ([]tenure.ModelUses, error)) func(context.Context, *usageIn) (*list[ModelUses], error) {
		return func(ctx context.Context, in *usageIn) (*list[ModelUses], error) {
			from, to, err := in.days()
			if err != nil {
				return nil, err
			}
			rows, err := act(ctx, web.Principal(ctx), from, to, in.By)
			if err != nil {
				return nil, err
			}
			currency, err := a.Prices.Currency(ctx)
			out := &list[ModelUses]{}
			out.Body.Items = ShowModelUses(rows, currency)
			return out, err
		}
	}
	operation(m, tenure.ReadUsage, huma.Operation{OperationID: "read-usage", Method: http.MethodGet, Path: "/api/v1/admin/usage", Summary: "What models used, as their providers counted it", Tags: []string{"Administration"}},
		sum(func(ctx context.Context, by tenure.Principal, from, to time.Time, sumBy string) ([]tenure.ModelUses, error) {
			return a.Directory.ModelUses(ctx, by, from, to, sumBy)
		}))
	operation(m, tenure.ReadOwnUsage, huma.Operation{OperationID: "read-own-usage", Method: http.MethodGet, Path: "/api/v1/usage", Summary: "What models used by one's own personal access tokens", Tags: []string{"Self"}},
		sum(func(ctx context.Context, by tenure.Principal, from, to time.Time, sumBy string) ([]tenure.ModelUses, error) {
			return a.Directory.OwnModelUses(ctx, by, from, to, sumBy)
		}))
}
