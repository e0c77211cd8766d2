package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
)

type usageCmd struct {
	local
	From string `placeholder:"DAY" help:"The first day, UTC, such as 2026-01-31 (default: 30 days before the last)."`
	To   string `placeholder:"DAY" help:"The last day, UTC (default: today)."`
	By   string `default:"day" enum:"day,workspace,user,token,provider,key,model" help:"What to sum up by: ${enum} (default: ${default})."`
	CSV  bool   `name:"csv" help:"Print CSV."`
}

// Help implements kong.HelpProvider.
func (usageCmd) Help() string {
	return `Example, what each person used in January:

  tenure usage --by user --from 2026-01-01 --to 2026-01-31 --csv > january.csv

Tokens are as the providers count them. The last seconds of a server that runs are not in it yet.`
}

// Run implements the verb.
func (c *usageCmd) Run(e *env) error {
	if c.CSV && c.JSON {
		return tenure.InvalidField("csv", "--csv and --json exclude each other")
	}
	from, err := api.Day("from", c.From)
	if err != nil {
		return err
	}
	to, err := api.Day("to", c.To)
	if err != nil {
		return err
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		sums, err := a.Directory.ModelUses(e.ctx, by, from, to, c.By)
		if err != nil {
			return err
		}
		currency, err := a.Prices.Currency(e.ctx)
		if err != nil {
			return err
		}
		rows := api.ShowModelUses(sums, currency)
		if c.CSV {
			return usageCSV(e.stdout, rows)
		}
		return c.print(e, rows, func(w io.Writer) {
			fmt.Fprintln(w, "OF\tREQUESTS\tINPUT\tFROM CACHE\tOUTPUT\tSPEND\tLAST USED")
			for i, r := range rows {
				of := r.Name
				if of == "" {
					of = orDash(r.ID)
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", of, r.Requests, r.InputTokens, r.CacheReadTokens, r.OutputTokens, spent(r), short(sums[i].LastAt))
			}
		})
	})
}

// spent says what was spent, and of how many requests nobody knows it.
func spent(r api.ModelUses) string {
	switch {
	case r.Spend == nil:
		return "no price"
	case r.Unpriced > 0:
		return fmt.Sprintf("%s + %d requests without a price", tenure.FormatAmount(*r.Spend, r.Currency), r.Unpriced)
	}
	return tenure.FormatAmount(*r.Spend, r.Currency)
}

func usageCSV(out io.Writer, rows []api.ModelUses) error {
	w := csv.NewWriter(out)
	lines := [][]string{{"id", "name", "requests", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "spend", "unpriced_requests", "last_used_at", "currency"}}
	for _, r := range rows {
		line := []string{cell(r.ID), cell(r.Name)}
		for _, n := range []int64{r.Requests, r.InputTokens, r.CacheReadTokens, r.CacheWriteTokens, r.OutputTokens} {
			line = append(line, strconv.FormatInt(n, 10))
		}
		spend := ""
		if r.Spend != nil {
			spend = tenure.FormatMoney(*r.Spend)
		}
		line = append(line, spend, strconv.FormatInt(r.Unpriced, 10))
		lines = append(lines, append(line, r.LastUsedAt.Format(time.RFC3339), r.Currency))
	}
	return w.WriteAll(lines)
}

// cell keeps a spreadsheet from taking a name for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
