package dash

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// providerWhere says where a provider may be, and what keeps it from being asked.
func (d *Dash) providerWhere(r *http.Request, p tenure.Provider, now time.Time) string {
	where := "as the policy says"
	switch {
	case p.Excepted(now):
		where = "in a private network or on this machine, by an exception until " + day(p.ExceptionUntil)
	case p.Exception != "":
		where = "as the policy says: its exception is not in force"
	}
	if closed := d.Vault.Closed(r.Context(), p); closed != "" {
		where += ". Nothing connects to it: " + closed
	}
	return where
}

// providerExceptionForm asks by which exception a provider is where the policy lets none be.
func (d *Dash) providerExceptionForm(r *http.Request) (*formPage, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	p, err := d.Vault.Get(ctx, by, tenure.ProviderID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	excepted, err := d.Exceptions.InForce(ctx, by, tenure.Deviation{Tenant: p.Tenant, Workspace: p.Workspace, Provider: p.ID}, tenure.RuleProviderNetwork)
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Where a provider may be"), Heading: fmt.Sprintf("Where “%s” may be", p.Name), Action: providerPath(p) + "/exception", Button: "Save", Back: providerPath(p),
		Lead: []string{"By an exception a provider is in a private network or on this machine, where the policy provider_networks lets none be. When it ends, what streams from there ends too."},
	}
	page.Address = page.Action
	which := field{Kind: oneField, Name: "exception", Label: "By which exception?", Options: []option{{Label: "None: as the policy says", On: p.Exception == ""}}}
	for _, x := range excepted {
		which.Options = append(which.Options, option{Value: string(x.ID), Label: x.Title, Hint: "It ends on " + day(x.End()) + ", and this with it.", On: x.ID == p.Exception})
	}
	if len(excepted) == 0 {
		which.Hint = "There is none in force for this provider: ask for one of the rule provider_network, for the provider " + string(p.ID) + "."
	}
	page.Fields = []field{which}
	return page, nil
}

func (d *Dash) askProviderException(w http.ResponseWriter, r *http.Request) error {
	page, err := d.providerExceptionForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setProviderException(w http.ResponseWriter, r *http.Request) error {
	by := tenure.ExceptionID(sent(r, "exception"))
	if _, err := d.Vault.Change(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")), vault.ProviderChange{Exception: &by}); err != nil {
		page, failed := d.providerExceptionForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showProvider(w, r, "Saved: it counts from the next request on.")
}
