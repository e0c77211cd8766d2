package storetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// oidcConnections: one a tenant, names and domains over all tenants, secrets sealed.
func oidcConnections(t *testing.T, f *fixture) {
	key := store.SealedKey{Sealed: []byte("sealed"), DataKey: []byte("data")}
	c := tenure.OIDCConnection{
		ID: "c1", Tenant: tenure.DefaultTenant, Name: "acme", Issuer: "https://a", ClientID: "x", Scopes: "openid", UserNameClaim: "email",
		Domains: []string{"acme.com", "acme.example"}, CreatedAt: f.db.Now().Truncate(time.Microsecond).UTC(), CreatedBy: "me",
	}
	insert := func(c tenure.OIDCConnection) error {
		return f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertOIDC(ctx, c, key) })
	}
	if err := insert(c); err != nil {
		t.Fatal(err)
	}
	if rows, err := f.db.OIDCConnections(f.ctx, c.Tenant); err != nil || len(rows) != 1 || !slices.Equal(rows[0].Domains, c.Domains) || rows[0].Issuer != c.Issuer || !rows[0].CreatedAt.Equal(c.CreatedAt) {
		t.Errorf("%+v, %v", rows, err)
	}
	if n, err := f.db.CountSealed(f.ctx); n != 1 || err != nil {
		t.Errorf("CountSealed = %d, %v", n, err)
	}
	if k, err := f.db.OIDCSecret(f.ctx, c.Tenant, c.ID); err != nil || string(k.Sealed) != "sealed" {
		t.Errorf("secret: %v", err)
	}
	f.hand(`INSERT INTO tenants (id, name, created_at) VALUES ('t2', 'Second', '2026-01-01T00:00:00Z')`)
	second := tenure.OIDCConnection{ID: "c2", Tenant: "t2", Name: "two", Issuer: "https://b", ClientID: "x", Scopes: "openid", UserNameClaim: "email", CreatedAt: f.db.Now()}
	for what, change := range map[string]func(*tenure.OIDCConnection){
		"a second one of a tenant":      func(c *tenure.OIDCConnection) { c.Tenant = tenure.DefaultTenant },
		"a name that is taken":          func(c *tenure.OIDCConnection) { c.Name = "acme" },
		"a domain that leads elsewhere": func(c *tenure.OIDCConnection) { c.Domains = []string{"acme.com"} },
	} {
		other := second
		change(&other)
		if err := insert(other); !tenure.IsKind(err, tenure.Conflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := insert(second); err != nil {
		t.Fatal(err)
	}
	if got, err := f.db.OIDCByDomain(f.ctx, "acme.example"); err != nil || got.ID != "c1" {
		t.Errorf("by domain: %+v, %v", got, err)
	}
	if ids, err := f.db.OIDCIDs(f.ctx); err != nil || len(ids) != 2 {
		t.Errorf("ids: %v, %v", ids, err)
	}
	for tenant, want := range map[tenure.TenantID]bool{c.Tenant: true, "t2": true, "t3": true} {
		if some, err := f.db.OIDCElsewhere(f.ctx, tenant); err != nil || some != want {
			t.Errorf("elsewhere than %s: %v, %v", tenant, some, err)
		}
	}
	f.hand(`UPDATE tenants SET active = FALSE WHERE id = 't2'`)
	if some, err := f.db.OIDCElsewhere(f.ctx, c.Tenant); err != nil || some {
		t.Errorf("elsewhere, in a tenant that is off: %v, %v", some, err)
	}
	if _, err := f.db.OIDCByName(f.ctx, "two"); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("of a tenant that is off: %v", err)
	}
	if _, err := f.db.OIDCConnection(f.ctx, "t2", "c1"); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	destroySecret(t, f, c)
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteOIDC(ctx, c.Tenant, c.ID) })
	used := func(want bool, when string) {
		t.Helper()
		if is, err := f.db.OIDCUsed(f.ctx, c.Tenant); err != nil || is != want {
			t.Errorf("used, %s: %v, %v", when, is, err)
		}
	}
	used(false, "a connection that is gone, and by nobody")
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.Link(ctx, c.Tenant, store.Subject{User: f.user.ID, Issuer: c.Issuer, Subject: "u"})
	})
	used(true, "by somebody once")
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.Unlink(ctx, c.Tenant, f.user.ID) })
	used(false, "by somebody who is unlinked")
	if _, err := f.db.OIDCByDomain(f.ctx, "acme.com"); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("a deleted one's domain: %v", err)
	}
}

