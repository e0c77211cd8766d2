package token

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Spec says what token to mint.
type Spec struct {
	Name      string
	Workspace string             // id or name; "" is the default workspace. A service token is of its account's
	Scopes    []string           // nil: what the policy gives a personal token; a service token needs them said
	Models    []string           // patterns that narrow what the workspace allows; nil: all of it
	Networks  []string           // from where it is good; nil: from anywhere
	Life      time.Duration      // 0: what the policy gives
	Never     bool               // it has no end of its own, by an exception
	Exception tenure.ExceptionID // that lets it live for longer than the policy does, or without an end
	For       string             // userName of the owner; only an operator may name another person
	Reason    string             // for whoever decides on scopes of administration
}

// terms are a spec that has been read.
type terms struct {
	name     string
	scopes   tenure.Scopes // 0: none were asked for
	models   tenure.Models
	networks []netip.Prefix
	life     time.Duration      // 0: none was asked for
	never    bool               // it has no end of its own
	by       tenure.ExceptionID // the exception that lets it live for so long, or empty
}

// read checks what can be checked without the tenant's policy. Empty lists are
// refused: they would permit nothing, and are never meant so.
func (s *Spec) read() (terms, error) {
	t := terms{name: s.Name, models: tenure.Models{tenure.AnyModel}, life: s.Life, never: s.Never, by: s.Exception}
	if err := tenure.CheckName(s.Name, tenure.MaxTokenName, "VS Code on my laptop"); err != nil {
		return t, err
	}
	if s.Life != 0 && s.Life < time.Minute {
		return t, tenure.InvalidField("expires_in", "the lifetime must be one minute at least")
	}
	if s.Scopes != nil && len(s.Scopes) == 0 {
		return t, tenure.InvalidField("scopes", "an empty list permits nothing; leave scopes out for what the policy gives a personal token")
	}
	for _, name := range s.Scopes {
		one, err := tenure.ParseScopes(name)
		if err != nil {
			return t, err
		}
		if one == 0 {
			return t, tenure.InvalidField("scopes", "an empty scope; leave the list out for what the policy gives a personal token")
		}
		t.scopes |= one
	}
	var err error
	if s.Models != nil {
		if t.models, err = tenure.ParseModels(s.Models); err != nil {
			return t, err
		}
	}
	if s.Networks != nil && len(s.Networks) == 0 {
		return t, tenure.InvalidField("cidrs", "an empty list lets nobody in; leave cidrs out for a token that is good from anywhere")
	}
	t.networks, err = tenure.ParseNetworks(s.Networks)
	return t, err
}

// allowed answers Invalid when the policy does not open a scope, or not such a
// life. It fills in the life when none was asked for.
func (t *terms) allowed(p tenure.Policy, usual, longest time.Duration, key string) error {
	if closed := t.scopes & tenure.ExtraScopes &^ p.ExtraScopes; closed != 0 {
		return tenure.InvalidField("scopes", "the tenant's policy extra_scopes does not open %s", strings.Join(closed.Names(), ", "))
	}
	if t.life == 0 && t.by == "" {
		t.life = min(usual, longest)
	}
	switch {
	case t.by != "" && !t.never && t.life != 0 && t.life <= longest:
		return tenure.InvalidField("exception", "a life of %s needs no exception: the tenant's policy %s lets every token have it", tenure.FormatSpan(t.life), key)
	case t.by != "":
	case t.never:
		return tenure.InvalidField("expires_in", "a token without an end needs an exception of the rule %s; ask for one, and name it", tenure.RuleTokenExpires)
	case t.life > longest:
		return tenure.InvalidField("expires_in", "the lifetime must be between one minute and %s, by the tenant's policy %s; longer needs an exception of the rule %s",
			tenure.FormatSpan(longest), key, tenure.RuleTokenLifetime)
	}
	return nil
}

// excepted answers Invalid when the exception that the terms name does not let such a
// token of that owner live so long, and why not. It fills in the life that the exception
// lets it have when none was asked for.
func (t *terms) excepted(ctx context.Context, tx *store.Tx, d tenure.Deviation) error {
	if t.by == "" {
		return nil
	}
	x, err := tx.Exception(ctx, d.Tenant, t.by)
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.InvalidField("exception", "there is no exception %s", tenure.Shown(string(t.by)))
	}
	if err != nil {
		return err
	}
	rule := tenure.RuleTokenLifetime
	if t.never = t.never || t.life == 0 && x.Rule == tenure.RuleTokenExpires; t.never {
		rule = tenure.RuleTokenExpires
	}
	if err := x.Opens(rule, d, tx.Now()); err != nil {
		return err
	}
	left := x.End().Sub(tx.Now())
	if t.life == 0 {
		t.life = left
	}
	if !t.never && t.life > left {
		return tenure.InvalidField("expires_in", "the exception %s ends on %s: ask for a life until then at most, or for an exception of the rule %s",
			x.ID, x.End().UTC().Format(time.RFC3339), tenure.RuleTokenExpires)
	}
	return nil
}

