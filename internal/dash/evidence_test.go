package dash

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
)

// An auditor, who changes nothing, takes evidence, and the page tells that they did; a
// member does not see it.
func TestEvidencePage(t *testing.T) {
	h := open(t, false)
	h.as("root@example.com").get("/settings")
	h.join("iris@example.com")
	if _, _, err := h.Directory.SetRole(t.Context(), h.operator(), h.join("iris@example.com").User(), tenure.Auditor); err != nil {
		t.Fatal(err)
	}
	iris := h.as("iris@example.com")
	p := iris.get("/admin/evidence").must(http.StatusOK)
	p.one("main form input[name=from]")
	p.one("#exports .empty").says("Nobody has exported evidence yet")
	iris.post("/admin/evidence", "from", "yesterday", "sample", "5").must(http.StatusBadRequest).one(".alarm")
	iris.post("/admin/evidence", "from", "2026-02-01", "to", "2026-01-01", "sample", "5").must(http.StatusBadRequest).one(".alarm").says("later than from")
	iris.post("/admin/evidence", "from", "2020-01-01", "sample", "5", "control", "CC9.9").must(http.StatusBadRequest).one(".alarm").says("CC9.9")
	got := iris.post("/admin/evidence", "from", "2020-01-01", "sample", "5", "seed", "spring", "control", "CC6.2").must(http.StatusOK)
	if !strings.HasPrefix(got.body, "PK") || !strings.Contains(got.Header.Get("Content-Disposition"), "tenure-evidence-") {
		t.Errorf("%v %.20q", got.Header, got.body)
	}
	row := iris.get("/admin/evidence/exports").must(http.StatusOK).one("#exports tbody tr")
	row.says("iris@example.com")
	row.says("spring")
	row.says("exported")
	h.as("alice@example.com").get("/admin/evidence").must(http.StatusForbidden)
	h.as("alice@example.com").post("/admin/evidence", "from", "2020-01-01", "sample", "5").must(http.StatusForbidden)
}
