package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/ledger"
)

type auditVerify struct {
	local
	File       string   `arg:"" optional:"" help:"Verify this export of \"tenure audit export\" (- for standard input), without a database."`
	Key        []string `placeholder:"KEY" help:"A public key to trust, as \"tenure audit keys\" shows it; without any, those of the database are. Repeatable."`
	Checkpoint []string `placeholder:"FILE" type:"path" help:"A checkpoint that was kept elsewhere, or a file of TENURE_AUDIT_FILE, which the log must go on from. Repeatable."`
	Proof      string   `placeholder:"FILE" type:"path" help:"Verify the proof in FILE (- for standard input) by itself, by --key, without a database."`
}

// Help implements kong.HelpProvider.
func (auditVerify) Help() string {
	return "Exit status 1: something is wrong, and the first thing that is, is named.\n\n" +
		"Example:\n\n" +
		"  tenure audit verify --key 'tenure/0198c0de…+1a2b3c4d+AQ…' --checkpoint /mnt/elsewhere/checkpoint"
}

// Run implements the verb.
func (c *auditVerify) Run(e *env) error {
	if c.Proof != "" {
		return c.proof(e)
	}
	var kept []string
	for _, name := range c.Checkpoint {
		text, err := keptCheckpoint(name)
		if err != nil {
			return err
		}
		kept = append(kept, text)
	}
	line := newProgress(e.stderr, "verified")
	q := ledger.Question{Keys: c.Key, Checkpoints: kept, Tell: line.tell}
	if c.File != "" {
		in := io.ReadCloser(os.Stdin)
		if c.File != "-" {
			var err error
			if in, err = os.Open(c.File); err != nil {
				return err
			}
		}
		got, err := ledger.VerifyExport(in, q)
		line.end()
		return errors.Join(c.found(e, got, err), in.Close())
	}
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		got, err := a.Ledger.Verify(e.ctx, by, q)
		line.end()
		return c.found(e, got, err)
	})
}

// keptCheckpoint reads a checkpoint: a file of it, or the last one of the lines that
// TENURE_AUDIT_FILE has.
func keptCheckpoint(name string) (text string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := bufio.NewReader(f)
	if first, _ := in.Peek(1); string(first) != "{" {
		whole, err := io.ReadAll(in)
		return string(whole), err
	}
	for lines := json.NewDecoder(in); ; {
		var mark audit.Mark
		if err := lines.Decode(&mark); err != nil { // its end, or a line that is being written
			return text, nil
		}
		if mark.Checkpoint != "" {
			text = mark.Checkpoint
		}
	}
}

// found tells what was found.
func (c *auditVerify) found(e *env, got ledger.Answer, err error) error {
	if err != nil {
		return err
	}
	if f := got.Fault; f != nil {
		event := ""
		if f.Event != "" {
			event = " (event " + f.Event + ")"
		}
		return fmt.Errorf("the audit log is not what was signed: at place %d%s %s; the %d places before are right", f.Place, event, f.What, got.Places)
	}
	if got.Told == nil {
		got.Told = []ledger.Told{}
	}
	view := map[string]any{"begun_anew": got.Anew, "erased": got.Erased, "removed": got.Removed, "told": got.Told, "places": got.Places, "checkpoints": got.Checkpoints, "unsigned": got.Unsigned, "waiting": got.Waiting, "keys": got.Keys}
	return c.print(e, view, func(w io.Writer) {
		fmt.Fprintln(w, told(got))
		for _, k := range got.Keys {
			fmt.Fprintf(w, "signed by %s\n", k)
		}
		if got.Erased > 0 {
			fmt.Fprintf(w, "of %d what may be about a person was erased: audit.erased tells of it\n", got.Erased)
		}
		if got.Removed > 0 {
			fmt.Fprintf(w, "%d were removed by retention, and their places stand: audit.events_removed tells of them\n", got.Removed)
		}
		for _, anew := range got.Anew {
			fmt.Fprintf(w, "begun anew at %s (%s): what was before is vouched for since then only\n", anew.At.UTC().Format("2006-01-02T15:04:05Z"), anew.Reason)
		}
	})
}

// told says what a verification found where nothing is wrong.
func told(got ledger.Answer) string {
	text := fmt.Sprintf("%d events are in their places, under %d checkpoints", got.Places, got.Checkpoints)
	if got.Unsigned > 0 {
		text += fmt.Sprintf(", the last %d not signed yet", got.Unsigned)
	}
	switch got.Waiting {
	case 0:
		return text
	case 1:
		return text + "; 1 has no place yet"
	}
	return text + fmt.Sprintf("; %d have no place yet", got.Waiting)
}

func (c *auditVerify) proof(e *env) error {
	if len(c.Key) == 0 {
		return tenure.InvalidField("key", "--proof needs --key: the public key to trust")
	}
	text, err := readNamed(c.Proof)
	if err != nil {
		return err
	}
	var p ledger.Proof
	if err := json.Unmarshal(text, &p); err != nil {
		return tenure.InvalidField("proof", "%s holds no proof as \"tenure audit prove\" prints it: %v", c.Proof, err)
	}
	size, err := p.Check(c.Key...)
	if err != nil {
		return err
	}
	return c.print(e, map[string]any{"place": p.Place, "places": size}, func(w io.Writer) {
		fmt.Fprintf(w, "event %s (%s, %s) is at place %d of a log of %d\n", p.Event.ID, p.Event.Action, p.Event.At.Format("2006-01-02T15:04:05Z"), p.Place, size)
	})
}