// destroySecret: a secret whose key is lost goes alone, and only as it was read.
func destroySecret(t *testing.T, f *fixture, c tenure.OIDCConnection) {
	t.Helper()
	before, err := f.db.CountSealed(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := f.db.Sealed(f.ctx, "oidc_connections", "", 1)
	if err != nil || len(rows) != 1 || rows[0].ID != string(c.ID) {
		t.Fatal(rows, err)
	}
	stale := rows[0]
	stale.DataKey = []byte("another")
	for i, try := range []struct {
		row  store.SealedRow
		want bool
	}{{stale, false}, {rows[0], true}, {rows[0], false}} {
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			did, err := tx.Destroy(ctx, "oidc_connections", try.row)
			if did != try.want {
				t.Errorf("try %d: destroyed %t", i, did)
			}
			return err
		})
	}
	if k, err := f.db.OIDCSecret(f.ctx, c.Tenant, c.ID); err != nil || len(k.Sealed)+len(k.DataKey) > 0 {
		t.Errorf("it is still there: %v", err)
	}
	if after, err := f.db.CountSealed(f.ctx); err != nil || after != before-1 {
		t.Errorf("%d are sealed, of %d, %v", after, before, err)
	}
}

// onceOnly: what was used is known until it is too old, and not for ever.
func onceOnly(t *testing.T, f *fixture) {
	use := func(what string, life time.Duration) error {
		return f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.Redeem(ctx, tenure.DigestOf(what), tx.Now().Add(life))
		})
	}
	if err := use("a", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := use("a", time.Hour); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("again: %v", err)
	}
	if err := use("b", -time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := use("b", time.Hour); err != nil {
		t.Errorf("what is too old is still known: %v", err)
	}
}

// signIns: a session knows how its person showed who they are, and when.
func signIns(t *testing.T, f *fixture) {
	at := time.Date(2042, 1, 2, 3, 4, 5, 0, time.UTC)
	how := tenure.SignIn{Via: "oidc", Connection: "c1", Issuer: "https://a", Subject: "u", SID: "s", ACR: "acr", AMR: "pwd otp", AuthAt: at}
	secret := tenure.NewSessionSecret()
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertSession(ctx, tenure.Session{
			ID: "oidc", Tenant: f.user.Tenant, User: f.user.ID, SignIn: how, CreatedAt: tx.Now(), SeenAt: tx.Now(), ExpiresAt: tx.Now().Add(time.Hour),
		}, tenure.DigestOf(secret.Reveal()))
	})
	if s, err := f.db.Session(f.ctx, f.user.Tenant, "oidc"); err != nil || s.SignIn != how {
		t.Errorf("%+v, %v", s.SignIn, err)
	}
	if s, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(secret.Reveal())); err != nil || !s.AuthAt.Equal(at) {
		t.Errorf("%+v, %v", s, err)
	}
	f.hand(`UPDATE sessions SET authenticated_at = NULL, created_at = '2026-02-03T04:05:06Z' WHERE id = 'oidc'`)
	if s, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(secret.Reveal())); err != nil || s.AuthAt.Month() != time.February {
		t.Errorf("of a session of before: %+v, %v", s, err)
	}
	if rows, err := f.db.ConnectionSessions(f.ctx, f.user.Tenant, "c1"); err != nil || len(rows) != 1 {
		t.Errorf("of the connection: %d, %v", len(rows), err)
	}
	if rows, err := f.db.ProviderSessions(f.ctx, f.user.Tenant, "", "", ""); err != nil || len(rows) != 0 {
		t.Errorf("of no provider: %d, %v", len(rows), err)
	}
}

