package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	scimBatch     = 5000             // members that one PATCH adds
	scimQuestions = 500              // filters that are timed
	scimWarm      = 50               // filters asked before those
	scimLimit     = 20 * time.Minute // of a run, for whatever hangs
)

// scimPlan is what `bench scim` does, as its flags say.
type scimPlan struct {
	tenure   string
	database string // URL of a PostgreSQL database; "" is SQLite
	users    int    // made over HTTP
	conns    int
	more     int // put in by SQL; 0 leaves the second size out
	members  int
	removals int // of one PATCH
	progress io.Writer
}

// parseSCIM reads the flags of `bench scim`.
func parseSCIM(args []string, stderr io.Writer) (*scimPlan, error) {
	p := &scimPlan{progress: stderr}
	flags := newFlags("scim", stderr)
	flags.StringVar(&p.tenure, "tenure", "./bin/tenure", "the tenure program")
	flags.StringVar(&p.database, "database", os.Getenv("TENURE_DATABASE_URL"), "URL of a migrated, empty PostgreSQL database; SQLite without it")
	flags.IntVar(&p.users, "users", 100_000, "users made over HTTP: a tenth over one connection, the rest over -conns")
	flags.IntVar(&p.conns, "conns", 8, "connections of the second part of the synchronisation")
	flags.IntVar(&p.more, "more", 0, "users put in by the sqlite3 shell afterwards, to ask the filter again")
	flags.IntVar(&p.members, "members", 50_000, "members of the group")
	flags.IntVar(&p.removals, "removals", 1000, "filtered removals in one PATCH")
	short := flags.Bool("short", false, "a smoke run of seconds: at most 2,000 users (and 2,000 by SQL), 1,000 members, 100 removals")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *short {
		p.users, p.more = min(p.users, 2000), min(p.more, 2000)
		p.members, p.removals = min(p.members, 1000), min(p.removals, 100)
	}
	return p, p.validate()
}

// validate refuses a plan that could not be carried out.
func (p *scimPlan) validate() error {
	switch {
	case p.users < 10 || p.conns < 1 || p.more < 0:
		return errors.New("-users must be at least 10, -conns at least 1, -more at least 0")
	case p.members < 1 || p.members > p.users:
		return errors.New("-members must be at least 1 and at most -users")
	case p.removals < 1 || p.removals > p.members:
		return errors.New("-removals must be at least 1 and at most -members")
	}
	if _, err := os.Stat(p.tenure); err != nil {
		return fmt.Errorf("-tenure: %w (build it first)", err)
	}
	if p.more > 0 && p.database != "" {
		return errors.New("-more is for SQLite")
	}
	if p.more > 0 {
		if _, err := exec.LookPath("sqlite3"); err != nil {
			return fmt.Errorf("-more: %w", err)
		}
	}
	return nil
}

// commandSCIM carries out `bench scim` and reports.
func commandSCIM(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	p, err := parseSCIM(args, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, scimLimit)
	defer cancel()
	steps, err := p.measure(ctx)
	if err != nil {
		return err
	}
	writeSCIM(stdout, steps, p.database)
	return nil
}

// measure runs all steps against one database.
func (p *scimPlan) measure(ctx context.Context) ([]scimStep, error) {
	dir, err := os.MkdirTemp("", "tenure-bench-scim-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	steps, err := p.measureMade(ctx, dir)
	if err != nil || p.more == 0 {
		return steps, err
	}
	start := time.Now()
	if err := insertBySQL(ctx, dir, p.users, p.more); err != nil {
		return nil, err
	}
	fmt.Fprintf(p.progress, "%d users put in by SQL in %v\n", p.more, time.Since(start).Round(time.Millisecond))
	s, err := startSCIM(ctx, p.tenure, dir, p.database)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	step, err := p.filter(ctx, s, p.users+p.more)
	return append(steps, step), err
}

// measureMade runs the steps on what is made over HTTP, and stops the server.
func (p *scimPlan) measureMade(ctx context.Context, dir string) ([]scimStep, error) {
	s, err := startSCIM(ctx, p.tenure, dir, p.database)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	ids := make([]string, p.users)
	tenth := p.users / 10
	var steps []scimStep
	for _, measure := range []func() (scimStep, error){
		func() (scimStep, error) { return p.create(ctx, s, ids, 0, tenth, 1) },
		func() (scimStep, error) { return p.create(ctx, s, ids, tenth, p.users, p.conns) },
		func() (scimStep, error) { return p.filter(ctx, s, p.users) },
	} {
		step, err := measure()
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	group, err := p.group(ctx, s, ids[:p.members])
	return append(steps, group...), err
}

// create makes the users from low up to high over conns connections, and
// writes their ids to ids.
func (p *scimPlan) create(ctx context.Context, s *scimServer, ids []string, low, high, conns int) (scimStep, error) {
	title := fmt.Sprintf("create, users %s to %s, %s", thousands(low+1), thousands(high), plural(conns, "connection"))
	var next atomic.Int64
	next.Store(int64(low))
	one := func(c *scimConn, hist *histogram) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= high || ctx.Err() != nil {
				return ctx.Err()
			}
			start := time.Now()
			body, err := c.call("POST", "/Users", scimUser(i), 201)
			if err != nil {
				return fmt.Errorf("%s: %w", scimName(i), err)
			}
			hist.record(time.Since(start))
			if ids[i], err = idOf(body); err != nil {
				return err
			}
		}
	}
	step, err := p.step(title, s, func(hist *histogram) error { return overConns(ctx, s, conns, hist, one) })
	if conns > 1 {
		step.judge(goalCreate)
		if p.database != "" {
			step.judge(goalCreatePostgres)
		}
	}
	return step, err
}

