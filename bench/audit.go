package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

const (
	leastPlaces = 5000                   // events a second that are given their places
	mostAdded   = 5 * time.Millisecond   // to the 99th percentile of an audited change
	mostVerify  = 30 * time.Second       // of a million events
	mostMemory  = 200 << 20              // bytes, of that
	lookEvery   = 100 * time.Millisecond // at how many have their places
)

// auditPlan is what `bench audit` does, as its flags say.
type auditPlan struct {
	tenure, database string
	events           int
	each             time.Duration
}

// commandAudit carries out `bench audit` and reports.
func commandAudit(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	p := &auditPlan{}
	flags := newFlags("audit", stderr)
	flags.StringVar(&p.tenure, "tenure", "./bin/tenure", "the tenure program")
	flags.StringVar(&p.database, "database", os.Getenv("TENURE_DATABASE_URL"), "URL of a migrated, empty PostgreSQL database; SQLite without it")
	flags.IntVar(&p.events, "events", 1_000_000, "events that wait for their places at first, put in by the database's shell")
	flags.DurationVar(&p.each, "each", 10*time.Second, "how long audited changes are timed, with and without events that wait")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || p.events < 1 || p.each <= 0 {
		return errors.New("-events must be at least 1, and nothing else is taken")
	}
	ctx, cancel := context.WithTimeout(ctx, scimLimit)
	defer cancel()
	return p.measure(ctx, stdout, stderr)
}

func (p *auditPlan) measure(ctx context.Context, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "tenure-bench-audit-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := p.serve(ctx, dir)
	if err != nil {
		return err
	}
	quiet, err := p.changes(ctx, s.addr, 1, p.each)
	s.stop()
	if err != nil {
		return err
	}
	if err := p.fill(ctx, dir); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d events are in the database\n", p.events)
	if s, err = p.serve(ctx, dir); err != nil {
		return err
	}
	start := time.Now()
	busy, err := p.changes(ctx, s.addr, 2, p.each)
	if err == nil {
		err = p.placed(ctx, s.addr)
	}
	took := time.Since(start)
	s.stop()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "| what | measured | goal |\n|---|---|---|\n")
	rate := float64(p.events) / took.Seconds()
	fmt.Fprintf(stdout, "| events that are given their places a second | %.0f | %d: %s |\n", rate, leastPlaces, met(rate >= leastPlaces))
	q, b := quiet.quantile(0.99), busy.quantile(0.99)
	fmt.Fprintf(stdout, "| an audited change, p99, when nothing waits (%d) | %v | – |\n", quiet.total, q.Round(10*time.Microsecond))
	fmt.Fprintf(stdout, "| the same meanwhile (%d) | %v | %v more: %s |\n", busy.total, b.Round(10*time.Microsecond), mostAdded, met(b-q <= mostAdded))
	if err := p.verify(ctx, dir, stdout); err != nil {
		return err
	}
	return p.evidence(ctx, dir, stdout)
}

func met(good bool) string {
	if good {
		return "met"
	}
	return "missed"
}

func (p *auditPlan) serve(ctx context.Context, dir string) (*scimServer, error) {
	return startSCIM(ctx, p.tenure, dir, p.database, "TENURE_API_TOKEN="+rewrapRoot)
}

// fill puts events into the database, whose server is stopped, through its shell.
func (p *auditPlan) fill(ctx context.Context, dir string) error {
	const row = ` INSERT INTO audit_events (id, at, tenant_id, action, actor_kind, actor_id, actor, object_id, object, outcome, request_id, address, detail, salt)
		SELECT 'bench-' || i, (SELECT at FROM audit_events ORDER BY seq LIMIT 1), 'default', 'token.minted', 'asserted_identity', 'u' || i, 'user' || i || '@example.com',
		't' || i, 'Laptop', 'success', 'r' || i, '192.0.2.7', '{"kind":"pat","prefix":"tpat_abcd","scopes":"chat models"}', `
	cmd := exec.CommandContext(ctx, "sqlite3", "-bail", filepath.Join(dir, "home", "tenure.db"),
		fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)`, p.events)+row+`randomblob(16) FROM n`)
	if p.database != "" {
		cmd = exec.CommandContext(ctx, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", p.database, "-c",
			row+fmt.Sprintf(`uuid_send(gen_random_uuid()) FROM generate_series(1, %d) i; ANALYZE audit_events`, p.events))
	}
	cmd.Env = append(os.Environ(), "PGOPTIONS=-c tenure.tenant=*") // the rows are of a tenant
	cmd.SysProcAttr = childAttr()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.500s", cmd.Path, errors.Join(err, ctx.Err()), out)
	}
	return nil
}

// changes makes audited changes, one after the other, and takes the time of each.
func (p *auditPlan) changes(ctx context.Context, addr string, round int64, each time.Duration) (*histogram, error) {
	h, client := &histogram{}, &http.Client{}
	for i, end := round*1_000_000, time.Now().Add(each); time.Now().Before(end); i++ {
		start := time.Now()
		if err := addProvider(ctx, client, addr, i); err != nil {
			return nil, err
		}
		h.record(time.Since(start))
	}
	return h, nil
}

var placesLine = regexp.MustCompile(`(?m)^tenure_audit_places (\S+)$`)

// placed waits until all events have their places.
func (p *auditPlan) placed(ctx context.Context, addr string) error {
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			return err
		}
		if m := placesLine.FindSubmatch(text); m != nil {
			if n, err := strconv.ParseFloat(string(m[1]), 64); err == nil && n >= float64(p.events) {
				return nil
			}
		}
		time.Sleep(lookEvery)
	}
}
