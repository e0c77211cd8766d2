package dash

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

const workspacesPath = "/admin/workspaces"

// A workspacesPage lists workspaces: all, or those in which the asker has a role.
type workspacesPage struct {
	frame
	listing
	Notice string
	Rows   []directory.WorkspaceRole
	May    bool // make one
	All    bool // it lists those of the whole tenant
}

func (d *Dash) workspaces(w http.ResponseWriter, r *http.Request) error {
	return d.showWorkspaces(w, r, "")
}

func (d *Dash) showWorkspaces(w http.ResponseWriter, r *http.Request, notice string) error {
	by := web.Principal(r.Context())
	page := workspacesPage{frame: d.frame(r, "Workspaces"), listing: d.listing(r, workspacesPath), Notice: notice}
	page.Address, page.May, page.All = workspacesPath, may(by, tenure.CreateWorkspace), may(by, tenure.ReadWorkspace)
	rows, err := d.Directory.FindWorkspaces(r.Context(), by, page.Query, tenure.WorkspaceID(r.URL.Query().Get("cursor")), perPage+1)
	if err != nil {
		return err
	}
	page.Rows = cut(&page.listing, rows, func(w directory.WorkspaceRole) string { return string(w.ID) })
	return d.show(w, http.StatusOK, "workspaces", page)
}

// workspaceFields ask for what a workspace is.
func workspaceFields(name, about string, models tenure.Models) []field {
	return []field{
		{Kind: textField, Name: "name", Label: "Name", Value: name, Most: tenure.MaxName, Needed: true, Example: "Research"},
		{Kind: areaField, Name: "about", Label: "About", Value: about, Most: tenure.MaxText, Hint: "What it is for, and who may join. It may stay empty."},
		{
			Kind: areaField, Name: "models", Label: "Models", Value: strings.Join(models, "\n"), Code: true,
			Hint: "Patterns of the models that may be asked here, one a line: gpt-4o* for every model whose name begins so, anthropic/* for every model of a provider, * for every model. A token may narrow this, and never widen it.",
		},
	}
}

// workspaceSpec reads what the fields of a workspace sent.
func workspaceSpec(r *http.Request) directory.WorkspaceSpec {
	name, about := sent(r, "name"), lines(r, "about")
	spec := directory.WorkspaceSpec{Name: &name, About: &about, Models: words(r, "models")}
	if spec.Models == nil {
		spec.Models = []string{} // an empty list is refused, and says what would be right
	}
	return spec
}

func (d *Dash) workspaceForm(r *http.Request) *formPage {
	page := &formPage{
		frame: d.frame(r, "New workspace"), Heading: "New workspace", Action: workspacesPath, Button: "Create workspace", Back: workspacesPath,
		Lead: []string{"A team or a project with members, models, providers and tokens of its own."},
	}
	page.Address = workspacesPath + "/new"
	page.Fields = workspaceFields("", "", tenure.Models{tenure.AnyModel})
	return page
}

func (d *Dash) newWorkspace(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.workspaceForm(r))
}

func (d *Dash) createWorkspace(w http.ResponseWriter, r *http.Request) error {
	ws, err := d.Directory.CreateWorkspace(r.Context(), web.Principal(r.Context()), workspaceSpec(r))
	if err != nil {
		return d.askAgain(w, r, d.workspaceForm(r), err)
	}
	return d.showWorkspace(w, r, string(ws.ID), fmt.Sprintf("“%s” is there. Nobody is in it yet: add people, or a group, below.", ws.Name))
}

// A workspacePage shows one workspace and who is in it.
type workspacePage struct {
	frame
	listing
	Notice string
	Space  directory.WorkspaceRole
	Counts directory.WorkspaceCounts
	People []tenure.Membership
	Groups []tenure.GroupRole
	More   bool // there are more groups
	// What the asker may do here.
	Edit, Delete, Add, Remove, Map, Unmap, Accounts, SetOutage bool
	Start                                                      bool // it is where newcomers begin

	Outage        string // what it does while the database is away
	Beliefs       string // when some are drawn out of turns; "": the asker may not read that
	SetExtraction bool
}

// mappingsShown is how many groups the page of a workspace lists.
const mappingsShown = 200

func (d *Dash) workspace(w http.ResponseWriter, r *http.Request) error {
	return d.showWorkspace(w, r, r.PathValue("id"), "")
}

