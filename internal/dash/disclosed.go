package dash

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A disclosedPage shows what another person's beliefs say, by an exception; without one, how
// to ask for one.
type disclosedPage struct {
	frame
	looking
	Who  string
	Back string
	Ask  string            // where an exception is asked for
	By   *tenure.Exception // or nil
	Rows []tenure.Belief
	Next tenure.BeliefID
}

// disclosed lists what another person's beliefs say, by the exception that ends last of those
// that the reader asked for.
func (d *Dash) disclosed(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	u, err := d.Directory.User(ctx, by, tenure.UserID(r.PathValue("id")))
	if err != nil {
		return err
	}
	back := "/admin/people/" + string(u.ID)
	page := disclosedPage{
		frame: d.frame(r, "Beliefs of "+u.UserName), looking: look(back+"/beliefs", r.URL.Query()), Who: u.UserName, Back: back,
		Ask: exceptionsPath + "/new?" + url.Values{"rule": {string(tenure.RuleBeliefsRead)}, "kind": {tenure.SubjectUser}, "subject": {u.UserName}}.Encode(),
	}
	all, err := d.Exceptions.InForce(ctx, by, tenure.Deviation{Tenant: u.Tenant, User: u.ID}, tenure.RuleBeliefsRead)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(x tenure.Exception) bool { return x.Requester != by.User() })
	if len(all) == 0 || by.User() == "" {
		return d.show(w, http.StatusOK, "disclosed", page)
	}
	x := slices.MaxFunc(all, func(a, b tenure.Exception) int { return a.End().Compare(b.End()) })
	found, err := d.Beliefs.Disclose(ctx, by, u.ID, x.ID, belief.Look{History: true, After: tenure.BeliefID(page.Get("cursor")), Limit: perPage})
	if err != nil {
		return err
	}
	page.By, page.Rows, page.Next = &x, found.Beliefs, found.Next
	return d.show(w, http.StatusOK, "disclosed", page)
}
