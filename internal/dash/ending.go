package dash

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Why a thing ended, as its row and the audit log tell it.
const byOwner = "ended by its owner in Settings"

// A confirmPage asks before something ends: it says what it is and what will
// end with it. It is a page of its own, so that it needs no script.
type confirmPage struct {
	frame
	Heading string
	Facts   []fact
	Ends    []string // what will end, in sentences
	Over    string   // it has ended already: how; then there is no button
	Action  string   // where the form goes
	Sends   []fact   // what the form sends beside: names and values
	Button  string
	Back    string // where Cancel leads; "" is the first page of one's own
	Calm    bool   // nothing ends
}

// A fact is one line about what will end.
type fact struct {
	Name string
	Text string
	Code bool // Text is an identifier
	At   moment
	Link string // to where Text is changed by Does, or ""
	Does string
}

func (d *Dash) askRevoke(w http.ResponseWriter, r *http.Request) error {
	t, err := d.mine(r.Context(), tenure.TokenID(r.PathValue("id")))
	if err != nil {
		return err
	}
	page := confirmPage{
		frame: d.frame(r, "Revoke a token"), Heading: fmt.Sprintf("Revoke “%s”?", t.Name), Button: "Revoke",
		Action: "/settings/tokens/" + string(t.ID) + "/revoke",
	}
	page.Facts = []fact{
		{Name: "Token", Text: t.Prefix + "…", Code: true},
		{Name: "Scopes", Text: strings.Join(t.Scopes.Names(), ", ")},
		{Name: "Workspace", Text: page.Space(t.Workspace)},
		{Name: "Created", At: page.At(t.CreatedAt)},
		{Name: "Last used", At: page.At(t.LastUsedAt)},
		{Name: "Expires", At: page.At(t.ExpiresAt)},
	}
	if !t.Over(page.Now) {
		page.Ends = []string{
			"This token ends at once, on every replica.",
			"So does every request and stream that it carries at that moment.",
			"Nothing brings it back: whoever uses it needs a new one.",
		}
		if t.Family != t.ID || !t.RotatedAt.IsZero() {
			page.Ends = append(page.Ends, "It was rotated: its other secret, if it is still good, ends with it.")
		}
	} else {
		page.Over = "This token has ended already: it is " + t.State(page.Now) + "."
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) revoke(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	t, err := d.mine(ctx, tenure.TokenID(r.PathValue("id")))
	if err != nil {
		return err
	}
	ended, err := d.Tokens.Revoke(ctx, web.Principal(ctx), t.ID, byOwner)
	if err != nil {
		return err
	}
	page, err := d.tokensPage(r)
	if err != nil {
		return err
	}
	page.Title = "Token revoked"
	page.Notice = fmt.Sprintf("“%s” is revoked: %s ended in %s.", t.Name, total(ended), took(ended.Took))
	if ended.Tokens == 0 {
		page.Notice = fmt.Sprintf("“%s” had ended already.", t.Name)
	}
	return d.show(w, http.StatusOK, "tokens", page)
}

// mine finds one of the asker's own tokens. What is not theirs does not exist,
// also for administrators: these pages are about oneself.
func (d *Dash) mine(ctx context.Context, id tenure.TokenID) (tenure.Token, error) {
	p := web.Principal(ctx)
	t, err := d.Tokens.Get(ctx, p, id)
	if err == nil && t.User != p.User() {
		err = tenure.ErrNotFound
	}
	return t, err
}
