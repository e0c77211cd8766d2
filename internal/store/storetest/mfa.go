package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// secondFactors: the policy of the tenant is read with its sessions and its people, and
// what cannot be read switches nothing off; who was told to have shown one has.
func secondFactors(t *testing.T, f *fixture) {
	set := func(tenant, key, value string) {
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.SetPolicy(ctx, tenure.TenantID(tenant), key, value, "me")
		})
	}
	reads := func(of, values string, has bool) {
		t.Helper()
		s, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(f.cookie.Reveal()))
		if want := (tenure.SecondFactor{Of: of, Values: values, Has: has}); err != nil || s.Factor != want {
			t.Errorf("the session: %+v, want %+v (%v)", s.Factor, want, err)
		}
		s, err = f.db.UserStanding(f.ctx, f.user.Tenant, f.user.ID)
		if want := (tenure.SecondFactor{Of: of, Values: values}); err != nil || s.Factor != want {
			t.Errorf("the person: %+v, want %+v (%v)", s.Factor, want, err)
		}
	}
	reads("off", "mfa", false)
	set("other", "mfa", "all")
	set("default", "mfa_values", `"`)
	reads("off", "mfa", false)
	for _, unreadable := range []string{"ALL", "on", ""} { // it is no way to switch it off
		set("default", "mfa", unreadable)
		reads("all", "mfa", false)
		if p, err := f.db.Policy(f.ctx, tenure.DefaultTenant); err != nil || p.MFA != tenure.MFAAll || p.MFAValues != "mfa" {
			t.Errorf("mfa %q is read as %q by %q (%v)", unreadable, p.MFA, p.MFAValues, err)
		}
	}
	set("default", "mfa", "admin")
	reads("admin", "mfa", false)
	f.hand(`UPDATE sessions SET amr = 'pwd mfa'`)
	reads("admin", "mfa", true)
	set("default", "mfa", "all")
	set("default", "mfa_values", "hwk gold")
	reads("all", "hwk gold", false)
	f.hand(`UPDATE sessions SET acr = 'gold'`)
	reads("all", "hwk gold", true)
}

// letIn: whatever is written into the row of the exception on which a session hangs, the
// session is good as long as that is in force for its person, for a request and for an act
// that has begun; what ends the exception for good ends the session.
func letIn(t *testing.T, f *fixture) {
	now := f.db.Now()
	x := tenure.Exception{
		ID: "x", Tenant: tenure.DefaultTenant, Title: "x", Rule: tenure.RuleMFAMissing, Kind: tenure.SubjectUser, Subject: string(f.user.ID),
		Before: tenure.Risk{Likelihood: "low", Impact: "low"}, After: tenure.Risk{Likelihood: "low", Impact: "low"},
		From: now.Add(-time.Hour), ExpiresAt: now.Add(time.Hour), RemedyBy: now, RequestedAt: now,
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertException(ctx, x); err != nil {
			return err
		}
		return tx.SetPolicy(ctx, tenure.DefaultTenant, "mfa", "all", "me")
	})
	f.hand(`UPDATE exceptions SET decision = 'approved'; UPDATE sessions SET exception_id = 'x'`)
	first, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(f.cookie.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := first.Admit(now, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) string { return "'" + now.Add(d).UTC().Format(time.RFC3339Nano) + "'" }
	for _, c := range []struct {
		set   string
		lets  bool
		ended string // the reason in the session's row
	}{
		{"title = 'y'", true, ""},
		{"expires_at = " + at(-time.Second), false, ""},
		{"begins_at = " + at(time.Minute), false, ""},
		{"begins_at = " + at(-181*24*time.Hour) + ", expires_at = " + at(24*time.Hour), false, ""},
		{"failed_at = " + at(0), false, ""},
		{"rule = 'token_lifetime'", false, ""},
		{"subject_id = 'nobody'", false, ""},
		{"subject_kind = 'tenant', subject_id = 'default'", false, ""},
		{"successor = 'y'", false, ""},
		{"decision = ''", false, ""},
		{"tenant_id = 'other'", false, ""},
		{"decision = 'withdrawn'", false, "its exception was withdrawn"},
		{"revoked_at = " + at(0), false, "its exception was revoked"},
		{"remediated_at = " + at(0), false, "its exception was remediated"},
	} {
		f.hand(`UPDATE exceptions SET tenant_id = 'default', rule = 'mfa_missing', subject_kind = 'user', subject_id = '` + string(f.user.ID) + `', decision = 'approved', revoked_at = NULL,
			remediated_at = NULL, failed_at = NULL, successor = '', begins_at = ` + at(-time.Hour) + `, expires_at = ` + at(time.Hour) + `; UPDATE sessions SET ended_at = NULL, ended_by = NULL, ended_reason = NULL`)
		f.hand(`UPDATE exceptions SET ` + c.set)
		s, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(f.cookie.Reveal()))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Admit(f.db.Now(), 0)
		if (err == nil) != c.lets {
			t.Errorf("%s: admitted: %v", c.set, err)
		}
		if _, err := s.Admit(now.Add(61*time.Minute), 0); err == nil {
			t.Errorf("%s: admitted after its end", c.set)
		}
		acts := f.db.Tx(context.WithValue(f.ctx, tenure.AskerKey{}, &p), func(context.Context, *store.Tx) error { return nil })
		if (acts == nil) != c.lets {
			t.Errorf("%s: an act that has begun: %v", c.set, acts)
		}
		_, err = f.db.MFAException(f.ctx, f.user.Tenant, f.user.ID, f.db.Now())
		if (err == nil) != c.lets {
			t.Errorf("%s: a sign-in finds it: %v", c.set, err)
		}
		row, err := f.db.Session(f.ctx, f.user.Tenant, f.session.ID)
		if err != nil || row.EndReason != c.ended || row.Exception != "x" || row.ExpiresAt.After(now.Add(time.Hour)) {
			t.Errorf("%s: the row: %+v (%v)", c.set, row, err)
		}
	}
	f.hand(`UPDATE exceptions SET revoked_at = NULL, remediated_at = NULL; UPDATE sessions SET ended_at = NULL, ended_by = NULL, ended_reason = NULL; DELETE FROM exceptions`)
	if row, err := f.db.Session(f.ctx, f.user.Tenant, f.session.ID); err != nil || row.EndReason != "its exception was deleted" {
		t.Errorf("deleted: %+v (%v)", row, err)
	}
}
