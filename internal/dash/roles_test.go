package dash

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/connector"
)

func specOf(name string) connector.Spec { return connector.Spec{Name: name} }

// pagesOf are the names in somebody's navigation.
func (v visitor) pagesOf() string {
	v.t.Helper()
	var names []string
	for _, a := range v.get("/settings").must(http.StatusOK).all("nav ul a") {
		names = append(names, a.text())
	}
	return strings.Join(names, ", ")
}

func TestEachRoleSeesItsOwn(t *testing.T) {
	h := open(t, false)
	h.as("root@example.com").get("/settings")
	space := h.workspaceOf("Research", "wanda@example.com", tenure.WorkspaceAdmin)
	other := h.workspaceOf("Sales", "mallory@example.com", tenure.Member)
	mine, theirs := h.accountIn("Research", "nightly", "wanda@example.com"), h.accountIn("Sales", "weekly", "mallory@example.com")

	// A member sees nothing of it.
	if got := h.as("mallory@example.com").pagesOf(); strings.Contains(got, "Workspaces") || strings.Contains(got, "Service") || strings.Contains(got, "Providers") {
		t.Errorf("a member sees %s", got)
	}
	mallory := h.as("mallory@example.com")
	for _, path := range []string{"/admin/service-accounts", "/admin/service-accounts/new"} {
		mallory.get(path).must(http.StatusForbidden).one("main").says("You look after the service accounts of no workspace")
	}
	for _, path := range []string{
		"/admin/service-accounts/" + theirs, "/admin/service-accounts/" + theirs + "/tokens/new", "/admin/workspaces/" + space, "/admin/workspaces/" + space + "/members/add",
	} {
		mallory.get(path).must(http.StatusNotFound)
	}
	for _, path := range []string{"/admin/workspaces/new", "/admin/providers", "/admin/connectors", "/admin/policies", "/admin/audit/sinks", "/admin/workspaces/" + other + "/groups/add"} {
		mallory.get(path).must(http.StatusForbidden)
	}
	mallory.get("/admin/workspaces/" + other).must(http.StatusOK).none(".act, .button.primary")
	mallory.post("/admin/workspaces/"+other+"/members/add", "user", "wanda@example.com", "role", "member").must(http.StatusForbidden)

	// Who administers a workspace sees that one, and looks after its accounts.
	wanda := h.as("wanda@example.com")
	if got := wanda.pagesOf(); !strings.HasSuffix(got, "Service accounts, Requests, Exceptions, Workspaces, Limits") {
		t.Errorf("a workspace's administrator sees %s", got)
	}
	if n := len(wanda.get("/admin/service-accounts").all("tbody tr")); n != 1 {
		t.Errorf("%d accounts", n)
	}
	wanda.get("/admin/service-accounts/" + theirs).must(http.StatusNotFound)
	wanda.post("/admin/service-accounts/"+theirs+"/tokens", "name", "x", "scopes", "chat", "expires_in", "3600").must(http.StatusNotFound)
	wanda.post("/admin/service-accounts/"+mine+"/tokens", "name", "x", "scopes", "chat", "expires_in", "3600").must(http.StatusOK).one("#secret")
	wanda.get("/admin/service-accounts/new").one("main select[name=workspace]").says("Research")
	p := wanda.get("/admin/workspaces/" + space).must(http.StatusOK)
	p.one("section[aria-labelledby=members] .button.primary").says("Add somebody")
	p.none("section[aria-labelledby=groups] .button.primary")
	wanda.post("/admin/workspaces/"+space+"/members/add", "user", "MALLORY@example.com", "role", "viewer").must(http.StatusOK).one(".notice").says("mallory@example.com is a viewer")
	wanda.post("/admin/workspaces/" + space + "/delete").must(http.StatusForbidden)
	wanda.get("/admin/workspaces/" + other).must(http.StatusNotFound)

	// An auditor reads everything and is offered nothing.
	h.join("iris@example.com")
	if _, _, err := h.Directory.SetRole(t.Context(), h.operator(), h.join("iris@example.com").User(), tenure.Auditor); err != nil {
		t.Fatal(err)
	}
	iris := h.as("iris@example.com")
	root := h.as("root@example.com")
	root.post("/admin/audit/sinks", "kind", "webhook", "name", "Hook", "address", "https://hooks.example.com/x").must(http.StatusOK)
	hook := root.get("/admin/audit/sinks").one("tbody th a").attrs["href"]
	for _, path := range []string{
		"/admin/service-accounts", "/admin/service-accounts/" + mine, "/admin/requests", "/admin/exceptions", "/admin/workspaces", "/admin/workspaces/" + space,
		"/admin/providers", "/admin/connectors", "/admin/policies", "/admin/audit/sinks", hook,
	} {
		p := iris.get(path).must(http.StatusOK)
		p.none("main section form[method=post]")
		for _, b := range p.all("main a.button") {
			t.Errorf("%s offers an auditor %q", path, b.text())
		}
	}
	for _, below := range []string{
		"service-accounts/" + mine + "/edit", "service-accounts/" + mine + "/end", "service-accounts/" + mine + "/tokens/new",
		"workspaces/" + space + "/edit", "workspaces/" + space + "/delete", "workspaces/" + space + "/members/add",
		"workspaces/" + space + "/members/" + string(h.join("wanda@example.com").User()) + "/role",
		"workspaces/" + space + "/members/" + string(h.join("wanda@example.com").User()) + "/remove",
	} {
		iris.get("/admin/" + below).must(http.StatusForbidden)
		if p := iris.post("/admin/" + below); p.StatusCode != http.StatusForbidden && p.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", below, p.StatusCode)
		}
	}
	iris.get("/admin/policies/edit").must(http.StatusForbidden)
	for _, path := range []string{"/admin/audit/sinks/new", hook + "/rotate", hook + "/delete"} {
		iris.get(path).must(http.StatusForbidden)
	}
	for _, path := range []string{"/admin/audit/sinks", hook + "/pause", hook + "/resume", hook + "/rotate", hook + "/delete"} {
		iris.post(path).must(http.StatusForbidden)
	}
	iris.post("/admin/providers", "name", "x").must(http.StatusForbidden)
}

