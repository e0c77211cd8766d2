package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// people are looked through by a part of their names, page by page, with what they
// have; the deleted are a list of their own.
func people(t *testing.T, f *fixture) {
	add := func(tenant tenure.TenantID, name string) tenure.User {
		var u tenure.User
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			u = person(tx.Now(), tenant, name)
			u.DisplayName = "Person 100% " + name
			return tx.InsertUser(ctx, u)
		})
		return u
	}
	for i := range 5 {
		add(tenure.DefaultTenant, fmt.Sprintf("bob%d@example.com", i))
	}
	gone, off := add(tenure.DefaultTenant, "gone@example.com"), add(tenure.DefaultTenant, "off@example.com")
	add("elsewhere", "alice@example.com")
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.SetActive(ctx, off.Tenant, off.ID, false, "me", "left"); err != nil {
			return err
		}
		return tx.DeleteUser(ctx, gone.Tenant, gone.ID)
	})
	count := func(pf store.PersonFilter) int {
		t.Helper()
		pf.Tenant, pf.Limit = tenure.DefaultTenant, 100
		rows, err := f.db.People(f.ctx, pf, f.db.Now())
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	for _, c := range []struct {
		filter store.PersonFilter
		want   int
	}{
		{store.PersonFilter{}, 7},
		{store.PersonFilter{Search: "BOB"}, 5},
		{store.PersonFilter{Search: "00% b"}, 5},
		{store.PersonFilter{Search: "0_"}, 0},
		{store.PersonFilter{State: "active"}, 6},
		{store.PersonFilter{State: "deactivated"}, 1},
		{store.PersonFilter{State: "deleted"}, 1},
		{store.PersonFilter{WithTokens: true}, 1},
		{store.PersonFilter{Role: tenure.Admin}, 0},
		{store.PersonFilter{Source: tenure.SourceSCIM}, 7},
		{store.PersonFilter{UnseenSince: f.db.Now().Add(time.Hour)}, 7},
		{store.PersonFilter{UnseenSince: f.db.Now().Add(-time.Hour)}, 0},
	} {
		if got := count(c.filter); got != c.want {
			t.Errorf("%+v: %d people, want %d", c.filter, got, c.want)
		}
	}
	seen := 0
	for pf := (store.PersonFilter{Tenant: tenure.DefaultTenant, Limit: 3}); ; {
		rows, err := f.db.People(f.ctx, pf, f.db.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		if seen == 0 && (rows[0].Tokens != 1 || rows[0].Spaces != 1 || rows[0].Workspaces[0] != "default") {
			t.Errorf("the first: %+v", rows[0])
		}
		seen += len(rows)
		pf.After = rows[len(rows)-1].ID
	}
	if seen != 7 {
		t.Errorf("%d people paged, want 7", seen)
	}
}

// looks at tokens choose by what they are now, and events by whom they concern.
func looks(t *testing.T, f *fixture) {
	second, _ := f.mint(f.user)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.RevokeToken(ctx, second.Tenant, second.ID, "me", "lost"); err != nil {
			return err
		}
		for _, e := range []tenure.AuditEvent{
			{Action: "a.done", ObjectID: string(f.user.ID), RequestID: "one"},
			{Action: "b.done", ActorID: string(f.user.ID)},
			{Action: "c.done", ObjectID: string(second.ID)},
			{Action: "d.done", ObjectID: "another", RequestID: "one"},
		} {
			e.Tenant, e.Outcome = tenure.DefaultTenant, "success"
			if err := tx.Append(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	now := f.db.Now()
	for _, c := range []struct {
		look store.TokenLook
		want int
	}{
		{store.TokenLook{}, 2},
		{store.TokenLook{State: "active"}, 1},
		{store.TokenLook{State: "revoked"}, 1},
		{store.TokenLook{State: "expired"}, 0},
		{store.TokenLook{Name: "LAP*"}, 2},
		{store.TokenLook{Name: "lap"}, 0},
		{store.TokenLook{Name: "l_ptop"}, 0},
		{store.TokenLook{EndsBefore: now.Add(2 * time.Hour)}, 2},
		{store.TokenLook{EndsBefore: now}, 0},
		{store.TokenLook{UnusedSince: now.Add(time.Minute)}, 2},
		{store.TokenLook{CreatedBefore: now.Add(-time.Minute)}, 0},
	} {
		c.look.Now = now
		rows, err := f.db.Tokens(f.ctx, store.TokenFilter{Tenant: tenure.DefaultTenant, Limit: 10, Look: &c.look})
		if err != nil || len(rows) != c.want {
			t.Errorf("%+v: %d tokens, want %d: %v", c.look, len(rows), c.want, err)
		}
	}
	for _, c := range []struct {
		filter store.AuditFilter
		want   int
	}{{store.AuditFilter{Person: f.user.ID}, 3}, {store.AuditFilter{Person: f.user.ID, Action: "c"}, 1}, {store.AuditFilter{RequestID: "one"}, 2}} {
		c.filter.Tenant, c.filter.Limit = tenure.DefaultTenant, 10
		rows, err := f.db.AuditEvents(f.ctx, c.filter)
		if err != nil || len(rows) != c.want {
			t.Errorf("%+v: %d events, want %d: %v", c.filter, len(rows), c.want, err)
		}
	}
	if at, err := f.db.FirstEvent(f.ctx, "elsewhere"); err != nil || !at.IsZero() {
		t.Errorf("the first event of nobody: %v, %v", at, err)
	}
	if at, err := f.db.FirstEvent(f.ctx, tenure.DefaultTenant); err != nil || at.IsZero() {
		t.Errorf("the first event: %v, %v", at, err)
	}
}
