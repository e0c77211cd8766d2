package directory

import (
	"context"
	"fmt"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// SetRole gives a person a role in the tenant. It holds from the next request on,
// and ends their sessions: they sign in anew, or the proxy asserts them.
// Conflict: they are the last active super admin, or TENURE_ADMINS would give the
// role back at their next sign-in.
func (d *Directory) SetRole(ctx context.Context, by tenure.Principal, id tenure.UserID, role tenure.Role) (tenure.User, error) {
	var u tenure.User
	if err := access.Check(by, tenure.SetUserRole); err != nil {
		return u, err
	}
	role, err := tenure.ParseTenantRole(string(role))
	if err != nil {
		return u, err
	}
	var ended []tenure.Session
	err = d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended = nil
		if u, err = tx.User(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if u.Role == role {
			return nil
		}
		if err := d.mayLoseRole(ctx, tx, u); err != nil {
			return err
		}
		before := u.Role
		if ended, err = endSessions(ctx, tx, by, u.Tenant, id, "", roleChanged); err != nil {
			return err
		}
		if err := tx.SetRole(ctx, u.Tenant, id, role); err != nil {
			return err
		}
		if u, err = tx.User(ctx, u.Tenant, id); err != nil {
			return err
		}
		return tx.Append(ctx, audit.RoleSet(by, u, before, role))
	})
	if err != nil {
		return tenure.User{}, fmt.Errorf("set the role of user %s: %w", id, err)
	}
	d.Live.Changed(ctx, store.Change{Kind: "user", ID: string(id)})
	d.cutSessions(ended)
	return u, nil
}

// mayLoseRole answers Conflict for a super admin whose role cannot be taken.
func (d *Directory) mayLoseRole(ctx context.Context, tx *store.Tx, u tenure.User) error {
	if u.Role != tenure.SuperAdmin {
		return nil
	}
	if d.isAdmin(u.Tenant, u.UserName) {
		return &tenure.Error{
			Kind: tenure.Conflict, Code: "set_by_operator",
			Msg: fmt.Sprintf("TENURE_ADMINS names %q, so the next sign-in would make them super_admin again; take the name out of it and restart first", u.UserName),
		}
	}
	return notTheLast(ctx, tx, u)
}

// notTheLast answers Conflict for the last active super admin of a tenant.
func notTheLast(ctx context.Context, tx *store.Tx, u tenure.User) error {
	if u.Role != tenure.SuperAdmin || !u.Active {
		return nil
	}
	active, err := tx.CountSupers(ctx, u.Tenant)
	if err != nil || active > 1 {
		return err
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "last_super_admin",
		Msg: fmt.Sprintf("%q is the last active super admin, and nobody could administer this tenant any more; make somebody else super_admin first", u.UserName),
	}
}
