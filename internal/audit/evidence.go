package audit

import (
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Evidence is what is told of a bundle of evidence.
type Evidence struct {
	From, To time.Time
	Controls []string // none: all
	Sample   int
	Seed     string
	Manifest string // SHA-256, in hexadecimal
	Files    int
	Failed   int // checks
}

// EvidenceBegun tells that somebody has evidence exported, before the first byte leaves.
func EvidenceBegun(p tenure.Principal, f Evidence) tenure.AuditEvent {
	e := by(p, "evidence.begun")
	e.Detail = map[string]string{
		"from": f.From.UTC().Format(time.RFC3339Nano), "to": f.To.UTC().Format(time.RFC3339Nano), "controls": strings.Join(f.Controls, " "),
		"sample": strconv.Itoa(f.Sample), "seed": f.Seed,
	}
	return e
}

// EvidenceExported tells that it is done, before it is signed.
func EvidenceExported(p tenure.Principal, f Evidence) tenure.AuditEvent {
	e := EvidenceBegun(p, f)
	e.Action = "evidence.exported"
	e.Detail["manifest_sha256"], e.Detail["files"], e.Detail["failed"] = f.Manifest, strconv.Itoa(f.Files), strconv.Itoa(f.Failed)
	return e
}
