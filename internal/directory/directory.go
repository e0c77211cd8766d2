// Package directory keeps people and where they belong: tenants, workspaces,
// groups, who is what in them, and the browser sessions that people have open. It
// owns every way in which a person comes, changes and goes, and ends what a person
// carries when they go.
//
// It does not mint or resolve access tokens (internal/token does) and speaks no
// protocol: SCIM, the dashboard and the command line all end here.
package directory

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Directory is the act on people. Its fields are set before first use.
type Directory struct {
	DB   *store.DB
	Live *live.Live
	Uses *store.LastUse
	// Usage holds the figures that an Overview shows.
	Usage *store.Usage
	// ModelUse holds what models used and is not written yet.
	ModelUse *store.ModelUse
	// Admins are the folded userNames that hold the role super_admin of the
	// default tenant from their first sign-in.
	Admins map[string]bool
	// RequireSCIM refuses people whom SCIM never provisioned.
	RequireSCIM bool
	// SessionIdle and SessionLife are the limits of a browser session.
	SessionIdle time.Duration
	SessionLife time.Duration
	// RootStands answers an error when the root token of that digest does not
	// stand any more: the sessions that it opened end with it.
	RootStands func(context.Context, tenure.Digest) error
}

// Provision makes a person whom the identity provider knows. Conflict: the
// userName is taken, in any case of its letters.
func (d *Directory) Provision(ctx context.Context, by tenure.Principal, u tenure.User) (tenure.User, error) {
	if err := access.Check(by, tenure.ProvisionUser); err != nil {
		return tenure.User{}, err
	}
	if err := checkUserName(u.UserName); err != nil {
		return tenure.User{}, err
	}
	err := d.DB.TxShared(ctx, func(ctx context.Context, tx *store.Tx) error {
		u = newUser(tx.Now(), by.Tenant(), u)
		return insert(ctx, tx, by, u)
	})
	if err != nil {
		return tenure.User{}, fmt.Errorf("provision user: %w", err)
	}
	return u, nil
}

func checkUserName(name string) error {
	bad := name == "" || strings.TrimSpace(name) != name || tenure.MentionsToken(name) || len(name) > tenure.MaxUserName || !utf8.ValidString(name)
	for _, r := range name {
		bad = bad || !unicode.IsPrint(r)
	}
	if bad {
		return &tenure.Error{
			Kind: tenure.Invalid, Code: "invalidValue", Field: "userName",
			Msg: fmt.Sprintf("userName: expected 1 to %d bytes of printable text, without spaces around it", tenure.MaxUserName),
		}
	}
	return nil
}

// Update changes a person by edit, all or nothing. edit gets the person as they
// are and changes what it likes but the identifiers; when it deactivates them,
// everything that they carry ends before Update returns. edit may run twice.
func (d *Directory) Update(ctx context.Context, by tenure.Principal, id tenure.UserID, edit func(*tenure.User) error) (tenure.User, error) {
	if err := access.Check(by, tenure.UpdateUser); err != nil {
		return tenure.User{}, err
	}
	start := time.Now()
	var before, after tenure.User
	var ended tenure.Ended
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if before, err = tx.User(ctx, by.Tenant(), id); err != nil {
			return err
		}
		after = before
		after.Profile = slices.Clone(before.Profile)
		if err := edit(&after); err != nil {
			return err
		}
		if reflect.DeepEqual(before, after) {
			return nil // RFC 7644 §3.5.2: what changes nothing is no modification
		}
		if err := checkUserName(after.UserName); err != nil {
			return err
		}
		if err := tx.UpdateUser(ctx, after); err != nil {
			return err
		}
		if err := tx.Append(ctx, audit.UserUpdated(by, before, after)); err != nil {
			return err
		}
		if after.Active != before.Active {
			if ended, err = setActive(ctx, tx, by, after, after.Active, "scim"); err != nil {
				return err
			}
		}
		after, err = tx.User(ctx, by.Tenant(), id)
		return err
	})
	if err != nil {
		return tenure.User{}, fmt.Errorf("update user %s: %w", id, err)
	}
	if !before.Active || after.Active {
		d.Live.Changed(ctx, store.Change{Kind: "user", ID: string(after.ID)})
		return after, nil
	}
	d.tellEnd(ctx, by, after, d.cutUser(by, after, true, ended, start))
	return after, nil
}

