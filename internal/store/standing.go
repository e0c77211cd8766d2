package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"time"

	"github.com/tenure-gateway/tenure"
)

// standingColumns read everything that Standing.Admit decides by, in one row. The
// role in the workspace is read from the tables behind the view workspace_roles:
// no database pushes the token's own columns down into a view.
var standingColumns = `SELECT t.id, COALESCE(NULLIF(t.family_id, ''), t.id), t.kind, t.tenant_id, COALESCE(n.active, FALSE), t.workspace_id, t.user_id, COALESCE(u.user_name, ''),
	COALESCE(u.active, FALSE), COALESCE(u.role, ''),
	COALESCE(m.role, ''), COALESCE((SELECT MIN(CASE g.role WHEN 'workspace_admin' THEN 1 WHEN 'member' THEN 2 WHEN 'viewer' THEN 3 END)
		FROM workspace_groups g JOIN group_members gm ON gm.group_id = g.group_id AND gm.user_id = t.user_id
		WHERE g.workspace_id = t.workspace_id AND g.tenant_id = t.tenant_id), 0),
	t.service_account_id, COALESCE(a.active, FALSE), COALESCE(a.name, ''), a.expires_at, a.orphaned_at, a.ended_at IS NOT NULL,
	t.name, t.scopes, t.models, COALESCE(w.models, ''), w.id IS NOT NULL, t.expires_at, t.rotated_at, t.revoked_at IS NOT NULL,
	COALESCE(c.id, ''), COALESCE(c.name, ''), COALESCE(c.cidrs, t.cidrs),
	COALESCE((SELECT value FROM policies WHERE tenant_id = t.tenant_id AND key = 'extra_scopes'), ''),
	COALESCE((SELECT value FROM policies WHERE tenant_id = t.tenant_id AND key = 'orphan_grace'), ''),
	COALESCE((SELECT value FROM policies WHERE tenant_id = t.tenant_id AND key = 'root_token'), ''),
	COALESCE(w.outage_grace_seconds, 0), COALESCE((SELECT value FROM policies WHERE tenant_id = t.tenant_id AND key = 'best_effort_max'), ''),
	COALESCE((SELECT value FROM policies WHERE tenant_id = t.tenant_id AND key = 'extraction'), ''),
	COALESCE((SELECT value FROM policies WHERE tenant_id = t.tenant_id AND key = 'belief_excerpts'), ''),
	COALESCE(xw.extraction, ''), COALESCE(xw.model, ''), COALESCE(xu.extraction, ''), COALESCE(xt.extraction, ''),
	t.exception_id, ` + heldColumns + `, COALESCE(w.exception_id, ''), ` + heldBySpace() + `
	FROM api_tokens t
	LEFT JOIN tenants n ON n.id = t.tenant_id
	LEFT JOIN workspaces w ON w.id = t.workspace_id AND w.tenant_id = t.tenant_id AND w.deleted_at IS NULL
	LEFT JOIN memberships m ON m.workspace_id = t.workspace_id AND m.user_id = t.user_id AND m.tenant_id = t.tenant_id
	LEFT JOIN users u ON u.id = t.user_id AND u.tenant_id = t.tenant_id AND u.deleted_at IS NULL
	LEFT JOIN service_accounts a ON a.id = t.service_account_id AND a.tenant_id = t.tenant_id AND a.workspace_id = t.workspace_id
	LEFT JOIN scim_connector_tokens ct ON ct.token_id = t.id
	LEFT JOIN scim_connectors c ON c.id = ct.connector_id AND c.tenant_id = t.tenant_id AND c.deleted_at IS NULL
	LEFT JOIN extraction_settings xw ON xw.subject_kind = 'workspace' AND xw.subject_id = t.workspace_id AND xw.tenant_id = t.tenant_id
	LEFT JOIN extraction_settings xu ON xu.subject_kind = 'user' AND xu.subject_id = t.user_id AND xu.tenant_id = t.tenant_id
	LEFT JOIN extraction_settings xt ON xt.subject_kind = 'token' AND xt.subject_id = t.id AND xt.tenant_id = t.tenant_id
	LEFT JOIN exceptions x ON x.id = t.exception_id AND x.tenant_id = t.tenant_id
	LEFT JOIN exceptions o ON o.id = w.exception_id AND o.tenant_id = w.tenant_id`

