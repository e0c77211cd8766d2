package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// activity is what somebody did and what was done to what is theirs: each event
// once, in the order of the log, and nothing of anybody else.
func activity(t *testing.T, f *fixture) {
	me := string(f.user.ID)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for _, e := range []tenure.AuditEvent{
			{Tenant: tenure.DefaultTenant, Action: "a", ActorID: me, ObjectID: "x"},
			{Tenant: tenure.DefaultTenant, Action: "b", ActorID: "them", ObjectID: me},
			{Tenant: tenure.DefaultTenant, Action: "not mine", ActorID: "them", ObjectID: "x"},
			{Tenant: tenure.DefaultTenant, Action: "c", ActorID: me, ObjectID: me},
			{Tenant: tenure.DefaultTenant, Action: "d", ActorID: "them", ObjectID: string(f.token.ID)},
			{Tenant: "other", Action: "not my tenant", ActorID: me, ObjectID: me},
			{Tenant: tenure.DefaultTenant, Action: "e", ActorID: "them", ObjectID: string(f.session.ID)},
			{Tenant: tenure.DefaultTenant, Action: "f", ActorID: me, ObjectID: string(f.token.ID)},
		} {
			e.ActorKind, e.Outcome = "session", "success"
			if err := tx.Append(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	var all []string
	for after, more := "", true; more; {
		rows, err := f.db.Activity(f.ctx, tenure.DefaultTenant, f.user.ID, after, 2)
		if err != nil || len(rows) > 2 {
			t.Fatalf("%d rows: %v", len(rows), err)
		}
		for _, e := range rows {
			all, after = append(all, e.Action), e.ID
		}
		more = len(rows) > 0
	}
	if want := []string{"f", "e", "d", "c", "b", "a"}; !slices.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
	if rows, err := f.db.Activity(f.ctx, tenure.DefaultTenant, f.user.ID, "no such event", 2); err != nil || len(rows) != 0 {
		t.Errorf("after what is not there: %d rows, %v", len(rows), err)
	}
}

// roleEndsSessions: whoever has a new role signs in anew, and keeps their tokens.
func roleEndsSessions(t *testing.T, f *fixture) {
	f.hand(`UPDATE users SET role = 'member'`)
	f.mustLive("the same role")
	f.hand(`UPDATE users SET role = 'auditor'`)
	if f.admitSession() == nil {
		t.Error("the session lives with a new role")
	}
	if err := f.admitToken(); err != nil {
		t.Errorf("the token is dead: %v", err)
	}
}

// sessionLimits are read with the session; what cannot be read is the default.
func sessionLimits(t *testing.T, f *fixture) {
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		for _, kv := range [][2]string{{"session_idle", "2m"}, {"session_lifetime", "30m"}, {"admin_idle", "soon"}, {"reauth", "1m"}} {
			if err := tx.SetPolicy(ctx, tenure.DefaultTenant, kv[0], kv[1], "me"); err != nil {
				return err
			}
		}
		return tx.SetPolicy(ctx, "other", "session_idle", "1m", "them")
	})
	s, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(f.cookie.Reveal()))
	want := tenure.SessionLimits{Idle: 2 * time.Minute, Life: 30 * time.Minute, AdminIdle: 15 * time.Minute, Reauth: time.Minute}
	if err != nil || s.Limits != want || s.ExpiresAt.Sub(s.AuthAt) != 30*time.Minute {
		t.Errorf("%+v, ends after %s: %v", s.Limits, s.ExpiresAt.Sub(s.AuthAt), err)
	}
}
