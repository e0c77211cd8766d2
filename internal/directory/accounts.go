package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// The life of a service account: what it is when nothing is said, and at most.
const (
	AccountLife    = 365 * 24 * time.Hour
	MaxAccountLife = 2 * 365 * 24 * time.Hour
)

// AccountSpec says what service account to make.
type AccountSpec struct {
	Workspace string // id or name
	Name      string
	About     string
	Owner     string    // id or userName of the accountable person
	ExpiresAt time.Time // zero: AccountLife from now
}

// CreateAccount makes a service account. Invalid: the spec is wrong, and how;
// no such workspace, or none of the asker's. Conflict: the name is taken.
func (d *Directory) CreateAccount(ctx context.Context, by tenure.Principal, spec AccountSpec) (tenure.ServiceAccount, error) {
	var a tenure.ServiceAccount
	if err := access.Admits(by, tenure.CreateAccount); err != nil {
		return a, err
	}
	if err := tenure.CheckName(spec.Name, tenure.MaxName, "nightly reports"); err != nil {
		return a, err
	}
	if err := checkAbout(spec.About); err != nil {
		return a, err
	}
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ws, err := tx.Workspace(ctx, by.Tenant(), spec.Workspace)
		if err == nil {
			err = lookAfter(ctx, tx, by, tenure.CreateAccount, ws.ID)
		}
		if tenure.IsKind(err, tenure.NotFound) {
			return tenure.InvalidField("workspace", "there is no workspace %q", tenure.Shown(spec.Workspace))
		}
		if err != nil {
			return err
		}
		owner, err := accountable(ctx, tx, by.Tenant(), spec.Owner)
		if err != nil {
			return err
		}
		end := spec.ExpiresAt
		if end.IsZero() {
			end = tx.Now().Add(AccountLife)
		}
		if err := checkEnd(end, tx.Now()); err != nil {
			return err
		}
		a = tenure.ServiceAccount{
			ID: tenure.ServiceAccountID(tenure.NewID(tx.Now())), Tenant: ws.Tenant, Workspace: ws.ID, Name: spec.Name, About: spec.About,
			Owner: owner.ID, OwnerName: owner.UserName, OwnerActive: true, ExpiresAt: end, CreatedAt: tx.Now(), CreatedBy: by.Label(),
		}
		if err := tx.InsertAccount(ctx, a); err != nil {
			return err
		}
		return tx.Append(ctx, audit.AccountCreated(by, a))
	})
	if err != nil {
		return tenure.ServiceAccount{}, fmt.Errorf("create service account: %w", err)
	}
	return a, nil
}

func checkAbout(text string) error {
	if text == "" {
		return tenure.InvalidField("description", "say what the account is for, for example \"writes the nightly report; runs in the cluster ops-1\"")
	}
	return tenure.CheckText("description", text)
}

func checkEnd(end, now time.Time) error {
	if !end.After(now) || end.After(now.Add(MaxAccountLife+24*time.Hour)) {
		return tenure.InvalidField("expires_at", "the end date must be in the future, and at most %d days ahead", int(MaxAccountLife.Hours()/24))
	}
	return nil
}

// accountable finds the active person who is to answer for an account.
func accountable(ctx context.Context, tx *store.Tx, tenant tenure.TenantID, name string) (tenure.User, error) {
	u, err := tx.UserByName(ctx, tenant, name)
	if tenure.IsKind(err, tenure.NotFound) {
		u, err = tx.User(ctx, tenant, tenure.UserID(name))
	}
	if tenure.IsKind(err, tenure.NotFound) || err == nil && !u.Active {
		return u, tenure.InvalidField("owner", "an active person is needed who answers for the account; there is none with the id or userName %q", tenure.Shown(name))
	}
	return u, err
}

// roles is what lookAfter asks: of the database, or in a transaction.
type roles interface {
	RoleAndMinters(context.Context, tenure.TenantID, tenure.WorkspaceID, tenure.UserID) (tenure.Role, []tenure.Role, error)
}

// lookAfter judges an act on the service accounts of a workspace by the asker's
// role there, as r reads it.
func lookAfter(ctx context.Context, r roles, by tenure.Principal, action tenure.Action, ws tenure.WorkspaceID) error {
	role, minters, err := r.RoleAndMinters(ctx, by.Tenant(), ws, by.User())
	if err != nil {
		return err
	}
	return access.LookAfter(by, action, access.RoleIn(by, ws, role), minters)
}

// LookAfter answers nil when the asker may do an action on the service accounts of a
// workspace.
func (d *Directory) LookAfter(ctx context.Context, by tenure.Principal, action tenure.Action, ws tenure.WorkspaceID) error {
	return lookAfter(ctx, d.DB, by, action, ws)
}

