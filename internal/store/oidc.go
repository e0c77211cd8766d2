package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

const oidcColumns = `id, tenant_id, name, issuer, client_id, scopes, user_name_claim, trust_email, created_at, created_by`

func scanOIDC(row scanner) (tenure.OIDCConnection, error) {
	var c tenure.OIDCConnection
	err := row.Scan(&c.ID, &c.Tenant, &c.Name, &c.Issuer, &c.ClientID, &c.Scopes, &c.UserNameClaim, &c.TrustEmail, into(&c.CreatedAt), &c.CreatedBy)
	return c, err
}

// OIDCConnections lists the connections of a tenant by name, with their domains.
func (r reads) OIDCConnections(ctx context.Context, tenant tenure.TenantID) ([]tenure.OIDCConnection, error) {
	rows, err := many(ctx, r.run, scanOIDC, `SELECT `+oidcColumns+` FROM oidc_connections WHERE tenant_id = $1 ORDER BY name`, tenant)
	for i := range rows {
		if err == nil {
			rows[i].Domains, err = r.oidcDomains(ctx, rows[i].ID)
		}
	}
	return rows, err
}

// OIDCConnection reads one connection of a tenant. NotFound: there is none.
func (r reads) OIDCConnection(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectionID) (tenure.OIDCConnection, error) {
	c, err := one(ctx, r.run, scanOIDC, `SELECT `+oidcColumns+` FROM oidc_connections WHERE tenant_id = $1 AND id = $2`, tenant, id)
	if err == nil {
		c.Domains, err = r.oidcDomains(ctx, c.ID)
	}
	return c, err
}

func (r reads) oidcDomains(ctx context.Context, id tenure.ConnectionID) ([]string, error) {
	return many(ctx, r.run, scalar[string], `SELECT domain FROM oidc_domains WHERE connection_id = $1 ORDER BY domain`, id)
}

// OIDCByName reads the connection of that name, whichever tenant's, for somebody
// who is about to sign in by it. NotFound: there is none, or its tenant is off.
func (r reads) OIDCByName(ctx context.Context, name string) (tenure.OIDCConnection, error) {
	return one(ctx, r.run, scanOIDC, `SELECT `+oidcColumns+` FROM oidc_connections
		WHERE name = $1 AND tenant_id IN (SELECT id FROM tenants WHERE active = TRUE)`, name)
}

// OIDCByDomain is OIDCByName by a domain of e-mail addresses, in lower case.
func (r reads) OIDCByDomain(ctx context.Context, domain string) (tenure.OIDCConnection, error) {
	return one(ctx, r.run, scanOIDC, `SELECT `+oidcColumns+` FROM oidc_connections
		WHERE id = (SELECT connection_id FROM oidc_domains WHERE domain = $1) AND tenant_id IN (SELECT id FROM tenants WHERE active = TRUE)`, domain)
}

// OIDCElsewhere reports whether another tenant that stands has a connection.
func (r reads) OIDCElsewhere(ctx context.Context, than tenure.TenantID) (bool, error) {
	n, err := one(ctx, r.run, scalar[int], `SELECT count(*) FROM oidc_connections
		WHERE tenant_id <> $1 AND tenant_id IN (SELECT id FROM tenants WHERE active = TRUE)`, than)
	return n > 0, err
}

// OIDCUsed reports whether a tenant has a connection, or somebody of it ever signed
// in by one.
func (r reads) OIDCUsed(ctx context.Context, tenant tenure.TenantID) (bool, error) {
	n, err := one(ctx, r.run, scalar[int], `SELECT (SELECT count(*) FROM oidc_connections WHERE tenant_id = $1)
		+ (SELECT count(*) FROM (SELECT 1 FROM oidc_subjects WHERE tenant_id = $1 AND issuer <> '' LIMIT 1) AS first)`, tenant)
	return n > 0, err
}

// OIDCIDs gives the ids of the connections of all tenants.
func (r reads) OIDCIDs(ctx context.Context) ([]tenure.ConnectionID, error) {
	return many(ctx, r.run, scalar[tenure.ConnectionID], `SELECT id FROM oidc_connections`)
}

// OIDCSecret reads the sealed client secret of a connection.
func (r reads) OIDCSecret(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectionID) (SealedKey, error) {
	return one(ctx, r.run, func(row scanner) (SealedKey, error) {
		var k SealedKey
		err := row.Scan(&k.Sealed, &k.DataKey, &k.KEK, &k.Form)
		return k, err
	}, `SELECT secret_sealed, data_key, kek, form FROM oidc_connections WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// InsertOIDC stores a new connection. Conflict: the tenant has one, or the name or
// a domain is taken.
func (tx *Tx) InsertOIDC(ctx context.Context, c tenure.OIDCConnection, k SealedKey) error {
	if have, err := tx.OIDCConnections(ctx, c.Tenant); err != nil || len(have) > 0 {
		if err == nil {
			err = conflict(errUnique, "tenant", "the tenant signs in by the connection %q already; delete it first", have[0].Name)
		}
		return err
	}
	if _, err := tx.exec(ctx, `INSERT INTO oidc_connections (`+oidcColumns+`, secret_sealed, data_key, kek, form)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		c.ID, c.Tenant, c.Name, c.Issuer, c.ClientID, c.Scopes, c.UserNameClaim, c.TrustEmail, stamp(c.CreatedAt), c.CreatedBy, k.Sealed, k.DataKey, k.KEK, k.Form); err != nil {
		return conflict(err, "name", "the name %q is taken", c.Name)
	}
	for _, domain := range c.Domains {
		if _, err := tx.exec(ctx, `INSERT INTO oidc_domains (domain, connection_id) VALUES ($1, $2)`, domain, c.ID); err != nil {
			return conflict(err, "domains", "the domain %q leads to another connection", domain)
		}
	}
	return nil
}