// setActive switches a person in the transaction, and tells the audit log.
func setActive(ctx context.Context, tx *store.Tx, by tenure.Principal, u tenure.User, active bool, reason string) (tenure.Ended, error) {
	var ended tenure.Ended
	var err error
	if active {
		ended, err = tx.SetActive(ctx, u.Tenant, u.ID, true, by.Label(), reason)
	} else {
		ended, err = leave(ctx, tx, by, u, reason)
	}
	if err != nil {
		return ended, err
	}
	event := audit.UserReactivated(by, u)
	if !active {
		event = audit.UserDeactivated(by, u, ended, reason)
	}
	return ended, tx.Append(ctx, event)
}

// cutUser cuts, after the commit, everything that a person carries, with what the
// service accounts carry that ended along with them. It fills in how many streams
// those were and how long the act took.
func (d *Directory) cutUser(by tenure.Principal, u tenure.User, left bool, ended tenure.Ended, start time.Time) tenure.Ended {
	ended.Streams = d.Live.Cut(store.Change{Kind: "user", ID: string(u.ID)}, live.User(u.ID), tenure.ErrRevoked)
	for _, id := range ended.Accounts {
		ended.Streams += d.cutAccount(id)
	}
	ended.Took = time.Since(start)
	d.Live.Ended(u.Tenant, tenure.Revocation{What: tenure.RevokedUser, ObjectID: string(u.ID), Object: u.UserName, Actor: by.Label(), Ended: ended, Gone: left})
	return ended
}

// tellEnd tells the audit log how many streams were cut of somebody who has gone,
// and how long the act took. The act is done: that this failed changes nothing.
func (d *Directory) tellEnd(ctx context.Context, by tenure.Principal, u tenure.User, ended tenure.Ended) {
	err := d.DB.Tx(context.WithoutCancel(tenure.WithoutAsker(ctx)), func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.AccessEnded(by, u, ended.Streams, ended.Took))
	})
	if err != nil {
		d.Live.Log.Warn("audit of ended streams", "user", u.ID, "error", err)
	}
}

// Deactivate ends a person's access: every token, session and open stream. It
// is idempotent. NotFound: no such person in the tenant. Conflict: they are the
// last active super admin; the identity provider is obeyed all the same.
func (d *Directory) Deactivate(ctx context.Context, by tenure.Principal, id tenure.UserID, reason string) (tenure.User, tenure.Ended, error) {
	return d.end(ctx, by, id, tenure.DeactivateUser, func(ctx context.Context, tx *store.Tx, u tenure.User) (tenure.Ended, error) {
		if !u.Active {
			return tenure.Ended{}, nil
		}
		if err := notTheLast(ctx, tx, u); err != nil {
			return tenure.Ended{}, err
		}
		return setActive(ctx, tx, by, u, false, reason)
	})
}

// RevokeAll ends every token, session and open stream of a person who stays active.
func (d *Directory) RevokeAll(ctx context.Context, by tenure.Principal, id tenure.UserID, reason string) (tenure.User, tenure.Ended, error) {
	return d.end(ctx, by, id, tenure.RevokeAll, func(ctx context.Context, tx *store.Tx, u tenure.User) (tenure.Ended, error) {
		ended, err := tx.EndAll(ctx, u.Tenant, u.ID, by.Label(), reason)
		if err != nil {
			return ended, err
		}
		return ended, tx.Append(ctx, audit.AllRevoked(by, u, ended))
	})
}

// Remove deletes a person as RFC 7644 §3.6 has it: everything that they carry
// ends, their userName is free again, and their id is gone for good.
func (d *Directory) Remove(ctx context.Context, by tenure.Principal, id tenure.UserID) error {
	return d.RemoveIf(ctx, by, id, func(tenure.User) error { return nil })
}

