package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

const userColumns = `id, tenant_id, user_name, display_name, external_id, active, role, source, profile, version,
	created_at, updated_at, deactivated_at, last_seen_at FROM users`

func scanUser(row scanner) (tenure.User, error) {
	var u tenure.User
	err := row.Scan(&u.ID, &u.Tenant, &u.UserName, &u.DisplayName, &u.ExternalID, &u.Active, &u.Role, &u.Source, &u.Profile,
		&u.Version, into(&u.CreatedAt), into(&u.UpdatedAt), into(&u.DeactivatedAt), into(&u.LastSeenAt))
	return u, err
}

// User reads a person by id. NotFound: no such user in the tenant, or deleted.
func (r reads) User(ctx context.Context, tenant tenure.TenantID, id tenure.UserID) (tenure.User, error) {
	return one(ctx, r.run, scanUser, `SELECT `+userColumns+` WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL`, tenant, id)
}

// UserByName reads a person by userName, without regard to case.
func (r reads) UserByName(ctx context.Context, tenant tenure.TenantID, name string) (tenure.User, error) {
	return one(ctx, r.run, scanUser, `SELECT `+userColumns+` WHERE tenant_id = $1 AND user_name_fold = $2 AND deleted_at IS NULL`,
		tenant, tenure.FoldUserName(name))
}

// WasDeleted reports whether a person of this userName was deleted.
func (r reads) WasDeleted(ctx context.Context, tenant tenure.TenantID, name string) (bool, error) {
	n, err := one(ctx, r.run, scalar[int], `SELECT count(*) FROM users WHERE tenant_id = $1 AND user_name_fold = $2 AND deleted_at IS NOT NULL`,
		tenant, tenure.FoldUserName(name))
	return n > 0, err
}

// DeletedName gives the userName, folded, of a person who was deleted. NotFound:
// there is none of this id.
func (r reads) DeletedName(ctx context.Context, tenant tenure.TenantID, id tenure.UserID) (string, error) {
	return one(ctx, r.run, scalar[string], `SELECT user_name_fold FROM users WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NOT NULL`, tenant, id)
}

// UserFilter chooses users of one tenant who are not deleted; zero fields choose all.
type UserFilter struct {
	Tenant     tenure.TenantID
	UserName   string // compared without regard to case
	ExternalID string // compared exactly
	After      tenure.UserID
	Where      *Cond // nil is no condition
	Order      Order
	Place      Place // where the list goes on, in its order
	Offset     int
	Limit      int
	Uncounted  bool // the length of the whole list is not asked for
}

func (f UserFilter) where() where {
	var w where
	w.and(`tenant_id = ?`, f.Tenant)
	w.and(`deleted_at IS NULL`)
	if f.UserName != "" {
		w.and(`user_name_fold = ?`, tenure.FoldUserName(f.UserName))
	}
	if f.ExternalID != "" {
		w.and(`external_id = ? AND external_id <> ''`, f.ExternalID) // said for the index
	}
	if f.After != "" {
		w.and(`id > ?`, f.After)
	}
	w.cond(userShape, f.Where)
	return w
}

// Users lists people in the given order; the order of their ids is that of
// their making.
func (r reads) Users(ctx context.Context, f UserFilter) ([]tenure.User, error) {
	w := f.where()
	page := w.page(userShape, f.Order, f.Place, f.Limit, f.Offset)
	return manyOf(ctx, r.run, f.Where.simple(), scanUser, `SELECT `+userColumns+w.String()+page, w.args...)
}

// CountUsers counts what Users would list without limit and offset.
func (r reads) CountUsers(ctx context.Context, f UserFilter) (int, error) {
	w := f.where()
	return count(ctx, r.run, f.Where.simple(), `SELECT count(*) FROM users`+w.String(), w.args...)
}

func count(ctx context.Context, r runner, simple bool, query string, args ...any) (int, error) {
	n, err := manyOf(ctx, r, simple, scalar[int], query, args...)
	if err != nil || len(n) == 0 {
		return 0, err
	}
	return n[0], nil
}

