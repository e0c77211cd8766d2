package dash

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A allTokensPage lists the personal and service tokens of the tenant.
type allTokensPage struct {
	frame
	looking
	Notice string
	Tokens []tenure.Token
	Next   tenure.TokenID
	Places spaces
	May    bool // revoke them
	Many   bool // revoke all that the filters find
}

// Kinds, States, Unused, Ending and Age are the filters to choose from.
func (p allTokensPage) Kinds() []choice {
	return choices(p.Get("kind"), "", "Any kind", string(tenure.KindPAT), "Personal", string(tenure.KindService), "Service")
}

// States are those of a token.
func (p allTokensPage) States() []choice {
	return choices(p.Get("state"), "", "Any state", "active", "Live", "expired", "Expired", "revoked", "Revoked")
}

// Unused chooses those that were not used for a while.
func (p allTokensPage) Unused() []choice {
	return choices(p.Get("unused"), "", "Any time", "30", "Not for 30 days", "90", "Not for 90 days", "180", "Not for 180 days")
}

// Ending chooses those that end soon.
func (p allTokensPage) Ending() []choice {
	return choices(p.Get("ending"), "", "Any time", "7", "Within 7 days", "30", "Within 30 days")
}

// Age chooses those that were made long ago.
func (p allTokensPage) Age() []choice {
	return choices(p.Get("age"), "", "Any time", "90", "Over 90 days ago", "180", "Over 180 days ago", "365", "Over a year ago")
}

// Lists of tokens that somebody should look at; the Overview counts them.
const (
	unusedTokens = "/admin/tokens?state=active&unused=90"
	endingTokens = "/admin/tokens?ending=7"
)

// Quick are the lists that are looked at most.
func (p allTokensPage) Quick() []choice {
	return choices(p.Newest(), "/admin/tokens", "All", endingTokens, "Ending soon", unusedTokens, "Unused for 90 days",
		"/admin/tokens?kind=svc&state=active", "Of service accounts")
}

// Bulk is the address of the preview of what would be revoked.
func (p allTokensPage) Bulk() string {
	l := p.looking
	l.path = "/admin/tokens/revoke"
	l.query = url.Values{}
	for _, name := range bulkFilters() {
		if v := p.Get(name); v != "" {
			l.query.Set(name, v)
		}
	}
	return l.Self()
}

// bulkFilters are the filters that a revocation of many knows too.
func bulkFilters() []string { return []string{"person", "workspace", "kind", "unused", "age", "name"} }

// selection reads the filters that choose tokens.
func (p *allTokensPage) selection() token.Selection {
	sel := token.Selection{
		User: p.Get("person"), Workspace: p.Get("workspace"), Kind: tenure.TokenKind(p.Get("kind")), Name: p.Get("name"),
		UnusedSince: p.days("unused", p.Now, false), CreatedBefore: p.days("age", p.Now, false),
	}
	if sel.Name != "" && !strings.Contains(sel.Name, "*") {
		sel.Name = "*" + sel.Name + "*"
	}
	return sel
}

func (d *Dash) allTokens(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	page, err := d.allTokensPage(r, r.URL.Query())
	if err != nil {
		return err
	}
	return d.show(w, page.status(), "alltokens", page)
}

func (d *Dash) allTokensPage(r *http.Request, query url.Values) (allTokensPage, error) {
	by := web.Principal(r.Context())
	page := allTokensPage{frame: d.frame(r, "Tokens"), looking: look("/admin/tokens", query), May: mayOpen(by, tenure.RevokeAnyToken)}
	if r.Method == http.MethodPost {
		page.Address = page.Self()
	}
	var err error
	if page.Places, err = d.spaces(r); err != nil || page.Field != "" {
		return page, err
	}
	sel := page.selection()
	narrow := token.Narrow{State: page.Get("state"), EndsBefore: page.days("ending", page.Now, true)}
	if !narrow.EndsBefore.IsZero() && narrow.State == "" {
		narrow.State = "active" // what has ended does not end soon
	}
	found, err := d.Tokens.Look(r.Context(), by, sel, narrow, tenure.TokenID(page.Get("cursor")), perPage)
	if wrong, refused := asRefused(err); refused {
		page.refused, err = wrong, nil
	}
	page.Tokens, page.Next = found.Tokens, found.Next
	page.Many = page.May && mayOpen(by, tenure.RevokeTokens) && sel != (token.Selection{}) && len(page.Tokens) > 0 &&
		narrow.EndsBefore.IsZero() && (narrow.State == "" || narrow.State == "active")
	return page, err
}

// backTo is the page that a form came from: a person's, or the list of tokens.
func backTo(text string) string {
	to := local(text)
	if strings.HasPrefix(to, "/admin/people/") || to == "/admin/tokens" || strings.HasPrefix(to, "/admin/tokens?") {
		return to
	}
	return "/admin/tokens"
}

