package store

import (
	"context"
	"fmt"

	"github.com/tenure-gateway/tenure"
)

// SealedKey is a secret as it is stored: sealed under a data key, which is wrapped by
// a key-encryption key.
type SealedKey struct {
	Sealed  []byte
	DataKey []byte
	KEK     string // what wrapped the data key; "": the file, before there were others
	Form    int    // what the text is bound to; 0: as before the installation was
}

// Bound is what a sealed secret is bound to beside the installation: in another place
// it does not open.
type Bound struct {
	Tenant     tenure.TenantID
	Workspace  tenure.WorkspaceID
	Credential string // id of the row
	Version    int64
	Provider   string // id, or what else the secret is shown to
	Purpose    string
}

// The purposes of sealed secrets.
const (
	ProviderKey      = "provider key"
	WebhookSecret    = "webhook secret"
	OIDCClientSecret = "oidc client secret"
	AuditSigningKey  = "audit signing key"
	AuditSinkSecret  = "audit sink secret"
	BeliefSecret     = "belief key"
)

// A Sealer seals one secret. It is made before the transaction that stores it, for a
// key service may take its time.
type Sealer func(secret tenure.Secret, to Bound) (SealedKey, error)

// BoundKey is what a version of a provider's key is bound to.
func BoundKey(k tenure.ProviderKey) Bound {
	return Bound{k.Tenant, k.Workspace, string(k.ID), k.Version, string(k.Provider), ProviderKey}
}

// BoundWebhook is what the secret of a tenant's webhook is bound to.
func BoundWebhook(tenant tenure.TenantID) Bound {
	return Bound{Tenant: tenant, Credential: "webhook", Purpose: WebhookSecret}
}

// BoundOIDC is what a connection's client secret is bound to.
func BoundOIDC(c tenure.OIDCConnection) Bound {
	return Bound{Tenant: c.Tenant, Credential: string(c.ID), Provider: c.Issuer, Purpose: OIDCClientSecret}
}

// BoundAuditSink is what the secret of an audit sink is bound to.
func BoundAuditSink(s tenure.AuditSink) Bound {
	return Bound{Tenant: s.Tenant, Credential: string(s.ID), Provider: s.Address, Purpose: AuditSinkSecret}
}

// BoundBeliefs is what the key of a person's beliefs is bound to.
func BoundBeliefs(k BeliefKey) Bound {
	return Bound{Tenant: k.Tenant, Credential: k.ID, Provider: string(k.User), Purpose: BeliefSecret}
}

// SealedRow is a sealed secret in its place.
type SealedRow struct {
	ID string // of its table's rows
	Bound
	SealedKey
}

// SealedTables are the tables that have sealed secrets.
func SealedTables() []string {
	return []string{"provider_keys", "webhook_secrets", "oidc_connections", "audit_keys", "audit_sinks", "belief_keys"}
}

// sealedIn says where a table of sealed secrets has what: its key, what a secret is
// bound to, and the sealed text. Every one has data_key, kek and form.
func sealedIn(table string) (id, columns, sealed string) {
	switch table {
	case "provider_keys":
		return "id", `id, tenant_id, workspace_id, id, version, provider_id, '` + ProviderKey + `'`, "key_sealed"
	case "webhook_secrets":
		return "tenant_id", `tenant_id, tenant_id, '', 'webhook', 0, '', '` + WebhookSecret + `'`, "sealed"
	case "audit_sinks":
		return "id", `id, tenant_id, '', id, 0, address, '` + AuditSinkSecret + `'`, "sealed"
	case "belief_keys":
		return "id", `id, tenant_id, '', id, 0, user_id, '` + BeliefSecret + `'`, "sealed"
	case "audit_keys":
		return "id", `id, '` + string(tenure.DefaultTenant) + `', '', id, 0, '', '` + AuditSigningKey + `'`, "sealed"
	}
	return "id", `id, tenant_id, '', id, 0, issuer, '` + OIDCClientSecret + `'`, "secret_sealed"
}

// Sealed lists the sealed secrets of a table in the order of their ids, those after
// one: the cursor. What was destroyed, or is kept elsewhere, is none.
func (r reads) Sealed(ctx context.Context, table, after string, limit int) ([]SealedRow, error) {
	id, columns, sealed := sealedIn(table)
	return many(ctx, r.run, func(row scanner) (SealedRow, error) {
		var s SealedRow
		err := row.Scan(&s.ID, &s.Tenant, &s.Workspace, &s.Credential, &s.Version, &s.Provider, &s.Purpose, &s.Sealed, &s.DataKey, &s.KEK, &s.Form)
		return s, err
	}, fmt.Sprintf(`SELECT %s, %s, data_key, kek, form FROM %s WHERE %s > $1 AND length(%[2]s) > 0 ORDER BY %[4]s LIMIT $2`, columns, sealed, table, id), after, limit)
}

