// Package governance answers for what others do: the report of everything that a
// person has or had, and the reading of the audit log. It owns the judgement of
// whether a leaver is gone, and the forms in which a report leaves the house.
//
// It ends nothing and changes nothing: internal/directory and internal/token end
// what the report names.
package governance

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Governance is the act of answering. Its fields are set before first use.
type Governance struct {
	DB   *store.DB
	Live *live.Live
	// SessionIdle is how long a browser session may go unused.
	SessionIdle time.Duration
}

// AuditFilter chooses audit events; its tenant is always the asker's.
type AuditFilter = store.AuditFilter

// Audit lists events of the asker's tenant, newest first. Limit is at most 1000.
func (g *Governance) Audit(ctx context.Context, by tenure.Principal, f AuditFilter) ([]tenure.AuditEvent, error) {
	if err := access.Check(by, tenure.ReadAudit); err != nil {
		return nil, err
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return nil, tenure.InvalidField("until", "until must be later than since")
	}
	f.Tenant = by.Tenant()
	return g.DB.AuditEvents(ctx, f)
}

// ActivityPage is a part of a list and where the next part begins.
type ActivityPage struct {
	Events []tenure.AuditEvent
	Next   string // "" at the end
}

// Activity lists what the asker did, and what was done to them and to what is
// theirs, newest first. Where somebody else did it, their address and request are
// not told. Without a person behind it there is nothing.
func (g *Governance) Activity(ctx context.Context, by tenure.Principal, after string, limit int) (ActivityPage, error) {
	if err := access.Check(by, tenure.ListActivity); err != nil {
		return ActivityPage{}, err
	}
	if by.User() == "" {
		return ActivityPage{}, nil
	}
	rows, err := g.DB.Activity(ctx, by.Tenant(), by.User(), after, limit+1)
	page := ActivityPage{Events: rows}
	if len(rows) > limit {
		page.Events, page.Next = rows[:limit], rows[limit-1].ID
	}
	for i := range page.Events {
		e := &page.Events[i]
		if own := e.ActorID == string(by.User()) || e.ActorKind == string(tenure.KindPAT) && e.ActorID == e.ObjectID; !own {
			e.Address, e.RequestID, e.Detail = "", "", nil
		}
	}
	return page, err
}
