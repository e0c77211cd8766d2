package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

// ProviderKeyRow is a version of a key together with what is sealed of it.
type ProviderKeyRow struct {
	tenure.ProviderKey
	SealedKey
}

// Where a key is, is where its provider is: a provider that was moved by hand has none
// that open.
const providerKeyColumns = `k.id, p.tenant_id, p.workspace_id, k.provider_id, k.name, k.version, k.state, k.position, k.weight, k.reference,
	k.key_last4, k.fingerprint, k.created_by_user, k.created_by, k.created_at, k.activated_at, k.checked_at, k.check_outcome, k.check_error,
	k.retire_at, k.retired_at, k.rotate_every, k.key_sealed, k.data_key, k.kek, k.form`

const fromProviderKeys = ` FROM provider_keys k JOIN provider_credentials p ON p.id = k.provider_id `

func scanProviderKey(row scanner) (ProviderKeyRow, error) {
	var k ProviderKeyRow
	err := row.Scan(&k.ID, &k.Tenant, &k.Workspace, &k.Provider, &k.Name, &k.Version, &k.State, &k.Position, &k.Weight, &k.Reference,
		&k.Last4, &k.Fingerprint, &k.MadeBy, &k.CreatedBy, into(&k.CreatedAt), into(&k.ActivatedAt), into(&k.CheckedAt), &k.Check, &k.CheckError,
		into(&k.RetireAt), into(&k.RetiredAt), &k.RotateEvery, &k.Sealed, &k.DataKey, &k.KEK, &k.Form)
	return k, err
}

// UsableKeys lists the keys of a provider that a request may be sent with, in the order
// of their use: those in overlap are a last resort.
func (r reads) UsableKeys(ctx context.Context, tenant tenure.TenantID, provider tenure.ProviderID) ([]ProviderKeyRow, error) {
	return many(quick(ctx), r.run, scanProviderKey, `SELECT `+providerKeyColumns+fromProviderKeys+`
		WHERE p.tenant_id = $1 AND p.id = $2 AND k.state IN ('active', 'overlap') ORDER BY k.state, k.position, k.name, k.version DESC`, tenant, provider)
}

// MarkKey notes what a provider says of a key that is in use: whether it accepts it.
// It gives the key if that is news, and NotFound if it is not.
func (tx *Tx) MarkKey(ctx context.Context, provider tenure.ProviderID, id tenure.KeyID, accepted bool) (tenure.ProviderKey, error) {
	to, is, why := tenure.CheckRefused, "<>", "the provider answered 401"
	if accepted {
		to, is, why = tenure.CheckPassed, "=", ""
	}
	err := tx.execOne(ctx, `UPDATE provider_keys SET check_outcome = $1, check_error = $2, checked_at = $3
		WHERE provider_id = $4 AND id = $5 AND state IN ('active', 'overlap') AND check_outcome `+is+` $6`, to, why, stamp(tx.now), provider, id, tenure.CheckRefused)
	if err != nil {
		return tenure.ProviderKey{}, err
	}
	k, err := one(ctx, tx.run, scanProviderKey, `SELECT `+providerKeyColumns+fromProviderKeys+`WHERE k.provider_id = $1 AND k.id = $2`, provider, id)
	return k.ProviderKey, err
}

// InsertProviderKey stores a version of a key. Conflict: there is one of this number,
// or one that is in use.
func (tx *Tx) InsertProviderKey(ctx context.Context, k tenure.ProviderKey, s SealedKey) error {
	_, err := tx.exec(ctx, `INSERT INTO provider_keys (id, tenant_id, workspace_id, provider_id, name, version, state, position, weight, reference,
			key_last4, fingerprint, created_by_user, created_by, created_at, activated_at, checked_at, check_outcome, check_error, rotate_every, key_sealed, data_key, kek, form)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)`,
		k.ID, k.Tenant, k.Workspace, k.Provider, k.Name, k.Version, k.State, k.Position, k.Weight, k.Reference,
		k.Last4, k.Fingerprint, k.MadeBy, k.CreatedBy, stamp(k.CreatedAt), stamp(k.ActivatedAt), stamp(k.CheckedAt), k.Check, k.CheckError, k.RotateEvery, s.Sealed, s.DataKey, s.KEK, s.Form)
	return conflict(err, "name", "the provider has a key named %q already", k.Name)
}

