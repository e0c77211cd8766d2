package dash

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A rotatePage asks how long the secret of before lives on.
type rotatePage struct {
	frame
	refused
	Token    tenure.Token
	Over     string // it cannot be rotated: why
	Overlaps []lifeOption
}

func (d *Dash) rotatePage(r *http.Request) (rotatePage, error) {
	t, err := d.mine(r.Context(), tenure.TokenID(r.PathValue("id")))
	if err != nil {
		return rotatePage{}, err
	}
	offer, err := d.Tokens.Offer(r.Context(), web.Principal(r.Context()))
	page := rotatePage{frame: d.frame(r, "Rotate a token"), Token: t}
	all := []time.Duration{0, time.Hour, 24 * time.Hour, tenure.MaxOverlap, offer.Overlap}
	slices.Sort(all)
	for _, o := range slices.Compact(all) {
		page.Overlaps = append(page.Overlaps, lifeOption{Value: tenure.FormatSpan(o), Words: lasting(o), Now: o == offer.Overlap})
	}
	switch {
	case !t.Live(page.Now):
		page.Over = "This token has ended already: it is " + t.State(page.Now) + "."
	case !t.RotatedAt.IsZero():
		page.Over = "This token has been rotated already: rotate the newest of its line."
	}
	return page, err
}

func (d *Dash) askRotate(w http.ResponseWriter, r *http.Request) error {
	page, err := d.rotatePage(r)
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "rotate", page)
}

// rotate gives a token a new secret and shows it, this once, as mint does.
func (d *Dash) rotate(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	old, err := d.mine(r.Context(), tenure.TokenID(r.PathValue("id")))
	if err != nil {
		return err
	}
	overlap, err := token.ParseOverlap(r.PostForm.Get("overlap"))
	var row tenure.Token
	var secret tenure.Secret
	if err == nil {
		row, secret, err = d.Tokens.Rotate(r.Context(), web.Principal(r.Context()), old.ID, overlap)
	}
	if wrong, is := asRefused(err); is {
		page, failed := d.rotatePage(r)
		if failed != nil {
			return failed
		}
		page.refused = wrong
		if failed := d.show(w, http.StatusBadRequest, "rotate", page); failed != nil {
			return failed
		}
		return err // answered; for the record
	}
	if err != nil {
		return err
	}
	page, err := d.tokensPage(r)
	if err != nil {
		return err
	}
	end := page.Now.Add(*overlap)
	if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(end) {
		end = old.ExpiresAt
	}
	page.Title = "Token rotated"
	page.Reveal = d.revealed(r, row, secret, ends(*overlap, page.At(end)))
	page.Notice = fmt.Sprintf("“%s” has a new secret.", row.Name)
	return d.show(w, http.StatusOK, "tokens", page)
}
