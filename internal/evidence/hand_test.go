package evidence_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// handed is a house that a hand is in the database of.
type handed struct {
	*house
	hand func(sql string)
	now  time.Time // that the house has
	hex  string    // how the database writes bytes
}

// onBoth runs a test on both databases, whose clock is the test's.
func onBoth(t *testing.T, test func(*handed)) {
	t.Helper()
	begin := time.Now().Add(-24 * time.Hour).Truncate(time.Millisecond)
	t.Run("sqlite", func(t *testing.T) {
		h, path := &handed{now: begin, hex: "x'%s'"}, filepath.Join(t.TempDir(), "tenure.db")
		db, err := store.OpenSQLite(t.Context(), path, func() time.Time { return h.now })
		h.house, h.hand = of(t, db, err), typing(t, "sqlite3", path)
		test(h)
	})
	t.Run("postgres", func(t *testing.T) {
		serve, super := storetest.Postgres(t)
		h := &handed{now: begin, hex: `'\x%s'`}
		db, err := store.OpenPostgres(t.Context(), serve, func() time.Time { return h.now })
		h.house, h.hand = of(t, db, err), typing(t, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", super, "-c")
		test(h)
	})
}

// typing types into a database.
func typing(t *testing.T, shell ...string) func(string) {
	return func(sql string) {
		t.Helper()
		if out, err := exec.Command(shell[0], append(shell[1:], sql)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, out)
		}
	}
}

// check is the answer of a bundle to one question.
func (h *handed) check(bundle []byte, id string) evidence.Check {
	h.Helper()
	for line := range strings.Lines(content(h.T, bundle, "checks.jsonl")) {
		var c evidence.Check
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			h.Fatal(err)
		}
		if c.ID == id {
			return c
		}
	}
	h.Fatalf("no check %s", id)
	return evidence.Check{}
}

// What a hand does to an event of the period in the database, the bundle names: also where
// that leaves the event out of the period, or would be taken for what was bound.
func TestWhatAHandDoesToTheLogIsNamed(t *testing.T) {
	of := func(place int) string { return fmt.Sprintf("(SELECT seq FROM audit_leaves WHERE place = %d)", place) }
	hands := map[string]struct{ sql, failed string }{
		"changed":           {`UPDATE audit_events SET actor = 'mallory' WHERE seq = ` + of(5), "it is not the one of its leaf"},
		"its time":          {`UPDATE audit_events SET at = (SELECT at FROM audit_events WHERE seq = ` + of(4) + `) WHERE seq = ` + of(5), "it is not the one of its leaf"},
		"deleted":           {`DELETE FROM audit_events WHERE seq = ` + of(5), "place 5: its event was removed"},
		"the first deleted": {`DELETE FROM audit_events WHERE seq = ` + of(3), "place 3: its event was removed"},
		"the last deleted":  {`DELETE FROM audit_events WHERE seq = ` + of(6), "place 6: its event was removed"},
		"before the period": {`UPDATE audit_events SET at = (SELECT at FROM audit_events WHERE seq = ` + of(0) + `) WHERE seq = ` + of(3), "place 3: it is not the one of its leaf"},
		"after the period":  {`UPDATE audit_events SET at = (SELECT at FROM audit_events WHERE seq = ` + of(9) + `) WHERE seq = ` + of(6), "place 6: it is not the one of its leaf"},
		"another tenant's":  {`UPDATE audit_events SET tenant_id = 'other' WHERE seq = ` + of(5), "place 5: it is not the one of its leaf"},
		"with its leaf":     {`DELETE FROM audit_events WHERE seq = ` + of(5) + `;DELETE FROM audit_leaves WHERE place = 5`, "place 5: its leaf was removed"},
		"erased":            {"", "no event tells that it was"},
	}
	onBoth(t, func(h *handed) {
		from, to := h.tenDays()
		q := evidence.Query{From: from, To: to, Controls: []string{"AC-2(4)"}}
		bundle, _ := h.export(tenure.DefaultTenant, q)
		if c := h.check(bundle, "log.unchanged"); c.Result != "passed" || c.Population != 4 {
			h.Fatalf("%+v", c)
		}
		hands["erased"] = struct{ sql, failed string }{h.erase(of(5), tenure.DefaultTenant), "no event tells that it was"}
		undo := ""
		for _, table := range []string{"audit_events", "audit_leaves"} {
			h.hand("CREATE TABLE kept_" + table + " AS SELECT * FROM " + table)
			undo += "DELETE FROM " + table + " WHERE seq IN (SELECT seq FROM kept_" + table + "); INSERT INTO " + table + " SELECT * FROM kept_" + table + ";"
		}
		for name, hand := range hands {
			h.hand(hand.sql)
			bundle, _ = h.export(tenure.DefaultTenant, q)
			c := h.check(bundle, "log.unchanged")
			if c.Result != "failed" || c.FailedCount != 1 || !strings.Contains(c.Failed[0], hand.failed) {
				h.Errorf("%s: %+v", name, c)
			}
			h.hand(undo)
		}
		bundle, _ = h.export(tenure.DefaultTenant, q)
		if c := h.check(bundle, "log.unchanged"); c.Result != "passed" {
			h.Errorf("%+v", c)
		}
		h.eraseByAct(of(5), tenure.DefaultTenant)
		bundle, _ = h.export(tenure.DefaultTenant, q)
		if c := h.check(bundle, "log.unchanged"); c.Result != "passed" || !strings.Contains(c.Note, "Not assessable here: of 1 events") {
			h.Errorf("erased by an act: %+v", c)
		}
	})
}

