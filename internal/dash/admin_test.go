package dash

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/token"
)

// workspaceOf makes a workspace with a member of a role.
func (h *house) workspaceOf(name, member string, role tenure.Role) string {
	h.t.Helper()
	w, err := h.Directory.CreateWorkspace(h.t.Context(), h.operator(), directory.WorkspaceSpec{Name: &name})
	if err != nil {
		h.t.Fatal(err)
	}
	h.join(member)
	if _, err := h.Directory.SetMember(h.t.Context(), h.operator(), name, tenure.UserID(member), role); err != nil {
		h.t.Fatal(err)
	}
	return string(w.ID)
}

// accountIn makes a service account.
func (h *house) accountIn(space, name, owner string) string {
	h.t.Helper()
	a, err := h.Directory.CreateAccount(h.t.Context(), h.operator(), directory.AccountSpec{Workspace: space, Name: name, About: "a job", Owner: owner})
	if err != nil {
		h.t.Fatal(err)
	}
	return string(a.ID)
}

func TestEveryPageOfAdministration(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	space := h.workspaceOf("Research", "alice@example.com", tenure.Member)
	account := h.accountIn("Research", "nightly", "alice@example.com")
	v, _, err := h.Connectors.Create(t.Context(), h.operator(), specOf("Okta"))
	if err != nil {
		t.Fatal(err)
	}
	one := "/admin/service-accounts/" + account
	for path, heading := range map[string]string{
		"/admin/service-accounts": "Service accounts", "/admin/service-accounts?state=all&q=night": "Service accounts",
		"/admin/service-accounts?state=orphaned": "Service accounts", "/admin/service-accounts/new": "New service account",
		one: "nightly", one + "/edit": "Change “nightly”", one + "/end": "End “nightly”?", one + "/tokens/new": "New token of “nightly”",
		"/admin/requests": "Requests", "/admin/workspaces": "Workspaces", "/admin/workspaces?q=nothing": "Workspaces", "/admin/workspaces/new": "New workspace",
		"/admin/workspaces/" + space: "Research", "/admin/workspaces/Research/edit": "Change “Research”", "/admin/workspaces/" + space + "/delete": "Delete “Research”?",
		"/admin/workspaces/" + space + "/outage":            "“Research” without the database",
		"/admin/workspaces/" + space + "/members/add?q=ALI": "Add somebody", "/admin/workspaces/" + space + "/groups/add?q=x": "Add a group",
		"/admin/providers": "Providers", "/admin/providers/new": "Add a provider",
		"/admin/connectors": "SCIM connectors", "/admin/connectors/new": "New SCIM connector", "/admin/connectors/" + string(v.ID): "Okta",
		"/admin/connectors/" + string(v.ID) + "/rotate": "Rotate the token of “Okta”", "/admin/connectors/" + string(v.ID) + "/delete": "Delete the connector “Okta”?",
		"/admin/policies": "Policies", "/admin/policies/edit": "Change the policy",
	} {
		p := root.get(path).must(http.StatusOK)
		if got := p.one("h1").text(); got != heading {
			t.Errorf("%s: %q", path, got)
		}
		if len(p.all("nav a[aria-current]")) != 1 {
			t.Errorf("%s: no page of the navigation is marked", path)
		}
		nothingInline(t, path, p.root())
		// It is not a member's, nor anybody's who is not signed in.
		if p := h.as("alice@example.com").get(path); p.StatusCode == http.StatusOK && (strings.HasSuffix(path, "/edit") || strings.Contains(path, "/add") || strings.HasSuffix(path, "/delete")) {
			t.Errorf("%s: open to a member", path)
		}
		h.as("").get(path).must(http.StatusUnauthorized)
	}
	// What is not there, or another tenant's, is not found.
	for _, path := range []string{"/admin/service-accounts/x", "/admin/workspaces/x", "/admin/connectors/x", "/admin/requests/x/approve", "/admin/providers/x/delete"} {
		root.get(path).must(http.StatusNotFound)
	}
}

