package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plan is what a run does, as its flags say.
type plan struct {
	tenure   string
	rows     []string
	rounds   int
	conns    []int
	warm     time.Duration
	window   time.Duration
	rate     int // open loop, requests a second; 0 leaves it out
	streams  int // at once; 0 leaves them out
	every    time.Duration
	ramp     int // streams opened a second
	requests bool
	short    bool
	json     string
	gates    gates
	pin      pinning
	progress io.Writer
}

// cell is one row under one load in one round.
type cell struct {
	Row     string             `json:"row"`
	Load    string             `json:"load"`
	Round   int                `json:"round"`
	Figures map[string]float64 `json:"figures"`
}

// openConns is how many connections the open loop's requests may use.
const openConns = 32

// parsePlan reads the flags of `bench run` and `bench streams`.
func parsePlan(command string, args []string, stderr io.Writer) (*plan, error) {
	p := &plan{requests: command == "run", progress: stderr}
	flags := newFlags(command, stderr)
	flags.StringVar(&p.tenure, "tenure", "./bin/tenure", "the tenure program")
	rows := flags.String("rows", "direct,proxy,tenure", "what to measure, in the first round's order")
	conns := flags.String("conns", "32,128", "connections of the closed loop, one load each")
	flags.IntVar(&p.rounds, "rounds", 3, "rounds; every second one goes backwards")
	flags.DurationVar(&p.warm, "warmup", 2*time.Second, "load before each measured window")
	flags.DurationVar(&p.window, "duration", 10*time.Second, "each measured window")
	flags.IntVar(&p.rate, "rate", 300, "requests a second of the open loop; 0 leaves it out")
	flags.IntVar(&p.streams, "streams", 1000, "streams at once; 0 leaves them out")
	flags.DurationVar(&p.every, "every", 250*time.Millisecond, "time between two chunks of a stream")
	flags.IntVar(&p.ramp, "ramp", 500, "streams opened a second")
	flags.BoolVar(&p.short, "short", false, "a smoke run of about a minute: two rounds, short windows, 200 streams")
	flags.StringVar(&p.json, "json", "", "also write all figures to this file")
	flags.Float64Var(&p.gates.cpu, "gate-cpu", 0, "exit 1 when tenure's CPU a request is above this times the bare proxy's; 0 is off")
	flags.Float64Var(&p.gates.mem, "gate-mem", 0, "exit 1 when tenure's memory a stream is above this times the bare proxy's; 0 is off")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if p.short {
		p.rounds, p.warm, p.window, p.streams = 2, 300*time.Millisecond, 1500*time.Millisecond, min(p.streams, 200)
	}
	p.rows = strings.Split(*rows, ",")
	for text := range strings.SplitSeq(*conns, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-conns %q: want numbers above 0, such as 32,128", *conns)
		}
		p.conns = append(p.conns, n)
	}
	return p, p.validate()
}

// validate refuses a plan that could not be carried out or would not count.
func (p *plan) validate() error {
	switch {
	case p.rounds < 3 && !p.short:
		return errors.New("-rounds: fewer than three rounds tell no spread")
	case p.warm < 0 || p.window <= 0 || p.every <= 0:
		return errors.New("-warmup, -duration and -every must be above 0")
	case p.rate < 0 || p.streams < 0 || p.ramp < 1:
		return errors.New("-rate and -streams must be at least 0, -ramp at least 1")
	case !p.requests && p.streams == 0:
		return errors.New("-streams 0 leaves nothing to measure")
	}
	for _, row := range p.rows {
		if !slices.Contains([]string{rowDirect, rowProxy, rowTenure}, row) {
			return fmt.Errorf("-rows: no row %q; there are %s, %s and %s", row, rowDirect, rowProxy, rowTenure)
		}
	}
	if slices.Contains(p.rows, rowTenure) {
		if _, err := os.Stat(p.tenure); err != nil {
			return fmt.Errorf("-tenure: %w (build it, or leave it out with -rows direct,proxy)", err)
		}
	}
	return checkFiles(p.streams)
}

