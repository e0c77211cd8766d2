package tenure

import (
	"net/netip"
	"time"
)

// ConnectorID names a SCIM connector: one identity provider's way in.
type ConnectorID string

// BuiltinConnector is the connector whose tokens the operator sets
// (TENURE_SCIM_TOKEN). It belongs to the default tenant and has no row.
const BuiltinConnector ConnectorID = "builtin"

// MaxConnectorName is the longest name of a connector, in bytes.
const MaxConnectorName = 100

// The actions on SCIM connectors, and what is served of /scim/v2 through one.
const (
	ListConnectors  Action = "admin.connectors.list"
	ReadConnector   Action = "admin.connectors.read"
	CreateConnector Action = "admin.connectors.create"
	RotateConnector Action = "admin.connectors.rotate"
	DeleteConnector Action = "admin.connectors.delete"
)

// Connector is what an identity provider provisions a tenant through.
type Connector struct {
	ID        ConnectorID
	Tenant    TenantID
	Name      string         // unique among the tenant's connectors
	Networks  []netip.Prefix // from where its tokens are good; empty: from anywhere
	CreatedAt time.Time      // zero for the built-in one
	CreatedBy string
	MadeBy    UserID  // the person who made it, or empty
	Tokens    []Token // those that are good now, newest first
	Figures   ConnectorFigures
}

// Builtin reports whether the operator's settings carry the connector.
func (c Connector) Builtin() bool { return c.ID == BuiltinConnector }

// ConnectorFigures tell what has come through a connector. They are written
// behind: what is shown is a few seconds old.
type ConnectorFigures struct {
	LastSeenAt time.Time     // zero: never
	Usual      time.Duration // usually between two bursts of requests; 0: not known yet
	Counts     []OperationCount
	LastError  *ConnectorError // nil: there was none
}

// OperationCount is how often one operation was asked for through a connector.
type OperationCount struct {
	Operation string // "users.update"
	OK        int64
	Failed    int64
}

// ConnectorError is the last request of a connector that was answered with an
// error. It has the shape of what was sent and none of its values.
type ConnectorError struct {
	At        time.Time
	Operation string
	Status    int
	ScimType  string // RFC 7644 §3.12, or ""
	Shape     string // the body's keys and types
	RequestID string // under which the log tells more
}

// ConnectorRequest is one request through a connector, as its figures count it.
type ConnectorRequest struct {
	Operation string
	At        time.Time
	// Unseen keeps the request from counting as a sign of life.
	Unseen bool
	Error  *ConnectorError // nil when it was answered as asked
}

// CheckFrom answers Forbidden (address_not_allowed) when the credential may not be
// used from an address, as a request's Origin has it.
func (s *Standing) CheckFrom(address string) error {
	if len(s.Networks) == 0 {
		return nil
	}
	if a, err := netip.ParseAddr(address); err == nil && s.AllowsFrom(a) {
		return nil
	}
	return &Error{
		Kind: Forbidden, Code: "address_not_allowed",
		Msg: "this token is bound to networks, and " + address + " is in none of them",
	}
}

// AllowsFrom reports whether the credential may be used from an address: a
// connector's may be bound to networks. An address that is not known is in none.
func (s *Standing) AllowsFrom(a netip.Addr) bool {
	if len(s.Networks) == 0 {
		return true
	}
	a = a.Unmap().WithZone("")
	for _, n := range s.Networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
