package directory

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// maxGroupName is the longest displayName of a group, in bytes.
const maxGroupName = 1024

// CreateGroup makes a group with members. Conflict: the displayName is taken, in
// any case of its letters. Invalid: a member is nobody of the tenant.
func (d *Directory) CreateGroup(ctx context.Context, by tenure.Principal, g tenure.Group, members tenure.MemberChange) (tenure.Group, error) {
	if err := access.Check(by, tenure.CreateGroup); err != nil {
		return tenure.Group{}, err
	}
	if err := checkGroupName(g.DisplayName); err != nil {
		return tenure.Group{}, err
	}
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { // new, it means nothing in a workspace yet
		g.ID, g.Tenant, g.Version = tenure.GroupID(tenure.NewID(tx.Now())), by.Tenant(), 1
		g.CreatedAt, g.UpdatedAt = tx.Now(), tx.Now()
		if err := tx.InsertGroup(ctx, g); err != nil {
			return err
		}
		added, _, err := change(ctx, tx, g, members)
		if err != nil {
			return err
		}
		return tx.Append(ctx, audit.GroupCreated(by, g, len(added)))
	})
	if err != nil {
		return tenure.Group{}, fmt.Errorf("create group: %w", err)
	}
	return g, nil
}

// UpdateGroup changes a group by edit, and its members, all or nothing. Members
// are put in and taken out one by one: changes that run at once lose nobody.
// edit may run twice. Conflict and Invalid are as with CreateGroup.
func (d *Directory) UpdateGroup(ctx context.Context, by tenure.Principal, id tenure.GroupID,
	edit func(*tenure.Group) error, members tenure.MemberChange,
) (tenure.Group, error) {
	if err := access.Check(by, tenure.UpdateGroup); err != nil {
		return tenure.Group{}, err
	}
	var after tenure.Group
	var moved []tenure.UserID // who have another role in a workspace by it
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		moved = nil
		before, err := tx.Group(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		after = before
		if err := edit(&after); err != nil {
			return err
		}
		if err := checkGroupName(after.DisplayName); err != nil {
			return err
		}
		added, removed, err := change(ctx, tx, after, members)
		if err != nil {
			return err
		}
		if len(added)+len(removed) == 0 && reflect.DeepEqual(before, after) {
			return nil // RFC 7644 §3.5.2: what changes nothing is no modification
		}
		if err := tx.UpdateGroup(ctx, after); err != nil {
			return err
		}
		if err := tx.Append(ctx, audit.GroupUpdated(by, before, after, len(added), len(removed))); err != nil {
			return err
		}
		if counts, err := tx.IsMapped(ctx, id); err != nil {
			return err
		} else if counts {
			moved = slices.Concat(added, removed)
		}
		after, err = tx.Group(ctx, by.Tenant(), id)
		return err
	})
	if err != nil {
		return tenure.Group{}, fmt.Errorf("update group %s: %w", id, err)
	}
	d.moved(ctx, moved)
	return after, nil
}

// moved tells this process of people whose roles in workspaces have changed with a
// group: what they lost by it is cut.
func (d *Directory) moved(ctx context.Context, people []tenure.UserID) {
	for _, id := range people {
		d.Live.Changed(ctx, store.Change{Kind: "membership", ID: string(id)})
	}
}

// change puts members in and takes them out, and tells whom.
func change(ctx context.Context, tx *store.Tx, g tenure.Group, c tenure.MemberChange) (added, removed []tenure.UserID, err error) {
	leave := c.Remove
	if c.Only {
		rows, err := tx.MembersOf(ctx, g.ID)
		if err != nil {
			return nil, nil, err
		}
		going := map[tenure.UserID]bool{}
		for _, m := range rows {
			going[m.User] = true
		}
		for _, id := range c.Add {
			delete(going, id)
		}
		leave = slices.Sorted(maps.Keys(going))
	}
	for _, id := range leave {
		was, err := tx.RemoveMember(ctx, g.ID, id)
		if err != nil {
			return nil, nil, err
		}
		if was {
			removed = append(removed, id)
		}
	}
	for _, id := range c.Add {
		fresh, err := tx.AddMember(ctx, g.Tenant, g.ID, id)
		if tenure.IsKind(err, tenure.NotFound) {
			return nil, nil, noMember(ctx, tx, g.Tenant, id)
		}
		if err != nil {
			return nil, nil, err
		}
		if fresh {
			added = append(added, id)
		}
	}
	return added, removed, nil
}

