package dash

import (
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

// signInWithRoot opens a session for whoever typed the root token.
func (d *Dash) signInWithRoot(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	to := local(r.PostForm.Get("to"))
	page := loginPage{frame: d.frame(r, "Sign in"), To: to}
	cookies := len(w.Header().Values("Set-Cookie"))
	err := d.WithRoot(w, r, r.PostForm.Get("token"))
	switch {
	case tenure.IsKind(err, tenure.Unauthenticated):
		page.refused = refused{Field: "token", Msg: "this is not the root token, or it has been rotated"}
		web.Challenge(w.Header(), tenure.AsError(err))
		if failed := d.show(w, http.StatusUnauthorized, "login", page); failed != nil {
			return failed
		}
		return err // answered; for the record
	case tenure.IsKind(err, tenure.TooMany):
		page.refused = refused{Field: "token", Msg: tenure.AsError(err).Msg}
		web.RetryAfter(w.Header(), tenure.AsError(err))
		if failed := d.show(w, http.StatusTooManyRequests, "login", page); failed != nil {
			return failed
		}
		return err // answered; for the record
	case err != nil:
		return err
	case len(w.Header().Values("Set-Cookie")) == cookies:
		page.refused = refused{Field: "token", Msg: "the token is right, but no session is opened over plain http to another machine: " +
			"open this page over https, or as http://127.0.0.1 on the machine itself"}
		return d.show(w, http.StatusForbidden, "login", page)
	}
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // local has looked at it
	return nil
}

func (d *Dash) logout(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	next, err := d.SignOut(w, r)
	if err != nil {
		return err
	}
	page := loginPage{frame: d.frame(r, "Signed out"), Notice: "You are signed out."}
	if web.Principal(r.Context()).Session() != "" {
		page.Notice = "You are signed out: " + total(tenure.Ended{Sessions: 1}) + " ended in " + took(time.Since(start)) + "."
	}
	page.Who = ""
	if next != "" {
		page.onward(w, next, "Sign out of your identity provider too")
	} else if err := d.ways(r, &page); err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "login", page)
}

// A rootCard is what Settings shows in single mode.
type rootCard struct {
	Configured bool         // it is set by the operator
	Token      tenure.Token // otherwise the stored one
	May        bool         // who asks may rotate it
}

func (d *Dash) rootCard(r *http.Request) (*rootCard, error) {
	by := web.Principal(r.Context())
	if access.Check(by, tenure.RotateRoot) != nil {
		return &rootCard{}, nil
	}
	card := &rootCard{Configured: d.Tokens.RootIsConfigured()}
	if card.Configured {
		return card, nil
	}
	card.May = true
	for after, more := tenure.TokenID(""), true; more; {
		page, err := d.Tokens.All(r.Context(), by, "", after, perPage)
		if err != nil {
			return nil, err
		}
		for _, t := range page.Tokens {
			if t.Kind == tenure.KindRoot && t.Live(d.Tokens.DB.Now()) {
				card.Token = t
				return card, nil
			}
		}
		after, more = page.Next, page.Next != ""
	}
	return card, nil
}

func (d *Dash) askRotateRoot(w http.ResponseWriter, r *http.Request) error {
	card, err := d.rootCard(r)
	if err != nil {
		return err
	}
	if card.Configured {
		return toSettings(w, r)
	}
	page := confirmPage{
		frame: d.frame(r, "Rotate the root token"), Heading: "Rotate the root token?", Button: "Rotate",
		Action: "/settings/root/rotate",
	}
	page.Facts = []fact{
		{Name: "Token", Text: card.Token.Prefix + "…", Code: true},
		{Name: "Created", At: page.At(card.Token.CreatedAt)},
		{Name: "Last used", At: page.At(card.Token.LastUsedAt)},
	}
	page.Ends = []string{
		"The present root token ends at once, with every request and stream that it carries.",
		"So does every session that it opened: you will sign in again with the new one.",
		"The new root token is shown once, on the next page.",
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

// A rotatedPage shows the new root token, this once.
type rotatedPage struct {
	frame
	Reveal reveal
	Notice string
	Out    bool // the session that asked has ended with the old token
}

func (d *Dash) rotateRoot(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	by := web.Principal(r.Context())
	secret, ended, err := d.Tokens.RotateRoot(r.Context(), by)
	if err != nil {
		return err
	}
	page := rotatedPage{frame: d.frame(r, "Root token rotated"), Out: by.Session() != "" && by.User() == ""}
	// The session that asked has ended by now, the root token has not.
	page.Reveal = reveal{Secret: secret, Setup: d.setup(r, by, secret.Reveal(), tenure.DataPlane)}
	page.Notice = "The old root token is no more: " + total(ended) + " ended in " + took(time.Since(start)) + "."
	if page.Out {
		page.Who = ""
	}
	return d.show(w, http.StatusOK, "rotated", page)
}
