package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

func freshDefaults(t *testing.T, f *fixture) {
	w, err := f.db.Workspace(f.ctx, tenure.DefaultTenant, "default")
	if err != nil || w.ID != tenure.DefaultWorkspace || w.Tenant != tenure.DefaultTenant {
		t.Errorf("Workspace(default) = %+v, %v", w, err)
	}
	f.mustLive("fresh")
}

func transactions(t *testing.T, f *fixture) {
	failed := errors.New("changed my mind")
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.RevokeToken(ctx, f.token.Tenant, f.token.ID, "me", ""); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("Tx = %v, want the function's own error", err)
	}
	f.mustLive("after a transaction that failed")
	err = f.db.Tx(f.ctx, func(ctx context.Context, _ *store.Tx) error {
		return f.db.Tx(ctx, func(context.Context, *store.Tx) error { return nil })
	})
	if err == nil {
		t.Error("a transaction inside a transaction was not refused")
	}
	gone, cancel := context.WithCancel(f.ctx)
	cancel()
	if err := f.db.Tx(gone, func(context.Context, *store.Tx) error { t.Error("it ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Tx with a context that has ended = %v", err)
	}
}

func failAlone(t *testing.T, f *fixture) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
				if err := tx.SetMeta(ctx, fmt.Sprint("k", i), "v"); err != nil {
					return err
				}
				if i%2 == 1 {
					return errors.New("odd")
				}
				return nil
			})
			if (err != nil) != (i%2 == 1) {
				t.Errorf("transaction %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range 32 {
		v, err := f.db.Meta(f.ctx, fmt.Sprint("k", i))
		if err != nil || (v == "v") != (i%2 == 0) {
			t.Errorf("k%d = %q, %v", i, v, err)
		}
	}
}

func manyWriters(t *testing.T, f *fixture) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				f.mint(f.user)
			}
		})
	}
	wg.Wait()
	rows, err := f.db.Tokens(f.ctx, store.TokenFilter{Tenant: tenure.DefaultTenant, User: f.user.ID, Limit: 1000})
	if err != nil || len(rows) != 201 {
		t.Errorf("%d tokens, want 201 (%v)", len(rows), err)
	}
}

// panics of a transaction, as a fault of ours would be, are errors and leave nothing behind.
func panics(t *testing.T, f *fixture) {
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SetMeta(ctx, "half", "done"); err != nil {
			return err
		}
		panic("oh")
	})
	if err == nil || !strings.Contains(err.Error(), "oh") {
		t.Errorf("Tx = %v", err)
	}
	if v, err := f.db.Meta(f.ctx, "half"); v != "" || err != nil {
		t.Errorf("half = %q, %v", v, err)
	}
	f.mint(f.user)
}

func uniqueNames(t *testing.T, f *fixture) {
	for _, name := range []string{"alice@example.com", "ALICE@EXAMPLE.COM", f.user.UserName} {
		err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertUser(ctx, person(tx.Now(), tenure.DefaultTenant, name))
		})
		if !tenure.IsKind(err, tenure.Conflict) || tenure.AsError(err).Code != "uniqueness" {
			t.Errorf("a second %s: %v", name, err)
		}
		u, err := f.db.UserByName(f.ctx, tenure.DefaultTenant, name)
		if err != nil || u.ID != f.user.ID || u.UserName != f.user.UserName {
			t.Errorf("UserByName(%s) = %+v, %v", name, u, err)
		}
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for _, name := range []string{"müller@x.org", "MÜLLER@X.ORG", "Müller@x.org", "mÜller@x.org", "müller@X.org", "müLLer@x.org", "müller@x.ORG", "MüLLER@x.org"} {
		wg.Go(func() {
			err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertUser(ctx, person(tx.Now(), tenure.DefaultTenant, name))
			})
			switch {
			case err == nil:
				won.Add(1)
			case !tenure.IsKind(err, tenure.Conflict):
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of eight spellings of one name were created", won.Load())
	}
}

