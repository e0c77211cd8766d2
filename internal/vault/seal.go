package vault

import (
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
)

// The forms of what a sealed secret is bound to.
const (
	formOld = 0 // tenant, and what its room gave; the data key, too
	formNow = 1 // installation, tenant, workspace, credential, version, provider, purpose
)

// errTampered says that a row does not open with the right key.
var errTampered = &tenure.Error{
	Kind: tenure.Internal, Code: "secret_tampered",
	Msg: "a stored secret does not open: it was changed or moved in the database; the audit log tells which (vault.tampered), and what is to be done is to store it anew",
}

// errDestroyed says that a secret went with the key that had sealed it.
var errDestroyed = &tenure.Error{
	Kind: tenure.Unavailable, Code: "secret_destroyed",
	Msg: "the stored secret was destroyed when the key that had sealed it was lost: an administrator must store it anew",
}

// Sealer gives what seals one secret, under a data key of its own that is wrapped by
// now. Unavailable: the vault is sealed.
func (k *MasterKey) Sealer(ctx context.Context) (store.Sealer, error) {
	r, err := k.need(ctx)
	if err != nil {
		return nil, err
	}
	if r.why != nil {
		return nil, sealedError(r.why)
	}
	dek := make([]byte, keys.Size)
	_, _ = rand.Read(dek) // crypto/rand never fails (Go 1.24 and later)
	wrapped, by, err := r.present().Wrap(ctx, dek, r.boundDataKey())
	if err != nil {
		return nil, k.failed(ctx, r, r.present(), err)
	}
	inner, err := keys.GCM(dek)
	clear(dek)
	if err != nil {
		return nil, err
	}
	return func(secret tenure.Secret, to store.Bound) (store.SealedKey, error) {
		return store.SealedKey{
			Sealed:  inner.Seal(nil, nil, []byte(secret.Reveal()), r.bound(to)), //nolint:gosec // no nonce is given: NewGCMWithRandomNonce takes none
			DataKey: wrapped, KEK: by, Form: formNow,
		}, nil
	}, nil
}

// Open decrypts what a Sealer made, bound to the same. Unavailable: the vault is
// sealed, or its key is not at hand.
func (k *MasterKey) Open(ctx context.Context, s store.SealedKey, to store.Bound) (tenure.Secret, error) {
	r, err := k.need(ctx)
	if err != nil {
		return tenure.Secret{}, err
	}
	if len(s.Sealed) == 0 {
		return tenure.Secret{}, errDestroyed
	}
	if r.root == nil {
		return tenure.Secret{}, sealedError(r.why)
	}
	dek, err := k.dataKey(ctx, r, s, to)
	if err != nil {
		return tenure.Secret{}, err
	}
	inner, err := keys.GCM(dek)
	clear(dek)
	if err != nil {
		return tenure.Secret{}, err
	}
	bound := r.bound(to)
	if s.Form == formOld {
		bound = binding(oldParts(to))
	}
	plain, err := decrypt(inner, s.Sealed, bound)
	if err != nil {
		return tenure.Secret{}, k.tamperedWith(ctx, to)
	}
	secret := tenure.NewSecret(string(plain))
	clear(plain)
	return secret, nil
}

// OpenProvider decrypts a version of a provider's key.
func (k *MasterKey) OpenProvider(ctx context.Context, row store.ProviderKeyRow) (tenure.Secret, error) {
	key, err := k.Open(ctx, row.SealedKey, store.BoundKey(row.ProviderKey))
	if err != nil {
		return key, fmt.Errorf("key %s of provider %s: %w", row.ID, row.Provider, err)
	}
	return key, nil
}

