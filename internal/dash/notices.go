package dash

import (
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

// How many notices a page lists.
const (
	noticesHere = 20  // in Settings
	noticesAll  = 100 // in the administration
)

// A noticesPage is the tenant's notices.
type noticesPage struct {
	frame
	Notices []tenure.Notice
	Next    tenure.NoticeID
	Older   bool // this is not the first page
	May     bool // who asks may mark them as read
}

func (d *Dash) notices(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	by, after := web.Principal(r.Context()), tenure.NoticeID(r.URL.Query().Get("cursor"))
	rows, err := d.Notices.All(r.Context(), by, false, after, noticesAll)
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "notices", noticesPage{
		frame: d.frame(r, "Notices"), Notices: rows.Notices, Next: rows.Next, Older: after != "", May: access.Check(by, tenure.ReadAnyNotice) == nil,
	})
}

// readNotice marks a notice as read and goes back to the page that showed it.
func (d *Dash) readNotice(back string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := d.Notices.Read(r.Context(), web.Principal(r.Context()), tenure.NoticeID(r.PathValue("id"))); err != nil {
			return err
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
		return nil
	}
}
