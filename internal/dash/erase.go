package dash

import (
	"fmt"
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/web"
)

// eraseForm asks why what the audit log has about somebody is to be erased.
func (d *Dash) eraseForm(r *http.Request) (*formPage, error) {
	person, err := d.about(r, tenure.EraseAudit)
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: person.frame, Heading: "Erase what the audit log has about " + person.Person.UserName + "?", Button: "Erase", Danger: true,
		Action: person.Path() + "/erase-audit", Back: person.Path(),
		Lead: []string{
			"From events older than 90 days in which they are actor or object goes what may be about a person: who, on what, from where, why, and the details. Who else is named in such an event goes too.",
			"The events stay in their places, and proofs of them hold. Younger ones stay as they are, and can be erased later.",
			"Nothing brings it back, save an older backup.",
			"It is about the audit log alone. What they stated or decided themselves, their beliefs, goes when they erase it, or when the identity provider deletes them.",
		},
		Fields: []field{{
			Kind: textField, Name: "reason", Label: "Reason", Most: 1000, Needed: true, Example: "Request 4711",
			Hint: "The audit log tells it for ever, with your name: it should name nobody.",
		}},
	}
	page.Title = page.Heading
	page.Address = page.Action
	return page, nil
}

func (d *Dash) askErase(w http.ResponseWriter, r *http.Request) error {
	page, err := d.eraseForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) erase(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	person := tenure.UserID(r.PathValue("id"))
	out, err := d.Ledger.Erase(r.Context(), web.Principal(r.Context()), ledger.Erasure{Person: person, Reason: sent(r, "reason")})
	if err != nil {
		page, failed := d.eraseForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.told(w, r, func(p personPage) string {
		text := fmt.Sprintf("Erased from %s of the audit log about %s.", plural(out.Events, "event"), p.Person.UserName)
		if out.Kept > 0 {
			text += fmt.Sprintf(" Younger than 90 days, and left: %s. Erase again after %s.", plural(out.Kept, "event"), out.Until.UTC().Format("2 January 2006"))
		}
		return text
	})
}