func tombstones(t *testing.T, f *fixture) {
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.SetActive(ctx, f.user.Tenant, f.user.ID, false, "scim", "deleted"); err != nil {
			return err
		}
		return tx.DeleteUser(ctx, f.user.Tenant, f.user.ID)
	})
	f.mustDie("after deletion")
	if _, err := f.db.User(f.ctx, f.user.Tenant, f.user.ID); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("the old id: %v", err)
	}
	var again tenure.User
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		again = person(tx.Now(), f.user.Tenant, f.user.UserName)
		return tx.InsertUser(ctx, again)
	})
	rows, err := f.db.Tokens(f.ctx, store.TokenFilter{Tenant: f.user.Tenant, User: again.ID, Limit: 10})
	if err != nil || len(rows) != 0 {
		t.Errorf("the new user inherited %d tokens (%v)", len(rows), err)
	}
	f.mustDie("after the name was given again")
}

func deactivation(t *testing.T, f *fixture) {
	var ended tenure.Ended
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		var err error
		ended, err = tx.SetActive(ctx, f.user.Tenant, f.user.ID, false, "scim:okta", "gone")
		return err
	})
	if ended.Tokens != 1 || ended.Sessions != 1 {
		t.Errorf("ended %+v", ended)
	}
	f.mustDie("deactivated")
	row, err := f.db.Token(f.ctx, f.token.Tenant, f.token.ID)
	if err != nil || row.RevokedBy != "scim:okta" || row.RevokedReason != "gone" || row.RevokedAt.IsZero() {
		t.Errorf("the token's row tells %+v, %v", row, err)
	}
	u, err := f.db.User(f.ctx, f.user.Tenant, f.user.ID)
	if err != nil || u.Active || u.DeactivatedAt.IsZero() || u.Version <= f.user.Version {
		t.Errorf("the user's row tells %+v, %v", u, err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SetActive(ctx, f.user.Tenant, f.user.ID, true, "scim:okta", "")
		return err
	})
	f.mustDie("reactivated")
	if u, err = f.db.User(f.ctx, f.user.Tenant, f.user.ID); err != nil || !u.Active || !u.DeactivatedAt.IsZero() {
		t.Errorf("after reactivation: %+v, %v", u, err)
	}
}

func orphans(t *testing.T, f *fixture) {
	account := func(id string) string {
		return fmt.Sprintf(`INSERT INTO service_accounts (id, tenant_id, workspace_id, name, owner_user_id, created_at)
			VALUES ('%s', 'default', 'default', '%[1]s', '%s', '2026-01-01T00:00:00Z')`, id, f.user.ID)
	}
	count := func(want int, when string) {
		t.Helper()
		if n, err := f.db.Orphans(f.ctx, tenure.DefaultTenant); n != want || err != nil {
			t.Errorf("%s: %d orphans, want %d (%v)", when, n, want, err)
		}
	}
	f.hand(account("a"))
	f.hand(account("b"))
	count(0, "before")
	var ended tenure.Ended
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		var err error
		ended, err = tx.SetActive(ctx, f.user.Tenant, f.user.ID, false, "scim", "")
		return err
	})
	if ended.Orphans != 2 {
		t.Errorf("ended %+v", ended)
	}
	count(2, "deactivated")
	f.hand(fmt.Sprintf(`UPDATE users SET active = TRUE WHERE id = '%s'`, f.user.ID))
	count(2, "reactivated")
	f.hand(`UPDATE service_accounts SET owner_user_id = 'somebody' WHERE id = 'a'`)
	count(1, "one adopted")
	f.hand(`UPDATE service_accounts SET orphaned_at = NULL`)
	f.hand(fmt.Sprintf(`UPDATE users SET active = FALSE WHERE id = '%s'`, f.user.ID))
	count(1, "deactivated by hand")
	f.hand(`UPDATE service_accounts SET orphaned_at = NULL`)
	f.hand(fmt.Sprintf(`DELETE FROM users WHERE id = '%s'`, f.user.ID))
	count(1, "deleted by hand")
}

