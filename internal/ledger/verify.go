package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Question says what a verification starts from.
type Question struct {
	// Keys are the public keys to trust; none: those of the database, which whoever can
	// write to it can change.
	Keys []string
	// Checkpoints are notes that were kept elsewhere, which the log must go on from.
	Checkpoints []string
	// Tell is told how many of how many places were looked at; nil: nobody.
	Tell func(done, all int64)
}

// Answer is what a verification found.
type Answer struct {
	Places      int64    // in the tree
	Checkpoints int      // whose signatures and roots are right
	Unsigned    int64    // places behind the last checkpoint
	Waiting     int64    // events that have no place yet
	Keys        []string // by which the checkpoints are signed, the first one first
	Last        string   // the newest checkpoint, for keeping it elsewhere
	Fault       *Fault   // nil: none
}

// Fault is the first thing that is wrong.
type Fault struct {
	Place int64  // in the tree
	Event string // id; "" where it is not known
	What  string
}

// page is how many places are read at once.
const page = 1000

// Verify reads the whole log and holds it against its tree, and the tree against its
// checkpoints. Invalid: a key or a checkpoint of the question is none.
func (l *Ledger) Verify(ctx context.Context, by tenure.Principal, q Question) (Answer, error) {
	if err := access.Check(by, tenure.VerifyAudit); err != nil {
		return Answer{}, err
	}
	ctx = tenure.Everywhere(ctx)
	rows, err := l.DB.AuditKeys(ctx)
	if err != nil {
		return Answer{}, err
	}
	known := make([]string, len(rows))
	for i, row := range rows {
		known[i] = row.Public
	}
	v, err := newVerifier(known, q)
	if err != nil {
		return Answer{}, err
	}
	if err := v.database(ctx, l.DB, q.Tell); err != nil {
		return Answer{}, err
	}
	return v.Answer, nil
}

// verifier goes along the tree: it is given each place, and each checkpoint after the
// place that it ends with.
type verifier struct {
	Answer
	asked   bool // whether the question names keys
	trusted []note.Verifier
	known   []note.Verifier // whose checkpoints are right where a later one, by a key that is trusted, is over them
	pinned  []signedRoot    // of the question, by size
	tree    audit.Range
	signed  int64 // the size of the last checkpoint that was right
	doubted int64 // the size of the last one that is right, and signed by a known key only; 0: none since
}

// signedRoot is what a checkpoint says.
type signedRoot struct {
	origin string
	size   int64
	root   tlog.Hash
}

// parse reads what a checkpoint says, whoever signed it.
func parse(text string) (signedRoot, error) {
	var c signedRoot
	var root string
	_, err := fmt.Sscanf(text, "%s\n%d\n%s\n", &c.origin, &c.size, &root)
	if err == nil {
		c.root, err = tlog.ParseHash(root)
	}
	if err != nil || c.size < 0 {
		return c, errors.New("what is signed is no checkpoint")
	}
	return c, nil
}

func newVerifier(known []string, q Question) (*verifier, error) {
	v := &verifier{asked: len(q.Keys) > 0}
	for _, public := range known {
		if k, err := note.NewVerifier(public); err == nil {
			v.known = append(v.known, k)
		}
	}
	for _, public := range q.Keys {
		k, err := note.NewVerifier(strings.TrimSpace(public))
		if err != nil {
			return nil, tenure.InvalidField("key", "%q is no public key as \"tenure audit keys\" shows it", tenure.Shown(public))
		}
		v.trusted = append(v.trusted, k)
	}
	if len(q.Keys) == 0 {
		v.trusted = slices.Clone(v.known)
	}
	for _, text := range q.Checkpoints {
		c, _, err := v.open(text)
		if err != nil {
			return nil, tenure.InvalidField("checkpoint", "the given checkpoint is none of this log: %v", err)
		}
		v.pinned = append(v.pinned, c)
	}
	slices.SortFunc(v.pinned, func(a, b signedRoot) int { return int(a.size - b.size) })
	return v, nil
}

// errDoubted says that only keys which nobody vouches for have signed a checkpoint.
var errDoubted = errors.New("no key that is trusted has signed it")

// open reads a checkpoint, and gives the name of the key that signed it. A key that it
// names as the successor is trusted from then on: that stands in what a trusted key has
// signed. (A signature that is beside a trusted one says nothing, for anybody may add one.)
// errDoubted: known keys alone have signed it.
func (v *verifier) open(text string) (signedRoot, string, error) {
	// Numbers of keys are short: what a trusted key has signed is asked of those alone.
	n, why := note.Open([]byte(text), note.VerifierList(v.trusted...))
	if why != nil {
		var err error
		if n, err = note.Open([]byte(text), note.VerifierList(v.known...)); err != nil {
			return signedRoot{}, "", fmt.Errorf("%w: %w", errDoubted, why)
		}
	}
	c, err := parse(n.Text)
	if err != nil || c.origin != n.Sigs[0].Name || c.size == 0 {
		return signedRoot{}, "", errors.New("what is signed is no checkpoint of this log")
	}
	name := fmt.Sprintf("%s+%08x", n.Sigs[0].Name, n.Sigs[0].Hash)
	if why != nil {
		return c, name, errDoubted
	}
	for line := range strings.Lines(n.Text) {
		public, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), successor)
		k, err := note.NewVerifier(public)
		if ok && err == nil && !slices.ContainsFunc(v.trusted, func(t note.Verifier) bool { return t.KeyHash() == k.KeyHash() }) {
			v.trusted = append(v.trusted, k)
		}
	}
	return c, name, nil
}

