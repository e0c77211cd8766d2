package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// stands asks, inside the transaction of an act, whether whoever asks for it has
// the authority that their request was admitted with: they may have lost it while
// the rest of the request was on its way. A tenant that is suspended, a person who
// is deactivated or whose role is another, a session or a token that has ended
// does nothing any more. Tokens that the operator sets have no row: they are good
// while the process runs, the root token while the policy lets it.
func (tx *Tx) stands(ctx context.Context, p tenure.Principal) error {
	s := p.Standing()
	if s.Kind == tenure.Operator {
		return nil
	}
	err := ask(ctx, tx, scalar[bool], stand, `SELECT active FROM tenants WHERE id = $1`, s.Tenant)
	if err != nil {
		return err
	}
	if p.IsRoot() {
		policy, err := tx.Policy(ctx, s.Tenant)
		if err != nil || policy.RootOff {
			return orInvalid(err)
		}
	}
	if s.Session != "" {
		if err := tx.sessionStands(ctx, s); err != nil {
			return err
		}
	}
	if s.User != "" {
		if err := tx.personStands(ctx, s); err != nil {
			return err
		}
	}
	if s.Token != "" && s.Session == "" {
		return tx.tokenStands(ctx, s)
	}
	return nil
}

func (tx *Tx) sessionStands(ctx context.Context, s *tenure.Standing) error {
	return ask(ctx, tx, func(row scanner) (bool, error) {
		var open bool
		var on held
		err := row.Scan(append([]any{&open, &on.id}, on.dest()...)...)
		if on.id != "" {
			from, until, ok := on.signsIn(s.User)
			open = open && ok && !tx.now.Before(from) && tx.now.Before(until)
		}
		return open, err
	}, stand, `SELECT s.ended_at IS NULL, s.exception_id, `+heldColumns+` FROM sessions s
		LEFT JOIN exceptions x ON x.id = s.exception_id AND x.tenant_id = s.tenant_id WHERE s.tenant_id = $1 AND s.id = $2`, s.Tenant, s.Session)
}

func (tx *Tx) personStands(ctx context.Context, s *tenure.Standing) error {
	return ask(ctx, tx, func(row scanner) (tenure.User, error) {
		var u tenure.User
		err := row.Scan(&u.Active, &u.Role)
		return u, err
	}, func(u tenure.User, err error) error {
		switch {
		case err != nil:
			return orInvalid(err)
		case !u.Active:
			return tenure.ErrDeactivated
		case u.Role != s.Role:
			return tenure.ErrRoleChanged
		}
		return nil
	}, `SELECT active, role FROM users WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL`, s.Tenant, s.User)
}

func (tx *Tx) tokenStands(ctx context.Context, s *tenure.Standing) error {
	return ask(ctx, tx, func(row scanner) (time.Time, error) {
		var revoked bool
		var ends time.Time
		var on held
		err := row.Scan(append([]any{&revoked, into(&ends), &on.id}, on.dest()...)...)
		if on.id != "" {
			from, until, ok := on.lets(tenure.Deviation{Tenant: s.Tenant, Workspace: s.Workspace, User: s.User, Account: s.ServiceAccount},
				tenure.RuleTokenLifetime, tenure.RuleTokenExpires)
			revoked, ends = revoked || !ok || tx.now.Before(from), earlier(ends, until)
		}
		if revoked {
			ends = time.Unix(0, 0)
		}
		return ends, err
	}, func(ends time.Time, err error) error {
		if err != nil || !ends.IsZero() && !tx.now.Before(ends) {
			return orInvalid(err)
		}
		return nil
	}, `SELECT t.revoked_at IS NOT NULL, t.expires_at, t.exception_id, `+heldColumns+` FROM api_tokens t
		LEFT JOIN exceptions x ON x.id = t.exception_id AND x.tenant_id = t.tenant_id WHERE t.tenant_id = $1 AND t.id = $2`, s.Tenant, s.Token)
}

// stand is the verdict on what must be true for a credential to be good.
func stand(holds bool, err error) error {
	if err != nil || !holds {
		return orInvalid(err)
	}
	return nil
}

// orInvalid is err where it is a fault, and else that the credential is dead.
func orInvalid(err error) error {
	if err == nil || tenure.IsKind(err, tenure.NotFound) {
		return tenure.ErrInvalidToken
	}
	return err
}
