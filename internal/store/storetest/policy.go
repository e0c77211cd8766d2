package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// policies are each tenant's own, and what cannot be read is not set.
func policies(t *testing.T, f *fixture) {
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for _, kv := range [][2]string{{"reuse", "alert"}, {"reuse", "end_family"}, {"rotate_every", "30d"}} {
			if err := tx.SetPolicy(ctx, tenure.DefaultTenant, kv[0], kv[1], "me"); err != nil {
				return err
			}
		}
		return tx.SetPolicy(ctx, "other", "rotation_overlap", "1h", "them")
	})
	f.hand(`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('default', 'new_member', 'emperor', '2026-01-01')`)
	rows, err := f.db.PolicyRows(f.ctx, tenure.DefaultTenant)
	if err != nil || len(rows) != 3 || rows[1].Key != "reuse" || rows[1].Value != "end_family" || rows[1].UpdatedBy != "me" || rows[1].UpdatedAt.IsZero() {
		t.Errorf("%+v %v", rows, err)
	}
	p, err := f.db.Policy(f.ctx, tenure.DefaultTenant)
	if err != nil || !p.EndReusedFamily || p.RotateEvery != 30*24*time.Hour || p.NewMember != tenure.Member || p.RotationOverlap != 24*time.Hour {
		t.Errorf("%+v %v", p, err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.UnsetPolicy(ctx, tenure.DefaultTenant, "reuse")
	})
	if p, err := f.db.Policy(f.ctx, tenure.DefaultTenant); err != nil || p.EndReusedFamily {
		t.Errorf("unset: %+v %v", p, err)
	}
}

// superAdmins are counted while they are active, in their own tenant.
func superAdmins(t *testing.T, f *fixture) {
	want := func(n int) {
		t.Helper()
		var got int
		err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			got, err = tx.CountSupers(ctx, tenure.DefaultTenant)
			return err
		})
		if err != nil || got != n {
			t.Errorf("%d super admins, want %d (%v)", got, n, err)
		}
	}
	want(0)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		other := person(tx.Now(), "other", "them@example.com")
		other.Role = tenure.SuperAdmin
		if err := tx.InsertUser(ctx, other); err != nil {
			return err
		}
		return tx.SetRole(ctx, tenure.DefaultTenant, f.user.ID, tenure.SuperAdmin)
	})
	want(1)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SetActive(ctx, tenure.DefaultTenant, f.user.ID, false, "test", "left")
		return err
	})
	want(0)
}

// lapses mark one session, and stay.
func lapses(t *testing.T, f *fixture) {
	_, other := f.signIn(f.user)
	for range 2 {
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			if err := tx.LapseSession(ctx, "other", f.session.ID); err != nil {
				return err
			}
			s, err := tx.SessionStanding(ctx, tenure.DigestOf(other.Reveal()))
			if err != nil || s.Lapsed {
				t.Errorf("another session: %+v %v", s, err)
			}
			return tx.LapseSession(ctx, tenure.DefaultTenant, f.session.ID)
		})
	}
	s, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(f.cookie.Reveal()))
	if err != nil || !s.Lapsed || s.Ended {
		t.Errorf("%+v %v", s, err)
	}
}

// eventCounts are of one tenant, one kind and one span of time.
func eventCounts(t *testing.T, f *fixture) {
	start := f.db.Now()
	if n, last, err := f.db.CountEvents(f.ctx, tenure.DefaultTenant, "x.done", start.Add(-time.Hour)); n != 0 || !last.IsZero() || err != nil {
		t.Errorf("none: %d %s %v", n, last, err)
	}
	for _, e := range []tenure.AuditEvent{
		{Tenant: tenure.DefaultTenant, Action: "x.done"},
		{Tenant: tenure.DefaultTenant, Action: "x.done"},
		{Tenant: tenure.DefaultTenant, Action: "y.done"},
		{Tenant: "other", Action: "x.done"},
	} {
		f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.Append(ctx, e) })
	}
	n, last, err := f.db.CountEvents(f.ctx, tenure.DefaultTenant, "x.done", start.Add(-time.Hour))
	if n != 2 || last.Before(start.Truncate(time.Second)) || err != nil {
		t.Errorf("%d, last %s (%v)", n, last, err)
	}
	if n, _, err := f.db.CountEvents(f.ctx, tenure.DefaultTenant, "x.done", f.db.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("of the future: %d %v", n, err)
	}
}
