package dash

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// How long events are kept and what was removed is shown; a hold is placed and released on
// pages by super admins, and seen by auditors.
func TestRetentionPages(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	const path, holds = "/admin/audit/retention", "/admin/audit/holds"
	root.get("/admin/audit").one("main .head a[href=" + path + "]")
	p := root.get(path).must(http.StatusOK)
	p.one(".lead").says("Every event is kept")
	p.one("section[aria-labelledby=removed] .empty").says("Nothing was")
	if _, err := h.Policies.Set(t.Context(), h.operator(), map[string]*string{"audit_retention": new("180d")}); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-200 * 24 * time.Hour)
	if err := h.Ledger.DB.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.EventsRemoved(tenure.NewID(tx.Now()), audit.Removal{
			Tenant: tenure.DefaultTenant, Leaves: make([][]byte, 37), Oldest: at, Newest: at, Keep: 180 * 24 * time.Hour,
		}))
	}); err != nil {
		t.Fatal(err)
	}
	p = root.get(path).must(http.StatusOK)
	p.one(".lead").says("kept for 180 days")
	p.one("section[aria-labelledby=removed] tbody").says("37")
	root.get("/admin/audit").one(".lead").says("kept for 180 days")

	root.get(holds + "/new").must(http.StatusOK).one("form[action=" + holds + "]")
	root.post(holds, "matter", " ").must(http.StatusBadRequest).one("#matter-wrong")
	p = root.post(holds, "matter", "Case 4711").must(http.StatusOK)
	p.one(".notice").says("Case 4711")
	p.one(".lead").says("A legal hold is in force")
	release := p.one("section[aria-labelledby=holds] .act a").attrs["href"]

	h.join("iris@example.com")
	if _, _, err := h.Directory.SetRole(t.Context(), h.operator(), h.join("iris@example.com").User(), tenure.Auditor); err != nil {
		t.Fatal(err)
	}
	iris := h.as("iris@example.com")
	p = iris.get(path).must(http.StatusOK)
	p.one("section[aria-labelledby=holds] tbody").says("Case 4711")
	p.none("main a.button, main section form[method=post]")
	iris.get(release).must(http.StatusForbidden)
	iris.post(release, "reason", "over").must(http.StatusForbidden)
	iris.post(holds, "matter", "mine").must(http.StatusForbidden)
	h.as("mallory@example.com").get(path).must(http.StatusForbidden)

	root.get(release).must(http.StatusOK).one("main h1").says("Case 4711")
	root.post(release, "reason", "").must(http.StatusBadRequest).one("#reason-wrong")
	p = root.post(release, "reason", "the case is closed").must(http.StatusOK)
	p.one("section[aria-labelledby=holds] tbody").says("the case is closed")
	p.none("section[aria-labelledby=holds] .act a")
}
