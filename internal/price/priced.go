package price

import (
	"context"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

// State is whether a price counts today.
type State string

// The states of a price.
const (
	InForce  State = "in_force"
	Later    State = "later"    // its first day is to come
	Replaced State = "replaced" // one of the same pattern has begun since
)

// View is a price, and whether it counts today.
type View struct {
	tenure.ModelPrice
	State State
}

// Views gives prices as List does, each with its state.
func (p *Prices) Views(ctx context.Context, by tenure.Principal, after tenure.PriceID, limit int) ([]View, error) {
	rows, err := p.List(ctx, by, after, limit)
	if err != nil {
		return nil, err
	}
	now := p.DB.Now()
	since, err := p.DB.PricesInForce(tenure.Everywhere(ctx), by.Tenant(), store.Day(now))
	if err != nil {
		return nil, err
	}
	views := make([]View, 0, len(rows))
	for _, row := range rows {
		v := View{row, InForce}
		if row.From.After(now) {
			v.State = Later
		} else if slices.ContainsFunc(since, func(in tenure.ModelPrice) bool {
			return in.Tenant == row.Tenant && in.Pattern == row.Pattern && in.From.After(row.From)
		}) {
			v.State = Replaced
		}
		views = append(views, v)
	}
	return views, nil
}

// Get reads one price for whoever may do an action on it. NotFound: there is none, or it
// is another tenant's.
func (p *Prices) Get(ctx context.Context, by tenure.Principal, a tenure.Action, id tenure.PriceID) (tenure.ModelPrice, error) {
	if err := access.Check(by, a); err != nil {
		return tenure.ModelPrice{}, err
	}
	row, err := p.DB.Price(tenure.Everywhere(ctx), id)
	if err == nil && !own(by, row) {
		err = tenure.ErrNotFound
	}
	return row, err
}

// own reports whether the asker's tenant is the one to change a price: its own, or, for
// the installation's own tenant, one of all.
func own(by tenure.Principal, row tenure.ModelPrice) bool {
	return row.Tenant == by.Tenant() || row.Tenant == "" && by.Tenant() == tenure.DefaultTenant
}

// Changes reports whether the asker's tenant is the one to change a price.
func (v View) Changes(by tenure.Principal) bool { return own(by, v.ModelPrice) }

const (
	// UsedSpan is how far back Used looks.
	UsedSpan = 30 * 24 * time.Hour
	// AllUsed is more models than are used.
	AllUsed = 100_000
)

// Used is what was used of a model in the last 30 days, what was spent on it, and what it
// costs by one list of prices.
type Used struct {
	store.UsedModel
	Pattern string // of the price that fits; "": none does
	Costs   int64  // by it, in millionths
	Touched bool   // by the price that is tried
}

// Used tells what the models that were used in the last 30 days cost by the prices in
// force today, those of which most tokens were asked first, at most so many. With a price
// to be tried: as if it were set, from its first day on.
func (p *Prices) Used(ctx context.Context, by tenure.Principal, try *Spec, limit int) ([]Used, error) {
	for _, a := range []tenure.Action{tenure.ListPrices, tenure.ReadUsage} {
		if err := access.Check(by, a); err != nil {
			return nil, err
		}
	}
	if err := p.Use.Freshen(ctx); err != nil {
		return nil, err
	}
	now := p.DB.Now()
	b, tried, err := p.with(ctx, by, try, now)
	if err != nil {
		return nil, err
	}
	if tried.From.After(now) {
		now = tried.From
	}
	rows, err := p.DB.UsedModels(ctx, by.Tenant(), store.Day(p.DB.Now().Add(-UsedSpan)), limit)
	if err != nil {
		return nil, err
	}
	out := make([]Used, 0, len(rows))
	for _, u := range rows {
		shown := Used{UsedModel: u}
		if row := b.row(by.Tenant(), u.Provider, u.Model, now); row != nil {
			shown.Pattern, shown.Costs, shown.Touched = row.Pattern, row.Rates.Of(u.Use), try != nil && row.ID == tried.ID
		}
		out = append(out, shown)
	}
	return out, nil
}

// with gives the prices as the database has them, with one that is tried in the place of
// the one that it would replace.
func (p *Prices) with(ctx context.Context, by tenure.Principal, try *Spec, now time.Time) (*book, tenure.ModelPrice, error) {
	rows, err := p.DB.EveryPrice(tenure.Everywhere(tenure.WithoutAsker(ctx)))
	if err != nil || try == nil {
		return newBook(rows), tenure.ModelPrice{}, err
	}
	row, err := try.price(by, now)
	if err != nil {
		return nil, row, err
	}
	rows = slices.DeleteFunc(rows, func(old tenure.ModelPrice) bool {
		return old.Tenant == row.Tenant && old.Pattern == row.Pattern && old.From.Equal(row.From)
	})
	return newBook(append(rows, row)), row, nil
}
