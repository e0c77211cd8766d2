package dash

import (
	"net/http"
	"net/url"

	"github.com/tenure-gateway/tenure"
)

// A loginPage is where one signs in: with the root token, at the identity provider
// or, where neither is the way, reads who does the signing in.
type loginPage struct {
	frame
	refused
	Notice     string
	To         string // where to go on, "" is Settings
	Connection string // the provider that one button leads to
	Start      string // where that button leads
	Ask        bool   // for an e-mail address, which may lead to another one
	Anew       bool   // the provider is to ask, though it knows who is there
	ReturnTo   string
	Next       string // where the browser goes on by itself
	NextText   string
}

// login shows how to sign in. It leads nowhere by itself: a page of another site
// that opens it signs nobody in.
func (d *Dash) login(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := loginPage{frame: d.frame(r, "Sign in"), ReturnTo: q.Get("return_to"), Anew: q.Get("reauth") == "1"}
	if err := d.ways(r, &page); err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "login", page)
}

// ways fills in how whoever asks would sign in.
func (d *Dash) ways(r *http.Request, page *loginPage) error {
	if d.Single {
		return nil
	}
	name, others, err := d.Direct.Way(r)
	if page.Ask = others; err != nil || name == "" {
		return err
	}
	carry := url.Values{}
	if page.ReturnTo != "" {
		carry.Set("return_to", page.ReturnTo)
	}
	if page.Anew {
		carry.Set("reauth", "1")
	}
	page.Connection, page.Start = name, "/oidc/"+url.PathEscape(name)+"/start"
	if len(carry) > 0 {
		page.Start += "?" + carry.Encode()
	}
	return nil
}

// signInByAddress leads somebody to the provider of their e-mail address's domain.
func (d *Dash) signInByAddress(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	if !d.direct(r) {
		return tenure.ErrNotFound
	}
	page := loginPage{frame: d.frame(r, "Sign in"), ReturnTo: r.PostForm.Get("return_to")}
	next, err := d.Direct.Begin(w, r, r.PostForm.Get("email"), page.ReturnTo)
	switch {
	case tenure.IsKind(err, tenure.NotFound):
		if err := d.ways(r, &page); err != nil {
			return err
		}
		page.Ask = true
		page.refused = refused{Field: "email", Msg: "nobody signs in here by an address of that domain"}
		return d.show(w, http.StatusNotFound, "login", page)
	case err != nil:
		return err
	}
	page.onward(w, next, "Continue to your identity provider")
	return d.show(w, http.StatusOK, "login", page)
}

// onward sends the browser on from a page that answers a form. A redirect would
// not do: the policy lets no form end at another site.
func (p *loginPage) onward(w http.ResponseWriter, next, text string) {
	p.Next, p.NextText = next, text
	w.Header().Set("Refresh", "0; url="+next)
}

// direct tells whether people sign in at an identity provider. While that cannot
// be known, they do not.
func (d *Dash) direct(r *http.Request) bool {
	if d.Single {
		return false
	}
	name, others, err := d.Direct.Way(r)
	return err == nil && (name != "" || others)
}

// loginURL is the sign-in that leads back to the page that was asked for.
func loginURL(r *http.Request, again bool) string {
	q := url.Values{}
	if to := returnTo(r); to != "/settings" && to != "/" {
		q.Set("return_to", to)
	}
	if again {
		q.Set("reauth", "1")
	}
	if len(q) == 0 {
		return "/login"
	}
	return "/login?" + q.Encode()
}
