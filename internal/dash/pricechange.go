package dash

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/price"
	"github.com/tenure-gateway/tenure/internal/web"
)

// aPrice reads the price that the address names, for whoever may do an action on it.
func (d *Dash) aPrice(r *http.Request, a tenure.Action) (tenure.ModelPrice, error) {
	return d.Prices.Get(r.Context(), web.Principal(r.Context()), a, tenure.PriceID(r.PathValue("id")))
}

func (d *Dash) editPriceForm(r *http.Request) (*formPage, tenure.ModelPrice, error) {
	row, err := d.aPrice(r, tenure.SetPrice)
	if err != nil {
		return nil, row, err
	}
	currency, err := d.Prices.Currency(r.Context())
	if err != nil {
		return nil, row, err
	}
	path := pricesPath + "/" + string(row.ID)
	page := &formPage{
		frame: d.frame(r, "Change a price"), Heading: fmt.Sprintf("Change the price of “%s” from %s on", row.Pattern, row.From.Format(time.DateOnly)),
		Action: path, Button: "Change price", Try: "Preview", Back: pricesPath,
		Lead:   []string{"What was used already keeps the price that it had, until it is reckoned anew. For a price that changes on a day, set another one from that day on."},
		Fields: rateFields(ratesOf(row.Rates), currency),
	}
	page.Address = path + "/edit"
	return page, row, nil
}

func (d *Dash) editPrice(w http.ResponseWriter, r *http.Request) error {
	page, _, err := d.editPriceForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) changePrice(w http.ResponseWriter, r *http.Request) error {
	page, row, err := d.editPriceForm(r)
	if err != nil {
		return err
	}
	spec := price.Spec{Pattern: row.Pattern, From: row.From, Everyone: row.Tenant == ""}
	spec.Rates, err = sentRates(r)
	return d.takePrice(w, r, page, spec, err)
}

func (d *Dash) askRemovePrice(w http.ResponseWriter, r *http.Request) error {
	row, err := d.aPrice(r, tenure.RemovePrice)
	if err != nil {
		return err
	}
	currency, err := d.Prices.Currency(r.Context())
	if err != nil {
		return err
	}
	page := confirmPage{
		frame: d.frame(r, "Remove a price"), Heading: fmt.Sprintf("Remove the price of “%s” from %s on?", row.Pattern, row.From.Format(time.DateOnly)),
		Button: "Remove price", Back: pricesPath, Action: pricesPath + "/" + string(row.ID) + "/remove",
		Ends: []string{"What models use from now on has another price that fits, or none. What was reckoned by it stays."},
	}
	for i, name := range []string{"Input", "From cache", "To cache", "Output"} {
		page.Facts = append(page.Facts, fact{Name: name, Text: ratesOf(row.Rates)[i] + " " + currency})
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) removePrice(w http.ResponseWriter, r *http.Request) error {
	row, err := d.aPrice(r, tenure.RemovePrice)
	if err != nil {
		return err
	}
	if err := d.Prices.Remove(r.Context(), web.Principal(r.Context()), row.ID); err != nil {
		return err
	}
	return d.showPrices(w, r, fmt.Sprintf("The price of “%s” is removed.", row.Pattern))
}

func (d *Dash) applyForm(r *http.Request) *formPage {
	page := &formPage{
		frame: d.frame(r, "Reckon anew"), Heading: "Reckon anew", Action: pricesPath + "/apply", Button: "Reckon anew", Back: pricesPath,
		Lead: []string{"What models used since a day gets the price that is in force on each day now. What has no price stays as it was."},
	}
	page.Address = page.Action
	now := page.Now.UTC()
	page.Fields = []field{{
		Kind: dateField, Name: "since", Label: "Since", Value: time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), Needed: true, Hint: "A day in UTC.",
	}}
	return page
}

func (d *Dash) askApply(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.applyForm(r))
}

func (d *Dash) applyPrices(w http.ResponseWriter, r *http.Request) error {
	since, err := sentDay(r, "since", true)
	var done price.Applied
	if err == nil {
		done, err = d.Prices.Apply(r.Context(), web.Principal(r.Context()), since)
	}
	if err != nil {
		return d.askAgain(w, r, d.applyForm(r), err)
	}
	notice := fmt.Sprintf("Reckoned anew since %s.", since.Format(time.DateOnly))
	if done.Unpriced > 0 {
		notice += fmt.Sprintf(" %s of a model on a day without a price.", plural(done.Unpriced, "use"))
	}
	return d.showPrices(w, r, notice)
}
