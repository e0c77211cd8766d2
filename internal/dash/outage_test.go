package dash

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// excepted puts an exception in force, and gives its id.
func (h *house) excepted(rule tenure.Rule, kind, subject string) string {
	h.t.Helper()
	low := tenure.Risk{Likelihood: "low", Impact: "low"}
	x := tenure.Exception{
		ID: tenure.ExceptionID(tenure.NewID(time.Now())), Tenant: tenure.DefaultTenant, Title: "x", Rule: rule, Kind: kind, Subject: subject, Before: low, After: low,
		RequestedBy: "x", Decider: "somebody else",
	}
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		x.From, x.ExpiresAt, x.RemedyBy, x.RequestedAt, x.DecidedAt = tx.Now(), tx.Now().Add(time.Hour), tx.Now(), tx.Now(), tx.Now()
		if err := tx.InsertException(ctx, x); err != nil {
			return err
		}
		return tx.ApproveException(ctx, x)
	})
	return string(x.ID)
}

// What a workspace does without the database is on its page, and changed by who
// administers the tenant, who is told what it means.
func TestOutageOfAWorkspace(t *testing.T) {
	h := open(t, false)
	space := h.workspaceOf("Research", "wanda@example.com", tenure.WorkspaceAdmin)
	path := "/admin/workspaces/" + space
	admin := h.become("ada@example.com", tenure.Admin)
	admin.get(path).must(http.StatusOK).one("section[aria-labelledby=facts]").says("strict")
	admin.get(path + "/outage").must(http.StatusOK).one("main").says("somebody who was deactivated, or whose token was revoked, may go on here")
	admin.get(path + "/outage").one("main").says("a super admin changes that first")
	admin.post(path+"/outage", "outage_grace_seconds", "30").must(http.StatusConflict).one("#outage_grace_seconds-wrong").says("best_effort_max")
	h.set("best_effort_max", "2m")
	for _, wrong := range []string{"", "soon", "-1", "1.5", "99999999"} {
		admin.post(path+"/outage", "outage_grace_seconds", wrong).must(http.StatusBadRequest).one("#outage_grace_seconds-wrong").says("Expected a number of seconds")
	}
	admin.post(path+"/outage", "outage_grace_seconds", "121").must(http.StatusConflict).one("#outage_grace_seconds-wrong").says("for 2m at most")
	admin.post(path+"/outage", "outage_grace_seconds", "90").must(http.StatusBadRequest).one("main").says("needs an exception of the rule best_effort")
	id := h.excepted(tenure.RuleBestEffort, tenure.SubjectWorkspace, space)
	admin.get(path + "/outage").one("#exception").says("It ends on")
	admin.post(path+"/outage", "outage_grace_seconds", "90", "exception", id).must(http.StatusOK).one(".notice").says("best effort, for 1m30s, by an exception until")
	admin.get(path).one("section[aria-labelledby=facts]").says("best effort, for 1m30s")
	h.set("best_effort_max", "1m")
	admin.get(path).one("section[aria-labelledby=facts]").says("best effort, for 1m")
	h.set("best_effort_max", "0")
	admin.get(path).one("section[aria-labelledby=facts]").says("strict: the policy does not let it")

	h.set("best_effort_max", "2m")
	admin.post(path+"/outage", "outage_grace_seconds", "0", "exception", id).must(http.StatusOK).one(".notice").says("strict")
	admin.post(path+"/outage", "outage_grace_seconds", "90", "exception", id).must(http.StatusOK)
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.RevokeException(ctx, tenure.Exception{Tenant: tenure.DefaultTenant, ID: tenure.ExceptionID(id), RevokedAt: tx.Now()})
	})
	admin.get(path).one("section[aria-labelledby=facts]").says("strict: its exception is not in force")
	admin.get(path + "/outage").one("#exception").says("There is none in force")

	for name, role := range map[string]tenure.Role{"wanda@example.com": tenure.Member, "aron@example.com": tenure.Auditor} {
		other := h.become(name, role)
		other.get(path).must(http.StatusOK).none("a[href$='/outage']")
		other.get(path + "/outage").must(http.StatusForbidden)
		other.post(path+"/outage", "outage_grace_seconds", "0").must(http.StatusForbidden)
	}
}
