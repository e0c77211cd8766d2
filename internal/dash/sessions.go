package dash

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A sessionsPage lists the browsers in which somebody is signed in.
type sessionsPage struct {
	frame
	Notice   string // what has just ended, "" for nothing
	Sessions []openSession
	Others   int // how many of them are not this browser's
	Idle     string
	Life     string
	Limit    int
}

// An openSession is a row of the list of sessions.
type openSession struct {
	tenure.Session
	Device string
	Place  string // by what they signed in
	Here   bool   // the one that this page was asked with
}

func (d *Dash) sessionsList(w http.ResponseWriter, r *http.Request) error {
	cookies := len(w.Header().Values("Set-Cookie"))
	if err := d.Establish(w, r); err != nil {
		return err
	}
	page, err := d.sessionsPage(r)
	if err != nil {
		return err
	}
	if len(w.Header().Values("Set-Cookie")) > cookies && len(page.Sessions) > 0 {
		page.Sessions[0].Here = true // the newest is the one that was opened just now
		page.Others--
	}
	return d.show(w, http.StatusOK, "sessions", page)
}

func (d *Dash) sessionsPage(r *http.Request) (sessionsPage, error) {
	page := sessionsPage{frame: d.frame(r, "Sessions")}
	var err error
	if page.Sessions, err = d.sessions(r); err != nil {
		return page, err
	}
	for _, s := range page.Sessions {
		if !s.Here {
			page.Others++
		}
	}
	limits, most, err := d.Directory.SessionLimits(r.Context(), web.Principal(r.Context()))
	page.Idle, page.Life, page.Limit = lasting(limits.Idle), lasting(limits.Life), most
	return page, err
}

func (d *Dash) sessions(r *http.Request) ([]openSession, error) {
	by := web.Principal(r.Context())
	rows, err := d.Directory.Sessions(r.Context(), by)
	all := make([]openSession, len(rows))
	for i, s := range rows {
		all[i] = openSession{Session: s, Device: device(s.UserAgent), Place: via(s.Via), Here: s.ID == by.Session()}
	}
	return all, err
}

// session finds one of the asker's own open sessions.
func (d *Dash) session(r *http.Request) (openSession, error) {
	all, err := d.sessions(r)
	if err != nil {
		return openSession{}, err
	}
	for _, s := range all {
		if string(s.ID) == r.PathValue("id") {
			return s, nil
		}
	}
	return openSession{}, tenure.ErrNotFound
}

func (d *Dash) askEndSession(w http.ResponseWriter, r *http.Request) error {
	s, err := d.session(r)
	if err != nil {
		return err
	}
	page := confirmPage{
		frame: d.frame(r, "End a session"), Heading: "End the session on " + s.Device + "?", Button: "End session",
		Action: "/settings/sessions/" + string(s.ID) + "/end", Back: sessionsPath,
	}
	page.Facts = []fact{
		{Name: "Address", Text: s.Address, Code: true},
		{Name: "By", Text: s.Place},
		{Name: "Signed in", At: page.At(s.CreatedAt)},
		{Name: "Last seen", At: page.At(s.SeenAt)},
	}
	page.Ends = []string{"This session ends at once. Your tokens stay as they are."}
	if s.Here {
		page.Ends = append(page.Ends, "It is the session of this browser: you will be signed out.")
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

// sessionsPath is where the list of sessions is.
const sessionsPath = "/settings/sessions"

func (d *Dash) endSession(w http.ResponseWriter, r *http.Request) error {
	s, err := d.session(r)
	if err != nil {
		return err
	}
	if s.Here {
		return d.logout(w, r)
	}
	start := time.Now()
	if err := d.Directory.EndSession(r.Context(), web.Principal(r.Context()), s.ID, byOwner); err != nil {
		return err
	}
	ended := tenure.Ended{Sessions: 1, Took: time.Since(start)}
	return d.afterEnding(w, r, "Session ended", fmt.Sprintf("%s: %s ended in %s.", s.Device, total(ended), took(ended.Took)))
}

func (d *Dash) afterEnding(w http.ResponseWriter, r *http.Request, title, notice string) error {
	page, err := d.sessionsPage(r)
	if err != nil {
		return err
	}
	page.Title, page.Notice = title, notice
	return d.show(w, http.StatusOK, "sessions", page)
}

func (d *Dash) askEndOthers(w http.ResponseWriter, r *http.Request) error {
	all, err := d.sessions(r)
	if err != nil {
		return err
	}
	page := confirmPage{frame: d.frame(r, "End other sessions"), Action: sessionsPath + "/end-others", Back: sessionsPath}
	for _, s := range all {
		if !s.Here {
			page.Ends = append(page.Ends, fmt.Sprintf("%s, from %s, signed in on %s.", s.Device, s.Address, page.At(s.CreatedAt).Exact))
		}
	}
	n := plural(len(page.Ends), "session")
	page.Heading, page.Button = "End "+n+" elsewhere?", "End "+n
	if len(page.Ends) == 0 {
		page.Heading, page.Over = "End other sessions?", "There are no others: you are signed in nowhere else."
	} else {
		page.Ends = append(page.Ends, "Each ends at once. Your tokens, and this browser, stay as they are.")
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) endOthers(w http.ResponseWriter, r *http.Request) error {
	ended, err := d.Directory.EndOtherSessions(r.Context(), web.Principal(r.Context()), byOwner)
	if err != nil {
		return err
	}
	notice := fmt.Sprintf("Everywhere else: %s ended in %s.", total(ended), took(ended.Took))
	if ended.Sessions == 0 {
		notice = "You were signed in nowhere else."
	}
	return d.afterEnding(w, r, "Other sessions ended", notice)
}
