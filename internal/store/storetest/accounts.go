package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// account makes a service account that the fixture's person answers for.
func (f *fixture) account(tenant tenure.TenantID, name string) tenure.ServiceAccount {
	f.t.Helper()
	var a tenure.ServiceAccount
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		a = tenure.ServiceAccount{
			ID: tenure.ServiceAccountID(tenure.NewID(tx.Now())), Tenant: tenant, Workspace: spaceOf(tenant), Name: name, About: "x",
			Owner: f.user.ID, CreatedAt: tx.Now(), CreatedBy: "grace", ExpiresAt: tx.Now().Add(time.Hour),
		}
		return tx.InsertAccount(ctx, a)
	})
	return a
}

func (f *fixture) serviceToken(a tenure.ServiceAccount) (tenure.Token, tenure.Secret) {
	f.t.Helper()
	secret := tenure.NewToken(tenure.KindService)
	row := tenure.Token{
		Tenant: a.Tenant, Workspace: a.Workspace, ServiceAccount: a.ID, Name: "job", Kind: tenure.KindService,
		Prefix: secret.Reveal()[:tenure.TokenPrefixLength], Scopes: tenure.ScopeChat,
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		row.ID, row.CreatedAt, row.ExpiresAt = tenure.TokenID(tenure.NewID(tx.Now())), tx.Now(), tx.Now().Add(time.Hour)
		row.Family = row.ID
		return tx.InsertToken(ctx, row, tenure.DigestOf(secret.Reveal()))
	})
	return row, secret
}

func (f *fixture) readAccount(a tenure.ServiceAccount) tenure.ServiceAccount {
	f.t.Helper()
	got, err := f.db.Account(f.ctx, a.Tenant, a.ID, f.db.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

func accounts(t *testing.T, f *fixture) {
	a := f.account(tenure.DefaultTenant, "nightly")
	_, secret := f.serviceToken(a)
	got := f.readAccount(a)
	if got.Name != "nightly" || got.OwnerName != f.user.UserName || !got.OwnerActive || got.Tokens != 1 || !got.ExpiresAt.Equal(a.ExpiresAt.Truncate(time.Microsecond)) || got.State(f.db.Now()) != "active" {
		t.Errorf("read %+v", got)
	}
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		again := a
		again.ID = "another"
		return tx.InsertAccount(ctx, again)
	})
	if !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("the same name twice: %v", err)
	}
	if _, err := f.db.Account(f.ctx, "other", a.ID, f.db.Now()); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("from another tenant: %v", err)
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		n, was, err := tx.EndAccount(ctx, got, "grace", "over")
		if n != 1 || !was {
			t.Errorf("%d tokens ended, %t", n, was)
		}
		return err
	})
	if _, ok := f.stands(secret); ok {
		t.Error("its token lives on")
	}
	got = f.readAccount(a)
	if got.State(f.db.Now()) != "ended" || got.Name != "nightly" || got.EndedBy != "grace" || got.EndReason != "over" || got.Tokens != 0 {
		t.Errorf("ended %+v", got)
	}
	f.account(tenure.DefaultTenant, "nightly") // the name is free
	f.hand(fmt.Sprintf(`UPDATE service_accounts SET active = TRUE WHERE id = '%s'`, a.ID))
	if f.readAccount(a).State(f.db.Now()) != "ended" {
		t.Error("an edit by hand revived it")
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.UpdateAccount(ctx, got); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("an ended account was changed: %v", err)
		}
		return nil
	})
	rows, err := f.db.Accounts(f.ctx, store.AccountFilter{Tenant: tenure.DefaultTenant, Limit: 10}, f.db.Now())
	if err != nil || len(rows) != 1 {
		t.Errorf("%d that go on (%v)", len(rows), err)
	}
	rows, err = f.db.Accounts(f.ctx, store.AccountFilter{Tenant: tenure.DefaultTenant, Ended: true, Limit: 10}, f.db.Now())
	if err != nil || len(rows) != 2 {
		t.Errorf("%d in all (%v)", len(rows), err)
	}
}

func accountsSeen(t *testing.T, f *fixture) {
	a := f.account(tenure.DefaultTenant, "nightly")
	see := func(want int, roles ...tenure.Role) {
		t.Helper()
		rows, err := f.db.Accounts(f.ctx, store.AccountFilter{Tenant: tenure.DefaultTenant, Seer: f.user.ID, Roles: roles, Limit: 10}, f.db.Now())
		if err != nil || len(rows) != want {
			t.Errorf("as %v: %d accounts, want %d (%v)", roles, len(rows), want, err)
		}
	}
	see(1, tenure.WorkspaceAdmin) // its owner, whatever the role
	f.hand(fmt.Sprintf(`UPDATE service_accounts SET owner_user_id = 'another' WHERE id = '%s'`, a.ID))
	see(0, tenure.WorkspaceAdmin)
	see(1, tenure.WorkspaceAdmin, tenure.Member)
	f.hand(fmt.Sprintf(`UPDATE memberships SET role = 'workspace_admin' WHERE user_id = '%s'`, f.user.ID))
	see(1, tenure.WorkspaceAdmin)
	see(0, tenure.Member) // the highest role counts
}