// Reseal writes what a secret is sealed as anew, if it is still what was read. false:
// somebody else has changed the row.
func (tx *Tx) Reseal(ctx context.Context, table string, row SealedRow, to SealedKey) (bool, error) {
	id, _, sealed := sealedIn(table)
	set, args := `data_key = $1, kek = $2, form = $3`, []any{to.DataKey, to.KEK, to.Form, row.ID, row.DataKey, row.Sealed}
	if to.Form != row.Form { // otherwise the text stays, and nobody need forget what it opens to
		set, args = set+`, `+sealed+` = $7`, append(args, to.Sealed)
	}
	n, err := tx.exec(ctx, fmt.Sprintf(`UPDATE %s SET %s WHERE %s = $4 AND data_key = $5 AND %s = $6`, table, set, id, sealed), args...)
	return n > 0, err
}

// Destroy ends a sealed secret whose key is lost, if it is still what was read: the
// version of a provider's key is retired, the secret of a webhook removed, an OIDC
// connection or an audit sink left without one, the log's signing key retired, and a
// person's beliefs go with their key. false: somebody else has changed the row.
func (tx *Tx) Destroy(ctx context.Context, table string, row SealedRow) (bool, error) {
	statement := map[string]string{
		"provider_keys":    `UPDATE provider_keys SET state = 'retired' WHERE id = $1 AND data_key = $2`,
		"webhook_secrets":  `DELETE FROM webhook_secrets WHERE tenant_id = $1 AND data_key = $2`,
		"oidc_connections": `UPDATE oidc_connections SET secret_sealed = $3, data_key = $3, kek = '', form = 0 WHERE id = $1 AND data_key = $2`,
		"belief_keys":      `DELETE FROM belief_keys WHERE id = $1 AND data_key = $2`,
		"audit_sinks":      `UPDATE audit_sinks SET sealed = $3, data_key = $3, kek = '', form = 0 WHERE id = $1 AND data_key = $2`,
		"audit_keys":       `UPDATE audit_keys SET sealed = $3, data_key = $3, kek = '', form = 0, retired_at = $4 WHERE id = $1 AND data_key = $2`,
	}[table]
	args := []any{row.ID, row.DataKey}
	switch table {
	case "oidc_connections", "audit_sinks":
		args = append(args, []byte{})
	case "audit_keys":
		args = append(args, []byte{}, stamp(tx.now))
	}
	n, err := tx.exec(ctx, statement, args...)
	return n > 0, err
}

// SealedCount is how many secrets of a table are sealed in the same way.
type SealedCount struct {
	Table string
	KEK   string
	Form  int
	Count int
}

// SealedCounts counts what is sealed, in all tenants, by what wrapped it.
func (r reads) SealedCounts(ctx context.Context) ([]SealedCount, error) {
	var all []SealedCount
	for _, table := range SealedTables() {
		_, _, sealed := sealedIn(table)
		rows, err := many(ctx, r.run, func(row scanner) (SealedCount, error) {
			c := SealedCount{Table: table}
			err := row.Scan(&c.KEK, &c.Form, &c.Count)
			return c, err
		}, `SELECT kek, form, count(*) FROM `+table+` WHERE length(`+sealed+`) > 0 GROUP BY kek, form ORDER BY kek, form`)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// CountSealed counts the sealed secrets of all tenants: while there are any, no new
// key-encryption key may be made.
func (r reads) CountSealed(ctx context.Context) (int, error) {
	n := 0
	counts, err := r.SealedCounts(ctx)
	for _, c := range counts {
		n += c.Count
	}
	return n, err
}

// FirstMeta writes a value of the installation that has none yet, and reports whether
// it was the first.
func (tx *Tx) FirstMeta(ctx context.Context, key, value string) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, key, value)
	return n > 0, err
}

// SwapMeta replaces a value of the installation, if it is still what was read.
func (tx *Tx) SwapMeta(ctx context.Context, key, from, to string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE meta SET value = $1 WHERE key = $2 AND value = $3`, to, key, from)
	return n > 0, err
}

// DropMeta removes a value of the installation.
func (tx *Tx) DropMeta(ctx context.Context, key string) error {
	_, err := tx.exec(ctx, `DELETE FROM meta WHERE key = $1`, key)
	return err
}
