package dash

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A navGroup is one group of the side navigation.
type navGroup struct {
	ID    string
	Name  string
	Links []navLink
}

// A navLink is one page of the side navigation.
type navLink struct {
	Name string
	Path string
	// Current is "page" on the page itself, "true" below it, else "".
	Current string
	// action is what one must be allowed to see it; "" is anybody signed in.
	action tenure.Action
	// teams and single tell in which mode there is such a page.
	teams, single bool
	// leads shows it also to those whose role in a workspace opens it, and not to
	// everybody who might have such a role.
	leads bool
	// decides shows it to whoever has something to decide in an access review and is no
	// administrator, who has the page there.
	decides bool
	// published shows it where the policy has a trust page.
	published bool
}

// nav lists the pages, in the order of the side navigation.
func nav() []navGroup {
	return []navGroup{
		{ID: "mine", Name: "Mine", Links: []navLink{
			{Name: "Access tokens", Path: "/settings", teams: true},
			{Name: "Root token", Path: "/settings", single: true},
			{Name: "My beliefs", Path: beliefsPath, action: tenure.ReadBeliefs, teams: true},
			{Name: "Sessions", Path: sessionsPath, teams: true, single: true},
			{Name: "My activity", Path: "/settings/activity", teams: true},
			{Name: "Reviews", Path: reviewsPath, action: tenure.ListReviews, teams: true, decides: true},
			{Name: "Trust", Path: insideTrust, action: tenure.ReadTrust, teams: true, published: true},
		}},
		{ID: "administration", Name: "Administration", Links: []navLink{
			{Name: "Overview", Path: "/admin", action: tenure.ReadOverview, teams: true, single: true},
			{Name: "People", Path: "/admin/people", action: tenure.ListUsers, teams: true},
			{Name: "Tokens", Path: "/admin/tokens", action: tenure.ListAllTokens, teams: true},
			{Name: "Service accounts", Path: accountsPath, action: tenure.ListAccounts, teams: true, leads: true},
			{Name: "Requests", Path: requestsPath, action: tenure.ListAllTokens, teams: true, leads: true},
			{Name: "Exceptions", Path: exceptionsPath, action: tenure.ListAllExceptions, teams: true, leads: true},
			{Name: "Workspaces", Path: workspacesPath, action: tenure.ReadWorkspace, teams: true, leads: true},
			{Name: "Usage", Path: usagePath, action: tenure.ReadUsage, teams: true, single: true},
			{Name: "Limits", Path: limitsPath, action: tenure.ListLimits, teams: true, single: true, leads: true},
			{Name: "Prices", Path: pricesPath, action: tenure.ListPrices, teams: true, single: true},
			{Name: "Providers", Path: providersPath, action: tenure.ListProviders, teams: true, single: true},
			{Name: "SCIM connectors", Path: connectorsPath, action: tenure.ListConnectors, teams: true},
			{Name: "Policies", Path: policiesPath, action: tenure.ReadPolicy, teams: true},
			{Name: "Audit", Path: "/admin/audit", action: tenure.ReadAudit, teams: true, single: true},
			{Name: "Access reviews", Path: reviewsPath, action: tenure.ReadAllReviews, teams: true},
			{Name: "Evidence", Path: evidencePath, action: tenure.ExportEvidence, teams: true, single: true},
			{Name: "Drift", Path: "/admin/drift", action: tenure.ListUsers, teams: true},
			{Name: "Trust page", Path: trustPath, action: tenure.ListTrustAsks, teams: true},
			{Name: "Notices", Path: "/admin/notices", action: tenure.ListAllNotices, teams: true},
			{Name: "Access", Path: "/admin/access", action: tenure.ReadAccess, teams: true},
			{Name: "Keys", Path: keysPath, action: tenure.ReadHealth, teams: true, single: true},
			{Name: "System", Path: "/admin/system", action: tenure.ReadHealth, teams: true, single: true},
		}},
	}
}

// navFor is what of the navigation the asker may open, with the page marked
// that the request is for: the one with the longest path that it begins with.
func (d *Dash) navFor(r *http.Request) []navGroup {
	p := web.Principal(r.Context())
	var out []navGroup
	var here *navLink
	for _, group := range nav() {
		var links []navLink
		for _, l := range group.Links {
			if d.Single && !l.single || !d.Single && !l.teams || !d.shows(r, p, l) {
				continue
			}
			links = append(links, l)
		}
		if len(links) == 0 {
			continue
		}
		for i := range links {
			l := &links[i]
			if within(r.URL.Path, l.Path) && (here == nil || len(l.Path) > len(here.Path)) {
				here = l
			}
		}
		group.Links = links
		out = append(out, group)
	}
	if here != nil {
		here.Current = "true"
		if r.Method == http.MethodGet && r.URL.Path == here.Path {
			here.Current = "page"
		}
	}
	return out
}

// shows reports whether a page belongs in somebody's navigation.
func (d *Dash) shows(r *http.Request, p tenure.Principal, l navLink) bool {
	switch {
	case l.action == "":
		return true
	case l.decides:
		return d.Reviews.Waits(r.Context(), p)
	case l.published:
		return may(p, l.action) && d.Trust.Published(r.Context(), p)
	case l.leads:
		return may(p, l.action) || p.User() != "" && d.leads(r, l.action)
	}
	return mayOpen(p, l.action)
}

// mayOpen reports whether a page belongs in somebody's navigation: also where
// they have to sign in again first.
func mayOpen(p tenure.Principal, a tenure.Action) bool {
	err := access.Admits(p, a)
	return err == nil || access.AfterSignIn(err)
}

// within reports whether a path is a page or below it.
func within(path, page string) bool {
	return path == page || strings.HasPrefix(path, page+"/")
}
