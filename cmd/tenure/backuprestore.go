package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/backup"
	"github.com/tenure-gateway/tenure/internal/config"
)

type backupRestore struct {
	config.Local
	unlocking
	File        string   `arg:"" help:"The backup; - is standard input."`
	Replace     bool     `help:"Replace a database that is not empty. What had ended in it stays ended."`
	Seen        []string `placeholder:"FILE" help:"seen.json of a replica's home: what it has seen to end stays ended; may be given again."`
	Revocations []string `placeholder:"FILE" help:"List of what has ended since: ids, digests or first characters of tokens, or the audit log as JSON; may be given again."`
	SHA256      string   `name:"sha256" placeholder:"HEX" help:"The backup's, as it was told when it was made: no other is restored."`
	DryRun      bool     `help:"Do everything, say what came of it, and undo it."`
	Imports     string   `hidden:"" env:"TENURE_BACKUP_IMPORTS_ENABLED" default:"true"`
	JSON        bool     `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (backupRestore) Help() string {
	return `Example, into a new database, with what the audit log of the lost one was exported to:

  tenure backup restore --identity backup.key --revocations audit.jsonl 2026-11-22.age

Stop every server first. The database may be another kind than the backup was made of: this is the way from SQLite to PostgreSQL, and back. ` +
		`All of it is put in place in one transaction, or nothing. Sessions end. It says what it could not know: what ended between the backup and now, and is on no list, lives again.`
}

// Run implements the verb.
func (c *backupRestore) Run(e *env) error {
	ends, err := c.ends()
	if err != nil {
		return err
	}
	with, f, err := c.open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b, by, done, err := openBackups(e, c.Local, true)
	if err != nil {
		return err
	}
	if b.NoImports, err = switchedOff("TENURE_BACKUP_IMPORTS_ENABLED", c.Imports); err != nil {
		return errors.Join(err, done())
	}
	line := newProgress(e.stderr, "restored")
	out, err := b.Restore(e.ctx, by, f, with, backup.RestoreOptions{Replace: c.Replace, DryRun: c.DryRun, SHA256: c.SHA256, Ends: ends}, line.tell)
	line.end()
	if err = errors.Join(err, done()); err != nil {
		return err
	}
	return local{JSON: c.JSON}.print(e, restoredView(out), func(w io.Writer) { tellRestored(w, out) })
}

// ends reads the lists that the flags name.
func (c *backupRestore) ends() (backup.Ends, error) {
	var out backup.Ends
	for _, from := range []struct {
		files []string
		add   func(string, io.Reader) error
	}{{c.Seen, out.AddSeen}, {c.Revocations, out.AddList}} {
		for _, name := range from.files {
			f, err := os.Open(name)
			if err != nil {
				return out, err
			}
			if err := errors.Join(from.add(name, f), f.Close()); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

func restoredView(r backup.Restored) map[string]any {
	lists := make([]map[string]any, len(r.Lists))
	for i, l := range r.Lists {
		lists[i] = map[string]any{"name": l.Name, "entries": l.Entries, "ended": l.Ended, "unknown": l.Unknown, "events": l.Events, "vague": l.Vague, "tenants": append([]tenure.TenantID{}, l.Tenants...)}
	}
	view := summaryView(r.Header)
	maps.Copy(view, map[string]any{
		"dry_run": r.DryRun, "sessions_ended": r.Sessions, "ended": r.Ended, "gone": r.Gone, "lost": r.Lost, "lists": lists, "sha256": r.Digest, "vouched_by": r.VouchedBy,
		"audit_kept": r.AuditKept, "known_until": stamp(r.KnownUntil), "unknown_seconds": int(r.Now.Sub(r.KnownUntil).Seconds()),
	})
	return view
}

// tellRestored says what was done, and what could not be known.
func tellRestored(w io.Writer, r backup.Restored) {
	fmt.Fprintf(w, "%d rows restored, as of %s; %d sessions ended.\n", r.Rows, short(r.At), r.Sessions)
	if text := counted(r.Ended); text != "" {
		fmt.Fprintf(w, "Stays ended, because it had in the database that was replaced: %s.\n", text)
	}
	if text := counted(r.Gone); text != "" {
		fmt.Fprintf(w, "Ended, because the database that was replaced had it no more: %s. If that was the damage, restore into an empty database.\n", text)
	}
	if text := counted(r.Lost); text != "" {
		fmt.Fprintf(w, "Lost, because it was made since: %s.\n", text)
	}
	if r.AuditKept > 0 {
		fmt.Fprintf(w, "The audit log goes on: %d events of the database that was replaced are kept.\n", r.AuditKept)
	}
	for _, l := range r.Lists {
		fmt.Fprintf(w, "%s: %d ends told, %d of them ended now, %d of what the backup does not have.\n", l.Name, l.Entries, l.Ended, l.Unknown)
		switch {
		case l.Events > 0 && len(l.Tenants) == 0:
			fmt.Fprintf(w, "%s: it does not reach back to the backup, or has gaps: it tells of ends, and not of all.\n", l.Name)
		case l.Events > 0:
			fmt.Fprintf(w, "%s: it has all of these tenants since the backup: %s.\n", l.Name, joined(l.Tenants))
		}
		if l.Vague > 0 {
			fmt.Fprintf(w, "%s: %d changes took members out of groups, and do not say whom: let the identity provider push its groups again.\n", l.Name, l.Vague)
		}
	}
	switch r.VouchedBy {
	case "":
		fmt.Fprintf(w, "NOT PROVEN: that this backup was made here. Compare its SHA-256 with the one that was told then: %s\n", r.Digest)
	case "sha256":
	default:
		fmt.Fprintf(w, "That it was made here is told by: %s.\n", r.VouchedBy)
	}
	if gap := r.Now.Sub(r.KnownUntil); gap >= time.Second {
		fmt.Fprintf(w, "NOT KNOWN: what ended between %s and now (%s). Let the identity provider send everything again, and compare.\n", short(r.KnownUntil), tenure.FormatSpan(gap.Round(time.Second)))
	}
	if r.DryRun {
		fmt.Fprintln(w, "This was a trial: nothing has changed.")
	}
}

func joined(ids []tenure.TenantID) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return strings.Join(out, ", ")
}

func counted(counts map[string]int64) string {
	parts := make([]string, 0, len(counts))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], strings.ReplaceAll(name, "_", " ")))
	}
	return strings.Join(parts, ", ")
}
