package dash

import (
	"net/http"

	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// driftRows is how many people of one kind the page lists.
const driftRows = 200

// A driftPage shows where the names that people sign in with and those that
// SCIM provisions diverge.
type driftPage struct {
	frame
	Diverging   int
	Provisioned int
	Kinds       []driftKind
}

// A driftKind is one section of the page.
type driftKind struct {
	ID      string
	Heading string
	Advice  string
	Warn    bool // it is a fault, not only a fact
	People  []directory.Drifter
	Total   int
}

func (d *Dash) drift(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	report, err := d.Directory.Drift(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	page := driftPage{frame: d.frame(r, "Drift"), Diverging: report.Diverging(), Provisioned: report.Provisioned}
	headings := map[directory.DriftKind]string{
		directory.Leaver:        "Has left, and is still in under another name",
		directory.Lookalike:     "Signed in under a name that is nearly a provisioned one",
		directory.Unprovisioned: "Signed in and never provisioned",
		directory.NeverSignedIn: "Provisioned and never signed in under that name",
	}
	for _, kind := range directory.DriftKinds() {
		people := report.Of(kind)
		if len(people) == 0 {
			continue
		}
		page.Kinds = append(page.Kinds, driftKind{
			ID: string(kind), Heading: headings[kind], Advice: kind.Advice(), Warn: kind != directory.NeverSignedIn,
			People: people[:min(len(people), driftRows)], Total: len(people),
		})
	}
	return d.show(w, http.StatusOK, "drift", page)
}

// More is how many people of the kind are not on the page.
func (k driftKind) More() int { return k.Total - len(k.People) }
