package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// RoleIn gives a person's role in a workspace, the highest of those that they
// have themselves and through groups, or "" without one.
func (r reads) RoleIn(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID) (tenure.Role, error) {
	rank, err := one(ctx, r.run, scalar[int],
		`SELECT COALESCE(MIN(rank), 0) FROM workspace_roles WHERE tenant_id = $1 AND workspace_id = $2 AND user_id = $3`, tenant, ws, user)
	return roleOfRank(rank), err
}

// RoleAndMinters gives what access.LookAfter judges by: a person's role in a
// workspace, and the roles that look after service accounts by the tenant's policy.
func (r reads) RoleAndMinters(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID) (tenure.Role, []tenure.Role, error) {
	role, err := r.RoleIn(ctx, tenant, ws, user)
	if err != nil {
		return "", nil, err
	}
	policy, err := r.Policy(ctx, tenant)
	return role, policy.ServiceMinters, err
}

// RolesHeld gives the roles that a person has in any workspace of the tenant, the
// highest first.
func (r reads) RolesHeld(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) ([]tenure.Role, error) {
	return many(ctx, r.run, func(row scanner) (tenure.Role, error) {
		var rank int
		err := row.Scan(&rank)
		return roleOfRank(rank), err
	}, `SELECT DISTINCT rank FROM workspace_roles WHERE tenant_id = $1 AND user_id = $2 ORDER BY rank`, tenant, user)
}

// SetMembership makes a person a member of a workspace, or changes their role there.
func (tx *Tx) SetMembership(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID, role tenure.Role) error {
	return tx.later(ctx, nil, `INSERT INTO memberships (tenant_id, workspace_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (workspace_id, user_id) DO UPDATE SET role = excluded.role`, tenant, ws, user, role, stamp(tx.now))
}

// NewcomerPlace gives the workspace "default" of a tenant, "" where there is none,
// and what the policy says somebody new is there.
func (r reads) NewcomerPlace(ctx context.Context, tenant tenure.TenantID) (tenure.WorkspaceID, tenure.Role, error) {
	p := tenure.DefaultPolicy()
	ws, err := one(ctx, r.run, func(row scanner) (tenure.WorkspaceID, error) {
		var ws tenure.WorkspaceID
		var value string
		err := row.Scan(&ws, &value)
		if value != "" {
			_ = p.Set("new_member", value) // what nobody can read counts as not set
		}
		return ws, err
	}, `SELECT COALESCE((SELECT id FROM workspaces WHERE tenant_id = $1 AND (id = $2 OR name = $2) AND deleted_at IS NULL ORDER BY id = $2 DESC LIMIT 1), ''),
		COALESCE((SELECT value FROM policies WHERE tenant_id = $1 AND key = 'new_member'), '')`, tenant, tenure.DefaultWorkspace)
	return ws, p.NewMember, err
}

