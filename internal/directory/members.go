package directory

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// MembershipFilter chooses what people are in workspaces.
type MembershipFilter = store.MembershipFilter

// Members lists who is what in a workspace, by themselves and through groups.
func (d *Directory) Members(ctx context.Context, by tenure.Principal, idOrName string, f MembershipFilter) ([]tenure.Membership, error) {
	w, err := within(ctx, d.DB, by, idOrName, tenure.ListMembers)
	if err != nil {
		return nil, err
	}
	f.Tenant, f.Workspace = by.Tenant(), w.ID
	return d.DB.Memberships(ctx, f)
}

// Memberships lists what people are in the workspaces of the tenant that the asker
// may read about.
func (d *Directory) Memberships(ctx context.Context, by tenure.Principal, f MembershipFilter) ([]tenure.Membership, error) {
	f.Tenant = by.Tenant()
	if err := access.Check(by, tenure.ListMembers); err != nil {
		switch {
		case access.Admits(by, tenure.ListMembers) != nil:
			return nil, err
		case by.User() != "":
			own, none := d.DB.Workspaces(ctx, store.WorkspaceFilter{Tenant: by.Tenant(), User: by.User(), Limit: 1})
			if none != nil {
				return nil, none
			}
			if len(own) == 0 {
				return nil, err
			}
			f.Among = by.User()
		case by.Kind() == tenure.ServiceToken && (f.Workspace == "" || f.Workspace == by.Workspace()):
			f.Workspace = by.Workspace()
		default:
			return nil, err
		}
	}
	return d.DB.Memberships(ctx, f)
}

// Member reads what one person is in a workspace, for who may do an action there.
// NotFound: no such workspace, or they are nothing there.
func (d *Directory) Member(ctx context.Context, by tenure.Principal, idOrName string, user tenure.UserID, action tenure.Action) (tenure.Membership, error) {
	w, err := within(ctx, d.DB, by, idOrName, action)
	if err != nil {
		return tenure.Membership{}, err
	}
	rows, err := d.DB.Memberships(ctx, MembershipFilter{Tenant: by.Tenant(), Workspace: w.ID, User: user, Limit: 1})
	if err != nil {
		return tenure.Membership{}, err
	}
	if len(rows) == 0 {
		return tenure.Membership{}, tenure.ErrNotFound
	}
	return rows[0], nil
}

// TokensIn counts the live tokens that a person would lose with their last role in
// a workspace.
func (d *Directory) TokensIn(ctx context.Context, by tenure.Principal, idOrName string, user tenure.UserID) (int, error) {
	w, err := within(ctx, d.DB, by, idOrName, tenure.RemoveMember)
	if err != nil {
		return 0, err
	}
	return d.DB.TokensIn(ctx, by.Tenant(), w.ID, user, d.DB.Now())
}

// TokensThrough counts the live tokens that RemoveMapping would end.
func (d *Directory) TokensThrough(ctx context.Context, by tenure.Principal, idOrName string, group tenure.GroupID) (int, error) {
	w, err := within(ctx, d.DB, by, idOrName, tenure.RemoveMapping)
	if err != nil {
		return 0, err
	}
	return d.DB.TokensThrough(ctx, by.Tenant(), w.ID, group, d.DB.Now())
}

// RolesHeld gives the roles that the asker has in any workspace.
func (d *Directory) RolesHeld(ctx context.Context, by tenure.Principal) ([]tenure.Role, error) {
	if by.User() == "" {
		return nil, nil
	}
	return d.DB.RolesHeld(ctx, by.Tenant(), by.User())
}

