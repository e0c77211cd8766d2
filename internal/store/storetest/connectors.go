package storetest

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// connector makes a connector with one token.
func (f *fixture) connector(tenant tenure.TenantID, name string, networks ...netip.Prefix) (tenure.Connector, tenure.Secret) {
	f.t.Helper()
	var c tenure.Connector
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		c = tenure.Connector{ID: tenure.ConnectorID(tenure.NewID(tx.Now())), Tenant: tenant, Name: name, Networks: networks, CreatedAt: tx.Now(), CreatedBy: "me"}
		return tx.InsertConnector(ctx, c)
	})
	return c, f.connectorToken(c)
}

func (f *fixture) connectorToken(c tenure.Connector) tenure.Secret {
	f.t.Helper()
	secret := tenure.NewToken(tenure.KindSCIM)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		row := tenure.Token{
			ID: tenure.TokenID(tenure.NewID(tx.Now())), Tenant: c.Tenant, Name: c.Name, Kind: tenure.KindSCIM,
			Prefix: secret.Reveal()[:tenure.TokenPrefixLength], CreatedAt: tx.Now(),
		}
		return tx.InsertConnectorToken(ctx, c.ID, row, tenure.DigestOf(secret.Reveal()))
	})
	return secret
}

func (f *fixture) stands(secret tenure.Secret) (*tenure.Standing, bool) {
	f.t.Helper()
	s, err := f.db.TokenStanding(f.ctx, tenure.DigestOf(secret.Reveal()))
	if err != nil {
		f.t.Fatal(err)
	}
	_, err = s.Admit(f.db.Now(), 0)
	return s, err == nil
}

func connectors(t *testing.T, f *fixture) {
	office := netip.MustParsePrefix("192.0.2.0/24")
	okta, secret := f.connector(tenure.DefaultTenant, "Okta", office)
	other, _ := f.connector("elsewhere", "Okta") // a tenant's names are its own
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertConnector(ctx, tenure.Connector{ID: "x", Tenant: tenure.DefaultTenant, Name: "Okta", CreatedAt: tx.Now()})
	})
	if !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("a second Okta: %v", err)
	}
	s, ok := f.stands(secret)
	if !ok || s.Kind != tenure.ConnectorToken || s.Connector != okta.ID || s.Name != "Okta" || len(s.Networks) != 1 || s.Networks[0] != office {
		t.Errorf("the token stands as %+v, %t", s, ok)
	}
	list, err := f.db.Connectors(f.ctx, tenure.DefaultTenant)
	if err != nil || len(list) != 1 || list[0].ID != okta.ID || len(list[0].Networks) != 1 || list[0].CreatedBy != "me" {
		t.Errorf("Connectors = %+v, %v", list, err)
	}
	if _, err := f.db.Connector(f.ctx, tenure.DefaultTenant, other.ID); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.RevokeConnectorTokens(ctx, okta.Tenant, okta.ID, "me", "over")
		if err != nil || n != 1 {
			return fmt.Errorf("%d revoked: %w", n, err)
		}
		return tx.DeleteConnector(ctx, okta.Tenant, okta.ID, "me")
	})
	if _, ok := f.stands(secret); ok {
		t.Error("the token of a deleted connector stands")
	}
	if list, err := f.db.Connectors(f.ctx, tenure.DefaultTenant); err != nil || len(list) != 0 {
		t.Errorf("after its end: %+v, %v", list, err)
	}
	f.connector(tenure.DefaultTenant, "Okta") // the name is free again
}

func connectorRotation(t *testing.T, f *fixture) {
	c, first := f.connector(tenure.DefaultTenant, "Okta")
	soon := f.db.Now().Add(time.Hour)
	for _, at := range []time.Time{soon, soon.Add(time.Hour)} { // the second may not give it more time
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ExpireConnectorTokens(ctx, c.Tenant, c.ID, at)
			return err
		})
	}
	second := f.connectorToken(c)
	s, ok := f.stands(first)
	if !ok || s.ExpiresAt.Sub(soon).Abs() > time.Millisecond {
		t.Errorf("the old token stands as %+v, %t", s, ok)
	}
	if s, ok := f.stands(second); !ok || !s.ExpiresAt.IsZero() {
		t.Errorf("the new token stands as %+v, %t", s, ok)
	}
	rows, err := f.db.ConnectorTokens(f.ctx, c.Tenant, c.ID)
	if err != nil || len(rows) != 2 {
		t.Errorf("%d tokens, %v", len(rows), err)
	}
	f.mustLive("of somebody else")
}