func accountsByHand(t *testing.T, f *fixture) {
	a := f.account(tenure.DefaultTenant, "nightly")
	_, secret := f.serviceToken(a)
	f.hand(fmt.Sprintf(`UPDATE service_accounts SET active = FALSE WHERE id = '%s'`, a.ID))
	if _, ok := f.stands(secret); ok {
		t.Error("its token lives on")
	}
	if got := f.readAccount(a); got.State(f.db.Now()) != "ended" || got.EndedBy != "database" || got.Name != "nightly" {
		t.Errorf("ended by hand: %+v", got)
	}
	b := f.account(tenure.DefaultTenant, "nightly") // the name is free
	f.hand(fmt.Sprintf(`UPDATE service_accounts SET expires_at = 'yesterday' WHERE id = '%s'`, b.ID))
	due, err := f.db.AccountsDue(f.ctx, "", f.db.Now())
	if err != nil || len(due) != 1 || due[0].ID != b.ID {
		t.Errorf("due: %+v, %v", due, err)
	}
	if theirs, err := f.db.AccountsDue(f.ctx, "elsewhere", f.db.Now()); err != nil || len(theirs) != 0 {
		t.Errorf("due in another tenant: %+v, %v", theirs, err)
	}
}

func rotations(t *testing.T, f *fixture) {
	old := f.token
	next, _ := f.mint(f.user)
	rotate := func(end time.Duration) error {
		return f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.RotateToken(ctx, old, next.ID, tx.Now().Add(end), "alice")
		})
	}
	if err := rotate(time.Minute); err != nil {
		t.Fatal(err)
	}
	got, err := f.db.Token(f.ctx, old.Tenant, old.ID)
	if err != nil || got.RotatedAt.IsZero() || got.RotatedTo != next.ID || !got.RevokedAt.IsZero() || time.Until(got.ExpiresAt) > time.Minute {
		t.Errorf("rotated %+v, %v", got, err)
	}
	f.mustLive("within the overlap")
	if err := rotate(time.Minute); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("rotated twice: %v", err)
	}
	old, f.secret = f.mint(f.user)
	if err := rotate(0); err != nil {
		t.Fatal(err)
	}
	if f.admitToken() == nil {
		t.Error("rotated without an overlap, the old secret is good")
	}
	old, _ = f.mint(f.user)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.RevokeToken(ctx, old.Tenant, old.ID, "alice", "lost")
		return err
	})
	if err := rotate(time.Minute); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("rotated after it was revoked: %v", err)
	}
}

func tokenRequests(t *testing.T, f *fixture) {
	a := f.account(tenure.DefaultTenant, "nightly")
	q := tenure.TokenRequest{
		ID: "q", Tenant: a.Tenant, Workspace: a.Workspace, Account: a.ID, Name: "watch", Scopes: tenure.ScopeUsersRead, Models: tenure.Models{"*"},
		Life: 36 * time.Hour, Reason: "why", Requester: f.user.ID, RequestedBy: f.user.UserName,
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		q.RequestedAt = tx.Now()
		return tx.InsertTokenRequest(ctx, q)
	})
	move := func(act func(context.Context, *store.Tx) error) error { return f.db.Tx(f.ctx, act) }
	collect := func(ctx context.Context, tx *store.Tx) error { return tx.CollectTokenRequest(ctx, q, "t") }
	if err := move(collect); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("collected while pending: %v", err)
	}
	decide := func(ctx context.Context, tx *store.Tx) error {
		d := q
		d.Stored, d.Decider, d.DecidedBy, d.DecidedAt, d.Decision = tenure.RequestApproved, "h", "heidi", tx.Now(), "fine"
		return tx.DecideTokenRequest(ctx, d)
	}
	if err := move(decide); err != nil {
		t.Error(err)
	}
	if err := move(decide); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("decided twice: %v", err)
	}
	got, err := f.db.TokenRequest(f.ctx, a.Tenant, "q")
	if err != nil || got.Life != q.Life || got.Scopes != q.Scopes || got.AccountName != "nightly" || got.Decision != "fine" || got.State(f.db.Now()) != tenure.RequestApproved {
		t.Errorf("read %+v, %v", got, err)
	}
	if err := move(collect); err != nil {
		t.Error(err)
	}
	if err := move(collect); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("collected twice: %v", err)
	}
	if err := move(func(ctx context.Context, tx *store.Tx) error { return tx.WithdrawTokenRequest(ctx, q) }); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("withdrawn after it was collected: %v", err)
	}
	for requester, want := range map[tenure.UserID]int{f.user.ID: 1, "": 0} {
		rows, err := f.db.TokenRequests(f.ctx, store.RequestFilter{Tenant: a.Tenant, Mine: true, Requester: requester, Limit: 10})
		if err != nil || len(rows) != want {
			t.Errorf("%d requests of %q, want %d (%v)", len(rows), requester, want, err)
		}
	}
	if _, err := f.db.TokenRequest(f.ctx, "other", "q"); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("from another tenant: %v", err)
	}
}
