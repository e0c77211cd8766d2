package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// past lists what the fixture's person had: kind, name, way.
func (f *fixture) past() (out []string) {
	f.t.Helper()
	rows, err := f.db.Holdings(f.ctx, tenure.DefaultTenant, f.user.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, h := range rows {
		if h.Past {
			out = append(out, h.Kind+" "+h.Name+" "+h.Via)
			if h.EndedAt.IsZero() {
				f.t.Errorf("without an end: %+v", h)
			}
		}
	}
	slices.Sort(out)
	return out
}

func pastHoldings(t *testing.T, f *fixture) {
	w, g, a := f.addSpace("W"), f.addGroup("one"), f.account(tenure.DefaultTenant, "nightly")
	f.mapped(w, g, tenure.Member)
	token, _ := f.serviceToken(a)
	around, err := f.db.TokensAround(f.ctx, tenure.DefaultTenant, f.user.ID)
	if err != nil || len(around) != 2 || around[1].ID != token.ID {
		t.Errorf("tokens around: %d, %v", len(around), err)
	}
	if was := f.past(); len(was) != 0 {
		t.Errorf("before anything went: %q", was)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertProvider(ctx, tenure.Provider{
			ID: "p", Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Name: "openai", Kind: tenure.OpenAI, MadeBy: f.user.ID,
			BaseURL: "https://x/v1", CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}); err != nil {
			return err
		}
		if err := tx.DeleteProvider(ctx, tenure.DefaultTenant, "p"); err != nil {
			return err
		}
		if err := tx.DeleteGroup(ctx, g.Tenant, g.ID); err != nil {
			return err
		}
		_, _, err := tx.RemoveMembership(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace, f.user.ID, "me", "removed")
		return err
	})
	f.hand(fmt.Sprintf(`UPDATE service_accounts SET owner_user_id = 'somebody' WHERE id = '%s'`, a.ID))
	want := []string{"group one ", "membership W one", "membership default ", "provider openai ", "service_account nightly "}
	if got := f.past(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if rows, err := f.db.Holdings(f.ctx, "other", f.user.ID); err != nil || len(rows) != 0 {
		t.Errorf("to another tenant: %+v, %v", rows, err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, f.user.Tenant, f.user.ID) })
	p, err := f.db.Person(f.ctx, f.user.Tenant, "ALICE@example.com")
	if err != nil || p.ID != f.user.ID || p.DeletedAt.IsZero() {
		t.Errorf("who was deleted: %+v, %v", p, err)
	}
}

func noticesOwed(t *testing.T, f *fixture) {
	add := func(id tenure.NoticeID, dedupe string) (was bool) {
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			var err error
			was, err = tx.InsertNotice(ctx, tenure.Notice{
				ID: id, Tenant: tenure.DefaultTenant, At: tx.Now(), Kind: tenure.NoticeTest, Severity: tenure.Info, User: f.user.ID, Message: "x", Dedupe: dedupe,
			})
			return err
		})
		return was
	}
	due := func(at time.Time) int {
		t.Helper()
		rows, err := f.db.NoticesDue(f.ctx, tenure.DefaultTenant, at, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	if !add("n1", "one") || add("n2", "one") {
		t.Error("one matter is not told once")
	}
	if due(f.db.Now()) != 0 {
		t.Error("a notice is owed without a webhook")
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetPolicy(ctx, tenure.DefaultTenant, "webhook_url", "https://x", "me")
	})
	add("n3", "three")
	add("n4", "four")
	n := tenure.Notice{ID: "n3", Tenant: tenure.DefaultTenant}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		first, err := tx.ClaimNotice(ctx, n, tx.Now().Add(time.Minute))
		if err != nil {
			return err
		}
		second, err := tx.ClaimNotice(ctx, n, tx.Now().Add(time.Minute))
		if !first || second {
			t.Errorf("claimed %t, and again %t", first, second)
		}
		return err
	})
	if due(f.db.Now()) != 1 || due(f.db.Now().Add(time.Hour)) != 2 {
		t.Errorf("%d due, %d in an hour", due(f.db.Now()), due(f.db.Now().Add(time.Hour)))
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ReadNotice(ctx, "other", "n3", "me"); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("read by another tenant: %v", err)
		}
		if err := tx.ReadNotice(ctx, n.Tenant, "n3", "me"); err != nil {
			return err
		}
		if err := tx.ReadNotice(ctx, n.Tenant, "n3", "them"); err != nil {
			return err
		}
		return tx.SettleNotice(ctx, n)
	})
	got, err := f.db.Notice(f.ctx, n.Tenant, "n3")
	if err != nil || got.ReadBy != "me" || got.Attempts != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	unread, err := f.db.Notices(f.ctx, store.NoticeFilter{Tenant: n.Tenant, User: f.user.ID, Unread: true, Limit: 10})
	if err != nil || len(unread) != 2 || unread[0].ID != "n4" || due(f.db.Now().Add(time.Hour)) != 1 {
		t.Errorf("%+v, %v, %d due", unread, err, due(f.db.Now().Add(time.Hour)))
	}
}

