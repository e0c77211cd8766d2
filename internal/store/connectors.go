package store

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

const connectorColumns = `id, tenant_id, name, cidrs, created_at, created_by, created_by_user FROM scim_connectors`

func scanConnector(row scanner) (tenure.Connector, error) {
	var c tenure.Connector
	var networks string
	err := row.Scan(&c.ID, &c.Tenant, &c.Name, &networks, into(&c.CreatedAt), &c.CreatedBy, &c.MadeBy)
	c.Networks = parseNetworks(networks)
	return c, err
}

// parseNetworks reads a list of networks as it is stored, or as a hand wrote
// it. What cannot be read is a network that nothing is in: a list that is there
// never means "from anywhere".
func parseNetworks(text string) []netip.Prefix {
	var out []netip.Prefix
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			if a, bad := netip.ParseAddr(part); bad == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		out = append(out, p)
	}
	if text != "" && out == nil {
		out = []netip.Prefix{{}}
	}
	return out
}

func formatNetworks(networks []netip.Prefix) string {
	parts := make([]string, len(networks))
	for i, p := range networks {
		parts[i] = p.String()
	}
	return strings.Join(parts, " ")
}

// Connectors lists the SCIM connectors of a tenant by name, the deleted ones
// apart, without their tokens and figures.
func (r reads) Connectors(ctx context.Context, tenant tenure.TenantID) ([]tenure.Connector, error) {
	return many(ctx, r.run, scanConnector, `SELECT `+connectorColumns+` WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY name`, tenant)
}

// Connector reads one connector, without its tokens and figures. NotFound: the
// tenant has no such connector.
func (r reads) Connector(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectorID) (tenure.Connector, error) {
	return one(ctx, r.run, scanConnector, `SELECT `+connectorColumns+` WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL`, tenant, id)
}

// ConnectorTokens lists the tokens of a connector that are not revoked, newest
// first; those that have expired are among them.
func (r reads) ConnectorTokens(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectorID) ([]tenure.Token, error) {
	return many(ctx, r.run, scanToken, `SELECT `+tokenColumns+`
		WHERE t.id IN (SELECT l.token_id FROM scim_connector_tokens l WHERE l.connector_id = $2) AND t.tenant_id = $1 AND t.revoked_at IS NULL ORDER BY t.id DESC`, tenant, id)
}

// ConnectorFigures reads what has come through a connector.
func (r reads) ConnectorFigures(ctx context.Context, id tenure.ConnectorID) (tenure.ConnectorFigures, error) {
	f, err := one(ctx, r.run, scanFigures, `SELECT last_seen_at, usual_seconds, error_at, error_operation, error_status,
		error_scim_type, error_shape, error_request_id FROM scim_connector_figures WHERE connector_id = $1`, id)
	if tenure.IsKind(err, tenure.NotFound) {
		err = nil // nothing came yet
	}
	if err != nil {
		return f, err
	}
	f.Counts, err = many(ctx, r.run, func(row scanner) (tenure.OperationCount, error) {
		var c tenure.OperationCount
		err := row.Scan(&c.Operation, &c.OK, &c.Failed)
		return c, err
	}, `SELECT operation, ok, failed FROM scim_connector_counts WHERE connector_id = $1 ORDER BY operation`, id)
	return f, err
}

func scanFigures(row scanner) (tenure.ConnectorFigures, error) {
	var f tenure.ConnectorFigures
	var e tenure.ConnectorError
	var usual float64
	err := row.Scan(into(&f.LastSeenAt), &usual, into(&e.At), &e.Operation, &e.Status, &e.ScimType, &e.Shape, &e.RequestID)
	f.Usual = time.Duration(usual * float64(time.Second))
	if !e.At.IsZero() {
		f.LastError = &e
	}
	return f, err
}

// InsertConnector stores a new connector. Conflict: the name is taken.
func (tx *Tx) InsertConnector(ctx context.Context, c tenure.Connector) error {
	_, err := tx.exec(ctx, `INSERT INTO scim_connectors (id, tenant_id, name, cidrs, created_at, created_by, created_by_user) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		c.ID, c.Tenant, c.Name, formatNetworks(c.Networks), stamp(c.CreatedAt), c.CreatedBy, c.MadeBy)
	return conflict(err, "name", "a SCIM connector named %q exists already", c.Name)
}

// InsertConnectorToken stores a new token of a connector.
func (tx *Tx) InsertConnectorToken(ctx context.Context, id tenure.ConnectorID, t tenure.Token, d tenure.Digest) error {
	if err := tx.InsertToken(ctx, t, d); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO scim_connector_tokens (token_id, connector_id, created_at) VALUES ($1, $2, $3)`,
		t.ID, id, stamp(t.CreatedAt))
	return err
}

// ExpireConnectorTokens lets every token of a connector end at an instant, or
// sooner where it would have, and gives their number.
func (tx *Tx) ExpireConnectorTokens(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectorID, at time.Time) (int, error) {
	return tx.exec(ctx, `UPDATE api_tokens SET expires_at = $1 WHERE tenant_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)
		AND id IN (SELECT token_id FROM scim_connector_tokens WHERE connector_id = $3)`, stamp(at), tenant, id)
}

// RevokeConnectorTokens ends every token of a connector and gives their number.
func (tx *Tx) RevokeConnectorTokens(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectorID, by, reason string) (int, error) {
	return tx.exec(ctx, `UPDATE api_tokens SET revoked_at = $1, revoked_by = $2, revoked_reason = $3 WHERE tenant_id = $4 AND revoked_at IS NULL
		AND id IN (SELECT token_id FROM scim_connector_tokens WHERE connector_id = $5)`, stamp(tx.now), by, reason, tenant, id)
}

// DeleteConnector leaves a tombstone of a connector; its name is free again.
func (tx *Tx) DeleteConnector(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectorID, by string) error {
	return tx.execOne(ctx, `UPDATE scim_connectors SET deleted_at = $1, deleted_by = $2 WHERE tenant_id = $3 AND id = $4 AND deleted_at IS NULL`,
		stamp(tx.now), by, tenant, id)
}
