package vault

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Status is what is known of the key-encryption keys, and of what they have wrapped.
type Status struct {
	SealedSince time.Time // zero: it is not sealed
	Keys        []KeyStatus
	RootBy      string    // what wrapped the root key; "": there is none yet
	RootAt      time.Time // when the root key was made
	RootWrapped time.Time // when it was wrapped by what has wrapped it
	Wrapped     []Wrapped
	Problems    []string // what is wrong, and what to do
}

// KeyStatus is one key that the settings name.
type KeyStatus struct {
	keys.About        // only the label, of one that is not at hand
	Wraps      bool   // it wraps what is sealed now; the others only open
	Absent     string // why it is not at hand; "": it is
}

// Wrapped is how many secrets of a table were wrapped in the same way.
type Wrapped struct {
	store.SealedCount
	Opens bool // the key that wrapped them is at hand
	Old   bool // "tenure vault rewrap" is to be run: by another key or version, or of the old form
}

// Status tells which keys are at hand, what they have wrapped, and what is wrong.
func (v *Vault) Status(ctx context.Context, by tenure.Principal) (Status, error) {
	if err := access.Check(by, tenure.ReadHealth); err != nil {
		return Status{}, err
	}
	counts, err := v.DB.SealedCounts(ctx)
	if err != nil {
		return Status{}, err
	}
	r, err := v.Key.need(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{RootBy: r.stored.KEK, RootAt: r.stored.At, RootWrapped: r.stored.Wrapped}
	if s.RootWrapped.IsZero() {
		s.RootWrapped = s.RootAt
	}
	if r.why != nil {
		s.SealedSince = r.since
		s.Problems = append(s.Problems, r.why.Error())
	}
	for i, n := range r.named {
		k := KeyStatus{Wraps: i == 0}
		if n.kek != nil {
			k.About = n.kek.About()
		} else {
			k.Label, _, _ = strings.Cut(n.url, "?")
			k.Absent = n.err.Error()
		}
		if n.kek == nil && (r.why == nil || i > 0) {
			s.Problems = append(s.Problems, k.Absent)
		}
		s.Keys = append(s.Keys, k)
	}
	for _, c := range counts {
		w := r.judge(c)
		s.Wrapped = append(s.Wrapped, w)
		switch {
		case !w.Opens && r.why == nil:
			s.Problems = append(s.Problems, fmt.Sprintf("%d of %s are wrapped by %s, which neither TENURE_KEY_URL nor TENURE_KEY_URL_PREVIOUS names", c.Count, c.Table, byWhat(c)))
		case w.Opens && w.Old:
			s.Problems = append(s.Problems, fmt.Sprintf("%d of %s are wrapped by %s still: run \"tenure vault rewrap\"", c.Count, c.Table, byWhat(c)))
		}
	}
	return s, nil
}

// CountWrapped counts the secrets that the KEK of the day has wrapped, and those that
// "tenure vault rewrap" would wrap by it. Unavailable: the vault is sealed.
func (k *MasterKey) CountWrapped(ctx context.Context) (present, another int, err error) {
	r := k.ring()
	if r == nil || r.why != nil {
		return 0, 0, sealedError(nil)
	}
	counts, err := k.db.SealedCounts(ctx)
	for _, c := range counts {
		if r.judge(c).Old {
			another += c.Count
		} else {
			present += c.Count
		}
	}
	return present, another, err
}

// judge tells of secrets that were wrapped in one way whether they open, and whether
// they are to be wrapped anew. Whether a service has a newer version of its key is not
// asked.
func (r *ring) judge(c store.SealedCount) Wrapped {
	w := Wrapped{SealedCount: c}
	if c.Form == formOld {
		w.Opens, w.Old = len(r.files()) > 0, true
		return w
	}
	w.Opens, w.Old = len(r.candidates(c.KEK)) > 0, true
	if kek := r.present(); kek != nil {
		sure, _ := kek.About().Made(c.KEK)
		w.Old = !sure
	}
	return w
}

// byWhat names what wrapped; the old form did not say.
func byWhat(c store.SealedCount) string {
	if c.KEK == "" {
		return "a file, in the old form"
	}
	return c.KEK
}
