package ledger

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// resume brings what this process has of the tree to what the database has, if another
// replica has added to it. A tree that is not the one that was signed last is not added
// to, for the next signature would be over both.
func (l *Ledger) resume(ctx context.Context) error {
	noted, err := l.DB.Tree(ctx)
	if err != nil || l.tree != nil && noted.Root != "" && l.noted == noted {
		return err
	}
	why := l.read(ctx, noted)
	if isBroken(why) {
		now, err := l.DB.Tree(ctx)
		if err != nil {
			return err
		}
		if now != noted { // another replica has added to it while it was read
			return &tenure.Error{Kind: tenure.Conflict, Code: "audit_tree_taken", Msg: "another replica is adding to the tree of the audit log", Err: why}
		}
	}
	return why
}

// read reads the tree anew.
func (l *Ledger) read(ctx context.Context, noted store.Tree) error {
	last, err := l.DB.LastCheckpoint(ctx)
	if tenure.IsKind(err, tenure.NotFound) {
		last, err = store.Checkpoint{}, nil
	}
	if err != nil {
		return err
	}
	if last.Size > noted.Size {
		return broken("it has %d places, and the last checkpoint is over %d", noted.Size, last.Size)
	}
	if stray, err := l.DB.StrayLeaf(ctx); err != nil {
		return err
	} else if stray != "" {
		return broken("the event %s has a place that is none of the tree", stray)
	}
	if last.Size > 0 {
		said, err := parse(last.Note)
		if err != nil || said.size != last.Size {
			return broken("what stands as its last checkpoint is none")
		}
		if root, err := l.rootAt(ctx, last.Size); err != nil {
			return err
		} else if said.root != root {
			return broken("its first %d places are not those of the last checkpoint", last.Size)
		}
	}
	tree, err := audit.Resume(noted.Size, reading(ctx, l.DB))
	if err != nil {
		return broken("%v", err)
	}
	if noted.Root != "" && noted.Root != tree.Root().String() {
		return broken("its %d places are not those whose root was noted with them", noted.Size)
	}
	if err := l.recall(ctx, noted); err != nil {
		return err
	}
	if err := l.settle(ctx, noted); err != nil {
		return err
	}
	l.tree, l.noted, l.signed = tree, noted, last.Size
	l.learn(last.Note, noted.Epoch)
	return nil
}

// rootAt is the root over the first places, from what is stored of them.
func (l *Ledger) rootAt(ctx context.Context, size int64) (tlog.Hash, error) {
	tree, err := audit.Resume(size, reading(ctx, l.DB))
	if err != nil {
		return tlog.Hash{}, broken("%v", err)
	}
	return tree.Root(), nil
}

// broken is the error for a tree that cannot be added to.
func broken(format string, args ...any) error {
	return &tenure.Error{
		Kind: tenure.Internal, Code: "audit_tree_broken",
		Msg: "the tree of the audit log was changed in the database: " + fmt.Sprintf(format, args...) + "; \"tenure audit verify\" names what was",
	}
}

// isBroken tells a tree that cannot be added to from a database that cannot be asked.
func isBroken(err error) bool { return tenure.AsError(err).Code == "audit_tree_broken" }

// settle begins with what is settled, at first and where the history is another than the one
// that this process knew: numbers may have been given anew, and places all are.
func (l *Ledger) settle(ctx context.Context, noted store.Tree) error {
	back := noted.Size < l.noted.Size
	if l.settled.begun > 0 && noted.Epoch == l.noted.Epoch && !back {
		return nil
	}
	upTo, err := l.DB.Settled(ctx, noted)
	if err != nil {
		return err
	}
	if back && noted.Epoch == l.noted.Epoch { // what was noted may be of places that are not there any more
		upTo = 0
	}
	l.settled.begin(upTo)
	return nil
}
