package dash

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/web"
)

const (
	retentionPath = "/admin/audit/retention"
	holdsPath     = "/admin/audit/holds"
)

// A retentionPage shows how long audit events are kept, what was removed, and legal holds.
type retentionPage struct {
	frame
	ledger.Retention
	Notice string
	Place  bool // they may place a hold,
	Free   bool // and release one
	Policy bool // and may see the policy
}

// Kept says how long events are kept.
func (p retentionPage) Kept() string { return keptFor(p.Now, p.Retention) }

// From is the time of the oldest event of a removal.
func (p retentionPage) From(e tenure.AuditEvent) moment { return p.instant(e, "oldest") }

// To is the time of the newest.
func (p retentionPage) To(e tenure.AuditEvent) moment { return p.instant(e, "newest") }

func (p retentionPage) instant(e tenure.AuditEvent, key string) moment {
	at, err := time.Parse(time.RFC3339Nano, e.Detail[key])
	if err != nil {
		return p.At(time.Time{})
	}
	return p.At(at)
}

func (d *Dash) retention(w http.ResponseWriter, r *http.Request) error {
	return d.showRetention(w, r, "")
}

func (d *Dash) showRetention(w http.ResponseWriter, r *http.Request, notice string) error {
	by := web.Principal(r.Context())
	page := retentionPage{
		frame: d.frame(r, "Audit retention"), Notice: notice, Place: may(by, tenure.PlaceHold), Free: may(by, tenure.ReleaseHold), Policy: may(by, tenure.ReadPolicy),
	}
	page.Address = retentionPath
	var err error
	if page.Retention, err = d.Ledger.Retention(r.Context(), by); err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "retention", page)
}

func (d *Dash) placeHoldForm(r *http.Request) *formPage {
	page := &formPage{
		frame: d.frame(r, "New legal hold"), Heading: "Place a legal hold", Action: holdsPath, Button: "Place the hold", Back: retentionPath,
		Lead:   []string{"Until it is released nothing of this tenant’s audit log is removed, and nothing about a person is erased from it, whoever asks."},
		Fields: []field{{Kind: textField, Name: "matter", Label: "What it is for", Most: tenure.MaxText, Needed: true, Example: "Case 4711", Hint: "It is in the audit log for ever: name nobody in it."}},
	}
	page.Address = holdsPath + "/new"
	return page
}

func (d *Dash) newHold(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.placeHoldForm(r))
}

func (d *Dash) placeHold(w http.ResponseWriter, r *http.Request) error {
	h, err := d.Ledger.PlaceHold(r.Context(), web.Principal(r.Context()), sent(r, "matter"))
	if err != nil {
		return d.askAgain(w, r, d.placeHoldForm(r), err)
	}
	return d.showRetention(w, r, fmt.Sprintf("The hold “%s” is in force: nothing is removed or erased.", h.Matter))
}

func (d *Dash) releaseHoldForm(r *http.Request) (*formPage, error) {
	h, err := d.Ledger.Hold(r.Context(), web.Principal(r.Context()), tenure.HoldID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Release a legal hold"), Heading: fmt.Sprintf("Release the hold “%s”?", h.Matter), Action: holdsPath + "/" + string(h.ID) + "/release",
		Button: "Release the hold", Back: retentionPath, Danger: true,
		Lead:   []string{"Where no other hold is in force, what is older than events are kept is removed from then on, and nothing brings it back."},
		Fields: []field{{Kind: textField, Name: "reason", Label: "Why", Most: tenure.MaxText, Needed: true, Hint: "It is in the audit log for ever: name nobody in it."}},
	}
	page.Address = page.Action
	page.Facts = []fact{{Name: "Placed", At: page.At(h.PlacedAt)}, {Name: "By", Text: h.PlacedBy}}
	return page, nil
}

func (d *Dash) askReleaseHold(w http.ResponseWriter, r *http.Request) error {
	page, err := d.releaseHoldForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) releaseHold(w http.ResponseWriter, r *http.Request) error {
	h, err := d.Ledger.ReleaseHold(r.Context(), web.Principal(r.Context()), tenure.HoldID(r.PathValue("id")), sent(r, "reason"))
	if err != nil {
		page, failed := d.releaseHoldForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showRetention(w, r, fmt.Sprintf("The hold “%s” is released.", h.Matter))
}
