package dash

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Limits are set, changed and removed by whoever may; the person concerned sees their
// own, with what is left; whoever heads a workspace sees and sets those of it alone.
func TestLimitPages(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	space := h.workspaceOf("Research", "wanda@example.com", tenure.WorkspaceAdmin)
	h.workspaceOf("Sales", "mallory@example.com", tenure.Member)
	root.get("/admin/limits").must(http.StatusOK).one(".empty").says("There is no limit")
	root.get("/admin/limits/new").must(http.StatusOK)
	root.post("/admin/limits", "kind", "user", "subject", "nobody@example.com", "tokens_per_day", "5").must(http.StatusBadRequest).one("#subject-wrong").says("no such user")
	root.post("/admin/limits", "kind", "user", "subject", "wanda@example.com", "tokens_per_day", "many").must(http.StatusBadRequest).one("#tokens_per_day-wrong").says("whole number")
	p := root.post("/admin/limits", "kind", "user", "subject", "wanda@example.com", "tokens_per_day", "1,000", "spend_per_month", "12.5").must(http.StatusOK)
	p.one(".notice").says("wanda@example.com")
	p.one("tbody tr").says("0 of 1,000 tokens today")
	p.one("tbody tr").says("0.00 of 12.50 USD spent this month")
	change := p.all("td.act a")[0].attrs["href"]
	one := strings.TrimSuffix(change, "/edit")
	root.get(change).must(http.StatusOK).one("input[name=tokens_per_day]")
	root.post(one, "tokens_per_day", "", "requests_per_minute", "", "spend_per_month", "").must(http.StatusBadRequest).one(".wrong").says("A limit needs a bound")

	asker, err := (&tenure.Standing{
		Kind: tenure.PAT, Tenant: "default", TenantActive: true, Workspace: tenure.WorkspaceID(space), WorkspaceRole: tenure.Member,
		User: h.join("wanda@example.com").User(), UserActive: true, Token: "t",
	}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	h.Directory.ModelUse.Note(asker, store.AskedModel{Provider: "p", Name: "openai", Model: "gpt-4o"}, h.Directory.DB.Now(), tenure.ModelUse{Input: 800, Output: 50})
	wanda := h.as("wanda@example.com")
	p = wanda.get("/settings/activity").must(http.StatusOK)
	p.one("section[aria-labelledby=own-limits] tbody tr").says("near")
	p.one("section[aria-labelledby=own-limits] tbody tr").says("850 of 1,000 tokens today")
	p.one("section[aria-labelledby=own-use] tbody tr").says("gpt-4o")
	h.as("mallory@example.com").get("/settings/activity").must(http.StatusOK).none("section[aria-labelledby=own-limits]")

	// What was used, by whom; without a price nobody knows what it cost.
	p = root.get("/admin/usage?by=user").must(http.StatusOK)
	p.one("section[aria-labelledby=days] svg")
	p.all("section[aria-labelledby=sums] tbody tr")[0].says("wanda@example.com")
	p.all("section[aria-labelledby=sums] tbody tr")[0].says("no price")
	wanda.get("/admin/usage").must(http.StatusForbidden)

	// Who heads a workspace.
	wanda.get("/admin/limits").must(http.StatusOK).one(".empty").says("of this workspace’s own")
	wanda.get(change).must(http.StatusNotFound)
	wanda.post(one + "/remove").must(http.StatusNotFound)
	wanda.post("/admin/limits", "kind", "user", "subject", "wanda@example.com", "workspace", "", "tokens_per_day", "9").must(http.StatusBadRequest).one("#workspace-wrong")
	p = wanda.post("/admin/limits", "kind", "user", "subject", "wanda@example.com", "workspace", space, "requests_per_minute", "60").must(http.StatusOK)
	p.one("tbody tr").says("Research")
	h.as("mallory@example.com").get("/admin/limits").must(http.StatusForbidden)

	root.get(one + "/remove").must(http.StatusOK).one(".facts").says("850 of 1,000")
	p = root.post(one + "/remove").must(http.StatusOK)
	if n := len(p.all("tbody tr")); n != 1 {
		t.Errorf("%d limits are left", n)
	}
}
