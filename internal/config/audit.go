package config

import (
	"cmp"
	"path/filepath"
)

// Audit are the settings of where this process puts audit events.
type Audit struct {
	AuditFile        string `name:"audit-file" env:"TENURE_AUDIT_FILE" placeholder:"FILE" help:"Every audit event as a line of JSON, of all tenants (default: none)."`
	AuditFileSize    string `name:"audit-file-size" env:"TENURE_AUDIT_FILE_SIZE" default:"100MiB" placeholder:"SIZE" help:"Size from which on that file is put aside, and a new one begun (default: ${default})."`
	AuditFileKeep    string `name:"audit-file-keep" env:"TENURE_AUDIT_FILE_KEEP" default:"10" placeholder:"N" help:"How many of those put aside are kept (default: ${default})."`
	AuditCheckpoints string `name:"audit-checkpoints" env:"TENURE_AUDIT_CHECKPOINTS" placeholder:"DIR" help:"Directory that gets each signed checkpoint of the audit log as a file (default: none)."`
}

// AuditFile is where this process puts audit events, typed.
type AuditFile struct {
	Path        string // absolute; "": nowhere
	Size        int64  // bytes
	Keep        int
	Checkpoints string // directory, absolute; "": none
}

func (r *reader) audit(s Audit, c *Checked) {
	c.Audit = AuditFile{
		Path: s.AuditFile, Size: r.size("TENURE_AUDIT_FILE_SIZE", cmp.Or(s.AuditFileSize, "100MiB"), 4<<10, 1<<40),
		Keep: r.count("TENURE_AUDIT_FILE_KEEP", cmp.Or(s.AuditFileKeep, "10"), 10_000), Checkpoints: s.AuditCheckpoints,
	}
	if s.AuditFile != "" && !filepath.IsAbs(s.AuditFile) {
		r.fail("TENURE_AUDIT_FILE", "it is no absolute path", "/var/log/tenure/audit.jsonl")
	}
	if s.AuditCheckpoints != "" && !filepath.IsAbs(s.AuditCheckpoints) {
		r.fail("TENURE_AUDIT_CHECKPOINTS", "it is no absolute path", "/mnt/elsewhere/checkpoints")
	}
}