// database goes along the tree of a database, which may grow meanwhile: what is behind
// the size that it had at the beginning is not looked at.
func (v *verifier) database(ctx context.Context, db *store.DB, tell func(done, all int64)) error {
	last, err := db.LastCheckpoint(ctx)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return err
	}
	size, err := db.TreeSize(ctx)
	if err != nil {
		return err
	}
	if v.Waiting, err = db.CountUnplaced(ctx, 0); err != nil {
		return err
	}
	if stray, err := db.StrayLeaf(ctx); err != nil {
		return err
	} else if stray != "" {
		v.fault(size, stray, "its place is none of the tree, so that nothing would show if it were changed")
		return nil
	}
	notes := checkpoints{db: db, until: last.Size}
	for v.Fault == nil && v.tree.Size < size {
		places, err := db.PlacedEvents(ctx, v.tree.Size, page)
		if err != nil {
			return err
		}
		if len(places) == 0 {
			break
		}
		for _, p := range places {
			if p.Place >= size {
				break
			}
			if v.place(p); v.Fault != nil {
				break
			}
			if err := notes.upTo(ctx, v.tree.Size, v.checkpoint); err != nil {
				return err
			}
		}
		if tell != nil {
			tell(v.tree.Size, size)
		}
	}
	v.end(size, last.Size)
	return nil
}

// checkpoints reads those of a database in their order.
type checkpoints struct {
	db    *store.DB
	until int64 // the size of the last one
	after int64
	next  []store.Checkpoint
}

// upTo gives each whose tree has at most size places.
func (c *checkpoints) upTo(ctx context.Context, size int64, give func(store.Checkpoint)) error {
	for {
		if len(c.next) == 0 {
			if c.after >= c.until {
				return nil
			}
			var err error
			if c.next, err = c.db.Checkpoints(ctx, c.after, page); err != nil {
				return err
			}
			if len(c.next) == 0 {
				c.until = c.after
				return nil
			}
		}
		one := c.next[0]
		if one.Size > size {
			return nil
		}
		c.next, c.after = c.next[1:], one.Size
		give(one)
	}
}

// place looks at the next place.
func (v *verifier) place(p store.Placed) {
	at := v.tree.Size
	switch {
	case p.Place != at:
		v.fault(at, "", "the place is missing: its leaf was removed, or moved")
	case p.Event == nil:
		v.fault(at, "", "its event, number %d, was removed", p.Seq)
	case len(p.Event.Erased) > 0:
		v.fault(at, p.Event.ID, "its event was changed: what may be about a person stands as erased, and nothing erases it")
	default:
		leaf := audit.Leaf(*p.Event)
		if string(p.Hash) != string(leaf[:]) {
			v.fault(at, p.Event.ID, "its event was changed, or another is in its place")
			return
		}
		v.Places = at + 1
		v.tree.Add(leaf)
		v.meets()
	}
}

// checkpoint holds the tree against a checkpoint of its size.
func (v *verifier) checkpoint(c store.Checkpoint) {
	if v.Fault != nil {
		return
	}
	said, key, err := v.open(c.Note)
	doubted := errors.Is(err, errDoubted) && said.size > 0
	switch {
	case err != nil && !doubted:
		v.fault(c.Size-1, "", "the checkpoint of %d places is not to be trusted: %v", c.Size, err)
	case said.size != c.Size || c.Size != v.tree.Size:
		v.fault(c.Size-1, "", "the checkpoint of %d places is one of %d", c.Size, said.size)
	case said.root != v.tree.Root():
		v.fault(v.signed, "", "from here to place %d the tree is not the one that was signed: events and leaves were changed together", c.Size-1)
	default:
		v.signed, v.Last = c.Size, c.Note
		if v.doubted = 0; doubted {
			v.doubted = c.Size // a later one, by a key that is trusted, is over this one, too
		}
		v.Checkpoints++
		if !slices.Contains(v.Keys, key) {
			v.Keys = append(v.Keys, key)
		}
	}
}

// meets holds the tree against the given checkpoints of its size.
func (v *verifier) meets() {
	for len(v.pinned) > 0 && v.pinned[0].size <= v.tree.Size && v.Fault == nil {
		if c := v.pinned[0]; c.size == v.tree.Size && c.root != v.tree.Root() {
			v.fault(0, "", "up to place %d the tree is not the one of the given checkpoint: the log was written anew", c.size-1)
		}
		v.pinned = v.pinned[1:]
	}
}

// end looks at what must not be missing behind the last place: size is how many there
// should be, last how many the last checkpoint is over.
func (v *verifier) end(size, last int64) {
	v.Unsigned = v.tree.Size - v.signed
	switch {
	case v.Fault != nil:
	case v.tree.Size < size || v.tree.Size < last:
		v.fault(v.tree.Size, "", "the log is cut off here: it had %d places", max(size, last))
	case len(v.pinned) > 0:
		v.fault(v.tree.Size, "", "the log is cut off here: the given checkpoint is of %d places", v.pinned[0].size)
	case v.signed < last:
		v.fault(v.signed, "", "the checkpoint of %d places, the last one, was removed", last)
	case v.asked && v.signed == 0 && v.tree.Size > 0:
		v.fault(0, "", "no checkpoint is over it: nothing says that the log is the one of the given key")
	case v.doubted > 0:
		v.fault(v.doubted-1, "", "the last checkpoint, of %d places, is not to be trusted: %v", v.doubted, errDoubted)
	}
}

func (v *verifier) fault(place int64, event, format string, args ...any) {
	v.Fault = &Fault{Place: place, Event: event, What: fmt.Sprintf(format, args...)}
}