// standingRow is what of the row is not the standing's as it is.
type standingRow struct {
	kind                        tenure.TokenKind
	direct                      tenure.Role
	rank                        int // of the role through groups
	account                     string
	accountEnds, orphaned       time.Time
	accountEnded, spaceThere    bool
	scopes, models, spaceModels string
	connector, networks         string
	outage                      int64 // seconds
	exception, spaceException   held
	policy                      struct{ extra, grace, root, bestEffort, extraction, excerpts string }
	extraction                  struct{ space, model, user, token string }
}

func scanTokenStanding(row scanner) (*tenure.Standing, error) {
	var s tenure.Standing
	var r standingRow
	err := row.Scan(append([]any{
		&s.Token, &s.Line, &r.kind, &s.Tenant, &s.TenantActive, &s.Workspace, &s.User, &s.UserName,
		&s.UserActive, &s.Role, &r.direct, &r.rank,
		&s.ServiceAccount, &s.AccountActive, &r.account, into(&r.accountEnds), into(&r.orphaned), &r.accountEnded,
		&s.Name, &r.scopes, &r.models, &r.spaceModels, &r.spaceThere, into(&s.ExpiresAt), into(&s.RotatedAt), &s.Ended,
		&s.Connector, &r.connector, &r.networks, &r.policy.extra, &r.policy.grace, &r.policy.root,
		&r.outage, &r.policy.bestEffort, &r.policy.extraction, &r.policy.excerpts,
		&r.extraction.space, &r.extraction.model, &r.extraction.user, &r.extraction.token, &r.exception.id,
	}, append(append(r.exception.dest(), &r.spaceException.id), r.spaceException.dest()...)...)...)
	if err != nil {
		return nil, err
	}
	s.WorkspaceRole = higher(r.direct, roleOfRank(r.rank))
	s.Models, s.SpaceModels, s.Networks = tenure.StoredModels(r.models), tenure.StoredModels(r.spaceModels), parseNetworks(r.networks)
	s.Scopes, _ = tenure.ParseScopes(r.scopes) // a name that is not known grants nothing
	open, _ := tenure.ParseScopes(r.policy.extra)
	s.Scopes &^= tenure.ExtraScopes &^ open
	if r.outage != 0 && (r.kind == tenure.KindPAT || r.kind == tenure.KindService) {
		r.goesOn(&s)
	}
	r.bound(&s)
	switch r.kind {
	case tenure.KindPAT:
		s.Kind, s.Ended = tenure.PAT, s.Ended || !r.spaceThere
		s.Scopes &= tenure.PersonalScopes
		s.Extract = r.extracting()
	case tenure.KindService:
		r.service(&s)
	case tenure.KindSCIM:
		s.Kind, s.Name = tenure.ConnectorToken, r.connector
		s.Ended = s.Ended || s.Connector == "" // a connector's token is nothing without it
	case tenure.KindRoot:
		s.Kind, s.Role = tenure.RootToken, tenure.SuperAdmin
		s.Ended = s.Ended || r.policy.root == "off"
	}
	return &s, nil
}

// extracting is the least of what the tenant, the workspace, the person and the token say
// of drawing out beliefs. A word that is none is off.
func (r *standingRow) extracting() tenure.Extracting {
	said := func(word string, unsaid tenure.Extraction) tenure.Extraction {
		return tenure.Extraction(cmp.Or(word, string(unsaid)))
	}
	x := r.extraction
	when := said(r.policy.extraction, tenure.ExtractNever).Narrow(said(x.space, tenure.ExtractAlways)).
		Narrow(said(x.user, tenure.ExtractAsked)).Narrow(said(x.token, tenure.ExtractAlways))
	if when == tenure.ExtractNever || x.model == "" {
		return tenure.Extracting{When: tenure.ExtractNever}
	}
	return tenure.Extracting{When: when, Model: x.model, Quote: r.policy.excerpts == "kept"}
}

