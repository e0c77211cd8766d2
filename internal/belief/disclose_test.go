package belief

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// who is somebody with a role in a tenant, as they come in.
func who(t *testing.T, tenant tenure.TenantID, user tenure.UserID, role tenure.Role, change func(*tenure.Standing)) tenure.Principal {
	t.Helper()
	s := tenure.Standing{
		Kind: tenure.AssertedIdentity, Tenant: tenant, TenantActive: true, User: user, UserName: string(user), UserActive: true, Role: role,
		Limits: tenure.SessionLimits{Reauth: time.Hour, AdminIdle: time.Hour},
	}
	if change != nil {
		change(&s)
	}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Another's beliefs are read by whoever asked for an exception for that person, while it is
// in force, and by nobody else; each page is told of.
func TestDisclosed(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		session, token := person(t, s, "ada")
		bob, _ := person(t, s, "bob")
		record(t, s, token, draft("project:a", "Colour", "red"))
		grace := who(t, tenure.DefaultTenant, "grace", tenure.Admin, nil)
		low := tenure.Risk{Likelihood: "low", Impact: "low"}
		x := tenure.Exception{
			ID: "x", Tenant: tenure.DefaultTenant, Title: "x", Rule: tenure.RuleBeliefsRead, Kind: tenure.SubjectUser, Subject: string(session.User()), Before: low, After: low,
			Requester: grace.User(), RequestedBy: "grace", Decider: "heidi", DecidedBy: "heidi", RequestedAt: time.Now(), DecidedAt: time.Now(), RemedyBy: time.Now(), From: time.Now().Add(-time.Minute), ExpiresAt: time.Now().Add(time.Hour),
		}
		put := func(x tenure.Exception) {
			t.Helper()
			err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.InsertException(ctx, x); err != nil || x.Decider == "" {
					return err
				}
				return tx.ApproveException(ctx, x)
			})
			if err != nil {
				t.Fatal(x.ID, err)
			}
		}
		put(x)
		for id, change := range map[tenure.ExceptionID]func(*tenure.Exception){
			"waits":    func(x *tenure.Exception) { x.Decider = "" },
			"later":    func(x *tenure.Exception) { x.From = time.Now().Add(time.Minute) },
			"over":     func(x *tenure.Exception) { x.ExpiresAt, x.DecidedAt = time.Now().Add(-time.Second), x.From },
			"bobs":     func(x *tenure.Exception) { x.Subject = string(bob.User()) },
			"rule":     func(x *tenure.Exception) { x.Rule = tenure.RuleMFAMissing },
			"roots":    func(x *tenure.Exception) { x.Requester = "" },
			"anothers": func(x *tenure.Exception) { x.Requester = "ivan" },
		} {
			other := x
			other.ID = id
			change(&other)
			put(other)
			if page, err := s.Disclose(ctx, grace, session.User(), id, Look{Limit: 10}); !tenure.IsKind(err, tenure.Invalid) || tenure.AsError(err).Field != "exception" || len(page.Beliefs) > 0 {
				t.Errorf("%s: %d, %v", id, len(page.Beliefs), err)
			}
		}
		for name, c := range map[string]struct {
			by   tenure.Principal
			of   tenure.UserID
			by2  tenure.ExceptionID
			kind tenure.Kind
		}{
			"no exception":       {grace, session.User(), "", tenure.Invalid},
			"none that there is": {grace, session.User(), "y", tenure.Invalid},
			"for somebody else":  {grace, bob.User(), "x", tenure.Invalid},
			"nobody":             {grace, "nobody", "x", tenure.NotFound},
			"another admin":      {who(t, tenure.DefaultTenant, "heidi", tenure.Admin, nil), session.User(), "x", tenure.Invalid},
			"no admin any more":  {who(t, tenure.DefaultTenant, "grace", tenure.Member, nil), session.User(), "x", tenure.Forbidden},
			"an auditor":         {who(t, tenure.DefaultTenant, "grace", tenure.Auditor, nil), session.User(), "x", tenure.Forbidden},
			"of another tenant":  {who(t, "acme", "grace", tenure.Admin, nil), session.User(), "x", tenure.NotFound},
			"a session of a root": {who(t, tenure.DefaultTenant, "", tenure.SuperAdmin, func(s *tenure.Standing) {
				s.Kind, s.Session, s.AuthAt, s.SeenAt = tenure.BrowserSession, "s", time.Now(), time.Now()
			}), session.User(), "roots", tenure.Conflict},
			"not signed in now": {who(t, tenure.DefaultTenant, "grace", tenure.Admin, func(s *tenure.Standing) {
				s.Kind, s.Session, s.AuthAt = tenure.BrowserSession, "s", time.Now().Add(-2*time.Hour)
			}), session.User(), "x", tenure.Forbidden},
		} {
			if page, err := s.Disclose(ctx, c.by, c.of, c.by2, Look{Limit: 10}); !tenure.IsKind(err, c.kind) || len(page.Beliefs) > 0 {
				t.Errorf("%s: %d, %v", name, len(page.Beliefs), err)
			}
		}
		events := func() []tenure.AuditEvent {
			t.Helper()
			all, err := s.DB.AuditAfter(ctx, 0, []string{"beliefs.disclosed"}, 10)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if all := events(); len(all) > 0 {
			t.Errorf("%+v", all)
		}
		page, err := s.Disclose(ctx, grace, session.User(), "x", Look{Limit: 10})
		if err != nil || len(page.Beliefs) != 1 || page.Beliefs[0].Content != "red" {
			t.Errorf("%+v, %v", page, err)
		}
		if all := events(); len(all) != 1 || all[0].Actor != "grace" || all[0].ObjectID != string(session.User()) || all[0].Detail["exception"] != "x" || all[0].Detail["count"] != "1" {
			t.Errorf("%+v", all)
		}
	})
}