// UserStanding reads what is known of a person who asserts an identity.
func (r reads) UserStanding(ctx context.Context, tenant tenure.TenantID, id tenure.UserID) (*tenure.Standing, error) {
	return one(quick(ctx), r.run, func(row scanner) (*tenure.Standing, error) {
		s := tenure.Standing{Kind: tenure.AssertedIdentity}
		var mfa, mfaValues string
		err := row.Scan(&s.User, &s.Tenant, &s.TenantActive, &s.UserName, &s.UserActive, &s.Role, &s.Source, &mfa, &mfaValues)
		s.Factor = tenure.StoredFactor(mfa, mfaValues)
		return &s, err
	}, `SELECT u.id, u.tenant_id, COALESCE(n.active, FALSE), u.user_name, u.active, u.role, u.source,
		`+factorPolicy("u")+`
		FROM users u LEFT JOIN tenants n ON n.id = u.tenant_id
		WHERE u.tenant_id = $1 AND u.id = $2 AND u.deleted_at IS NULL`, tenant, id)
}

// InsertUser stores a new person. Conflict: the userName is taken.
func (tx *Tx) InsertUser(ctx context.Context, u tenure.User) error {
	taken := func(err error) error { return nameTaken(err, u.UserName) }
	err := tx.later(ctx, taken, `INSERT INTO users (id, tenant_id, user_name, user_name_fold, display_name, external_id, active, role,
		source, profile, version, created_at, updated_at, deactivated_at, last_seen_at, display_name_fold)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		u.ID, u.Tenant, u.UserName, tenure.FoldUserName(u.UserName), u.DisplayName, u.ExternalID, u.Active, u.Role,
		u.Source, profile(u), 1, stamp(u.CreatedAt), stamp(u.UpdatedAt), stamp(u.DeactivatedAt), stamp(u.LastSeenAt), tenure.FoldUserName(u.DisplayName))
	if err != nil {
		return err
	}
	return tx.insertEmails(ctx, u)
}

// UpdateUser stores everything of a person but active, which SetActive changes,
// and the tenant role, which SetRole changes. Conflict: the userName is taken.
func (tx *Tx) UpdateUser(ctx context.Context, u tenure.User) error {
	err := tx.execOne(ctx, `UPDATE users SET user_name = $1, user_name_fold = $2, display_name = $3, external_id = $4,
		source = $5, profile = $6, version = version + 1, updated_at = $7, display_name_fold = $8
		WHERE tenant_id = $9 AND id = $10 AND deleted_at IS NULL`,
		u.UserName, tenure.FoldUserName(u.UserName), u.DisplayName, u.ExternalID, u.Source, profile(u), stamp(tx.now),
		tenure.FoldUserName(u.DisplayName), u.Tenant, u.ID)
	if err != nil {
		return nameTaken(err, u.UserName)
	}
	if _, err := tx.exec(ctx, `DELETE FROM user_emails WHERE user_id = $1`, u.ID); err != nil {
		return err
	}
	return tx.insertEmails(ctx, u)
}

func profile(u tenure.User) string {
	if len(u.Profile) == 0 {
		return "{}"
	}
	return string(u.Profile)
}

func nameTaken(err error, name string) error {
	return conflict(err, "userName", "a user named %q (compared without regard to case) exists already", name)
}

// SetActive is the only place that changes whether a person is active. When it
// deactivates, it ends every token and session of the person, and flags their
// service accounts for a new owner, in the same transaction, and tells how many; when it reactivates, it revives nothing.
func (tx *Tx) SetActive(ctx context.Context, tenant tenure.TenantID, id tenure.UserID, active bool, by, reason string) (tenure.Ended, error) {
	var ended tenure.Ended
	var err error
	if !active {
		if ended, err = tx.EndAll(ctx, tenant, id, by, reason); err != nil {
			return ended, err
		}
		if ended.Orphans, err = tx.orphan(ctx, tenant, id); err != nil {
			return ended, err
		}
	}
	return ended, tx.execOne(ctx, `UPDATE users SET active = $1, deactivated_at = CASE WHEN $1 THEN NULL ELSE COALESCE(deactivated_at, $2) END, updated_at = $2, version = version + 1
		WHERE tenant_id = $3 AND id = $4 AND deleted_at IS NULL`, active, stamp(tx.now), tenant, id)
}

// orphan flags the service accounts of a person for a new owner, and gives their
// number.
func (tx *Tx) orphan(ctx context.Context, tenant tenure.TenantID, owner tenure.UserID) (int, error) {
	return tx.exec(ctx, `UPDATE service_accounts SET orphaned_at = $1 WHERE tenant_id = $2 AND owner_user_id = $3 AND orphaned_at IS NULL AND active = TRUE`,
		stamp(tx.now), tenant, owner)
}

// Orphans counts the service accounts of a tenant that wait for a new owner.
func (r reads) Orphans(ctx context.Context, tenant tenure.TenantID) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT count(*) FROM service_accounts WHERE tenant_id = $1 AND orphaned_at IS NOT NULL AND active = TRUE`, tenant)
}