func standings(t *testing.T, f *fixture) {
	s, err := f.db.TokenStanding(f.ctx, tenure.DigestOf(f.secret.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	if s.Kind != tenure.PAT || s.User != f.user.ID || s.UserName != f.user.UserName || !s.UserActive || s.WorkspaceRole != tenure.Member ||
		s.Workspace != tenure.DefaultWorkspace || s.Scopes != f.token.Scopes || s.Ended || s.ExpiresAt.Sub(f.token.ExpiresAt).Abs() > time.Millisecond {
		t.Errorf("standing %+v", s)
	}
	if _, err := f.db.TokenStanding(f.ctx, tenure.DigestOf("tpat_nobody")); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("unknown token: %v", err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetRole(ctx, f.user.Tenant, f.user.ID, tenure.Admin)
	})
	us, err := f.db.UserStanding(f.ctx, f.user.Tenant, f.user.ID)
	if err != nil || us.Role != tenure.Admin || us.Kind != tenure.AssertedIdentity {
		t.Errorf("user's standing %+v, %v", us, err)
	}
}

func tenants(t *testing.T, f *fixture) {
	const other tenure.TenantID = "other"
	if _, err := f.db.User(f.ctx, other, f.user.ID); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("User across tenants: %v", err)
	}
	if _, err := f.db.Token(f.ctx, other, f.token.ID); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("Token across tenants: %v", err)
	}
	if _, err := f.db.Session(f.ctx, other, f.session.ID); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("Session across tenants: %v", err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if n, err := tx.RevokeTokensOf(ctx, other, f.user.ID, "x", ""); n != 0 || err != nil {
			t.Errorf("RevokeTokensOf across tenants: %d, %v", n, err)
		}
		if was, err := tx.RevokeToken(ctx, other, f.token.ID, "x", ""); was || err != nil {
			t.Errorf("RevokeToken across tenants: %t, %v", was, err)
		}
		if _, err := tx.SetActive(ctx, other, f.user.ID, false, "x", ""); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("SetActive across tenants: %v", err)
		}
		return tx.InsertUser(ctx, person(tx.Now(), other, f.user.UserName)) // the same name is free there
	})
	f.mustLive("after another tenant tried")
}

func paging(t *testing.T, f *fixture) {
	for range 9 {
		f.mint(f.user)
	}
	seen := map[tenure.TokenID]bool{}
	for after := tenure.TokenID(""); ; {
		rows, err := f.db.Tokens(f.ctx, store.TokenFilter{Tenant: tenure.DefaultTenant, After: after, Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			if seen[r.ID] {
				t.Errorf("%s twice", r.ID)
			}
			seen[r.ID] = true
		}
		after = rows[len(rows)-1].ID
	}
	if len(seen) != 10 {
		t.Errorf("%d tokens paged, want 10", len(seen))
	}
	n, err := f.db.CountUsers(f.ctx, store.UserFilter{Tenant: tenure.DefaultTenant, UserName: "ALICE@example.com"})
	if n != 1 || err != nil {
		t.Errorf("CountUsers = %d, %v", n, err)
	}
}

func auditInTx(t *testing.T, f *fixture) {
	event := tenure.AuditEvent{Tenant: tenure.DefaultTenant, Action: "test.happened", ActorKind: "system", Outcome: "success", Detail: map[string]string{"a": "b"}}
	_ = f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Append(ctx, event); err != nil {
			t.Error(err)
		}
		return errors.New("no")
	})
	if rows, err := f.db.AuditTail(f.ctx, tenure.DefaultTenant, "test.happened", 10); err != nil || len(rows) != 0 {
		t.Errorf("an event of a failed transaction stayed: %v, %v", rows, err)
	}
	ctx := tenure.WithOrigin(f.ctx, &tenure.Origin{RequestID: "r-1", Address: "192.0.2.7"})
	if err := f.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Append(ctx, event) }); err != nil {
		t.Fatal(err)
	}
	rows, err := f.db.AuditTail(f.ctx, tenure.DefaultTenant, "test.happened", 10)
	if err != nil || len(rows) != 1 || rows[0].RequestID != "r-1" || rows[0].Address != "192.0.2.7" || rows[0].Detail["a"] != "b" || rows[0].At.IsZero() {
		t.Errorf("%+v, %v", rows, err)
	}
}
