package dash

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/web"
)

// reportRows is how many items of one kind the page lists.
const reportRows = 500

// A reportPage shows everything that a person has or had, and whether they are gone.
type reportPage struct {
	frame
	Report governance.Report
	Cut    string // how long the cutting of streams took, "" when it was not told
	Kinds  []reportKind
}

// A reportKind is one section of the page.
type reportKind struct {
	ID      string
	Heading string
	Items   []governance.Item
	Total   int
}

// More is how many items of the kind are not on the page.
func (k reportKind) More() int { return k.Total - len(k.Items) }

func (d *Dash) report(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	report, err := d.Governance.Report(r.Context(), web.Principal(r.Context()), r.PathValue("id"))
	if err != nil {
		return err
	}
	page := reportPage{frame: d.frame(r, "Report"), Report: report}
	if report.StreamsCut >= 0 {
		page.Cut = took(report.CutTook)
	}
	for _, k := range [...]reportKind{
		{ID: governance.KindStream, Heading: "Open streams"},
		{ID: governance.KindSession, Heading: "Sessions"},
		{ID: governance.KindToken, Heading: "Tokens"},
		{ID: governance.KindAccount, Heading: "Service accounts"},
		{ID: governance.KindMembership, Heading: "Memberships"},
		{ID: governance.KindGroup, Heading: "Groups"},
		{ID: governance.KindRequest, Heading: "Requests for tokens"},
		{ID: governance.KindProvider, Heading: "Model providers that they added"},
		{ID: governance.KindConnector, Heading: "SCIM connectors that they made"},
		{ID: governance.KindException, Heading: "Exceptions for them, or that are theirs to make needless"},
	} {
		k.Items = report.Of(func(i governance.Item) bool { return i.Kind == k.ID })
		if k.Total = len(k.Items); k.Total > 0 {
			k.Items = k.Items[:min(k.Total, reportRows)]
			page.Kinds = append(page.Kinds, k)
		}
	}
	return d.show(w, http.StatusOK, "report", page)
}

// kind is the name of a kind of item, for people.
func kind(name string) string { return strings.ReplaceAll(name, "_", " ") }