// RemoveIf is Remove if allow agrees to what the person is by then.
func (d *Directory) RemoveIf(ctx context.Context, by tenure.Principal, id tenure.UserID, allow func(tenure.User) error) error {
	_, _, err := d.end(ctx, by, id, tenure.DeprovisionUser, func(ctx context.Context, tx *store.Tx, u tenure.User) (tenure.Ended, error) {
		if err := allow(u); err != nil {
			return tenure.Ended{}, err
		}
		ended, err := leave(ctx, tx, by, u, "deleted")
		if err != nil {
			return ended, err
		}
		if err := tx.DeleteUser(ctx, u.Tenant, u.ID); err != nil {
			return ended, err
		}
		return ended, tx.Append(ctx, audit.UserDeleted(by, u, ended))
	})
	return err
}

// end runs an act that ends what a person carries.
func (d *Directory) end(ctx context.Context, by tenure.Principal, id tenure.UserID, action tenure.Action,
	act func(context.Context, *store.Tx, tenure.User) (tenure.Ended, error),
) (u tenure.User, ended tenure.Ended, err error) {
	if err := access.Check(by, action); err != nil {
		return u, ended, err
	}
	start := time.Now()
	left := false // the person was active, and is gone
	err = d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if u, err = tx.User(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if err := access.Above(by, u.Role); err != nil {
			return err
		}
		if ended, err = act(ctx, tx, u); err != nil {
			return err
		}
		after, err := tx.User(ctx, by.Tenant(), id)
		left = u.Active && (err != nil || !after.Active)
		if err == nil {
			u = after // of a deleted person, the last that was known is told
		} else if !tenure.IsKind(err, tenure.NotFound) {
			return err
		}
		return nil
	})
	if err != nil {
		return tenure.User{}, tenure.Ended{}, fmt.Errorf("%s %s: %w", action, id, err)
	}
	ended = d.cutUser(by, u, left, ended, start)
	if left {
		d.tellEnd(ctx, by, u, ended)
	}
	return u, ended, nil
}

// Reactivate lets a person sign in again. Nothing that ended comes back.
func (d *Directory) Reactivate(ctx context.Context, by tenure.Principal, id tenure.UserID) (tenure.User, error) {
	if err := access.Check(by, tenure.ReactivateUser); err != nil {
		return tenure.User{}, err
	}
	var u tenure.User
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if u, err = tx.User(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if err := access.Above(by, u.Role); err != nil || u.Active {
			return err
		}
		if _, err := setActive(ctx, tx, by, u, true, ""); err != nil {
			return err
		}
		u, err = tx.User(ctx, by.Tenant(), id)
		return err
	})
	if err != nil {
		return tenure.User{}, fmt.Errorf("reactivate user %s: %w", id, err)
	}
	d.Live.Changed(ctx, store.Change{Kind: "user", ID: string(u.ID)})
	return u, nil
}

// User reads a person.
func (d *Directory) User(ctx context.Context, by tenure.Principal, id tenure.UserID) (tenure.User, error) {
	if by.User() != id {
		if err := access.Check(by, tenure.ReadUser); err != nil && access.Check(by, tenure.ReadSCIM) != nil {
			return tenure.User{}, err
		}
	}
	return d.DB.User(ctx, by.Tenant(), id)
}

// UserFilter chooses people.
type UserFilter = store.UserFilter

// Now is the clock of the directory.
func (d *Directory) Now() time.Time { return d.DB.Now() }

// Users lists people of the asker's tenant and tells how many the filter finds.
func (d *Directory) Users(ctx context.Context, by tenure.Principal, f UserFilter) ([]tenure.User, int, error) {
	if err := access.Check(by, tenure.ListUsers); err != nil && access.Check(by, tenure.ReadSCIM) != nil {
		return nil, 0, err
	}
	f.Tenant = by.Tenant()
	users := []tenure.User{}
	if f.Limit > 0 {
		var err error
		if users, err = d.DB.Users(ctx, f); err != nil {
			return nil, 0, err
		}
		if f.Uncounted {
			return users, 0, nil
		}
		if whole(f.After == "" && f.Place == (store.Place{}), f.Offset, f.Limit, len(users)) {
			return users, f.Offset + len(users), nil
		}
	}
	f.Place, f.After = store.Place{}, "" // the total is that of the whole list
	total, err := d.DB.CountUsers(ctx, f)
	return users, total, err
}

// whole reports whether a page of n rows tells how long the list is: it is the
// last one, and it is known how many are before it.
func whole(counted bool, offset, limit, n int) bool {
	return counted && n < limit && (n > 0 || offset == 0)
}
