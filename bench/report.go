package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// spread is the median of a figure over the rounds, with the least and greatest.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// summary is one row under one load over all rounds.
type summary struct {
	Row     string            `json:"row"`
	Load    string            `json:"load"`
	Figures map[string]spread `json:"figures"`
	ToProxy map[string]spread `json:"to_proxy,omitempty"` // quotients with the bare proxy, round by round
	Added   map[string]spread `json:"added,omitempty"`    // differences to direct, round by round
}

// report is everything a run found out.
type report struct {
	Machine string    `json:"machine"`
	Pinning string    `json:"pinning"`
	Rounds  int       `json:"rounds"`
	Window  string    `json:"window"`
	Summary []summary `json:"summary"`
	Cells   []cell    `json:"cells"`

	loads []load
}

// load is a load with the columns that its table has.
type load struct {
	name, title string
	columns     []column
}

// column is one column of a table: a figure, or what is made of it.
type column struct {
	title  string
	figure string
	kind   columnKind
	scale  float64 // the figure's unit in units of the column's
	digits int
	bold   bool
}

// columnKind says what a column shows of its figure.
type columnKind int

const (
	kindPlain   columnKind = iota // the figure itself
	kindToProxy                   // its quotient with the bare proxy's
	kindAdded                     // its difference to direct's
)

// report puts the cells of a run together.
func (p *plan) report(cells []cell) *report {
	r := &report{
		Machine: machine(),
		Pinning: p.pin.String(),
		Rounds:  p.rounds,
		Window:  p.window.String(),
		Cells:   cells,
	}
	if p.requests {
		for _, n := range p.conns {
			r.loads = append(r.loads, load{closedName(n), fmt.Sprintf("Closed loop, %d connections", n), closedColumns()})
		}
		if p.rate > 0 {
			r.loads = append(r.loads, load{p.openName(), fmt.Sprintf("Open loop, %d requests a second", p.rate), openColumns()})
		}
	}
	if p.streams > 0 {
		title := fmt.Sprintf("%d streams at once, a chunk every %v", p.streams, p.every)
		r.loads = append(r.loads, load{p.streamsName(), title, streamColumns()})
	}
	for _, l := range r.loads {
		for _, row := range p.rows {
			r.Summary = append(r.Summary, summarise(cells, l.name, row))
		}
	}
	return r
}

func closedColumns() []column {
	return []column{
		{"CPU to bare proxy", figCPU, kindToProxy, 1, 2, true},
		{"CPU us a request", figCPU, kindPlain, 1, 1, false},
		{"requests/s", figRate, kindPlain, 1, 0, false},
		{"p50 ms", figP50, kindPlain, 1e-3, 2, false},
		{"p99 ms", figP99, kindPlain, 1e-3, 2, false},
		{"bytes a request", figBytes, kindPlain, 1, 0, false},
		{"allocations a request", figAllocs, kindPlain, 1, 1, false},
		{"RSS MB", figRSS, kindPlain, 1, 0, false},
		{"cores busy", figBusy, kindPlain, 1, 2, false},
	}
}

func openColumns() []column {
	return []column{
		{"CPU to bare proxy", figCPU, kindToProxy, 1, 2, true},
		{"p50 ms", figP50, kindPlain, 1e-3, 2, false},
		{"p99 ms", figP99, kindPlain, 1e-3, 2, false},
		{"added p50 ms", figP50, kindAdded, 1e-3, 2, false},
		{"added p99 ms", figP99, kindAdded, 1e-3, 2, false},
		{"CPU us a request", figCPU, kindPlain, 1, 1, false},
	}
}

func streamColumns() []column {
	return []column{
		{"memory to bare proxy", figStreamKB, kindToProxy, 1, 2, true},
		{"CPU to bare proxy", figCPU, kindToProxy, 1, 2, true},
		{"KB a stream", figStreamKB, kindPlain, 1, 1, false},
		{"CPU us a chunk", figCPU, kindPlain, 1, 1, false},
		{"first chunk p50 ms", figFirst50, kindPlain, 1e-3, 2, false},
		{"first chunk p99 ms", figFirst99, kindPlain, 1e-3, 2, false},
		{"chunk delay p50 us", figP50, kindPlain, 1, 0, false},
		{"chunk delay p99 us", figP99, kindPlain, 1, 0, false},
		{"added a chunk p50 us", figP50, kindAdded, 1, 0, false},
		{"lost", figLost, kindPlain, 1, 0, false},
		{"cores busy", figBusy, kindPlain, 1, 2, false},
	}
}

// summarise takes the medians of one row under one load.
func summarise(cells []cell, load, row string) summary {
	s := summary{Row: row, Load: load, Figures: map[string]spread{}, ToProxy: map[string]spread{}, Added: map[string]spread{}}
	own, proxy, direct := byRound(cells, load, row), byRound(cells, load, rowProxy), byRound(cells, load, rowDirect)
	values := func(figure string, of func(round int, value float64) (float64, bool)) []float64 {
		var all []float64
		for round, figures := range own {
			if value, found := figures[figure]; found {
				if made, ok := of(round, value); ok {
					all = append(all, made)
				}
			}
		}
		return all
	}
	names := map[string]bool{}
	for _, figures := range own {
		for name := range figures {
			names[name] = true
		}
	}
	for name := range names {
		s.Figures[name] = spreadOf(values(name, func(_ int, v float64) (float64, bool) { return v, true }))
		quotients := values(name, func(round int, v float64) (float64, bool) {
			base := proxy[round][name]
			return v / base, base > 0
		})
		if len(quotients) > 0 {
			s.ToProxy[name] = spreadOf(quotients)
		}
		differences := values(name, func(round int, v float64) (float64, bool) {
			base, found := direct[round][name]
			return v - base, found
		})
		if len(differences) > 0 {
			s.Added[name] = spreadOf(differences)
		}
	}
	return s
}

