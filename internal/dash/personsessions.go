package dash

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// theirSession finds one of the open sessions of the person of a page.
func (p personPage) theirSession(id string) (openSession, error) {
	for _, s := range p.Sessions {
		if string(s.ID) == id {
			return s, nil
		}
	}
	return openSession{}, tenure.ErrNotFound
}

func (d *Dash) askEndTheirSession(w http.ResponseWriter, r *http.Request) error {
	return d.askAbout(w, r, tenure.RevokeAll, func(p personPage) (confirmPage, error) {
		s, err := p.theirSession(r.PathValue("session"))
		if err != nil {
			return confirmPage{}, err
		}
		c := p.ask("End the session on "+s.Device+"?", "End session", "/sessions/"+string(s.ID)+"/end", []string{"This session ends at once. Their tokens stay as they are."})
		c.Facts = append(c.Facts, fact{Name: "Address", Text: s.Address, Code: true}, fact{Name: "Signed in", At: p.At(s.CreatedAt)}, fact{Name: "Last seen", At: p.At(s.SeenAt)})
		if s.Here {
			c.Ends = append(c.Ends, "It is the session of this browser: you will be signed out.")
		}
		return c, nil
	})
}

func (d *Dash) endTheirSession(w http.ResponseWriter, r *http.Request) error {
	page, err := d.about(r, tenure.RevokeAll)
	if err != nil {
		return err
	}
	s, err := page.theirSession(r.PathValue("session"))
	if err != nil {
		return err
	}
	if s.Here {
		return d.logout(w, r)
	}
	start := time.Now()
	if err := d.Directory.EndSession(r.Context(), web.Principal(r.Context()), s.ID, endedByAdmin); err != nil {
		return err
	}
	ended := tenure.Ended{Sessions: 1, Took: time.Since(start)}
	return d.told(w, r, func(personPage) string {
		return fmt.Sprintf("%s: %s ended in %s.", s.Device, total(ended), took(ended.Took))
	})
}

// sessionsEnd are the sentences of which sessions of somebody end.
func (p personPage) sessionsEnd(all []openSession) []string {
	out := make([]string, 0, len(all)+1)
	for _, s := range all {
		out = append(out, fmt.Sprintf("The session on %s, from %s, signed in on %s, ends at once.", s.Device, s.Address, p.At(s.CreatedAt).Exact))
	}
	return out
}

func (d *Dash) askEndTheirSessions(w http.ResponseWriter, r *http.Request) error {
	return d.askAbout(w, r, tenure.EndSessionsOf, func(p personPage) (confirmPage, error) {
		var all []openSession
		for _, s := range p.Sessions {
			if !s.Here { // the act keeps it
				all = append(all, s)
			}
		}
		n := plural(len(all), "session")
		c := p.ask(fmt.Sprintf("End %s of %s?", n, p.Person.UserName), "End "+n, "/sessions/end",
			append(p.sessionsEnd(all), "Their tokens stay as they are. They may sign in again."))
		if len(all) < len(p.Sessions) {
			c.Ends = append(c.Ends, "This browser stays signed in.")
		}
		if len(all) == 0 {
			c.Over = "No other browser is signed in as them."
		}
		return c, nil
	})
}

func (d *Dash) endTheirSessions(w http.ResponseWriter, r *http.Request) error {
	ended, err := d.Directory.EndSessionsOf(r.Context(), web.Principal(r.Context()), tenure.UserID(r.PathValue("id")), endedByAdmin)
	if err != nil {
		return err
	}
	return d.told(w, r, func(p personPage) string {
		return fmt.Sprintf("Of %s, %s ended in %s. Their tokens go on.", p.Person.UserName, total(ended), took(ended.Took))
	})
}
