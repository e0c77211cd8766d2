package vault

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
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

// rootKey is what the root key is bound to.
const rootKey = "root key"

// KeyURLs name the key-encryption keys: the one that wraps, and those that open what
// they have wrapped.
type KeyURLs struct {
	Present  string
	Previous []string
}

// MasterKey is what secrets are sealed with: the key-encryption keys, and the root
// key of the installation that they wrap. While these cannot be had it is sealed, and
// nothing opens. It is safe for use by many goroutines.
type MasterKey struct {
	db   *store.DB
	urls KeyURLs
	opt  keys.Options
	look bool // changes nothing
	find bool // makes no file

	mu         sync.RWMutex
	held       *ring
	onTampered func(context.Context, store.Bound)
	toldOf     map[store.Bound]bool
	lost       chan struct{} // wakes Keep
}

// A ring is the keys that are at hand at a time. It is never modified.
type ring struct {
	install string
	keks    []keys.KEK // the first wraps
	absent  []error    // of the previous ones
	root    []byte
	stored  storedRoot
	why     error // why it is sealed; nil: it is not
	since   time.Time
}

// storedRoot is the root key as it is stored.
type storedRoot struct {
	KEK string    `json:"kek"`
	Key []byte    `json:"key"`
	At  time.Time `json:"at"`
}

// OpenKey opens the installation's keys, and makes what a fresh one needs: the file,
// if one is named, and the root key. Where a key cannot be had, or is not the one that
// the database knows, it is sealed. Its error is a fault of the database, or a file
// that is refused: others may read it, or it cannot be made.
func OpenKey(ctx context.Context, db *store.DB, urls KeyURLs, o keys.Options) (*MasterKey, error) {
	k := &MasterKey{db: db, urls: urls, opt: o, lost: make(chan struct{}, 1)}
	r, err := k.load(ctx)
	k.held = r
	return k, err
}

// FindKey is OpenKey for whoever works on data that is there already: it makes no
// file. NotFound: there is none.
func FindKey(ctx context.Context, db *store.DB, urls KeyURLs, o keys.Options) (*MasterKey, error) {
	k := &MasterKey{db: db, urls: urls, opt: o, find: true, lost: make(chan struct{}, 1)}
	r, err := k.load(ctx)
	k.held = r
	return k, err
}

// LookAtKey is OpenKey for whoever changes nothing: it makes no key, and the database
// remembers none. fs.ErrNotExist: there is no file, and nothing sealed.
func LookAtKey(ctx context.Context, db *store.DB, urls KeyURLs, o keys.Options) (*MasterKey, error) {
	k := &MasterKey{db: db, urls: urls, opt: o, look: true}
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
	k.onTampered = fn
}

func (k *MasterKey) ring() *ring {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.held
}

// Sealed says since when nothing opens, and why; nil: it does.
func (k *MasterKey) Sealed() (since time.Time, why error) {
	r := k.ring()
	return r.since, r.why
}

// sealedRetry is what callers are told to wait.
const sealedRetry = 5 * time.Second

// sealedError is the answer to whoever needs a secret while none opens.
func sealedError(why error) error {
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "vault_sealed", RetryAfter: sealedRetry,
		Msg: "stored secrets cannot be opened at the moment; an administrator finds the reason on the page System, and \"tenure doctor\" and the log tell it, too", Err: why,
	}
}