// overConns runs one on each of n connections at once and merges what they
// measured into hist.
func overConns(ctx context.Context, s *scimServer, n int, hist *histogram, one func(*scimConn, *histogram) error) error {
	hists, errs := make([]histogram, n), make([]error, n)
	var wait sync.WaitGroup
	for k := range n {
		c, err := s.dial(ctx)
		if err != nil {
			errs[k] = err
			break
		}
		wait.Go(func() {
			defer c.close()
			errs[k] = one(c, &hists[k])
		})
	}
	wait.Wait()
	for k := range hists {
		hist.merge(&hists[k])
	}
	return errors.Join(errs...)
}

// filter asks for one user by userName, again and again, among the first all
// users, at random but the same in every run.
func (p *scimPlan) filter(ctx context.Context, s *scimServer, all int) (scimStep, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return scimStep{}, err
	}
	defer c.close()
	random := rand.New(rand.NewPCG(1, uint64(all)))
	ask := func() (time.Duration, error) {
		name := scimName(random.IntN(all))
		start := time.Now()
		body, err := c.call("GET", scimFilter(name), "", 200)
		took := time.Since(start)
		if err != nil {
			return 0, err
		}
		return took, found(body, name)
	}
	for range scimWarm {
		if _, err := ask(); err != nil {
			return scimStep{}, err
		}
	}
	title := fmt.Sprintf("`userName eq`, among %s users", thousands(all))
	step, err := p.step(title, s, func(hist *histogram) error {
		for range scimQuestions {
			took, err := ask()
			if err != nil {
				return err
			}
			hist.record(took)
		}
		return nil
	})
	step.judge(goalFilter)
	return step, err
}

// group makes a group, fills it by PATCHes and removes members from it by one.
func (p *scimPlan) group(ctx context.Context, s *scimServer, ids []string) ([]scimStep, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	body, err := c.call("POST", "/Groups", scimGroup(), 201)
	if err != nil {
		return nil, err
	}
	id, err := idOf(body)
	if err != nil {
		return nil, err
	}
	patch := func(hist *histogram, operations []string) error {
		request := scimPatch(operations)
		start := time.Now()
		_, err := c.call("PATCH", "/Groups/"+id, request, 204)
		hist.record(time.Since(start))
		return err
	}
	fill, err := p.step(fmt.Sprintf("PATCH that adds %s members, to %s", thousands(min(scimBatch, len(ids))), thousands(len(ids))), s,
		func(hist *histogram) error {
			for batch := range slices.Chunk(ids, scimBatch) {
				if err := patch(hist, []string{addMembers(batch)}); err != nil {
					return err
				}
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	shrink, err := p.step(fmt.Sprintf("one PATCH, %s filtered removals from %s", thousands(p.removals), thousands(len(ids))), s,
		func(hist *histogram) error { return patch(hist, removeMembers(ids, p.removals)) })
	if err != nil {
		return nil, err
	}
	shrink.judge(goalPatch)
	return []scimStep{fill, shrink}, checkMembers(c, id, len(ids)-p.removals)
}

// step measures what work does to the server, and says so.
func (p *scimPlan) step(title string, s *scimServer, work func(*histogram) error) (scimStep, error) {
	before, err := cpuTime(s.child.pid)
	if err != nil {
		return scimStep{}, err
	}
	var hist histogram
	start := time.Now()
	if err := work(&hist); err != nil {
		return scimStep{}, fmt.Errorf("%s: %w", title, err)
	}
	step := newStep(title, &hist, time.Since(start))
	after, err := cpuTime(s.child.pid)
	if err != nil {
		return scimStep{}, err
	}
	step.cpu = (after - before) / time.Duration(max(step.count, 1))
	if step.rss, err = residentBytes(s.child.pid); err != nil {
		return scimStep{}, err
	}
	if step.peak, err = peakBytes(s.child.pid); err != nil {
		return scimStep{}, err
	}
	fmt.Fprintf(p.progress, "%s: %.0f/s, p50 %v, p99 %v\n", title, step.rate(), step.p50, step.p99)
	return step, nil
}

// plural writes a number and the word for what it counts.
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}