// oidcByHand: a connection or a link that a hand takes away ends the sessions that
// rest on it, and no others.
func oidcByHand(t *testing.T, f *fixture) {
	f.hand(`INSERT INTO tenants (id, name, created_at) VALUES ('t2', 'Second', '2026-01-01T00:00:00Z')`)
	open := func() {
		t.Helper()
		f.hand(`DELETE FROM sessions; DELETE FROM oidc_subjects; DELETE FROM oidc_connections`)
		for _, tenant := range []tenure.TenantID{tenure.DefaultTenant, "t2"} {
			c := tenure.OIDCConnection{ID: "c1", Tenant: tenant, Name: "acme", Issuer: "https://a", ClientID: "x", Scopes: "openid", UserNameClaim: "email", Domains: []string{"acme.com"}, CreatedAt: f.db.Now()}
			if tenant == "t2" {
				c.ID, c.Name, c.Domains = "c2", "two", nil
			}
			f.tx(func(ctx context.Context, tx *store.Tx) error {
				if err := tx.InsertOIDC(ctx, c, store.SealedKey{Sealed: []byte("sealed"), DataKey: []byte("data")}); err != nil {
					return err
				}
				user := tenure.UserID("u-" + string(tenant))
				if err := tx.Link(ctx, tenant, store.Subject{User: user, Issuer: "https://a", Subject: "s"}); err != nil {
					return err
				}
				return tx.InsertSession(ctx, tenure.Session{
					ID: tenure.SessionID(tenant), Tenant: tenant, User: user, CreatedAt: tx.Now(), SeenAt: tx.Now(), ExpiresAt: tx.Now().Add(time.Hour),
					SignIn: tenure.SignIn{Via: "oidc", Connection: c.ID, Issuer: "https://a", Subject: "s", AuthAt: tx.Now()},
				}, tenure.DigestOf(string(tenant)))
			})
		}
	}
	for statement, ends := range map[string]bool{
		`DELETE FROM oidc_connections WHERE id = 'c1'`:                                          true,
		`UPDATE oidc_connections SET issuer = 'https://b' WHERE id = 'c1'`:                      true,
		`UPDATE oidc_connections SET client_id = 'y' WHERE id = 'c1'`:                           true,
		`UPDATE oidc_connections SET id = 'c3' WHERE id = 'c1'`:                                 true,
		`UPDATE oidc_connections SET tenant_id = 't3' WHERE id = 'c1'`:                          true,
		`UPDATE oidc_connections SET scopes = 'openid email', issuer = 'https://a'`:             false,
		`DELETE FROM oidc_subjects WHERE user_id = 'u-default'`:                                 true,
		`UPDATE oidc_subjects SET subject = 'other' WHERE user_id = 'u-default'`:                true,
		`UPDATE oidc_subjects SET issuer = '', subject = user_id WHERE user_id = 'u-default'`:   true,
		`UPDATE oidc_subjects SET user_id = 'somebody' WHERE user_id = 'u-default'`:             true,
		`UPDATE oidc_subjects SET created_at = '2026-01-01T00:00:00Z', subject = subject || ''`: false,
	} {
		if ends && strings.Contains(statement, `SET id`) { // its domain would point nowhere
			statement = `DELETE FROM oidc_domains; ` + statement
		}
		open()
		feed := f.feed()
		f.hand(statement)
		changes, lost := f.next(feed)
		if told := lost || tells(changes, "session", "default"); told != ends {
			t.Errorf("%s: the feed tells %v, want the session: %v", statement, changes, ends)
		}
		for tenant, want := range map[tenure.TenantID]bool{tenure.DefaultTenant: ends, "t2": false} {
			s, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(string(tenant)))
			if err != nil || s.Ended != want {
				t.Errorf("%s: the session of %s has ended: %v, want %v (%v)", statement, tenant, s != nil && s.Ended, want, err)
			}
		}
	}
	open()
	f.hand(`DELETE FROM oidc_connections WHERE id = 'c1'`)
	f.hand(`UPDATE oidc_connections SET id = 'c1', name = 'c1' WHERE id = 'c2'`)
	if _, err := f.db.OIDCByDomain(f.ctx, "acme.com"); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("the domain of a connection that a hand deleted leads to another: %v", err)
	}
}
