// Package federation looks after OIDC connections: each is an identity provider by
// which the people of one tenant sign in. It owns their making and their end, the
// one that the operator's settings make, and the choice by name or by the domain of
// an e-mail address.
//
// It does not speak with providers (internal/signin does, by internal/oidc), and does not know who
// their subjects are (internal/directory does).
package federation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Connections is the act on OIDC connections. Its fields are set before first use.
type Connections struct {
	DB   *store.DB
	Live *live.Live
	// Sealer and Open keep client secrets.
	Sealer func(context.Context) (store.Sealer, error)
	Open   func(context.Context, store.SealedKey, store.Bound) (tenure.Secret, error)
	// Builtin is the default tenant's connection of the operator's settings, or nil:
	// then a stored one may serve it.
	Builtin *Builtin
	// Gone is told of a connection that was deleted, or nil.
	Gone func(tenure.ConnectionID)
	// Local allows stored connections to providers on this machine.
	Local bool
}

// Builtin is a connection with its secret, as the operator sets it.
type Builtin struct {
	Connection tenure.OIDCConnection
	Secret     tenure.Secret
}

// Create makes the asker's tenant a connection, of which the id and the making are
// filled in; its secret is sealed. Invalid: what is wrong with it, and how.
// Conflict: the tenant has one, or the name or a domain is taken, whichever tenant's.
func (c *Connections) Create(ctx context.Context, by tenure.Principal, row tenure.OIDCConnection, secret tenure.Secret) (tenure.OIDCConnection, error) {
	if err := access.Check(by, tenure.CreateOIDC); err != nil {
		return tenure.OIDCConnection{}, err
	}
	row, err := row.Checked(secret)
	if err == nil {
		err = c.beyond(by, row)
	}
	if err != nil {
		return tenure.OIDCConnection{}, err
	}
	if err := c.besideBuiltin(by.Tenant(), row.Name); err != nil {
		return tenure.OIDCConnection{}, err
	}
	seal, err := c.Sealer(ctx)
	if err != nil {
		return tenure.OIDCConnection{}, err
	}
	err = c.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		row.ID, row.Tenant, row.CreatedAt, row.CreatedBy = tenure.ConnectionID(tenure.NewID(tx.Now())), by.Tenant(), tx.Now(), by.Label()
		sealed, err := seal(secret, store.BoundOIDC(row))
		if err != nil {
			return err
		}
		if err := tx.InsertOIDC(ctx, row, sealed); err != nil {
			return err
		}
		return tx.Append(ctx, audit.OIDCCreated(by, row))
	})
	if err != nil {
		return tenure.OIDCConnection{}, fmt.Errorf("create OIDC connection: %w", err)
	}
	return row, nil
}

// beyond refuses what is the operator's alone. Nobody proves here that a domain is
// theirs, so that who names one leads its people to a provider of their choice.
func (c *Connections) beyond(by tenure.Principal, row tenure.OIDCConnection) error {
	switch {
	case by.Kind() == tenure.Operator:
		return nil
	case len(row.Domains) > 0 && !by.IsRoot():
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "operator_only", Field: "domains",
			Msg: "only the operator says which domains lead to a connection, with \"tenure oidc create --domain\" or the root token; leave them out, and people sign in at /login?connection=" + row.Name,
		}
	case tenure.OnThisMachine(row.Issuer) && !c.Local:
		return tenure.InvalidField("issuer", "a provider on this machine is for an installation whose TENURE_PUBLIC_URL is on this machine too")
	}
	return nil
}

// besideBuiltin refuses what the operator's settings have taken. "default" is the
// name of that connection, there or not.
func (c *Connections) besideBuiltin(tenant tenure.TenantID, name string) error {
	switch {
	case name == string(tenure.BuiltinConnection):
		return &tenure.Error{Kind: tenure.Conflict, Code: "uniqueness", Field: "name", Msg: "this name is that of the connection of TENURE_OIDC_ISSUER"}
	case c.Builtin != nil && tenant == c.Builtin.Connection.Tenant:
		return &tenure.Error{Kind: tenure.Conflict, Code: "set_by_operator", Msg: "this tenant signs in by the connection of TENURE_OIDC_ISSUER; unset it, and restart, before you make another"}
	}
	return nil
}

// List gives the connections of the asker's tenant, that of the settings first.
func (c *Connections) List(ctx context.Context, by tenure.Principal) ([]tenure.OIDCConnection, error) {
	if err := access.Check(by, tenure.ListOIDC); err != nil {
		return nil, err
	}
	rows, err := c.DB.OIDCConnections(ctx, by.Tenant())
	if err == nil && c.Builtin != nil && by.Tenant() == c.Builtin.Connection.Tenant {
		rows = slices.Insert(rows, 0, c.Builtin.Connection)
	}
	return rows, err
}

