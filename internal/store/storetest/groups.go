package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

func group(now time.Time, name string) tenure.Group {
	return tenure.Group{ID: tenure.GroupID(tenure.NewID(now)), Tenant: tenure.DefaultTenant, DisplayName: name, CreatedAt: now, UpdatedAt: now}
}

// addGroup stores a group with the fixture's person in it.
func (f *fixture) addGroup(name string) tenure.Group {
	f.t.Helper()
	var g tenure.Group
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		g = group(tx.Now(), name)
		if err := tx.InsertGroup(ctx, g); err != nil {
			return err
		}
		_, err := tx.AddMember(ctx, g.Tenant, g.ID, f.user.ID)
		return err
	})
	return g
}

func (f *fixture) members(g tenure.Group) int {
	f.t.Helper()
	rows, err := f.db.MembersOf(f.ctx, g.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	return len(rows)
}

func groups(t *testing.T, f *fixture) {
	g := f.addGroup("Straße")
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertGroup(ctx, group(tx.Now(), "STRAßE")) })
	if !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("a second group of one name: %v", err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if again, err := tx.AddMember(ctx, g.Tenant, g.ID, f.user.ID); again || err != nil {
			t.Errorf("added twice: %v, %v", again, err)
		}
		if _, err := tx.AddMember(ctx, "other", g.ID, f.user.ID); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("a person of another tenant: %v", err)
		}
		if was, err := tx.RemoveMember(ctx, g.ID, "nobody"); was || err != nil {
			t.Errorf("removed nobody: %v, %v", was, err)
		}
		g.DisplayName = "Weg"
		return tx.UpdateGroup(ctx, g)
	})
	got, err := f.db.Group(f.ctx, g.Tenant, g.ID)
	if err != nil || got.DisplayName != "Weg" || got.Version != 2 || f.members(g) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := f.db.Group(f.ctx, "other", g.ID); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("by another tenant: %v", err)
	}
	rows, err := f.db.GroupsOf(f.ctx, f.user.ID, "nobody")
	if err != nil || len(rows) != 1 || rows[0].DisplayName != "Weg" || rows[0].Group != g.ID {
		t.Errorf("%+v, %v", rows, err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteGroup(ctx, g.Tenant, g.ID) })
	if f.members(g) != 0 {
		t.Error("members of a deleted group")
	}
}

func membersLeave(t *testing.T, f *fixture) {
	g := f.addGroup("one")
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, f.user.Tenant, f.user.ID) })
	if got, err := f.db.Group(f.ctx, g.Tenant, g.ID); f.members(g) != 0 || err != nil || got.Version != 2 {
		t.Errorf("after deletion: %d members, %+v, %v", f.members(g), got, err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		f.user = person(tx.Now(), tenure.DefaultTenant, "by-hand@example.com")
		if err := tx.InsertUser(ctx, f.user); err != nil {
			return err
		}
		_, err := tx.AddMember(ctx, g.Tenant, g.ID, f.user.ID)
		return err
	})
	f.hand(fmt.Sprintf(`DELETE FROM users WHERE id = '%s'`, f.user.ID))
	if f.members(g) != 0 {
		t.Error("after deletion by hand: still a member")
	}
}

