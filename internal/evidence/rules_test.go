package evidence_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/store"
)

// user is somebody who is known by an id.
func (h *handed) user(id tenure.UserID) {
	h.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertUser(ctx, tenure.User{ID: id, Tenant: tenure.DefaultTenant, UserName: string(id) + "@example.com", Active: true, Role: tenure.Member, Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now()})
	})
}

// excepted has an exception approved, and told of by its event.
func (h *handed) excepted(id string, days int) {
	h.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		x := tenure.Exception{
			ID: tenure.ExceptionID(id), Tenant: tenure.DefaultTenant, Title: id, Rule: tenure.RuleTokenLifetime, Kind: tenure.SubjectUser, Subject: "alice", For: "alice", Reason: "r",
			Before: tenure.Risk{Likelihood: "low", Impact: "low"}, After: tenure.Risk{Likelihood: "low", Impact: "low"}, Requester: "alice", RequestedBy: "alice@example.com", RequestedAt: tx.Now(),
			From: tx.Now(), ExpiresAt: tx.Now().AddDate(0, 0, days), Owner: "bob", Plan: "p", RemedyBy: tx.Now(),
		}
		if err := tx.InsertException(ctx, x); err != nil {
			return err
		}
		x.Decider, x.DecidedBy, x.DecidedAt, x.Why = "bob", "bob@example.com", tx.Now(), "w"
		if err := tx.ApproveException(ctx, x); err != nil {
			return err
		}
		return tx.Append(ctx, tenure.AuditEvent{Tenant: tenure.DefaultTenant, Action: "exception.approved", ActorKind: "session", Actor: "bob@example.com", ActorID: "bob", ObjectID: id, Outcome: audit.Success})
	})
}

// Exceptions that were in force are judged by rows and events: what no act would let
// somebody do, a hand in the database may have done.
func TestExceptionsAreJudged(t *testing.T) {
	onBoth(t, func(h *handed) {
		h.user("alice")
		h.user("bob")
		from := h.now.AddDate(0, 0, -40)
		h.now = from
		h.excepted("ended before", 5)
		h.now = from.AddDate(0, 0, 10)
		period := h.now
		for _, id := range []string{"right", "her own", "endless", "untold", "whose it is"} {
			h.excepted(id, 30)
		}
		h.excepted("over", 5)
		h.hand(`UPDATE exceptions SET decided_by_user = 'alice', decided_by = 'alice@example.com' WHERE id = 'her own'`)
		h.hand(`UPDATE exceptions SET expires_at = ` + h.at(h.now.AddDate(2, 0, 0)) + ` WHERE id = 'endless'`)
		h.hand(`DELETE FROM audit_events WHERE object_id = 'untold'`)
		h.hand(`UPDATE exceptions SET requested_by_user = 'carol', decided_by_user = 'alice' WHERE id = 'whose it is'`)
		h.now = from.AddDate(0, 0, 40)
		bundle, m := h.export(tenure.DefaultTenant, evidence.Query{From: period, Controls: []string{"A.5.15"}})
		c := h.check(bundle, "exceptions.end")
		got := strings.Join(c.Failed, "\n")
		if c.Result != "failed" || c.Population != 6 || c.Passed != 2 {
			t.Errorf("%+v", c)
		}
		for _, want := range []string{"her own (her own): nobody else than who asked", "endless (endless): it stands for more than 180 days", "untold (untold): no event tells", "whose it is (whose it is): who approved it is whom it is for"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in %s", want, got)
			}
		}
		h.hand(`UPDATE audit_events SET erased = salt, object_id = '', actor = '', actor_id = '' WHERE object_id = 'right'`)
		later, _ := h.export(tenure.DefaultTenant, evidence.Query{From: period, Controls: []string{"A.5.15"}})
		if c := h.check(later, "exceptions.end"); c.FailedCount != 3 {
			t.Errorf("who an approval was of was erased: %+v", c)
		}
		rows := content(t, bundle, "exceptions.jsonl")
		if strings.Count(rows, "\n") != 7 || !strings.Contains(rows, `"title":"over","rule":"token_lifetime","subject_kind":"user","subject_id":"alice","subject":"alice@example.com","state":"expired","in_force_in_period":true`) {
			t.Errorf("%s", rows)
		}
		if m.Checks["failed"] == 0 {
			t.Errorf("%v", m.Checks)
		}
	})
}

// at is an instant as the database has it.
func (h *handed) at(t time.Time) string {
	return "'" + t.UTC().Format("2006-01-02T15:04:05.000000000Z") + "'"
}

// review has a review of everything opened, with items of which some are decided.
func (h *handed) review(id string, decisions ...string) {
	h.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		err := tx.InsertReview(ctx, tenure.Review{
			ID: tenure.ReviewID(id), Tenant: tenure.DefaultTenant, Title: id, OpenedAt: tx.Now(), From: tx.Now(), OpenedBy: "policy", Automatic: true,
			DueAt: tx.Now().AddDate(0, 0, 14), SecondDue: tx.Now().AddDate(0, 0, 21), Unanswered: tenure.UnansweredEscalate,
		})
		return err
	})
	for n, decision := range decisions {
		h.hand(fmt.Sprintf(`INSERT INTO access_review_items (review, tenant_id, n, kind, subject, name, decision) VALUES ('%s', 'default', %d, 'person', 'alice', 'alice@example.com', '%s')`, id, n+1, decision))
	}
}

