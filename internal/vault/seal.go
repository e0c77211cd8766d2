package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// keySize is the size of every key here: AES-256.
const keySize = 32

// metaCheck names the value by which a master key is known again.
const metaCheck = "vault.key_check"

// MasterKey is the key-encryption key: it wraps data keys and nothing else.
type MasterKey struct{ aead cipher.AEAD }

// LoadMasterKey reads the master key from the file at path, and makes one when
// there is none and nothing was sealed with an earlier one. It refuses a file
// that others may read, and a key that is not the one that the database was
// sealed with.
func LoadMasterKey(ctx context.Context, db *store.DB, path string) (*MasterKey, error) {
	raw, err := readKey(path)
	if errors.Is(err, os.ErrNotExist) {
		sealed, cerr := db.CountSealed(ctx)
		if cerr != nil {
			return nil, cerr
		}
		if sealed > 0 {
			return nil, fmt.Errorf("the master key %s is missing, and %d keys are sealed with it: put it back", path, sealed)
		}
		raw, err = makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	aead, err := gcm(raw)
	if err != nil {
		return nil, err
	}
	return &MasterKey{aead: aead}, checkKey(ctx, db, raw, path)
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
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

// checkKey compares the key with the one that this database has known, or
// remembers it when there was none.
func checkKey(ctx context.Context, db *store.DB, raw []byte, path string) error {
	sum := sha256.Sum256(append([]byte("tenure master key check\x00"), raw...))
	check := hex.EncodeToString(sum[:16])
	known, err := db.Meta(ctx, metaCheck)
	if err != nil || known == check {
		return err
	}
	if known != "" {
		return fmt.Errorf("the master key %s is not the one that this database was sealed with: put the right one back", path)
	}
	return db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetMeta(ctx, metaCheck, check) })
}

// seal encrypts a provider's key under a data key of its own. Both ciphertexts
// are bound to the tenant, workspace, credential and version, so that a row
// moved elsewhere does not open.
func (k *MasterKey) seal(p tenure.Provider, key tenure.Secret) (store.SealedKey, error) {
	dek := make([]byte, keySize)
	_, _ = rand.Read(dek) // crypto/rand never fails (Go 1.24 and later)
	inner, err := gcm(dek)
	if err != nil {
		return store.SealedKey{}, err
	}
	return store.SealedKey{
		Sealed:  encrypt(inner, []byte(key.Reveal()), binding(p, "provider key")),
		DataKey: encrypt(k.aead, dek, binding(p, "data key")),
	}, nil
}

// errTampered says that a row does not open with the right master key.
var errTampered = errors.New("the sealed key does not open: it was changed or moved in the database")

func (k *MasterKey) open(p tenure.Provider, s store.SealedKey) (tenure.Secret, error) {
	dek, err := decrypt(k.aead, s.DataKey, binding(p, "data key"))
	if err != nil {
		return tenure.Secret{}, fmt.Errorf("provider %s: %w", p.ID, err)
	}
	inner, err := gcm(dek)
	if err != nil {
		return tenure.Secret{}, err
	}
	key, err := decrypt(inner, s.Sealed, binding(p, "provider key"))
	if err != nil {
		return tenure.Secret{}, fmt.Errorf("provider %s: %w", p.ID, err)
	}
	return tenure.NewSecret(string(key)), nil
}

// binding is the additional authenticated data: each part with its length.
func binding(p tenure.Provider, purpose string) []byte {
	var out []byte
	for _, part := range []string{string(p.Tenant), string(p.Workspace), string(p.ID), fmt.Sprint(p.Version), purpose} {
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