// RemoveMembership ends what a person is in a workspace by themselves, and the
// tokens that they have there unless a group gives them a role too. It reports
// whether there was a membership, and how many tokens ended.
func (tx *Tx) RemoveMembership(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID, by, reason string) (bool, int, error) {
	// Before the row goes: the trigger that follows it knows no name and no reason.
	tokens, err := tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3
		WHERE tenant_id = $4 AND workspace_id = $5 AND user_id = $6 AND revoked_at IS NULL
		AND EXISTS (SELECT 1 FROM memberships WHERE workspace_id = $5 AND user_id = $6)
		AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id WHERE g.workspace_id = $5 AND m.user_id = $6)`,
		stamp(tx.now), by, reason, tenant, ws, user)
	if err != nil {
		return false, 0, err
	}
	n, err := tx.exec(ctx, `DELETE FROM memberships WHERE tenant_id = $1 AND workspace_id = $2 AND user_id = $3`, tenant, ws, user)
	return n > 0, tokens, err
}

// MembershipFilter chooses what people are in workspaces of one tenant; zero
// fields choose all.
type MembershipFilter struct {
	Tenant    tenure.TenantID
	Workspace tenure.WorkspaceID
	User      tenure.UserID
	Among     tenure.UserID // only workspaces in which this person has a role
	// After is the last row of the page before.
	AfterWorkspace tenure.WorkspaceID
	AfterUser      tenure.UserID
	Limit          int
}

// where chooses rows of a relation that calls the workspace and the person so.
func (f MembershipFilter) where(tenant, ws, user string) where {
	var w where
	w.and(tenant+` = ?`, f.Tenant)
	if f.Workspace != "" {
		w.and(ws+` = ?`, f.Workspace)
	}
	if f.User != "" {
		w.and(user+` = ?`, f.User)
	}
	if f.Among != "" {
		w.and(ws+` IN (SELECT workspace_id FROM workspace_roles WHERE tenant_id = ? AND user_id = ?)`, f.Tenant, f.Among)
	}
	if f.AfterWorkspace != "" {
		w.and(`(`+ws+`, `+user+`) > (?, ?)`, f.AfterWorkspace, f.AfterUser)
	}
	return w
}

// TokensIn counts the tokens of a person that live in a workspace at now.
func (r reads) TokensIn(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID, now time.Time) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT COUNT(*) FROM api_tokens t WHERE t.tenant_id = $1 AND t.workspace_id = $2 AND t.user_id = $3
		AND `+tokenLives("$4", "$5"), tenant, ws, user, stamp(now), longestBefore(now))
}