// showWorkspace answers with the page of a workspace, and says on it what has just
// been done.
func (d *Dash) showWorkspace(w http.ResponseWriter, r *http.Request, id, notice string) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	ws, err := d.Directory.Workspace(ctx, by, id)
	if err != nil && notice != "" { // it is done, by somebody who may not read about it
		http.Redirect(w, r, workspacesPath, http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	page := workspacePage{frame: d.frame(r, ws.Name), listing: d.listing(r, workspacesPath+"/"+string(ws.ID)), Notice: notice, Space: ws}
	page.Address, page.Start = page.Path, ws.Name == string(tenure.DefaultWorkspace)
	page.Edit, page.Delete = may(by, tenure.UpdateWorkspace), may(by, tenure.DeleteWorkspace) && !page.Start
	page.SetOutage, page.Outage = may(by, tenure.SetOutageGrace), outageGrace(ws.Workspace, page.Now)
	page.SetExtraction = may(by, tenure.SetExtraction)
	held, err := d.Beliefs.InWorkspace(ctx, by, string(ws.ID))
	if err == nil {
		page.Beliefs = holdsWords(held)
	} else if !tenure.IsKind(err, tenure.Forbidden) {
		return err
	}
	page.Add, page.Remove = mayIn(by, tenure.SetMember, ws.Role), mayIn(by, tenure.RemoveMember, ws.Role)
	page.Map, page.Unmap = may(by, tenure.SetMapping), may(by, tenure.RemoveMapping)
	page.Accounts = d.looksAfter(r, tenure.ListAccounts, ws.ID)
	if page.Counts, err = d.Directory.CountWorkspace(ctx, by, string(ws.ID)); err != nil {
		return err
	}
	f := directory.MembershipFilter{Limit: perPage + 1, AfterWorkspace: ws.ID, AfterUser: tenure.UserID(r.URL.Query().Get("cursor"))}
	people, err := d.Directory.Members(ctx, by, string(ws.ID), f)
	if err != nil {
		return err
	}
	page.People = cut(&page.listing, people, func(m tenure.Membership) string { return string(m.User) })
	groups, err := d.Directory.Mappings(ctx, by, string(ws.ID), "", mappingsShown+1)
	if err != nil {
		return err
	}
	page.More = len(groups) > mappingsShown
	page.Groups = groups[:min(len(groups), mappingsShown)]
	return d.show(w, http.StatusOK, "workspace", page)
}

func (d *Dash) changeWorkspaceForm(r *http.Request) (*formPage, error) {
	ws, err := d.Directory.Workspace(r.Context(), web.Principal(r.Context()), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	path := workspacesPath + "/" + string(ws.ID)
	page := &formPage{frame: d.frame(r, "Change "+ws.Name), Heading: "Change “" + ws.Name + "”", Action: path, Button: "Save", Back: path}
	page.Lead = []string{"A model that is not allowed any more is refused from the next request on."}
	page.Address, page.Fields = path+"/edit", workspaceFields(ws.Name, ws.About, ws.Models)
	return page, nil
}

func (d *Dash) editWorkspace(w http.ResponseWriter, r *http.Request) error {
	page, err := d.changeWorkspaceForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) updateWorkspace(w http.ResponseWriter, r *http.Request) error {
	ws, err := d.Directory.UpdateWorkspace(r.Context(), web.Principal(r.Context()), r.PathValue("id"), workspaceSpec(r))
	if err != nil {
		page, failed := d.changeWorkspaceForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showWorkspace(w, r, string(ws.ID), fmt.Sprintf("“%s” is saved.", ws.Name))
}

func (d *Dash) askDeleteWorkspace(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	ws, err := d.Directory.Workspace(ctx, by, r.PathValue("id"))
	if err != nil {
		return err
	}
	n, err := d.Directory.CountWorkspace(ctx, by, string(ws.ID))
	if err != nil {
		return err
	}
	path := workspacesPath + "/" + string(ws.ID)
	page := confirmPage{
		frame: d.frame(r, "Delete a workspace"), Heading: fmt.Sprintf("Delete “%s”?", ws.Name), Back: path, Action: path + "/delete",
		Button: "Delete workspace and end " + plural(n.Tokens, "token"),
		Ends:   []string{"Its " + plural(n.Tokens, "live token") + " end" + third(n.Tokens) + " for good, with every request and stream carried at that moment."},
	}
	if n.Accounts > 0 {
		page.Ends = append(page.Ends, "Its "+plural(n.Accounts, "service account")+" end"+third(n.Accounts)+" too.")
	}
	if n.Providers > 0 {
		page.Ends = append(page.Ends, "The keys of its "+plural(n.Providers, "provider")+" are forgotten.")
	}
	page.Ends = append(page.Ends, people(n.Members)+" no longer in it. They keep what they have in other workspaces.", "Nothing brings it back. Its name is free again.")
	page.Facts = []fact{{Name: "About", Text: dashed(ws.About)}, {Name: "Created", At: page.At(ws.CreatedAt)}}
	if ws.Name == string(tenure.DefaultWorkspace) {
		page.Over = "The workspace “default” cannot be deleted: whoever is new begins there."
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

// people counts persons, with their verb.
func people(n int) string {
	if n == 1 {
		return "1 person is"
	}
	return fmt.Sprintf("%d people are", n)
}

// dashed is a text, or the dash of an empty cell.
func dashed(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

func (d *Dash) deleteWorkspace(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	ws, err := d.Directory.Workspace(ctx, by, r.PathValue("id"))
	if err != nil {
		return err
	}
	ended, err := d.Directory.DeleteWorkspace(ctx, by, string(ws.ID))
	if err != nil {
		return err
	}
	return d.showWorkspaces(w, r, fmt.Sprintf("“%s” is deleted: %s ended in %s.", ws.Name, total(ended), took(ended.Took)))
}
