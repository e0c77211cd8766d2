package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// addSpace stores a workspace of the default tenant.
func (f *fixture) addSpace(name string) tenure.Workspace {
	f.t.Helper()
	var w tenure.Workspace
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		w = tenure.Workspace{ID: tenure.WorkspaceID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, Name: name, Models: tenure.Models{"gpt-4o*", "x/*"}, CreatedAt: tx.Now()}
		return tx.InsertWorkspace(ctx, w)
	})
	return w
}

// mapped says what the members of a group are in a workspace.
func (f *fixture) mapped(w tenure.Workspace, g tenure.Group, role tenure.Role) {
	f.t.Helper()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMapping(ctx, w.Tenant, tenure.GroupRole{Workspace: w.ID, Group: g.ID, Role: role, CreatedAt: tx.Now(), CreatedBy: "me"})
	})
}

func (f *fixture) roleIn(w tenure.Workspace) tenure.Role {
	f.t.Helper()
	role, err := f.db.RoleIn(f.ctx, w.Tenant, w.ID, f.user.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	return role
}

// mintIn mints a token of the fixture's person in a workspace, and tells whether it lives.
func (f *fixture) mintIn(w tenure.Workspace) (lives func() bool, reason func() string) {
	f.t.Helper()
	secret := tenure.NewToken(tenure.KindPAT)
	row := tenure.Token{
		Tenant: w.Tenant, Workspace: w.ID, User: f.user.ID, Name: "there", Kind: tenure.KindPAT,
		Prefix: secret.Reveal()[:tenure.TokenPrefixLength], Scopes: tenure.ScopeChat,
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		row.ID, row.CreatedAt = tenure.TokenID(tenure.NewID(tx.Now())), tx.Now()
		return tx.InsertToken(ctx, row, tenure.DigestOf(secret.Reveal()))
	})
	return func() bool {
			s, err := f.db.TokenStanding(f.ctx, tenure.DigestOf(secret.Reveal()))
			if err == nil {
				_, err = s.Admit(f.db.Now(), 0)
			}
			return err == nil
		}, func() string {
			got, err := f.db.Token(f.ctx, w.Tenant, row.ID)
			if err != nil {
				f.t.Fatal(err)
			}
			return got.RevokedBy + ": " + got.RevokedReason
		}
}

func workspaces(t *testing.T, f *fixture) {
	a, b := f.addSpace("A"), f.addSpace("B")
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.UpdateWorkspace(ctx, tenure.Workspace{ID: b.ID, Tenant: b.Tenant, Name: "A"})
	})
	if !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("two of one name: %v", err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMembership(ctx, b.Tenant, b.ID, f.user.ID, tenure.Viewer)
	})
	names := func(w store.WorkspaceFilter) (out []string) {
		w.Limit = 10
		if w.Tenant == "" {
			w.Tenant = tenure.DefaultTenant
		}
		rows, err := f.db.Workspaces(f.ctx, w)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			out = append(out, r.Name+" "+string(r.Role))
		}
		return out
	}
	for _, c := range []struct {
		what string
		f    store.WorkspaceFilter
		want []string
	}{
		{"all", store.WorkspaceFilter{Viewpoint: f.user.ID}, []string{"A ", "B viewer", "default member"}},
		{"one's own", store.WorkspaceFilter{User: f.user.ID}, []string{"B viewer", "default member"}},
		{"the next page", store.WorkspaceFilter{User: f.user.ID, After: b.ID}, []string{"default member"}},
		{"another tenant's", store.WorkspaceFilter{Tenant: "other"}, nil},
		{"by a part of the name", store.WorkspaceFilter{Viewpoint: f.user.ID, Part: "FAUL"}, []string{"default member"}},
		{"by what stands for any text elsewhere", store.WorkspaceFilter{Part: "%"}, nil},
	} {
		if got := names(c.f); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	if got, err := f.db.Workspace(f.ctx, a.Tenant, "A"); err != nil || got.ID != a.ID || got.Models.String() != "gpt-4o* x/*" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := f.db.Workspace(f.ctx, "other", string(a.ID)); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("by another tenant: %v", err)
	}
	lives, reason := f.mintIn(b)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.DeleteWorkspace(ctx, "other", b.ID, "me", "gone"); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("deleted by another tenant: %v", err)
		}
		ended, err := tx.DeleteWorkspace(ctx, b.Tenant, b.ID, "me", "gone")
		if ended.Tokens != 1 {
			t.Errorf("ended %+v", ended)
		}
		return err
	})
	if lives() || reason() != "me: gone" || f.roleIn(b) != "" {
		t.Errorf("after its end: lives %t, %q, role %q", lives(), reason(), f.roleIn(b))
	}
	f.addSpace("B")
	f.mustLive("after another workspace was deleted")
}