// NoteRotation writes down that a key that is kept elsewhere is another than it was.
// false: it is not what was read any more, or somebody has written that down.
func (tx *Tx) NoteRotation(ctx context.Context, was tenure.ProviderKey, fingerprint, last4 string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE provider_keys SET fingerprint = $1, key_last4 = $2
		WHERE id = $3 AND reference = $4 AND fingerprint = $5 AND state IN ('active', 'overlap')`, fingerprint, last4, was.ID, was.Reference, was.Fingerprint)
	return n == 1, err
}

// ProviderKeys lists every version of every key of a provider: the keys in the order of
// their use, the newest version first.
func (r reads) ProviderKeys(ctx context.Context, tenant tenure.TenantID, provider tenure.ProviderID) ([]ProviderKeyRow, error) {
	return many(ctx, r.run, scanProviderKey, `SELECT `+providerKeyColumns+fromProviderKeys+`
		WHERE p.tenant_id = $1 AND p.id = $2 ORDER BY k.position, k.name, k.version DESC`, tenant, provider)
}

// ProviderKey reads one version of a key of a provider of the tenant.
func (r reads) ProviderKey(ctx context.Context, tenant tenure.TenantID, provider tenure.ProviderID, id tenure.KeyID) (ProviderKeyRow, error) {
	return one(ctx, r.run, scanProviderKey, `SELECT `+providerKeyColumns+fromProviderKeys+` WHERE p.tenant_id = $1 AND p.id = $2 AND k.id = $3`, tenant, provider, id)
}

// KeysPast lists the versions of all tenants whose overlap is over at an instant.
func (r reads) KeysPast(ctx context.Context, now time.Time) ([]ProviderKeyRow, error) {
	return many(ctx, r.run, scanProviderKey, `SELECT `+providerKeyColumns+fromProviderKeys+` WHERE k.state = 'overlap' AND k.retire_at <= $1 ORDER BY k.id`, stamp(now))
}

// KeysToRotate lists the versions of all tenants that are in use and should not be for
// ever.
func (r reads) KeysToRotate(ctx context.Context) ([]ProviderKeyRow, error) {
	return many(ctx, r.run, scanProviderKey, `SELECT `+providerKeyColumns+fromProviderKeys+` WHERE k.state = 'active' AND k.rotate_every > 0 ORDER BY k.id`)
}

// KeysUnmarked lists versions of all tenants that are sealed and have no fingerprint, in
// the order of their ids, those after one: those from before there were fingerprints.
func (r reads) KeysUnmarked(ctx context.Context, after tenure.KeyID, limit int) ([]ProviderKeyRow, error) {
	return many(ctx, r.run, scanProviderKey, `SELECT `+providerKeyColumns+fromProviderKeys+`
		WHERE k.fingerprint = '' AND k.reference = '' AND k.state <> 'retired' AND k.id > $1 ORDER BY k.id LIMIT $2`, after, limit)
}

// HoldProvider has whoever else changes a provider, or its keys, wait for the end of the
// transaction. NotFound: it is not there.
func (tx *Tx) HoldProvider(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) error {
	return tx.execOne(ctx, `UPDATE provider_credentials SET updated_at = $1 WHERE tenant_id = $2 AND id = $3`, stamp(tx.now), tenant, id)
}

// ReplaceKey takes the version of a key that is in use out of it: until an instant it is
// in overlap; the zero time retires it now.
func (tx *Tx) ReplaceKey(ctx context.Context, k tenure.ProviderKey, until time.Time) error {
	if until.IsZero() {
		_, err := tx.exec(ctx, `UPDATE provider_keys SET state = 'retired' WHERE provider_id = $1 AND name = $2 AND state = 'active'`, k.Provider, k.Name)
		return err
	}
	_, err := tx.exec(ctx, `UPDATE provider_keys SET state = 'overlap', retire_at = $1 WHERE provider_id = $2 AND name = $3 AND state = 'active'`,
		stamp(until), k.Provider, k.Name)
	return err
}

// ActivateKey brings a staged version into use. NotFound: it is not staged any more.
func (tx *Tx) ActivateKey(ctx context.Context, id tenure.KeyID) error {
	return tx.execOne(ctx, `UPDATE provider_keys SET state = 'active', activated_at = $1 WHERE id = $2 AND state = 'staged'`, stamp(tx.now), id)
}

// RetireKey ends a version; by trigger, what was sealed of it is destroyed. false: it
// had ended, or its state is not the one that was read.
func (tx *Tx) RetireKey(ctx context.Context, k tenure.ProviderKey) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE provider_keys SET state = 'retired' WHERE id = $1 AND state = $2 AND state <> 'retired'`, k.ID, k.State)
	return n > 0, err
}

// NoteCheck writes how a check of a version went.
func (tx *Tx) NoteCheck(ctx context.Context, id tenure.KeyID, outcome tenure.KeyCheck, why string) error {
	return tx.execOne(ctx, `UPDATE provider_keys SET checked_at = $1, check_outcome = $2, check_error = $3 WHERE id = $4`, stamp(tx.now), outcome, why, id)
}

// ArrangeKey sets the place, the share and the reminders of a key: of all its versions
// that have not ended.
func (tx *Tx) ArrangeKey(ctx context.Context, k tenure.ProviderKey) error {
	_, err := tx.exec(ctx, `UPDATE provider_keys SET position = $1, weight = $2, rotate_every = $3 WHERE provider_id = $4 AND name = $5 AND state <> 'retired'`,
		k.Position, k.Weight, k.RotateEvery, k.Provider, k.Name)
	return err
}

// FingerprintKey writes the fingerprint of a version that has none.
func (tx *Tx) FingerprintKey(ctx context.Context, id tenure.KeyID, fingerprint string) error {
	_, err := tx.exec(ctx, `UPDATE provider_keys SET fingerprint = $1 WHERE id = $2 AND fingerprint = ''`, fingerprint, id)
	return err
}

// ProviderKeyByID reads a version of a key of whichever provider. NotFound: the tenant has
// none such.
func (r reads) ProviderKeyByID(ctx context.Context, tenant tenure.TenantID, id tenure.KeyID) (ProviderKeyRow, error) {
	return one(ctx, r.run, scanProviderKey, `SELECT `+providerKeyColumns+fromProviderKeys+` WHERE p.tenant_id = $1 AND k.id = $2`, tenant, id)
}
