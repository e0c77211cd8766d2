// Package connector looks after SCIM connectors: each is one identity provider's
// way in, with a name, tokens, networks and figures. It owns their making,
// rotation and end, what is noted of the requests that come through them, and
// the judgement of when a feed is silent for too long.
//
// It does not resolve a connector's token (internal/token does), enforce its
// networks (internal/signin does) or know what SCIM says (internal/scim does).
package connector

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Limits.
const (
	// DefaultOverlap is how long both tokens are good after a rotation.
	DefaultOverlap = 24 * time.Hour
	// MaxOverlap is the longest that they may be.
	MaxOverlap = 7 * 24 * time.Hour
	// builtinName is what the operator's connector is called.
	builtinName = "TENURE_SCIM_TOKEN"
)

// Connectors is the act on SCIM connectors. Its fields are set before first use.
type Connectors struct {
	DB   *store.DB
	Live *live.Live
	Use  *store.ConnectorUse
	// Builtin tells that the operator sets TENURE_SCIM_TOKEN.
	Builtin bool
}

// Spec says what connector to make.
type Spec struct {
	Name     string
	Networks []string // CIDRs or single addresses; empty: its tokens are good from anywhere
}

// Create makes a connector with its first token, which is returned once and not
// kept. Invalid: the spec is wrong, and how. Conflict: the name is taken.
func (c *Connectors) Create(ctx context.Context, by tenure.Principal, spec Spec) (View, tenure.Secret, error) {
	if err := access.Check(by, tenure.CreateConnector); err != nil {
		return View{}, tenure.Secret{}, err
	}
	networks, err := spec.validate()
	if err != nil {
		return View{}, tenure.Secret{}, err
	}
	var row tenure.Connector
	secret := tenure.NewToken(tenure.KindSCIM)
	err = c.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		row = tenure.Connector{
			ID: tenure.ConnectorID(tenure.NewID(tx.Now())), Tenant: by.Tenant(), Name: spec.Name, Networks: networks,
			CreatedAt: tx.Now(), CreatedBy: by.Label(), MadeBy: by.User(),
		}
		if err := tx.InsertConnector(ctx, row); err != nil {
			return err
		}
		t, err := insertToken(ctx, tx, row, secret)
		if err != nil {
			return err
		}
		row.Tokens = []tenure.Token{t}
		return tx.Append(ctx, audit.ConnectorCreated(by, row, t))
	})
	if err != nil {
		return View{}, tenure.Secret{}, fmt.Errorf("create SCIM connector: %w", err)
	}
	return viewOf(row, c.DB.Now()), secret, nil
}

func insertToken(ctx context.Context, tx *store.Tx, c tenure.Connector, secret tenure.Secret) (tenure.Token, error) {
	t := tenure.Token{
		ID: tenure.TokenID(tenure.NewID(tx.Now())), Tenant: c.Tenant, Name: c.Name, Kind: tenure.KindSCIM,
		Prefix: secret.Reveal()[:tenure.TokenPrefixLength], CreatedAt: tx.Now(),
	}
	return t, tx.InsertConnectorToken(ctx, c.ID, t, tenure.DigestOf(secret.Reveal()))
}

func (s Spec) validate() ([]netip.Prefix, error) {
	if err := tenure.CheckName(s.Name, tenure.MaxConnectorName, "Okta"); err != nil {
		return nil, err
	}
	if s.Name == builtinName || s.Name == string(tenure.BuiltinConnector) {
		return nil, &tenure.Error{Kind: tenure.Conflict, Code: "uniqueness", Field: "name", Msg: "this name is that of the built-in connector"}
	}
	return tenure.ParseNetworks(s.Networks)
}

