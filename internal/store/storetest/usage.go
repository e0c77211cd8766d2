package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// usage is counted by tenant and minute, and summed in steps.
func usage(t *testing.T, f *fixture) {
	u := &store.Usage{DB: f.db}
	hour := f.db.Now().UTC().Truncate(time.Hour)
	u.Note(tenure.DefaultTenant, hour, true, false, false)
	u.Note(tenure.DefaultTenant, hour.Add(time.Minute), true, false, true)
	u.Note(tenure.DefaultTenant, hour.Add(31*time.Minute), false, true, false)
	u.Note(tenure.DefaultTenant, hour, false, false, true) // neither asked nor refused
	u.Note("other", hour, true, true, false)
	for range 2 { // what is written is not written twice
		if err := u.Flush(f.ctx); err != nil {
			t.Fatal(err)
		}
	}
	u.Note(tenure.DefaultTenant, hour, true, false, false)
	if err := u.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := f.db.UsageSince(f.ctx, tenure.DefaultTenant, hour, 30)
	if err != nil || len(rows) != 2 || rows[0] != (tenure.Usage{Start: hour, Requests: 3, Failed: 1}) ||
		rows[1] != (tenure.Usage{Start: hour.Add(30 * time.Minute), Refused: 1}) {
		t.Errorf("%+v %v", rows, err)
	}
}

// revocations are a tenant's own; how long they took is counted.
func revocations(t *testing.T, f *fixture) {
	since := f.db.Now().Add(-time.Hour)
	if times, err := f.db.RevocationTimes(f.ctx, tenure.DefaultTenant, since); err != nil || times != (tenure.RevocationTimes{}) {
		t.Errorf("none: %+v %v", times, err)
	}
	u := &store.Usage{DB: f.db}
	for i, took := range []time.Duration{500 * time.Microsecond, 3 * time.Millisecond, 4 * time.Millisecond, 2 * time.Second} {
		u.NoteEnd(tenure.DefaultTenant, tenure.Revocation{
			At: f.db.Now().Add(time.Duration(i) * time.Millisecond), What: tenure.RevokedToken, ObjectID: "t", Object: "Laptop", Actor: "ada",
			Ended: tenure.Ended{Tokens: 1, Streams: i, Took: took},
		})
	}
	u.NoteEnd("other", tenure.Revocation{At: f.db.Now(), What: tenure.RevokedUser, Ended: tenure.Ended{Took: time.Hour}})
	if err := u.FlushEnds(ofDefault(f.ctx)); err != nil { // for a page of one tenant: of all
		t.Fatal(err)
	}
	if times, err := f.db.RevocationTimes(f.ctx, "other", since); err != nil || times.Count != 1 {
		t.Errorf("of the other tenant: %+v %v", times, err)
	}
	times, err := f.db.RevocationTimes(f.ctx, tenure.DefaultTenant, since)
	want := tenure.RevocationTimes{Count: 4, Median: 3 * time.Millisecond, Slowest: 2 * time.Second, Slower: 1}
	want.Within[0], want.Within[1] = 1, 2
	if err != nil || times != want {
		t.Errorf("%+v %v", times, err)
	}
	rows, err := f.db.Revocations(f.ctx, tenure.DefaultTenant, since, 2)
	if err != nil || len(rows) != 2 || rows[0].Ended.Streams != 3 || rows[0].Ended.Took != 2*time.Second || rows[1].Object != "Laptop" {
		t.Errorf("%+v %v", rows, err)
	}
}

// overview counts who has access, and nothing of other tenants or of what has ended.
func overview(t *testing.T, f *fixture) {
	f.mint(f.user) // the second of one person
	ended, _ := f.mint(f.user)
	a := f.account(tenure.DefaultTenant, "ci")
	f.serviceToken(a)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.RevokeToken(ctx, ended.Tenant, ended.ID, "me", "")
		return err
	})
	look := func(at time.Time) tenure.Overview {
		t.Helper()
		o, err := f.db.Overview(f.ctx, tenure.DefaultTenant, at, at.Add(-90*24*time.Hour), at.Add(7*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	now := f.db.Now()
	o := look(now)
	if o.People != 1 || o.Accounts != 1 || o.Tokens != 3 || o.Unused != 0 || o.Ages[0] != 3 || o.Drifting+o.SCIM == 0 {
		t.Errorf("%+v", o)
	}
	if o := look(now.Add(20 * 24 * time.Hour)); o.Ages[0] != 0 || o.Ages[1] != o.Tokens {
		t.Errorf("in 20 days: %+v", o)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SetActive(ctx, f.user.Tenant, f.user.ID, false, "scim", "gone")
		return err
	})
	if o := look(now); o.People != 0 || o.Tokens != 1 {
		t.Errorf("without the person: %+v", o)
	}
	if o, err := f.db.Overview(f.ctx, "other", now, now, now); err != nil || o != (tenure.Overview{}) {
		t.Errorf("of another tenant: %+v %v", o, err)
	}
}
