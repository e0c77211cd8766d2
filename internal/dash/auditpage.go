package dash

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/web"
)

// An auditPage shows the audit log.
type auditPage struct {
	frame
	looking
	Events  []event
	Next    string
	Places  spaces
	Kept    string
	Subject string // of whom the events are, where that was asked
	Sinks   bool   // they may see where events are sent
	// Verified is what is known of its verification; nil: this person may not know.
	Verified *verifiedPart
}

// Kinds are the first words of what happens.
func (auditPage) Kinds() []string {
	return []string{
		"authentication", "connector", "group", "membership", "policy", "provider", "request", "root_token", "service_account", "session",
		"tenant", "token", "tokens", "user", "workspace",
	}
}

func (d *Dash) audit(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	return d.showAudit(w, r)
}

func (d *Dash) showAudit(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	page := auditPage{frame: d.frame(r, "Audit"), looking: look("/admin/audit", r.URL.Query())}
	page.Address, page.Sinks = "/admin/audit", may(by, tenure.ListSinks)
	var err error
	if may(by, tenure.VerifyAudit) {
		if page.Verified, err = d.verifiedPart(r); err != nil {
			return err
		}
	}
	if page.Places, err = d.spaces(r); err != nil {
		return err
	}
	retention, err := d.Ledger.Retention(ctx, by)
	if err != nil {
		return err
	}
	page.Kept = keptFor(page.Now, retention)
	f := page.filter()
	if name := page.Get("workspace"); name != "" {
		ws, err := d.Directory.Workspace(ctx, by, name)
		if err != nil {
			page.refused = refused{Field: "workspace", Msg: "there is no workspace of this name"}
		}
		f.Workspace = ws.ID
	}
	if page.Field == "" {
		rows, err := d.Governance.Audit(ctx, by, f)
		wrong, refused := asRefused(err)
		if err != nil && !refused {
			return err
		}
		page.refused = wrong
		if len(rows) > perPage {
			rows = rows[:perPage]
			page.Next = rows[perPage-1].ID
		}
		page.Events = page.events(rows, page.Places, f.RequestID)
	}
	return d.show(w, page.status(), "audit", page)
}

func (p *auditPage) filter() governance.AuditFilter {
	f := governance.AuditFilter{
		Actor: p.Get("who"), Object: p.Get("about"), Action: p.Get("what"), RequestID: p.Get("request"), Person: tenure.UserID(p.Get("person")),
		Since: p.day("from"), Until: p.day("to"), After: p.Get("cursor"), Limit: perPage + 1,
	}
	if !f.Until.IsZero() { // the day itself is among them
		f.Until = f.Until.Add(24 * time.Hour)
	}
	return f
}

// events are the rows of a list of what happened.
func (f frame) events(rows []tenure.AuditEvent, known spaces, followed string) []event {
	out := make([]event, len(rows))
	for i, e := range rows {
		ev := event{AuditEvent: e, When: f.Stamp(e.At), Who: e.Actor, Followed: followed != ""}
		if ev.Who == "" {
			ev.Who = strings.ReplaceAll(e.ActorKind, "_", " ")
		}
		if e.Workspace != "" {
			ev.Workspace = known.Name(e.Workspace)
		}
		ev.Facts = facts(e)
		out[i] = ev
	}
	return out
}

// facts are all that an event says beside its row.
func facts(e tenure.AuditEvent) []fact {
	var out []fact
	for _, x := range []fact{
		{Name: "At", Text: e.At.UTC().Format("2006-01-02T15:04:05.000Z"), Code: true},
		{Name: "Reason", Text: e.Reason},
		{Name: "By", Text: strings.ReplaceAll(e.ActorKind, "_", " ")},
		{Name: "Id of who", Text: e.ActorID, Code: true},
		{Name: "Id of what", Text: e.ObjectID, Code: true},
		{Name: "Address", Text: e.Address, Code: true},
		{Name: "Event", Text: e.ID, Code: true},
	} {
		if x.Text != "" {
			out = append(out, x)
		}
	}
	if len(e.Erased) > 0 {
		out = append(out, fact{Name: "Erased", Text: "What may be about a person: who did it, on whom, from where, why."})
	}
	for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
		if e.Detail[key] != "" {
			out = append(out, fact{Name: kind(key), Text: e.Detail[key]})
		}
	}
	return out
}
