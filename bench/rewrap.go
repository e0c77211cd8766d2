package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rewrapRoot  = "bench-root-0123456789abcdef0123456789"
	leastRewrap = 5000 // rows a second, on SQLite with the key of a file
)

// rewrapPlan is what `bench rewrap` does, as its flags say.
type rewrapPlan struct {
	tenure, database string
	rows, rounds     int
}

// commandRewrap carries out `bench rewrap` and reports.
func commandRewrap(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	p := &rewrapPlan{}
	flags := newFlags("rewrap", stderr)
	flags.StringVar(&p.tenure, "tenure", "./bin/tenure", "the tenure program")
	flags.StringVar(&p.database, "database", os.Getenv("TENURE_DATABASE_URL"), "URL of a migrated, empty PostgreSQL database; SQLite without it")
	flags.IntVar(&p.rows, "rows", 20_000, "provider keys that are sealed, over HTTP")
	flags.IntVar(&p.rounds, "rounds", 4, "rewraps, to one key and back in turn")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || p.rows < 1 || p.rounds < 1 {
		return errors.New("-rows and -rounds must be at least 1, and nothing else is taken")
	}
	ctx, cancel := context.WithTimeout(ctx, scimLimit)
	defer cancel()
	return p.measure(ctx, stdout, stderr)
}

func (p *rewrapPlan) measure(ctx context.Context, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "tenure-bench-rewrap-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var keys [2]string
	for i := range keys {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		keys[i] = "file:" + filepath.Join(dir, fmt.Sprint("key", i))
		if err := os.WriteFile(strings.TrimPrefix(keys[i], "file:"), []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
			return err
		}
	}
	// It serves meanwhile, as in life, and is asked nothing.
	s, err := startSCIM(ctx, p.tenure, dir, p.database, "TENURE_API_TOKEN="+rewrapRoot, "TENURE_KEY_URL="+keys[0], "TENURE_KEY_URL_PREVIOUS="+keys[1])
	if err != nil {
		return err
	}
	defer s.stop()
	start := time.Now()
	if err := p.seal(ctx, s.addr); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d keys sealed over HTTP in %v\n", p.rows, time.Since(start).Round(time.Millisecond))
	fmt.Fprintf(stdout, "| round | rows | took | rows a second | goal |\n|---|---|---|---|---|\n")
	for round := range p.rounds {
		to, from := keys[(round+1)%2], keys[round%2]
		written, took, err := p.rewrap(ctx, dir, to, from)
		if err != nil {
			return err
		}
		rate, goal := float64(written)/took.Seconds(), "–"
		if p.database == "" {
			goal = fmt.Sprintf("%d: %s", leastRewrap, map[bool]string{true: "met", false: "missed"}[rate >= leastRewrap])
		}
		fmt.Fprintf(stdout, "| %d | %d | %v | %.0f | %s |\n", round+1, written, took.Round(time.Millisecond), rate, goal)
	}
	return nil
}

// seal adds providers over eight connections.
func (p *rewrapPlan) seal(ctx context.Context, addr string) error {
	const conns = 8
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(p.rows) && failed.Load() == nil; i = next.Add(1) {
				if err := addProvider(ctx, client, addr, i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func addProvider(ctx context.Context, client *http.Client, addr string, i int64) error {
	body := fmt.Sprintf(`{"name":"p%d","kind":"openai","key":"sk-of-the-bench-%d"}`, i, i)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/api/v1/admin/providers", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+rewrapRoot)
	r.Header.Set("Content-Type", "application/json")
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusCreated {
		err = fmt.Errorf("provider %d: %s: %.300s", i, res.Status, text)
	}
	return errors.Join(err, res.Body.Close())
}

// rewrap runs `tenure vault rewrap`, and takes the time of the whole process.
func (p *rewrapPlan) rewrap(ctx context.Context, dir, to, from string) (int, time.Duration, error) {
	c := exec.CommandContext(ctx, p.tenure, "vault", "rewrap", "--json")
	c.Env = []string{
		"HOME=" + dir, "TENURE_HOME=" + filepath.Join(dir, "home"), "TENURE_DATABASE_URL=" + p.database,
		"TENURE_KEY_URL=" + to, "TENURE_KEY_URL_PREVIOUS=" + from,
	}
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	start := time.Now()
	if err := c.Run(); err != nil {
		return 0, 0, fmt.Errorf("tenure vault rewrap: %w\n%s", err, log.String())
	}
	took := time.Since(start)
	var view struct{ Written, Total int }
	if err := json.Unmarshal(out.Bytes(), &view); err != nil {
		return 0, 0, err
	}
	if view.Written != p.rows || view.Total != p.rows {
		return 0, 0, fmt.Errorf("%d of %d were wrapped, not %d", view.Written, view.Total, p.rows)
	}
	return view.Written, took, nil
}
