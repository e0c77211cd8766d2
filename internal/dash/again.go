package dash

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// An again is how a page asks somebody to show anew who they are.
type again struct {
	To   string // where they come back to
	Root bool   // by typing the root token; otherwise as they signed in before
}

// mustSignIn explains an error that asks for a fresh sign-in.
func (d *Dash) mustSignIn(r *http.Request, page *failPage, e *tenure.Error) {
	page.Heading = "Sign in again to go on"
	page.Link = ""
	page.Says = []string{sentence(tenure.Redact(e.Msg)), "You are still signed in: what needs no fresh sign-in goes on as before."}
	page.Again = &again{To: returnTo(r)}
	if !web.Principal(r.Context()).IsRoot() {
		return
	}
	page.Again.Root = true
	if !d.Single {
		page.Again = nil
		page.Says = append(page.Says, "This session was opened with the root token before there was a team. Sign out, and come back as yourself; "+
			"in an emergency use the root token with the API or the command line.")
	}
}

// A kept is a form that was sent when the sign-in had become too old: its page can
// send it once more.
type kept struct {
	Action string
	Sends  []fact
}

// keep says that nothing was done and, unless a secret was typed, keeps the form on
// the page. The sign-in is in another tab then; the page does not give way when the
// session of before ends with it.
func (p *failPage) keep(w http.ResponseWriter, r *http.Request) {
	p.Says = append(p.Says, "Nothing was done.")
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host != r.Host || p.Again == nil && p.Link == "" || form(w, r) != nil {
		return
	}
	k := &kept{Action: r.URL.Path}
	for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
		for _, value := range r.PostForm[name] {
			if name == "key" || name == "secret" || tenure.MentionsToken(value) {
				p.Says = append(p.Says, "A key was typed, which no page shows again: type it anew after the sign-in.")
				return
			}
			k.Sends = append(k.Sends, fact{Name: name, Text: value})
		}
	}
	p.Kept, p.Listens = k, false
	p.Says = append(p.Says, "What you typed is kept on this page. Sign in again in the new tab that opens, come back to this one, and send it.")
}

// signInAgain ends the session that the form came with. Where the proxy has just
// asserted the same person a new one is open, and they are back where they were.
func (d *Dash) signInAgain(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	to := local(r.PostForm.Get("to"))
	in, err := d.Again(w, r)
	if err != nil {
		return err
	}
	if in {
		http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // local has looked at it
		return nil
	}
	// Not by a redirect: the way may lead to another host, and a form may not.
	page := loginPage{frame: d.frame(r, "Sign in again"), Notice: "Your session here has ended. Go on to sign in anew.", To: to, ReturnTo: to, Anew: true}
	page.Who = ""
	if err := d.ways(r, &page); err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "login", page)
}

// maxReturn is the longest address to come back to, in bytes.
const maxReturn = 1000

// returnTo is the page that a request was for, or came from.
func returnTo(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return local((&url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}).String())
	}
	if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host {
		return local((&url.URL{Path: from.Path, RawPath: from.RawPath, RawQuery: from.RawQuery}).String())
	}
	return "/settings"
}

// local gives the address of a page of this dashboard, or Settings when to is
// anything else: nobody is sent to where another site wants them.
func local(to string) string {
	u, err := url.Parse(to)
	switch {
	case err != nil, len(to) > maxReturn, tenure.MentionsToken(to), strings.ContainsAny(to, "\\#"),
		u.Scheme != "", u.Host != "", u.User != nil, u.Opaque != "",
		!strings.HasPrefix(to, "/"), strings.HasPrefix(to, "//"),
		u.Path == "/login", u.Path == "/logout", strings.HasPrefix(u.Path, "/login/"), strings.HasPrefix(u.Path, "/api/"):
		return "/settings"
	}
	return to
}
