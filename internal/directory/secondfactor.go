package directory

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// letOff gives the exception on which a person's session hangs that is without the second
// factor that the policy asks for. Without one it does not administer or, where it is
// asked of all, is not opened: Forbidden.
func letOff(ctx context.Context, tx *store.Tx, policy tenure.Policy, s tenure.Session) (tenure.ExceptionID, error) {
	if policy.MFA == tenure.MFAOff || s.Shows(policy.MFAValues) {
		return "", nil
	}
	x, err := tx.MFAException(ctx, s.Tenant, s.User, tx.Now())
	if tenure.IsKind(err, tenure.NotFound) && policy.MFA == tenure.MFAAll {
		shown := tenure.Standing{Via: s.Via, ACR: s.ACR, AMR: s.AMR, Factor: tenure.SecondFactor{Values: policy.MFAValues}}
		return "", shown.ErrMFA()
	}
	return x.ID, unlessNotFound(err)
}

// mustShow refuses a sign-in without the second factor that the policy asks of all, before
// it makes a person, links one or promotes one. Whom nobody knows yet ("") no exception
// lets off.
func mustShow(ctx context.Context, tx *store.Tx, tenant tenure.TenantID, user tenure.UserID, how tenure.SignIn) error {
	policy, err := tx.Policy(ctx, tenant)
	if err == nil {
		_, err = letOff(ctx, tx, policy, tenure.Session{Tenant: tenant, User: user, SignIn: how})
	}
	return err
}
