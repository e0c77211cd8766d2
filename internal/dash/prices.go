package dash

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/price"
	"github.com/tenure-gateway/tenure/internal/web"
)

const pricesPath = "/admin/prices"

// mostUsed is how many of the models that were used the page lists.
const mostUsed = 50

// A pricesPage tells what the tokens of models cost: which prices there are, and what
// those in force today come to.
type pricesPage struct {
	frame
	listing
	Notice   string
	Currency string
	Used     []usedRow
	Rows     []priceRow
	May      bool // set one
	Names    bool // name another currency
}

// A usedRow is a model that was used lately.
type usedRow struct {
	Model    string // with its provider
	Requests string
	Tokens   string
	Spend    string // "" where nobody knows
	Unpriced int64  // of the requests, those that are not in it
	Pattern  string // of the price in force, "" for none
	Costs    string // by that price
}

// A priceRow is a price as the list shows it.
type priceRow struct {
	price.View
	Rates [4]string // input, from the cache, to the cache, output
	May   bool      // change it
}

// Day is its first day.
func (p priceRow) Day() string { return p.From.Format(time.DateOnly) }

func ratesOf(r tenure.Rates) [4]string {
	return [4]string{tenure.FormatMoney(r.Input), tenure.FormatMoney(r.CacheRead), tenure.FormatMoney(r.CacheWrite), tenure.FormatMoney(r.Output)}
}

func (d *Dash) priceRoutes() []web.Route {
	one := pricesPath + "/{id}"
	return []web.Route{
		d.look("GET "+pricesPath, tenure.ListPrices, d.prices),
		d.look("GET "+pricesPath+"/new", tenure.SetPrice, d.newPrice),
		d.do("POST "+pricesPath, tenure.SetPrice, d.setPrice),
		d.look("GET "+pricesPath+"/apply", tenure.SetPrice, d.askApply),
		d.do("POST "+pricesPath+"/apply", tenure.SetPrice, d.applyPrices),
		d.look("GET "+one+"/edit", tenure.SetPrice, d.editPrice),
		d.do("POST "+one, tenure.SetPrice, d.changePrice),
		d.look("GET "+one+"/remove", tenure.RemovePrice, d.askRemovePrice),
		d.do("POST "+one+"/remove", tenure.RemovePrice, d.removePrice),
	}
}

func (d *Dash) prices(w http.ResponseWriter, r *http.Request) error { return d.showPrices(w, r, "") }

func (d *Dash) showPrices(w http.ResponseWriter, r *http.Request, notice string) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	page := pricesPage{frame: d.frame(r, "Prices"), listing: d.listing(r, pricesPath), Notice: notice, May: may(by, tenure.SetPrice)}
	page.Address = pricesPath
	page.Names = !d.Single && by.Tenant() == tenure.DefaultTenant && may(by, tenure.SetPolicy)
	var err error
	if page.Currency, err = d.Prices.Currency(ctx); err != nil {
		return err
	}
	views, err := d.Prices.Views(ctx, by, tenure.PriceID(r.URL.Query().Get("cursor")), perPage+1)
	if err != nil {
		return err
	}
	for _, v := range cut(&page.listing, views, func(v price.View) string { return string(v.ID) }) {
		page.Rows = append(page.Rows, priceRow{v, ratesOf(v.Rates), page.May && v.Changes(by)})
	}
	used, err := d.Prices.Used(ctx, by, nil, mostUsed)
	if err != nil {
		return err
	}
	for _, u := range used {
		row := usedRow{Model: u.Provider + "/" + u.Model, Requests: tenure.FormatCount(u.Requests), Tokens: tenure.FormatCount(u.Use.Input + u.Use.Output), Pattern: u.Pattern, Unpriced: u.Unpriced}
		if u.Unpriced < u.Requests {
			row.Spend = tenure.FormatAmount(u.Spend, page.Currency)
		}
		if u.Pattern != "" {
			row.Costs = tenure.FormatAmount(u.Costs, page.Currency)
		}
		page.Used = append(page.Used, row)
	}
	return d.show(w, http.StatusOK, "prices", page)
}

// rateFields ask for what tokens cost.
func rateFields(values [4]string, currency string) []field {
	return []field{
		{Kind: textField, Name: "input", Label: "Input", Value: values[0], Needed: true, Code: true, Example: "2.50", Hint: "In " + currency + " for a million tokens."},
		{Kind: textField, Name: "cache_read", Label: "Read from the provider’s cache", Value: values[1], Code: true, Example: "1.25", Hint: "Empty: as input."},
		{Kind: textField, Name: "cache_write", Label: "Put into the provider’s cache", Value: values[2], Code: true, Hint: "Empty: as input."},
		{Kind: textField, Name: "output", Label: "Output", Value: values[3], Needed: true, Code: true, Example: "10"},
	}
}