func membersAtOnce(t *testing.T, f *fixture) {
	g := f.addGroup("many")
	users := make([]tenure.User, 16)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for i := range users {
			users[i] = person(tx.Now(), tenure.DefaultTenant, fmt.Sprintf("m%d@example.com", i))
			if err := tx.InsertUser(ctx, users[i]); err != nil {
				return err
			}
		}
		return nil
	})
	var wg sync.WaitGroup
	for _, u := range users {
		wg.Go(func() {
			err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.AddMember(ctx, g.Tenant, g.ID, u.ID)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.members(g); n != len(users)+1 {
		t.Errorf("%d members, want %d", n, len(users)+1)
	}
}

// conditions holds each operation to what it says, on every kind of column.
func conditions(t *testing.T, f *fixture) {
	names := map[tenure.UserID]string{f.user.ID: "alice"}
	var bob tenure.User
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		bob = person(tx.Now().Add(time.Hour), tenure.DefaultTenant, "bob@example.com")
		bob.DisplayName, bob.ExternalID, bob.Active = "Bob Ü", "B-1", false
		bob.Profile = []byte(`{"emails":[{"type":"Work","value":"Bob@X.org"},{"type":"home","value":"b@home.org"},7]}`)
		names[bob.ID] = "bob"
		return tx.InsertUser(ctx, bob)
	})
	g := f.addGroup("g")
	mail := func(parts ...store.Cond) store.Cond {
		return store.Cond{Op: store.CondAny, Field: store.RelationEmails, Parts: []store.Cond{{Op: store.CondAnd, Parts: parts}}}
	}
	is := func(op store.CondOp, field string, value any) store.Cond {
		return store.Cond{Op: op, Field: field, Value: value}
	}
	for i, c := range []struct {
		cond store.Cond
		want []string
	}{
		{is(store.CondTrue, "", nil), []string{"alice", "bob"}},
		{is(store.CondFalse, "", nil), nil},
		{is(store.CondEqual, store.FieldUserName, "bob@example.com"), []string{"bob"}},
		{is(store.CondEqual, store.FieldExternalID, "b-1"), nil},
		{is(store.CondEqual, store.FieldExternalID, ""), nil},
		{is(store.CondPresent, store.FieldExternalID, nil), []string{"bob"}},
		{is(store.CondEqual, store.FieldDisplayName, "bob ü"), []string{"bob"}},
		{is(store.CondEqual, store.FieldActive, false), []string{"bob"}},
		{is(store.CondContains, store.FieldUserName, "e@e"), []string{"alice"}},
		{is(store.CondContains, store.FieldUserName, "_"), nil},
		{is(store.CondStarts, store.FieldUserName, "al"), []string{"alice"}},
		{is(store.CondStarts, store.FieldDisplayName, "bob \u00fc"), []string{"bob"}},
		{is(store.CondStarts, store.FieldUserName, "\U0010ffff"), nil},
		{is(store.CondEnds, store.FieldUserName, "b@example.com"), []string{"bob"}},
		{is(store.CondGreater, store.FieldUserName, "b"), []string{"bob"}},
		{is(store.CondLess, store.FieldExternalID, "x"), []string{"bob"}},
		{is(store.CondGreaterEqual, store.FieldCreated, bob.CreatedAt), []string{"bob"}},
		{is(store.CondLess, store.FieldCreated, bob.CreatedAt), []string{"alice"}},
		{is(store.CondEqual, store.FieldValue, "no such column"), nil},
		{mail(is(store.CondEqual, store.FieldValue, "bob@x.org"), is(store.CondEqual, store.FieldType, "work")), []string{"bob"}},
		{mail(is(store.CondEqual, store.FieldValue, "bob@x.org"), is(store.CondEqual, store.FieldType, "home")), nil},
		{store.Cond{Op: store.CondNot, Parts: []store.Cond{mail(is(store.CondTrue, "", nil))}}, []string{"alice"}},
		{store.Cond{Op: store.CondAny, Field: store.RelationGroups, Parts: []store.Cond{is(store.CondEqual, store.FieldValue, string(g.ID))}}, []string{"alice"}},
		{store.Cond{Op: store.CondAny, Field: store.RelationMembers, Parts: []store.Cond{is(store.CondTrue, "", nil)}}, nil},
	} {
		filter := store.UserFilter{Tenant: tenure.DefaultTenant, Where: &c.cond, Limit: 9}
		rows, err := f.db.Users(f.ctx, filter)
		n, countErr := f.db.CountUsers(f.ctx, filter)
		var got []string
		for _, u := range rows {
			got = append(got, names[u.ID])
		}
		slices.Sort(got)
		if err != nil || countErr != nil || !slices.Equal(got, c.want) || n != len(got) {
			t.Errorf("%d: %v (%d), want %v; %v %v", i, got, n, c.want, err, countErr)
		}
	}
}

func orders(t *testing.T, f *fixture) {
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for _, name := range []string{"b", "", "a", "B2", ""} {
			u := person(tx.Now(), tenure.DefaultTenant, "o"+tenure.NewID(tx.Now()))
			u.DisplayName = name
			if err := tx.InsertUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	for _, descending := range []bool{false, true} {
		filter := store.UserFilter{Tenant: tenure.DefaultTenant, Order: store.Order{By: store.FieldDisplayName, Descending: descending}, Limit: 9}
		all, err := f.db.Users(f.ctx, filter)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"a", "b", "B2", "", "", ""}
		if descending {
			slices.Reverse(want)
		}
		for i, u := range all {
			if u.DisplayName != want[i] {
				t.Errorf("descending %v: %q at %d, want %q", descending, u.DisplayName, i, want[i])
			}
		}
		filter.Limit = 1 // each place leads to the next
		for _, u := range all {
			next, err := f.db.Users(f.ctx, filter)
			if err != nil || len(next) != 1 || next[0].ID != u.ID {
				t.Fatalf("descending %v: %v, %v, want %s", descending, next, err, u.ID)
			}
			filter.Place = store.Place{Key: tenure.FoldUserName(u.DisplayName), ID: string(u.ID)}
		}
	}
}
