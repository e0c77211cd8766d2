// Package price knows what the tokens of models cost: the list of prices, set by hand
// or by a file, and which of them is in force for a model on a day. None is shipped: what
// has no price is told as such, never as free.
//
// It does not count what was used (internal/store does, and asks for the price), nor
// bound what is spent (internal/limits).
package price

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Prices is the act on prices. Make it with New.
type Prices struct {
	DB   *store.DB
	Live *live.Live
	Use  *store.ModelUse

	book atomic.Pointer[book]
	bell chan struct{}
}

// New makes the act, and has use ask it for prices.
func New(db *store.DB, l *live.Live, use *store.ModelUse) *Prices {
	p := &Prices{DB: db, Live: l, Use: use, bell: make(chan struct{}, 1)}
	use.Price = p.find
	return p
}

// book is the list of prices, what goes before what, and what was found in it.
type book struct {
	prices []tenure.ModelPrice
	found  map[asked]answer // of find alone, which is called one at a time
}

type asked struct {
	tenant          tenure.TenantID
	provider, model string
	day             int64
}

type answer struct {
	rates tenure.Rates
	known bool
}

// mostFound is how many answers are remembered.
const mostFound = 10_000

// find gives the price that is in force; it is store.ModelUse.Price.
func (p *Prices) find(tenant tenure.TenantID, provider, model string, day time.Time) (tenure.Rates, bool) {
	b := p.book.Load()
	if b == nil {
		return tenure.Rates{}, false
	}
	q := asked{tenant, provider, model, day.Unix()}
	a, ok := b.found[q]
	if !ok {
		a.rates, a.known = b.find(tenant, provider, model, day)
		if len(b.found) >= mostFound {
			clear(b.found)
		}
		b.found[q] = a
	}
	return a.rates, a.known
}

func (b *book) find(tenant tenure.TenantID, provider, model string, day time.Time) (tenure.Rates, bool) {
	row := b.row(tenant, provider, model, day)
	if row == nil {
		return tenure.Rates{}, false
	}
	return row.Rates, true
}

// row gives the price that is in force, or nil.
func (b *book) row(tenant tenure.TenantID, provider, model string, day time.Time) *tenure.ModelPrice {
	for i := range b.prices {
		row := &b.prices[i]
		if (row.Tenant == tenant || row.Tenant == "") && row.Fits(provider, model, day) {
			return row
		}
	}
	return nil
}

// newBook puts prices in their order.
func newBook(rows []tenure.ModelPrice) *book {
	slices.SortFunc(rows, func(x, y tenure.ModelPrice) int {
		switch {
		case x.Before(y):
			return -1
		case y.Before(x):
			return 1
		}
		return cmp.Compare(x.ID, y.ID)
	})
	return &book{rows, map[asked]answer{}}
}

// Load reads the prices.
func (p *Prices) Load(ctx context.Context) error {
	rows, err := p.DB.EveryPrice(tenure.Everywhere(tenure.WithoutAsker(ctx)))
	if err != nil {
		return fmt.Errorf("prices: %w", err)
	}
	p.book.Store(newBook(rows))
	return nil
}

// Forget takes up a change, if it is one of prices or may be.
func (p *Prices) Forget(c store.Change) {
	switch c.Kind {
	case "price", "":
		select {
		case p.bell <- struct{}{}:
		default:
		}
	}
}

