package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Person is somebody as they are or were: one who was deleted is among them.
type Person struct {
	tenure.User
	DeletedAt time.Time // zero: not deleted
}

func scanPerson(row scanner) (Person, error) {
	var p Person
	err := row.Scan(&p.ID, &p.UserName, &p.DisplayName, &p.Active, &p.Role, &p.Source, into(&p.CreatedAt), into(&p.DeactivatedAt), into(&p.LastSeenAt), into(&p.DeletedAt))
	return p, err
}

// Person reads somebody by id or userName: the person of that id, else the
// living one of that name, else the one of that name who was deleted last.
// NotFound: there was never such a person in the tenant.
func (r reads) Person(ctx context.Context, tenant tenure.TenantID, idOrName string) (Person, error) {
	const columns = `SELECT id, user_name, display_name, active, role, source, created_at, deactivated_at, last_seen_at, deleted_at FROM users WHERE tenant_id = $1 AND `
	p, err := one(ctx, r.run, scanPerson, columns+`id = $2`, tenant, idOrName)
	for _, next := range [...]string{
		`user_name_fold = $2 AND deleted_at IS NULL`,
		`user_name_fold = $2 AND deleted_at IS NOT NULL ORDER BY deleted_at DESC LIMIT 1`,
	} {
		if !tenure.IsKind(err, tenure.NotFound) {
			break
		}
		p, err = one(ctx, r.run, scanPerson, columns+next, tenant, tenure.FoldUserName(idOrName))
	}
	p.Tenant = tenant
	return p, err
}

// Holding is one thing that a person has or had, beside tokens.
type Holding struct {
	Kind      string // "session", "membership", "group", "service_account", "provider", "connector", "token_request"
	ID        string
	Name      string
	Workspace tenure.WorkspaceID
	About     string // a role, the address of a session, the state of a request
	Via       string // the group through which it is had, or ""
	CreatedAt time.Time
	ExpiresAt time.Time // when it ends by itself; zero: it does not
	SeenAt    time.Time // of a session
	Orphaned  time.Time // of a service account
	EndedAt   time.Time // zero: it lives
	EndedBy   string
	Reason    string
	Past      bool // its row is gone, or has another owner
}

func scanHolding(row scanner) (Holding, error) {
	var h Holding
	err := row.Scan(&h.Kind, &h.ID, &h.Name, &h.Workspace, &h.About, &h.Via, into(&h.CreatedAt), into(&h.ExpiresAt), into(&h.SeenAt),
		into(&h.Orphaned), into(&h.EndedAt), &h.EndedBy, &h.Reason, &h.Past)
	if h.Kind == "service_account" {
		h.Name = accountName(h.Name, tenure.ServiceAccountID(h.ID))
	}
	return h, err
}