func TestRequestPages(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	one := "/admin/service-accounts/" + h.accountIn("default", "copier", "root@example.com")
	root.post(one+"/tokens", "name", "log copy", "scopes", "audit.read", "expires_in", "3600", "reason", "The archive needs it.").must(http.StatusOK).
		one(".notice").says("waits for a second person")
	p := root.get("/admin/requests").must(http.StatusOK)
	p.one("main").says("Nobody approves their own")
	withdraw := p.one("td.act a").attrs["href"]
	request := strings.TrimSuffix(withdraw, "/withdraw")
	root.post(request + "/approve").must(http.StatusForbidden).one(".wrong").says("Nobody decides on their own request")
	root.post(request + "/collect").must(http.StatusConflict)

	h.Directory.Admins["second@example.com"] = true
	second := h.as("second@example.com")
	second.get("/settings")
	second.get(request + "/approve").must(http.StatusOK).one(".facts").says("The archive needs it.")
	second.post(request + "/reject").must(http.StatusBadRequest).one("#reason-wrong").says("A rejection needs a reason")
	second.post(request+"/approve", "reason", "for a week").must(http.StatusOK).one(".notice").says("root@example.com collects the token")
	second.post(request + "/collect").must(http.StatusNotFound)
	second.get("/admin/requests").none("td.act a")

	root.get(request + "/collect").must(http.StatusOK).one(".facts").says("for a week")
	secret := root.post(request + "/collect").must(http.StatusOK).one("#secret").text()
	if by, err := h.Tokens.Resolve(t.Context(), secret); err != nil || by.Standing().Scopes != tenure.ScopeAuditRead {
		t.Error(err)
	}
	root.get("/admin/requests").one("tbody tr").says("collected")
	if p := h.as("alice@example.com").get(request + "/withdraw"); p.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else's request: %d", p.StatusCode)
	}
}

// One asks on a page, another approves, the token is made by the exception and dies with it.
func TestExceptionPages(t *testing.T) {
	h := open(t, false)
	root, alice := h.as("root@example.com"), h.as("alice@example.com")
	root.get("/settings")
	alice.get("/settings")
	end := h.now.Add(100 * 24 * time.Hour).Format(time.DateOnly)
	wish := []string{
		"rule", "token_never_expires", "subject_kind", "user", "subject", "alice@example.com", "title", "Lab robot", "reason", "The lab is offline.", "expires_at", end,
		"likelihood_before", "medium", "impact_before", "high", "likelihood_after", "low", "impact_after", "high", "controls", "Its network.", "owner", "", "plan", "A new robot.", "remedy_by", "",
	}
	alice.get("/admin/exceptions").must(http.StatusOK).one(".empty").says("Every rule holds for everything of yours")
	alice.get("/admin/exceptions/new").must(http.StatusOK).one("#subject")
	alice.post("/admin/exceptions", "rule", "token_never_expires", "title", "x").must(http.StatusBadRequest).one(".wrong")
	alice.post("/admin/exceptions", wish...).must(http.StatusOK).one(".notice").says("another person decides")
	one := alice.get("/admin/exceptions").must(http.StatusOK).one("tbody th a").attrs["href"]
	p := alice.get(one).must(http.StatusOK)
	p.one(".state").says("waits for approval")
	p.one("section[aria-labelledby=what] .buttons").says("Withdraw")
	p.none("section[aria-labelledby=history]")
	alice.get(one + "/approve").must(http.StatusForbidden)
	of := "option[value=exception:" + strings.TrimPrefix(one, "/admin/exceptions/") + "]"
	alice.get("/settings").none(of)

	root.get(one + "/approve").must(http.StatusOK).one(".facts").says("high, with controls medium")
	root.post(one+"/approve", "reason", "").must(http.StatusBadRequest).one("#reason-wrong").says("An approval needs a reason")
	root.post(one+"/approve", "reason", "The network is enough.").must(http.StatusOK).one(".state").says("active")

	life := alice.get("/settings").one(of)
	life.says("by “Lab robot”")
	secret := alice.post("/settings/tokens", "name", "robot", "workspace", "default", "scope", "chat", "expires_in", life.attrs["value"]).must(http.StatusOK).one("#secret").text()
	if by, err := h.Tokens.Resolve(t.Context(), secret); err != nil || by.Standing().ExpiresAt.IsZero() {
		t.Error(err)
	}
	alice.get("/settings").one("td a[href=" + one + "]").says("by an exception")
	root.get(one + "/revoke").must(http.StatusOK).one(".facts").says("1 token")
	p = root.post(one+"/revoke", "reason", "broken into").must(http.StatusOK)
	p.one(".state").says("revoked")
	p.one("section[aria-labelledby=history]").says("exception.revoked")
	if _, err := h.Tokens.Resolve(t.Context(), secret); err == nil {
		t.Error("the token lives without its exception")
	}
	for i := range wish { // another one, that ends soon
		if wish[i] == end {
			wish[i] = h.now.Add(10 * 24 * time.Hour).Format(time.DateOnly)
		}
	}
	alice.post("/admin/exceptions", wish...).must(http.StatusOK)
	soon := root.get("/admin/exceptions").all("tbody th a")[0].attrs["href"]
	root.post(soon+"/approve", "reason", "For a week.").must(http.StatusOK)
	root.get("/admin").one(".warnings").says("1 exception ends within 30 days")
	h.join("mallory@example.com")
	h.as("mallory@example.com").get(one).must(http.StatusNotFound)
}

