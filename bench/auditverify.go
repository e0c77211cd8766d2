package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// timed runs a verb of tenure on the data in dir, and gives what it says, and the time
// and memory of the whole process.
func (p *auditPlan) timed(ctx context.Context, dir string, args ...string) (out []byte, took time.Duration, peak int64, err error) {
	c := exec.CommandContext(ctx, p.tenure, args...)
	c.Env = []string{"HOME=" + dir, "TENURE_HOME=" + filepath.Join(dir, "home"), "TENURE_DATABASE_URL=" + p.database}
	var said, log bytes.Buffer
	c.Stdout, c.Stderr = &said, &log
	start := time.Now()
	if err := c.Run(); err != nil {
		return nil, 0, 0, fmt.Errorf("tenure %s: %w\n%s", strings.Join(args, " "), err, log.String())
	}
	return said.Bytes(), time.Since(start), peakOf(c.ProcessState), nil
}

// verify runs `tenure audit verify`.
func (p *auditPlan) verify(ctx context.Context, dir string, stdout io.Writer) error {
	out, took, peak, err := p.timed(ctx, dir, "audit", "verify", "--json")
	if err != nil {
		return err
	}
	var view struct{ Places, Waiting int }
	if err := json.Unmarshal(out, &view); err != nil {
		return err
	}
	if view.Places < p.events || view.Waiting > 0 {
		return fmt.Errorf("%d events were verified, and %d wait: %s", view.Places, view.Waiting, strings.TrimSpace(string(out)))
	}
	fmt.Fprintf(stdout, "| verify %d events | %v | %v a million: %s |\n", view.Places, took.Round(10*time.Millisecond), mostVerify,
		met(took <= mostVerify*time.Duration(view.Places)/1_000_000))
	fmt.Fprintf(stdout, "| memory of that | %d MiB | %d MiB: %s |\n", peak>>20, mostMemory>>20, met(peak <= mostMemory))
	return nil
}

// evidence exports evidence of all events, and verifies it.
func (p *auditPlan) evidence(ctx context.Context, dir string, stdout io.Writer) error {
	bundle := filepath.Join(dir, "evidence.zip")
	out, _, _, err := p.timed(ctx, dir, "audit", "keys", "--json")
	if err != nil {
		return err
	}
	var keys struct{ Items []struct{ Public string } }
	if err := json.Unmarshal(out, &keys); err != nil || len(keys.Items) == 0 {
		return fmt.Errorf("the key of the log: %w: %s", err, out)
	}
	_, took, peak, err := p.timed(ctx, dir, "evidence", "export", "--from", "2000-01-01T00:00:00Z", "--output", bundle)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "| evidence of %d events | %v | – |\n", p.events, took.Round(10*time.Millisecond))
	fmt.Fprintf(stdout, "| memory of that | %d MiB | %d MiB: %s |\n", peak>>20, mostMemory>>20, met(peak <= mostMemory))
	if _, took, peak, err = p.timed(ctx, dir, "evidence", "verify", bundle, "--key", keys.Items[0].Public); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "| its verification | %v | – |\n", took.Round(10*time.Millisecond))
	fmt.Fprintf(stdout, "| memory of that | %d MiB | %d MiB: %s |\n", peak>>20, mostMemory>>20, met(peak <= mostMemory))
	return nil
}