// load gets the keys. The ring that it gives is sealed where they cannot be had; an
// error is a fault of the database or, before anything is sealed, of the settings.
func (k *MasterKey) load(ctx context.Context) (*ring, error) {
	r := &ring{since: k.db.Now()}
	var known [3]string
	for i, name := range [...]string{metaInstall, metaRoot, metaCheck} {
		var err error
		if known[i], err = k.db.Meta(ctx, name); err != nil {
			r.why = err
			return r, err
		}
	}
	var stored, check string
	r.install, stored, check = known[0], known[1], known[2]
	present, made, err := k.present(ctx, stored != "" || check != "")
	var problem *keys.Error
	switch {
	case errors.As(err, &problem) && problem.Problem != keys.Exposed:
		r.why = err
		return r, nil
	case err != nil:
		r.why = err
		return r, err
	}
	r.keks = []keys.KEK{present}
	for _, url := range k.urls.Previous {
		kek, err := keys.Open(ctx, url, k.opt)
		if err != nil {
			r.absent = append(r.absent, err)
		} else if kek.ID() != present.ID() {
			r.keks = append(r.keks, kek)
		}
	}
	if stored == "" {
		stored, err = k.firstRoot(ctx, r, check)
	}
	if err == nil && stored != "" {
		err = r.openRoot(ctx, stored)
	}
	if err != nil {
		r.why = err
	}
	if errors.As(err, &problem) {
		err = nil
		if made { // of two first starts another was first, and nothing is sealed with this file
			err = os.Remove(keys.FileOf(k.urls.Present))
		}
	}
	return r, err
}

// present opens the KEK that wraps, and tells whether it has made it; what is no *keys.Error refuses the settings. A file that is not there is made, unless
// something was sealed by an earlier one.
func (k *MasterKey) present(ctx context.Context, known bool) (_ keys.KEK, made bool, _ error) {
	kek, err := keys.Open(ctx, k.urls.Present, k.opt)
	if err == nil || keys.FileOf(k.urls.Present) == "" {
		return kek, false, err
	}
	sealed, cerr := k.db.CountSealed(ctx)
	switch {
	case cerr != nil:
		return nil, false, cerr
	case !keys.Is(err, keys.Missing) && !known && sealed == 0:
		return nil, false, errors.New(err.Error()) // nothing can wait for it: the setting is wrong
	case !keys.Is(err, keys.Missing):
		return nil, false, err
	case known || sealed > 0:
		var missing *keys.Error
		_ = errors.As(err, &missing)
		return nil, false, &keys.Error{
			Label: missing.Label, Problem: keys.Missing, Do: fmt.Sprintf("%d secrets are sealed by the one that was there, put it back", sealed),
		}
	case k.look:
		return nil, false, fs.ErrNotExist
	case k.find:
		return nil, false, &tenure.Error{
			Kind: tenure.NotFound, Code: "no_data", Err: err,
			Msg: fmt.Sprintf("there is no key-encryption key at %s; run \"tenure serve\" first, or name the right TENURE_HOME or TENURE_KEY_URL", keys.FileOf(k.urls.Present)),
		}
	}
	if err := keys.Make(k.urls.Present); err != nil {
		return nil, false, err
	}
	kek, err = keys.Open(ctx, k.urls.Present, k.opt)
	return kek, true, err
}

