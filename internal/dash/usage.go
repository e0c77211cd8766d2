package dash

import (
	"net/http"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

const usagePath = "/admin/usage"

// A usagePage tells what models used in the last 30 days.
type usagePage struct {
	frame
	Days   chart
	By     []navLink // what it may be summed up by
	What   string    // that it is, for a heading
	Of     string    // and for a column
	Rows   []usageRow
	Whole  usageRow
	Priced bool // some request has a price
}

// A usageRow is what one of them used.
type usageRow struct {
	tenure.ModelUses
	Label string
	Spend string // "" where nobody knows
	At    moment
}

// Figures are its numbers with a comma between thousands.
func (u usageRow) Figures() [4]string {
	return [4]string{tenure.FormatCount(u.Requests), tenure.FormatCount(u.Input), tenure.FormatCount(u.CacheReads), tenure.FormatCount(u.Output)}
}

func (f frame) usageRow(u tenure.ModelUses, currency string) usageRow {
	row := usageRow{ModelUses: u, Label: u.Name, At: f.At(u.LastAt)}
	if row.Label == "" {
		row.Label = u.ID
	}
	if u.Unpriced < u.Requests {
		row.Spend = tenure.FormatAmount(u.Spend, currency)
	}
	return row
}

// usageBy are the sums of the page, and their names.
var usageBy = [...][2]string{
	{tenure.UseByWorkspace, "Workspace"}, {tenure.UseByUser, "Person or service account"}, {tenure.UseByToken, "Token"}, {tenure.UseByProvider, "Provider"}, {tenure.UseByKey, "Key"}, {tenure.UseByModel, "Model"},
}

func (d *Dash) usage(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	page := usagePage{frame: d.frame(r, "Usage")}
	page.Address = usagePath
	asked := r.URL.Query().Get("by")
	chosen := usageBy[0]
	for _, b := range usageBy {
		if b[0] == asked {
			chosen = b
		}
	}
	for _, b := range usageBy {
		link := navLink{Name: b[1], Path: usagePath + "?by=" + b[0]}
		if b == chosen {
			link.Current = "true"
		}
		page.By = append(page.By, link)
	}
	page.What, page.Of = strings.ToLower(chosen[1]), chosen[1]
	days, err := d.Directory.ModelUses(ctx, by, time.Time{}, time.Time{}, tenure.UseByDay)
	if err != nil {
		return err
	}
	rows, err := d.Directory.ModelUses(ctx, by, time.Time{}, time.Time{}, chosen[0])
	if err != nil {
		return err
	}
	currency, err := d.Prices.Currency(ctx)
	if err != nil {
		return err
	}
	page.Days = usageChart(page.Now, days)
	whole := tenure.ModelUses{Name: "Together"}
	for _, u := range rows {
		page.Rows = append(page.Rows, page.usageRow(u, currency))
		whole.Requests, whole.ModelUse = whole.Requests+u.Requests, whole.Plus(u.ModelUse)
		whole.Spend, whole.Unpriced = whole.Spend+u.Spend, whole.Unpriced+u.Unpriced
	}
	page.Whole = page.usageRow(whole, currency)
	page.Priced = whole.Unpriced < whole.Requests
	return d.show(w, http.StatusOK, "usage", page)
}

// usageChart draws the tokens of each of the last 30 days.
func usageChart(now time.Time, rows []tenure.ModelUses) chart {
	const days = int(directory.ModelUseSpan/(24*time.Hour)) + 1
	last := now.UTC().Truncate(24 * time.Hour)
	c := chart{ID: "tokens", Title: "Tokens of models, the last 30 days, by days in UTC", Unit: "tokens", Labels: make([]string, days)}
	input, output := make([]int64, days), make([]int64, days)
	for i := range days {
		c.Labels[i] = last.AddDate(0, 0, i-days+1).Format("2 Jan")
		if i%7 == 3 {
			c.Ticks = append(c.Ticks, i)
		}
	}
	for _, u := range rows {
		at, err := time.Parse(time.DateOnly, u.ID)
		if i := days - 1 - int(last.Sub(at)/(24*time.Hour)); err == nil && i >= 0 && i < days {
			input[i], output[i] = u.Input, u.Output
		}
	}
	c.Series = []series{{"tokens of input", "bar", input}, {"tokens of output", "bar-refused", output}}
	return c
}
