package dash

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// found is how many people or groups a search offers.
const found = 20

// roleField asks for a role in a workspace.
func roleField(now tenure.Role) field {
	return field{Kind: oneField, Name: "role", Label: "Role", Options: []option{
		{Value: string(tenure.Member), Label: "member", Hint: "asks models, and makes tokens where the policy lets members", On: now == tenure.Member || now == ""},
		{Value: string(tenure.WorkspaceAdmin), Label: "workspace_admin", Hint: "also decides who is in the workspace, and looks after its service accounts", On: now == tenure.WorkspaceAdmin},
		{Value: string(tenure.Viewer), Label: "viewer", Hint: "sees the workspace, and asks no model", On: now == tenure.Viewer},
	}}
}

// inSpace begins a form about a workspace.
func (d *Dash) inSpace(r *http.Request, action tenure.Action, title, below, button string) (*formPage, directory.WorkspaceRole, error) {
	ws, err := d.Directory.WorkspaceFor(r.Context(), web.Principal(r.Context()), r.PathValue("id"), action)
	if err != nil {
		return nil, ws, err
	}
	path := workspacesPath + "/" + string(ws.ID)
	page := &formPage{frame: d.frame(r, title), Heading: title, Action: path + below, Button: button, Back: path}
	page.Address = page.Action
	return page, ws, nil
}

func (d *Dash) memberForm(r *http.Request) (*formPage, error) {
	page, ws, err := d.inSpace(r, tenure.SetMember, "Add somebody", "/members/add", "Add")
	if err != nil {
		return nil, err
	}
	ctx, by := r.Context(), web.Principal(r.Context())
	page.Lead = []string{"To the workspace “" + ws.Name + "”. It holds from the next request on."}
	name := field{
		Kind: textField, Name: "user", Label: "Person", Most: tenure.MaxUserName, Needed: true, Example: "alice@example.com",
		Hint: "Their userName, in full. Whoever has signed in or was provisioned is known.",
	}
	if may(by, tenure.ListUsers) {
		page.Find = &finder{Label: "Find people by name", Value: strings.TrimSpace(r.URL.Query().Get("q")), Action: page.Action}
		f := directory.UserFilter{Limit: found, Uncounted: true, Order: directory.Order{By: directory.FieldUserName}}
		if part := tenure.FoldUserName(page.Find.Value); part != "" {
			f.Where = &directory.Cond{Op: directory.CondOr, Parts: []directory.Cond{
				{Op: directory.CondContains, Field: directory.FieldUserName, Value: part},
				{Op: directory.CondContains, Field: directory.FieldDisplayName, Value: part},
			}}
			users, _, err := d.Directory.Users(ctx, by, f)
			if err != nil {
				return nil, err
			}
			name = field{Kind: oneField, Name: "user", Label: "Person"}
			for _, u := range users {
				o := option{Value: u.UserName, Label: u.UserName, Hint: u.DisplayName, On: len(users) == 1}
				if !u.Active {
					o.Hint = strings.TrimSpace(o.Hint + " (deactivated)")
				}
				name.Options = append(name.Options, o)
			}
			page.Action += "?q=" + url.QueryEscape(page.Find.Value)
			name.Hint = fmt.Sprintf("%d found.", len(users))
			if len(users) == found {
				name.Hint = fmt.Sprintf("The first %d; search for more of the name to narrow it.", found)
			}
		}
	}
	page.Fields = []field{name, roleField("")}
	return page, nil
}

func (d *Dash) askAddMember(w http.ResponseWriter, r *http.Request) error {
	page, err := d.memberForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) addMember(w http.ResponseWriter, r *http.Request) error {
	return d.setMember(w, r, sent(r, "user"), d.memberForm)
}

