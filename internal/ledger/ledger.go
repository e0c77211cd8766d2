// Package ledger makes the audit log one that cannot be edited unseen: it gives events
// their places in a tree of hashes (internal/audit), signs its roots, verifies both, and
// proves single events. It owns the signing keys.
//
// It appends no event but its own, and nobody who does waits for it.
package ledger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Every is how long an event waits for its place at most, while a replica serves.
const Every = 5 * time.Second

const (
	batch = 100  // events that one transaction gives places: who writes waits for it in SQLite
	sign  = 1000 // places that no checkpoint is over, at most
	look  = time.Second
	// settling is how long an event of a lower number may still come: more than a
	// transaction takes.
	settling = time.Minute
	longest  = 20 * time.Second // that places are given without looking behind again
)

// Ledger keeps the tree. Its fields are set before first use.
type Ledger struct {
	DB *store.DB
	// Sealer and Open are the vault's: the signing key is sealed like any secret.
	Sealer func(context.Context) (store.Sealer, error)
	Open   func(context.Context, store.SealedKey, store.Bound) (tenure.Secret, error)

	mu      sync.Mutex // one Place at a time in this process
	tree    *audit.Range
	signed  int64 // the size of the last checkpoint that this process knows of
	last    int64 // the number of the newest event when they were last given places
	signers map[string]note.Signer

	state sync.Mutex
	tells Standing
}

// Standing is what a process knows of the tree.
type Standing struct {
	Places  int64  // that it has
	Trouble string // why no event is given a place; "": nothing is wrong
}

// Standing tells what this process knows of the tree.
func (l *Ledger) Standing() Standing {
	l.state.Lock()
	defer l.state.Unlock()
	return l.tells
}

// Run gives places every five seconds, and when a thousand events wait, until ctx ends.
// report is told when something goes wrong, and not again while the same does.
func (l *Ledger) Run(ctx context.Context, report func(error)) {
	var done time.Time
	store.WriteBehind(ctx, look, func(ctx context.Context) error {
		if time.Since(done) < Every && !l.many(ctx) {
			return nil
		}
		done = time.Now()
		before := l.Standing().Trouble
		if _, err := l.Place(ctx); err != nil && l.Standing().Trouble != before {
			return fmt.Errorf("audit log: events wait for their places: %w", err)
		}
		return nil
	}, report)
}

// many reports whether so many events wait that they are to be signed at once.
func (l *Ledger) many(ctx context.Context) bool {
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	end, err := l.DB.LastEvent(tenure.Everywhere(ctx))
	return err == nil && end-last >= sign
}

// Place gives every event that has none its place, signs the tree, and tells how many
// there were. Whoever of the replicas comes first does it; the others find nothing left.
// Unavailable: the vault is sealed; the events wait.
func (l *Ledger) Place(ctx context.Context) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// It is no part of what asks for it: of another tenant, and answered to nobody.
	n, err := l.place(tenure.Everywhere(tenure.WithoutAsker(tenure.WithOnce(ctx, nil))))
	if tenure.IsKind(err, tenure.Conflict) { // another replica is at it
		err = nil
	}
	if err != nil {
		l.tree = nil // what is there is read anew
	}
	l.note(err)
	return n, err
}

// note keeps how the last attempt went.
func (l *Ledger) note(err error) {
	l.state.Lock()
	defer l.state.Unlock()
	if l.tells.Trouble = ""; err != nil {
		l.tells.Trouble = err.Error()
	}
	if l.tree != nil {
		l.tells.Places = l.tree.Size
	}
}

func (l *Ledger) place(ctx context.Context) (int, error) {
	end, err := l.DB.LastEvent(ctx)
	if err != nil {
		return 0, err
	}
	from, err := l.DB.Settled(ctx, settling)
	if err != nil {
		return 0, err
	}
	if l.last == 0 { // this process begins: what came late while nobody looked
		from = 0
	}
	for all, began := 0, time.Now(); ; {
		keys, err := l.keys(ctx) // another replica may have retired one
		if err != nil {
			return all, fmt.Errorf("audit signing key: %w", err)
		}
		// What another replica has added since is refused by its size: it is read first.
		if err := l.resume(ctx); err != nil {
			return all, err
		}
		events, err := l.DB.Unplaced(ctx, from, batch)
		if err != nil {
			return all, err
		}
		if len(events) == 0 && l.tree.Size == l.signed {
			l.last = end
			return all, nil
		}
		start := time.Now()
		if err := l.take(ctx, keys, events); err != nil {
			return all, err
		}
		if all += len(events); len(events) < batch {
			l.last = end
			return all, nil
		}
		if time.Since(began) > longest { // else what came late below would be settled before it was seen
			return all, nil
		}
		from = events[len(events)-1].Seq
		select { // others write for twice as long as this has
		case <-ctx.Done():
			return all, ctx.Err()
		case <-time.After(2 * time.Since(start)):
		}
	}
}

