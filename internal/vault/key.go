package vault

import (
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
)

// What the installation remembers of its keys.
const (
	metaRoot    = "vault.root"      // the root key, wrapped
	metaCheck   = "vault.key_check" // of a file, before there was a root key
	metaInstall = "install.id"
)

// KeyURLs name the key-encryption keys: the one that wraps, and those that open what
// they have wrapped.
type KeyURLs struct {
	Present  string
	Previous []string
}

// MasterKey is what secrets are sealed with: the key-encryption keys, and the root
// key of the installation that they wrap. While the one that wraps cannot be had it is
// sealed. It is safe for use by many goroutines.
type MasterKey struct {
	db *store.DB
	settings

	opening sync.Mutex // of a key that is got when it is needed

	mu       sync.RWMutex
	held     *ring               // nil: it was not needed yet
	services map[string]keys.KEK // by URL
	rests    map[keys.KEK]rest
	tampered tamperings
	lost     chan struct{} // wakes Keep
}

// settings are what a MasterKey was told.
type settings struct {
	urls KeyURLs
	opt  keys.Options
	look bool // changes nothing
	find bool // makes nothing, and asks for nothing before it is needed
}

// tamperings are the rows that did not open, each told of once.
type tamperings struct {
	tell func(context.Context, store.Bound)
	told map[store.Bound]bool
}

// OpenKey opens the installation's keys, and makes what a fresh one needs: the file,
// if one is named, and the root key. Where a key cannot be had, or is not the one that
// the database knows, it is sealed. Its error is a fault of the database, or a file
// that is refused: others may read it, or it cannot be made.
func OpenKey(ctx context.Context, db *store.DB, urls KeyURLs, o keys.Options) (*MasterKey, error) {
	k := &MasterKey{db: db, settings: settings{urls: urls, opt: o}, lost: make(chan struct{}, 1)}
	r, err := k.load(ctx)
	k.held = r
	return k, err
}

// FindKey is OpenKey for whoever works on data that is there already: it makes no file
// and no root key, and asks for none of them before one is needed.
func FindKey(db *store.DB, urls KeyURLs, o keys.Options) *MasterKey {
	return &MasterKey{db: db, settings: settings{urls: urls, opt: o, find: true}, lost: make(chan struct{}, 1)}
}

// LookAtKey is OpenKey for whoever changes nothing: it makes no key, and the database
// remembers none. fs.ErrNotExist: there is no file, and nothing sealed.
func LookAtKey(ctx context.Context, db *store.DB, urls KeyURLs, o keys.Options) (*MasterKey, error) {
	k := &MasterKey{db: db, settings: settings{urls: urls, opt: o, look: true}}
	r, err := k.load(ctx)
	if err == nil {
		err = r.why
	}
	k.held = r
	return k, err
}

// OnTampered has fn told of what does not open though the key is right, once each.
func (k *MasterKey) OnTampered(fn func(context.Context, store.Bound)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tampered.tell = fn
}

func (k *MasterKey) ring() *ring {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.held
}

// need gives the ring, and gets it if nobody needed it before. NotFound: there is no
// key, and nothing sealed.
func (k *MasterKey) need(ctx context.Context) (*ring, error) {
	if r := k.ring(); r != nil {
		return r, nil
	}
	k.opening.Lock()
	defer k.opening.Unlock()
	if r := k.ring(); r != nil {
		return r, nil
	}
	r, err := k.load(ctx)
	var kind *tenure.Error
	if err != nil && !errors.As(err, &kind) { // a file that is refused
		err = sealedError(err)
	}
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = r
	return r, nil
}

// Sealed says since when what the key has wrapped does not open, and why; nil: it does.
func (k *MasterKey) Sealed() (since time.Time, why error) {
	if r := k.ring(); r != nil {
		return r.since, r.why
	}
	return time.Time{}, nil
}

// NeverOpened is why it was sealed since the start; nil: it is open, or was.
func (k *MasterKey) NeverOpened() error {
	if r := k.ring(); r != nil && r.root == nil {
		return r.why
	}
	return nil
}

