package dash

import (
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// An activityPage lists what one did, and what was done to what is one's own.
type activityPage struct {
	frame
	Events []ownEvent
	Next   string
	Older  bool // this is not the first page
	Limits []limitRow
	Used   []usageRow // by model, in the last 30 days
}

// An ownEvent is a row of it.
type ownEvent struct {
	tenure.AuditEvent
	What string
	Mine bool // one did it oneself
}

func (d *Dash) activity(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	by, after := web.Principal(r.Context()), r.URL.Query().Get("cursor")
	rows, err := d.Governance.Activity(r.Context(), by, after, perPage)
	if err != nil {
		return err
	}
	page := activityPage{frame: d.frame(r, "My activity"), Next: rows.Next, Older: after != ""}
	if !page.Older {
		if err := d.ownUse(r, by, &page); err != nil {
			return err
		}
	}
	for _, e := range rows.Events {
		own := ownEvent{AuditEvent: e, What: happened(e.Action), Mine: e.ActorID == string(by.User())}
		if own.Object == by.Label() { // it is about oneself, in a workspace perhaps
			own.Object = page.Space(e.Workspace)
		}
		page.Events = append(page.Events, own)
	}
	return d.show(w, http.StatusOK, "activity", page)
}

// ownUse fills in what one used, and what is left of it.
func (d *Dash) ownUse(r *http.Request, by tenure.Principal, page *activityPage) error {
	bounds, err := d.Limits.Own(r.Context(), by)
	if err != nil {
		return err
	}
	currency, err := d.Prices.Currency(r.Context())
	if err != nil {
		return err
	}
	for _, v := range bounds {
		row := limitRowOf(v, currency)
		if v.Kind == tenure.LimitUser {
			row.On = "All that you ask"
		}
		page.Limits = append(page.Limits, row)
	}
	used, err := d.Directory.OwnModelUses(r.Context(), by, time.Time{}, time.Time{}, tenure.UseByModel)
	for _, u := range used {
		page.Used = append(page.Used, page.usageRow(u, currency))
	}
	return err
}