// EndAll ends every token and session of a person.
func (tx *Tx) EndAll(ctx context.Context, tenant tenure.TenantID, id tenure.UserID, by, reason string) (tenure.Ended, error) {
	var ended tenure.Ended
	// Whoever gives them a token or a session at this moment writes this row too.
	_, err := tx.exec(ctx, `UPDATE users SET last_seen_at = last_seen_at WHERE tenant_id = $1 AND id = $2`, tenant, id)
	if err != nil {
		return ended, err
	}
	if ended.Tokens, err = tx.RevokeTokensOf(ctx, tenant, id, by, reason); err != nil {
		return ended, err
	}
	ended.Sessions, err = tx.EndSessionsOf(ctx, tenant, id, by, reason)
	return ended, err
}

// DeleteUser leaves a tombstone: the row stays for the audit, the userName is
// free again, the id is never given to anybody else. Memberships go, those of groups by trigger.
func (tx *Tx) DeleteUser(ctx context.Context, tenant tenure.TenantID, id tenure.UserID) error {
	if err := tx.execOne(ctx, `UPDATE users SET deleted_at = $1, updated_at = $1, profile = '{}' WHERE tenant_id = $2 AND id = $3 AND deleted_at IS NULL`,
		stamp(tx.now), tenant, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2`, tenant, id)
	return err
}

// SetRole gives a person a role in the tenant.
func (tx *Tx) SetRole(ctx context.Context, tenant tenure.TenantID, id tenure.UserID, role tenure.Role) error {
	return tx.execOne(ctx, `UPDATE users SET role = $1, updated_at = $2, version = version + 1 WHERE tenant_id = $3 AND id = $4 AND deleted_at IS NULL`,
		role, stamp(tx.now), tenant, id)
}

// CountAdministrators is how many active administrators a tenant has, super admins among
// them. Of those who count at once, one after the other decides by what they have found.
func (tx *Tx) CountAdministrators(ctx context.Context, tenant tenure.TenantID) (int, error) {
	if err := tx.alone(ctx, "supers", tenant); err != nil {
		return 0, err
	}
	return one(ctx, tx.run, scalar[int], `SELECT count(*) FROM users WHERE tenant_id = $1 AND role IN ('super_admin', 'admin') AND active = TRUE AND deleted_at IS NULL`, tenant)
}

// CountSupers is how many active super admins a tenant has. It reads by an index.
// Of those who count at once, one after the other decides by what they have found.
func (tx *Tx) CountSupers(ctx context.Context, tenant tenure.TenantID) (int, error) {
	if err := tx.alone(ctx, "supers", tenant); err != nil {
		return 0, err
	}
	return one(ctx, tx.run, scalar[int], `SELECT count(*) FROM users WHERE tenant_id = $1 AND role = 'super_admin' AND active = TRUE AND deleted_at IS NULL`, tenant)
}