func TestAccountLists(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	h.join("alice@example.com")
	root.get("/admin/service-accounts").one(".empty").says("No service accounts yet")
	for i := range perPage + 5 {
		h.now = h.now.Add(time.Millisecond)
		h.accountIn("default", "job "+string(rune('a'+i/26))+string(rune('a'+i%26)), "alice@example.com")
	}
	p := root.get("/admin/service-accounts?q=JOB")
	if n := len(p.all("tbody tr")); n != perPage {
		t.Errorf("%d rows", n)
	}
	next := p.one(".pages a").attrs["href"]
	if p = root.get(next).must(http.StatusOK); len(p.all("tbody tr")) != 5 {
		t.Errorf("%d rows on the page after %s", len(p.all("tbody tr")), next)
	}
	if back := p.one(".pages a").attrs["href"]; back != "/admin/service-accounts?q=JOB" {
		t.Errorf("the first page is %s", back)
	}
	if n := len(root.get("/admin/service-accounts?q=job+aa").all("tbody tr")); n != 1 {
		t.Errorf("%d are found by name", n)
	}
	if n := len(root.get("/admin/service-accounts?q=ALICE").all("tbody tr")); n != perPage {
		t.Errorf("%d are found by owner", n)
	}
	for _, q := range []string{"j_b", "%25", "!"} {
		if n := len(root.get("/admin/service-accounts?q=" + q).all("tbody tr")); n != 0 {
			t.Errorf("%q finds %d", q, n)
		}
	}
	// Those without an owner, who are all of them when alice has left.
	if _, _, err := h.Directory.Deactivate(t.Context(), h.operator(), h.join("alice@example.com").User(), "left"); err != nil {
		t.Fatal(err)
	}
	p = root.get("/admin/service-accounts?state=orphaned")
	p.all("tbody tr")[0].says("orphaned")
	p.all("tbody tr")[0].says("alice@example.com (left)")
	p = root.get(p.all("tbody tr a")[0].attrs["href"]).must(http.StatusOK)
	p.one(".alarm").says("It has no owner")
}

func TestFormsKeepWhatWasTyped(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	id := h.accountIn("default", "nightly", "root@example.com")
	one := "/admin/service-accounts/" + id
	for _, c := range []struct {
		path   string
		status int
		wrong  string // the field that is wrong
		fields []string
	}{
		{"/admin/service-accounts", 409, "name", []string{"name", "nightly", "workspace", "default", "description", "x", "owner", "root@example.com", "expires_at", "2026-01-01"}},
		{"/admin/service-accounts", 400, "owner", []string{"name", "weekly", "workspace", "default", "description", "x", "owner", "nobody@example.com", "expires_at", "2026-01-01"}},
		{"/admin/service-accounts", 400, "description", []string{"name", "weekly", "workspace", "default", "owner", "root@example.com", "expires_at", "2026-01-01"}},
		{"/admin/service-accounts", 400, "expires_at", []string{"name", "weekly", "workspace", "default", "description", "x", "owner", "root@example.com", "expires_at", "2020-01-01"}},
		{"/admin/service-accounts", 400, "expires_at", []string{"name", "weekly", "workspace", "default", "description", "x", "owner", "root@example.com", "expires_at", "soon"}},
		{"/admin/service-accounts", 400, "workspace", []string{"name", "weekly", "workspace", "nowhere", "description", "x", "owner", "root@example.com", "expires_at", "2026-01-01"}},
		{one, 400, "owner", []string{"owner", "nobody@example.com", "description", "a job", "expires_at", "2026-01-01"}},
		{one + "/tokens", 400, "scopes", []string{"name", "ops", "expires_in", "3600"}},
		{one + "/tokens", 400, "name", []string{"name", "a*", "scopes", "chat", "expires_in", "3600"}},
		{one + "/tokens", 400, "expires_in", []string{"name", "ops", "scopes", "chat", "expires_in", "999999999999"}},
		{one + "/tokens", 400, "models", []string{"name", "ops", "scopes", "chat", "expires_in", "3600", "models", "gpt-?"}},
		{one + "/tokens", 400, "cidrs", []string{"name", "ops", "scopes", "chat", "expires_in", "3600", "cidrs", "10.0.0.0/33"}},
		{"/admin/workspaces", 409, "name", []string{"name", "default", "models", "*"}},
		{"/admin/workspaces", 400, "models", []string{"name", "Research", "models", " "}},
		{"/admin/workspaces/default/members/add", 404, "user", []string{"user", "nobody@example.com", "role", "member"}},
		{"/admin/workspaces/default/members/add", 400, "role", []string{"user", "root@example.com", "role", "king"}},
		{"/admin/workspaces/default/groups/add", 400, "group", []string{"role", "member"}},
		{"/admin/providers", 400, "base_url", []string{"name", "openai", "workspace", "default", "kind", "openai", "base_url", "ftp://x", "key", "sk-secret-of-the-provider"}},
		{"/admin/providers", 400, "key", []string{"name", "openai", "workspace", "default", "kind", "openai"}},
		{"/admin/connectors", 400, "name", []string{"name", "", "cidrs", "10.0.0.0/8"}},
		{"/admin/connectors", 400, "cidrs", []string{"name", "Okta", "cidrs", "10.0.0.0/8 here"}},
	} {
		p := root.post(c.path, c.fields...).must(c.status)
		if n := len(p.all(".field .wrong")); n != 1 || p.one(".field .wrong").attrs["id"] != c.wrong+"-wrong" {
			t.Errorf("%s %v: %d messages beside fields\n%s", c.path, c.fields, n, p.one("main").text())
		}
		for i := 0; i+1 < len(c.fields); i += 2 {
			for _, in := range p.all("form[method=post] input[name=" + c.fields[i] + "]") {
				switch in.attrs["type"] {
				case "text", "date":
					if in.attrs["value"] != c.fields[i+1] {
						t.Errorf("%s: %s is %q", c.path, c.fields[i], in.attrs["value"])
					}
				case "password":
					if in.attrs["value"] != "" {
						t.Errorf("%s: a secret is shown again", c.path)
					}
				}
			}
		}
		if strings.Contains(p.body, "sk-secret") {
			t.Errorf("%s: the key is on the page", c.path)
		}
	}
	if strings.Contains(h.logged(), "sk-secret") {
		t.Error("the key is in the log")
	}
}

