package vault

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// keySize is the size of every key here: AES-256.
const keySize = 32

// metaCheck names the value by which a master key is known again.
const metaCheck = "vault.key_check"

// MasterKey is the key-encryption key: it wraps data keys and nothing else.
type MasterKey struct {
	aead cipher.AEAD
	root []byte // what keys of other purposes are derived from (RFC 5869 §2.2)
}

// LoadMasterKey reads the master key from the file at path, and makes one when
// there is none and nothing was sealed with an earlier one. It refuses a file
// that others may read (a group may read, and no more, what another user lays down
// for this one: so do Kubernetes and systemd), and a key that is not the one that the database was
// sealed with.
func LoadMasterKey(ctx context.Context, db *store.DB, path string) (*MasterKey, error) {
	raw, err := readKey(path)
	made := errors.Is(err, os.ErrNotExist)
	if made {
		if err := keyNeeded(ctx, db, path); err != nil {
			return nil, err
		}
		raw, err = makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	key, err := newKey(raw)
	if err != nil {
		return nil, err
	}
	known, err := keyKnown(ctx, db, raw, path)
	if err == nil && !known {
		// Of two that start for the first time at once, the second finds the key of the first.
		err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			known, err := keyKnown(ctx, tx, raw, path)
			if err != nil || known {
				return err
			}
			return tx.SetMeta(ctx, metaCheck, checkOf(raw))
		})
	}
	if err != nil && made {
		err = errors.Join(err, os.Remove(path)) // nothing is sealed with it
	}
	return key, err
}

// FindMasterKey is LoadMasterKey for whoever works on data that is there already: it
// makes no key. NotFound: there is none.
func FindMasterKey(ctx context.Context, db *store.DB, path string) (*MasterKey, error) {
	key, err := LookAtMasterKey(ctx, db, path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &tenure.Error{
			Kind: tenure.NotFound, Code: "no_data", Err: err,
			Msg: fmt.Sprintf("there is no master key at %s; run \"tenure serve\" first, or name the right TENURE_HOME or TENURE_KEY_URL", path),
		}
	}
	return key, err
}

// LookAtMasterKey is LoadMasterKey for whoever changes nothing: it makes no key, and
// the database remembers none. fs.ErrNotExist: there is no file, and nothing sealed.
func LookAtMasterKey(ctx context.Context, db *store.DB, path string) (*MasterKey, error) {
	raw, err := readKey(path)
	if errors.Is(err, os.ErrNotExist) {
		err = cmp.Or(keyNeeded(ctx, db, path), err)
	}
	if err != nil {
		return nil, err
	}
	if _, err := keyKnown(ctx, db, raw, path); err != nil {
		return nil, err
	}
	return newKey(raw)
}

// keyNeeded answers an error while something is sealed with a key that is missing.
func keyNeeded(ctx context.Context, db *store.DB, path string) error {
	sealed, err := db.CountSealed(ctx)
	if err == nil && sealed > 0 {
		err = fmt.Errorf("the master key %s is missing, and %d keys are sealed with it: put it back", path, sealed)
	}
	return err
}