// Run reads prices anew when they change, until ctx ends.
func (p *Prices) Run(ctx context.Context, report func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.bell:
		}
		for p.Load(ctx) != nil && ctx.Err() == nil {
			report(fmt.Errorf("prices cannot be read; those that were known go on"))
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// List gives the prices of the asker's tenant and those of all, in the order of their
// making.
func (p *Prices) List(ctx context.Context, by tenure.Principal, after tenure.PriceID, limit int) ([]tenure.ModelPrice, error) {
	if err := access.Check(by, tenure.ListPrices); err != nil {
		return nil, err
	}
	return p.DB.Prices(tenure.Everywhere(ctx), by.Tenant(), after, limit)
}

// Currency is what all prices and all spend are in, everywhere in the installation: the
// policy of its own tenant says. Whoever sees an amount may know it.
func (p *Prices) Currency(ctx context.Context) (string, error) {
	set, err := p.DB.Policy(tenure.Everywhere(ctx), tenure.DefaultTenant)
	if err != nil {
		return "", fmt.Errorf("currency: %w", err)
	}
	return set.Currency, nil
}

// Spec is a price to be set.
type Spec struct {
	Everyone bool // of every tenant that has no own that fits; only the default tenant sets such
	Pattern  string
	From     time.Time // a day; zero: today
	Rates    tenure.Rates
}

// Set stores prices, all of them or none, each in the place of the one with the same
// pattern and first day, if there is one. Invalid: one of them is none.
func (p *Prices) Set(ctx context.Context, by tenure.Principal, specs []Spec) ([]tenure.ModelPrice, error) {
	if err := access.Check(by, tenure.SetPrice); err != nil {
		return nil, err
	}
	var rows []tenure.ModelPrice
	err := p.DB.Tx(tenure.Everywhere(ctx), func(ctx context.Context, tx *store.Tx) error {
		rows = nil
		for _, spec := range specs {
			row, err := spec.price(by, tx.Now())
			if err != nil {
				return err
			}
			if err := tx.SetPrice(ctx, row); err != nil {
				return err
			}
			if err := tx.Append(ctx, audit.PriceSet(by, row)); err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("set price: %w", err)
	}
	p.changed(ctx, by)
	return rows, nil
}

func (s Spec) price(by tenure.Principal, now time.Time) (tenure.ModelPrice, error) {
	row := tenure.ModelPrice{
		ID: tenure.PriceID(tenure.NewID(now)), Tenant: by.Tenant(), Pattern: s.Pattern, From: s.From, Rates: s.Rates, CreatedBy: by.Label(), CreatedAt: now,
	}
	if s.Everyone {
		if by.Tenant() != tenure.DefaultTenant {
			return row, errOthers
		}
		row.Tenant = ""
	}
	if row.From.IsZero() {
		row.From = now
	}
	row.From = row.From.UTC().Truncate(24 * time.Hour)
	if _, err := tenure.ParseModels([]string{s.Pattern}); err != nil {
		return row, tenure.InvalidField("pattern", "%q is no pattern of models; write for example \"gpt-4o*\" or \"anthropic/*\"", tenure.Shown(s.Pattern))
	}
	for _, rate := range []int64{s.Rates.Input, s.Rates.CacheRead, s.Rates.CacheWrite, s.Rates.Output} {
		if rate < 0 || rate > maxRate {
			return row, tenure.InvalidField("price", "expected 0 to 10000 for a million tokens")
		}
	}
	return row, nil
}

// maxRate is the highest price of a million tokens, in millionths.
const maxRate = 10_000_000_000

var errOthers = &tenure.Error{
	Kind: tenure.Forbidden, Code: "installations_prices", Msg: "prices of every tenant are set by whoever runs the installation, in its own tenant",
}

// Remove ends a price; what was reckoned by it stays.
func (p *Prices) Remove(ctx context.Context, by tenure.Principal, id tenure.PriceID) error {
	if err := access.Check(by, tenure.RemovePrice); err != nil {
		return err
	}
	err := p.DB.Tx(tenure.Everywhere(ctx), func(ctx context.Context, tx *store.Tx) error {
		row, err := tx.Price(ctx, id)
		if err != nil {
			return err
		}
		if !own(by, row) {
			return tenure.ErrNotFound
		}
		if err := tx.DeletePrice(ctx, id); err != nil {
			return err
		}
		return tx.Append(ctx, audit.PriceRemoved(by, row))
	})
	if err != nil {
		return fmt.Errorf("remove price: %w", err)
	}
	p.changed(ctx, by)
	return nil
}

// changed has new prices hold here when the act is answered. Where they cannot be read
// the act is done all the same, and Run tries again.
func (p *Prices) changed(ctx context.Context, by tenure.Principal) {
	p.Live.Changed(ctx, store.Change{Kind: "price", ID: string(by.Tenant())})
	_ = p.Load(ctx)
}

// Applied is what Apply did.
type Applied struct {
	Rows     int // of the use of models, that were reckoned
	Unpriced int // models on days of which nobody knows the price: they stay as they were
}

// Apply reckons anew, by the prices that are in force now, what was used since a day.
func (p *Prices) Apply(ctx context.Context, by tenure.Principal, since time.Time) (Applied, error) {
	var done Applied
	if err := access.Check(by, tenure.SetPrice); err != nil {
		return done, err
	}
	if err := p.Load(ctx); err != nil {
		return done, err
	}
	if err := p.Use.Flush(ctx); err != nil {
		return done, err
	}
	b := p.book.Load()
	used, err := p.DB.UsedSince(ctx, by.Tenant(), store.Day(since))
	if err != nil {
		return done, err
	}
	// A day at a time, each with its event: so whoever writes meanwhile waits for no more
	// than that. What is reckoned twice comes to the same: an attempt that broke off is
	// made again.
	for len(used) > 0 {
		n := slices.IndexFunc(used, func(u store.PricedUse) bool { return u.Day != used[0].Day })
		if n < 0 {
			n = len(used)
		}
		of, err := p.applyDay(ctx, by, b, used[:n])
		if err != nil {
			return done, fmt.Errorf("apply prices from %s on: %w", store.DayTime(used[0].Day).Format(time.DateOnly), err)
		}
		done.Rows, done.Unpriced, used = done.Rows+of.Rows, done.Unpriced+of.Unpriced, used[n:]
	}
	return done, nil
}

// applyDay reckons what was used on one day.
func (p *Prices) applyDay(ctx context.Context, by tenure.Principal, b *book, used []store.PricedUse) (Applied, error) {
	var done Applied
	err := p.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		done = Applied{}
		for _, u := range used {
			rates, known := b.find(by.Tenant(), u.Provider, u.Model, store.DayTime(u.Day))
			if !known {
				done.Unpriced++
				continue
			}
			n, err := tx.Reckon(ctx, by.Tenant(), u, rates)
			if err != nil {
				return err
			}
			done.Rows += n
		}
		return tx.Append(ctx, audit.PricesApplied(by, store.DayTime(used[0].Day), done.Rows, done.Unpriced))
	})
	return done, err
}