// Delete ends a connection, and the sessions that it opened. Who its subjects are
// stays known. Conflict: it is that of the settings. NotFound: there is none.
func (c *Connections) Delete(ctx context.Context, by tenure.Principal, id tenure.ConnectionID) (tenure.Ended, error) {
	if err := access.Check(by, tenure.DeleteOIDC); err != nil {
		return tenure.Ended{}, err
	}
	if c.Builtin != nil && id == tenure.BuiltinConnection && by.Tenant() == c.Builtin.Connection.Tenant {
		return tenure.Ended{}, &tenure.Error{Kind: tenure.Conflict, Code: "set_by_operator", Msg: "this connection is set by TENURE_OIDC_ISSUER; unset it, and restart"}
	}
	start := time.Now()
	var sessions []tenure.Session
	var gone string
	err := c.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := tx.OIDCConnection(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		gone = row.Name
		if sessions, err = tx.ConnectionSessions(ctx, row.Tenant, id); err != nil {
			return err
		}
		for _, s := range sessions {
			if _, err := tx.EndSession(ctx, s.Tenant, s.ID, by.Label(), "OIDC connection deleted"); err != nil {
				return err
			}
		}
		if err := tx.DeleteOIDC(ctx, row.Tenant, id); err != nil {
			return err
		}
		return tx.Append(ctx, audit.OIDCDeleted(by, row, len(sessions)))
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("delete OIDC connection %s: %w", id, err)
	}
	if c.Gone != nil {
		c.Gone(id)
	}
	ended := tenure.Ended{Sessions: len(sessions)}
	for _, s := range sessions {
		ended.Streams += c.Live.Cut(store.Change{Kind: "session", ID: string(s.ID)}, live.Session(s.ID), tenure.ErrRevoked)
	}
	ended.Took = time.Since(start)
	c.Live.Ended(by.Tenant(), tenure.Revocation{What: tenure.RevokedSession, ObjectID: string(id), Object: "sessions by " + gone, Actor: by.Label(), Ended: ended})
	return ended, nil
}

// ByName gives the connection of that name, for somebody who is about to sign in.
// NotFound: there is none.
func (c *Connections) ByName(ctx context.Context, name string) (tenure.OIDCConnection, error) {
	if name == string(tenure.BuiltinConnection) {
		if c.Builtin == nil {
			return tenure.OIDCConnection{}, tenure.ErrNotFound
		}
		return c.Builtin.Connection, nil
	}
	row, err := c.DB.OIDCByName(ctx, name)
	return c.served(row, err)
}

// ByAddress gives the connection to which the domain of an e-mail address leads, or
// that of the settings. NotFound: to none, or it is no address.
func (c *Connections) ByAddress(ctx context.Context, address string) (tenure.OIDCConnection, error) {
	local, domain, ok := strings.Cut(strings.TrimSpace(address), "@")
	domain = strings.ToLower(domain)
	if !ok || local == "" || strings.Contains(domain, "@") {
		return tenure.OIDCConnection{}, tenure.ErrNotFound
	}
	if c.Builtin != nil && slices.Contains(c.Builtin.Connection.Domains, domain) {
		return c.Builtin.Connection, nil
	}
	row, err := c.DB.OIDCByDomain(ctx, domain)
	row, err = c.served(row, err)
	if c.Builtin != nil && tenure.IsKind(err, tenure.NotFound) {
		return c.Builtin.Connection, nil
	}
	return row, err
}

// served hides a stored connection of the tenant that the settings serve.
func (c *Connections) served(row tenure.OIDCConnection, err error) (tenure.OIDCConnection, error) {
	if err == nil && c.Builtin != nil && row.Tenant == c.Builtin.Connection.Tenant {
		return tenure.OIDCConnection{}, tenure.ErrNotFound
	}
	return row, err
}

// Main gives the name of the default tenant's connection, or "", and reports whether
// other tenants have some: theirs take nothing away from it.
func (c *Connections) Main(ctx context.Context) (name string, others bool, err error) {
	if others, err = c.DB.OIDCElsewhere(ctx, tenure.DefaultTenant); err != nil {
		return "", false, err
	}
	if c.Builtin != nil {
		return c.Builtin.Connection.Name, others, nil
	}
	rows, err := c.DB.OIDCConnections(ctx, tenure.DefaultTenant)
	if err != nil || len(rows) == 0 {
		return "", others, err
	}
	return rows[0].Name, others, nil
}

// Used reports whether the people of the default tenant sign in by a connection, or
// did: one that is deleted, to be made again, or whose settings are gone, leaves a
// proxy in place that may strip nothing.
func (c *Connections) Used(ctx context.Context) (bool, error) {
	return c.DB.OIDCUsed(ctx, tenure.DefaultTenant)
}

// Stored gives the ids of the connections that are stored.
func (c *Connections) Stored(ctx context.Context) (map[tenure.ConnectionID]bool, error) {
	ids, err := c.DB.OIDCIDs(ctx)
	stored := make(map[tenure.ConnectionID]bool, len(ids))
	for _, id := range ids {
		stored[id] = true
	}
	return stored, err
}

// Of gives the connection by which a session was opened. NotFound: it was opened
// otherwise, or the connection is gone.
func (c *Connections) Of(ctx context.Context, tenant tenure.TenantID, session tenure.SessionID) (tenure.OIDCConnection, error) {
	s, err := c.DB.Session(ctx, tenant, session)
	switch {
	case err != nil:
		return tenure.OIDCConnection{}, err
	case s.Connection == "":
		return tenure.OIDCConnection{}, tenure.ErrNotFound
	case s.Connection == tenure.BuiltinConnection:
		return c.ByName(ctx, string(s.Connection))
	}
	row, err := c.DB.OIDCConnection(ctx, tenant, s.Connection)
	return c.served(row, err)
}

// Secret opens the client secret of a connection.
func (c *Connections) Secret(ctx context.Context, row tenure.OIDCConnection) (tenure.Secret, error) {
	if row.ID == tenure.BuiltinConnection && c.Builtin != nil {
		return c.Builtin.Secret, nil
	}
	sealed, err := c.DB.OIDCSecret(ctx, row.Tenant, row.ID)
	if err != nil {
		return tenure.Secret{}, err
	}
	secret, err := c.Open(ctx, sealed, store.BoundOIDC(row))
	if err != nil {
		return tenure.Secret{}, fmt.Errorf("OIDC connection %s: %w", row.Name, err)
	}
	return secret, nil
}
