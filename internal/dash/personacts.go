package dash

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// ask makes a page that asks about a person.
func (p personPage) ask(heading, button, path string, ends []string) confirmPage {
	c := confirmPage{frame: p.frame, Heading: heading, Button: button, Action: p.Path() + path, Back: p.Path(), Ends: ends}
	c.Title = heading
	c.Facts = []fact{{Name: "Person", Text: p.Person.UserName}}
	return c
}

// about reads what the page of a person shows to somebody who may do a about them,
// whichever the workspace. NotFound: there is no such person, and there was none.
func (d *Dash) about(r *http.Request, a tenure.Action) (personPage, error) {
	page, err := d.personPage(r, r.PathValue("id"))
	if err == nil {
		err = access.Check(web.Principal(r.Context()), a)
	}
	return page, err
}

// askAbout reads a person and shows the page that ask makes about them.
func (d *Dash) askAbout(w http.ResponseWriter, r *http.Request, a tenure.Action, ask func(personPage) (confirmPage, error)) error {
	page, err := d.about(r, a)
	if err != nil {
		return err
	}
	c, err := ask(page)
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "confirm", c)
}

// told shows a person's page with what has just happened.
func (d *Dash) told(w http.ResponseWriter, r *http.Request, say func(personPage) string) error {
	page, err := d.personPage(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	page.Notice = say(page)
	return d.show(w, http.StatusOK, "person", page)
}

func (d *Dash) askDeactivate(w http.ResponseWriter, r *http.Request) error {
	return d.askAbout(w, r, tenure.DeactivateUser, func(p personPage) (confirmPage, error) {
		c := p.ask(fmt.Sprintf("Deactivate %s?", p.Person.UserName), p.Deactivate(), "/deactivate", willEnd(p.Holds, true, p.Person.ID == web.Principal(r.Context()).User()))
		switch {
		case !p.Person.Active:
			c.Over = "They are " + p.Person.State() + " already."
		case p.Stays != "":
			c.Over = p.Stays
		}
		return c, nil
	})
}

func (d *Dash) deactivate(w http.ResponseWriter, r *http.Request) error {
	u, ended, err := d.Directory.Deactivate(r.Context(), web.Principal(r.Context()), tenure.UserID(r.PathValue("id")), "deactivated by an administrator")
	if err != nil {
		return err
	}
	return d.told(w, r, func(personPage) string {
		return fmt.Sprintf("%s is deactivated: %s ended in %s. Nothing of it comes back.", u.UserName, total(ended), took(ended.Took))
	})
}

func (d *Dash) askReactivate(w http.ResponseWriter, r *http.Request) error {
	return d.askAbout(w, r, tenure.ReactivateUser, func(p personPage) (confirmPage, error) {
		c := p.ask(fmt.Sprintf("Reactivate %s?", p.Person.UserName), "Reactivate", "/reactivate", []string{
			"They may sign in again, and make new tokens.", "Nothing that has ended comes back.",
			"Where SCIM provisions them, the identity provider may deactivate them again with its next word.",
		})
		c.Calm = true
		if p.Person.Active {
			c.Over = "They are active already."
		}
		return c, nil
	})
}

func (d *Dash) reactivate(w http.ResponseWriter, r *http.Request) error {
	u, err := d.Directory.Reactivate(r.Context(), web.Principal(r.Context()), tenure.UserID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return d.told(w, r, func(personPage) string {
		return u.UserName + " is active again. Nothing that had ended has come back."
	})
}

func (d *Dash) askRevokeAll(w http.ResponseWriter, r *http.Request) error {
	return d.askAbout(w, r, tenure.RevokeAll, func(p personPage) (confirmPage, error) {
		c := p.ask(fmt.Sprintf("End everything that %s carries?", p.Person.UserName), p.RevokeAll(), "/revoke-all",
			willEnd(p.Holds, false, p.Person.ID == web.Principal(r.Context()).User()))
		if !p.Carries() {
			c.Over = "They carry nothing that could end."
		}
		return c, nil
	})
}

func (d *Dash) revokeAll(w http.ResponseWriter, r *http.Request) error {
	u, ended, err := d.Directory.RevokeAll(r.Context(), web.Principal(r.Context()), tenure.UserID(r.PathValue("id")), "revoked by an administrator")
	if err != nil {
		return err
	}
	return d.told(w, r, func(personPage) string {
		return fmt.Sprintf("Of %s, %s ended in %s.", u.UserName, total(ended), took(ended.Took))
	})
}

// space finds what the person of a page is in a workspace.
func (p personPage) space(id string) (tenure.Membership, error) {
	for _, m := range p.Places {
		if string(m.Workspace) == id {
			return m, nil
		}
	}
	return tenure.Membership{}, tenure.ErrNotFound
}

func (d *Dash) askLeaveSpace(w http.ResponseWriter, r *http.Request) error {
	return d.askAbout(w, r, tenure.RemoveMember, func(p personPage) (confirmPage, error) {
		m, err := p.space(r.PathValue("workspace"))
		if err != nil {
			return confirmPage{}, err
		}
		n := 0
		for _, t := range p.Tokens.Live {
			if t.Workspace == m.Workspace {
				n++
			}
		}
		ends := []string{fmt.Sprintf("%s, with their open streams, end at once. Nothing brings them back.", plural(n, "live token")+" of theirs in this workspace")}
		switch {
		case len(m.Groups) > 0:
			ends = []string{fmt.Sprintf("They stay %s there through the group %s, and keep their tokens in it.", roleWord(m.Groups[0].Role), m.Groups[0].Name)}
		case n == 0:
			ends = []string{"They have no live tokens in this workspace: nothing else ends."}
		}
		c := p.ask(fmt.Sprintf("Remove %s from %s?", p.Person.UserName, m.Name), "Remove", "/workspaces/"+string(m.Workspace)+"/remove", ends)
		c.Facts = append(c.Facts, fact{Name: "Workspace", Text: m.Name}, fact{Name: "Role", Text: roleWord(m.Role)})
		return c, nil
	})
}

func (d *Dash) leaveSpace(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.about(r, tenure.RemoveMember); err != nil {
		return err
	}
	ended, err := d.Directory.RemoveMember(r.Context(), web.Principal(r.Context()), r.PathValue("workspace"), tenure.UserID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return d.told(w, r, func(p personPage) string {
		return fmt.Sprintf("Removed from %s: %s ended in %s.", p.AllSpace.Name(tenure.WorkspaceID(r.PathValue("workspace"))), total(ended), took(ended.Took))
	})
}

// An ownerPage asks who is to answer for a service account.
type ownerPage struct {
	frame
	refused
	Account tenure.ServiceAccount
	Owner   string
	Action  string
	Back    string
}

func (d *Dash) ownerPage(r *http.Request) (ownerPage, error) {
	if _, err := d.about(r, tenure.UpdateAccount); err != nil {
		return ownerPage{}, err
	}
	page := ownerPage{frame: d.frame(r, "A new owner"), Back: "/admin/people/" + r.PathValue("id")}
	page.Action = page.Back + "/accounts/" + r.PathValue("account") + "/owner"
	page.Address = ""
	var err error
	page.Account, err = d.ownedAccount(r.Context(), r)
	return page, err
}

// ownedAccount reads the service account that a page is about.
func (d *Dash) ownedAccount(ctx context.Context, r *http.Request) (tenure.ServiceAccount, error) {
	return d.Directory.Account(ctx, web.Principal(ctx), tenure.ServiceAccountID(r.PathValue("account")))
}

func (d *Dash) askOwner(w http.ResponseWriter, r *http.Request) error {
	page, err := d.ownerPage(r)
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "owner", page)
}

func (d *Dash) setOwner(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.about(r, tenure.UpdateAccount); err != nil {
		return err
	}
	if err := form(w, r); err != nil {
		return err
	}
	owner := strings.TrimSpace(r.PostForm.Get("owner"))
	a, err := d.Directory.UpdateAccount(r.Context(), web.Principal(r.Context()), tenure.ServiceAccountID(r.PathValue("account")), directory.AccountChange{Owner: &owner})
	wrong, refused := asRefused(err)
	switch {
	case err == nil:
		return d.told(w, r, func(personPage) string {
			return fmt.Sprintf("%s answers for the service account “%s” now.", a.OwnerName, a.Name)
		})
	case !refused:
		return err
	}
	page, failed := d.ownerPage(r)
	if failed != nil {
		return failed
	}
	page.refused, page.Owner = wrong, owner
	page.Address = page.Action
	if failed := d.show(w, http.StatusBadRequest, "owner", page); failed != nil {
		return failed
	}
	return err // answered; for the record
}

// An event is a row of the audit log.
type event struct {
	tenure.AuditEvent
	When      moment
	Workspace string
	Who       string
	Followed  bool // its request is the one that is followed
	Facts     []fact
}