// AccountSeers are the roles in a workspace whose holders see its service accounts.
func (d *Directory) AccountSeers(ctx context.Context, by tenure.Principal) ([]tenure.Role, error) {
	policy, err := d.DB.Policy(ctx, by.Tenant())
	return append([]tenure.Role{tenure.WorkspaceAdmin}, policy.ServiceMinters...), err
}

// Account reads a service account. Whoever answers for it may, wherever it lies.
// NotFound: there is none, or none that the asker may see.
func (d *Directory) Account(ctx context.Context, by tenure.Principal, id tenure.ServiceAccountID) (tenure.ServiceAccount, error) {
	a, err := d.DB.Account(ctx, by.Tenant(), id, d.DB.Now())
	if err != nil {
		return tenure.ServiceAccount{}, err
	}
	if a.Owner == by.User() && access.Admits(by, tenure.ReadAccount) == nil {
		return a, nil
	}
	if err := lookAfter(ctx, d.DB, by, tenure.ReadAccount, a.Workspace); err != nil {
		return tenure.ServiceAccount{}, err
	}
	return a, nil
}

// AccountFilter chooses service accounts.
type AccountFilter = store.AccountFilter

// Accounts lists the service accounts that the asker may see, in the order of
// their making: all of the tenant for those who may read all, else those that they
// answer for, and those of the workspaces whose accounts they look after or
// administer. Forbidden: they do so in none. NotFound: a workspace is named, and it
// is none of these.
func (d *Directory) Accounts(ctx context.Context, by tenure.Principal, f AccountFilter) ([]tenure.ServiceAccount, error) {
	if err := access.Admits(by, tenure.ListAccounts); err != nil {
		return nil, err
	}
	f.Tenant = by.Tenant()
	err := access.Check(by, tenure.ListAccounts)
	if err == nil {
		return d.DB.Accounts(ctx, f, d.DB.Now())
	}
	if by.Kind() == tenure.ServiceToken && f.Workspace == "" {
		f.Workspace = by.Workspace()
	}
	if f.Workspace != "" {
		err = lookAfter(ctx, d.DB, by, tenure.ListAccounts, f.Workspace)
	} else {
		f.Seer = by.User()
		f.Roles, err = d.lookingAfter(ctx, by, err)
	}
	if err == nil {
		return d.DB.Accounts(ctx, f, d.DB.Now())
	}
	if by.User() == "" || !tenure.IsKind(err, tenure.Forbidden) && !tenure.IsKind(err, tenure.NotFound) {
		return nil, err
	}
	f.Seer, f.Owner = "", by.User()
	rows, failed := d.DB.Accounts(ctx, f, d.DB.Now())
	if failed == nil && len(rows) == 0 && f.After == "" {
		failed = err
	}
	return rows, failed
}

// lookingAfter gives the roles in a workspace by which its accounts are seen, or
// refused when the asker has none of them anywhere.
func (d *Directory) lookingAfter(ctx context.Context, by tenure.Principal, refused error) ([]tenure.Role, error) {
	policy, err := d.DB.Policy(ctx, by.Tenant())
	if err != nil {
		return nil, err
	}
	see := append([]tenure.Role{tenure.WorkspaceAdmin}, policy.ServiceMinters...)
	own, err := d.DB.Workspaces(ctx, store.WorkspaceFilter{Tenant: by.Tenant(), User: by.User(), Limit: everyAccount})
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(own, func(w WorkspaceRole) bool { return slices.Contains(see, w.Role) }) {
		return nil, refused
	}
	return see, nil
}

// AccountChange says what to change of a service account; nil stays as it is.
type AccountChange struct {
	Owner     *string // id or userName; ends the waiting for an owner
	About     *string
	ExpiresAt *time.Time
}

// UpdateAccount changes a service account. Conflict: it has ended, or its end
// date or its grace is past: nothing revives it.
func (d *Directory) UpdateAccount(ctx context.Context, by tenure.Principal, id tenure.ServiceAccountID, c AccountChange) (tenure.ServiceAccount, error) {
	var after tenure.ServiceAccount
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		before, err := tx.Account(ctx, by.Tenant(), id, tx.Now())
		if err != nil {
			return err
		}
		if err := lookAfter(ctx, tx, by, tenure.UpdateAccount, before.Workspace); err != nil {
			return err
		}
		if s := before.State(tx.Now()); s == "ended" || s == "expired" {
			return &tenure.Error{Kind: tenure.Conflict, Code: "account_" + s, Msg: "this service account has come to its end, and nothing revives it; make a new one"}
		}
		after = before
		if err := c.apply(ctx, tx, &after); err != nil {
			return err
		}
		if err := tx.UpdateAccount(ctx, after); err != nil {
			return err
		}
		if err := tx.Append(ctx, audit.AccountUpdated(by, before, after)); err != nil {
			return err
		}
		after, err = tx.Account(ctx, by.Tenant(), id, tx.Now())
		return err
	})
	if err != nil {
		return tenure.ServiceAccount{}, fmt.Errorf("change service account %s: %w", id, err)
	}
	d.Live.Changed(ctx, store.Change{Kind: "service_account", ID: string(id)})
	return after, nil
}

