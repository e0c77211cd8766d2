package dash

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// placeCookie remembers which of one's workspaces one has chosen. It grants
// nothing: on each request it is looked for among one's own.
const placeCookie = "tenure-workspace"

// mostSpaces is how many workspaces there are to choose from.
const mostSpaces = 1000

// place tells in which workspace somebody is: the one that they chose while it is
// theirs, else "default", else their first.
func (d *Dash) place(r *http.Request, f *frame) {
	p := web.Principal(r.Context())
	f.Here = r.URL.RequestURI()
	if r.Method != http.MethodGet {
		f.Here = f.Address
	}
	if p.IsRoot() && d.Single {
		f.Workspace, f.WorkspaceName = tenure.DefaultWorkspace, string(tenure.DefaultWorkspace)
	}
	if p.User() == "" {
		return
	}
	own, err := d.Directory.OwnWorkspaces(r.Context(), p, "", mostSpaces)
	if err != nil || len(own) == 0 { // what cannot be read just now is no reason to withhold the page
		return
	}
	f.Spaces = own
	chosen, at := "", own[0]
	if c, err := r.Cookie(placeCookie); err == nil {
		chosen = c.Value
	}
	for _, s := range own {
		if string(s.ID) == chosen {
			at = s
			break
		}
		if s.Name == string(tenure.DefaultWorkspace) {
			at = s
		}
	}
	f.Workspace, f.WorkspaceName = at.ID, at.Name
}

// Choice is the list of workspaces where there is one to choose from.
func (f frame) Choice() []directory.WorkspaceRole {
	if len(f.Spaces) < 2 {
		return nil
	}
	return f.Spaces
}

// choosePlace remembers the workspace that somebody chose and goes back. What is
// not theirs does not exist.
func (d *Dash) choosePlace(w http.ResponseWriter, r *http.Request) error {
	chosen := r.URL.Query().Get("workspace")
	own, err := d.Directory.OwnWorkspaces(r.Context(), web.Principal(r.Context()), "", mostSpaces)
	if err != nil {
		return err
	}
	for _, s := range own {
		if string(s.ID) == chosen {
			//nolint:gosec // Secure wherever the page itself is; plain HTTP is for this machine only
			http.SetCookie(w, &http.Cookie{
				Name: placeCookie, Value: chosen, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600,
				Secure: r.TLS != nil || strings.HasPrefix(d.Base(r), "https://"),
			})
			http.Redirect(w, r, local(r.URL.Query().Get("to")), http.StatusSeeOther) //nolint:gosec // local has looked at it
			return nil
		}
	}
	return tenure.ErrNotFound
}
