package access_test

import (
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

// The words fit the limit, and speak of a proxy to whom one let in.
func TestWordsOfFreshness(t *testing.T) {
	now := time.Date(2038, 2, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		via    string
		reauth time.Duration
		want   string
	}{
		{"oidc", time.Minute, "this needs a sign-in of the last minute; sign in again"},
		{"root", 5 * time.Minute, "this needs a sign-in of the last 5 minutes; sign in again"},
		{"proxy", 5 * time.Minute, "this needs a sign-in of the last 5 minutes; sign in again, or let the proxy assert you with the request"},
	} {
		s := tenure.Standing{
			Kind: tenure.BrowserSession, Tenant: tenure.DefaultTenant, TenantActive: true, User: "u", UserActive: true, Session: "s", Role: tenure.SuperAdmin,
			AuthAt: now.Add(-time.Hour), SeenAt: now, Via: c.via, Limits: tenure.SessionLimits{AdminIdle: time.Minute, Reauth: c.reauth},
		}
		p, err := s.Admit(now, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := access.Check(p, tenure.SetPolicy); tenure.AsError(err).Msg != c.want {
			t.Errorf("%s: %v", c.via, err)
		}
	}
}

// What people must have shown, and how lately, before they change what others
// have; by the clock, for each kind of credential.
func TestFreshness(t *testing.T) {
	now := time.Date(2038, 2, 1, 0, 0, 0, 0, time.UTC)
	limits := tenure.SessionLimits{AdminIdle: 10 * time.Minute, Reauth: 3 * time.Minute} // not the usual ones
	recent := []tenure.Action{
		tenure.CreateProvider, tenure.ChangeProvider, tenure.DeleteProvider, tenure.SetUserRole, tenure.SetMember, tenure.SetMapping, tenure.RotateRoot, tenure.SetPolicy,
		tenure.CreateConnector, tenure.RotateConnector, tenure.DeleteConnector, tenure.GrantScopes, tenure.DecideRequest,
	}
	idle := []tenure.Action{tenure.DeactivateUser, tenure.ReactivateUser, tenure.RevokeAll, tenure.RevokeAnyToken, tenure.RevokeTokens, tenure.CreateWorkspace, tenure.EndSessionsOf}
	always := []tenure.Action{tenure.ViewPages, tenure.ListUsers, tenure.ReadPolicy, tenure.RevokeToken, tenure.EndSession, tenure.ListActivity, tenure.ListSessionsOf}
	const bare = -1 << 63 // no time is told
	for name, c := range map[string]struct {
		kind           tenure.CredentialKind
		auth, seen     time.Duration // before now
		lapsed         bool
		recent, active bool // what may be done
	}{
		"just signed in":                  {kind: tenure.BrowserSession, recent: true, active: true},
		"signed in just not too long ago": {kind: tenure.BrowserSession, auth: limits.Reauth, seen: time.Second, recent: true, active: true},
		"a moment longer":                 {kind: tenure.BrowserSession, auth: limits.Reauth + 1, seen: time.Second, active: true},
		"busy all day":                    {kind: tenure.BrowserSession, auth: 10 * time.Hour, seen: time.Minute, active: true},
		"away for as long as one may":     {kind: tenure.BrowserSession, auth: time.Hour, seen: limits.AdminIdle, active: true},
		"a moment longer away":            {kind: tenure.BrowserSession, auth: time.Hour, seen: limits.AdminIdle + 1},
		"away before, and back":           {kind: tenure.BrowserSession, auth: time.Hour, seen: time.Second, lapsed: true},
		"asserted with this request":      {kind: tenure.AssertedIdentity, auth: bare, seen: time.Hour, recent: true, active: true},
		"signed, just not too long ago":   {kind: tenure.AssertedIdentity, auth: limits.Reauth, recent: true, active: true},
		"signed, a moment older":          {kind: tenure.AssertedIdentity, auth: limits.Reauth + 1, active: true},
		"the root token itself":           {kind: tenure.RootToken, auth: time.Hour, seen: time.Hour, recent: true, active: true},
		"an operator at the machine":      {kind: tenure.Operator, auth: time.Hour, seen: time.Hour, recent: true, active: true},
		"a session that root opened":      {kind: tenure.BrowserSession, auth: time.Hour, seen: time.Second, active: true},
		"a clock that was set back":       {kind: tenure.BrowserSession, auth: -time.Minute, seen: -time.Minute, recent: true, active: true},
		"long ago, in another decade":     {kind: tenure.BrowserSession, auth: 90000 * time.Hour, seen: 90000 * time.Hour},
	} {
		s := tenure.Standing{
			Kind: c.kind, Tenant: tenure.DefaultTenant, TenantActive: true, User: "u", UserActive: true, Session: "s", Role: tenure.SuperAdmin,
			AuthAt: now.Add(-c.auth), SeenAt: now.Add(-c.seen), Lapsed: c.lapsed, Limits: limits,
		}
		if c.auth == bare {
			s.AuthAt = time.Time{}
		}
		p, err := s.Admit(now, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range []struct {
			actions []tenure.Action
			may     bool
		}{{recent, c.recent}, {idle, c.active}, {always, true}} {
			for _, a := range set.actions {
				err := access.Check(p, a)
				if (err == nil) != set.may || err != nil && tenure.AsError(err).Code != "reauth_required" {
					t.Errorf("%s, %s: %v", name, a, err)
				}
			}
		}
	}
}