// firstRoot makes the installation's root key, once: of processes that start at once,
// all take what the first has stored. Where a file was known before there was a root
// key, it must be among the keys.
func (k *MasterKey) firstRoot(ctx context.Context, r *ring, check string) (string, error) {
	if check != "" && !r.hasFile(check) {
		return "", &keys.Error{
			Label: r.keks[0].Label(), Problem: keys.Wrong, Do: "put the right one back",
			Err: errors.New("it is not the one that this database was sealed with"),
		}
	}
	if k.look {
		return "", nil
	}
	root := make([]byte, keys.Size)
	_, _ = rand.Read(root) // crypto/rand never fails (Go 1.24 and later)
	wrapped, by, err := r.keks[0].Wrap(ctx, root, r.boundRoot())
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(storedRoot{KEK: by, Key: wrapped, At: k.db.Now().UTC()})
	if err != nil {
		return "", err
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		first, err := tx.FirstMeta(ctx, metaRoot, string(text))
		if err == nil && first {
			err = tx.DropMeta(ctx, metaCheck)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return k.db.Meta(ctx, metaRoot)
}

// openRoot unwraps the root key, which tells that the KEK is the right one.
func (r *ring) openRoot(ctx context.Context, stored string) error {
	if err := json.Unmarshal([]byte(stored), &r.stored); err != nil {
		return &keys.Error{Label: r.keks[0].Label(), Problem: keys.Wrong, Do: "restore the row vault.root of the table meta from a backup", Err: errors.New("the stored root key is damaged")}
	}
	kek := r.find(r.stored.KEK)
	if kek == nil {
		return &keys.Error{
			Label: r.keks[0].Label(), Problem: keys.Wrong, Do: "put the right one back, or name it in TENURE_KEY_URL_PREVIOUS",
			Err: fmt.Errorf("this database was sealed with %s, and this is %s", r.stored.KEK, r.keks[0].ID()),
		}
	}
	root, err := kek.Unwrap(ctx, r.stored.Key, r.boundRoot())
	r.root = root
	return err
}

func (r *ring) boundRoot() []byte { return binding([]string{r.install, rootKey}) }

// find gives the KEK that wrapped something, or nil.
func (r *ring) find(by string) keys.KEK {
	id, _, _ := strings.Cut(by, "#")
	for _, kek := range r.keks {
		if kek.ID() == id {
			return kek
		}
	}
	return nil
}

// files are the KEKs that may have wrapped what is of the old form.
func (r *ring) files() []keys.KEK {
	var all []keys.KEK
	for _, kek := range r.keks {
		if _, ok := kek.(*keys.File); ok {
			all = append(all, kek)
		}
	}
	return all
}

func (r *ring) hasFile(check string) bool {
	for _, kek := range r.keks {
		if file, ok := kek.(*keys.File); ok && file.Check() == check {
			return true
		}
	}
	return false
}

// failed judges what a KEK answered to a request. What it refuses of one row says
// nothing of the others while the root key opens.
func (k *MasterKey) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil { // whoever asked has left, or was cut: that says nothing of the KEK
		return sealedError(err)
	}
	r := k.ring()
	if r.why == nil && (keys.Is(err, keys.Away) || k.probe(context.WithoutCancel(ctx), r) != nil) {
		k.lose(r, err)
	}
	return sealedError(err)
}

// probe asks for the root key.
func (k *MasterKey) probe(ctx context.Context, r *ring) error {
	kek := r.find(r.stored.KEK)
	if kek == nil {
		return nil
	}
	_, err := kek.Unwrap(ctx, r.stored.Key, r.boundRoot())
	return err
}

// lose seals: nobody asks the KEK any more until Keep has it again.
func (k *MasterKey) lose(from *ring, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held != from {
		return
	}
	next := *from
	next.why, next.since = why, k.db.Now()
	k.held = &next
	select {
	case k.lost <- struct{}{}:
	default:
	}
}

// How often the keys are looked at.
const (
	firstTry  = time.Second // after they were lost; each further try waits twice as long
	lastTry   = 15 * time.Second
	probeEach = 30 * time.Second // while they are there
)

// Keep gets the keys back whenever they are lost, until ctx ends, and tells of each
// change, beginning with how it finds them.
func (k *MasterKey) Keep(ctx context.Context, tell func(ctx context.Context, why error)) {
	tell(ctx, k.ring().why)
	wait := firstTry
	for {
		before := k.ring()
		pause := probeEach
		if before.why != nil {
			pause = wait
		}
		select {
		case <-ctx.Done():
			return
		case <-k.lost:
			wait = firstTry
			tell(ctx, k.ring().why)
			continue
		case <-time.After(pause):
		}
		if before.why == nil && len(before.absent) == 0 {
			if err := k.probe(ctx, before); err != nil && ctx.Err() == nil {
				k.lose(before, err)
			}
			continue
		}
		next, err := k.load(ctx)
		if err != nil && before.why == nil {
			continue // the database's fault, and told elsewhere
		}
		wait = min(2*wait, lastTry)
		if next.why != nil && before.why != nil {
			next.since = before.since
		}
		k.mu.Lock()
		k.held = next
		k.mu.Unlock()
		if (next.why == nil) != (before.why == nil) {
			wait = firstTry
			tell(ctx, next.why)
		}
	}
}