func invalid(field, format string, args ...any) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "invalid_" + field, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// Rotate gives a connector a new token, which is returned once and not kept.
// Those before it end after overlap, or at once when it is 0. Conflict: it is
// the built-in connector. Invalid: overlap is longer than MaxOverlap.
func (c *Connectors) Rotate(ctx context.Context, by tenure.Principal, id tenure.ConnectorID, overlap time.Duration) (View, tenure.Secret, error) {
	if err := access.Check(by, tenure.RotateConnector); err != nil {
		return View{}, tenure.Secret{}, err
	}
	if overlap < 0 || overlap > MaxOverlap {
		return View{}, tenure.Secret{}, invalid("overlap", "the overlap must be between 0 and %d days", int(MaxOverlap.Hours()/24))
	}
	if err := c.notBuiltin(by, id, "set the new token there and the old one as TENURE_SCIM_TOKEN_PREVIOUS, and restart"); err != nil {
		return View{}, tenure.Secret{}, err
	}
	var row tenure.Connector
	secret := tenure.NewToken(tenure.KindSCIM)
	err := c.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if row, err = tx.Connector(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if overlap == 0 {
			_, err = tx.RevokeConnectorTokens(ctx, row.Tenant, id, by.Label(), "rotated")
		} else {
			_, err = tx.ExpireConnectorTokens(ctx, row.Tenant, id, tx.Now().Add(overlap))
		}
		if err != nil {
			return err
		}
		t, err := insertToken(ctx, tx, row, secret)
		if err != nil {
			return err
		}
		row.Tokens = []tenure.Token{t}
		return tx.Append(ctx, audit.ConnectorRotated(by, row, t, overlap))
	})
	if err != nil {
		return View{}, tenure.Secret{}, fmt.Errorf("rotate the token of SCIM connector %s: %w", id, err)
	}
	c.Live.Changed(ctx, store.Change{Kind: "connector", ID: string(id)})
	v, err := c.read(ctx, by.Tenant(), id)
	if err != nil { // it is done: the new token must be told, whatever cannot be read
		v = viewOf(row, c.DB.Now())
	}
	return v, secret, nil
}

// ParseOverlap reads how long both tokens are to be good: "0", "90m", "7d"; ""
// is DefaultOverlap. Invalid: it is no length of time.
func ParseOverlap(text string) (time.Duration, error) {
	switch text {
	case "":
		return DefaultOverlap, nil
	case "0":
		return 0, nil
	}
	d, err := tenure.ParseLifetime(text)
	if err != nil {
		return 0, invalid("overlap", "overlap: %v", err)
	}
	return d, nil
}

// Delete ends a connector and every token of it, at once. What it provisioned
// stays. Conflict: it is the built-in connector.
func (c *Connectors) Delete(ctx context.Context, by tenure.Principal, id tenure.ConnectorID) (tenure.Ended, error) {
	start := time.Now()
	var ended tenure.Ended
	var row tenure.Connector
	if err := access.Check(by, tenure.DeleteConnector); err != nil {
		return ended, err
	}
	if err := c.notBuiltin(by, id, "unset it, and restart"); err != nil {
		return ended, err
	}
	err := c.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if row, err = tx.Connector(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if ended.Tokens, err = tx.RevokeConnectorTokens(ctx, row.Tenant, id, by.Label(), "connector deleted"); err != nil {
			return err
		}
		if err := tx.DeleteConnector(ctx, row.Tenant, id, by.Label()); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ConnectorDeleted(by, row, ended.Tokens))
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("delete SCIM connector %s: %w", id, err)
	}
	ended.Streams = c.Live.Cut(store.Change{Kind: "connector", ID: string(id)}, live.Connector(id), tenure.ErrRevoked)
	ended.Took = time.Since(start)
	c.Live.Ended(by.Tenant(), tenure.Revocation{What: tenure.RevokedConnector, ObjectID: string(id), Object: row.Name, Actor: by.Label(), Ended: ended, Gone: true})
	return ended, nil
}

// notBuiltin refuses what only the operator's settings can do.
func (c *Connectors) notBuiltin(by tenure.Principal, id tenure.ConnectorID, instead string) error {
	if id != tenure.BuiltinConnector || by.Tenant() != tenure.DefaultTenant {
		return nil
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "set_by_operator",
		Msg: "the built-in connector's token is set by TENURE_SCIM_TOKEN; " + instead,
	}
}

// Note counts a request that came through a connector. It never waits for the
// database.
func (c *Connectors) Note(p tenure.Principal, r tenure.ConnectorRequest) {
	if id := p.Standing().Connector; id != "" {
		c.Use.Note(id, r)
	}
}
