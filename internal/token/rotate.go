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

var errNotRotatable = &tenure.Error{
	Kind: tenure.Conflict, Code: "token_not_live",
	Msg: "this token is revoked, expired or rotated already; rotate the newest of its line, or make a new one",
}

// Rotate gives a token a new secret, which is returned once and not kept: a new
// token of the same name, scopes, models, networks, workspace and owner, with a
// life as long as the old one's was, within the tenant's policy. The old one
// lives on for overlap (nil: as the policy says), and not longer than it would
// have; 0 ends it at once, with what it carries. A personal token is rotated by
// its owner, or an operator; a service token by who may mint it. One with scopes of
// administration is rotated by who collected it, unless the policy needs no second
// person, and the new one ends when the old one would have.
// Invalid: overlap is longer than MaxOverlap. NotFound: no such token, or not the
// asker's. Conflict: it does not live, or was rotated already; of two that try at
// once only one does.
func (t *Tokens) Rotate(ctx context.Context, by tenure.Principal, id tenure.TokenID, overlap *time.Duration) (tenure.Token, tenure.Secret, error) {
	if err := access.Check(by, tenure.RotateToken); err != nil {
		return tenure.Token{}, tenure.Secret{}, err
	}
	if overlap != nil && (*overlap < 0 || *overlap > tenure.MaxOverlap) {
		return tenure.Token{}, tenure.Secret{}, tenure.InvalidField("overlap", "the overlap must be between 0 and %s", tenure.FormatSpan(tenure.MaxOverlap))
	}
	start := time.Now()
	var r rotation
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if r, err = rotatable(ctx, tx, by, id); err != nil {
			return err
		}
		r.overlap = r.policy.RotationOverlap
		if overlap != nil {
			r.overlap = *overlap
		}
		return r.run(ctx, tx, by)
	})
	if err != nil {
		return tenure.Token{}, tenure.Secret{}, fmt.Errorf("rotate token %s: %w", id, err)
	}
	if r.overlap == 0 {
		t.cut(r.old, by.Label(), tenure.Ended{Tokens: 1}, start)
	} else {
		t.Live.Changed(ctx, store.Change{Kind: "token", ID: string(id)})
	}
	return r.made.Token, r.made.Secret, nil
}

// ParseOverlap reads how long the old secret lives on: "0", "90m", "7d". Invalid:
// it is no length of time.
func ParseOverlap(text string) (*time.Duration, error) {
	d, err := tenure.ParseLifetime(text)
	if err != nil {
		return nil, tenure.InvalidField("overlap", "overlap: %v", err)
	}
	return &d, nil
}

// rotation is one rotation that may be carried out.
type rotation struct {
	old     tenure.Token
	account tenure.ServiceAccount // of a service token
	policy  tenure.Policy
	overlap time.Duration
	made    Minted
}

// rotatable judges whether the asker may rotate a token.
func rotatable(ctx context.Context, tx *store.Tx, by tenure.Principal, id tenure.TokenID) (rotation, error) {
	var r rotation
	var err error
	if r.old, err = tx.Token(ctx, by.Tenant(), id); err != nil {
		return r, err
	}
	switch r.old.Kind {
	case tenure.KindPAT:
		r.policy, err = mayRotatePAT(ctx, tx, by, r.old)
	case tenure.KindService:
		r.account, r.policy, err = accountFor(ctx, tx, by, r.old.ServiceAccount)
		if err == nil && r.old.Scopes&tenure.AdminScopes != 0 {
			err = mayRotateAdmin(by, r.policy, r.old)
		}
	case tenure.KindSCIM, tenure.KindRoot: // a connector and the root token are rotated as such
		err = tenure.ErrNotFound
	}
	if err == nil && (!r.old.Live(tx.Now()) || !r.old.RotatedAt.IsZero()) {
		err = errNotRotatable
	}
	return r, err
}

// mayRotateAdmin lets whoever collected a token with scopes of administration rotate
// it, where these need a second person: anybody else would have a secret that was
// approved for another. Elsewhere whoever grants such scopes does.
func mayRotateAdmin(by tenure.Principal, p tenure.Policy, old tenure.Token) error {
	switch {
	case !p.AdminApproval:
		return access.Check(by, tenure.GrantScopes)
	case old.MadeBy != by.User():
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "not_the_collector",
			Msg: "a token with scopes of administration is rotated by whoever collected it: its secret was approved for nobody else; ask for a token of your own",
		}
	}
	return nil
}

// mayRotatePAT lets the owner rotate a personal token: whoever else did would have
// their secret. An operator could read the database, too.
func mayRotatePAT(ctx context.Context, tx *store.Tx, by tenure.Principal, old tenure.Token) (tenure.Policy, error) {
	policy, err := tx.Policy(ctx, by.Tenant())
	if err != nil {
		return policy, err
	}
	if by.Kind() != tenure.Operator && (by.User() == "" || by.User() != old.User) {
		if access.Check(by, tenure.ListAllTokens) == nil {
			return policy, &tenure.Error{
				Kind: tenure.Forbidden, Code: "not_the_owner",
				Msg: "a personal token is rotated by its owner alone: nobody else may have its secret; revoke it instead",
			}
		}
		return policy, tenure.ErrNotFound
	}
	role, err := tx.RoleIn(ctx, old.Tenant, old.Workspace, old.User)
	if err == nil {
		err = access.MintsPATs(policy, role)
	}
	return policy, err
}

// run makes the new token and shortens the old one's life.
func (r *rotation) run(ctx context.Context, tx *store.Tx, by tenure.Principal) error {
	usual, longest, kind := r.policy.PATLife, r.policy.PATMaxLife, r.old.Kind
	if kind == tenure.KindService {
		usual, longest = r.policy.ServiceLife, r.policy.ServiceMaxLife
	}
	life := usual
	if !r.old.ExpiresAt.IsZero() {
		life = r.old.ExpiresAt.Sub(r.old.CreatedAt)
	}
	same := terms{name: r.old.Name, scopes: r.old.Scopes, models: r.old.Models, networks: r.old.Networks, life: min(life, longest)}
	if r.old.Exception != "" { // which is in force: the old one lives
		same.by, same.never = r.old.Exception, r.old.ExpiresAt.IsZero()
		same.life = min(life, r.old.ExceptionEnds.Sub(tx.Now()))
	}
	secret := tenure.NewToken(kind)
	r.made = Minted{Token: same.row(by, tx.Now(), kind, secret), Secret: secret}
	row := &r.made.Token
	row.Family, row.Workspace = r.old.Family, r.old.Workspace
	end := tx.Now().Add(r.overlap)
	if !r.old.ExpiresAt.IsZero() && r.old.ExpiresAt.Before(end) {
		end = r.old.ExpiresAt
	}
	err := tx.RotateToken(ctx, r.old, row.ID, end, by.Label())
	if tenure.IsKind(err, tenure.NotFound) {
		err = errNotRotatable
	}
	if err != nil {
		return err
	}
	if kind == tenure.KindService {
		bound(row, r.account)
		if old := r.old.ExpiresAt; row.Scopes&tenure.AdminScopes != 0 && !old.IsZero() && row.ExpiresAt.After(old) {
			row.ExpiresAt = old // what was approved is not made longer
		}
	} else {
		row.User, row.UserName = r.old.User, r.old.UserName
	}
	if err := tx.InsertToken(ctx, *row, tenure.DigestOf(secret.Reveal())); err != nil {
		return err
	}
	return tx.Append(ctx, audit.TokenRotated(by, r.old, *row, r.overlap))
}
