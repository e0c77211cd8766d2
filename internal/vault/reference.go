package vault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/secretref"
	"github.com/tenure-gateway/tenure/internal/store"
)

// prepared is what is stored of a key: sealed, or by its address.
type prepared struct {
	key         tenure.Secret
	reference   string
	last4       string
	fingerprint string
	seal        store.Sealer // nil: it is kept elsewhere
}

// sealed gives what the key's row has of it.
func (p prepared) sealed(k tenure.ProviderKey) (store.SealedKey, error) {
	if p.seal == nil {
		return store.SealedKey{Sealed: []byte{}, DataKey: []byte{}}, nil
	}
	return p.seal(p.key, store.BoundKey(k))
}

// prepare judges a key that is given itself or by its address, and makes what is
// stored of it. What cannot be resolved now is not stored.
func (v *Vault) prepare(ctx context.Context, tenant tenure.TenantID, key tenure.Secret, reference string) (prepared, error) {
	p := prepared{key: key, reference: reference}
	var err error
	switch {
	case reference == "":
		if !Printable(key) {
			return p, tenure.InvalidField("key", "the key must be 1 to 4096 printable characters without spaces")
		}
		p.seal, err = v.Key.Sealer(ctx)
	case !key.IsZero():
		return p, tenure.InvalidField("key_reference", "a key is given by itself or by its address, and not both")
	default:
		p.key, err = v.first(ctx, tenant, reference)
	}
	if err != nil {
		return p, err
	}
	p.last4 = last4(p.key)
	p.fingerprint, err = v.Key.Fingerprint(ctx, p.key)
	return p, err
}

// first resolves an address for whoever stores it: what is wrong is theirs to mend.
func (v *Vault) first(ctx context.Context, tenant tenure.TenantID, reference string) (tenure.Secret, error) {
	found, err := v.find(ctx, tenant, reference)
	if e := tenure.AsError(err); err != nil && e.Kind != tenure.Unavailable {
		wrong := *e
		wrong.Field = "key_reference"
		if e.Kind == tenure.NotFound || e.Code == "secret_denied" {
			wrong.Kind = tenure.Invalid
		}
		err = &wrong
	}
	return found.Secret, err
}

// find asks for a key that is kept elsewhere.
func (v *Vault) find(ctx context.Context, tenant tenure.TenantID, reference string) (secretref.Found, error) {
	if v.Secrets == nil {
		return secretref.Found{}, &tenure.Error{Kind: tenure.Unavailable, Code: "secret_system_unavailable", Msg: "no system that keeps secrets elsewhere is set up"}
	}
	found, err := v.Secrets.Resolve(ctx, tenant, reference)
	if err == nil && !Printable(found.Secret) {
		err = isNoKey(reference)
	}
	return found, err
}

// isNoKey says that a secret can be no key: it would not go into a header.
func isNoKey(reference string) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "secret_is_no_key", Msg: fmt.Sprintf("what is at %s is no key: it must be 1 to 4096 printable characters without spaces", tenure.Shown(reference))}
}

