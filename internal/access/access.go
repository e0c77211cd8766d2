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
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Known reports whether the action has a rule. A route whose action has none
// must not be mounted.
func Known(a tenure.Action) bool {
	_, ok := rules[a]
	return ok || a == tenure.Public || a == tenure.RevokeHeld
}

// Check answers nil when p may do a anywhere in its own tenant, and Forbidden,
// with the reason, when it may not.
func Check(p tenure.Principal, a tenure.Action) error {
	_, err := judge(p, a, "")
	return err
}

// CheckIn is Check for what lies in one workspace, in which p has the role
// within, or none.
func CheckIn(p tenure.Principal, a tenure.Action, within tenure.Role) error {
	_, err := judge(p, a, within)
	return err
}

// Admits is what a route asks before it is known in which workspace the thing
// lies: whether there is any in which p might do a. The act asks CheckIn.
func Admits(p tenure.Principal, a tenure.Action) error {
	within := tenure.Role("")
	if in := rules[a].within; len(in) > 0 {
		within = in[0]
	}
	return CheckIn(p, a, within)
}

// Explain judges as CheckIn does, and says by which rule.
func Explain(p tenure.Principal, a tenure.Action, within tenure.Role) (string, error) {
	why, err := judge(p, a, within)
	return why.String(), err
}

// grounds are why somebody may: a scope, a role, or what text says. Most never ask.
type grounds struct {
	scope tenure.Scopes
	role  tenure.Role
	text  string
}

func (g grounds) String() string {
	switch {
	case g.scope != 0:
		return "the scope " + g.scope.String() + " may"
	case g.role != "":
		return "the role " + string(g.role) + " " + g.text
	}
	return g.text
}

func judge(p tenure.Principal, a tenure.Action, within tenure.Role) (grounds, error) {
	r, ok := rules[a]
	if !ok {
		return grounds{}, refuse("no rule opens the action %s", a)
	}
	s := p.Standing()
	if r.home && s.Tenant != tenure.DefaultTenant {
		return grounds{}, refuse("%s is about the whole installation: only the tenant %s may", a, tenure.DefaultTenant)
	}
	switch s.Kind {
	case tenure.PAT, tenure.ServiceToken:
		return r.token(s, a, within)
	case tenure.BrowserSession, tenure.AssertedIdentity:
		why, err := r.person(s, a, within)
		if err == nil && s.Factor.Missing() && r.administers(s, a, within) {
			err = s.ErrMFA()
		}
		if err == nil {
			err = r.fresh.check(p)
		}
		return why, err
	case tenure.ConnectorToken:
		if r.scim || r.everyone {
			return grounds{text: "SCIM connectors may provision"}, nil
		}
		return grounds{}, refuse("a SCIM connector may provision and nothing else")
	case tenure.RootToken:
		// In single mode the root token carries the scopes of the data plane.
		if r.noRoot || r.scope&tenure.PersonalScopes != 0 && !s.Scopes.Has(r.scope) {
			return grounds{}, refuse("the root token does not permit %s%s", a, r.closed(s))
		}
		return grounds{text: "the root token may"}, nil
	case tenure.Operator:
		return grounds{text: "whoever runs commands on the machine that holds the data may"}, nil
	}
	return grounds{}, tenure.ErrForbidden
}

// person judges somebody signed in by their roles.
func (r rule) person(s *tenure.Standing, a tenure.Action, within tenure.Role) (grounds, error) {
	switch {
	case r.everyone:
		return grounds{text: "everybody signed in may"}, nil
	case slices.Contains(r.roles, s.Role):
		return grounds{role: s.Role, text: "in the tenant may"}, nil
	case s.Role == tenure.Auditor && slices.Contains(r.within, within):
		return grounds{}, refuse("an auditor reads everything and changes nothing: their role in the workspace does not permit %s", a)
	case within != "" && s.Role != "" && slices.Contains(r.within, within):
		return grounds{role: within, text: "in the workspace may"}, nil
	case r.scope&tenure.PersonalScopes != 0:
		return grounds{}, refuse("the model routes take a personal access token, not a sign-in")
	case len(r.roles) == 0:
		return grounds{}, refuse("no role permits %s", a)
	case within != "":
		return grounds{}, refuse("neither the role %s nor, in the workspace, %s permits %s", s.Role, within, a)
	}
	return grounds{}, refuse("the role %s does not permit %s", s.Role, a)
}

// administers reports whether what somebody signed in may do is administration: it asks
// for freshness, or their role in the tenant alone lets them read it. To ask for an
// exception for oneself is not: it is the way out for whom the policy mfa keeps from all
// else.
func (r rule) administers(s *tenure.Standing, a tenure.Action, within tenure.Role) bool {
	switch {
	case r.everyone, a == tenure.AskException:
		return false
	case r.fresh > AnyTime:
		return true
	}
	return slices.Contains(readers, s.Role) && !slices.Contains(r.roles, tenure.Member) && !slices.Contains(r.within, within)
}

// token judges a token by its scopes, and by what its owner may do now.
func (r rule) token(s *tenure.Standing, a tenure.Action, within tenure.Role) (grounds, error) {
	switch {
	case r.scope == 0 || s.Kind == tenure.PAT && r.scope&tenure.PersonalScopes == 0:
		return grounds{}, refuse("an access token opens the model routes and nothing else")
	case !s.Scopes.Has(r.scope):
		return grounds{}, &tenure.Error{
			Kind: tenure.Forbidden, Code: "insufficient_scope", Field: r.scope.String(),
			Msg: fmt.Sprintf("this token lacks the scope %q%s", r.scope, r.closed(s)),
		}
	case s.Kind == tenure.PAT && !slices.Contains(workspaceUsers, s.WorkspaceRole):
		return grounds{}, refuse("the role %s in the token's workspace does not permit %s", s.WorkspaceRole, a)
	case s.Kind == tenure.ServiceToken && len(r.within) > 0 && !slices.Contains(r.within, within):
		return grounds{}, refuse("the service account's token permits %s in the account's own workspace only", a)
	}
	return grounds{scope: r.scope}, nil
}