func newKey(raw []byte) (*MasterKey, error) {
	aead, err := gcm(raw)
	if err != nil {
		return nil, err
	}
	root, err := hkdf.Extract(sha256.New, raw, []byte("tenure derived keys"))
	if err != nil {
		return nil, err
	}
	return &MasterKey{aead: aead, root: root}, nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !keptFromOthers(info.Mode(), !ok || int(owner.Uid) == os.Geteuid()) {
		return nil, fmt.Errorf("the master key %s can be read by others (mode %#o): chmod 600 it", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != keySize {
		return nil, fmt.Errorf("the master key %s is not %d bytes in base64", path, keySize)
	}
	return raw, nil
}

// keptFromOthers tells that a file of this mode is read by nobody else. One that
// another user laid down for this process may be read by its group: so do Kubernetes
// and systemd.
func keptFromOthers(mode fs.FileMode, own bool) bool {
	others := fs.FileMode(0o077)
	if !own {
		others = 0o037
	}
	return mode.Perm()&others == 0
}

func makeKey(path string) ([]byte, error) {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // crypto/rand never fails (Go 1.24 and later)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, werr := f.WriteString(base64.StdEncoding.EncodeToString(raw) + "\n")
	return raw, errors.Join(werr, f.Sync(), f.Close())
}

// keyKnown compares the key with the one that this database has known. false: it
// has known none.
func keyKnown(ctx context.Context, db interface {
	Meta(ctx context.Context, key string) (string, error)
}, raw []byte, path string,
) (bool, error) {
	switch known, err := db.Meta(ctx, metaCheck); {
	case err != nil, known == "":
		return false, err
	case known != checkOf(raw):
		return true, fmt.Errorf("the master key %s is not the one that this database was sealed with: put the right one back", path)
	}
	return true, nil
}

// checkOf is what a key is known again by.
func checkOf(raw []byte) string {
	sum := sha256.Sum256(append([]byte("tenure master key check\x00"), raw...))
	return hex.EncodeToString(sum[:16])
}

// Derive gives a cipher for a purpose of its own: what is encrypted with it lives
// for minutes and is never stored. It draws its nonces itself.
func (k *MasterKey) Derive(purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, k.root, purpose, keySize)
	if err != nil {
		return nil, err
	}
	return gcm(key)
}

// seal encrypts a provider's key, bound to the tenant, workspace, credential and
// version, so that a row moved elsewhere does not open.
func (k *MasterKey) seal(p tenure.Provider, key tenure.Secret) (store.SealedKey, error) {
	return k.Seal(key, bound(p)...)
}

// Seal encrypts a secret under a data key of its own. Both ciphertexts are bound to
// what is given, the last of which says what the secret is.
func (k *MasterKey) Seal(key tenure.Secret, to ...string) (store.SealedKey, error) {
	dek := make([]byte, keySize)
	_, _ = rand.Read(dek) // crypto/rand never fails (Go 1.24 and later)
	inner, err := gcm(dek)
	if err != nil {
		return store.SealedKey{}, err
	}
	return store.SealedKey{
		Sealed:  encrypt(inner, []byte(key.Reveal()), binding(to)),
		DataKey: encrypt(k.aead, dek, binding(append(to[:len(to)-1:len(to)-1], dataKey))),
	}, nil
}

// errTampered says that a row does not open with the right master key.
var errTampered = errors.New("the sealed key does not open: it was changed or moved in the database")

// OpenProvider decrypts the key of a provider.
func (k *MasterKey) OpenProvider(p tenure.Provider, s store.SealedKey) (tenure.Secret, error) {
	key, err := k.Open(s, bound(p)...)
	if err != nil {
		return key, fmt.Errorf("provider %s: %w", p.ID, err)
	}
	return key, nil
}

// Open decrypts what Seal made, bound to the same.
func (k *MasterKey) Open(s store.SealedKey, to ...string) (tenure.Secret, error) {
	dek, err := decrypt(k.aead, s.DataKey, binding(append(to[:len(to)-1:len(to)-1], dataKey)))
	if err != nil {
		return tenure.Secret{}, err
	}
	inner, err := gcm(dek)
	if err != nil {
		return tenure.Secret{}, err
	}
	key, err := decrypt(inner, s.Sealed, binding(to))
	if err != nil {
		return tenure.Secret{}, err
	}
	return tenure.NewSecret(string(key)), nil
}

// dataKey is what a data key is bound to in the place of what the secret is.
const dataKey = "data key"

// bound is what a provider's key is bound to.
func bound(p tenure.Provider) []string {
	return []string{string(p.Tenant), string(p.Workspace), string(p.ID), fmt.Sprint(p.Version), "provider key"}
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

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// encrypt seals under a fresh random nonce, which the cipher itself makes.
func encrypt(a cipher.AEAD, plain, bound []byte) []byte {
	return a.Seal(nil, nil, plain, bound) //nolint:gosec // no nonce is given: NewGCMWithRandomNonce takes none
}

func decrypt(a cipher.AEAD, sealed, bound []byte) ([]byte, error) {
	if len(sealed) < a.Overhead() {
		return nil, errTampered
	}
	plain, err := a.Open(nil, nil, sealed, bound)
	if err != nil {
		return nil, errTampered
	}
	return plain, nil
}