// byRound returns the figures of one row under one load, by round.
func byRound(cells []cell, load, row string) map[int]map[string]float64 {
	rounds := map[int]map[string]float64{}
	for _, c := range cells {
		if c.Load == load && c.Row == row {
			rounds[c.Round] = c.Figures
		}
	}
	return rounds
}

// spreadOf returns the spread of at least one value; it sorts them.
func spreadOf(values []float64) spread {
	slices.Sort(values)
	n := len(values)
	return spread{
		Median: (values[(n-1)/2] + values[n/2]) / 2,
		Min:    values[0],
		Max:    values[n-1],
	}
}

// find returns the summary of one row under one load, empty when there is none.
func (r *report) find(load, row string) summary {
	i := slices.IndexFunc(r.Summary, func(s summary) bool { return s.Load == load && s.Row == row })
	if i < 0 {
		return summary{}
	}
	return r.Summary[i]
}

// markdown writes the tables of all loads.
func (r *report) markdown(w io.Writer) {
	fmt.Fprintf(w, "%s; %s; %d rounds of %s, medians (min-max)\n", r.Machine, r.Pinning, r.Rounds, r.Window)
	for _, l := range r.loads {
		fmt.Fprintf(w, "\n### %s\n\n|", l.title)
		for _, c := range l.columns {
			fmt.Fprintf(w, " | %s", c.title)
		}
		fmt.Fprintf(w, " |\n|---%s|\n", strings.Repeat("|---", len(l.columns)))
		for _, s := range r.Summary {
			if s.Load != l.name {
				continue
			}
			fmt.Fprintf(w, "| %s", rowTitle(s.Row))
			for _, c := range l.columns {
				fmt.Fprintf(w, " | %s", c.format(s))
			}
			fmt.Fprint(w, " |\n")
		}
	}
}

// rowTitle is what a table calls a row.
func rowTitle(row string) string {
	return map[string]string{
		rowDirect: "nothing (the upstream itself)",
		rowProxy:  "bare `httputil.ReverseProxy`, tuned",
		rowTenure: "Tenure, everything on",
	}[row]
}

// format writes what the column shows of s, or "-" when it is not known.
func (c column) format(s summary) string {
	from := s.Figures
	switch c.kind {
	case kindToProxy:
		from = s.ToProxy
	case kindAdded:
		from = s.Added
	}
	v, found := from[c.figure]
	if !found {
		return "-"
	}
	number := func(x float64) string { return fmt.Sprintf("%.*f", c.digits, clean(x*c.scale)) }
	median := number(v.Median)
	if c.bold {
		median = "**" + median + "**"
	}
	if number(v.Min) == number(v.Max) {
		return median
	}
	return fmt.Sprintf("%s (%s to %s)", median, number(v.Min), number(v.Max))
}

// clean turns what would be printed as minus zero into zero.
func clean(x float64) float64 {
	if math.Abs(x) < 1e-9 {
		return 0
	}
	return x
}

// gates are the greatest quotients with the bare proxy that are accepted; 0 is off.
type gates struct{ cpu, mem float64 }

// gateError tells which gates were exceeded.
type gateError []string

func (e gateError) Error() string { return "gate exceeded: " + strings.Join(e, "; ") }

// check compares Tenure's quotients with the gates: CPU a request under every
// closed loop, memory a stream under the streams, where a lost stream exceeds
// any gate. A gate whose figure was not measured is an error of its own.
func (g gates) check(r *report) error {
	var exceeded gateError
	for _, gate := range []struct {
		name, figure, loads string
		limit               float64
	}{
		{"-gate-cpu", figCPU, "closed ", g.cpu},
		{"-gate-mem", figStreamKB, "streams ", g.mem},
	} {
		if gate.limit == 0 {
			continue
		}
		measured := false
		for _, l := range r.loads {
			s := r.find(l.name, rowTenure)
			ratio, found := s.ToProxy[gate.figure]
			if !found || !strings.HasPrefix(l.name, gate.loads) {
				continue
			}
			measured = true
			if ratio.Median > gate.limit {
				exceeded = append(exceeded, fmt.Sprintf("%s %.2f: %s is %.2f at %s", gate.name, gate.limit, gate.figure, ratio.Median, l.name))
			}
			if lost := s.Figures[figLost].Max; lost > 0 {
				exceeded = append(exceeded, fmt.Sprintf("%s: %.0f streams lost at %s", gate.name, lost, l.name))
			}
		}
		if !measured {
			return fmt.Errorf("%s: this run did not measure it for both tenure and proxy", gate.name)
		}
	}
	if len(exceeded) > 0 {
		return exceeded
	}
	return nil
}

// machine describes the machine and the toolchain.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if name, found := procField(string(text), "model name"); found {
			model = name
		}
	}
	return fmt.Sprintf("%d cores of %s/%s (%s), %s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, model,
		runtime.Version(), time.Now().UTC().Format(time.DateOnly))
}
