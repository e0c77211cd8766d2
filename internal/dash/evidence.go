package dash

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/web"
)

const evidencePath = "/admin/evidence"

// An evidencePage asks of which period evidence is to be, and tells who took which.
type evidencePage struct {
	frame
	Controls []string
	From, To string // days
	Sample   string
	Seed     string
	Chosen   []string
	Wrong    string
	Exports  exportsPart
}

// An exportsPart is what the page asks for anew while an export is under way.
type exportsPart struct {
	frame
	evidence.History
}

// Picked reports whether a control is chosen.
func (p evidencePage) Picked(control string) bool {
	for _, c := range p.Chosen {
		if c == control {
			return true
		}
	}
	return false
}

func (d *Dash) evidenceRoutes() []web.Route {
	return []web.Route{
		d.look("GET "+evidencePath, tenure.ExportEvidence, d.evidence),
		d.do("POST "+evidencePath, tenure.ExportEvidence, d.exportEvidence),
		{Pattern: "GET " + evidencePath + "/exports", Action: tenure.ExportEvidence, Fail: d.failQuietly, Handle: d.secured(d.liveExports)},
	}
}

func (d *Dash) evidence(w http.ResponseWriter, r *http.Request) error {
	now := time.Now().UTC()
	quarter := time.Date(now.Year(), (now.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC)
	return d.showEvidence(w, r, http.StatusOK, evidencePage{From: quarter.Format(time.DateOnly), Sample: "25"})
}

func (d *Dash) showEvidence(w http.ResponseWriter, r *http.Request, status int, page evidencePage) error {
	h, err := d.Evidence.History(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	page.frame = d.frame(r, "Evidence")
	page.Address, page.Controls, page.Exports = evidencePath, evidence.Controls(), exportsPart{page.frame, h}
	return d.show(w, status, "evidence", page)
}

func (d *Dash) liveExports(w http.ResponseWriter, r *http.Request) error {
	h, err := d.Evidence.History(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	return d.part(w, "exports", exportsPart{d.frame(r, "Evidence"), h})
}

// exportEvidence streams a bundle to be saved. What is wrong before its first byte stands
// on the page.
func (d *Dash) exportEvidence(w http.ResponseWriter, r *http.Request) error {
	page := evidencePage{From: sent(r, "from"), To: sent(r, "to"), Sample: sent(r, "sample"), Seed: sent(r, "seed"), Chosen: r.PostForm["control"]}
	q, err := page.query(r)
	out, rc := &web.Download{W: w, Type: "application/zip", Name: evidence.FileName(time.Now())}, http.NewResponseController(w)
	q.Unblock = func() { _ = rc.SetWriteDeadline(time.Now()) }
	if err == nil {
		_, err = d.Evidence.Export(r.Context(), web.Principal(r.Context()), q, out)
	}
	if err == nil || out.Begun { // what is cut short has no signature, and does not open
		return err
	}
	kind := tenure.AsError(err).Kind
	if kind != tenure.Invalid && kind != tenure.Conflict {
		return err
	}
	page.Wrong = sentence(tenure.AsError(err).Msg)
	return d.showEvidence(w, r, web.Status(kind), page)
}

func (p evidencePage) query(r *http.Request) (evidence.Query, error) {
	q := evidence.Query{Controls: p.Chosen, Seed: p.Seed}
	var err error
	if q.From, err = sentDay(r, "from", true); err != nil {
		return q, err
	}
	if q.To, err = sentDay(r, "to", false); err != nil {
		return q, err
	}
	if !q.To.IsZero() { // the day is in it
		if q.To = q.To.AddDate(0, 0, 1); q.To.After(time.Now()) {
			q.To = time.Time{}
		}
	}
	if q.Sample, err = strconv.Atoi(strings.TrimSpace(p.Sample)); err != nil {
		return q, tenure.InvalidField("sample", "sample: expected a number")
	}
	return q, nil
}
