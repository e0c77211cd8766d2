package dash

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A failPage says what went wrong and what to do about it.
type failPage struct {
	frame
	Status    int
	Heading   string
	Says      []string
	Code      string
	RequestID string
	Link      string // where to go from here; "" is nowhere
	LinkText  string
	Again     *again // how to show anew who one is; nil: that is not asked for
	Kept      *kept  // the form that came too late, to be sent again; nil: there is none
	signIn    string // where one signs in at an identity provider, or ""
}

// Fail answers with a page for the error's kind. The cause is never on it: it
// is in the log, under the request id that the page shows.
func (d *Dash) Fail(w http.ResponseWriter, r *http.Request, err error) {
	d.secure(w, r)
	e := tenure.AsError(err)
	if d.Single && e.Kind == tenure.Unauthenticated && browsing(r) {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	signing := strings.HasPrefix(r.URL.Path, "/oidc/")
	// The page that says that there is no database asks it nothing.
	direct := (e.Kind != tenure.Unavailable || signing) && d.direct(r)
	if direct && e.Kind == tenure.Unauthenticated && browsing(r) {
		http.Redirect(w, r, loginURL(r, false), http.StatusSeeOther)
		return
	}
	web.Challenge(w.Header(), e)
	web.RetryAfter(w.Header(), e)
	page := failPage{frame: d.frame(r, ""), Status: web.Status(e.Kind), Code: e.Code, RequestID: tenure.OriginOf(r.Context()).RequestID}
	if direct {
		page.signIn = loginURL(r, false)
	}
	page.explain(e)
	helps := access.AfterSignIn(e) && (direct || e.Code != "mfa_required") // by the proxy alone it would be as it was
	switch {
	case direct && helps && d.Direct.Own(r):
		page.Heading, page.Link, page.LinkText = "Sign in again to go on", loginURL(r, true), "Sign in again"
	case helps && web.Principal(r.Context()).Valid():
		d.mustSignIn(r, &page, e)
	case direct && e.Code == "mfa_required": // nobody is let in without
		page.Link, page.LinkText = "/login?reauth=1", "Sign in again"
	case direct && signing:
		page.Link, page.LinkText = "/login", "Back to sign-in"
	}
	if helps && r.Method == http.MethodPost {
		page.keep(w, r)
	}
	page.Title = page.Heading
	if d.show(w, page.Status, "fail", page) != nil {
		http.Error(w, page.Heading, page.Status)
	}
}

// browsing tells a person's visit from a program's request.
func browsing(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Authorization") == "" &&
		(strings.Contains(r.Header.Get("Accept"), "text/html") || r.Header.Get("HX-Request") != "")
}

// explain chooses the words.
func (p *failPage) explain(e *tenure.Error) {
	p.Says = []string{sentence(tenure.Redact(e.Msg))}
	if p.Who != "" {
		p.Link, p.LinkText = "/settings", "Back to Settings"
	}
	switch {
	case e.Code == "account_deactivated":
		p.Heading = "This account is deactivated"
		p.Says = []string{
			"You are who you say you are, but your organisation has ended your access here.",
			"Your tokens, sessions and open streams have ended with it, and none of them comes back. If this is a mistake, ask your " +
				"administrator: only they or your identity provider can reactivate the account, and then you generate new tokens.",
		}
	case e.Code == "connection_misconfigured":
		p.Heading = "Sign-in is set up wrongly"
		p.Says = []string{
			"The connection between Tenure and your identity provider is set up wrongly, so nobody can sign in by it. To try again does not help: an administrator has to mend it.",
			"Give them the request id below: the log says under it what is wrong.",
		}
	case e.Code == "not_provisioned":
		p.Heading = "You have no access here yet"
	case e.Kind == tenure.Unauthenticated && p.Single:
		p.Heading = "Sign in first"
		p.Link, p.LinkText = "/login", "Sign in with the root token"
	case e.Kind == tenure.Unauthenticated && p.signIn != "":
		p.Heading = "Sign in first"
		p.Says = []string{"Nobody is signed in here: the session has ended, or there was none. What was asked for was not done."}
		p.Link, p.LinkText = p.signIn, "Sign in"
	case e.Kind == tenure.Unauthenticated:
		p.Heading = "Sign in through your company’s proxy"
		p.Says = []string{
			"Tenure believes who you are when your company’s sign-in proxy says so, and this request did not come through it.",
			"Open Tenure at the address that your company gave you for it.", sentence(tenure.Redact(e.Msg)),
		}
	case e.Code == "mfa_required":
		p.Heading = "Sign in with a second factor"
	case e.Kind == tenure.Forbidden:
		p.Heading = "You may not do that"
	case e.Code == "stream_not_found":
		p.Heading = "This stream is over"
		if p.Who != "" {
			p.Link, p.LinkText = "/admin", "Back to the Overview"
		}
	case e.Kind == tenure.NotFound:
		p.Heading = "There is nothing here"
		p.Says = []string{"The address is wrong, or what it named is gone, or it is not yours to see."}
	case e.Code == "too_many_failures":
		p.Heading = "Too many wrong credentials"
	case e.Kind == tenure.Unavailable:
		p.Heading = "Not just now"
	case p.Status >= http.StatusInternalServerError:
		p.Heading = "Something broke on our side"
		p.Says = []string{"What happened is in the log, under the request id below. Try again; if it stays, give the id to whoever runs this installation."}
	default:
		p.Heading = "That did not work"
	}
}