// SetMember makes a person a member of a workspace by themselves, or changes their
// role there. It holds from the next request on. The person is named by their id or
// their userName. NotFound: no such workspace, or nobody of the tenant.
func (d *Directory) SetMember(ctx context.Context, by tenure.Principal, idOrName string, user tenure.UserID, role tenure.Role) (tenure.Membership, error) {
	var m tenure.Membership
	role, err := tenure.ParseWorkspaceRole(string(role))
	if err != nil {
		return m, err
	}
	err = d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w, u, err := memberIn(ctx, tx, by, idOrName, user, tenure.SetMember)
		if err != nil {
			return err
		}
		user = u.ID
		if m, err = membership(ctx, tx, w, u); err != nil || m.Direct == role {
			return err
		}
		before := m.Direct
		if err := tx.SetMembership(ctx, by.Tenant(), w.ID, user, role); err != nil {
			return err
		}
		if m, err = membership(ctx, tx, w, u); err != nil {
			return err
		}
		return tx.Append(ctx, audit.MemberSet(by, w, u, before, role))
	})
	if err != nil {
		return tenure.Membership{}, fmt.Errorf("set a member of workspace %s: %w", idOrName, err)
	}
	d.Live.Changed(ctx, store.Change{Kind: "membership", ID: string(user)})
	return m, nil
}

// memberIn reads a workspace and a person, and judges the action there.
func memberIn(ctx context.Context, tx *store.Tx, by tenure.Principal, idOrName string, user tenure.UserID, action tenure.Action) (tenure.Workspace, tenure.User, error) {
	w, err := within(ctx, tx, by, idOrName, action)
	if err != nil {
		return tenure.Workspace{}, tenure.User{}, err
	}
	u, err := tx.User(ctx, by.Tenant(), user)
	if tenure.IsKind(err, tenure.NotFound) {
		u, err = tx.UserByName(ctx, by.Tenant(), string(user))
	}
	if tenure.IsKind(err, tenure.NotFound) {
		err = &tenure.Error{Kind: tenure.NotFound, Code: "user_not_found", Msg: "there is no such person in this tenant; whoever signs in or is provisioned becomes known"}
	}
	return w.Workspace, u, err
}

// membership reads what somebody is in a workspace; nothing is a Membership
// without a role.
func membership(ctx context.Context, tx *store.Tx, w tenure.Workspace, u tenure.User) (tenure.Membership, error) {
	rows, err := tx.Memberships(ctx, MembershipFilter{Tenant: w.Tenant, Workspace: w.ID, User: u.ID, Limit: 1})
	if err != nil || len(rows) == 0 {
		return tenure.Membership{Workspace: w.ID, Name: w.Name, User: u.ID, UserName: u.UserName, Active: u.Active}, err
	}
	return rows[0], nil
}

// RemoveMember ends what a person is in a workspace by themselves. Without another
// role there, through a group, they lose their tokens and open streams in it.
// Conflict: only a group makes them a member. NotFound: they are none.
func (d *Directory) RemoveMember(ctx context.Context, by tenure.Principal, idOrName string, user tenure.UserID) (tenure.Ended, error) {
	start := time.Now()
	var ended tenure.Ended
	var u tenure.User
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w, member, err := memberIn(ctx, tx, by, idOrName, user, tenure.RemoveMember)
		if err != nil {
			return err
		}
		u = member
		m, err := membership(ctx, tx, w, u)
		switch {
		case err != nil:
			return err
		case m.Role == "":
			return &tenure.Error{Kind: tenure.NotFound, Code: "not_a_member", Msg: "this person is no member of the workspace"}
		case m.Direct == "":
			return onlyThroughGroups(m)
		}
		user = u.ID
		if _, ended.Tokens, err = tx.RemoveMembership(ctx, by.Tenant(), w.ID, user, by.Label(), "removed from the workspace"); err != nil {
			return err
		}
		return tx.Append(ctx, audit.MemberRemoved(by, w, u, m.Direct, ended.Tokens))
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("remove a member of workspace %s: %w", idOrName, err)
	}
	ended.Streams = d.Live.Changed(ctx, store.Change{Kind: "membership", ID: string(user)})
	ended.Took = time.Since(start)
	d.Live.Ended(by.Tenant(), tenure.Revocation{What: tenure.RevokedMember, ObjectID: string(user), Object: u.UserName, Actor: by.Label(), Ended: ended, Gone: true})
	return ended, nil
}

func onlyThroughGroups(m tenure.Membership) error {
	names := make([]string, 0, len(m.Groups))
	for _, g := range m.Groups {
		names = append(names, fmt.Sprintf("%q", g.Name))
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "member_through_group",
		Msg: fmt.Sprintf("%q is a %s here through the group %s; take them out of it at the identity provider, or end what the group is in this workspace", m.UserName, m.Role, strings.Join(names, ", ")),
	}
}