func TestPolicyPages(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	if n, want := len(root.get("/admin/policies").must(http.StatusOK).all("tbody tr")), len(tenure.PolicyKeys()); n != want {
		t.Errorf("%d rows for %d keys", n, want)
	}
	// The form as a browser would send it back.
	sent := func(change map[string]string) []string {
		var fields []string
		p := root.get("/admin/policies/edit").must(http.StatusOK)
		for _, in := range p.all("form[method=post] input") {
			_, checked := in.attrs["checked"]
			name, value := in.attrs["name"], in.attrs["value"]
			if kind := in.attrs["type"]; (kind == "radio" || kind == "checkbox") && !checked {
				continue
			}
			if v, ok := change[name]; ok {
				value = v
			}
			fields = append(fields, name, value)
		}
		return fields
	}
	root.post("/admin/policies", sent(nil)...).must(http.StatusOK).one(".notice").says("Nothing was changed")
	root.post("/admin/policies", sent(map[string]string{"orphan_grace": "7d", "webhook_url": "https://hooks.example.com/x"})...).must(http.StatusOK).
		one(".notice").says("2 values are in force")
	stale := sent(map[string]string{"reuse": "end_family"})
	root.post("/admin/policies", sent(map[string]string{"orphan_grace": "14d"})...).must(http.StatusOK).one(".notice").says("1 value is in force")
	root.post("/admin/policies", stale...).must(http.StatusOK) // what nobody touched is not set again
	entries, err := h.Policies.Read(t.Context(), h.operator())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if want := map[string]string{"reuse": "end_family", "webhook_url": "https://hooks.example.com/x"}[e.Key]; e.Set != (want != "") || want != "" && e.Value != want {
			t.Errorf("%s = %q, set: %t", e.Key, e.Value, e.Set)
		}
	}
	p := root.post("/admin/policies", sent(map[string]string{"orphan_grace": "91d", "rotate_every": "30d"})...).must(http.StatusBadRequest)
	p.one("#orphan_grace-wrong").says("0 to 90d")
	if v := p.one("#rotate_every").attrs["value"]; v != "30d" {
		t.Errorf("what was typed is %q", v)
	}
	// The root token stays while nobody else could administer.
	if _, _, err := h.Directory.SetRole(t.Context(), h.operator(), h.join("root@example.com").User(), tenure.SuperAdmin); err != nil {
		t.Fatal(err)
	}
	root.post("/admin/policies", sent(map[string]string{"root_token": "off"})...).must(http.StatusOK)
}

func TestProvidersInSingleMode(t *testing.T) {
	h, root := openSingle(t)
	v := h.as("")
	v = v.withSession(v.post("/login", "token", root))
	v.get("/admin/providers").must(http.StatusOK).one(".empty").says("No providers yet")
	p := v.post("/admin/providers", "name", "openai", "workspace", "default", "kind", "openai", "key", "sk-0123456789abcdef").must(http.StatusOK)
	p.one("tbody tr").says("https://api.openai.com/v1 …cdef")
	v.post(p.one("td.act a").attrs["href"]).must(http.StatusOK).one(".notice").says("“openai” is deleted")
	for _, path := range []string{"/admin/workspaces", "/admin/service-accounts", "/admin/requests", "/admin/policies", "/admin/connectors"} {
		v.get(path).must(http.StatusNotFound)
	}
}
