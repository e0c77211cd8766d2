package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/ledger"
)

type evidenceCmd struct {
	Export evidenceExport `cmd:"" help:"Write what an auditor asks for into one signed file."`
	Verify evidenceVerify `cmd:"" help:"Verify such a file, without Tenure's data."`
}

type evidenceExport struct {
	local
	From    time.Time `required:"" placeholder:"TIME" help:"Begin of the period, such as 2026-01-01T00:00:00Z."`
	To      time.Time `placeholder:"TIME" help:"End of the period, which is not in it (default: now)."`
	Control []string  `placeholder:"REFERENCE" help:"Only what speaks to this control, such as CC6.2, A.5.18 or AC-2; may be given again (default: all)."`
	Sample  int       `default:"25" help:"How many leavers and how many joiners have a timeline; 0: none."`
	Seed    string    `placeholder:"TEXT" help:"Seed of the sample: the same seed draws the same items (default: one is made)."`
	Output  string    `required:"" placeholder:"FILE" type:"path" help:"File to be made, a zip; it must not be there."`
}

// Help implements kong.HelpProvider.
func (evidenceExport) Help() string {
	return "Example, of a quarter:\n\n  tenure evidence export --from 2026-01-01T00:00:00Z --to 2026-04-01T00:00:00Z --sample 25 --output evidence-q1.zip\n\n" +
		"It is of one tenant, while Tenure serves, and has no secret. References: " + strings.Join(evidence.Controls(), ", ") + "."
}

// Run implements the verb.
func (c *evidenceExport) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		if _, err := os.Lstat(c.Output); !errors.Is(err, os.ErrNotExist) {
			return &tenure.Error{Kind: tenure.Conflict, Code: "file_exists", Msg: fmt.Sprintf("there is a file %s already: name another, or remove it", c.Output), Err: err}
		}
		part := c.Output + ".part"
		f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		a.Evidence.Version = built()
		m, err := a.Evidence.Export(e.ctx, by, evidence.Query{
			From: c.From, To: c.To, Controls: c.Control, Sample: c.Sample, Seed: c.Seed, Tell: tellRows(e.stderr),
		}, f)
		if err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Rename(part, c.Output)
		}
		if err != nil {
			return errors.Join(err, os.Remove(part))
		}
		view := map[string]any{"file": c.Output, "manifest_sha256": m.Digest, "manifest": m}
		return c.print(e, view, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s\n", c.Output, describe(m))
			fmt.Fprintf(w, "manifest %s\n", m.Digest)
		})
	})
}

// describe says what is in a bundle.
func describe(m evidence.Manifest) string {
	var parts []string
	for _, result := range evidence.Results() {
		parts = append(parts, fmt.Sprintf("%d %s", m.Checks[result], result))
	}
	return fmt.Sprintf("tenant %s, %s to %s, %d files; checks: %s", m.TenantName, short(m.From), short(m.To), len(m.Files)+2, strings.Join(parts, ", "))
}

// tellRows tells of a long export every few seconds.
func tellRows(out io.Writer) func(string, int64) {
	at := time.Now()
	return func(what string, rows int64) {
		if now := time.Now(); now.Sub(at) >= lineEvery {
			at = now
			fmt.Fprintf(out, "%d rows written, now %s\n", rows, what)
		}
	}
}

type evidenceVerify struct {
	File       string   `arg:"" type:"path" help:"The file to verify."`
	Key        []string `required:"" placeholder:"KEY" help:"Public key to trust, as \"tenure audit keys\" shows it; may be given again."`
	Checkpoint string   `placeholder:"FILE" type:"path" help:"A checkpoint of the audit log that was kept elsewhere, which the log must agree with."`
	JSON       bool     `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (evidenceVerify) Help() string {
	return "Example, on any machine:\n\n  tenure evidence verify evidence-q1.zip --key 'tenure/0198c0de…+1a2b3c4d+AQ…'\n\n" +
		"It needs no data directory and no network. Exit status 1: something is wrong, and the first thing that is, is named."
}

// Run implements the verb.
func (c *evidenceVerify) Run(e *env) error {
	trust := evidence.Trust{
		Statement: func(signed string) (string, string, error) {
			return ledger.OpenStatement(signed, evidence.Kind, c.Key...)
		},
		Checkpoint: func(note string) (int64, tlog.Hash, error) { return ledger.OpenCheckpoint(note, c.Key...) },
	}
	if c.Checkpoint != "" {
		text, err := os.ReadFile(c.Checkpoint)
		if err != nil {
			return err
		}
		trust.Kept = string(text)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	v, err := evidence.Verify(f, info.Size(), trust)
	if err != nil {
		return err
	}
	view := map[string]any{"key": v.Key, "manifest_sha256": v.Digest, "manifest": v.Manifest, "proved": v.Proved, "places": v.Places}
	return local{JSON: c.JSON}.print(e, view, func(w io.Writer) {
		fmt.Fprintf(w, "%s is what was signed by %s: %s\n", c.File, v.Key, describe(v.Manifest))
		fmt.Fprintf(w, "%d of %d audit events are at their places of a log of %d\n", v.Proved, v.Log.Events, v.Places)
		fmt.Fprintf(w, "tenant id %s, of the installation %s\n", v.Tenant, v.Install)
		fmt.Fprintf(w, "manifest %s\n", v.Digest)
	})
}