func (d *Dash) setMember(w http.ResponseWriter, r *http.Request, user string, form func(*http.Request) (*formPage, error)) error {
	var m tenure.Membership
	var err error
	if user == "" {
		err = tenure.InvalidField("user", "choose who, or write their userName")
	} else {
		m, err = d.Directory.SetMember(r.Context(), web.Principal(r.Context()), r.PathValue("id"), tenure.UserID(user), tenure.Role(sent(r, "role")))
	}
	if err != nil {
		if e := tenure.AsError(err); e.Code == "user_not_found" {
			err = &tenure.Error{Kind: e.Kind, Code: e.Code, Field: "user", Msg: e.Msg, Err: err}
		}
		page, failed := form(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	notice := fmt.Sprintf("%s is a %s of “%s”.", m.UserName, m.Direct, m.Name)
	if m.Role != m.Direct {
		notice = fmt.Sprintf("%s is a %s of “%s” by themselves, and a %s through a group: the higher one counts.", m.UserName, m.Direct, m.Name, m.Role)
	}
	return d.showWorkspace(w, r, string(m.Workspace), notice)
}

func (d *Dash) memberRoleForm(r *http.Request) (*formPage, error) {
	m, err := d.Directory.Member(r.Context(), web.Principal(r.Context()), r.PathValue("id"), tenure.UserID(r.PathValue("user")), tenure.SetMember)
	if err != nil {
		return nil, err
	}
	page, ws, err := d.inSpace(r, tenure.SetMember, "Change a role", "/members/"+string(m.User)+"/role", "Save")
	if err != nil {
		return nil, err
	}
	page.Heading = "What is " + m.UserName + " in “" + ws.Name + "”?"
	page.Lead = throughGroups(m)
	page.Fields = []field{roleField(m.Direct)}
	return page, nil
}

// throughGroups says what somebody is in a workspace through groups, too.
func throughGroups(m tenure.Membership) []string {
	if len(m.Groups) == 0 {
		return nil
	}
	return []string{"Groups give a role here too: " + groupRoles(m.Groups) + ". The highest counts."}
}

func groupRoles(groups []tenure.GroupRole) string {
	var parts []string
	for _, g := range groups {
		parts = append(parts, fmt.Sprintf("“%s” (%s)", g.Name, g.Role))
	}
	return strings.Join(parts, ", ")
}

func (d *Dash) askMemberRole(w http.ResponseWriter, r *http.Request) error {
	page, err := d.memberRoleForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setMemberRole(w http.ResponseWriter, r *http.Request) error {
	return d.setMember(w, r, r.PathValue("user"), d.memberRoleForm)
}

func (d *Dash) askRemoveMember(w http.ResponseWriter, r *http.Request) error {
	m, err := d.Directory.Member(r.Context(), web.Principal(r.Context()), r.PathValue("id"), tenure.UserID(r.PathValue("user")), tenure.RemoveMember)
	if err != nil {
		return err
	}
	path := workspacesPath + "/" + string(m.Workspace)
	page := confirmPage{
		frame: d.frame(r, "Remove a member"), Heading: fmt.Sprintf("Remove %s from “%s”?", m.UserName, m.Name), Button: "Remove",
		Back: path, Action: path + "/members/" + string(m.User) + "/remove",
	}
	page.Facts = []fact{{Name: "Role", Text: string(m.Role)}}
	switch {
	case m.Direct == "":
		page.Over = "They are here only through " + groupRoles(m.Groups) + ". Take them out of the group at the identity provider, or remove the group from this workspace."
	case len(m.Groups) > 0:
		page.Ends = []string{"What they are here by themselves ends.", "They stay through " + groupRoles(m.Groups) + ", and keep their tokens."}
	default:
		n, err := d.Directory.TokensIn(r.Context(), web.Principal(r.Context()), string(m.Workspace), m.User)
		if err != nil {
			return err
		}
		page.Button = "Remove and end " + plural(n, "token")
		page.Ends = []string{
			"Their " + plural(n, "live token") + " in this workspace end" + third(n) + " for good, with every request and stream carried at that moment.",
			"What they have in other workspaces stays.",
		}
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) removeMember(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	m, err := d.Directory.Member(ctx, by, r.PathValue("id"), tenure.UserID(r.PathValue("user")), tenure.RemoveMember)
	if err != nil {
		return err
	}
	ended, err := d.Directory.RemoveMember(ctx, by, string(m.Workspace), m.User)
	if err != nil {
		return err
	}
	notice := fmt.Sprintf("%s is removed: %s ended in %s.", m.UserName, total(ended), took(ended.Took))
	if m.User == by.User() && !may(by, tenure.ReadWorkspace) && len(m.Groups) == 0 {
		return d.showWorkspaces(w, r, notice) // it is not theirs to see any more
	}
	return d.showWorkspace(w, r, string(m.Workspace), notice)
}

func (d *Dash) mappingForm(r *http.Request) (*formPage, error) {
	page, ws, err := d.inSpace(r, tenure.SetMapping, "Add a group", "/groups/add", "Add")
	if err != nil {
		return nil, err
	}
	page.Lead = []string{
		"Whoever is in the group at the identity provider has the role in “" + ws.Name + "”, those who come into it later too, and loses it with the group.",
	}
	page.Find = &finder{Label: "Find groups by name", Value: strings.TrimSpace(r.URL.Query().Get("q")), Action: page.Action}
	groups, err := d.Directory.FindGroups(r.Context(), web.Principal(r.Context()), page.Find.Value, found)
	if err != nil {
		return nil, err
	}
	choice := field{Kind: oneField, Name: "group", Label: "Group"}
	for _, g := range groups {
		choice.Options = append(choice.Options, option{Value: string(g.ID), Label: g.DisplayName, On: len(groups) == 1})
	}
	switch {
	case len(groups) == found:
		choice.Hint = fmt.Sprintf("The first %d by name; search to find another.", found)
	case len(groups) == 0 && page.Find.Value != "":
		choice.Hint = "No group has that in its name."
	case len(groups) == 0:
		choice.Hint = "There are no groups yet: the identity provider pushes them over SCIM."
	}
	if page.Find.Value != "" {
		page.Action += "?q=" + url.QueryEscape(page.Find.Value)
	}
	page.Fields = []field{choice, roleField("")}
	return page, nil
}

func (d *Dash) askAddGroup(w http.ResponseWriter, r *http.Request) error {
	page, err := d.mappingForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) addGroup(w http.ResponseWriter, r *http.Request) error {
	return d.setGroup(w, r, sent(r, "group"), d.mappingForm)
}

func (d *Dash) setGroup(w http.ResponseWriter, r *http.Request, group string, form func(*http.Request) (*formPage, error)) error {
	var g tenure.GroupRole
	var err error
	if group == "" {
		err = tenure.InvalidField("group", "choose a group")
	} else {
		g, err = d.Directory.SetMapping(r.Context(), web.Principal(r.Context()), r.PathValue("id"), group, tenure.Role(sent(r, "role")))
	}
	if err != nil {
		page, failed := form(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showWorkspace(w, r, string(g.Workspace), fmt.Sprintf("Whoever is in the group “%s” is a %s here.", g.Name, g.Role))
}

func (d *Dash) groupRoleForm(r *http.Request) (*formPage, error) {
	g, err := d.Directory.Mapping(r.Context(), web.Principal(r.Context()), r.PathValue("id"), r.PathValue("group"))
	if err != nil {
		return nil, err
	}
	page, ws, err := d.inSpace(r, tenure.SetMapping, "Change a role", "/groups/"+string(g.Group)+"/role", "Save")
	if err != nil {
		return nil, err
	}
	page.Heading = "What are the members of “" + g.Name + "” in “" + ws.Name + "”?"
	page.Fields = []field{roleField(g.Role)}
	return page, nil
}

func (d *Dash) askGroupRole(w http.ResponseWriter, r *http.Request) error {
	page, err := d.groupRoleForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setGroupRole(w http.ResponseWriter, r *http.Request) error {
	return d.setGroup(w, r, r.PathValue("group"), d.groupRoleForm)
}

func (d *Dash) askRemoveGroup(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	g, err := d.Directory.Mapping(ctx, by, r.PathValue("id"), r.PathValue("group"))
	if err != nil {
		return err
	}
	ws, err := d.Directory.Workspace(ctx, by, string(g.Workspace))
	if err != nil {
		return err
	}
	n, err := d.Directory.TokensThrough(ctx, by, string(ws.ID), g.Group)
	if err != nil {
		return err
	}
	path := workspacesPath + "/" + string(ws.ID)
	page := confirmPage{
		frame: d.frame(r, "Remove a group"), Heading: fmt.Sprintf("Remove the group “%s” from “%s”?", g.Name, ws.Name), Button: "Remove and end " + plural(n, "token"),
		Back: path, Action: path + "/groups/" + string(g.Group) + "/remove",
		Ends: []string{
			"Its members who have no other role here lose what they have in this workspace: " + plural(n, "live token") + " end" + third(n) + " for good, with every request and stream carried at that moment.",
			"The group itself stays as the identity provider has it.",
		},
	}
	page.Facts = []fact{{Name: "Role", Text: string(g.Role)}, {Name: "Since", At: page.At(g.CreatedAt)}, {Name: "Added by", Text: dashed(g.CreatedBy)}}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) removeGroup(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	g, err := d.Directory.Mapping(ctx, by, r.PathValue("id"), r.PathValue("group"))
	if err != nil {
		return err
	}
	ended, err := d.Directory.RemoveMapping(ctx, by, string(g.Workspace), string(g.Group))
	if err != nil {
		return err
	}
	return d.showWorkspace(w, r, string(g.Workspace), fmt.Sprintf("The group “%s” is removed: %s ended in %s.", g.Name, total(ended), took(ended.Took)))
}

// leads reports whether the asker has a role in some workspace in which it opens an
// action that their role in the tenant does not.
func (d *Dash) leads(r *http.Request, a tenure.Action) bool {
	ctx, by := r.Context(), web.Principal(r.Context())
	held, err := d.Directory.RolesHeld(ctx, by)
	if err != nil {
		return false // what cannot be read just now is no reason to withhold the page
	}
	if slices.Contains(held, tenure.WorkspaceAdmin) {
		return true
	}
	if a == tenure.ReadWorkspace {
		return false
	}
	seers, err := d.Directory.AccountSeers(ctx, by)
	return err == nil && slices.ContainsFunc(held, func(role tenure.Role) bool { return slices.Contains(seers, role) })
}
