package token

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Minted is what came of asking for a service token: the token with its secret,
// which is shown once, or a request that waits for a second person.
type Minted struct {
	Token   tenure.Token
	Secret  tenure.Secret
	Request *tenure.TokenRequest // nil: the token was made
}

// MintService makes a token of a service account with exactly the scopes that
// are asked for. Those of administration need a super admin, and a second person
// unless the tenant's policy needs none: then a request is made, and no token.
// Invalid: the spec is wrong, or more than the policy allows. NotFound: no such
// account, or none of the asker's. Conflict: the account has come to its end.
func (t *Tokens) MintService(ctx context.Context, by tenure.Principal, id tenure.ServiceAccountID, spec Spec) (Minted, error) {
	if err := access.Admits(by, tenure.MintServiceToken); err != nil {
		return Minted{}, err
	}
	var out Minted
	secret := tenure.NewToken(tenure.KindService)
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = Minted{}
		a, policy, err := accountFor(ctx, tx, by, id)
		if err != nil {
			return err
		}
		asked, err := spec.forService()
		if err != nil {
			return err
		}
		if err := asked.allowed(policy, policy.ServiceLife, policy.ServiceMaxLife, "service_token_max_lifetime"); err != nil {
			return err
		}
		if err := asked.excepted(ctx, tx, tenure.Deviation{Tenant: a.Tenant, Workspace: a.Workspace, Account: a.ID}); err != nil {
			return err
		}
		grants, err := mayGrant(by, policy, asked.scopes)
		if err != nil {
			return err
		}
		if !grants && asked.by != "" {
			return tenure.InvalidField("exception", "a token with scopes of administration that waits for a second person takes no exception")
		}
		if !grants {
			if err := mayAsk(ctx, tx, by); err != nil {
				return err
			}
			out.Request, err = insertRequest(ctx, tx, by, a, asked, spec.Reason)
			return err
		}
		out.Token, out.Secret = asked.row(by, tx.Now(), tenure.KindService, secret), secret
		return insertService(ctx, tx, by, a, &out)
	})
	if err != nil {
		return Minted{}, fmt.Errorf("mint token of service account %s: %w", id, err)
	}
	return out, nil
}

// forService reads a spec of a service token.
func (s *Spec) forService() (terms, error) {
	asked, err := s.read()
	if err == nil && asked.scopes == 0 {
		err = tenure.InvalidField("scopes", "say exactly the scopes that the account needs, for example [\"chat\"]")
	}
	if err == nil {
		err = tenure.CheckText("reason", s.Reason)
	}
	return asked, err
}

// accountFor gives a service account that the asker looks after and that goes on,
// and the tenant's policy.
func accountFor(ctx context.Context, tx *store.Tx, by tenure.Principal, id tenure.ServiceAccountID) (tenure.ServiceAccount, tenure.Policy, error) {
	a, err := tx.Account(ctx, by.Tenant(), id, tx.Now())
	if err != nil {
		return a, tenure.Policy{}, err
	}
	if err := lookAfter(ctx, tx, by, tenure.MintServiceToken, a.Workspace); err != nil {
		return a, tenure.Policy{}, err
	}
	if s := a.State(tx.Now()); s == "ended" || s == "expired" {
		return a, tenure.Policy{}, &tenure.Error{Kind: tenure.Conflict, Code: "account_" + s, Msg: "this service account has come to its end; it gets no more tokens"}
	}
	policy, err := tx.Policy(ctx, by.Tenant())
	return a, policy, err
}

// Terms are what a token of a service account may be, by the tenant's policy.
type Terms struct {
	Longest  time.Duration
	Usual    time.Duration // when nothing is said
	Scopes   tenure.Scopes
	Approval bool // the asker needs a second person for scopes of administration
}

// ServiceTerms tells what MintService would allow the asker.
func (t *Tokens) ServiceTerms(ctx context.Context, by tenure.Principal, id tenure.ServiceAccountID) (Terms, error) {
	a, err := t.DB.Account(ctx, by.Tenant(), id, t.DB.Now())
	if err != nil {
		return Terms{}, err
	}
	if err := lookAfter(ctx, t.DB, by, tenure.MintServiceToken, a.Workspace); err != nil {
		return Terms{}, err
	}
	policy, err := t.DB.Policy(ctx, by.Tenant())
	if err != nil {
		return Terms{}, err
	}
	grants, err := mayGrant(by, policy, tenure.AdminScopes)
	return Terms{
		Longest: policy.ServiceMaxLife, Usual: min(policy.ServiceLife, policy.ServiceMaxLife), Approval: !grants && err == nil,
		Scopes: tenure.DataPlane | policy.ExtraScopes | tenure.AdminScopes,
	}, nil
}

// roles is what lookAfter asks: of the database, or in a transaction.
type roles interface {
	RoleAndMinters(context.Context, tenure.TenantID, tenure.WorkspaceID, tenure.UserID) (tenure.Role, []tenure.Role, error)
}

// lookAfter judges an act on the tokens of a workspace's service accounts by the
// asker's role there, as r reads it.
func lookAfter(ctx context.Context, r roles, by tenure.Principal, action tenure.Action, ws tenure.WorkspaceID) error {
	role, minters, err := r.RoleAndMinters(ctx, by.Tenant(), ws, by.User())
	if err != nil {
		return err
	}
	return access.LookAfter(by, action, access.RoleIn(by, ws, role), minters)
}

// mayGrant reports whether scopes may be given by the asker at once, or need a
// second person. An error says that the asker must sign in again to do so.
func mayGrant(by tenure.Principal, policy tenure.Policy, scopes tenure.Scopes) (bool, error) {
	if scopes&tenure.AdminScopes == 0 {
		return true, nil
	}
	if policy.AdminApproval {
		return false, nil
	}
	err := access.Check(by, tenure.GrantScopes)
	if err != nil && access.AfterSignIn(err) {
		return false, err
	}
	return err == nil, nil
}

// insertService stores a token of an account.
func insertService(ctx context.Context, tx *store.Tx, by tenure.Principal, a tenure.ServiceAccount, m *Minted) error {
	bound(&m.Token, a)
	if err := tx.InsertToken(ctx, m.Token, tenure.DigestOf(m.Secret.Reveal())); err != nil {
		return err
	}
	return tx.Append(ctx, audit.TokenMinted(by, m.Token))
}

// bound makes a token the account's. It ends with the account, if not before.
func bound(row *tenure.Token, a tenure.ServiceAccount) {
	row.Workspace, row.ServiceAccount, row.AccountName = a.Workspace, a.ID, a.Name
	if !a.ExpiresAt.IsZero() && (row.ExpiresAt.IsZero() || a.ExpiresAt.Before(row.ExpiresAt)) {
		row.ExpiresAt = a.ExpiresAt
	}
}

// OfAccount lists the tokens of a service account, newest first.
func (t *Tokens) OfAccount(ctx context.Context, by tenure.Principal, id tenure.ServiceAccountID, after tenure.TokenID, limit int) (Page, error) {
	a, err := t.DB.Account(ctx, by.Tenant(), id, t.DB.Now())
	if err != nil {
		return Page{}, err
	}
	if err := lookAfter(ctx, t.DB, by, tenure.ReadAccount, a.Workspace); err != nil {
		return Page{}, err
	}
	return t.page(ctx, store.TokenFilter{Tenant: by.Tenant(), Account: id, After: after, Limit: limit})
}