// Fingerprint tells keys apart: it is the same for the same key in this installation
// (HMAC-SHA-256 under a key derived from the root key, the first 8 bytes), and without
// the root key nobody can try keys against it. Unavailable: the vault is sealed.
func (k *MasterKey) Fingerprint(ctx context.Context, secret tenure.Secret) (string, error) {
	if _, err := k.need(ctx); err != nil {
		return "", err
	}
	key, err := k.derive("fingerprints of provider keys")
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(secret.Reveal()))
	return hex.EncodeToString(mac.Sum(nil)[:8]), nil
}

// dataKey unwraps the data key of what is sealed.
func (k *MasterKey) dataKey(ctx context.Context, r *ring, s store.SealedKey, to store.Bound) ([]byte, error) {
	candidates, bound, err := r.wrappers(s, to)
	if err != nil {
		return nil, err
	}
	dek, kek, err := k.unwrap(ctx, r, candidates, s.DataKey, bound)
	switch {
	case err == nil:
		return dek, nil
	case kek == nil:
		return nil, sealedError(fmt.Errorf("a data key is wrapped by %q, which neither TENURE_KEY_URL nor TENURE_KEY_URL_PREVIOUS names", s.KEK))
	case keys.Is(err, keys.Wrong):
		if sure, _ := kek.About().Made(s.KEK); !sure && s.Form == formNow {
			return nil, sealedError(otherKey(kek.About(), s.KEK, "it has the same name and is another key"))
		}
		return nil, k.tamperedWith(ctx, to)
	}
	return nil, k.failed(ctx, r, kek, err)
}

// wrappers are the KEKs that may have wrapped the data key of what is sealed, and what
// it is bound to.
func (r *ring) wrappers(s store.SealedKey, to store.Bound) (all []keys.KEK, bound []byte, err error) {
	switch s.Form {
	case formOld:
		old := oldParts(to)
		return r.files(), binding(append(old[:len(old)-1:len(old)-1], dataKey)), nil
	case formNow:
		return r.candidates(s.KEK), r.boundDataKey(), nil
	}
	return nil, nil, fmt.Errorf("what is sealed is of form %d, and this version knows none beyond %d", s.Form, formNow)
}

// tamperedWith notes that a row does not open, and gives the error for whoever asked.
func (k *MasterKey) tamperedWith(ctx context.Context, what store.Bound) error {
	k.mu.Lock()
	tell := k.tampered.tell
	if k.tampered.told[what] {
		tell = nil
	} else if k.tampered.told == nil || len(k.tampered.told) > mostTold {
		k.tampered.told = map[store.Bound]bool{}
	}
	k.tampered.told[what] = true
	k.mu.Unlock()
	if tell != nil {
		tell(ctx, what)
	}
	return errTampered
}

// mostTold bounds how many rows that do not open are remembered.
const mostTold = 10_000

// dataKey is what a data key is bound to in the place of what the secret is.
const dataKey = "data key"

// boundDataKey is what data keys are bound to: the inner text is bound to its place.
func (r *ring) boundDataKey() []byte { return binding([]string{r.install, dataKey}) }

func (r *ring) bound(to store.Bound) []byte {
	return binding([]string{
		r.install, string(to.Tenant), string(to.Workspace), to.Credential, strconv.FormatInt(to.Version, 10), to.Provider, to.Purpose,
	})
}

// oldParts is what was bound to before the installation was.
func oldParts(to store.Bound) []string {
	switch to.Purpose {
	case store.OIDCClientSecret:
		return []string{string(to.Tenant), to.Credential, to.Provider, to.Purpose}
	default: // webhooks' secrets called themselves a provider's key
		return []string{string(to.Tenant), string(to.Workspace), to.Credential, strconv.FormatInt(to.Version, 10), store.ProviderKey}
	}
}

// binding is the additional authenticated data: each part with its length.
func binding(parts []string) []byte {
	var out []byte
	for _, part := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

func decrypt(a cipher.AEAD, sealed, bound []byte) ([]byte, error) {
	if len(sealed) < a.Overhead() {
		return nil, errTampered
	}
	return a.Open(nil, nil, sealed, bound)
}