// resume brings what this process has of the tree to what the database has, if another
// replica has added to it. A tree that is not the one that was signed last is not added
// to, for the next signature would be over both.
func (l *Ledger) resume(ctx context.Context) error {
	size, err := l.DB.TreeSize(ctx)
	if err != nil || l.tree != nil && l.tree.Size == size {
		return err
	}
	last, err := l.DB.LastCheckpoint(ctx)
	if tenure.IsKind(err, tenure.NotFound) {
		last, err = store.Checkpoint{}, nil
	}
	if err != nil {
		return err
	}
	if last.Size > size {
		return broken("it has %d places, and the last checkpoint is over %d", size, last.Size)
	}
	if last.Size > 0 {
		signed, err := audit.Resume(last.Size, reading(ctx, l.DB))
		if err != nil {
			return broken("%v", err)
		}
		said, err := parse(last.Note)
		if err != nil || said.size != last.Size || said.root != signed.Root() {
			return broken("its first %d places are not those of the last checkpoint", last.Size)
		}
	}
	tree, err := audit.Resume(size, reading(ctx, l.DB))
	if err != nil {
		return broken("%v", err)
	}
	l.tree, l.signed = tree, last.Size
	return nil
}

// broken is the error for a tree that cannot be added to.
func broken(format string, args ...any) error {
	return &tenure.Error{
		Kind: tenure.Internal, Code: "audit_tree_broken",
		Msg: "the tree of the audit log was changed in the database: " + fmt.Sprintf(format, args...) + "; \"tenure audit verify\" names what was",
	}
}

// take gives places to events, in one transaction, and signs when it is time. Conflict:
// another replica has added to the tree.
func (l *Ledger) take(ctx context.Context, keys []signing, events []tenure.AuditEvent) error {
	grown, signed := l.tree.Clone(), l.signed
	leaves := make([]tlog.Hash, len(events))
	for i, e := range events {
		leaves[i] = audit.Leaf(e)
	}
	hashes := grown.Grow(leaves)
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.TakeTree(ctx, l.tree.Size, grown.Size); err != nil {
			return err
		}
		for i, e := range events {
			if err := tx.PutLeaf(ctx, l.tree.Size+int64(i), e.Seq, leaves[i]); err != nil {
				return err
			}
		}
		for _, h := range hashes {
			if h.Level == 0 {
				continue // those were the leaves
			}
			if err := tx.PutSubtree(ctx, h); err != nil {
				return err
			}
		}
		if len(events) == batch && grown.Size-l.signed < sign {
			return nil // the next batch signs
		}
		signed = grown.Size
		return checkpoint(ctx, tx, grown, keys)
	})
	if err != nil {
		return err
	}
	l.tree, l.signed = grown, signed
	return nil
}

// successor begins the line of a checkpoint by which the key before hands over to the
// newest, whose public half it has.
const successor = "successor "

// checkpoint signs a tree: with the newest key, and when that is new, with the one
// before too, which hands over in what both sign, and is retired with it.
func checkpoint(ctx context.Context, tx *store.Tx, tree *audit.Range, keys []signing) error {
	signers := make([]note.Signer, len(keys))
	for i, k := range keys {
		signers[i] = k.signer
	}
	root := tree.Root()
	text := fmt.Sprintf("%s\n%d\n%s\n", signers[0].Name(), tree.Size, root)
	if len(keys) > 1 {
		text += successor + keys[0].public + "\n"
	}
	msg, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return err
	}
	if err := tx.PutCheckpoint(ctx, store.Checkpoint{Size: tree.Size, At: tx.Now(), Note: string(msg)}); err != nil {
		return err
	}
	for _, k := range keys {
		if err := tx.CountCheckpoint(ctx, k.id); err != nil {
			return err
		}
	}
	for _, k := range keys[1:] { // and no other: what was made meanwhile has its turn
		if err := tx.RetireAuditKey(ctx, k.id); err != nil {
			return err
		}
	}
	return nil
}

// reading reads stored hashes.
func reading(ctx context.Context, db *store.DB) audit.Stored {
	return func(level int, n int64, count int) ([]tlog.Hash, error) {
		rows, err := db.TreeHashes(ctx, level, n, count)
		out := make([]tlog.Hash, len(rows))
		for i, r := range rows {
			out[i] = r
		}
		return out, err
	}
}