// TokensThrough counts the tokens that live in a workspace at now and whose owners
// have a role there through this group alone.
func (r reads) TokensThrough(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, group tenure.GroupID, now time.Time) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT COUNT(*) FROM api_tokens t WHERE t.tenant_id = $1 AND t.workspace_id = $2
		AND `+tokenLives("$3", "$5")+`
		AND t.user_id IN (SELECT user_id FROM group_members WHERE group_id = $4)
		AND NOT EXISTS (SELECT 1 FROM memberships WHERE workspace_id = $2 AND user_id = t.user_id)
		AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
			WHERE g.workspace_id = $2 AND g.group_id <> $4 AND m.user_id = t.user_id)`, tenant, ws, stamp(now), group, longestBefore(now))
}

// Memberships lists what people are in workspaces, by themselves and through
// groups, in the order of workspace and person. A page of one workspace takes the
// same time whatever the number of its members.
func (r reads) Memberships(ctx context.Context, f MembershipFilter) ([]tenure.Membership, error) {
	if f.Workspace != "" && f.User == "" && f.Among == "" {
		return r.members(ctx, f)
	}
	w := f.where("tenant_id", "workspace_id", "user_id")
	query := `SELECT w.id, w.name, u.id, u.user_name, u.active, x.rank, x.direct
		FROM (SELECT workspace_id, user_id, MIN(rank) AS rank, COALESCE(MIN(CASE WHEN group_id = '' THEN rank END), 0) AS direct
			FROM workspace_roles` + w.String() + ` GROUP BY workspace_id, user_id) x
		CROSS JOIN workspaces w CROSS JOIN users u`
	query += ` WHERE w.id = x.workspace_id AND w.deleted_at IS NULL AND u.id = x.user_id AND u.deleted_at IS NULL AND w.tenant_id = ` + w.arg(f.Tenant) + ` AND u.tenant_id = ` + w.arg(f.Tenant) + ` ORDER BY w.id, u.id LIMIT ` + w.arg(f.Limit)
	out, err := many(ctx, r.run, func(row scanner) (tenure.Membership, error) {
		var m tenure.Membership
		var rank, direct int
		err := row.Scan(&m.Workspace, &m.Name, &m.User, &m.UserName, &m.Active, &rank, &direct)
		m.Role, m.Direct = roleOfRank(rank), roleOfRank(direct)
		return m, err
	}, query, w.args...)
	if err != nil || len(out) == 0 {
		return out, err
	}
	return out, r.fillGroups(ctx, f, out)
}

// members reads a page of each source by its index, and merges them: whoever is on
// the merged page is on the page of every source that has them.
func (r reads) members(ctx context.Context, f MembershipFilter) ([]tenure.Membership, error) {
	name, err := one(ctx, r.run, scalar[string], `SELECT name FROM workspaces WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL`, f.Tenant, f.Workspace)
	if tenure.IsKind(err, tenure.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	after := tenure.UserID("") // of the workspaces before, none; of this one, those behind
	switch {
	case f.AfterWorkspace > f.Workspace:
		return nil, nil
	case f.AfterWorkspace == f.Workspace:
		after = f.AfterUser
	}
	scan := func(row scanner) (tenure.Membership, error) {
		m := tenure.Membership{Workspace: f.Workspace, Name: name}
		err := row.Scan(&m.User, &m.UserName, &m.Active, &m.Direct)
		m.Role = m.Direct
		return m, err
	}
	const person = ` AND u.id = m.user_id AND u.tenant_id = $1 AND u.deleted_at IS NULL ORDER BY m.user_id LIMIT `
	page, err := many(ctx, r.run, scan, `SELECT u.id, u.user_name, u.active, m.role FROM memberships m CROSS JOIN users u
		WHERE m.tenant_id = $1 AND m.workspace_id = $2 AND m.user_id > $3`+person+`$4`, f.Tenant, f.Workspace, after, f.Limit)
	if err != nil {
		return nil, err
	}
	groups, err := many(ctx, r.run, scanMapping, `SELECT `+mappingColumns+` WHERE g.tenant_id = $1 AND g.workspace_id = $2 ORDER BY g.group_id`, f.Tenant, f.Workspace)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		rows, err := many(ctx, r.run, scan, `SELECT u.id, u.user_name, u.active, '' FROM group_members m CROSS JOIN users u
			WHERE m.group_id = $2 AND m.user_id > $3`+person+`$4`, f.Tenant, g.Group, after, f.Limit)
		if err != nil {
			return nil, err
		}
		page = merged(page, rows, g, f.Limit)
	}
	return page, nil
}

// merged adds the members of a group to a page; both are in the order of people.
func merged(page, rows []tenure.Membership, g tenure.GroupRole, limit int) []tenure.Membership {
	out := make([]tenure.Membership, 0, min(len(page)+len(rows), limit))
	for len(out) < limit && len(page)+len(rows) > 0 {
		if len(rows) == 0 || len(page) > 0 && page[0].User < rows[0].User {
			out, page = append(out, page[0]), page[1:]
			continue
		}
		m := rows[0]
		if len(page) > 0 && page[0].User == m.User {
			m, page = page[0], page[1:]
		}
		m.Groups = append(m.Groups, g)
		if m.Role == "" || rankOf(g.Role) < rankOf(m.Role) {
			m.Role = g.Role
		}
		out, rows = append(out, m), rows[1:]
	}
	return out
}

// fillGroups reads through which groups the rows of a page have their roles.
func (r reads) fillGroups(ctx context.Context, f MembershipFilter, page []tenure.Membership) error {
	type key struct {
		ws   tenure.WorkspaceID
		user tenure.UserID
	}
	at := make(map[key]*tenure.Membership, len(page))
	for i := range page {
		at[key{page[i].Workspace, page[i].User}] = &page[i]
	}
	last := page[len(page)-1]
	w := f.where("g.tenant_id", "g.workspace_id", "m.user_id")
	w.and(`(g.workspace_id, m.user_id) <= (?, ?)`, last.Workspace, last.User)
	_, err := many(ctx, r.run, func(row scanner) (struct{}, error) {
		var user tenure.UserID
		var g tenure.GroupRole
		err := row.Scan(&user, &g.Workspace, &g.Group, &g.Name, &g.Role, into(&g.CreatedAt), &g.CreatedBy)
		if m := at[key{g.Workspace, user}]; m != nil {
			m.Groups = append(m.Groups, g)
		}
		return struct{}{}, err
	}, `SELECT m.user_id, `+mappingColumns+` JOIN group_members m ON m.group_id = g.group_id`+w.String()+` ORDER BY g.group_id`, w.args...)
	return err
}

const mappingColumns = `g.workspace_id, g.group_id, d.display_name, g.role, g.created_at, g.created_by
	FROM workspace_groups g JOIN groups d ON d.id = g.group_id AND d.tenant_id = g.tenant_id`

func scanMapping(row scanner) (tenure.GroupRole, error) {
	var g tenure.GroupRole
	err := row.Scan(&g.Workspace, &g.Group, &g.Name, &g.Role, into(&g.CreatedAt), &g.CreatedBy)
	return g, err
}

// Mappings lists what groups are in a workspace, in the order of their ids.
func (r reads) Mappings(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, after tenure.GroupID, limit int) ([]tenure.GroupRole, error) {
	return many(ctx, r.run, scanMapping, `SELECT `+mappingColumns+`
		WHERE g.tenant_id = $1 AND g.workspace_id = $2 AND g.group_id > $3 ORDER BY g.group_id LIMIT $4`, tenant, ws, after, limit)
}

// Mapping reads what a group is in a workspace. NotFound: it means nothing there.
func (r reads) Mapping(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, group tenure.GroupID) (tenure.GroupRole, error) {
	return one(ctx, r.run, scanMapping, `SELECT `+mappingColumns+` WHERE g.tenant_id = $1 AND g.workspace_id = $2 AND g.group_id = $3`, tenant, ws, group)
}

// IsMapped reports whether a group means something in any workspace.
func (r reads) IsMapped(ctx context.Context, group tenure.GroupID) (bool, error) {
	n, err := one(ctx, r.run, scalar[int], `SELECT count(*) FROM workspace_groups WHERE group_id = $1`, group)
	return n > 0, err
}

// SetMapping says what the members of a group are in a workspace.
func (tx *Tx) SetMapping(ctx context.Context, tenant tenure.TenantID, m tenure.GroupRole) error {
	_, err := tx.exec(ctx, `INSERT INTO workspace_groups (tenant_id, workspace_id, group_id, role, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (workspace_id, group_id) DO UPDATE SET role = excluded.role`, tenant, m.Workspace, m.Group, m.Role, stamp(m.CreatedAt), m.CreatedBy)
	return err
}

// RemoveMapping ends what a group is in a workspace, and the tokens there of its
// members who have no other role in it. It tells how many tokens ended. NotFound:
// it meant nothing there.
func (tx *Tx) RemoveMapping(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, group tenure.GroupID, by, reason string) (int, error) {
	// Before the row goes: the trigger that follows it knows no name and no reason.
	tokens, err := tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3
		WHERE tenant_id = $4 AND workspace_id = $5 AND revoked_at IS NULL
		AND EXISTS (SELECT 1 FROM workspace_groups WHERE workspace_id = $5 AND group_id = $6)
		AND user_id IN (SELECT user_id FROM group_members WHERE group_id = $6)
		AND NOT EXISTS (SELECT 1 FROM memberships WHERE workspace_id = $5 AND user_id = api_tokens.user_id)
		AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
			WHERE g.workspace_id = $5 AND g.group_id <> $6 AND m.user_id = api_tokens.user_id)`,
		stamp(tx.now), by, reason, tenant, ws, group)
	if err != nil {
		return 0, err
	}
	return tokens, tx.execOne(ctx, `DELETE FROM workspace_groups WHERE tenant_id = $1 AND workspace_id = $2 AND group_id = $3`, tenant, ws, group)
}