func rolesThroughGroups(t *testing.T, f *fixture) {
	w, g, h := f.addSpace("W"), f.addGroup("one"), f.addGroup("two")
	if f.roleIn(w) != "" {
		t.Errorf("a role before there is one: %q", f.roleIn(w))
	}
	f.mapped(w, g, tenure.Viewer)
	f.mapped(w, h, tenure.Member)
	if f.roleIn(w) != tenure.Member {
		t.Errorf("the highest of two groups is %q", f.roleIn(w))
	}
	f.mapped(w, g, tenure.WorkspaceAdmin)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMembership(ctx, w.Tenant, w.ID, f.user.ID, tenure.Viewer)
	})
	rows, err := f.db.Memberships(f.ctx, store.MembershipFilter{Tenant: w.Tenant, Workspace: w.ID, Limit: 10})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if m := rows[0]; m.Role != tenure.WorkspaceAdmin || m.Direct != tenure.Viewer || len(m.Groups) != 2 || m.Name != "W" || m.UserName != f.user.UserName || !m.Active {
		t.Errorf("%+v", m)
	}
	all, err := f.db.Memberships(f.ctx, store.MembershipFilter{Tenant: w.Tenant, User: f.user.ID, Limit: 1})
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	rest, err := f.db.Memberships(f.ctx, store.MembershipFilter{Tenant: w.Tenant, User: f.user.ID, AfterWorkspace: all[0].Workspace, AfterUser: all[0].User, Limit: 10})
	if err != nil || len(rest) != 1 || rest[0].Workspace == all[0].Workspace {
		t.Errorf("the second page: %+v, %v", rest, err)
	}
	if none, err := f.db.Memberships(f.ctx, store.MembershipFilter{Tenant: "other", Workspace: w.ID, Limit: 10}); err != nil || len(none) != 0 {
		t.Errorf("by another tenant: %+v, %v", none, err)
	}
	if none, err := f.db.Memberships(f.ctx, store.MembershipFilter{Tenant: w.Tenant, Among: "nobody", Limit: 10}); err != nil || len(none) != 0 {
		t.Errorf("among nobody's workspaces: %+v, %v", none, err)
	}
	maps, err := f.db.Mappings(f.ctx, w.Tenant, w.ID, "", 10)
	if err != nil || len(maps) != 2 || maps[0].Name != "one" || maps[0].Role != tenure.WorkspaceAdmin || maps[0].CreatedBy != "me" {
		t.Errorf("%+v, %v", maps, err)
	}
}

// Whoever loses the last role loses their tokens there, whichever way it goes.
func lastRole(t *testing.T, f *fixture) {
	for what, lose := range map[string]struct {
		reason string
		act    func(context.Context, *store.Tx, tenure.Workspace, tenure.Group) error
	}{
		"taken out of the group": {"database: membership removed", func(ctx context.Context, tx *store.Tx, _ tenure.Workspace, g tenure.Group) error {
			_, err := tx.RemoveMember(ctx, g.ID, f.user.ID)
			return err
		}},
		"the group is deleted": {"database: membership removed", func(ctx context.Context, tx *store.Tx, _ tenure.Workspace, g tenure.Group) error {
			return tx.DeleteGroup(ctx, g.Tenant, g.ID)
		}},
		"the group is unmapped": {"me: unmapped", func(ctx context.Context, tx *store.Tx, w tenure.Workspace, g tenure.Group) error {
			n, err := tx.RemoveMapping(ctx, w.Tenant, w.ID, g.ID, "me", "unmapped")
			if n != 1 {
				t.Errorf("unmapping told of %d tokens", n)
			}
			return err
		}},
	} {
		w, g := f.addSpace(what), f.addGroup(what)
		f.mapped(w, g, tenure.Member)
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.SetMembership(ctx, w.Tenant, w.ID, f.user.ID, tenure.Viewer)
		})
		lives, reason := f.mintIn(w)
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			was, n, err := tx.RemoveMembership(ctx, w.Tenant, w.ID, f.user.ID, "me", "removed")
			if !was || n != 0 {
				t.Errorf("%s: the one of two roles: %t, %d", what, was, n)
			}
			return err
		})
		if !lives() || f.roleIn(w) != tenure.Member {
			t.Errorf("%s: with the role of the group: lives %t, %q", what, lives(), f.roleIn(w))
		}
		f.tx(func(ctx context.Context, tx *store.Tx) error { return lose.act(ctx, tx, w, g) })
		if lives() || reason() != lose.reason || f.roleIn(w) != "" {
			t.Errorf("%s: lives %t, %q, role %q", what, lives(), reason(), f.roleIn(w))
		}
	}
	w := f.addSpace("direct")
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetMembership(ctx, w.Tenant, w.ID, f.user.ID, tenure.Member)
	})
	lives, reason := f.mintIn(w)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		was, n, err := tx.RemoveMembership(ctx, w.Tenant, w.ID, f.user.ID, "me", "removed")
		if !was || n != 1 {
			t.Errorf("the only role: %t, %d", was, n)
		}
		return err
	})
	if lives() || reason() != "me: removed" {
		t.Errorf("without a role: lives %t, %q", lives(), reason())
	}
	f.mustLive("the token of the workspace default")
}

// Whoever loses the last role by a changed key loses their tokens there too.
func lastRoleByKey(t *testing.T, f *fixture) {
	for what, statement := range map[string]string{
		"the member's row names somebody else": `UPDATE group_members SET user_id = 'somebody' WHERE group_id = '%[2]s'`,
		"the member's row names another group": `UPDATE group_members SET group_id = 'another' WHERE group_id = '%[2]s'`,
		"the mapping is of another group":      `UPDATE workspace_groups SET group_id = 'another2' WHERE group_id = '%[2]s'`,
		"the mapping is of another workspace":  `UPDATE workspace_groups SET workspace_id = 'another' WHERE workspace_id = '%[1]s'`,
		"the group has another id":             `UPDATE groups SET id = 'another3' WHERE id = '%[2]s'`,
	} {
		w, g := f.addSpace(what), f.addGroup(what)
		f.mapped(w, g, tenure.Member)
		lives, reason := f.mintIn(w)
		f.hand(fmt.Sprintf(`UPDATE workspace_groups SET role = 'workspace_admin' WHERE group_id = '%s'`, g.ID))
		if !lives() {
			t.Errorf("%s: another role ended the token", what)
		}
		f.hand(fmt.Sprintf(statement, w.ID, g.ID))
		if lives() || reason() != "database: membership removed" || f.roleIn(w) != "" {
			t.Errorf("%s: lives %t, %q, role %q", what, lives(), reason(), f.roleIn(w))
		}
	}
}