// Refusal is the answer to whoever needs a secret while it is sealed; nil: it is not.
func (k *MasterKey) Refusal() error {
	if _, why := k.Sealed(); why != nil {
		return sealedError(why)
	}
	return nil
}

// sealedRetry is what callers are told to wait.
const sealedRetry = 5 * time.Second

// sealedError is the answer to whoever needs a secret that does not open now.
func sealedError(why error) error {
	if keys.Is(why, keys.Busy) {
		return &tenure.Error{
			Kind: tenure.Unavailable, Code: "vault_busy", RetryAfter: sealedRetry,
			Msg: "the key service of stored secrets is asked too often at the moment", Err: why,
		}
	}
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "vault_sealed", RetryAfter: sealedRetry,
		Msg: "stored secrets cannot be opened at the moment; an administrator finds the reason on the page System, and \"tenure doctor\" and the log tell it, too", Err: why,
	}
}

// Derive gives a cipher for a purpose of its own (RFC 5869 §2.3): what is encrypted
// with it lives for minutes and is never stored. It needs no key service once the root
// key is open. Unavailable: that never was.
func (k *MasterKey) Derive(purpose string) (cipher.AEAD, error) {
	key, err := k.derive(purpose)
	if err != nil {
		return nil, err
	}
	return keys.GCM(key)
}

// derive gives a key that the root key makes for a purpose.
func (k *MasterKey) derive(purpose string) ([]byte, error) {
	r := k.ring()
	if r == nil || r.root == nil {
		_, why := k.Sealed()
		return nil, sealedError(why)
	}
	return hkdf.Expand(sha256.New, r.root, purpose, keys.Size)
}

// A rest is how long a previous key whose service is away is not asked again.
type rest struct {
	until time.Time
	why   error
}

const restFor = 5 * time.Second

// resting is why a key is not to be asked now; nil: it is.
func (k *MasterKey) resting(r *ring, kek keys.KEK) error {
	if kek == r.present() {
		return r.why
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if rest := k.rests[kek]; k.db.Now().Before(rest.until) {
		return rest.why
	}
	return nil
}

// failed judges what a KEK answered to a request, and gives the answer to that. Only
// the one that wraps seals what it cannot open any more; of another, what it has
// wrapped itself stays shut and nothing else. That a service is busy seals nothing.
func (k *MasterKey) failed(ctx context.Context, r *ring, kek keys.KEK, err error) error {
	switch {
	case ctx.Err() != nil: // whoever asked has left, or was cut: that says nothing of the KEK
	case keys.Is(err, keys.Busy):
	case kek != r.present() && keys.Is(err, keys.Away):
		k.mu.Lock()
		if k.rests == nil {
			k.rests = map[keys.KEK]rest{}
		}
		k.rests[kek] = rest{k.db.Now().Add(restFor), err}
		k.mu.Unlock()
	case kek != r.present():
	case keys.Is(err, keys.Away) || k.probe(context.WithoutCancel(ctx), r) != nil:
		k.lose(r, err)
	}
	return sealedError(err)
}

// unwrap asks the KEKs that may have wrapped something, those that are sure alone if
// there are any. What is Wrong was asked of every one of them.
func (k *MasterKey) unwrap(ctx context.Context, r *ring, all []keys.KEK, wrapped, bound []byte) ([]byte, keys.KEK, error) {
	var failed error
	var by keys.KEK
	for _, kek := range all {
		err := k.resting(r, kek)
		if err == nil {
			var key []byte
			if key, err = kek.Unwrap(ctx, wrapped, bound); err == nil {
				return key, kek, nil
			}
		}
		if failed == nil || keys.Is(failed, keys.Wrong) { // of another's absence nobody knows what it would have said
			failed, by = err, kek
		}
	}
	if failed == nil {
		failed = fmt.Errorf("neither TENURE_KEY_URL nor TENURE_KEY_URL_PREVIOUS names the key that wrapped it")
	}
	return nil, by, failed
}
