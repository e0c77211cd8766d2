package audit

import (
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

func aboutConnector(e tenure.AuditEvent, c tenure.Connector) tenure.AuditEvent {
	e.Tenant, e.ObjectID, e.Object = c.Tenant, string(c.ID), c.Name
	return e
}

// ConnectorCreated tells of a new SCIM connector and of the prefix of its token.
func ConnectorCreated(p tenure.Principal, c tenure.Connector, t tenure.Token) tenure.AuditEvent {
	e := aboutConnector(by(p, "connector.created"), c)
	networks := make([]string, len(c.Networks))
	for i, n := range c.Networks {
		networks[i] = n.String()
	}
	e.Detail = map[string]string{"prefix": t.Prefix, "cidrs": strings.Join(networks, " ")}
	return e
}

// ConnectorRotated tells of a connector's new token, and for how long those
// before it are still good.
func ConnectorRotated(p tenure.Principal, c tenure.Connector, t tenure.Token, overlap time.Duration) tenure.AuditEvent {
	e := aboutConnector(by(p, "connector.rotated"), c)
	e.Detail = map[string]string{"prefix": t.Prefix, "overlap_seconds": strconv.Itoa(int(overlap.Seconds()))}
	return e
}

// ConnectorDeleted tells of a connector's end, and of its tokens'.
func ConnectorDeleted(p tenure.Principal, c tenure.Connector, tokens int) tenure.AuditEvent {
	e := aboutConnector(by(p, "connector.deleted"), c)
	e.Detail = map[string]string{"tokens": strconv.Itoa(tokens)}
	return e
}
