package store

import (
	"context"
	"strings"

	"github.com/tenure-gateway/tenure"
)

const groupColumns = `id, tenant_id, display_name, external_id, profile, version, created_at, updated_at FROM groups`

func scanGroup(row scanner) (tenure.Group, error) {
	var g tenure.Group
	err := row.Scan(&g.ID, &g.Tenant, &g.DisplayName, &g.ExternalID, &g.Profile, &g.Version, into(&g.CreatedAt), into(&g.UpdatedAt))
	return g, err
}

// Group reads a group by id. NotFound: no such group in the tenant.
func (r reads) Group(ctx context.Context, tenant tenure.TenantID, id tenure.GroupID) (tenure.Group, error) {
	return one(ctx, r.run, scanGroup, `SELECT `+groupColumns+` WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// GroupByName reads a group by its displayName, without regard to case.
func (r reads) GroupByName(ctx context.Context, tenant tenure.TenantID, name string) (tenure.Group, error) {
	return one(ctx, r.run, scanGroup, `SELECT `+groupColumns+` WHERE tenant_id = $1 AND display_name_fold = $2`, tenant, tenure.FoldUserName(name))
}

// GroupFilter chooses groups of one tenant; zero fields choose all.
type GroupFilter struct {
	Tenant    tenure.TenantID
	Where     *Cond // nil is no condition
	Order     Order
	Place     Place // where the list goes on, in its order
	Offset    int
	Limit     int
	Uncounted bool // the length of the whole list is not asked for
}

func (f GroupFilter) where() where {
	var w where
	w.and(`tenant_id = ?`, f.Tenant)
	w.cond(groupShape, f.Where)
	return w
}

// Groups lists groups in the given order.
func (r reads) Groups(ctx context.Context, f GroupFilter) ([]tenure.Group, error) {
	w := f.where()
	page := w.page(groupShape, f.Order, f.Place, f.Limit, f.Offset)
	return manyOf(ctx, r.run, f.Where.simple(), scanGroup, `SELECT `+groupColumns+w.String()+page, w.args...)
}

// CountGroups counts what Groups would list without limit and offset.
func (r reads) CountGroups(ctx context.Context, f GroupFilter) (int, error) {
	w := f.where()
	return count(ctx, r.run, f.Where.simple(), `SELECT count(*) FROM groups`+w.String(), w.args...)
}

// A Membership is one person in one group.
type Membership struct {
	Group       tenure.GroupID
	DisplayName string // of the group
	User        tenure.UserID
}

// MembersOf lists who is in the groups, in the order of their ids.
func (r reads) MembersOf(ctx context.Context, groups ...tenure.GroupID) ([]Membership, error) {
	return memberships(ctx, r.run, `SELECT group_id, '', user_id FROM group_members WHERE group_id IN (`, groups, `) ORDER BY group_id, user_id`)
}

// GroupsOf lists the groups that people are in, in the order of their ids.
func (r reads) GroupsOf(ctx context.Context, users ...tenure.UserID) ([]Membership, error) {
	return memberships(ctx, r.run, `SELECT m.group_id, g.display_name, m.user_id FROM group_members m JOIN groups g ON g.id = m.group_id
		WHERE m.user_id IN (`, users, `) ORDER BY m.user_id, m.group_id`)
}

func memberships[ID ~string](ctx context.Context, r runner, before string, ids []ID, after string) ([]Membership, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var w where
	places := make([]string, len(ids))
	for i, id := range ids {
		places[i] = w.arg(id)
	}
	return manyOf(ctx, r, len(ids) == 1, func(row scanner) (Membership, error) {
		var m Membership
		err := row.Scan(&m.Group, &m.DisplayName, &m.User)
		return m, err
	}, before+strings.Join(places, ", ")+after, w.args...)
}

// InsertGroup stores a new group, without members. Conflict: the displayName is taken.
func (tx *Tx) InsertGroup(ctx context.Context, g tenure.Group) error {
	_, err := tx.exec(ctx, `INSERT INTO groups (id, tenant_id, display_name, display_name_fold, external_id, profile, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8)`,
		g.ID, g.Tenant, g.DisplayName, tenure.FoldUserName(g.DisplayName), g.ExternalID, groupProfile(g), stamp(g.CreatedAt), stamp(g.UpdatedAt))
	return groupTaken(err, g.DisplayName)
}

// UpdateGroup stores everything of a group but its members, and moves its
// version; after a change of the members alone it does just that. Conflict: the
// displayName is taken.
func (tx *Tx) UpdateGroup(ctx context.Context, g tenure.Group) error {
	err := tx.execOne(ctx, `UPDATE groups SET display_name = $1, display_name_fold = $2, external_id = $3, profile = $4,
		version = version + 1, updated_at = $5 WHERE tenant_id = $6 AND id = $7`,
		g.DisplayName, tenure.FoldUserName(g.DisplayName), g.ExternalID, groupProfile(g), stamp(tx.now), g.Tenant, g.ID)
	return groupTaken(err, g.DisplayName)
}

func groupProfile(g tenure.Group) string {
	if len(g.Profile) == 0 {
		return "{}"
	}
	return string(g.Profile)
}

func groupTaken(err error, name string) error {
	return conflict(err, "displayName", "a group named %q (compared without regard to case) exists already", name)
}

// DeleteGroup deletes a group; its members stay, and are in it no more.
func (tx *Tx) DeleteGroup(ctx context.Context, tenant tenure.TenantID, id tenure.GroupID) error {
	return tx.execOne(ctx, `DELETE FROM groups WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// AddMember puts a person of the tenant into a group, and tells whether they
// were not in it. NotFound: no such person.
func (tx *Tx) AddMember(ctx context.Context, tenant tenure.TenantID, group tenure.GroupID, user tenure.UserID) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO group_members (group_id, user_id, added_at)
		SELECT $1, id, $2 FROM users WHERE tenant_id = $3 AND id = $4 AND deleted_at IS NULL
		ON CONFLICT (group_id, user_id) DO NOTHING`, group, stamp(tx.now), tenant, user)
	if err != nil || n > 0 {
		return n > 0, err
	}
	_, err = one(ctx, tx.run, scalar[int], `SELECT 1 FROM users WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL`, tenant, user)
	return false, err
}

// RemoveMember takes a person out of a group, and tells whether they were in it.
func (tx *Tx) RemoveMember(ctx context.Context, group tenure.GroupID, user tenure.UserID) (bool, error) {
	n, err := tx.exec(ctx, `DELETE FROM group_members WHERE group_id = $1 AND user_id = $2`, group, user)
	return n > 0, err
}