// Printable reports whether a key may go into a header.
func Printable(key tenure.Secret) bool {
	text := key.Reveal()
	return text != "" && len(text) <= 4096 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// elsewhere gets a key from the system that keeps it, and when to come back for it.
func (v *Vault) elsewhere(ctx context.Context, row store.ProviderKeyRow) (tenure.Secret, time.Time, error) {
	read := v.DB.Now()
	found, err := v.find(ctx, row.Tenant, row.Reference)
	if err != nil {
		return tenure.Secret{}, time.Time{}, fmt.Errorf("key %s of provider %s: %w", row.ID, row.Provider, err)
	}
	found = v.compare(ctx, row, read, found)
	return found.Secret, found.Back, nil
}

// compare looks whether a key is another than the one that was seen last, and writes
// down that its system has rotated it. That is done for what was confirmed when the row
// was read or later, and no other: replicas learn of a rotation within a minute of each other,
// and the last of them must not take it back.
func (v *Vault) compare(ctx context.Context, row store.ProviderKeyRow, read time.Time, found secretref.Found) secretref.Found {
	seen, err := v.Key.Fingerprint(ctx, found.Secret)
	if err != nil || seen == row.Fingerprint { // the former: the vault is sealed, which is told elsewhere
		return found
	}
	if found.Confirmed.Before(read) {
		anew, err := v.Secrets.Anew(ctx, row.Tenant, row.Reference, found.Secret)
		if err != nil || !Printable(anew.Secret) || anew.Confirmed.Before(read) {
			return found
		}
		found = anew
		if seen, err = v.Key.Fingerprint(ctx, found.Secret); err != nil || seen == row.Fingerprint {
			return found
		}
	}
	// A key is used though this cannot be written: whoever reads it next tries again.
	_ = v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		noted, err := tx.NoteRotation(ctx, row.ProviderKey, seen, last4(found.Secret))
		if err != nil || !noted || row.Fingerprint == "" {
			return err
		}
		return tx.Append(ctx, audit.KeyRotatedElsewhere(row.ProviderKey, seen))
	})
	return found
}

// anewLimit bounds how long a request waits for another key in the place of one that
// was refused.
const anewLimit = 2 * time.Second

// Anew is for whoever was refused by the provider with a key: where it is kept
// elsewhere, its system is asked again, unless that was done a moment ago. It gives the
// key to try in its place; false: there is none.
func (v *Vault) Anew(ctx context.Context, tenant tenure.TenantID, refused OpenedKey) (OpenedKey, bool) {
	if refused.Reference == "" || v.Secrets == nil {
		return refused, false
	}
	ctx, cancel := context.WithTimeout(ctx, anewLimit)
	defer cancel()
	found, err := v.Secrets.Anew(ctx, tenant, refused.Reference, refused.Secret)
	if err != nil || !Printable(found.Secret) || found.Secret.Equal(refused.Secret) {
		return refused, false
	}
	v.Elsewhere(tenant, refused.Reference)
	if rows, err := v.DB.UsableKeys(ctx, tenant, refused.provider); err == nil {
		for _, row := range rows {
			if row.ID == refused.ID && row.Reference == refused.Reference {
				v.compare(ctx, row, found.Confirmed, found)
			}
		}
	}
	refused.Secret = found.Secret
	return refused, true
}

// Elsewhere drops the opened keys that are kept at an address, where there is another
// secret now, or none.
func (v *Vault) Elsewhere(tenant tenure.TenantID, reference string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at := source{tenant, reference}
	for id, places := range v.sources {
		if slices.Contains(places, at) {
			delete(v.open, id)
			delete(v.reading, id)
		}
	}
}

// source is where a tenant's key is kept.
type source struct {
	tenant    tenure.TenantID
	reference string
}

// keepSources remembers where a provider's keys are kept. v.mu is held.
func (v *Vault) keepSources(id tenure.ProviderID, tenant tenure.TenantID, rows []store.ProviderKeyRow) {
	for _, row := range rows {
		if at := (source{tenant, row.Reference}); row.Reference != "" && !slices.Contains(v.sources[id], at) {
			if v.sources == nil {
				v.sources = make(map[tenure.ProviderID][]source)
			}
			v.sources[id] = append(v.sources[id], at)
		}
	}
}

// release has the resolver forget what no key of a provider is any more. A read that
// fails leaves it until its grace is over.
func (v *Vault) release(ctx context.Context, id tenure.ProviderID) {
	v.mu.Lock()
	before := v.sources[id]
	v.mu.Unlock()
	if len(before) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	rows, err := v.DB.UsableKeys(ctx, before[0].tenant, id)
	if err != nil {
		return
	}
	v.mu.Lock()
	delete(v.sources, id)
	v.keepSources(id, before[0].tenant, rows)
	var used []source
	for _, places := range v.sources {
		used = append(used, places...)
	}
	v.mu.Unlock()
	for _, at := range before {
		if !slices.Contains(used, at) {
			v.Secrets.Forget(at.tenant, at.reference)
		}
	}
}
