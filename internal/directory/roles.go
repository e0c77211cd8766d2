package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// SetRole gives a person a role in the tenant. It holds from the next request on,
// and ends their sessions, which it tells: they sign in anew, or the proxy asserts them.
// Conflict: they are the last active super admin, or TENURE_ADMINS would give the
// role back at their next sign-in.
func (d *Directory) SetRole(ctx context.Context, by tenure.Principal, id tenure.UserID, role tenure.Role) (tenure.User, tenure.Ended, error) {
	start := time.Now()
	var u tenure.User
	if err := access.Check(by, tenure.SetUserRole); err != nil {
		return u, tenure.Ended{}, err
	}
	role, err := tenure.ParseTenantRole(string(role))
	if err != nil {
		return u, tenure.Ended{}, err
	}
	var rows []tenure.Session
	err = d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows = nil
		if u, err = tx.User(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if u.Role == role {
			return nil
		}
		if err := d.mayLoseRole(ctx, tx, u, role); err != nil {
			return err
		}
		before := u.Role
		if rows, err = endSessions(ctx, tx, by, u.Tenant, id, "", roleChanged); err != nil {
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
		return tenure.User{}, tenure.Ended{}, fmt.Errorf("set the role of user %s: %w", id, err)
	}
	d.Live.Changed(ctx, store.Change{Kind: "user", ID: string(id)})
	ended := tenure.Ended{Sessions: len(rows), Streams: d.cutSessions(rows)}
	ended.Took = time.Since(start)
	return u, ended, nil
}

// mayLoseRole answers Conflict for whoever administers and cannot be given the role instead.
func (d *Directory) mayLoseRole(ctx context.Context, tx *store.Tx, u tenure.User, instead tenure.Role) error {
	if u.Role == tenure.Admin && instead == tenure.SuperAdmin {
		return nil
	}
	if u.Role == tenure.SuperAdmin && d.isAdmin(u.Tenant, u.UserName) {
		return setByOperator(u)
	}
	return notTheLast(ctx, tx, u)
}

func setByOperator(u tenure.User) error {
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "set_by_operator",
		Msg: fmt.Sprintf("TENURE_ADMINS names %q, so the next sign-in would make them super_admin again; take the name out of it and restart first", u.UserName),
	}
}

// Keeps tells, before anybody asks for it, what Conflict SetRole would answer for a
// person whose role is taken or, when they leave, Deactivate. The acts judge again.
func (d *Directory) Keeps(ctx context.Context, by tenure.Principal, id tenure.UserID, leaves bool) error {
	if err := access.Check(by, tenure.ListUsers); err != nil {
		return err
	}
	u, err := d.DB.User(ctx, by.Tenant(), id)
	switch {
	case err != nil:
		return err
	case u.Role == tenure.SuperAdmin && !leaves && d.isAdmin(u.Tenant, u.UserName):
		return setByOperator(u)
	case u.Role != tenure.SuperAdmin && u.Role != tenure.Admin || !u.Active:
		return nil
	}
	administer := 0
	for _, role := range []tenure.Role{tenure.SuperAdmin, tenure.Admin} {
		some, err := d.DB.People(ctx, PersonFilter{Tenant: u.Tenant, State: "active", Role: role, Limit: 2}, d.DB.Now())
		if administer += len(some); err != nil || administer > 1 {
			return err
		}
		if role == u.Role {
			break
		}
	}
	return lastOne(u)
}

// notTheLast answers Conflict for the last active super admin of a tenant, and for the
// last administrator of one that has none.
func notTheLast(ctx context.Context, tx *store.Tx, u tenure.User) error {
	count := tx.CountSupers
	switch {
	case !u.Active:
		return nil
	case u.Role == tenure.Admin:
		count = tx.CountAdministrators
	case u.Role != tenure.SuperAdmin:
		return nil
	}
	active, err := count(ctx, u.Tenant)
	if err != nil || active > 1 {
		return err
	}
	return lastOne(u)
}

func lastOne(u tenure.User) error {
	if u.Role == tenure.Admin {
		return &tenure.Error{
			Kind: tenure.Conflict, Code: "last_administrator",
			Msg: fmt.Sprintf("%q is the last active administrator, and nobody could administer this tenant any more; make somebody else admin or super_admin first", u.UserName),
		}
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "last_super_admin",
		Msg: fmt.Sprintf("%q is the last active super admin, and nobody could administer this tenant any more; make somebody else super_admin first", u.UserName),
	}
}
