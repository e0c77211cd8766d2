package dash

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
)

const grace = "root@example.com" // whom the operator made super admin

// become gives a person a role in the tenant.
func (h *house) become(name string, role tenure.Role) visitor {
	h.t.Helper()
	h.as(grace).get("/settings").must(http.StatusOK)
	if _, _, err := h.Directory.SetRole(h.t.Context(), h.operator(), h.join(name).User(), role); err != nil {
		h.t.Fatal(err)
	}
	return h.as(name)
}

// their is the address of a person's page.
func (h *house) their(name string) string {
	return "/admin/people/" + string(h.join(name).User())
}

// names are the row headers of the page's only table of people.
func names(p page) []string {
	var out []string
	for _, e := range p.all("tbody th a") {
		out = append(out, e.text())
	}
	return out
}

func TestPeopleAreFound(t *testing.T) {
	h := open(t, false)
	admin := h.as(grace)
	h.as("Alice@example.com").generate("Laptop")
	h.join("bob_x@example.com")
	h.provision("carol%@example.com")
	gone := h.join("dave@example.com").User()
	if _, _, err := h.Directory.Deactivate(t.Context(), h.operator(), gone, "left"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                          "Alice@example.com bob_x@example.com carol%@example.com dave@example.com root@example.com",
		"?q=LICE":                   "Alice@example.com",
		"?q=b_x":                    "bob_x@example.com",
		"?q=_":                      "bob_x@example.com",
		"?q=%25":                    "carol%@example.com",
		"?state=active&q=e@example": "Alice@example.com",
		"?state=deactivated":        "dave@example.com",
		"?state=deleted":            "",
		"?role=super_admin":         "root@example.com",
		"?source=scim":              "carol%@example.com",
		"?has=tokens":               "Alice@example.com",
		"?unseen=90":                "",
		"?cursor=" + string(gone):   "root@example.com",
	} {
		p := admin.get("/admin/people" + query).must(http.StatusOK)
		if got := strings.Join(names(p), " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	h.now = h.now.Add(91 * 24 * time.Hour)
	admin.get("/settings").must(http.StatusOK)
	if err := h.Directory.Uses.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := admin.get("/admin/people?unseen=90").must(http.StatusOK)
	if got := names(p); slices.Contains(got, grace) || len(got) != 4 {
		t.Errorf("not seen for 90 days: %q", got)
	}
	nothingInline(t, "people", p.root())
	admin.get("/admin/people?q=nobody").must(http.StatusOK).one(".empty").says("Nobody fits.")

	secret := h.as("Alice@example.com").generate("Desktop")
	p = admin.get("/admin/people?q=" + secret).must(http.StatusBadRequest)
	p.one("#q-wrong").says("That is a whole token")
	if strings.Contains(p.body, secret) {
		t.Error("the token is on the page")
	}
}

func TestPeopleInPages(t *testing.T) {
	h := open(t, false)
	admin := h.as(grace)
	for i := range perPage + 5 {
		h.join(fmt.Sprintf("p%03d@example.com", i))
	}
	p := admin.get("/admin/people?q=example").must(http.StatusOK)
	first := names(p)
	if len(first) != perPage {
		t.Fatalf("%d people on a page", len(first))
	}
	p = admin.get(p.one(".pages a").attrs["href"]).must(http.StatusOK)
	if rest := names(p); len(rest) != 6 || rest[0] != "p100@example.com" {
		t.Errorf("the next page: %q", rest)
	}
	p.one(".pages a").says("From the beginning")
}

func TestAPersonIsEnded(t *testing.T) {
	h := open(t, false)
	admin := h.as(grace)
	bob := h.as("bob@example.com")
	bob.generate("Laptop")
	bob.generate("Desktop")
	h.signIn("bob@example.com", firefox)
	path := h.their("bob@example.com")

	p := admin.get(path).must(http.StatusOK)
	p.one("h1").says("bob@example.com")
	p.one("#tokens").says("Tokens (2)")
	p.one("section[aria-labelledby=sessions] tbody tr").says("Firefox on Linux")
	p.one("section[aria-labelledby=workspaces] tbody tr").says("default member themselves")
	p.one("section[aria-labelledby=timeline]").says("user.provisioned")
	nothingInline(t, "person", p.root())

	ask := admin.get(path + "/deactivate").must(http.StatusOK)
	ask.one("button.danger").says("Deactivate and end 2 tokens, 1 session")
	if got := ask.one("main form").attrs["action"]; got != path+"/deactivate" {
		t.Errorf("the form goes to %q", got)
	}
	done := admin.post(path + "/deactivate").must(http.StatusOK)
	done.one(".notice").says("bob@example.com is deactivated: 2 tokens and 1 session ended in")
	if got := done.one("#page").attrs["data-address"]; got != path {
		t.Errorf("the answer's address is %q", got)
	}
	done.one("#facts").says("deactivated")
	done.one("section[aria-labelledby=facts]").says("Nothing of theirs is left.")
	admin.get(path + "/deactivate").must(http.StatusOK).none("main form")
	bob.get("/settings").must(http.StatusForbidden)

	admin.post(path + "/reactivate").must(http.StatusOK).one(".notice").says("active again")
	bob.get("/settings").must(http.StatusOK)
	bob.generate("New")
	admin.post(path + "/revoke-all").must(http.StatusOK).one(".notice").says("1 token")
	admin.get("/admin/people/nobody").must(http.StatusNotFound)
}

func TestAPersonsThings(t *testing.T) {
	h := open(t, false)
	admin := h.as(grace)
	h.as("bob@example.com").generate("Laptop")
	h.signIn("bob@example.com", firefox)
	path := h.their("bob@example.com")

	admin.post(path+"/role", "role", "auditor").must(http.StatusOK).one(".notice").says("is auditor in the tenant, from the next request on: 1 session ended in")
	h.signIn("bob@example.com", firefox)
	admin.get(path + "/role?role=king").must(http.StatusBadRequest).one("#role-wrong").says("no role of a tenant")
	admin.post(path+"/role", "role", "king").must(http.StatusBadRequest).one("#role-wrong").says("no role of a tenant")
	admin.post(h.their(grace)+"/role", "role", "member").must(http.StatusBadRequest).one("#role-wrong").says("TENURE_ADMINS names")

	if _, err := h.Directory.CreateWorkspace(t.Context(), h.operator(), directory.WorkspaceSpec{Name: new("research")}); err != nil {
		t.Fatal(err)
	}
	p := admin.post(path+"/workspaces", "workspace", "research", "role", "viewer").must(http.StatusOK)
	p.one(".notice").says("is viewer in the workspace research")
	p = admin.post(path+"/workspaces", "workspace", "nowhere", "role", "viewer").must(http.StatusBadRequest)
	p.one("#workspace-wrong").says("There is no workspace \"nowhere\"")
	p.one("#role input[checked]").is("[value=viewer]")
	leave := path + "/workspaces/" + string(tenure.DefaultWorkspace) + "/remove"
	admin.get(leave).must(http.StatusOK).one(".ends").says("1 live token of theirs in this workspace")
	admin.post(leave).must(http.StatusOK).one(".notice").says("1 token ended")
	admin.get(leave).must(http.StatusNotFound)

	sessions, err := h.Directory.SessionsOf(t.Context(), h.operator(), h.join("bob@example.com").User())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sessions {
		end := path + "/sessions/" + string(s.ID) + "/end"
		admin.get(h.their(grace) + "/sessions/" + string(s.ID) + "/end").must(http.StatusNotFound) // it is not hers
		admin.get(end).must(http.StatusOK).one("h1").says("End the session on Firefox on Linux?")
		admin.post(end).must(http.StatusOK).one(".notice").says("1 session ended")
	}

	a, err := h.Directory.CreateAccount(t.Context(), h.operator(), directory.AccountSpec{Workspace: "default", Name: "ci-bot", About: "runs the tests", Owner: "bob@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	owner := path + "/accounts/" + string(a.ID) + "/owner"
	admin.get(path).must(http.StatusOK).one("section[aria-labelledby=accounts] tbody tr").says("ci-bot")
	admin.get(owner).must(http.StatusOK).one("h1").says("ci-bot")
	admin.post(owner, "owner", "nobody").must(http.StatusBadRequest).one("#owner-wrong").says("An active person is needed")
	admin.post(owner, "owner", grace).must(http.StatusOK).one(".notice").says("answers for the service account “ci-bot” now.")
}

func TestADeletedPersonHasAPage(t *testing.T) {
	h := open(t, false)
	admin := h.as(grace)
	h.as("bob@example.com").generate("Laptop")
	path := h.their("bob@example.com")
	if err := h.Directory.Remove(t.Context(), h.connector(), h.join("bob@example.com").User()); err != nil {
		t.Fatal(err)
	}
	p := admin.get(path).must(http.StatusOK)
	p.one("#facts").says("deleted")
	p.none("section[aria-labelledby=facts] .acts")
	p.none("main form")
	p.one("section[aria-labelledby=tokens] .ended").says("Laptop")
	if got := names(admin.get("/admin/people?state=deleted").must(http.StatusOK)); !slices.Equal(got, []string{"bob@example.com"}) {
		t.Errorf("deleted: %q", got)
	}
}

// connector may provision.
func (h *house) connector() tenure.Principal {
	p, err := (&tenure.Standing{Kind: tenure.ConnectorToken, Tenant: tenure.DefaultTenant, TenantActive: true, Name: "Okta"}).Admit(h.now, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func TestWhoAdministersPeople(t *testing.T) {
	h := open(t, false)
	auditor, admin := h.become("ann@example.com", tenure.Auditor), h.become("adam@example.com", tenure.Admin)
	member := h.as("bob@example.com")
	secret := member.generate("Laptop")
	path, token := h.their("bob@example.com"), h.newest("bob@example.com")

	for _, read := range []string{"/admin/people", path, path + "/report", "/admin/tokens", "/admin/audit"} {
		auditor.get(read).must(http.StatusOK)
		admin.get(read).must(http.StatusOK)
		member.get(read).must(http.StatusForbidden)
		h.as("").get(read).must(http.StatusUnauthorized)
		h.as("").with("Authorization", "Bearer "+secret).get(read).must(http.StatusForbidden)
	}
	for _, act := range []string{
		path + "/deactivate", path + "/reactivate", path + "/revoke-all", path + "/role",
		"/admin/tokens/" + token + "/revoke", "/admin/tokens/revoke",
	} {
		auditor.post(act).must(http.StatusForbidden)
	}
	auditor.post(path+"/workspaces", "workspace", "default", "role", "viewer").must(http.StatusForbidden)
	p := auditor.get(path).must(http.StatusOK)
	p.none("main form")
	p.none("main .end")
	if len(admin.get(path).must(http.StatusOK).all("main .end")) == 0 {
		t.Error("an administrator sees nothing to end")
	}
	admin.get(path).none("select[id=role]") // roles in the tenant are the super admins'
	admin.post(path+"/role", "role", "admin").must(http.StatusForbidden)

	above := admin.get(h.their(grace)).must(http.StatusOK)
	above.one("section[aria-labelledby=facts]").says("Only a super admin may act on a super admin.")
	above.none(".acts")
	admin.post(h.their(grace) + "/deactivate").must(http.StatusForbidden)
}

func TestTokensAreFoundAndRevoked(t *testing.T) {
	h := open(t, false)
	admin := h.as(grace)
	alice := h.as("alice@example.com")
	alice.generate("Old laptop")
	alice.generate("old_desktop")
	alice.post("/settings/tokens", "name", "Phone", "expires_in", "7d", "scope", "chat").must(http.StatusOK)
	h.as("bob@example.com").generate("Old server")
	find := func(query string) page { return admin.get("/admin/tokens" + query).must(http.StatusOK) }
	for query, want := range map[string]int{
		"": 4, "?name=old": 3, "?name=OLD*": 3, "?name=old_": 1, "?name=*e": 1, "?person=ALICE@example.com": 3, "?person=nobody": 0,
		"?workspace=default": 4, "?kind=svc": 0, "?state=revoked": 0, "?ending=7": 1, "?ending=30": 1, "?unused=30": 0, "?age=90": 0,
	} {
		if got := len(find(query).all("tbody tr")); got != want {
			t.Errorf("%q: %d tokens, want %d", query, got, want)
		}
	}
	admin.get("/admin/tokens?workspace=nowhere").must(http.StatusBadRequest).one("#workspace-wrong").says("no workspace")
	find("?name=old").one("a[href=/admin/tokens/revoke?name=old]")
	find("?ending=30").none(".lookup .end")
	find("").none(".lookup .end")

	ask := admin.get("/admin/tokens/revoke?name=old&person=alice@example.com").must(http.StatusOK)
	ask.one("h1").says("Revoke 2 tokens?")
	confirm := ask.one("input[name=confirm]").attrs["value"]
	fields := []string{"name", "old", "person", "alice@example.com", "confirm", confirm}
	admin.post("/admin/tokens/revoke", fields...).must(http.StatusBadRequest).one("#reason-wrong").says("Say why")
	alice.generate("Older")
	changed := admin.post("/admin/tokens/revoke", append(fields, "reason", "lost")...).must(http.StatusConflict)
	changed.one("[role=alert]").says("nothing was revoked")
	changed.one("h1").says("Revoke 3 tokens?")
	fields[5] = changed.one("input[name=confirm]").attrs["value"]
	done := admin.post("/admin/tokens/revoke", append(fields, "reason", "lost")...).must(http.StatusOK)
	done.one(".notice").says("Revoked: 3 tokens ended in")
	admin.get("/admin/tokens/revoke").must(http.StatusBadRequest)

	id := h.newest("bob@example.com")
	one := admin.with("Referer", "http://tenure.example.com"+h.their("bob@example.com")).get("/admin/tokens/" + id + "/revoke").must(http.StatusOK)
	if got := one.one("input[name=to]").attrs["value"]; got != h.their("bob@example.com") {
		t.Errorf("it leads back to %q", got)
	}
	admin.post("/admin/tokens/"+id+"/revoke", "to", h.their("bob@example.com")).must(http.StatusOK).one("h1").says("bob@example.com")
	admin.post("/admin/tokens/"+id+"/revoke", "to", "https://evil.example.com/").must(http.StatusOK).one(".notice").says("had ended already")
}

func TestAuditPage(t *testing.T) {
	h := open(t, false)
	admin := h.as(grace)
	made := h.as("alice@example.com").post("/settings/tokens", "name", "Laptop", "expires_in", "90d", "scope", "chat").must(http.StatusOK)
	request := made.Header.Get("X-Request-Id")
	admin.post("/admin/tokens/" + h.newest("alice@example.com") + "/revoke").must(http.StatusOK)
	count := func(query string) int {
		t.Helper()
		return len(admin.get("/admin/audit" + query).must(http.StatusOK).all(".log tbody tr"))
	}
	for query, want := range map[string]int{
		"?who=alice@example.com&what=token": 1, "?about=Laptop": 2, "?what=token.revoked": 1, "?workspace=default&what=token": 2,
		"?from=2025-11-21&to=2025-11-21&what=token": 2, "?to=2025-11-20": 0, "?from=2025-11-22": 0,
		"?person=" + string(h.join("alice@example.com").User()) + "&what=token": 2,
	} {
		if got := count(query); got != want {
			t.Errorf("%s: %d events, want %d", query, got, want)
		}
	}
	p := admin.get("/admin/audit?request=" + request).must(http.StatusOK)
	p.one(".chosen").says("Following request " + request)
	if p.all(".event dl")[0].says("tpat_"); !strings.Contains(p.body, "token.minted") {
		t.Error("the request's event is not there")
	}
	admin.get("/admin/audit").must(http.StatusOK).one(".lead").says("Every event is kept: 1 day so far, since 21 November 2025.")
	admin.get("/admin/audit?from=yesterday").must(http.StatusBadRequest).one("#from-wrong").says("2026-01-31")
	admin.get("/admin/audit?from=2025-11-22&to=2025-11-20").must(http.StatusBadRequest)
	nothingInline(t, "audit", p.root())
}

// The page Audit says how far the log is verified, to an auditor too, who may have it
// verified; nobody else learns of it.
func TestAuditVerified(t *testing.T) {
	h := open(t, false)
	auditor := h.become("ann@example.com", tenure.Auditor)
	if _, err := h.Ledger.Place(tenure.Everywhere(t.Context())); err != nil {
		t.Fatal(err)
	}
	p := auditor.get("/admin/audit").must(http.StatusOK)
	p.one("#verified").says("Not verified yet; checkpoint")
	p.one("#verified button").says("Verify now")
	p = auditor.post("/admin/audit/verify").must(http.StatusOK)
	p.one("#verified progress")
	p.one("#verified").says("Verifying, 0 of")
	if err := h.Ledger.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if part := auditor.with("Tenure-Background", "1").get("/admin/audit/verified").must(http.StatusOK); strings.Contains(part.body, "<html") {
		t.Error("the part comes with a frame")
	} else {
		part.one("#verified").says("Verified to event")
		part.none("#verified progress")
	}
	mallory := h.as("mallory@example.com")
	mallory.get("/admin/audit/verified").must(http.StatusForbidden)
	mallory.post("/admin/audit/verify").must(http.StatusForbidden)
}