func (h *handed) close(id string) {
	h.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.CloseReview(ctx, tenure.Review{ID: tenure.ReviewID(id), Tenant: tenure.DefaultTenant, ClosedAt: tx.Now(), ClosedBy: "grace"})
	})
}

// Reviews are judged by what the policy wants: opened when they are due, closed in time,
// with a decision on every item.
func TestReviewsAreJudged(t *testing.T) {
	onBoth(t, func(h *handed) {
		begin := h.now.AddDate(0, 0, -400)
		h.now = begin
		h.hand(`UPDATE tenants SET created_at = ` + h.at(begin) + ` WHERE id = 'default'`)
		ask := func() evidence.Check {
			t.Helper()
			bundle, _ := h.export(tenure.DefaultTenant, evidence.Query{From: begin.AddDate(0, 0, 80), Controls: []string{"CC6.2"}})
			return h.check(bundle, "reviews.held")
		}
		day := func(n int) { h.now = begin.AddDate(0, 0, n) }
		day(85)
		if c := ask(); c.Result != "not assessable here" || !strings.Contains(c.Note, "every 90d") {
			t.Errorf("nothing is due: %+v", c)
		}
		day(90)
		h.review("first", "keep", "keep")
		day(95)
		if c := ask(); c.Result != "passed" || c.Population != 1 || !strings.Contains(c.Note, "1 open and not due yet") {
			t.Errorf("it is open: %+v", c)
		}
		day(100)
		h.close("first")
		if c := ask(); c.Result != "passed" || c.Population != 2 {
			t.Errorf("it is closed: %+v", c)
		}
		day(180)
		h.review("second", "keep", "", "abstain", "revoke")
		day(190)
		if c := ask(); c.Result != "passed" {
			t.Errorf("the second is not due: %+v", c)
		}
		day(202)
		if c := ask(); c.FailedCount != 1 || !strings.Contains(c.Failed[0], "and is not closed; nobody decided 2 of 4 items; 1 items were revoked and have not ended") {
			t.Errorf("the second is due: %+v", c)
		}
		day(210)
		h.hand(`UPDATE access_review_items SET decision = 'keep' WHERE review = 'second'`)
		h.close("second")
		if c := ask(); c.FailedCount != 1 || !strings.Contains(c.Failed[0], "it was closed on") {
			t.Errorf("the second was late: %+v", c)
		}
		day(271)
		if c := ask(); c.FailedCount != 1 || c.Population != 4 {
			t.Errorf("there is time yet to open the third: %+v", c)
		}
		day(280)
		if c := ask(); c.FailedCount != 2 || !strings.Contains(c.Failed[0], "no review of everything was opened by then") {
			t.Errorf("the third was not opened: %+v", c)
		}
		day(275) // of one that the policy asked for later, nothing is wanted before
		h.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.SetPolicy(ctx, tenure.DefaultTenant, "review_every", "30d", "grace")
		})
		day(276)
		if c := ask(); c.FailedCount != 1 {
			t.Errorf("the policy is of yesterday: %+v", c)
		}
	})
}

// The bundle tells what the installation knows of its log.
func TestTheStandingOfTheLogIsTold(t *testing.T) {
	h := open(t)
	h.event(tenure.DefaultTenant, "policy.changed", "grace")
	q := evidence.Query{From: time.Now().Add(-time.Hour), Controls: []string{"AC-2(4)"}}
	now, old := time.Now(), time.Now().Add(-49*time.Hour)
	place := int64(5)
	for name, c := range map[string]struct {
		stands evidence.LogStanding
		result string
		why    string
	}{
		"never verified": {evidence.LogStanding{SignedAt: &now}, "not assessable here", ""},
		"well":           {evidence.LogStanding{SignedAt: &now, WholeAt: &now}, "passed", ""},
		"not signed":     {evidence.LogStanding{WholeAt: &now}, "failed", "no checkpoint"},
		"long ago":       {evidence.LogStanding{SignedAt: &now, WholeAt: &old}, "failed", "verified last on"},
		"a fault":        {evidence.LogStanding{SignedAt: &now, Fault: "its event was removed", FaultPlace: &place, FaultAt: &now}, "failed", "at place 5 its event was removed"},
	} {
		h.Standing = func(context.Context, tenure.Principal) (evidence.LogStanding, error) { return c.stands, nil }
		bundle, m := h.export(tenure.DefaultTenant, q)
		got := (&handed{house: h}).check(bundle, "log.verified")
		if got.Result != c.result || !strings.Contains(strings.Join(got.Failed, ""), c.why) || m.Log.Standing == nil || m.Log.Standing.Fault != c.stands.Fault {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