func readNamed(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(name)
}

type auditExport struct {
	local
	Format string `default:"tree" enum:"tree,ocsf" placeholder:"tree|ocsf" help:"tree: with all that verify needs. ocsf: events alone, in the classes of OCSF; that cannot be verified (default: ${default})."`
	Output string `placeholder:"FILE" type:"path" help:"Where to; standard output without it."`
}

// Help implements kong.HelpProvider.
func (auditExport) Help() string {
	return "A line of JSON for each event, in the order of their places, and for each checkpoint. It is of all tenants.\n\n" +
		"Example:\n\n  tenure audit export --output audit.jsonl\n  tenure audit verify audit.jsonl --key 'tenure/0198c0de…+1a2b3c4d+AQ…'"
}

// Run implements the verb.
func (c *auditExport) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) (err error) {
		out := e.stdout
		if c.Output != "" {
			f, failed := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if failed != nil {
				return failed
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			out = f
		}
		line := newProgress(e.stderr, "written")
		export := a.Ledger.Export
		if c.Format == "ocsf" {
			export = a.Sinks.ExportOCSF
		}
		n, err := export(e.ctx, by, out, line.tell)
		line.end()
		if err == nil && c.Output != "" {
			_, err = fmt.Fprintf(e.stdout, "%d events are in %s\n", n, c.Output)
		}
		return err
	})
}

type auditProve struct {
	local
	Event string `arg:"" help:"Id of the event."`
}

// Help implements kong.HelpProvider.
func (auditProve) Help() string {
	return "The proof is JSON, and verified by \"tenure audit verify --proof\" anywhere. An event has its place in the tree within seconds.\n\n" +
		"Example:\n\n  tenure audit prove 0198c0de-0000-7000-8000-000000000000 > proof.json"
}

// Run implements the verb.
func (c *auditProve) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		p, err := a.Ledger.Prove(e.ctx, by, c.Event)
		if err != nil {
			return err
		}
		out := json.NewEncoder(e.stdout)
		out.SetIndent("", "  ")
		return out.Encode(p)
	})
}

type auditCheckpoint struct {
	local
}

// Help implements kong.HelpProvider.
func (auditCheckpoint) Help() string {
	return "A checkpoint that is kept where nobody can change it shows later that the log was cut off or written anew.\n\n" +
		"Example:\n\n  tenure audit checkpoint > /mnt/elsewhere/checkpoint"
}

// Run implements the verb.
func (c *auditCheckpoint) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		text, err := a.Ledger.Checkpoint(e.ctx, by)
		if err != nil {
			return err
		}
		return c.print(e, map[string]string{"checkpoint": text}, func(w io.Writer) { fmt.Fprint(w, text) })
	})
}

type auditKeys struct {
	local
}

// Help implements kong.HelpProvider.
func (auditKeys) Help() string { return "Example:\n\n  tenure audit keys --json" }

// Run implements the verb.
func (c *auditKeys) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		keys, err := a.Ledger.Keys(e.ctx, by)
		if err != nil {
			return err
		}
		return c.print(e, api.ShowAuditKeys(keys), func(w io.Writer) {
			fmt.Fprintln(w, "KEY\tCREATED\tRETIRED\tCHECKPOINTS")
			for _, k := range keys {
				retired := ""
				if !k.RetiredAt.IsZero() {
					retired = short(k.RetiredAt)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", k.Public, short(k.CreatedAt), cmp.Or(retired, "–"), k.Checkpoints)
			}
		})
	})
}

type auditRotateKey struct {
	local
}

// Help implements kong.HelpProvider.
func (auditRotateKey) Help() string {
	return "The next checkpoint is signed by both keys, so that whoever trusts the one before can come to trust the new one.\n\n" +
		"Example:\n\n  tenure audit rotate-key"
}

// Run implements the verb.
func (c *auditRotateKey) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		k, err := a.Ledger.RotateKey(e.ctx, by)
		if err != nil {
			return err
		}
		return c.print(e, api.ShowAuditKey(k), func(w io.Writer) { fmt.Fprintf(w, "the log is signed with %s from here on\n", k.Public) })
	})
}

type auditBeginAnew struct {
	local
	Reason string `required:"" help:"Why; the audit log tells it for ever."`
}

// Help implements kong.HelpProvider.
func (auditBeginAnew) Help() string {
	return "What \"tenure audit verify\" names is not mended by it, and whoever verifies is told that the tree was begun anew. " +
		"Export the log first. On PostgreSQL it needs the role that owns the tables.\n\n" +
		"Example:\n\n  tenure audit begin-anew --reason 'disk snapshot of 3 March put back, see INC-31'"
}

// Run implements the verb.
func (c *auditBeginAnew) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		got, err := a.Ledger.BeginAnew(e.ctx, by, c.Reason)
		if err != nil {
			return err
		}
		return c.print(e, got, func(w io.Writer) {
			fmt.Fprintf(w, "the tree is begun anew over %d events; its checkpoints name %s from here on\nwhat was wrong: %s\n", got.Places, got.Epoch, got.Fault)
		})
	})
}