// personal fills in what the policy gives a personal token.
func (t *terms) personal(p tenure.Policy) error {
	if admin := t.scopes &^ tenure.PersonalScopes; admin != 0 {
		return tenure.InvalidField("scopes", "%s: a personal token cannot carry that; only a token of a service account does, and a super admin grants it", strings.Join(admin.Names(), ", "))
	}
	if t.scopes == 0 {
		t.scopes = p.PATScopes &^ (tenure.ExtraScopes &^ p.ExtraScopes)
	}
	if t.scopes == 0 {
		return tenure.InvalidField("scopes", "the tenant's policy pat_default_scopes gives none; say which are needed")
	}
	return t.allowed(p, p.PATLife, p.PATMaxLife, "pat_max_lifetime")
}

// row is a token by these terms, made now.
func (t terms) row(by tenure.Principal, now time.Time, kind tenure.TokenKind, secret tenure.Secret) tenure.Token {
	row := newRow(now, kind, t.name, secret)
	row.Tenant, row.CreatedBy, row.MadeBy, row.Family = by.Tenant(), by.Label(), by.User(), row.ID
	row.Scopes, row.Models, row.Networks, row.ExpiresAt = t.scopes, t.models, t.networks, now.Add(t.life)
	if row.Exception = t.by; t.never {
		row.ExpiresAt = time.Time{}
	}
	return row
}

// Mint makes a personal access token for the person who asks. The secret is
// returned once and is not kept. Invalid: the spec is wrong, or more than the
// tenant's policy allows, and how. Forbidden: the policy lets the person's role
// in the workspace make none.
func (t *Tokens) Mint(ctx context.Context, by tenure.Principal, spec Spec) (tenure.Token, tenure.Secret, error) {
	var row tenure.Token
	if err := access.Check(by, tenure.MintToken); err != nil {
		return row, tenure.Secret{}, err
	}
	asked, err := spec.read()
	if err != nil {
		return row, tenure.Secret{}, err
	}
	secret := tenure.NewToken(tenure.KindPAT)
	err = t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		asked := asked // it may run twice
		owner, err := ownerOf(ctx, tx, by, spec.For)
		if err != nil {
			return err
		}
		policy, err := tx.Policy(ctx, by.Tenant())
		if err != nil {
			return err
		}
		ws, role, err := workspaceFor(ctx, tx, owner, spec.Workspace)
		if err != nil {
			return err
		}
		if err := access.MintsPATs(policy, role); err != nil {
			return err
		}
		if err := asked.personal(policy); err != nil {
			return err
		}
		if err := asked.excepted(ctx, tx, tenure.Deviation{Tenant: by.Tenant(), Workspace: ws.ID, User: owner.ID}); err != nil {
			return err
		}
		row = asked.row(by, tx.Now(), tenure.KindPAT, secret)
		row.Workspace, row.User, row.UserName = ws.ID, owner.ID, owner.UserName
		if err := tx.InsertToken(ctx, row, tenure.DigestOf(secret.Reveal())); err != nil {
			return err
		}
		return tx.Append(ctx, audit.TokenMinted(by, row))
	})
	if err != nil {
		return tenure.Token{}, tenure.Secret{}, fmt.Errorf("mint token: %w", err)
	}
	return row, secret, nil
}

// ownerOf gives the person whom the token is for: the one who asks, or the one
// whom an operator names.
func ownerOf(ctx context.Context, tx *store.Tx, by tenure.Principal, name string) (tenure.User, error) {
	var u tenure.User
	var err error
	switch {
	case by.Kind() == tenure.Operator && name != "":
		u, err = tx.UserByName(ctx, by.Tenant(), name)
		if tenure.IsKind(err, tenure.NotFound) {
			return u, &tenure.Error{
				Kind: tenure.NotFound, Code: "user_not_found", Field: "user",
				Msg: fmt.Sprintf("no user named %q; people appear when they first sign in or when SCIM provisions them", tenure.Shown(name)),
			}
		}
	case by.User() != "" && name == "":
		u, err = tx.User(ctx, by.Tenant(), by.User())
	default:
		return u, tenure.InvalidField("user", "a personal token needs a person")
	}
	if err == nil && !u.Active {
		err = tenure.ErrDeactivated
	}
	return u, err
}

// workspaceFor gives a workspace that the owner belongs to, and their role there.
func workspaceFor(ctx context.Context, tx *store.Tx, owner tenure.User, idOrName string) (tenure.Workspace, tenure.Role, error) {
	if idOrName == "" {
		idOrName = string(tenure.DefaultWorkspace)
	}
	var role tenure.Role
	ws, err := tx.Workspace(ctx, owner.Tenant, idOrName)
	if err == nil {
		if role, err = tx.RoleIn(ctx, owner.Tenant, ws.ID, owner.ID); err == nil && role == "" {
			err = tenure.ErrNotFound
		}
	}
	if tenure.IsKind(err, tenure.NotFound) {
		err = tenure.InvalidField("workspace", "%s is a member of no workspace named %q", owner.UserName, tenure.Shown(idOrName))
	}
	return ws, role, err
}
