package directory

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Asserted is who a trusted proxy says is there. The zero Asserted is nobody.
type Asserted struct {
	Tenant tenure.TenantID
	Name   string
	// How is how they showed the proxy who they are, and when, as it has signed; zero for
	// a bare name, which is shown with the request itself.
	How tenure.SignIn
}

// Is reports whether the person of a standing is who is asserted: by name without
// regard to case, and in the tenant.
func (a Asserted) Is(s *tenure.Standing) bool {
	return a.Name != "" && a.Tenant == s.Tenant && tenure.FoldUserName(a.Name) == tenure.FoldUserName(s.UserName)
}

// StandingTenant finds the tenant that a trusted proxy names by id or name.
// Forbidden: there is none, or it is suspended.
func (d *Directory) StandingTenant(ctx context.Context, idOrName string) (tenure.TenantID, error) {
	t, err := d.DB.Tenant(ctx, idOrName)
	if err == nil && t.Active {
		return t.ID, nil
	}
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return "", err
	}
	return "", &tenure.Error{
		Kind: tenure.Forbidden, Code: "tenant_refused",
		Msg: "the organisation that the sign-in proxy names is not known here, or is suspended; ask whoever runs this gateway",
	}
}

// Tenant reads a tenant by its id or its name, for the operator.
func (d *Directory) Tenant(ctx context.Context, by tenure.Principal, idOrName string) (tenure.Tenant, error) {
	if err := access.Check(by, tenure.ListTenants); err != nil {
		return tenure.Tenant{}, err
	}
	t, err := d.DB.Tenant(ctx, idOrName)
	return t, noTenant(err, idOrName)
}

// noTenant says in words that there is no such tenant.
func noTenant(err error, idOrName string) error {
	if errors.Is(err, tenure.ErrNotFound) {
		return &tenure.Error{Kind: tenure.NotFound, Code: "tenant_not_found", Msg: fmt.Sprintf("there is no tenant %q", idOrName)}
	}
	return err
}

// Tenants lists all tenants, the oldest first, for the operator.
func (d *Directory) Tenants(ctx context.Context, by tenure.Principal) ([]tenure.Tenant, error) {
	if err := access.Check(by, tenure.ListTenants); err != nil {
		return nil, err
	}
	return d.DB.Tenants(ctx)
}

// CreateTenant makes a tenant with its workspace "default". Invalid: the name is
// none that a proxy's header could carry. Conflict: it is taken, or is the id of a
// tenant.
func (d *Directory) CreateTenant(ctx context.Context, by tenure.Principal, name string) (tenure.Tenant, error) {
	var t tenure.Tenant
	if err := access.Check(by, tenure.CreateTenant); err != nil {
		return t, err
	}
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`).MatchString(name) || len(name) > tenure.MaxName || tenure.MentionsToken(name) {
		return t, tenure.InvalidField("name", "the name of a tenant has 1 to %d lower-case letters, digits, dots, dashes and underscores, so that a header can carry it, for example \"acme\"", tenure.MaxName)
	}
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Tenant(ctx, name)
		if err == nil {
			return &tenure.Error{Kind: tenure.Conflict, Code: "uniqueness", Field: "name", Msg: fmt.Sprintf("a tenant named %q exists already", name)}
		}
		if !tenure.IsKind(err, tenure.NotFound) {
			return err
		}
		t = tenure.Tenant{ID: tenure.TenantID(tenure.NewID(tx.Now())), Name: name, Active: true, CreatedAt: tx.Now()}
		if err := tx.InsertTenant(ctx, t); err != nil {
			return err
		}
		w := newWorkspace(tx.Now(), t.ID)
		w.Name = string(tenure.DefaultWorkspace)
		if err := tx.InsertWorkspace(ctx, w); err != nil {
			return err
		}
		return tx.Append(ctx, audit.TenantChanged(by, t, "created"))
	})
	if err != nil {
		return tenure.Tenant{}, fmt.Errorf("create tenant: %w", err)
	}
	return t, nil
}

// SuspendTenant makes every credential of a tenant dead, and cuts its open streams.
// ResumeTenant makes those good again that have not ended meanwhile.
func (d *Directory) SuspendTenant(ctx context.Context, by tenure.Principal, idOrName string) (tenure.Tenant, error) {
	return d.setTenant(ctx, by, idOrName, tenure.SuspendTenant, false, "suspended")
}

// ResumeTenant ends the suspension of a tenant.
func (d *Directory) ResumeTenant(ctx context.Context, by tenure.Principal, idOrName string) (tenure.Tenant, error) {
	return d.setTenant(ctx, by, idOrName, tenure.ResumeTenant, true, "resumed")
}

func (d *Directory) setTenant(ctx context.Context, by tenure.Principal, idOrName string, action tenure.Action, active bool, what string) (tenure.Tenant, error) {
	var t tenure.Tenant
	if err := access.Check(by, action); err != nil {
		return t, err
	}
	start := time.Now()
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if t, err = tx.Tenant(ctx, idOrName); err != nil || t.Active == active {
			return noTenant(err, idOrName)
		}
		t.Active = active
		if err := tx.SetTenantActive(ctx, t.ID, active); err != nil {
			return err
		}
		return tx.Append(ctx, audit.TenantChanged(by, t, what))
	})
	if err != nil {
		return tenure.Tenant{}, err
	}
	change := store.Change{Kind: "tenant", ID: string(t.ID)}
	if active {
		d.Live.Changed(ctx, change)
		return t, nil
	}
	ended := tenure.Ended{Streams: d.Live.Cut(change, live.Tenant(t.ID), tenure.ErrRevoked), Took: time.Since(start)}
	d.Live.Ended(t.ID, tenure.Revocation{What: tenure.RevokedTenant, ObjectID: string(t.ID), Object: t.Name, Actor: by.Label(), Ended: ended, Gone: true})
	return t, nil
}