// goesOn fills in how long a token goes on without the database: while the exception of
// its workspace is in force, for that.
func (r *standingRow) goesOn(s *tenure.Standing) {
	from, until, ok := r.spaceException.lets(tenure.Deviation{Tenant: s.Tenant, Workspace: s.Workspace}, tenure.RuleBestEffort)
	if grace := tenure.OutageGrace(seconds(r.outage), graceMax(r.policy.bestEffort)); ok && grace > 0 {
		s.Outage = tenure.Outage{Grace: grace, By: r.spaceException.id, From: from, Until: until}
	}
}

// bound fills in what holds for a token that hangs on an exception: it is good while that
// is in force, for it. One that is not there, or is of something else, lets nothing live.
func (r *standingRow) bound(s *tenure.Standing) {
	if r.exception.id == "" {
		return
	}
	of := tenure.Deviation{Tenant: s.Tenant, Workspace: s.Workspace, User: s.User, Account: s.ServiceAccount}
	from, until, ok := r.exception.lets(of, tenure.RuleTokenLifetime, tenure.RuleTokenExpires)
	if !ok {
		s.Ended = true
		return
	}
	s.NotBefore, s.ExpiresAt = from, earlier(s.ExpiresAt, until)
}

// service fills in what holds for a token of a service account: it ends with the
// account, and an account without an owner ends when the tenant's grace does.
func (r standingRow) service(s *tenure.Standing) {
	s.Kind, s.Name = tenure.ServiceToken, r.account+"/"+s.Name
	s.Ended = s.Ended || r.accountEnded || !r.spaceThere
	s.ExpiresAt = earlier(s.ExpiresAt, r.accountEnds)
	s.ExpiresAt = earlier(s.ExpiresAt, graceEnds(r.orphaned, r.policy.grace))
}

// graceEnds is when an account stops whose owner left; zero for one that has an
// owner. A value of the policy that cannot be read is the default.
func graceEnds(orphaned time.Time, policy string) time.Time {
	if orphaned.IsZero() {
		return time.Time{}
	}
	p := tenure.DefaultPolicy()
	if policy != "" {
		_ = p.Set("orphan_grace", policy)
	}
	return orphaned.Add(p.OrphanGrace)
}

// earlier is the first of two instants; a zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// higher is the higher of two roles of a workspace; an empty one is below all.
func higher(a, b tenure.Role) tenure.Role {
	for _, r := range tenure.WorkspaceRoles {
		if a == r || b == r {
			return r
		}
	}
	return ""
}

// roleOfRank is the role behind a rank of the view workspace_roles; 0 is none.
func roleOfRank(rank int) tenure.Role {
	if rank < 1 || rank > len(tenure.WorkspaceRoles) {
		return ""
	}
	return tenure.WorkspaceRoles[rank-1]
}

// TokenStanding reads what is known of the token with this digest: one indexed
// read. NotFound: there is none.
func (r reads) TokenStanding(ctx context.Context, d tenure.Digest) (*tenure.Standing, error) {
	s, err := one(quick(ctx), r.run, scanTokenStanding, standingColumns+` WHERE t.token_hash = $1`, d.String())
	if err == nil {
		s.Digest = d
	}
	return s, err
}

// TokenDigest gives the digest of a token by its id. NotFound: the tenant has none such.
func (r reads) TokenDigest(ctx context.Context, tenant tenure.TenantID, id tenure.TokenID) (tenure.Digest, error) {
	var d tenure.Digest
	text, err := one(ctx, r.run, scalar[string], `SELECT token_hash FROM api_tokens WHERE tenant_id = $1 AND id = $2`, tenant, id)
	if err != nil {
		return d, err
	}
	if n, err := hex.Decode(d[:], []byte(text)); err != nil || n != len(d) {
		return d, tenure.ErrNotFound // a hand wrote it: nobody presents it
	}
	return d, nil
}
