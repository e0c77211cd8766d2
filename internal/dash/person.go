package dash

import (
	"context"
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Bounds of a person's page; the report lists all.
const (
	shownEnded  = 50
	shownSpaces = 200
	shownEvents = 25
)

// A personPage shows everything of somebody, and ends it.
type personPage struct {
	frame
	Notice   string
	Role     roleForm
	Person   governance.Report
	May      mayDo
	Holds    tenure.Ended // what of theirs would end
	Stays    string       // why their access cannot be ended, or ""
	Tokens   personItems
	Sessions []openSession
	Streams  []governance.Item
	Accounts personItems
	Groups   []governance.Item
	Places   []tenure.Membership
	AllSpace spaces
	Events   []event
}

// personItems are things that live, and the newest of those that ended.
type personItems struct {
	Live  []governance.Item
	Ended []governance.Item
	More  int // ended ones that are not on the page
}

// A roleForm is the form that gives a role in the tenant.
type roleForm struct {
	refused
	Roles []choice
}

// mayDo is what the asker may do on the page, perhaps after signing in again.
type mayDo struct {
	Deactivate, Reactivate, Erase, Role, Members, Tokens, Owner, Beliefs bool
	Above                                                                bool // only a super admin may act on them
}

// Path is the address of the person's page.
func (p personPage) Path() string { return "/admin/people/" + string(p.Person.ID) }

// Deactivate and RevokeAll are the buttons in words.
func (p personPage) Deactivate() string { return deactivateWords(p.Holds) }

// RevokeAll is the button that ends what they carry.
func (p personPage) RevokeAll() string { return revokeAllWords(p.Holds) }

// Carries tells that there is something to end.
func (p personPage) Carries() bool { return p.Holds.Tokens+p.Holds.Sessions+p.Holds.Streams > 0 }

// Known tells that they are not deleted.
func (p personPage) Known() bool { return p.Person.DeletedAt.IsZero() }

// Over says how it ended of whom nothing is left.
func (p personPage) Over() string {
	if !p.Person.Complete {
		return ""
	}
	return allEnded(p.Person.Took, p.Person.StreamsCut)
}

// Source is who made Tenure know them.
func (p personPage) Source() string { return sourceWord(p.Person.Source) }

func (d *Dash) person(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	page, err := d.personPage(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "person", page)
}

// personPage reads what a person's page shows.
func (d *Dash) personPage(r *http.Request, id string) (personPage, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	page := personPage{frame: d.frame(r, "Person")}
	var err error
	if page.Person, err = d.Governance.Report(ctx, by, id); err != nil {
		return page, err
	}
	user := page.Person.ID
	page.Title = page.Person.UserName
	page.Address = ""
	if r.Method == http.MethodPost {
		page.Address = page.Path()
	}
	page.Role.Roles = tenantRoles(page.Person.Role)
	if page.Known() {
		if page.Sessions, err = d.sessionsOf(ctx, by, user); err != nil {
			return page, err
		}
	}
	if page.Places, err = d.Directory.Memberships(ctx, by, directory.MembershipFilter{User: user, Limit: shownSpaces}); err != nil {
		return page, err
	}
	if page.AllSpace, err = d.spaces(r); err != nil {
		return page, err
	}
	events, err := d.Governance.Audit(ctx, by, governance.AuditFilter{Person: user, Limit: shownEvents})
	if err != nil {
		return page, err
	}
	page.Events = page.events(events, page.AllSpace, "")
	page.sort()
	page.May = mayWith(by, page.Person)
	if page.May.Deactivate && page.Person.Active {
		err = d.Directory.Keeps(ctx, by, user, true)
		if tenure.IsKind(err, tenure.Conflict) {
			page.Stays, err = sentence(tenure.Redact(tenure.AsError(err).Msg)), nil
		}
	}
	return page, err
}

// sort puts what the report tells into the sections of the page.
func (p *personPage) sort() {
	p.Holds.Sessions = len(p.Sessions)
	for _, i := range p.Person.Items {
		ended := !i.EndedAt.IsZero()
		switch {
		case i.Kind == governance.KindToken && i.Of == "" && i.About == string(tenure.KindPAT):
			p.Tokens.add(i, ended)
			if !ended {
				p.Holds.Tokens++
			}
		case i.Kind == governance.KindStream && i.Of == "":
			p.Streams = append(p.Streams, i)
			p.Holds.Streams += i.Count
		case i.Kind == governance.KindAccount && i.State != governance.PassedOn:
			p.Accounts.add(i, ended)
			if !ended && i.State == "active" {
				p.Holds.Orphans++
			}
		case i.Kind == governance.KindGroup && !ended:
			p.Groups = append(p.Groups, i)
		}
	}
}

func (p *personItems) add(i governance.Item, ended bool) {
	switch {
	case !ended:
		p.Live = append(p.Live, i)
	case len(p.Ended) < shownEnded: // the report has the oldest first
		p.Ended = append([]governance.Item{i}, p.Ended...)
	default:
		p.Ended = append([]governance.Item{i}, p.Ended[:shownEnded-1]...)
		p.More++
	}
}

func (d *Dash) sessionsOf(ctx context.Context, by tenure.Principal, user tenure.UserID) ([]openSession, error) {
	rows, err := d.Directory.SessionsOf(ctx, by, user)
	all := make([]openSession, len(rows))
	for i, s := range rows {
		all[i] = openSession{Session: s, Device: device(s.UserAgent), Here: s.ID == by.Session()}
	}
	return all, err
}

// mayWith is what somebody may do about a person; the acts ask again.
func mayWith(by tenure.Principal, person governance.Report) mayDo {
	known := person.DeletedAt.IsZero()
	m := mayDo{Above: access.Above(by, person.Role) != nil}
	m.Deactivate = known && !m.Above && mayOpen(by, tenure.DeactivateUser)
	m.Reactivate = known && !person.Active && mayOpen(by, tenure.ReactivateUser)
	m.Erase = !person.Active && mayOpen(by, tenure.EraseAudit)
	m.Role = known && mayOpen(by, tenure.SetUserRole)
	m.Members = known && mayAnywhere(by, tenure.SetMember)
	m.Beliefs = known && person.ID != by.User() && by.User() != "" && mayOpen(by, tenure.ReadAnyBeliefs)
	m.Tokens = mayOpen(by, tenure.RevokeAnyToken)
	m.Owner = mayAnywhere(by, tenure.UpdateAccount)
	m.Above = m.Above && known && mayOpen(by, tenure.DeactivateUser)
	return m
}

// mayAnywhere reports whether somebody may do a in every workspace of the tenant,
// perhaps after signing in again.
func mayAnywhere(by tenure.Principal, a tenure.Action) bool {
	err := access.Check(by, a)
	return err == nil || access.AfterSignIn(err)
}