// noMember says why an id cannot be a member.
func noMember(ctx context.Context, tx *store.Tx, tenant tenure.TenantID, id tenure.UserID) error {
	e := &tenure.Error{Kind: tenure.Invalid, Code: "invalidValue", Field: "members"}
	if _, err := tx.Group(ctx, tenant, tenure.GroupID(id)); err == nil {
		e.Msg = fmt.Sprintf("members: %q is a group; expected users only: groups inside groups are not supported", id)
		return e
	}
	if len(id) > 100 {
		id = id[:100]
	}
	e.Msg = fmt.Sprintf("members: no user has the id %q", id)
	return e
}

func checkGroupName(name string) error {
	if name == "" || len(name) > maxGroupName || !utf8.ValidString(name) {
		return &tenure.Error{
			Kind: tenure.Invalid, Code: "invalidValue", Field: "displayName",
			Msg: fmt.Sprintf("displayName: expected 1 to %d bytes of text", maxGroupName),
		}
	}
	return nil
}

// DeleteGroup deletes a group if allow agrees to what it is by then; nil agrees.
// Those who were in it stay.
func (d *Directory) DeleteGroup(ctx context.Context, by tenure.Principal, id tenure.GroupID, allow func(tenure.Group) error) error {
	if err := access.Check(by, tenure.DeleteGroup); err != nil {
		return err
	}
	var moved []tenure.UserID
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		moved = nil
		g, err := tx.Group(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		if allow != nil {
			if err := allow(g); err != nil {
				return err
			}
		}
		members, err := tx.MembersOf(ctx, id)
		if err != nil {
			return err
		}
		counts, err := tx.IsMapped(ctx, id)
		if err != nil {
			return err
		}
		for i := 0; counts && i < len(members); i++ {
			moved = append(moved, members[i].User)
		}
		if err := tx.DeleteGroup(ctx, by.Tenant(), id); err != nil {
			return err
		}
		return tx.Append(ctx, audit.GroupDeleted(by, g, len(members)))
	})
	if err != nil {
		return fmt.Errorf("delete group %s: %w", id, err)
	}
	d.moved(ctx, moved)
	return nil
}

// Group reads a group.
func (d *Directory) Group(ctx context.Context, by tenure.Principal, id tenure.GroupID) (tenure.Group, error) {
	if err := access.Check(by, tenure.ReadSCIM); err != nil {
		return tenure.Group{}, err
	}
	return d.DB.Group(ctx, by.Tenant(), id)
}

// Groups lists groups of the asker's tenant and tells how many the filter finds.
func (d *Directory) Groups(ctx context.Context, by tenure.Principal, f GroupFilter) ([]tenure.Group, int, error) {
	if err := access.Check(by, tenure.ReadSCIM); err != nil {
		return nil, 0, err
	}
	f.Tenant = by.Tenant()
	groups := []tenure.Group{}
	if f.Limit > 0 {
		var err error
		if groups, err = d.DB.Groups(ctx, f); err != nil {
			return nil, 0, err
		}
		if f.Uncounted {
			return groups, 0, nil
		}
		if whole(f.Place == (store.Place{}), f.Offset, f.Limit, len(groups)) {
			return groups, f.Offset + len(groups), nil
		}
	}
	f.Place = store.Place{}
	total, err := d.DB.CountGroups(ctx, f)
	return groups, total, err
}

// MembersOf lists who is in groups that the asker has read.
func (d *Directory) MembersOf(ctx context.Context, by tenure.Principal, groups ...tenure.GroupID) ([]Membership, error) {
	if err := access.Check(by, tenure.ReadSCIM); err != nil {
		return nil, err
	}
	return d.DB.MembersOf(ctx, groups...)
}

// GroupsOf lists the groups of people whom the asker has read.
func (d *Directory) GroupsOf(ctx context.Context, by tenure.Principal, users ...tenure.UserID) ([]Membership, error) {
	if err := access.Check(by, tenure.ReadSCIM); err != nil {
		return nil, err
	}
	return d.DB.GroupsOf(ctx, users...)
}
