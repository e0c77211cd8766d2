package dash

import (
	"net/http"
	"testing"

	"github.com/tenure-gateway/tenure/internal/access"
)

func TestAccessPage(t *testing.T) {
	h := open(t, false)
	p := h.as("root@example.com").get("/admin/access").must(http.StatusOK)
	p.one("h1").says("Access")
	p.one("nav a[aria-current=page]").says("Access")
	if n, want := len(p.all("tbody tr")), len(access.Matrix()); n != want {
		t.Errorf("%d rows, and the table has %d", n, want)
	}
	p.one("main").says("admin.policy.set")
	p.one("main").says("workspaces.members.set")
	nothingInline(t, "access", p.root())
	h.as("alice@example.com").get("/admin/access").must(http.StatusForbidden)
	h.as("").get("/admin/access").must(http.StatusUnauthorized)
}
