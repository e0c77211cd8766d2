package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure/internal/keys"
)

// A ring is the keys that are at hand at a time. It is never modified.
type ring struct {
	install string
	named   []named // as the settings name them: the first wraps
	text    string  // the root key as it is stored
	stored  storedRoot
	root    []byte // nil: it never opened
	why     error  // why it is sealed; nil: it is not
	since   time.Time
}

// named is a KEK of the settings.
type named struct {
	url string
	kek keys.KEK // nil: it cannot be had
	err error    // why not
}

// storedRoot is the root key as it is stored.
type storedRoot struct {
	KEK     string    `json:"kek"`
	Key     []byte    `json:"key"`
	At      time.Time `json:"at"`                  // when it was made
	Wrapped time.Time `json:"wrapped_at,omitzero"` // when this KEK wrapped it, where that was later
}

// rootKey is what the root key is bound to.
const rootKey = "root key"

// present is the KEK that wraps, or nil.
func (r *ring) present() keys.KEK {
	if len(r.named) == 0 {
		return nil
	}
	return r.named[0].kek
}

// keks are those that are at hand, each once.
func (r *ring) keks() []keys.KEK {
	var all []keys.KEK
	seen := map[string]bool{}
	for _, n := range r.named {
		if n.kek != nil && !seen[n.kek.About().ID] {
			seen[n.kek.About().ID] = true
			all = append(all, n.kek)
		}
	}
	return all
}

// absent reports whether a key that is named is not at hand.
func (r *ring) absent() bool {
	for _, n := range r.named {
		if n.kek == nil {
			return true
		}
	}
	return false
}

// candidates are the KEKs that may have wrapped something: the one that says so, or
// those of the same name. These were moved, or noted before ids told where a key is.
func (r *ring) candidates(by string) []keys.KEK {
	var same []keys.KEK
	for _, kek := range r.keks() {
		sure, perhaps := kek.About().Made(by)
		if sure {
			return []keys.KEK{kek}
		}
		if perhaps {
			same = append(same, kek)
		}
	}
	return same
}

// files are the KEKs that may have wrapped what is of the old form.
func (r *ring) files() []keys.KEK {
	var all []keys.KEK
	for _, kek := range r.keks() {
		if _, ok := kek.(*keys.File); ok {
			all = append(all, kek)
		}
	}
	return all
}

func (r *ring) hasFile(check string) bool {
	for _, kek := range r.keks() {
		if file, ok := kek.(*keys.File); ok && file.Check() == check {
			return true
		}
	}
	return false
}

func (r *ring) boundRoot() []byte { return binding([]string{r.install, rootKey}) }

// parse reads the root key as it is stored.
func (r *ring) parse(text string) error {
	r.text = text
	if err := json.Unmarshal([]byte(text), &r.stored); err != nil {
		return &keys.Error{Label: "of this database", Problem: keys.Wrong, Do: "restore the row vault.root of the table meta from a backup", Err: errors.New("the stored root key is damaged")}
	}
	return nil
}

// openRoot unwraps the root key, which tells that the KEK is the right one.
func (k *MasterKey) openRoot(ctx context.Context, r *ring) error {
	about := r.present().About()
	all := r.candidates(r.stored.KEK)
	root, by, err := k.unwrap(ctx, r, all, r.stored.Key, r.boundRoot())
	switch {
	case err == nil:
		r.root = root
	case len(all) == 0:
		err = otherKey(about, r.stored.KEK, "put the right one back, or name it in TENURE_KEY_URL_PREVIOUS")
	case keys.Is(err, keys.Wrong) && by.About().ID != r.stored.KEK: // the same name elsewhere
		if sure, _ := by.About().Made(r.stored.KEK); !sure {
			err = otherKey(by.About(), r.stored.KEK, "it has the same name and is another key: let TENURE_KEY_URL name the right one where it is now")
		}
	}
	return err
}

// otherKey says that the database knows another key.
func otherKey(is keys.About, was, do string) error {
	return &keys.Error{Label: is.Label, Problem: keys.Wrong, Do: do, Err: fmt.Errorf("this database was sealed with %s, and this is %s", was, is.ID)}
}