func connectorsByHand(t *testing.T, f *fixture) {
	for _, c := range []struct{ what, statement string }{
		{"deleted", `DELETE FROM scim_connectors WHERE id = '%s'`},
		{"marked as deleted", `UPDATE scim_connectors SET deleted_at = CURRENT_TIMESTAMP WHERE id = '%s'`},
		{"cut off from its tokens", `DELETE FROM scim_connector_tokens WHERE connector_id = '%s'`},
	} {
		row, secret := f.connector(tenure.DefaultTenant, c.what)
		feed := f.feed()
		f.hand(fmt.Sprintf(c.statement, row.ID))
		if changes, lost := f.next(feed); lost || !tells(changes, "connector", string(row.ID)) {
			t.Errorf("%s: the feed tells %v (lost %t)", c.what, changes, lost)
		}
		if _, ok := f.stands(secret); ok {
			t.Errorf("%s: the token stands", c.what)
		}
	}
	row, secret := f.connector(tenure.DefaultTenant, "limited")
	for cidrs, want := range map[string]bool{"192.0.2.7": true, "10.0.0.0/8, 192.0.2.0/24": true, "everywhere": false, "": true, " , ": false, "2001:db8::/32": false} {
		f.hand(fmt.Sprintf(`UPDATE scim_connectors SET cidrs = '%s' WHERE id = '%s'`, cidrs, row.ID))
		s, ok := f.stands(secret)
		if got := s.AllowsFrom(netip.MustParseAddr("192.0.2.7")); !ok || got != want {
			t.Errorf("cidrs %q: allowed %t, stands %t", cidrs, got, ok)
		}
	}
}

func connectorUse(t *testing.T, f *fixture) {
	c, _ := f.connector(tenure.DefaultTenant, "Okta")
	use := &store.ConnectorUse{DB: f.db}
	start := f.db.Now().Truncate(time.Second)
	note := func(after time.Duration, operation string, failed *tenure.ConnectorError) {
		use.Note(c.ID, tenure.ConnectorRequest{Operation: operation, At: start.Add(after), Error: failed})
	}
	figures := func() tenure.ConnectorFigures {
		t.Helper()
		if err := use.Flush(f.ctx); err != nil {
			t.Fatal(err)
		}
		got, err := f.db.ConnectorFigures(f.ctx, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := figures(); !got.LastSeenAt.IsZero() || len(got.Counts) != 0 || got.LastError != nil {
		t.Errorf("before anything: %+v", got)
	}
	feed := f.feed()
	note(0, "users.list", nil)
	note(time.Second, "users.create", nil)
	note(2*time.Second, "users.create", &tenure.ConnectorError{At: start, Operation: "users.create", Status: 409, ScimType: "uniqueness", Shape: `{"userName":string}`, RequestID: "r"})
	got := figures()
	want := []tenure.OperationCount{{Operation: "users.create", OK: 1, Failed: 1}, {Operation: "users.list", OK: 1}}
	if fmt.Sprint(got.Counts) != fmt.Sprint(want) || !got.LastSeenAt.Equal(start.Add(2*time.Second)) || got.Usual != 0 {
		t.Errorf("after the first run: %+v", got)
	}
	if e := got.LastError; e == nil || e.Status != 409 || e.ScimType != "uniqueness" || e.Shape != `{"userName":string}` || e.RequestID != "r" || !e.At.Equal(start) {
		t.Errorf("the error: %+v", e)
	}
	note(30*time.Second, "users.list", nil) // the same run still
	if got := figures(); got.Usual != 0 {
		t.Errorf("a pause of 28 s counts: %v", got.Usual)
	}
	note(30*time.Second+40*time.Minute, "users.list", nil)
	if got := figures(); got.Usual != 40*time.Minute {
		t.Errorf("after one pause of 40 min: %v", got.Usual)
	}
	note(30*time.Second+120*time.Minute, "users.list", nil)
	use.Note(c.ID, tenure.ConnectorRequest{Operation: "address", At: start.Add(time.Hour * 9), Unseen: true})
	if got := figures(); got.Usual != 50*time.Minute || !got.LastSeenAt.Equal(start.Add(30*time.Second+120*time.Minute)) {
		t.Errorf("after one of 80 min: %+v", got)
	}
	if news, err := feed.Poll(f.ctx); len(news.Changes) > 0 || news.Lost || err != nil {
		t.Errorf("figures made the feed tell %v, %v", news, err)
	}
}

func driftStream(t *testing.T, f *fixture) {
	expired, _ := f.mint(f.user)
	f.hand(fmt.Sprintf(`UPDATE api_tokens SET expires_at = '2001-01-01T00:00:00.000000Z' WHERE id = '%s'`, expired.ID))
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for i := range 3 {
			u := person(tx.Now(), tenure.DefaultTenant, fmt.Sprintf("p%d@example.com", i))
			u.Source, u.Active = tenure.SourceProxy, i > 0
			if i == 2 {
				u.Source, u.Active = tenure.SourceSCIM, false
			}
			if err := tx.InsertUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	seen := map[string]store.Glance{}
	err := f.db.EachGlance(f.ctx, tenure.DefaultTenant, func(g store.Glance) { seen[g.UserName] = g })
	if err != nil || len(seen) != 3 {
		t.Fatalf("%d people, %v: %v", len(seen), err, seen)
	}
	if g := seen[f.user.UserName]; g.ID != f.user.ID || g.Source != tenure.SourceSCIM || g.Tokens != 1 || !g.LastSeenAt.IsZero() {
		t.Errorf("%+v", g)
	}
	if g := seen["p2@example.com"]; g.ID == "" || g.Active {
		t.Errorf("whom SCIM has deactivated: %+v", g)
	}
	if g := seen["p1@example.com"]; !g.Active || g.Source != tenure.SourceProxy || g.Tokens != 0 {
		t.Errorf("%+v", g)
	}
}
