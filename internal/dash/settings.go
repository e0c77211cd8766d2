package dash

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// perPage is how many tokens one page lists.
const perPage = 100

// lives are the lifetimes, in days, that the form offers.
var lives = []int{7, 30, 90, 180, 365}

// A settingsPage is Settings: one's own tokens and sessions or, in single mode,
// the root token.
type settingsPage struct {
	frame
	Notice   string  // what has just ended, "" for nothing
	Reveal   *reveal // a token that has just been generated, in place of the form
	Form     tokenForm
	Notices  []tenure.Notice // to oneself, unread
	Person   bool            // who asks can have tokens
	Live     []tenure.Token
	Ended    []tenure.Token
	Next     tenure.TokenID // where the next page begins, or ""
	Older    bool           // this is not the first page
	Sessions []openSession
	Root     *rootCard
}

// A tokenForm is the form that generates a token, as it was last filled in.
type tokenForm struct {
	refused
	Name string
	Life string // in days
}

// A lifeOption is one lifetime that the form offers.
type lifeOption struct {
	Days  int
	Until string
	Now   bool // it is the one chosen
}

// Lives are the lifetimes to choose from.
func (p settingsPage) Lives() []lifeOption {
	all := make([]lifeOption, len(lives))
	for i, days := range lives {
		all[i] = lifeOption{Days: days, Until: p.Now.UTC().AddDate(0, 0, days).Format("2 Jan 2006"), Now: strconv.Itoa(days) == p.Form.Life}
	}
	return all
}

// A reveal is the one time that a token is shown.
type reveal struct {
	Name   string // "" for the root token
	Secret tenure.Secret
	Base   string // public URL, for the snippets
}

// An openSession is a row of the list of sessions.
type openSession struct {
	tenure.Session
	Device string
	Here   bool // the one that this page was asked with
}

func (d *Dash) settings(w http.ResponseWriter, r *http.Request) error {
	cookies := len(w.Header().Values("Set-Cookie"))
	if err := d.Establish(w, r); err != nil {
		return err
	}
	page, err := d.settingsPage(r)
	if err != nil {
		return err
	}
	if len(w.Header().Values("Set-Cookie")) > cookies && len(page.Sessions) > 0 {
		page.Sessions[0].Here = true // the newest is the one that was opened just now
	}
	return d.show(w, http.StatusOK, "settings", page)
}

// settingsPage reads what Settings shows.
func (d *Dash) settingsPage(r *http.Request) (settingsPage, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	page := settingsPage{frame: d.frame(r, "Settings"), Person: by.User() != ""}
	page.Form.Life = strconv.Itoa(int(tenure.DefaultTokenLife / (24 * time.Hour)))
	var err error
	if page.Sessions, err = d.sessions(r); err != nil {
		return page, err
	}
	notices, err := d.Notices.Mine(ctx, by, true, "", noticesHere)
	if page.Notices = notices.Notices; err != nil {
		return page, err
	}
	if d.Single {
		page.Root, err = d.rootCard(r)
		return page, err
	}
	after := tenure.TokenID(r.URL.Query().Get("cursor"))
	tokens, err := d.Tokens.Mine(ctx, by, after, perPage)
	if err != nil {
		return page, err
	}
	page.Next, page.Older = tokens.Next, after != ""
	for _, t := range tokens.Tokens {
		if t.Live(page.Now) {
			page.Live = append(page.Live, t)
		} else {
			page.Ended = append(page.Ended, t)
		}
	}
	return page, nil
}

func (d *Dash) sessions(r *http.Request) ([]openSession, error) {
	by := web.Principal(r.Context())
	rows, err := d.Directory.Sessions(r.Context(), by)
	all := make([]openSession, len(rows))
	for i, s := range rows {
		all[i] = openSession{Session: s, Device: device(s.UserAgent), Here: s.ID == by.Session()}
	}
	return all, err
}

// mint generates a token and shows it, this once, in the answer to the form: it
// is in no URL, so in no history and no log, and the page is not stored. To load
// the page again is to send the form again, which browsers ask about first;
// static/app.js gives it the address of Settings, which shows no secret.
func (d *Dash) mint(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	asked := tokenForm{Name: strings.TrimSpace(r.PostForm.Get("name")), Life: r.PostForm.Get("expires_in")}
	row, secret, err := d.mintAs(r, asked)
	wrong, refused := asRefused(err)
	if err != nil && !refused {
		return err
	}
	page, failed := d.settingsPage(r)
	if failed != nil {
		return failed
	}
	if refused {
		asked.refused = wrong
		page.Form = asked
		if failed := d.show(w, http.StatusBadRequest, "settings", page); failed != nil {
			return failed
		}
		return err // answered; for the record
	}
	page.Title = "Token generated"
	page.Reveal = &reveal{Name: row.Name, Secret: secret, Base: page.Base}
	return d.show(w, http.StatusOK, "settings", page)
}

func (d *Dash) mintAs(r *http.Request, asked tokenForm) (tenure.Token, tenure.Secret, error) {
	spec := token.Spec{Name: asked.Name}
	for _, days := range lives {
		if asked.Life == strconv.Itoa(days) {
			spec.Life = time.Duration(days) * 24 * time.Hour
		}
	}
	if spec.Life == 0 {
		return tenure.Token{}, tenure.Secret{}, &tenure.Error{
			Kind: tenure.Invalid, Code: "invalid_expires_in", Field: "expires_in",
			Msg: "choose one of the lifetimes offered",
		}
	}
	return d.Tokens.Mint(r.Context(), web.Principal(r.Context()), spec)
}