func auditFound(t *testing.T, f *fixture) {
	ctx := tenure.WithOrigin(f.ctx, &tenure.Origin{RequestID: "r-1"})
	err := f.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, e := range []tenure.AuditEvent{
			{ActorID: "a", Actor: "anna", ObjectID: "1", Object: "one"}, {ActorID: "b", Actor: "a", ObjectID: "2", Object: "one"}, {ActorID: "c", Actor: "c", ObjectID: "one", Object: "x"},
		} {
			e.Tenant, e.Action, e.ActorKind, e.Outcome = tenure.DefaultTenant, "test.happened", "system", "success"
			if err := tx.Append(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		filter store.AuditFilter
		want   string
	}{
		"an actor":              {store.AuditFilter{Actor: "a"}, "b a "},
		"an object":             {store.AuditFilter{Object: "one"}, "c b a "},
		"the first of a page":   {store.AuditFilter{Object: "one", Limit: 2}, "c b "},
		"both":                  {store.AuditFilter{Actor: "a", Object: "2"}, "b "},
		"a request":             {store.AuditFilter{RequestID: "r-1", Actor: "c"}, "c "},
		"another request":       {store.AuditFilter{RequestID: "r-2"}, ""},
		"in another tenant":     {store.AuditFilter{Tenant: "other", Actor: "a"}, ""},
		"of another action too": {store.AuditFilter{Actor: "a", Action: "user"}, ""},
	} {
		if c.filter.Tenant == "" {
			c.filter.Tenant = tenure.DefaultTenant
		}
		if c.filter.Limit == 0 {
			c.filter.Limit = 10
		}
		rows, err := f.db.AuditEvents(f.ctx, c.filter)
		got := ""
		for _, r := range rows {
			got += r.ActorID + " "
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, want %q (%v)", what, got, c.want, err)
		}
	}
}

// movedUser is somebody whose row gets another id by hand: what they had has no
// owner, and nothing of it comes back with the id.
func movedUser(t *testing.T, f *fixture) {
	a := f.account(tenure.DefaultTenant, "nightly")
	f.hand(fmt.Sprintf(`UPDATE users SET id = 'another' WHERE id = '%s'`, f.user.ID))
	if f.readAccount(a).OrphanedAt.IsZero() {
		t.Error("the service account of who is gone waits for no owner")
	}
	f.hand(fmt.Sprintf(`UPDATE users SET id = '%s' WHERE id = 'another'`, f.user.ID))
	f.mustDie("with the old id again")
}

// toldOnce: of many who look whether something was told, and tell it if not, one
// does.
func toldOnce(t *testing.T, f *fixture) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
				told, err := tx.ToldSince(ctx, tenure.DefaultTenant, "token.reuse_detected", "x", tx.Now().Add(-time.Hour))
				if err != nil || told {
					return err
				}
				return tx.Append(ctx, tenure.AuditEvent{Tenant: tenure.DefaultTenant, Action: "token.reuse_detected", ObjectID: "x", ActorKind: "system", Outcome: "refused"})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if rows, err := f.db.AuditTail(f.ctx, tenure.DefaultTenant, "token.reuse_detected", 10); err != nil || len(rows) != 1 {
		t.Errorf("told %d times: %v", len(rows), err)
	}
}
