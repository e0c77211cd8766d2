package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A workspace's members come page by page, from all sources, each once.
func memberPages(t *testing.T, f *fixture) {
	w, groups := f.addSpace("W"), []tenure.Group{f.addGroup("one"), f.addGroup("two")}
	f.mapped(w, groups[0], tenure.Viewer)
	f.mapped(w, groups[1], tenure.Member)
	want := map[tenure.UserID]string{f.user.ID: "member  2"}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for i := range 12 {
			u := person(tx.Now(), tenure.DefaultTenant, fmt.Sprintf("p%d@example.com", i))
			if err := tx.InsertUser(ctx, u); err != nil {
				return err
			}
			role, direct, n := tenure.Role(""), tenure.Role(""), 0
			if i%3 != 0 {
				role, direct = tenure.Viewer, tenure.Viewer
				if err := tx.SetMembership(ctx, w.Tenant, w.ID, u.ID, direct); err != nil {
					return err
				}
			}
			if i%2 == 0 {
				if _, err := tx.AddMember(ctx, w.Tenant, groups[1].ID, u.ID); err != nil {
					return err
				}
				role, n = tenure.Member, 1
			}
			if role != "" {
				want[u.ID] = fmt.Sprintf("%s %s %d", role, direct, n)
			}
		}
		return nil
	})
	got := map[tenure.UserID]string{}
	page := store.MembershipFilter{Tenant: w.Tenant, Workspace: w.ID, Limit: 3}
	for {
		rows, err := f.db.Memberships(f.ctx, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rows {
			if m.User <= page.AfterUser || m.Name != "W" || m.UserName == "" {
				t.Errorf("%+v behind %s", m, page.AfterUser)
			}
			got[m.User], page.AfterWorkspace, page.AfterUser = fmt.Sprintf("%s %s %d", m.Role, m.Direct, len(m.Groups)), m.Workspace, m.User
		}
		if len(rows) < page.Limit {
			break
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("paged %v, want %v", got, want)
	}
}

func tenantRows(t *testing.T, f *fixture) {
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertTenant(ctx, tenure.Tenant{ID: "t2", Name: "acme", Active: true, CreatedAt: tx.Now()})
	})
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertTenant(ctx, tenure.Tenant{ID: "t3", Name: "acme", Active: true, CreatedAt: tx.Now()})
	})
	if !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("two of one name: %v", err)
	}
	for _, name := range []string{"t2", "acme"} {
		if got, err := f.db.Tenant(f.ctx, name); err != nil || got.ID != "t2" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	rows, err := f.db.Tenants(f.ctx)
	if err != nil || len(rows) != 2 || rows[0].Users != 1 || rows[1].Users != 0 {
		t.Errorf("%+v, %v", rows, err)
	}
	feed := f.feed()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetTenantActive(ctx, tenure.DefaultTenant, false)
	})
	f.mustDie("suspended")
	if changes, _ := f.next(feed); !tells(changes, "tenant", "default") {
		t.Errorf("the feed tells %v", changes)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetTenantActive(ctx, tenure.DefaultTenant, true)
	})
	f.mustLive("resumed")
}

func counted(t *testing.T, f *fixture) {
	a := f.addSpace("A")
	g := f.addGroup("Engineering")
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AddMember(ctx, g.Tenant, g.ID, f.user.ID)
		return err
	})
	f.mapped(a, g, tenure.Viewer)
	f.mintIn(a)
	f.mintIn(a)
	account := tenure.ServiceAccount{
		ID: "acc", Tenant: a.Tenant, Workspace: a.ID, Name: "job", About: "of the NIGHT", Owner: f.user.ID, ExpiresAt: f.db.Now().AddDate(1, 0, 0), CreatedAt: f.db.Now(),
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertProvider(ctx, tenure.Provider{ID: "p", Tenant: a.Tenant, Workspace: a.ID, Name: "openai", Kind: tenure.OpenAI, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}); err != nil {
			return err
		}
		return tx.InsertAccount(ctx, account)
	})
	count := func(want store.WorkspaceCounts, through int) {
		t.Helper()
		got, err := f.db.CountWorkspace(f.ctx, a.Tenant, a.ID, f.db.Now())
		if err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		in, err := f.db.TokensIn(f.ctx, a.Tenant, a.ID, f.user.ID, f.db.Now())
		if err != nil || in != want.Tokens {
			t.Errorf("%d tokens of the person, %v", in, err)
		}
		if n, err := f.db.TokensThrough(f.ctx, a.Tenant, a.ID, g.ID, f.db.Now()); err != nil || n != through {
			t.Errorf("%d tokens through the group, %v; want %d", n, err, through)
		}
	}
	count(store.WorkspaceCounts{Members: 1, Groups: 1, Tokens: 2, Accounts: 1, Providers: 1}, 2)
	if held, err := f.db.RolesHeld(f.ctx, a.Tenant, f.user.ID); err != nil || !slices.Equal(held, []tenure.Role{tenure.Member, tenure.Viewer}) {
		t.Errorf("roles %v, %v", held, err)
	}
	for part, want := range map[string]int{"": 1, "night": 1, "JO": 1, f.user.UserName: 1, "j_b": 0, "!": 0} {
		rows, err := f.db.Accounts(f.ctx, store.AccountFilter{Tenant: a.Tenant, Part: part, Limit: 10}, f.db.Now())
		if err != nil || len(rows) != want {
			t.Errorf("%q finds %d, %v", part, len(rows), err)
		}
	}
	if rows, err := f.db.Accounts(f.ctx, store.AccountFilter{Tenant: a.Tenant, Orphaned: true, Limit: 10}, f.db.Now()); err != nil || len(rows) != 0 {
		t.Errorf("orphans %+v, %v", rows, err)
	}
	if rows, err := f.db.AllProviders(f.ctx, a.Tenant, "", 10); err != nil || len(rows) != 1 || rows[0].Name != "openai" {
		t.Errorf("providers %+v, %v", rows, err)
	}
	if rows, err := f.db.AllProviders(f.ctx, a.Tenant, "p", 10); err != nil || len(rows) != 0 {
		t.Errorf("providers after the last %+v, %v", rows, err)
	}
	// With a role of their own nothing hangs on the group.
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMembership(ctx, a.Tenant, a.ID, f.user.ID, tenure.Member)
	})
	count(store.WorkspaceCounts{Members: 1, Groups: 1, Tokens: 2, Accounts: 1, Providers: 1}, 0)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.DeleteWorkspace(ctx, a.Tenant, a.ID, "me", "")
		return err
	})
	count(store.WorkspaceCounts{}, 0)
}