func TestServiceTokenPages(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	one := "/admin/service-accounts/" + h.accountIn("default", "nightly", "root@example.com")
	p := root.post(one+"/tokens", "name", "ops-1", "scopes", "chat", "expires_in", "3600", "models", "gpt-4o* x/*", "cidrs", "192.0.2.0/24").must(http.StatusOK)
	first := p.one("#secret").text()
	by, err := h.Tokens.Resolve(t.Context(), first)
	if err != nil || by.Standing().Scopes != tenure.ScopeChat {
		t.Fatalf("%+v, %v", by.Standing(), err)
	}
	p = root.get(one).must(http.StatusOK)
	if strings.Contains(p.body, first) {
		t.Error("the token is shown twice")
	}
	p.one("section[aria-labelledby=tokens] tbody tr").says("gpt-4o* x/* 192.0.2.0/24")
	links := p.all("td a")
	rotate, revoke := links[0].attrs["href"], links[1].attrs["href"]
	root.get(rotate).must(http.StatusOK)
	if next := root.post(rotate, "overlap", "1h").must(http.StatusOK).one("#secret").text(); next == first {
		t.Error("the secret is the same")
	}
	if n := len(root.get(one).all("section[aria-labelledby=tokens] tbody tr")); n != 2 {
		t.Errorf("%d tokens in the overlap", n)
	}
	root.post(rotate, "overlap", "1h").must(http.StatusConflict).one(".wrong").says("rotated already")
	root.get(revoke).must(http.StatusOK).one(".facts").says("192.0.2.0/24")
	root.post(revoke).must(http.StatusOK).one(".notice").says("“ops-1” is revoked: 2 tokens ended in")
	root.get(revoke).must(http.StatusOK).none("button.danger")
	// Under another account it is not found.
	other := "/admin/service-accounts/" + h.accountIn("default", "weekly", "root@example.com")
	root.get(strings.Replace(revoke, one, other, 1)).must(http.StatusNotFound)
	root.post(strings.Replace(revoke, one, other, 1)).must(http.StatusNotFound)
	if p := root.post(one + "/end").must(http.StatusOK); !strings.Contains(p.one(".notice").text(), "1 service account ended in") {
		t.Error(p.one(".notice").text())
	}
	root.get(one + "/end").must(http.StatusOK).none("button.danger")
	root.get(one).none("td.act")
}

func TestLifeOptions(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for _, c := range []struct {
		longest, usual time.Duration
		end            time.Time
		want           string
	}{
		{365 * day, 90 * day, time.Time{}, "7d 30d 90d* 180d 365d"},
		{45 * day, 14 * day, time.Time{}, "7d 14d* 30d 45d"},
		{time.Hour, time.Hour, time.Time{}, "1h*"},
		{365 * day, 90 * day, now.Add(60 * day), "7d 30d 90d*"},
		{365 * day, 30 * day, now.Add(60 * day), "7d 30d* 90d"},
	} {
		var got []string
		for _, o := range lifeOptions(token.Terms{Longest: c.longest, Usual: c.usual}, now, c.end) {
			d, err := time.ParseDuration(o.Value + "s")
			if err != nil {
				t.Fatal(err)
			}
			text := tenure.FormatSpan(d)
			if o.On {
				text += "*"
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c, got, c.want)
		}
	}
}