// What another tenant had erased, between the places of the period, is no change by a hand.
func TestAnotherTenantsErasureIsNoFault(t *testing.T) {
	onBoth(t, func(h *handed) {
		from, to := h.tenDays()
		h.hand(`UPDATE audit_events SET tenant_id = 'other' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 5)`)
		h.hand(`DELETE FROM audit_leaves; DELETE FROM audit_subtrees; DELETE FROM audit_checkpoints; DELETE FROM meta WHERE key = 'audit.tree'`)
		h.tree.grown = audit.Range{}
		if _, err := h.tree.place(h.Context()); err != nil {
			h.Fatal(err)
		}
		h.eraseByAct("(SELECT seq FROM audit_leaves WHERE place = 5)", "other")
		bundle, _ := h.export(tenure.DefaultTenant, evidence.Query{From: from, To: to, Controls: []string{"AC-2(4)"}})
		if c := h.check(bundle, "log.unchanged"); c.Result != "passed" {
			h.Errorf("%+v", c)
		}
	})
}

// eraseByAct leaves of an event what an act leaves, and tells of it.
func (h *handed) eraseByAct(seq string, tenant tenure.TenantID) {
	h.Helper()
	h.hand(h.erase(seq, tenant))
	h.hand(`UPDATE audit_events SET actor_id = '', actor = '', object_id = '', object = '', reason = '', address = '', detail = '{}', salt = NULL WHERE seq = ` + seq)
	ctx := tenure.Everywhere(h.Context())
	err := h.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		events, err := tx.AuditTail(ctx, tenant, "policy.changed", 1000)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(events, func(e tenure.AuditEvent) bool { return len(e.Erased) > 0 })
		return tx.Append(ctx, tenure.AuditEvent{
			Tenant: tenant, Action: audit.Erased, ActorKind: "session", Actor: "grace", Outcome: audit.Success, Detail: map[string]string{"events": events[i].ID},
		})
	})
	if err != nil {
		h.Fatal(err)
	}
}

// tenDays has an event in each of ten days, all placed, and gives the period of places 3
// to 6.
func (h *handed) tenDays() (from, to time.Time) {
	h.Helper()
	err := h.db.Tx(tenure.Everywhere(h.Context()), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertTenant(ctx, tenure.Tenant{ID: "other", Name: "other", Active: true, CreatedAt: tx.Now()})
	})
	if err != nil {
		h.Fatal(err)
	}
	begin := h.now.AddDate(0, 0, -20)
	for i := range 10 {
		h.now = begin.AddDate(0, 0, i)
		h.event(tenure.DefaultTenant, "policy.changed", fmt.Sprintf("day%d", i))
	}
	h.now = begin.AddDate(0, 0, 20)
	if _, err := h.tree.place(h.Context()); err != nil {
		h.Fatal(err)
	}
	return begin.AddDate(0, 0, 3), begin.AddDate(0, 0, 7)
}

// erase is what somebody types who knows how a leaf is made: what the event was bound by,
// and another object and detail.
func (h *handed) erase(seq string, tenant tenure.TenantID) string {
	h.Helper()
	ctx := tenure.Everywhere(h.Context())
	events, err := h.db.AuditTail(ctx, tenant, "", 1000)
	if err != nil {
		h.Fatal(err)
	}
	i := slices.IndexFunc(events, func(e tenure.AuditEvent) bool { return e.Object == "day5" })
	bound := fmt.Sprintf(h.hex, hex.EncodeToString(audit.Commitment(events[i])))
	return `UPDATE audit_events SET erased = ` + bound + `, object = 'bob', detail = '{"role":"auditor"}' WHERE seq = ` + seq
}