// limit is the longest that the run may take, for whatever hangs.
func (p *plan) limit() time.Duration {
	one := startLimit + p.warm + p.window + 15*time.Second
	row := one * time.Duration(len(p.measurements()))
	row += time.Duration(p.streams/p.ramp+1) * time.Second
	return row * time.Duration(p.rounds*len(p.rows))
}

// commandRun carries out a plan and reports.
func commandRun(ctx context.Context, command string, args []string, stdout, stderr io.Writer) error {
	p, err := parsePlan(command, args, stderr)
	if err != nil {
		return err
	}
	p.pin = findPinning()
	if err := p.pin.pinSelf(ctx); err != nil {
		return err
	}
	if p.pin.on {
		runtime.GOMAXPROCS(1)
	}
	ctx, cancel := context.WithTimeout(ctx, p.limit())
	defer cancel()
	cells, err := p.measure(ctx)
	if err != nil {
		return err
	}
	r := p.report(cells)
	r.markdown(stdout)
	if p.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(p.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return p.gates.check(r)
}

// measurement is one load, and how to measure it on a stand.
type measurement struct {
	load   string
	chunks int // that a stream of the upstream has
	figure func(ctx context.Context, s *stand) (map[string]float64, error)
}

// measurements returns the loads of the plan in their order.
func (p *plan) measurements() []measurement {
	var all []measurement
	if p.requests {
		for _, n := range p.conns {
			all = append(all, measurement{closedName(n), 1, func(ctx context.Context, s *stand) (map[string]float64, error) {
				return measureClosed(ctx, s, n, p.warm, p.window)
			}})
		}
		if p.rate > 0 {
			all = append(all, measurement{p.openName(), 1, func(ctx context.Context, s *stand) (map[string]float64, error) {
				return measureOpen(ctx, s, openConns, p.rate, p.warm, p.window)
			}})
		}
	}
	if p.streams > 0 {
		length := time.Duration(p.streams)*time.Second/time.Duration(p.ramp) + streamSettle + p.window
		chunks := int((length + 20*time.Second) / p.every) // so that no stream ends by itself
		all = append(all, measurement{p.streamsName(), chunks, func(ctx context.Context, s *stand) (map[string]float64, error) {
			return measureStreams(ctx, s, p.streams, p.ramp, p.window)
		}})
	}
	return all
}

// measure runs all rounds. Under each load the rows follow each other closely,
// A B C and in the next round C B A, so that a machine that is not quiet does
// the same to all of them.
func (p *plan) measure(ctx context.Context) ([]cell, error) {
	var cells []cell
	for round := 1; round <= p.rounds; round++ {
		rows := slices.Clone(p.rows)
		if round%2 == 0 {
			slices.Reverse(rows)
		}
		for _, m := range p.measurements() {
			for _, row := range rows {
				figures, err := p.measureRow(ctx, m, row)
				if err != nil {
					return nil, fmt.Errorf("round %d, %s, %s: %w", round, m.load, row, err)
				}
				cells = append(cells, cell{Row: row, Load: m.load, Round: round, Figures: figures})
				fmt.Fprintf(p.progress, "round %d  %-12s %-7s %7.1f us CPU  %8.0f/s\n",
					round, m.load, row, figures[figCPU], figures[figRate])
			}
		}
	}
	return cells, nil
}

// measureRow measures one load on a fresh stand, which the figures of memory need.
func (p *plan) measureRow(ctx context.Context, m measurement, row string) (map[string]float64, error) {
	s, err := p.setUp(ctx, row, m.chunks)
	if err != nil {
		return nil, err
	}
	defer s.tearDown()
	return m.figure(ctx, s)
}

// Names of the loads, as cells and reports call them.
func closedName(conns int) string   { return fmt.Sprintf("closed %d", conns) }
func (p *plan) openName() string    { return fmt.Sprintf("open %d/s", p.rate) }
func (p *plan) streamsName() string { return fmt.Sprintf("streams %d", p.streams) }
