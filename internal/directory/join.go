package directory

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Join finds the person whom a trusted proxy names, and makes them known at
// first sight. The tenant is one that stands. how is how they showed the proxy who they
// are, as it has signed; zero: with this very request. Forbidden: deactivated, unknown
// while RequireSCIM holds, or without the second factor that the policy asks of all.
func (d *Directory) Join(ctx context.Context, tenant tenure.TenantID, name string, how tenure.SignIn) (tenure.Principal, error) {
	how.Via = "proxy"
	u, err := d.DB.UserByName(ctx, tenant, name)
	if tenure.IsKind(err, tenure.NotFound) {
		u, err = d.firstSight(ctx, tenant, name, how)
	}
	if err != nil {
		return tenure.Principal{}, err
	}
	return d.enter(ctx, u, how)
}

// enter establishes a person who has shown who they are, as how tells: with this very
// request where it tells no time.
func (d *Directory) enter(ctx context.Context, u tenure.User, how tenure.SignIn) (tenure.Principal, error) {
	if err := d.mustBeProvisioned(u.Source, u.UserName); err != nil {
		return tenure.Principal{}, err
	}
	if d.isAdmin(u.Tenant, u.UserName) && u.Role != tenure.SuperAdmin && u.Active {
		if err := d.promote(ctx, u, how); err != nil {
			return tenure.Principal{}, err
		}
	}
	generation := d.Live.Generation()
	s, err := d.shown(ctx, u.Tenant, u.ID, how)
	if err != nil {
		return tenure.Principal{}, err
	}
	if !how.AuthAt.IsZero() {
		policy, err := d.DB.Policy(ctx, u.Tenant)
		if err != nil {
			return tenure.Principal{}, err
		}
		s.Limits.Reauth = policy.Reauth
	}
	p, err := s.Admit(d.DB.Now(), generation)
	if err == nil {
		err = d.Live.Stands(ctx, s)
	}
	if err == nil {
		d.Uses.NotePerson(u.ID, d.DB.Now())
	}
	if err != nil {
		return tenure.Principal{}, err
	}
	return p, nil
}

// shown reads what is known of a person who has shown who they are, as how tells. Whom
// only an exception lets in without a second factor is so until it ends.
func (d *Directory) shown(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, how tenure.SignIn) (*tenure.Standing, error) {
	s, err := d.DB.UserStanding(ctx, tenant, user)
	if err != nil {
		return nil, err
	}
	s.Via, s.ACR, s.AMR, s.AuthAt = how.Via, how.ACR, how.AMR, how.AuthAt
	if s.Factor.Has = how.Shows(s.Factor.Values); !s.Factor.Missing() {
		return s, nil
	}
	x, err := d.DB.MFAException(ctx, tenant, user, d.DB.Now())
	if err == nil {
		s.Factor.Has, s.ExpiresAt = true, x.End()
	}
	return s, unlessNotFound(err)
}

// mustBeProvisioned refuses, under RequireSCIM, whom SCIM never provisioned.
func (d *Directory) mustBeProvisioned(source tenure.Source, name string) error {
	if !d.RequireSCIM || source == tenure.SourceSCIM {
		return nil
	}
	return &tenure.Error{
		Kind: tenure.Forbidden, Code: "not_provisioned",
		Msg: fmt.Sprintf("%q was not provisioned by the identity provider; ask your administrator to assign you to this application", name),
	}
}

func (d *Directory) isAdmin(tenant tenure.TenantID, name string) bool {
	return tenant == tenure.DefaultTenant && d.Admins[tenure.FoldUserName(name)]
}

// firstSight makes a person of an asserted identity.
func (d *Directory) firstSight(ctx context.Context, tenant tenure.TenantID, name string, how tenure.SignIn) (tenure.User, error) {
	if err := d.mustBeProvisioned("", name); err != nil {
		return tenure.User{}, err
	}
	var u tenure.User
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if u, err = tx.UserByName(ctx, tenant, name); !tenure.IsKind(err, tenure.NotFound) {
			return err // somebody was quicker, or the database failed
		}
		u, err = newcomer(ctx, tx, tenant, name, tenure.SourceProxy, how)
		return err
	})
	return u, err
}

// newcomer makes a person of a name that nobody has. Whom the identity provider
// deleted does not walk back in: it must provision them again.
func newcomer(ctx context.Context, tx *store.Tx, tenant tenure.TenantID, name string, source tenure.Source, how tenure.SignIn) (tenure.User, error) {
	if gone, err := tx.WasDeleted(ctx, tenant, name); err != nil || gone {
		return tenure.User{}, cmp.Or(err, error(tenure.ErrDeleted))
	}
	if err := mustShow(ctx, tx, tenant, "", how); err != nil {
		return tenure.User{}, err
	}
	u := newUser(tx.Now(), tenant, tenure.User{UserName: name, Active: true, Source: source})
	return u, insert(ctx, tx, tenure.Principal{}, u)
}

func newUser(now time.Time, tenant tenure.TenantID, u tenure.User) tenure.User {
	u.ID, u.Tenant, u.Role, u.Version = tenure.UserID(tenure.NewID(now)), tenant, tenure.Member, 1
	u.CreatedAt, u.UpdatedAt = now, now
	if !u.Active {
		u.DeactivatedAt = now
	}
	return u
}

// insert stores a person, makes them in the workspace "default" of their tenant
// what the policy says of newcomers, and tells the audit log.
func insert(ctx context.Context, tx *store.Tx, by tenure.Principal, u tenure.User) error {
	ws, role, err := tx.NewcomerPlace(ctx, u.Tenant)
	if err == nil && role != "" && ws == "" {
		err = tenure.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("default workspace of %s: %w", u.Tenant, err)
	}
	if err := tx.InsertUser(ctx, u); err != nil {
		return err
	}
	if role != "" {
		if err := tx.SetMembership(ctx, u.Tenant, ws, u.ID, role); err != nil {
			return err
		}
	}
	return tx.Append(ctx, audit.UserProvisioned(by, u))
}

func (d *Directory) promote(ctx context.Context, u tenure.User, how tenure.SignIn) error {
	var ended []tenure.Session
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		err := mustShow(ctx, tx, u.Tenant, u.ID, how)
		if err != nil {
			return err
		}
		if ended, err = endSessions(ctx, tx, tenure.Principal{}, u.Tenant, u.ID, "", roleChanged); err != nil {
			return err
		}
		if err := tx.SetRole(ctx, u.Tenant, u.ID, tenure.SuperAdmin); err != nil {
			return err
		}
		return tx.Append(ctx, audit.RoleGranted(tenure.Principal{}, u, tenure.SuperAdmin, "TENURE_ADMINS"))
	})
	if err == nil {
		d.Live.Changed(ctx, store.Change{Kind: "user", ID: string(u.ID)})
		d.cutSessions(ended)
	}
	return err
}
