package dash

import (
	"context"
	"net/http"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// provision makes a person as SCIM would.
func (h *house) provision(name string) {
	h.t.Helper()
	err := h.Directory.DB.Tx(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		u := tenure.User{
			ID: tenure.UserID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, UserName: name, Active: true, Role: tenure.Member,
			Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		return tx.InsertUser(ctx, u)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestDriftPage(t *testing.T) {
	h := open(t, false)
	h.provision("alice.smith@example.com")
	alice := h.as("alicesmith@example.com")
	alice.generate("Laptop")
	h.join("mallory@example.com")

	p := h.as("root@example.com").get("/admin/drift").must(http.StatusOK)
	p.one("h1").says("Drift")
	p.one("nav a[aria-current=page]").says("Drift")
	p.none(".notice")
	near := p.one("section[aria-labelledby=lookalike]")
	near.says("▲")
	near.says("Make the proxy and the identity provider send the same name")
	near.says("alicesmith@example.com 1")
	near.says("alice.smith@example.com (dots; 0 active)")
	p.one("section[aria-labelledby=unprovisioned]").says("mallory@example.com 0")
	p.one("section[aria-labelledby=never_signed_in] tbody tr").says("alicesmith@example.com (dots; 1 active)")
	nothingInline(t, "drift", p.root())

	// It is the administration's.
	alice.get("/admin/drift").must(http.StatusForbidden)
	if n := len(alice.get("/settings").all("nav .group")); n != 1 {
		t.Errorf("a member sees %d groups", n)
	}
	h.as("").get("/admin/drift").must(http.StatusUnauthorized)
}

func TestNoDrift(t *testing.T) {
	h := open(t, false)
	h.provision("root@example.com")
	p := h.as("root@example.com").get("/admin/drift").must(http.StatusOK)
	p.one(".notice").says("Everybody who signs in is known to SCIM by the same name.")
}