// holdings are the queries behind Holdings, one for each place where something
// of a person is kept. Each is by an index on the person.
var holdings = [...]string{
	`SELECT 'session', id, via, '', address, '', created_at, expires_at, last_seen_at, NULL, ended_at, COALESCE(ended_by, ''), COALESCE(ended_reason, ''), FALSE
		FROM sessions WHERE tenant_id = $1 AND user_id = $2`,
	`SELECT 'membership', m.workspace_id, COALESCE(w.name, ''), m.workspace_id, m.role, '', m.created_at, NULL, NULL, NULL, NULL, '', '', FALSE
		FROM memberships m LEFT JOIN workspaces w ON w.id = m.workspace_id WHERE m.tenant_id = $1 AND m.user_id = $2`,
	`SELECT 'membership', g.workspace_id, COALESCE(w.name, ''), g.workspace_id, g.role, n.display_name, p.added_at, NULL, NULL, NULL, NULL, '', '', FALSE
		FROM group_members p JOIN workspace_groups g ON g.group_id = p.group_id JOIN groups n ON n.id = p.group_id
		LEFT JOIN workspaces w ON w.id = g.workspace_id WHERE g.tenant_id = $1 AND p.user_id = $2`,
	`SELECT 'group', g.id, g.display_name, '', '', '', p.added_at, NULL, NULL, NULL, NULL, '', '', FALSE
		FROM group_members p JOIN groups g ON g.id = p.group_id WHERE g.tenant_id = $1 AND p.user_id = $2`,
	`SELECT 'service_account', id, name, workspace_id, '', '', created_at, expires_at, NULL, orphaned_at, ended_at, COALESCE(ended_by, ''), COALESCE(ended_reason, ''), FALSE
		FROM service_accounts WHERE tenant_id = $1 AND owner_user_id = $2`,
	`SELECT 'provider', id, name, workspace_id, kind, '', created_at, NULL, NULL, NULL, NULL, '', '', FALSE
		FROM provider_credentials WHERE tenant_id = $1 AND created_by_user = $2 AND created_by_user <> ''`,
	`SELECT 'connector', id, name, '', '', '', created_at, NULL, NULL, NULL, deleted_at, COALESCE(deleted_by, ''), '', FALSE
		FROM scim_connectors WHERE tenant_id = $1 AND created_by_user = $2 AND created_by_user <> ''`,
	`SELECT 'token_request', id, name, workspace_id, state, '', requested_at, NULL, NULL, NULL, decided_at, decided_by, decision, FALSE
		FROM token_requests WHERE tenant_id = $1 AND requested_by_user = $2`,
	`SELECT kind, object_id, name, workspace_id, role, via, created_at, NULL, NULL, NULL, ended_at, '', '', TRUE
		FROM past_holdings WHERE tenant_id = $1 AND user_id = $2`,
}

// Holdings lists what a person has or had, beside their tokens.
func (r reads) Holdings(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) ([]Holding, error) {
	var all []Holding
	for _, query := range holdings {
		rows, err := many(ctx, r.run, scanHolding, query, tenant, user)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// TokensAround lists the tokens of a person, of the service accounts that they
// own, and those that they made for other accounts, each once, oldest first.
func (r reads) TokensAround(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) ([]tenure.Token, error) {
	return many(ctx, r.run, scanToken, `SELECT `+tokenColumns+` WHERE t.tenant_id = $1 AND t.id IN (
		SELECT id FROM api_tokens WHERE user_id = $2
		UNION SELECT id FROM api_tokens WHERE created_by_user = $2 AND created_by_user <> ''
		UNION SELECT id FROM api_tokens WHERE service_account_id <> '' AND service_account_id IN
			(SELECT id FROM service_accounts WHERE tenant_id = $1 AND owner_user_id = $2)) ORDER BY t.id`, tenant, user)
}

// WorkspaceNames gives the names of a tenant's workspaces, deleted ones included.
func (r reads) WorkspaceNames(ctx context.Context, tenant tenure.TenantID) (map[tenure.WorkspaceID]string, error) {
	type pair struct {
		id   tenure.WorkspaceID
		name string
	}
	rows, err := many(ctx, r.run, func(row scanner) (pair, error) {
		var p pair
		err := row.Scan(&p.id, &p.name)
		return p, err
	}, `SELECT id, name FROM workspaces WHERE tenant_id = $1`, tenant)
	names := make(map[tenure.WorkspaceID]string, len(rows))
	for _, p := range rows {
		names[p.id] = p.name
	}
	return names, err
}

// AuditOfPerson lists when the audit log says that a person's access ended, that
// they came back and that they were deleted, oldest first.
func (r reads) AuditOfPerson(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) ([]tenure.AuditEvent, error) {
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE tenant_id = $1 AND object_id = $2
		AND action IN ('user.deleted', 'user.reactivated', 'user.access_ended') ORDER BY seq`, tenant, user)
}

// AuditOfPast lists what the audit log says about the service accounts and the
// providers that a person has no more, oldest first.
func (r reads) AuditOfPast(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) ([]tenure.AuditEvent, error) {
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE tenant_id = $1 AND object_id IN (
		SELECT object_id FROM past_holdings WHERE tenant_id = $1 AND user_id = $2 AND kind IN ('service_account', 'provider')) ORDER BY seq`, tenant, user)
}
