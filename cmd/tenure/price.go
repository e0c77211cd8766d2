package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/price"
)

type priceCmd struct {
	List   priceList   `cmd:"" help:"List what the tokens of models cost."`
	Set    priceSet    `cmd:"" help:"Set what the tokens of some models cost."`
	Remove priceRemove `cmd:"" help:"End a price."`
	Import priceImport `cmd:"" help:"Set the prices of a CSV file, all of them or none."`
	Export priceExport `cmd:"" help:"Print the prices as CSV."`
	Apply  priceApply  `cmd:"" help:"Reckon anew what was used since a day, by the prices in force."`
}

// mostPrices is how many prices are listed.
const mostPrices = 100_000

type priceList struct {
	local
}

// Help implements kong.HelpProvider.
func (priceList) Help() string {
	return "Example:\n\n  tenure price list\n\nFigures are for a million tokens, in the installation's currency: \"tenure policy set currency=EUR\" names another, and converts nothing."
}

// Run implements the verb.
func (c *priceList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Prices.List(e.ctx, by, "", mostPrices)
		if err != nil {
			return err
		}
		currency, err := a.Prices.Currency(e.ctx)
		if err != nil {
			return err
		}
		views := make([]api.Price, 0, len(rows))
		for _, p := range rows {
			views = append(views, api.ShowPrice(p, currency))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tMODELS\tFROM\tINPUT\tFROM CACHE\tTO CACHE\tOUTPUT\tOF\tCURRENCY")
			for _, p := range rows {
				of := "this tenant"
				if p.Tenant == "" {
					of = "every tenant"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.Pattern, p.From.Format(time.DateOnly), tenure.FormatMoney(p.Rates.Input),
					tenure.FormatMoney(p.Rates.CacheRead), tenure.FormatMoney(p.Rates.CacheWrite), tenure.FormatMoney(p.Rates.Output), of, currency)
			}
		})
	})
}

type priceSet struct {
	local
	Pattern    string `arg:"" help:"The models, for example gpt-4o* or anthropic/*."`
	Input      string `required:"" placeholder:"N" help:"For a million tokens of input, for example 2.50."`
	CacheRead  string `placeholder:"N" help:"For those read from the provider's cache (default: as input)."`
	CacheWrite string `placeholder:"N" help:"For those put there (default: as input)."`
	Output     string `required:"" placeholder:"N" help:"For a million tokens of output."`
	From       string `placeholder:"DAY" help:"The first day, UTC (default: today)."`
	Everyone   bool   `help:"Of every tenant that has no own price that fits."`
}

// Help implements kong.HelpProvider.
func (priceSet) Help() string {
	return "Example, the figures of which are made up:\n\n  tenure price set 'gpt-4o*' --input 2.50 --cache-read 1.25 --output 10\n\n" +
		"A price with the same pattern and first day is replaced. What was used before is reckoned anew by \"tenure price apply\"."
}

// Run implements the verb.
func (c *priceSet) Run(e *env) error {
	spec, err := priceSpec([]string{c.Pattern, c.From, c.Input, c.CacheRead, c.CacheWrite, c.Output})
	if err != nil {
		return err
	}
	spec.Everyone = c.Everyone
	return c.set(e, []price.Spec{spec})
}

// set sets prices and shows how many.
func (l local) set(e *env, specs []price.Spec) error {
	return l.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Prices.Set(e.ctx, by, specs)
		if err != nil {
			return err
		}
		currency, err := a.Prices.Currency(e.ctx)
		if err != nil {
			return err
		}
		views := make([]api.Price, 0, len(rows))
		for _, p := range rows {
			views = append(views, api.ShowPrice(p, currency))
		}
		return l.print(e, views, func(w io.Writer) {
			for _, p := range views {
				fmt.Fprintf(w, "set %s for %s from %s\n", p.ID, p.Pattern, p.From)
			}
		})
	})
}

// priceColumns are those of a CSV file.
var priceColumns = []string{"pattern", "from", "input", "cache_read", "cache_write", "output"}