// DeleteOIDC removes a connection with its domains. NotFound: there is none.
func (tx *Tx) DeleteOIDC(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectionID) error {
	if err := tx.execOne(ctx, `DELETE FROM oidc_connections WHERE tenant_id = $1 AND id = $2`, tenant, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM oidc_domains WHERE connection_id = $1`, id)
	return err
}

// Subject is who a person is to an OpenID provider.
type Subject struct {
	User    tenure.UserID
	Issuer  string
	Subject string
}

func scanSubject(row scanner) (Subject, error) {
	var s Subject
	err := row.Scan(&s.User, &s.Issuer, &s.Subject)
	return s, err
}

// SubjectOf reads who a person is to a provider. An empty issuer: they were
// unlinked, and the next who comes by their name is they. NotFound: they never
// signed in by one.
func (r reads) SubjectOf(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) (Subject, error) {
	return one(ctx, r.run, scanSubject, `SELECT user_id, issuer, subject FROM oidc_subjects WHERE tenant_id = $1 AND user_id = $2`, tenant, user)
}

// UserBySubject gives the id of the person whom a provider calls so; they may have
// been deleted. NotFound: nobody.
func (r reads) UserBySubject(ctx context.Context, tenant tenure.TenantID, issuer, subject string) (tenure.UserID, error) {
	s, err := one(ctx, r.run, scanSubject, `SELECT user_id, issuer, subject FROM oidc_subjects
		WHERE tenant_id = $1 AND issuer = $2 AND subject = $3`, tenant, issuer, subject)
	return s.User, err
}

// Link remembers who a person is to a provider, in the place of somebody who was
// that and is gone. Conflict: the person is another subject already.
func (tx *Tx) Link(ctx context.Context, tenant tenure.TenantID, s Subject) error {
	if _, err := tx.exec(ctx, `DELETE FROM oidc_subjects WHERE tenant_id = $1 AND issuer = $2 AND subject = $3
		AND user_id NOT IN (SELECT id FROM users WHERE tenant_id = $1 AND deleted_at IS NULL)`, tenant, s.Issuer, s.Subject); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `DELETE FROM oidc_subjects WHERE tenant_id = $1 AND user_id = $2 AND issuer = ''`, tenant, s.User); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO oidc_subjects (user_id, tenant_id, issuer, subject, created_at) VALUES ($1, $2, $3, $4, $5)`,
		s.User, tenant, s.Issuer, s.Subject, stamp(tx.now))
	return conflict(err, "subject", "the person is linked to another subject")
}

// Unlink forgets who a person is to a provider, and notes that the next one may be
// taken for them.
func (tx *Tx) Unlink(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) error {
	if _, err := tx.exec(ctx, `DELETE FROM oidc_subjects WHERE tenant_id = $1 AND user_id = $2`, tenant, user); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO oidc_subjects (user_id, tenant_id, issuer, subject, created_at) VALUES ($1, $2, '', $3, $4)`,
		user, tenant, string(user), stamp(tx.now))
	return err
}

// Redeem notes that something was used that may be used once only, and forgets
// what is too old to be tried again. Conflict: it was used before.
func (tx *Tx) Redeem(ctx context.Context, d tenure.Digest, until time.Time) error {
	if _, err := tx.exec(ctx, `DELETE FROM oidc_seen WHERE until < $1`, stamp(tx.now)); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO oidc_seen (digest, until) VALUES ($1, $2)`, d.String(), stamp(until))
	return conflict(err, "", "it was used before")
}

// ProviderSessions lists the open sessions that a provider opened here, by its own
// name for a session or, without one, for a person. Both given, both must fit; a
// session of that person of which the provider told no name may be the one.
func (r reads) ProviderSessions(ctx context.Context, tenant tenure.TenantID, issuer, subject, sid string) ([]tenure.Session, error) {
	w := where{}
	w.and("s.tenant_id = ? AND s.issuer = ? AND s.issuer <> '' AND s.ended_at IS NULL", tenant, issuer)
	switch {
	case sid != "" && subject != "":
		w.and("(s.sid = ? OR s.sid = '')", sid)
	case sid != "":
		w.and("s.sid = ?", sid)
	}
	if subject != "" {
		w.and("s.subject = ?", subject)
	}
	return many(ctx, r.run, scanSession, `SELECT `+sessionColumns+w.String()+` ORDER BY s.id`, w.args...)
}

// ConnectionSessions lists the open sessions that were opened by a connection.
func (r reads) ConnectionSessions(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectionID) ([]tenure.Session, error) {
	return many(ctx, r.run, scanSession, `SELECT `+sessionColumns+`
		WHERE s.tenant_id = $1 AND s.connection_id = $2 AND s.ended_at IS NULL ORDER BY s.id`, tenant, id)
}
