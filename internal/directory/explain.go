package directory

import (
	"context"
	"fmt"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

// Question asks whether somebody may do something, now.
type Question struct {
	User       string // userName or id
	Action     tenure.Action
	Workspace  string // id or name; "" is none, or, where it is about personal access tokens, "default"
	Credential string // "session", "asserted_identity" or "pat"; "" is the one that the action is for
}

// Explanation is the answer, and by which rule.
type Explanation struct {
	Allowed       bool
	Why           string
	Action        tenure.Action
	What          string // the action in words
	User          tenure.User
	Workspace     tenure.Workspace // zero: none was asked about
	WorkspaceRole tenure.Role
	Credential    tenure.CredentialKind
	Fresh         access.Freshness // what is asked of a session beside
}

// Explain judges for somebody else as their request would be judged by the table
// and the tenant's policy, with a session that was opened just now, or with a
// personal access token that has every scope which the policy opens. It knows no
// thing in particular: access.Above and access.Owner may still refuse one. NotFound: no such person or
// workspace in the tenant. Invalid: no such action or credential.
func (d *Directory) Explain(ctx context.Context, by tenure.Principal, q Question) (Explanation, error) {
	var out Explanation
	if err := access.Check(by, tenure.ReadAccess); err != nil {
		return out, err
	}
	row, ok := access.RowOf(q.Action)
	if !ok {
		return out, tenure.InvalidField("action", "there is no action %q; the table of access lists them", tenure.Shown(string(q.Action)))
	}
	out.Action, out.What, out.Fresh = row.Action, row.What, row.Fresh
	var err error
	if out.Credential, err = credentialOf(q.Credential, row); err != nil {
		return out, err
	}
	if out.User, err = d.person(ctx, by, q.User); err != nil {
		return out, err
	}
	if ofToken := q.Action == tenure.MintToken || q.Action == tenure.RotateToken; q.Workspace == "" && (out.Credential == tenure.PAT || ofToken) {
		q.Workspace = string(tenure.DefaultWorkspace)
	}
	if q.Workspace != "" {
		if out.Workspace, err = d.DB.Workspace(ctx, by.Tenant(), q.Workspace); err != nil {
			return out, &tenure.Error{Kind: tenure.NotFound, Code: "workspace_not_found", Msg: fmt.Sprintf("there is no workspace %q", tenure.Shown(q.Workspace)), Err: err}
		}
		if out.WorkspaceRole, err = d.DB.RoleIn(ctx, by.Tenant(), out.Workspace.ID, out.User.ID); err != nil {
			return out, err
		}
	}
	why, err := d.judge(ctx, out)
	out.Allowed, out.Why = err == nil, why
	if err == nil {
		return out, nil
	}
	e := tenure.AsError(err)
	if e.Kind == tenure.Internal || e.Kind == tenure.Unavailable {
		return Explanation{}, err
	}
	out.Why = e.Msg
	if len(row.Within) > 0 && !row.Personal && out.Workspace.ID == "" {
		out.Why += "; in a workspace a role there might: name one"
	}
	return out, nil
}

// judge asks the one liveness check and the table, as a request would.
func (d *Directory) judge(ctx context.Context, x Explanation) (string, error) {
	s, err := d.DB.UserStanding(ctx, x.User.Tenant, x.User.ID)
	if err != nil {
		return "", err
	}
	policy, err := d.DB.Policy(ctx, x.User.Tenant)
	if err != nil {
		return "", err
	}
	now := d.DB.Now()
	s.Kind, s.Factor.Has = x.Credential, true // as after the sign-in that the policy asks for
	switch x.Credential {                     //nolint:exhaustive // credentialOf gives these
	case tenure.BrowserSession:
		s.Session, s.AuthAt, s.SeenAt = "asked", now, now
	case tenure.PAT:
		if x.User.Active && x.WorkspaceRole == "" {
			return "", &tenure.Error{Kind: tenure.Forbidden, Code: "insufficient_scope", Msg: fmt.Sprintf("without a role in the workspace %q there is no token in it", x.Workspace.Name)}
		}
		s.Scopes = tenure.DataPlane | policy.ExtraScopes
		s.Workspace, s.WorkspaceRole = x.Workspace.ID, x.WorkspaceRole
	}
	p, err := s.Admit(now, d.Live.Generation())
	switch {
	case err != nil && !x.User.Active:
		return "", tenure.ErrDeactivated
	case err != nil:
		return "", err
	}
	return access.ByPolicy(p, x.Action, x.WorkspaceRole, policy)
}

// credentialOf reads the kind of credential that a question is about.
func credentialOf(text string, row access.Row) (tenure.CredentialKind, error) {
	switch text {
	case "":
		if row.Personal {
			return tenure.PAT, nil
		}
		return tenure.BrowserSession, nil
	case tenure.BrowserSession.String():
		return tenure.BrowserSession, nil
	case tenure.AssertedIdentity.String():
		return tenure.AssertedIdentity, nil
	case tenure.PAT.String():
		return tenure.PAT, nil
	}
	return 0, tenure.InvalidField("credential", "people have the credentials session, asserted_identity and pat; %q is none of them", tenure.Shown(text))
}

// person reads a person by userName or id.
func (d *Directory) person(ctx context.Context, by tenure.Principal, nameOrID string) (tenure.User, error) {
	u, err := d.DB.UserByName(ctx, by.Tenant(), nameOrID)
	if tenure.IsKind(err, tenure.NotFound) {
		u, err = d.DB.User(ctx, by.Tenant(), tenure.UserID(nameOrID))
	}
	if tenure.IsKind(err, tenure.NotFound) {
		err = &tenure.Error{Kind: tenure.NotFound, Code: "user_not_found", Msg: fmt.Sprintf("there is no user %q", tenure.Shown(nameOrID))}
	}
	return u, err
}
