package dash

import (
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// peopleRoutes are the pages about other people and their tokens: there are none
// in single mode. A page that asks about a person shows what they have, and so is
// the reader's; it asks further for what it is about to do.
func (d *Dash) peopleRoutes() []web.Route {
	return []web.Route{
		d.route("GET /admin/people", tenure.ListUsers, d.people),
		d.route("GET /admin/people/{id}", tenure.ReportUser, d.person),
		d.route("GET /admin/people/{id}/report", tenure.ReportUser, d.report),
		d.route("GET /admin/people/{id}/deactivate", tenure.ReportUser, d.askDeactivate),
		d.route("POST /admin/people/{id}/deactivate", tenure.DeactivateUser, d.deactivate),
		d.route("GET /admin/people/{id}/reactivate", tenure.ReportUser, d.askReactivate),
		d.route("POST /admin/people/{id}/reactivate", tenure.ReactivateUser, d.reactivate),
		d.route("GET /admin/people/{id}/erase-audit", tenure.EraseAudit, d.askErase),
		d.route("POST /admin/people/{id}/erase-audit", tenure.EraseAudit, d.erase),
		d.route("GET /admin/people/{id}/beliefs", tenure.ReadAnyBeliefs, d.disclosed),
		d.route("GET /admin/people/{id}/revoke-all", tenure.ReportUser, d.askRevokeAll),
		d.route("POST /admin/people/{id}/revoke-all", tenure.RevokeAll, d.revokeAll),
		d.route("GET /admin/people/{id}/role", tenure.SetUserRole, d.askRole),
		d.route("POST /admin/people/{id}/role", tenure.SetUserRole, d.setRole),
		d.route("GET /admin/people/{id}/workspaces/add", tenure.ReportUser, d.askJoinSpace),
		d.route("POST /admin/people/{id}/workspaces", tenure.ReportUser, d.joinSpace),
		d.route("GET /admin/people/{id}/workspaces/{workspace}/remove", tenure.ReportUser, d.askLeaveSpace),
		d.route("POST /admin/people/{id}/workspaces/{workspace}/remove", tenure.ReportUser, d.leaveSpace),
		d.route("GET /admin/people/{id}/sessions/end", tenure.ReportUser, d.askEndTheirSessions),
		d.route("POST /admin/people/{id}/sessions/end", tenure.EndSessionsOf, d.endTheirSessions),
		d.route("GET /admin/people/{id}/sessions/{session}/end", tenure.ReportUser, d.askEndTheirSession),
		d.route("POST /admin/people/{id}/sessions/{session}/end", tenure.ReportUser, d.endTheirSession),
		d.route("GET /admin/people/{id}/accounts/{account}/owner", tenure.ReportUser, d.askOwner),
		d.route("POST /admin/people/{id}/accounts/{account}/owner", tenure.ReportUser, d.setOwner),
		d.route("GET /admin/tokens", tenure.ListAllTokens, d.allTokens),
		d.route("GET /admin/tokens/{id}/revoke", tenure.RevokeAnyToken, d.askRevokeAny),
		d.route("POST /admin/tokens/{id}/revoke", tenure.RevokeAnyToken, d.revokeAny),
		d.route("GET /admin/tokens/revoke", tenure.RevokeTokens, d.askRevokeMany),
		d.route("POST /admin/tokens/revoke", tenure.RevokeTokens, d.revokeMany),
	}
}

// A peoplePage lists people.
type peoplePage struct {
	frame
	looking
	People []directory.PersonRow
	Next   tenure.UserID
}

func (d *Dash) people(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	page := peoplePage{frame: d.frame(r, "People"), looking: look("/admin/people", r.URL.Query())}
	f := directory.PersonFilter{
		Search: page.Get("q"), State: page.Get("state"), Role: tenure.Role(page.Get("role")), Source: tenure.Source(page.Get("source")),
		WithTokens: page.Get("has") == "tokens", UnseenSince: page.days("unseen", page.Now, false),
		After: tenure.UserID(page.Get("cursor")), Limit: perPage,
	}
	var err error
	if page.Field == "" {
		page.People, page.Next, err = d.Directory.People(r.Context(), web.Principal(r.Context()), f)
	}
	if err != nil {
		return err
	}
	return d.show(w, page.status(), "people", page)
}

// status is that of a list: its filters are wrong, or not.
func (l looking) status() int {
	if l.Field != "" {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// States, Roles, Sources, Has and Unseen are the filters to choose from.
func (p peoplePage) States() []choice {
	return choices(p.Get("state"), "", "Known", "active", "Active", "deactivated", "Deactivated", "deleted", "Deleted")
}

// Roles are those of the tenant.
func (p peoplePage) Roles() []choice {
	return append(choices(p.Get("role"), "", "Any role"), tenantRoles(tenure.Role(p.Get("role")))...)
}

// Sources tell who made Tenure know a person.
func (p peoplePage) Sources() []choice {
	return choices(p.Get("source"), "", "Any source", string(tenure.SourceSCIM), sourceWord(tenure.SourceSCIM), string(tenure.SourceProxy), sourceWord(tenure.SourceProxy))
}

// Has chooses those who have tokens.
func (p peoplePage) Has() []choice {
	return choices(p.Get("has"), "", "Any", "tokens", "Live ones")
}

// Unseen chooses those who were not seen for a while.
func (p peoplePage) Unseen() []choice {
	return choices(p.Get("unseen"), "", "Any time", "30", "Not for 30 days", "90", "Not for 90 days", "365", "Not for a year")
}

// tenantRoles are the roles to choose from.
func tenantRoles(chosen tenure.Role) []choice {
	out := make([]choice, 0, len(tenure.TenantRoles))
	for _, r := range tenure.TenantRoles {
		out = append(out, choice{string(r), roleWord(r), r == chosen})
	}
	return out
}