// closed adds what would help where a token lacks a scope that may not be open at
// all in its tenant.
func (r rule) closed(s *tenure.Standing) string {
	if r.scope&tenure.ExtraScopes == 0 || s.Workspace == "" {
		return ""
	}
	return "; it is off unless an administrator opens it by the policy extra_scopes"
}

// check asks of somebody signed in to have shown recently who they are.
func (f Freshness) check(p tenure.Principal) error {
	s := p.Standing()
	switch {
	case s.Kind == tenure.AssertedIdentity && f >= Recent && !s.AuthAt.IsZero() && p.At().Sub(s.AuthAt) > s.Limits.Reauth:
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "reauth_required",
			Msg: fmt.Sprintf("this needs a sign-in of the last %s, and the proxy's assertion tells of an older one; sign in at the proxy again", last(s.Limits.Reauth)),
		}
	case s.Kind != tenure.BrowserSession:
		return nil // shown with this very request
	case f >= NotIdle && (s.Lapsed || p.At().Sub(s.SeenAt) > s.Limits.AdminIdle):
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "reauth_required",
			Msg: fmt.Sprintf("this session was idle for more than %s; sign in again to administer%s", minutes(s.Limits.AdminIdle), orProxy(s)),
		}
	case f >= Recent && p.At().Sub(s.AuthAt) > s.Limits.Reauth:
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "reauth_required",
			Msg: fmt.Sprintf("this needs a sign-in of the last %s; sign in again%s", last(s.Limits.Reauth), orProxy(s)),
		}
	}
	return nil
}

// AfterSignIn reports whether what was refused could be done after signing in anew: with
// a sign-in that is fresh, or that has a second factor.
func AfterSignIn(err error) bool {
	code := tenure.AsError(err).Code
	return code == "reauth_required" || code == "mfa_required"
}

// orProxy adds the other way to be fresh, of a session that a proxy opened.
func orProxy(s *tenure.Standing) string {
	if s.Via != "proxy" {
		return ""
	}
	return ", or let the proxy assert you with the request"
}

// last says a limit in words that go after "the last".
func last(d time.Duration) string { return strings.TrimPrefix(minutes(d), "one ") }

// minutes says a limit in words, where it is one of whole minutes.
func minutes(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "one minute"
	case d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return tenure.FormatSpan(d)
}

// Owner answers nil when p is the owner, or may do the wider action on what
// belongs to others. To everybody else the thing does not exist: NotFound.
func Owner(p tenure.Principal, owner tenure.UserID, wider tenure.Action) error {
	if owner != "" && p.User() == owner {
		return nil
	}
	err := Check(p, wider)
	if err == nil || AfterSignIn(err) {
		return err
	}
	return tenure.ErrNotFound
}

// RoleIn is the role by which p is judged in a workspace: a person by the one that
// they have there; a service token, whose scopes narrow it, as its head in the
// workspace of its account, and by none in any other.
func RoleIn(p tenure.Principal, ws tenure.WorkspaceID, has tenure.Role) tenure.Role {
	switch {
	case p.Kind() != tenure.ServiceToken:
		return has
	case p.Workspace() == ws:
		return tenure.WorkspaceAdmin
	}
	return ""
}

// Within is CheckIn for a thing of a workspace: to somebody who has no role
// there and may not read it, the thing does not exist.
func Within(p tenure.Principal, a, read tenure.Action, within tenure.Role) error {
	err := CheckIn(p, a, within)
	if err == nil || AfterSignIn(err) {
		return err
	}
	if CheckIn(p, read, within) != nil {
		return tenure.ErrNotFound
	}
	return err
}

// LookAfter is Within for the service accounts of a workspace. The tenant's policy
// (minters) says which roles in a workspace look after its accounts: these stand
// where the table has workspace_admin, which else only reads.
func LookAfter(p tenure.Principal, a tenure.Action, within tenure.Role, minters []tenure.Role) error {
	named := slices.Contains(minters, within)
	if named {
		within = tenure.WorkspaceAdmin
	}
	err := Within(p, a, tenure.ReadAccount, within)
	reads := a == tenure.ReadAccount || a == tenure.ListAccounts
	if err == nil && !named && !reads && within == tenure.WorkspaceAdmin && Check(p, a) != nil {
		return refuse("the policy service_token_minters does not let the role %s look after service accounts", within)
	}
	return err
}

// Above answers Forbidden when somebody signed in, or a service token, would act
// on a person of a higher role than their own. The root token, connectors and the
// operator stand above all.
func Above(p tenure.Principal, role tenure.Role) error {
	switch p.Kind() {
	case tenure.BrowserSession, tenure.AssertedIdentity, tenure.ServiceToken:
		if role == tenure.SuperAdmin && p.Standing().Role != tenure.SuperAdmin {
			return refuse("only a super admin may act on a super admin")
		}
	}
	return nil
}

// Model reports whether the token and its workspace both allow a model: where they
// do not, there is no such model for its holder.
func Model(p tenure.Principal, provider, model string) bool {
	s := p.Standing()
	if s.Kind == tenure.RootToken {
		return true
	}
	return s.Models.Allow(provider, model) && s.SpaceModels.Allow(provider, model)
}

func refuse(format string, args ...any) error {
	return &tenure.Error{Kind: tenure.Forbidden, Code: "insufficient_scope", Msg: fmt.Sprintf(format, args...)}
}
