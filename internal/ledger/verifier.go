package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

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
	epochs  epochsSeen
	missing missing
	begins  int64 // how many places were verified before; those are not looked at
}

// from lets the verifier go on behind a tree that was verified, with the size of its last
// checkpoint.
func (v *verifier) from(tree *audit.Range, signed int64) {
	if tree.Size > 0 {
		v.tree, v.Places, v.signed, v.begins = *tree, tree.Size, signed, tree.Size
	}
}

// epochsSeen are the epochs that checkpoints name, those that events tell of, and those that
// events tell of which may have no place yet.
type epochsSeen struct {
	named, told, waiting []string
	looked               bool // whether it is known what those tell
}

// signedRoot is what a checkpoint says.
type signedRoot struct {
	origin string
	size   int64
	root   tlog.Hash
	whose  string // it is, of one that is given or remembered
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
		c.whose = "that is given"
		v.pin(c)
	}
	return v, nil
}

// pin has the log go on from checkpoints.
func (v *verifier) pin(all ...signedRoot) {
	v.pinned = append(v.pinned, all...)
	slices.SortFunc(v.pinned, func(a, b signedRoot) int { return cmp.Compare(a.size, b.size) })
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
	if err != nil || c.origin != n.Sigs[0].Name && !strings.HasPrefix(c.origin, n.Sigs[0].Name+"/") || c.size == 0 {
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
	noted, err := db.Tree(ctx)
	if err != nil {
		return err
	}
	size := noted.Size
	if v.begins == 0 {
		if v.Waiting, err = db.CountUnplaced(ctx, size); err != nil {
			return err
		}
	}
	if stray, err := db.StrayLeaf(ctx); err != nil {
		return err
	} else if stray != "" {
		v.fault(size, stray, "its place is none of the tree, so that nothing would show if it were changed")
		return nil
	}
	notes := checkpoints{db: db, until: last.Size, after: max(v.begins-1, 0)}
	if err := notes.upTo(ctx, v.tree.Size, v.checkpoint); err != nil {
		return err
	}
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
	v.epochs.looked = true
	if err := v.waiting(ctx, db, last); err != nil {
		return err
	}
	if err := v.rest(ctx, db, size); err != nil {
		return err
	}
	v.end(size, last.Size)
	return nil
}

// rest reads on where something is missing, for the events that tell of it: behind a
// fault, and those that have no place yet.
func (v *verifier) rest(ctx context.Context, db *store.DB, size int64) error {
	for from := v.tree.Size; v.Fault != nil && v.waits(); {
		places, err := db.PlacedEvents(ctx, from, page)
		if err != nil {
			return err
		}
		if len(places) == 0 {
			break
		}
		for _, p := range places {
			from = p.Place + 1
			v.behind(p)
		}
	}
	if !v.waits() {
		return nil
	}
	tellers, err := db.Tellers(ctx, size)
	for i := range tellers {
		err = errors.Join(err, v.toldSince(ctx, db, &tellers[i]))
	}
	return err
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
	case p.Event == nil && p.ToldBy == "":
		v.fault(at, "", "its event, number %d, was removed, and no event tells of it", p.Seq)
	case p.Event != nil && p.ToldBy != "":
		v.fault(at, p.Event.ID, "its event is there, and its leaf says that it was removed")
	case p.Event == nil:
		if len(p.Hash) != tlog.HashSize {
			v.fault(at, "", "its leaf was changed")
			return
		}
		v.stands(p, tlog.Hash(p.Hash))
	case len(p.Event.Erased) > 0 && !audit.Bare(*p.Event):
		v.fault(at, p.Event.ID, "its event was changed: what may be about a person was erased, and there is something in its place, or it is one that is never erased")
	default:
		leaf := audit.Leaf(*p.Event)
		if string(p.Hash) != string(leaf[:]) {
			v.fault(at, p.Event.ID, "its event was changed, or another is in its place")
			return
		}
		v.tells(p.Event)
		v.stands(p, leaf)
	}
}

// stands takes the next place as it is.
func (v *verifier) stands(p store.Placed, leaf tlog.Hash) {
	v.Places = p.Place + 1
	v.tree.Add(leaf)
	v.notes(p)
	v.meets()
}

// tells notes an event by which the history of the log becomes another.
func (v *verifier) tells(e *tenure.AuditEvent) {
	if e.Action != audit.Restored && e.Action != audit.BegunAnew {
		return
	}
	v.epochs.told = append(v.epochs.told, e.Detail["epoch"])
	if e.Action == audit.BegunAnew {
		v.Anew = append(v.Anew, Anew{e.ID, e.At, e.Reason})
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
		if _, epoch, ok := strings.Cut(strings.TrimPrefix(said.origin, "tenure/"), "/"); ok && !slices.Contains(v.epochs.named, epoch) {
			v.epochs.named = append(v.epochs.named, epoch)
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
			v.fault(0, "", "up to place %d the tree is not the one of the checkpoint %s: the log was written anew", c.size-1, c.whose)
		}
		v.pinned = v.pinned[1:]
	}
}

// end looks at what must not be missing behind the last place: size is how many there
// should be, last how many the last checkpoint is over.
func (v *verifier) end(size, last int64) {
	v.Unsigned = v.tree.Size - v.signed
	if f := v.unexplained(); f != nil {
		v.Fault, v.Places = f, f.Place
	}
	switch {
	case v.Fault != nil:
	case v.tree.Size < size || v.tree.Size < last:
		v.fault(v.tree.Size, "", "the log is cut off here: it had %d places", max(size, last))
	case len(v.pinned) > 0:
		v.fault(v.tree.Size, "", "the log is cut off here: the checkpoint %s is of %d places%s", v.pinned[0].whose, v.pinned[0].size, v.begun())
	case v.signed < last:
		v.fault(v.signed, "", "the checkpoint of %d places, the last one, was removed", last)
	case v.asked && v.signed == 0 && v.tree.Size > 0:
		v.fault(0, "", "no checkpoint is over it: nothing says that the log is the one of the given key")
	case v.begins == 0 && (v.Waiting == 0 || v.epochs.looked) && v.untold() != "":
		v.fault(v.signed, "", "its checkpoints are of the history %q, and no event tells that it was restored or begun anew", v.untold())
	case v.doubted > 0:
		v.fault(v.doubted-1, "", "the last checkpoint, of %d places, is not to be trusted: %v", v.doubted, errDoubted)
	}
}

// begun tells that the tree was begun anew, for whoever wonders at it.
func (v *verifier) begun() string {
	if len(v.Anew) == 0 {
		return ""
	}
	return "; the tree was begun anew at " + v.Anew[len(v.Anew)-1].At.UTC().Format(time.RFC3339)
}

func (v *verifier) fault(place int64, event, format string, args ...any) {
	v.Fault = &Fault{Place: place, Event: event, What: fmt.Sprintf(format, args...)}
	v.missing.before(place)
}
