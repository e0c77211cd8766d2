package belief

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Ring opens the keys of people's beliefs, and keeps them open for a while. Its fields are
// set before first use.
type Ring struct {
	DB     *store.DB
	Sealer func(context.Context) (store.Sealer, error)
	Open   func(context.Context, store.SealedKey, store.Bound) (tenure.Secret, error)

	mu     sync.Mutex
	opened map[string]*key // by the id of the key
}

// How long, and how many, keys stay open. That a key is there is asked of the database each
// time: one that was destroyed opens nothing.
const (
	openFor  = 30 * time.Second
	openMost = 1000
)

// key is the key of one person's beliefs.
type key struct {
	row   store.BeliefKey
	text  cipher.AEAD
	names []byte
	at    time.Time
}

// of gives the key of a person's beliefs. NotFound: they have none. Unavailable: the vault
// is sealed.
func (r *Ring) of(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) (*key, error) {
	row, err := r.DB.BeliefKey(ctx, tenant, user)
	if err != nil {
		return nil, err
	}
	now := r.DB.Now()
	r.mu.Lock()
	k := r.opened[row.ID]
	r.mu.Unlock()
	if k != nil && now.Sub(k.at) < openFor && k.row.Tenant == tenant && k.row.User == user {
		return k, nil
	}
	secret, err := r.Open(ctx, row.SealedKey, store.BoundBeliefs(row))
	if err != nil {
		return nil, wrap("the key of beliefs", err)
	}
	raw, err := base64.RawStdEncoding.DecodeString(secret.Reveal())
	if err != nil {
		return nil, fmt.Errorf("the key of beliefs: %w", err)
	}
	if k, err = newKey(row, raw, now); err != nil {
		return nil, err
	}
	r.keep(k)
	return k, nil
}

func (r *Ring) keep(k *key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened == nil || len(r.opened) >= openMost {
		r.opened = map[string]*key{}
	}
	r.opened[k.row.ID] = k
}

// make gives the key of a person's beliefs, and makes one where there is none yet.
func (r *Ring) make(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) (*key, error) {
	k, err := r.of(ctx, tenant, user)
	if !tenure.IsKind(err, tenure.NotFound) {
		return k, err
	}
	seal, err := r.Sealer(ctx)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // crypto/rand never fails (Go 1.24 and later)
	row := store.BeliefKey{ID: tenure.NewID(r.DB.Now()), Tenant: tenant, User: user}
	if row.SealedKey, err = seal(tenure.NewSecret(base64.RawStdEncoding.EncodeToString(raw)), store.BoundBeliefs(row)); err != nil {
		return nil, err
	}
	err = r.DB.Tx(tenure.WithOnce(ctx, nil), func(ctx context.Context, tx *store.Tx) error { return tx.InsertBeliefKey(ctx, row) })
	if err != nil && !tenure.IsKind(err, tenure.Conflict) {
		return nil, err
	}
	return r.of(ctx, tenant, user)
}

// newKey parts a person's key into one for texts and one for names (RFC 5869).
func newKey(row store.BeliefKey, raw []byte, now time.Time) (*key, error) {
	texts, err := hkdf.Key(sha256.New, raw, nil, "texts of beliefs", 32)
	if err != nil {
		return nil, err
	}
	names, err := hkdf.Key(sha256.New, raw, nil, "names of beliefs", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(texts)
	if err != nil {
		return nil, err
	}
	text, err := cipher.NewGCMWithRandomNonce(block)
	return &key{row: row, text: text, names: names, at: now}, err
}

// name is the hash by which a belief of a name is found in its workspace, scope and type.
func (k *key) name(ws tenure.WorkspaceID, scope tenure.BeliefScope, of tenure.BeliefType, name string) string {
	mac := hmac.New(sha256.New, k.names)
	mac.Write(bound(string(ws), string(scope), string(of), fold(name)))
	return hex.EncodeToString(mac.Sum(nil))
}

// bound is parts, each with its length.
func bound(parts ...string) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

// seal seals the text of a belief into its row, bound to it and to where it holds.
func (k *key) seal(b *store.BeliefRow) error {
	plain, err := json.Marshal(b.BeliefText)
	if err != nil {
		return err
	}
	b.Sealed, b.SealedBy = k.text.Seal(nil, nil, plain, k.place(b)), k.row.ID //nolint:gosec // NewGCMWithRandomNonce takes no nonce
	b.NameHash = k.name(b.Workspace, b.Scope, b.Type, b.Name)
	return nil
}

func (k *key) place(b *store.BeliefRow) []byte {
	return bound("belief", k.row.ID, string(b.Tenant), string(b.User), string(b.Workspace), string(b.Scope), string(b.Type), string(b.ID))
}

// open opens the text of a belief. Internal: the row was changed, or moved, by hand.
func (k *key) open(b *store.BeliefRow) error {
	plain, err := k.text.Open(nil, nil, b.Sealed, k.place(b))
	if err == nil {
		err = json.Unmarshal(plain, &b.BeliefText)
	}
	if err != nil {
		return errTampered(b.ID, err)
	}
	return nil
}

func errTampered(id tenure.BeliefID, err error) error {
	return &tenure.Error{
		Kind: tenure.Internal, Code: "belief_tampered",
		Msg: "a stored belief does not open: it was changed or moved in the database", Err: fmt.Errorf("belief %s: %w", id, err),
	}
}

// drop forgets the opened keys of a person: one was destroyed. Whoever works with another of
// theirs meanwhile goes on with it.
func (r *Ring) drop(user tenure.UserID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, k := range r.opened {
		if k.row.User == user {
			delete(r.opened, id)
		}
	}
}
