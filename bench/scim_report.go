package main

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// scimStep is one row of the table of `bench scim`.
type scimStep struct {
	title    string
	count    int // requests
	took     time.Duration
	p50, p99 time.Duration
	cpu      time.Duration // of the server, a request
	rss      float64       // bytes, at the end of the step
	peak     float64       // bytes, the most since the server's start
	goal     string        // with whether it was met; empty: none
}

// scimGoal is a bound on a step's figures.
type scimGoal int

const (
	goalCreate scimGoal = iota // over several connections
	goalCreatePostgres
	goalFilter
	goalPatch
)

// The bounds of the goals.
const (
	leastCreates  = 2000 // a second
	leastPostgres = 3000 // likewise, with PostgreSQL
	longestFilter = time.Millisecond
	longestPatch  = time.Second
)

// newStep makes a step of what its requests took.
func newStep(title string, hist *histogram, took time.Duration) scimStep {
	return scimStep{title: title, count: int(hist.total), took: took, p50: hist.quantile(0.5), p99: hist.quantile(0.99)}
}

// rate returns the requests a second.
func (s *scimStep) rate() float64 { return float64(s.count) / max(s.took.Seconds(), 1e-9) }

// judge writes the goal and whether the step meets it. Latency is judged at
// p99, and said when only the median is below.
func (s *scimStep) judge(goal scimGoal) {
	switch goal {
	case goalCreate:
		s.goal = fmt.Sprintf("at least %s/s: %s", thousands(leastCreates), verdict(s.rate() >= leastCreates))
	case goalCreatePostgres:
		s.goal = fmt.Sprintf("at least %s/s: %s", thousands(leastPostgres), verdict(s.rate() >= leastPostgres))
	case goalFilter:
		s.goal = fmt.Sprintf("p99 below %v: %s", longestFilter, verdict(s.p99 < longestFilter))
		if s.p99 >= longestFilter && s.p50 < longestFilter {
			s.goal += " (met at p50)"
		}
	case goalPatch:
		s.goal = fmt.Sprintf("below %v: %s", longestPatch, verdict(s.took < longestPatch))
	}
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

// writeSCIM writes the table.
func writeSCIM(w io.Writer, steps []scimStep, database string) {
	engine := "SQLite"
	if database != "" {
		engine = "PostgreSQL, which shares them too"
	}
	fmt.Fprintf(w, "%s; unpinned: server and client share all cores; %s\n\n", machine(), engine)
	fmt.Fprint(w, "| | requests | requests/s | p50 ms | p99 ms | CPU us a request | RSS MB | peak MB | goal |\n|---|---|---|---|---|---|---|---|---|\n")
	for i := range steps {
		fmt.Fprintln(w, steps[i].row())
	}
}

// row writes the step as a row of the table. CPU time comes in steps of 10 ms,
// so a step of few requests has it to two digits at best.
func (s *scimStep) row() string {
	milli := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1e3) }
	goal := s.goal
	if goal == "" {
		goal = "-"
	}
	return fmt.Sprintf("| %s | %s | %.0f | %s | %s | %d | %.0f | %.0f | %s |", s.title, thousands(s.count), s.rate(),
		milli(s.p50), milli(s.p99), s.cpu.Microseconds(), s.rss/1e6, s.peak/1e6, goal)
}

// thousands writes n with commas, as people read it.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