func (d *Dash) askRevokeAny(w http.ResponseWriter, r *http.Request) error {
	t, err := d.Tokens.Get(r.Context(), web.Principal(r.Context()), tenure.TokenID(r.PathValue("id")))
	if err != nil {
		return err
	}
	page := confirmPage{
		frame: d.frame(r, "Revoke a token"), Heading: fmt.Sprintf("Revoke “%s”?", t.Name), Button: "Revoke",
		Action: "/admin/tokens/" + string(t.ID) + "/revoke", Back: "/admin/tokens",
	}
	if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host {
		page.Back = backTo((&url.URL{Path: from.Path, RawQuery: from.RawQuery}).String())
	}
	page.Facts = []fact{
		{Name: "Token", Text: t.Prefix + "…", Code: true},
		{Name: "Owner", Text: t.UserName + t.AccountName},
		{Name: "Scopes", Text: strings.Join(t.Scopes.Names(), ", ")},
		{Name: "Created", At: page.At(t.CreatedAt)},
		{Name: "Last used", At: page.At(t.LastUsedAt)},
		{Name: "Expires", At: page.At(t.ExpiresAt)},
	}
	page.Ends = []string{atOnce, notBack}
	if t.Over(page.Now) {
		page.Over = "This token has ended already: it is " + t.State(page.Now) + "."
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) revokeAny(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	ctx, by := r.Context(), web.Principal(r.Context())
	t, err := d.Tokens.Get(ctx, by, tenure.TokenID(r.PathValue("id")))
	if err != nil {
		return err
	}
	ended, err := d.Tokens.Revoke(ctx, by, t.ID, "revoked by an administrator")
	if err != nil {
		return err
	}
	notice := fmt.Sprintf("“%s” is revoked: %s ended in %s.", t.Name, total(ended), took(ended.Took))
	if ended.Tokens == 0 {
		notice = fmt.Sprintf("“%s” had ended already.", t.Name)
	}
	to, _ := url.Parse(backTo(r.PostForm.Get("to")))
	if id, ok := strings.CutPrefix(to.Path, "/admin/people/"); ok {
		page, err := d.personPage(r, id)
		if err != nil {
			return err
		}
		page.Notice = notice
		return d.show(w, http.StatusOK, "person", page)
	}
	page, err := d.allTokensPage(r, to.Query())
	if err != nil {
		return err
	}
	page.Notice = notice
	return d.show(w, http.StatusOK, "alltokens", page)
}

// shownBulk is how many of the tokens that would end the preview lists.
const shownBulk = 200

// A bulkPage shows what a revocation of many would end, and asks.
type bulkPage struct {
	allTokensPage
	Total   int
	Confirm string
	Reason  string
	Changed bool // what is selected is not what was shown
}

// More is how many tokens are not on the page.
func (p bulkPage) More() int { return p.Total - len(p.Tokens) }

// Hidden are the filters, for the form.
func (p bulkPage) Hidden() []choice {
	var out []choice
	for _, name := range bulkFilters() {
		if v := p.Get(name); v != "" {
			out = append(out, choice{Value: v, Text: name})
		}
	}
	return out
}

// Back is the list with the same filters.
func (p bulkPage) Back() string { return p.Self() }

func (d *Dash) bulkPage(r *http.Request, query url.Values) (bulkPage, error) {
	page := bulkPage{allTokensPage: allTokensPage{frame: d.frame(r, "Revoke many tokens"), looking: look("/admin/tokens", query)}}
	var err error
	if page.Places, err = d.spaces(r); err != nil {
		return page, err
	}
	found, err := d.Tokens.Preview(r.Context(), web.Principal(r.Context()), page.selection())
	page.Total, page.Confirm, page.Tokens = found.Total, found.Confirm, found.Tokens[:min(len(found.Tokens), shownBulk)]
	return page, err
}

func (d *Dash) askRevokeMany(w http.ResponseWriter, r *http.Request) error {
	page, err := d.bulkPage(r, r.URL.Query())
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "bulk", page)
}

func (d *Dash) revokeMany(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	filters := allTokensPage{frame: d.frame(r, ""), looking: look("/admin/tokens", r.PostForm)}
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	ended, err := d.Tokens.RevokeMany(r.Context(), web.Principal(r.Context()), filters.selection(), r.PostForm.Get("confirm"), reason)
	wrong, refused := asRefused(err)
	changed := err != nil && tenure.AsError(err).Code == "selection_changed"
	if refused || changed {
		return d.bulkAgain(w, r, err, func(p *bulkPage) { p.refused, p.Reason, p.Changed = wrong, reason, changed })
	}
	if err != nil {
		return err
	}
	page, err := d.allTokensPage(r, filters.only())
	if err != nil {
		return err
	}
	page.Notice = fmt.Sprintf("Revoked: %s ended in %s.", total(ended), took(ended.Took))
	return d.show(w, http.StatusOK, "alltokens", page)
}

// only are the filters themselves, without what else a form has.
func (p allTokensPage) only() url.Values {
	q := url.Values{}
	for _, name := range bulkFilters() {
		if v := p.Get(name); v != "" {
			q.Set(name, v)
		}
	}
	return q
}

// bulkAgain shows the preview anew, with what was wrong.
func (d *Dash) bulkAgain(w http.ResponseWriter, r *http.Request, err error, fill func(*bulkPage)) error {
	page, failed := d.bulkPage(r, allTokensPage{looking: look("", r.PostForm)}.only())
	if failed != nil {
		return failed
	}
	fill(&page)
	page.Address = page.Bulk()
	if failed := d.show(w, web.Status(tenure.AsError(err).Kind), "bulk", page); failed != nil {
		return failed
	}
	return err // answered; for the record
}
