package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Mappings lists what groups are in a workspace, in the order of their ids.
func (d *Directory) Mappings(ctx context.Context, by tenure.Principal, idOrName string, after tenure.GroupID, limit int) ([]tenure.GroupRole, error) {
	w, err := within(ctx, d.DB, by, idOrName, tenure.ListMappings)
	if err != nil {
		return nil, err
	}
	return d.DB.Mappings(ctx, by.Tenant(), w.ID, after, limit)
}

// FindGroups lists groups that the identity provider pushed and that have part in
// their displayName, by name, for those who may say what a group is in a workspace.
func (d *Directory) FindGroups(ctx context.Context, by tenure.Principal, part string, limit int) ([]tenure.Group, error) {
	if err := access.Check(by, tenure.SetMapping); err != nil {
		return nil, err
	}
	f := GroupFilter{Tenant: by.Tenant(), Order: Order{By: FieldDisplayName}, Limit: limit}
	if part != "" {
		f.Where = &Cond{Op: CondContains, Field: FieldDisplayName, Value: tenure.FoldUserName(part)}
	}
	return d.DB.Groups(ctx, f)
}

// Mapping reads what the group with this id is in a workspace. NotFound: nothing.
func (d *Directory) Mapping(ctx context.Context, by tenure.Principal, idOrName, group string) (tenure.GroupRole, error) {
	w, err := within(ctx, d.DB, by, idOrName, tenure.ListMappings)
	if err != nil {
		return tenure.GroupRole{}, err
	}
	return d.DB.Mapping(ctx, by.Tenant(), w.ID, tenure.GroupID(group))
}

// groupOf reads a group of the asker's tenant by its id or its displayName.
func groupOf(ctx context.Context, tx *store.Tx, by tenure.Principal, idOrName string) (tenure.Group, error) {
	g, err := tx.Group(ctx, by.Tenant(), tenure.GroupID(idOrName))
	if tenure.IsKind(err, tenure.NotFound) {
		g, err = tx.GroupByName(ctx, by.Tenant(), idOrName)
	}
	if tenure.IsKind(err, tenure.NotFound) {
		err = &tenure.Error{Kind: tenure.NotFound, Code: "group_not_found", Msg: "there is no such group in this tenant; the identity provider pushes groups over SCIM"}
	}
	return g, err
}

// SetMapping says what the members of a group are in a workspace, those who come
// into the group later too. It holds from the next request on. NotFound: no such
// workspace, or no such group in the tenant.
func (d *Directory) SetMapping(ctx context.Context, by tenure.Principal, idOrName, group string, role tenure.Role) (tenure.GroupRole, error) {
	var m tenure.GroupRole
	role, err := tenure.ParseWorkspaceRole(string(role))
	if err != nil {
		return m, err
	}
	err = d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w, err := within(ctx, tx, by, idOrName, tenure.SetMapping)
		if err != nil {
			return err
		}
		g, err := groupOf(ctx, tx, by, group)
		if err != nil {
			return err
		}
		before, err := tx.Mapping(ctx, by.Tenant(), w.ID, g.ID)
		if err != nil && !tenure.IsKind(err, tenure.NotFound) {
			return err
		}
		if m = before; m.Role == role {
			return nil
		}
		if m.Group == "" {
			m = tenure.GroupRole{Workspace: w.ID, Group: g.ID, Name: g.DisplayName, CreatedAt: tx.Now(), CreatedBy: by.Label()}
		}
		m.Role = role
		if err := tx.SetMapping(ctx, by.Tenant(), m); err != nil {
			return err
		}
		return tx.Append(ctx, audit.MappingSet(by, w.Workspace, m, before.Role))
	})
	if err != nil {
		return tenure.GroupRole{}, fmt.Errorf("map a group to workspace %s: %w", idOrName, err)
	}
	d.Live.Changed(ctx, store.Change{Kind: "workspace", ID: string(m.Workspace)})
	return m, nil
}

// RemoveMapping ends what a group is in a workspace. Of its members, whoever has no
// other role there loses their tokens and open streams in it. NotFound: it meant
// nothing there.
func (d *Directory) RemoveMapping(ctx context.Context, by tenure.Principal, idOrName, group string) (tenure.Ended, error) {
	start := time.Now()
	var ended tenure.Ended
	var m tenure.GroupRole
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w, err := within(ctx, tx, by, idOrName, tenure.RemoveMapping)
		if err != nil {
			return err
		}
		g, err := groupOf(ctx, tx, by, group)
		if err != nil {
			return err
		}
		if m, err = tx.Mapping(ctx, by.Tenant(), w.ID, g.ID); err != nil {
			return err
		}
		if ended.Tokens, err = tx.RemoveMapping(ctx, by.Tenant(), w.ID, g.ID, by.Label(), "group removed from the workspace"); err != nil {
			return err
		}
		return tx.Append(ctx, audit.MappingRemoved(by, w.Workspace, m, ended.Tokens))
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("unmap a group from workspace %s: %w", idOrName, err)
	}
	ended.Streams = d.Live.Changed(ctx, store.Change{Kind: "workspace", ID: string(m.Workspace)})
	ended.Took = time.Since(start)
	d.Live.Ended(by.Tenant(), tenure.Revocation{What: tenure.RevokedMapping, ObjectID: string(m.Group), Object: m.Name, Actor: by.Label(), Ended: ended})
	return ended, nil
}
