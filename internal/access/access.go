// Package access says who may do what: one table of rules, and pure functions
// over it. It owns the answer to "may this principal do this action", and the
// reason of that answer.
//
// It does no I/O, establishes no identity and never asks whether a credential
// is alive: a Principal is, or it would not exist.
package access

import (
	"fmt"
	"slices"

	"github.com/tenure-gateway/tenure"
)

// rule says who may do one action.
type rule struct {
	// scope opens the action to tokens of the data plane that carry it, if the
	// owner's role in the token's workspace is one of workspaceRoles.
	scope tenure.Scopes
	// roles opens it to people signed in (by session or asserted identity) with
	// one of these roles in the tenant.
	roles []tenure.Role
	// scim opens it to SCIM connectors.
	scim bool
	// noRoot closes it to the root token, which may do all else.
	noRoot bool
	// everyone opens it to every principal that is not a token of the data plane.
	everyone bool
}

// Sets of roles that recur in the table. They are never modified.
var (
	anyone  = []tenure.Role{tenure.SuperAdmin, tenure.Admin, tenure.Auditor, tenure.Member}
	readers = []tenure.Role{tenure.SuperAdmin, tenure.Admin, tenure.Auditor}
	admins  = []tenure.Role{tenure.SuperAdmin, tenure.Admin}
	supers  = []tenure.Role{tenure.SuperAdmin}
	// users of models in a workspace; a viewer looks only.
	workspaceUsers = []tenure.Role{tenure.WorkspaceAdmin, tenure.Member}
)

// rules is the whole truth.
var rules = map[tenure.Action]rule{
	tenure.Unrouted: {everyone: true},

	tenure.ChatCompletions: {scope: tenure.ScopeChat},
	tenure.CreateMessage:   {scope: tenure.ScopeMessages},
	tenure.CountTokens:     {scope: tenure.ScopeMessages},
	tenure.ListModels:      {scope: tenure.ScopeModels},
	tenure.ReadModel:       {scope: tenure.ScopeModels},

	tenure.ReadSelf:    {roles: anyone},
	tenure.ListTokens:  {roles: anyone},
	tenure.MintToken:   {roles: anyone, noRoot: true}, // a personal token needs a person
	tenure.RevokeToken: {roles: anyone},
	tenure.ListSession: {roles: anyone},
	tenure.EndSession:  {roles: anyone},
	tenure.ViewPages:   {roles: anyone},

	tenure.ListAllTokens:   {roles: readers},
	tenure.RevokeAnyToken:  {roles: admins},
	tenure.ListUsers:       {roles: readers},
	tenure.ReadUser:        {roles: readers},
	tenure.DeactivateUser:  {roles: admins},
	tenure.ReactivateUser:  {roles: admins},
	tenure.RevokeAll:       {roles: admins},
	tenure.ListProviders:   {roles: readers},
	tenure.CreateProvider:  {roles: supers},
	tenure.DeleteProvider:  {roles: supers},
	tenure.RotateRoot:      {roles: supers},
	tenure.ListConnectors:  {roles: readers},
	tenure.ReadConnector:   {roles: readers},
	tenure.CreateConnector: {roles: supers},
	tenure.RotateConnector: {roles: supers},
	tenure.DeleteConnector: {roles: supers},
	tenure.ReadHealth:      {roles: readers},

	tenure.ReadSCIM:        {scim: true, noRoot: true},
	tenure.ProvisionUser:   {scim: true, noRoot: true},
	tenure.UpdateUser:      {scim: true, noRoot: true},
	tenure.DeprovisionUser: {scim: true, noRoot: true},
	tenure.CreateGroup:     {scim: true, noRoot: true},
	tenure.UpdateGroup:     {scim: true, noRoot: true},
	tenure.DeleteGroup:     {scim: true, noRoot: true},
	tenure.BulkSCIM:        {scim: true, noRoot: true}, // each operation in it is judged by its own action too
}

// Known reports whether the action has a rule. A route whose action has none
// must not be mounted.
func Known(a tenure.Action) bool {
	_, ok := rules[a]
	return ok || a == tenure.Public
}

// Check answers nil when p may do a in its own tenant, and Forbidden, with the
// reason, when it may not.
func Check(p tenure.Principal, a tenure.Action) error {
	r, ok := rules[a]
	if !ok {
		return refuse("no rule opens the action %s", a)
	}
	s := p.Standing()
	switch s.Kind {
	case tenure.PAT, tenure.ServiceToken:
		return r.checkToken(s, a)
	case tenure.BrowserSession, tenure.AssertedIdentity:
		if r.everyone || slices.Contains(r.roles, s.Role) {
			return nil
		}
		if r.scope != 0 {
			return refuse("the model routes take a personal access token, not a sign-in")
		}
		return refuse("the role %s does not permit %s", s.Role, a)
	case tenure.ConnectorToken:
		if r.scim || r.everyone {
			return nil
		}
		return refuse("a SCIM connector may provision and nothing else")
	case tenure.RootToken:
		// In single mode the root token carries the scopes of the data plane.
		if r.noRoot || !s.Scopes.Has(r.scope) {
			return refuse("the root token does not permit %s", a)
		}
		return nil
	case tenure.Operator:
		return nil
	}
	return tenure.ErrForbidden
}

func (r rule) checkToken(s *tenure.Standing, a tenure.Action) error {
	if r.scope == 0 {
		return refuse("an access token opens the model routes and nothing else")
	}
	if !s.Scopes.Has(r.scope) {
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "insufficient_scope", Field: r.scope.String(),
			Msg: fmt.Sprintf("this token lacks the scope %q", r.scope),
		}
	}
	if s.Kind == tenure.PAT && !slices.Contains(workspaceUsers, s.WorkspaceRole) {
		return refuse("the role %s in the token's workspace does not permit %s", s.WorkspaceRole, a)
	}
	return nil
}

// Owner answers nil when p is the owner, or may do the wider action on what
// belongs to others. To everybody else the thing does not exist: NotFound.
func Owner(p tenure.Principal, owner tenure.UserID, wider tenure.Action) error {
	if owner != "" && p.User() == owner {
		return nil
	}
	if Check(p, wider) == nil {
		return nil
	}
	return tenure.ErrNotFound
}

// Above answers Forbidden when somebody signed in would act on a person of a
// higher role than their own. Machines, and the root token, stand above all.
func Above(p tenure.Principal, role tenure.Role) error {
	switch p.Kind() {
	case tenure.BrowserSession, tenure.AssertedIdentity:
		if role == tenure.SuperAdmin && p.Standing().Role != tenure.SuperAdmin {
			return refuse("only a super admin may act on a super admin")
		}
	}
	return nil
}

func refuse(format string, args ...any) error {
	return &tenure.Error{Kind: tenure.Forbidden, Code: "insufficient_scope", Msg: fmt.Sprintf(format, args...)}
}
