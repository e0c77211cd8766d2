package evidence

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
)

// Exported is what the audit log tells of an export.
type Exported struct {
	audit.Evidence
	At        time.Time
	By        string
	RequestID string
	Event     string // id
}

// UnderWay is how far an export is.
type UnderWay struct {
	Since time.Time
	By    string
	What  string // is being written
	Rows  int64  // that are written
}

// History is who took which evidence.
type History struct {
	Exports  []Exported // the newest first; without a manifest: under way, or broken off
	UnderWay *UnderWay  // in this process; nil: none
}

// remembered is how many exports a history has.
const remembered = 50

// History tells of the exports of the asker's tenant.
func (e *Evidence) History(ctx context.Context, by tenure.Principal) (History, error) {
	if err := access.Check(by, tenure.ExportEvidence); err != nil {
		return History{}, err
	}
	events, err := e.DB.AuditTail(ctx, by.Tenant(), "evidence", 2*remembered)
	if err != nil {
		return History{}, err
	}
	var h History
	done := map[string]bool{} // what was begun by, and is done
	for _, event := range events {
		key := event.RequestID + " " + event.Actor + " " + event.Detail["from"] + " " + event.Detail["to"] + " " + event.Detail["seed"]
		if event.Action == "evidence.begun" && done[key] || len(h.Exports) == remembered {
			continue
		}
		done[key] = done[key] || event.Action == "evidence.exported"
		h.Exports = append(h.Exports, exported(event))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if u := e.busy[by.Tenant()]; u != nil {
		now := *u
		h.UnderWay = &now
	}
	return h, nil
}

func exported(event tenure.AuditEvent) Exported {
	d := event.Detail
	out := Exported{At: event.At, By: event.Actor, RequestID: event.RequestID, Event: event.ID}
	out.From, _ = time.Parse(time.RFC3339Nano, d["from"])
	out.To, _ = time.Parse(time.RFC3339Nano, d["to"])
	out.Controls, out.Seed, out.Manifest = strings.Fields(d["controls"]), d["seed"], d["manifest_sha256"]
	out.Sample, _ = strconv.Atoi(d["sample"])
	out.Files, _ = strconv.Atoi(d["files"])
	out.Failed, _ = strconv.Atoi(d["failed"])
	return out
}

// FileName is what a bundle is called that was made at an instant.
func FileName(at time.Time) string {
	return "tenure-evidence-" + at.UTC().Format("2006-01-02T150405Z") + ".zip"
}
