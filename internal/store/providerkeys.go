package store

import (
	"context"

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
			key_last4, fingerprint, created_by_user, created_by, created_at, activated_at, rotate_every, key_sealed, data_key, kek, form)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`,
		k.ID, k.Tenant, k.Workspace, k.Provider, k.Name, k.Version, k.State, k.Position, k.Weight, k.Reference,
		k.Last4, k.Fingerprint, k.MadeBy, k.CreatedBy, stamp(k.CreatedAt), stamp(k.ActivatedAt), k.RotateEvery, s.Sealed, s.DataKey, s.KEK, s.Form)
	return conflict(err, "name", "the provider has a key named %q already", k.Name)
}

// NoteRotation writes down that a key that is kept elsewhere is another than it was.
// false: it is not what was read any more, or somebody has written that down.
func (tx *Tx) NoteRotation(ctx context.Context, was tenure.ProviderKey, fingerprint, last4 string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE provider_keys SET fingerprint = $1, key_last4 = $2
		WHERE id = $3 AND reference = $4 AND fingerprint = $5 AND state IN ('active', 'overlap')`, fingerprint, last4, was.ID, was.Reference, was.Fingerprint)
	return n == 1, err
}