// priceSpec reads a price, in the order of the columns.
func priceSpec(fields []string) (price.Spec, error) {
	spec := price.Spec{Pattern: fields[0]}
	from, err := api.Day("from", fields[1])
	if err != nil {
		return spec, err
	}
	spec.From = from
	rates := [...]*int64{&spec.Rates.Input, &spec.Rates.CacheRead, &spec.Rates.CacheWrite, &spec.Rates.Output}
	for i, name := range []string{"input", "cache_read", "cache_write", "output"} {
		text := fields[len(fields)-len(rates)+i]
		if text == "" && strings.HasPrefix(name, "cache") {
			*rates[i] = spec.Rates.Input
			continue
		}
		if *rates[i], err = tenure.ParseMoney(text); err != nil {
			return spec, tenure.InvalidField(name, "%s: %v", name, err)
		}
	}
	return spec, nil
}

type priceRemove struct {
	local
	ID string `arg:"" help:"Id of the price, as listed."`
}

// Help implements kong.HelpProvider.
func (priceRemove) Help() string {
	return "Example:\n\n  tenure price remove 01900000-0000-7000-8000-000000000000\n\nWhat was reckoned by it stays. Exit status 3: there is no such price."
}

// Run implements the verb.
func (c *priceRemove) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		if err := a.Prices.Remove(e.ctx, by, tenure.PriceID(c.ID)); err != nil {
			return err
		}
		return c.print(e, map[string]any{"id": c.ID}, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", c.ID) })
	})
}

type priceImport struct {
	local
	File     string `arg:"" help:"CSV with the columns that \"tenure price export\" prints."`
	Everyone bool   `help:"Of every tenant that has no own price that fits."`
}

// Help implements kong.HelpProvider.
func (priceImport) Help() string {
	return "Example:\n\n  tenure price import prices.csv\n\nThe first line is pattern,from,input,cache_read,cache_write,output. An empty day is today; an empty price of the cache is that of input."
}

// Run implements the verb.
func (c *priceImport) Run(e *env) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	specs, err := readPrices(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for i := range specs {
		specs[i].Everyone = c.Everyone
	}
	return c.set(e, specs)
}

func readPrices(in io.Reader) ([]price.Spec, error) {
	r := csv.NewReader(in)
	r.Comment, r.FieldsPerRecord = '#', len(priceColumns)
	lines, err := r.ReadAll()
	if err != nil || len(lines) == 0 || !slices.Equal(lines[0], priceColumns) {
		return nil, tenure.InvalidField("file", "expected CSV that begins with the line pattern,from,input,cache_read,cache_write,output (%v)", err)
	}
	var specs []price.Spec
	for i, line := range lines[1:] {
		spec, err := priceSpec(line)
		if err != nil {
			return nil, tenure.InvalidField("file", "price %d: %v", i+1, err)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

type priceExport struct {
	local
}

// Help implements kong.HelpProvider.
func (priceExport) Help() string {
	return "Example:\n\n  tenure price export > prices.csv\n\nThe tenant's own prices, in the form that \"tenure price import\" reads."
}

// Run implements the verb.
func (c *priceExport) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Prices.List(e.ctx, by, "", mostPrices)
		if err != nil {
			return err
		}
		w := csv.NewWriter(e.stdout)
		lines := [][]string{priceColumns}
		for _, p := range rows {
			if p.Tenant != "" {
				lines = append(lines, []string{
					p.Pattern, p.From.Format(time.DateOnly), tenure.FormatMoney(p.Rates.Input), tenure.FormatMoney(p.Rates.CacheRead),
					tenure.FormatMoney(p.Rates.CacheWrite), tenure.FormatMoney(p.Rates.Output),
				})
			}
		}
		return w.WriteAll(lines)
	})
}

type priceApply struct {
	local
	Since string `required:"" placeholder:"DAY" help:"The first day, UTC, such as 2026-01-31."`
}

// Help implements kong.HelpProvider.
func (priceApply) Help() string {
	return "Example:\n\n  tenure price apply --since 2026-01-01\n\nWhat has no price stays as it was, and is told."
}

// Run implements the verb.
func (c *priceApply) Run(e *env) error {
	since, err := api.Day("since", c.Since)
	if err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		done, err := a.Prices.Apply(e.ctx, by, since)
		if err != nil {
			return err
		}
		return c.print(e, api.Applied(done), func(w io.Writer) {
			fmt.Fprintf(w, "reckoned %d rows; %d models, each on one day, have no price\n", done.Rows, done.Unpriced)
		})
	})
}