// sentRates reads what rateFields asked for.
func sentRates(r *http.Request) (tenure.Rates, error) {
	var rates tenure.Rates
	for _, f := range []struct {
		name string
		to   *int64
	}{{"input", &rates.Input}, {"cache_read", &rates.CacheRead}, {"cache_write", &rates.CacheWrite}, {"output", &rates.Output}} {
		text := sent(r, f.name)
		if text == "" && strings.HasPrefix(f.name, "cache") {
			*f.to = rates.Input
			continue
		}
		n, err := tenure.ParseMoney(text)
		if err != nil {
			return rates, tenure.InvalidField(f.name, "%v", err)
		}
		*f.to = n
	}
	return rates, nil
}

// sentDay reads a day; where none is needed, nothing is the zero time.
func sentDay(r *http.Request, name string, needed bool) (time.Time, error) {
	text := sent(r, name)
	if text == "" && !needed {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return day, tenure.InvalidField(name, noDay)
	}
	return day, nil
}

func (d *Dash) priceForm(r *http.Request) (*formPage, error) {
	currency, err := d.Prices.Currency(r.Context())
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Set a price"), Heading: "Set a price", Action: pricesPath, Button: "Set price", Try: "Preview", Back: pricesPath,
		Lead: []string{"Where several fit, the longer pattern goes before the shorter, and of one pattern the latest that has begun. What was used already keeps the price that it had."},
	}
	page.Address = pricesPath + "/new"
	page.Fields = append([]field{
		{Kind: textField, Name: "pattern", Label: "Models", Needed: true, Code: true, Example: "gpt-4o*", Hint: "A name, or the beginning of names and a star; with the provider’s before it: anthropic/*."},
		{Kind: dateField, Name: "from", Label: "First day", Hint: "In UTC; empty: today."},
	}, rateFields([4]string{}, currency)...)
	if !d.Single && web.Principal(r.Context()).Tenant() == tenure.DefaultTenant {
		page.Fields = append(page.Fields, field{Kind: oneField, Name: "everyone", Label: "Of", Options: []option{
			{Value: "", Label: "this tenant", On: true}, {Value: "yes", Label: "every tenant that has no own price that fits"},
		}})
	}
	return page, nil
}

func (d *Dash) newPrice(w http.ResponseWriter, r *http.Request) error {
	page, err := d.priceForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setPrice(w http.ResponseWriter, r *http.Request) error {
	page, err := d.priceForm(r)
	if err != nil {
		return err
	}
	spec := price.Spec{Pattern: sent(r, "pattern"), Everyone: sent(r, "everyone") != ""}
	if spec.Rates, err = sentRates(r); err == nil {
		spec.From, err = sentDay(r, "from", false)
	}
	return d.takePrice(w, r, page, spec, err)
}

// takePrice sets a price that a form asked for, or shows what would come of it.
func (d *Dash) takePrice(w http.ResponseWriter, r *http.Request, page *formPage, spec price.Spec, err error) error {
	if err == nil && sent(r, "try") != "" {
		if page.Facts, err = d.previewPrice(r, spec); err == nil {
			page.typed(r)
			return d.ask(w, page)
		}
	}
	var rows []tenure.ModelPrice
	if err == nil {
		rows, err = d.Prices.Set(r.Context(), web.Principal(r.Context()), []price.Spec{spec})
	}
	if err != nil {
		return d.askAgain(w, r, page, err)
	}
	return d.showPrices(w, r, fmt.Sprintf("The price of “%s” counts from %s on.", rows[0].Pattern, rows[0].From.Format(time.DateOnly)))
}

// previewPrice tells what the use of the last 30 days would cost by a price.
func (d *Dash) previewPrice(r *http.Request, spec price.Spec) ([]fact, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	currency, err := d.Prices.Currency(ctx)
	if err != nil {
		return nil, err
	}
	now, err := d.Prices.Used(ctx, by, nil, price.AllUsed)
	if err != nil {
		return nil, err
	}
	then, err := d.Prices.Used(ctx, by, &spec, price.AllUsed)
	if err != nil {
		return nil, err
	}
	was := map[string]price.Used{}
	for _, u := range now {
		was[u.Provider+"/"+u.Model] = u
	}
	var models []string
	var before, after int64
	without := 0
	for _, u := range then {
		if !u.Touched {
			continue
		}
		name := u.Provider + "/" + u.Model
		models = append(models, name)
		after += u.Costs
		if before += was[name].Costs; was[name].Pattern == "" {
			without++
		}
	}
	if len(models) == 0 {
		return []fact{{Name: "Counts for", Text: "nothing that was used in the last 30 days"}}, nil
	}
	today := tenure.FormatAmount(before, currency)
	if without > 0 {
		today += fmt.Sprintf(", and nothing for %s without a price", plural(without, "model"))
	}
	return []fact{
		{Name: "Counts for", Text: shortened(models, 5)},
		{Name: "Their 30 days", Text: tenure.FormatAmount(after, currency) + " by this price"},
		{Name: "Today’s prices", Text: today},
	}, nil
}

// shortened lists the first names, and how many more there are.
func shortened(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