func (c AccountChange) apply(ctx context.Context, tx *store.Tx, a *tenure.ServiceAccount) error {
	if c.Owner != nil {
		owner, err := accountable(ctx, tx, a.Tenant, *c.Owner)
		if err != nil {
			return err
		}
		a.Owner, a.OwnerName, a.OrphanedAt = owner.ID, owner.UserName, time.Time{}
	}
	if c.About != nil {
		if err := checkAbout(*c.About); err != nil {
			return err
		}
		a.About = *c.About
	}
	if c.ExpiresAt != nil {
		if err := checkEnd(*c.ExpiresAt, tx.Now()); err != nil {
			return err
		}
		a.ExpiresAt = *c.ExpiresAt
	}
	return nil
}

// EndAccount ends a service account, its tokens and what they carry, for good.
// Its name is free again. That it has ended already is no error.
func (d *Directory) EndAccount(ctx context.Context, by tenure.Principal, id tenure.ServiceAccountID, reason string) (tenure.Ended, error) {
	start := time.Now()
	var ended tenure.Ended
	var a tenure.ServiceAccount
	if err := tenure.CheckText("reason", reason); err != nil {
		return ended, err
	}
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		ended = tenure.Ended{}
		if a, err = tx.Account(ctx, by.Tenant(), id, tx.Now()); err != nil {
			return err
		}
		if err := lookAfter(ctx, tx, by, tenure.DeleteAccount, a.Workspace); err != nil {
			return err
		}
		ended, err = endAccount(ctx, tx, by, a, reason)
		return err
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("end service account %s: %w", id, err)
	}
	return d.cutEnded(a, by.Label(), ended, start), nil
}

// endAccount ends an account in the transaction, and tells the audit log.
func endAccount(ctx context.Context, tx *store.Tx, by tenure.Principal, a tenure.ServiceAccount, reason string) (tenure.Ended, error) {
	who := by.Label()
	if !by.Valid() {
		who = "system"
	}
	tokens, was, err := tx.EndAccount(ctx, a, who, reason)
	if err != nil || !was {
		return tenure.Ended{Tokens: tokens}, err
	}
	return tenure.Ended{Tokens: tokens, Accounts: []tenure.ServiceAccountID{a.ID}}, tx.Append(ctx, audit.AccountEnded(by, a, tokens, reason))
}

// cutEnded cuts what a service account carried that has ended.
func (d *Directory) cutEnded(a tenure.ServiceAccount, who string, ended tenure.Ended, start time.Time) tenure.Ended {
	ended.Streams = d.cutAccount(a.ID)
	ended.Took = time.Since(start)
	d.Live.Ended(a.Tenant, tenure.Revocation{What: tenure.RevokedAccount, ObjectID: string(a.ID), Object: a.Name, Actor: who, Ended: ended})
	return ended
}

func (d *Directory) cutAccount(id tenure.ServiceAccountID) int {
	return d.Live.Cut(store.Change{Kind: "service_account", ID: string(id)}, live.Account(id), tenure.ErrRevoked)
}

// leave deactivates a person, and tells of the service accounts that they leave
// behind: these wait for a new owner or, where the tenant's policy leaves no
// time for that, end.
func leave(ctx context.Context, tx *store.Tx, by tenure.Principal, u tenure.User, reason string) (tenure.Ended, error) {
	owned, err := tx.Accounts(ctx, store.AccountFilter{Tenant: u.Tenant, Owner: u.ID, Limit: everyAccount}, tx.Now())
	if err != nil {
		return tenure.Ended{}, err
	}
	ended, err := tx.SetActive(ctx, u.Tenant, u.ID, false, by.Label(), reason)
	if err != nil {
		return ended, err
	}
	ended.Orphans = 0
	for _, was := range owned {
		a, err := tx.Account(ctx, u.Tenant, was.ID, tx.Now())
		if err != nil {
			return ended, err
		}
		event := audit.AccountOrphaned(by, a)
		switch {
		case !a.EndedAt.IsZero():
			ended.Accounts, ended.Tokens = append(ended.Accounts, a.ID), ended.Tokens+was.Tokens
			event = audit.AccountEnded(by, a, was.Tokens, a.EndReason)
		case !was.OrphanedAt.IsZero():
			ended.Orphans++
			continue // it waited already
		default:
			ended.Orphans++
		}
		if err := tx.Append(ctx, event); err != nil {
			return ended, err
		}
	}
	return ended, nil
}

// everyAccount is more service accounts than one person answers for.
const everyAccount = 1_000_000
