package dash

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/price"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Prices are set, tried, changed and removed on their page, by whoever may; it tells what
// applies now, and what that comes to, in the currency that the policy names.
func TestPricePages(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	alice := h.join("alice@example.com")
	asker, err := (&tenure.Standing{
		Kind: tenure.PAT, Tenant: "default", TenantActive: true, Workspace: "default", WorkspaceRole: tenure.Member, User: alice.User(), UserActive: true, Token: "t",
	}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	now := h.Directory.DB.Now()
	h.Directory.ModelUse.Note(asker, store.AskedModel{Provider: "p", Name: "openai", Model: "gpt-4o"}, now, tenure.ModelUse{Input: 2_000_000, Output: 1_000_000})
	p := root.get("/admin/prices").must(http.StatusOK)
	p.one("section[aria-labelledby=prices] .empty").says("No price is set")
	p.one("section[aria-labelledby=used] tbody tr").says("openai/gpt-4o")
	p.one("section[aria-labelledby=used] tbody tr").says("none")

	// What is wrong is told beside its field; a preview changes nothing.
	root.post("/admin/prices", "pattern", "a b", "input", "1", "output", "1").must(http.StatusBadRequest).one("#pattern-wrong")
	root.post("/admin/prices", "pattern", "gpt*", "input", "dear", "output", "1").must(http.StatusBadRequest).one("#input-wrong")
	root.post("/admin/prices", "pattern", "gpt*", "input", "1", "output", "1", "from", "soon").must(http.StatusBadRequest).one("#from-wrong")
	p = root.post("/admin/prices", "pattern", "gpt*", "input", "2.50", "output", "10", "try", "1").must(http.StatusOK)
	p.one("dl.facts").says("openai/gpt-4o")
	p.one("dl.facts").says("15.00 USD")
	p.one("dl.facts").says("nothing for 1 model without a price")
	if got := p.one("input[name=pattern]").attrs["value"]; got != "gpt*" {
		t.Errorf("after a preview the form has %q", got)
	}
	root.get("/admin/prices").must(http.StatusOK).one("section[aria-labelledby=prices] .empty")
	p = root.post("/admin/prices", "pattern", "claude*", "input", "1", "output", "1", "try", "1").must(http.StatusOK)
	p.one("dl.facts").says("nothing that was used in the last 30 days")

	p = root.post("/admin/prices", "pattern", "gpt*", "input", "2.50", "output", "10", "cache_read", "1.25").must(http.StatusOK)
	p.one(".notice").says("“gpt*” counts from " + now.UTC().Format(time.DateOnly))
	row := p.one("section[aria-labelledby=prices] tbody tr")
	row.says("in force")
	row.says("1.25")
	used := p.one("section[aria-labelledby=used] tbody tr")
	used.says("no price")
	used.says("15.00 USD")
	change := p.all("td.act a")[0].attrs["href"]
	one := strings.TrimSuffix(change, "/edit")
	root.get(change).must(http.StatusOK).one("input[name=cache_read]")
	p = root.post(one, "input", "5", "output", "10", "try", "1").must(http.StatusOK)
	p.one("dl.facts").says("20.00 USD")
	p.one("dl.facts").says("15.00 USD")
	root.post(one, "input", "5", "output", "10").must(http.StatusOK).one("section[aria-labelledby=used] tbody tr").says("20.00 USD")

	// Another currency is another name.
	root.post("/admin/policies", "currency", "EUR", "was_currency", "USD").must(http.StatusOK)
	p = root.get("/admin/prices").must(http.StatusOK)
	p.one("section[aria-labelledby=used] tbody tr").says("20.00 EUR")
	root.get("/admin/prices/apply").must(http.StatusOK)
	root.post("/admin/prices/apply", "since", "some day").must(http.StatusBadRequest).one("#since-wrong")
	p = root.post("/admin/prices/apply", "since", now.UTC().Format(time.DateOnly)).must(http.StatusOK)
	p.one(".notice").says("Reckoned anew")
	if spent := p.all("section[aria-labelledby=used] tbody td")[2]; !strings.Contains(spent.text(), "20.00 EUR") {
		t.Errorf("after it was reckoned anew: %s", spent.text())
	}
	root.get("/admin/usage").must(http.StatusOK).all("section[aria-labelledby=sums] tbody tr")[0].says("20.00 EUR")

	one = strings.TrimSuffix(p.all("td.act a")[0].attrs["href"], "/edit")
	root.get(one + "/remove").must(http.StatusOK).one("h1").says("gpt*")
	for _, path := range []string{"/admin/prices", "/admin/prices/new", "/admin/prices/apply", one + "/edit", one + "/remove"} {
		nothingInline(t, path, root.get(path).must(http.StatusOK).root())
		h.as("alice@example.com").get(path).must(http.StatusForbidden)
	}
	h.as("alice@example.com").post(one + "/remove").must(http.StatusForbidden)
	root.post(one + "/remove").must(http.StatusOK).one(".notice").says("is removed")
	root.get(one + "/edit").must(http.StatusNotFound)

	// An auditor reads, and is offered nothing else; a price of every tenant is not another
	// tenant's to change.
	if _, err := h.Prices.Set(t.Context(), h.operator(), []price.Spec{{Pattern: "x*", From: now.AddDate(0, 0, 2), Everyone: true}}); err != nil {
		t.Fatal(err)
	}
	root.get("/admin/prices").must(http.StatusOK).one("section[aria-labelledby=prices] tbody tr").says("to come")
	h.become("olga@example.com", tenure.Auditor).get("/admin/prices").must(http.StatusOK).none("a.button")
}
