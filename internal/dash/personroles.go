package dash

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// roleOpens says what somebody may do by a role in the tenant.
func roleOpens(r tenure.Role) string {
	switch r {
	case tenure.SuperAdmin:
		return "A super admin may do everything here: give roles, set the policy, add providers, connectors and sign-in, and end anybody’s access."
	case tenure.Admin:
		return "An admin may end the access of everybody but super admins, revoke any token, and look after every workspace and service account."
	case tenure.Auditor:
		return "An auditor may read everything of administration, and change nothing."
	}
	return "A member has no part in administration, but for what a workspace gives them."
}

// askRole asks before a role in the tenant changes, which ends sessions.
func (d *Dash) askRole(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	page, err := d.about(r, tenure.SetUserRole)
	if err != nil {
		return err
	}
	role, err := tenure.ParseTenantRole(r.URL.Query().Get("role"))
	if was, wrong := asRefused(err); wrong {
		page.Role.refused = was
		page.Address = page.Path()
		if failed := d.show(w, http.StatusBadRequest, "person", page); failed != nil {
			return failed
		}
		return err // answered; for the record
	}
	c := page.ask(fmt.Sprintf("Make %s %s?", page.Person.UserName, roleWord(role)), "Change role", "/role", page.sessionsEnd(page.Sessions))
	c.Facts = append(c.Facts, fact{Name: "Role now", Text: roleWord(page.Person.Role)}, fact{Name: "Role then", Text: roleWord(role)})
	c.Sends = []fact{{Name: "role", Text: string(role)}}
	if n := len(page.Sessions); n > 0 {
		c.Button = "Change role and end " + plural(n, "session")
		c.Ends = append(c.Ends, "Whoever was signed in there signs in again, and has the new role. Tokens stay as they are.")
	} else {
		c.Ends = append(c.Ends, "No browser is signed in as them: nothing ends. Tokens stay as they are.")
	}
	c.Ends = append([]string{roleOpens(role)}, c.Ends...)
	if page.Person.ID == web.Principal(r.Context()).User() {
		c.Ends = append(c.Ends, "This is you: you will be signed out.")
	}
	err = d.Directory.Keeps(r.Context(), web.Principal(r.Context()), page.Person.ID, false)
	if page.Person.Role == role {
		c.Over = "They are " + roleWord(role) + " already."
	} else if tenure.IsKind(err, tenure.Conflict) {
		c.Over = sentence(tenure.Redact(tenure.AsError(err).Msg))
	} else if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "confirm", c)
}

func (d *Dash) setRole(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	_, ended, err := d.Directory.SetRole(r.Context(), web.Principal(r.Context()), tenure.UserID(r.PathValue("id")), tenure.Role(r.PostForm.Get("role")))
	if tenure.IsKind(err, tenure.Conflict) { // the last super admin, or one whom the operator names
		e := *tenure.AsError(err)
		e.Kind, e.Field = tenure.Invalid, "role"
		err = &e
	}
	was, wrong := asRefused(err)
	if err != nil && !wrong {
		return err
	}
	page, failed := d.personPage(r, r.PathValue("id"))
	if failed != nil {
		return failed
	}
	status := http.StatusOK
	if page.Role.refused = was; wrong {
		status = http.StatusBadRequest
	} else {
		page.Notice = fmt.Sprintf("%s is %s in the tenant, from the next request on: %s ended in %s.",
			page.Person.UserName, roleWord(page.Person.Role), total(ended), took(ended.Took))
	}
	if failed := d.show(w, status, "person", page); failed != nil {
		return failed
	}
	return err // answered; for the record
}

// spaceForm asks in which workspace somebody works, and as what.
func (d *Dash) spaceForm(r *http.Request) (*formPage, error) {
	person, err := d.about(r, tenure.SetMember)
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: person.frame, Heading: "Add " + person.Person.UserName + " to a workspace", Button: "Add, or change the role",
		Action: person.Path() + "/workspaces", Back: person.Path(),
		Lead: []string{"It holds from the next request on. Where they are a member already, it is their role that changes."},
	}
	page.Title = page.Heading
	page.Address = person.Path() + "/workspaces/add"
	space := field{Kind: textField, Name: "workspace", Label: "Workspace", Example: "default", Needed: true}
	if names := person.AllSpace.List; len(names) > 0 && len(names) < maxNames { // all of them
		space.Kind, space.Options = pickField, options("", names...)
	}
	role := field{Kind: oneField, Name: "role", Label: "Role there"}
	for _, has := range tenure.WorkspaceRoles {
		role.Options = append(role.Options, option{Value: string(has), Label: roleWord(has), On: has == tenure.Member})
	}
	page.Fields = []field{space, role}
	return page, nil
}

func (d *Dash) askJoinSpace(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	page, err := d.spaceForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) joinSpace(w http.ResponseWriter, r *http.Request) error {
	page, err := d.spaceForm(r)
	if err != nil {
		return err
	}
	if err := form(w, r); err != nil {
		return err
	}
	name := strings.TrimSpace(r.PostForm.Get("workspace"))
	m, err := d.Directory.SetMember(r.Context(), web.Principal(r.Context()), name, tenure.UserID(r.PathValue("id")), tenure.Role(r.PostForm.Get("role")))
	if tenure.IsKind(err, tenure.NotFound) && tenure.AsError(err).Code != "user_not_found" {
		err = tenure.InvalidField("workspace", "there is no workspace %q", tenure.Redact(name))
	}
	if err != nil {
		return d.askAgain(w, r, page, err)
	}
	return d.told(w, r, func(p personPage) string {
		return fmt.Sprintf("%s is %s in the workspace %s, from the next request on.", p.Person.UserName, roleWord(m.Role), m.Name)
	})
}
