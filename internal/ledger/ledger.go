// Package ledger makes the audit log one that cannot be edited unseen: it gives events
// their places in a tree of hashes (internal/audit), signs its roots, verifies both, and
// proves single events. It owns the signing keys, what goes from the log by erasure and by
// retention, and the legal holds under which nothing does.
//
// It appends no event but its own, and nobody who does waits for it.
package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
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
	// longest is how long places are given without looking behind again.
	longest = 20 * time.Second
)

// Ledger keeps the tree. Its fields are set before first use.
type Ledger struct {
	DB *store.DB
	// Sealer and Open are the vault's: the signing key is sealed like any secret.
	Sealer func(context.Context) (store.Sealer, error)
	Open   func(context.Context, store.SealedKey, store.Bound) (tenure.Secret, error)

	// Log is told what an operator should know.
	Log *slog.Logger
	// Kept is a file, outside of the database, in which it is remembered what was signed
	// last; "": in memory only.
	Kept string

	growing
	watch watching
	last  atomic.Int64 // the number of the newest event when they were last given places
	state sync.Mutex
	tells Standing
}

// growing is what a process has of the tree, in its turn.
type growing struct {
	turn    turn // one at a time of Place and BeginAnew in this process
	tree    *audit.Range
	noted   store.Tree // what was noted of that tree
	signed  int64      // the size of the last checkpoint that this process knows of
	settled settled
	memory  memory
	signers map[string]signing // whose secrets it has, by the id of the key
}

// turn lets one in at a time.
type turn struct {
	once sync.Once
	slot chan struct{}
}

// take waits for the turn, as long as ctx goes on. It is given back by done.
func (t *turn) take(ctx context.Context) (done func(), err error) {
	t.once.Do(func() { t.slot = make(chan struct{}, 1) })
	select {
	case t.slot <- struct{}{}:
		return func() { <-t.slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Standing is what a process knows of the tree.
type Standing struct {
	Places  int64  // that it has
	Trouble string // why no event is given a place; "": nothing is wrong
	// Verified is how many of them a replica has verified, and Fault what is wrong; nil:
	// nothing is.
	Verified int64
	Fault    *Fault
	// Since is when the log was verified last, or this process looked first where it never
	// was; zero: it has not looked yet. Stale is that, where it is more than ten minutes.
	Since, Stale time.Time
}

// Standing tells what this process knows of the tree.
func (l *Ledger) Standing() Standing {
	l.state.Lock()
	defer l.state.Unlock()
	tells := l.tells
	if v := l.watch.seen.Load(); v != nil {
		tells.Verified, tells.Fault, tells.Since = v.Places, v.Fault, v.At
	}
	if o := l.watch.own.Load(); o != nil {
		if tells.Fault == nil {
			tells.Fault = o.fault
		}
		if tells.Since.IsZero() {
			tells.Since = o.began
		}
	}
	tells.Stale = tooOld(tells.Since, l.DB.Now())
	return tells
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
	end, err := l.DB.LastEvent(tenure.Everywhere(ctx))
	return err == nil && end-l.last.Load() >= sign
}

// Place gives every event that has none its place, signs the tree, and tells how many
// there were. Whoever of the replicas comes first does it; the others find nothing left.
// Unavailable: the vault is sealed; the events wait.
func (l *Ledger) Place(ctx context.Context) (int, error) {
	done, err := l.turn.take(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	return l.placeAll(ctx)
}

// placeAll is Place of whoever has the turn.
func (l *Ledger) placeAll(ctx context.Context) (int, error) {
	n, _, err := l.placeOnce(ctx)
	return n, err
}

// placeOnce is placeAll, and tells whether another replica was at it.
func (l *Ledger) placeOnce(ctx context.Context) (n int, taken bool, err error) {
	// It is no part of what asks for it: of another tenant, and answered to nobody.
	n, err = l.place(tenure.Everywhere(tenure.WithoutAsker(tenure.WithOnce(ctx, nil))))
	if err != nil {
		l.tree = nil // what is there is read anew
	}
	if taken = tenure.IsKind(err, tenure.Conflict); taken {
		err = nil
	}
	l.note(err)
	return n, taken, err
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
	var began time.Time
	var end, from int64
	begun, all := 0, 0
	for {
		keys, err := l.keys(ctx) // another replica may have retired one
		if err != nil {
			return all, fmt.Errorf("audit signing key: %w", err)
		}
		// What another replica has added since is refused by its size: it is read first.
		if err := l.resume(ctx); err != nil {
			return all, err
		}
		if l.settled.begun != begun { // at first, and where another history has begun under way
			began = time.Now()
			if end, err = l.DB.LastEvent(ctx); err != nil {
				return all, err
			}
			l.settled.saw(began, end)
			from, begun = l.settled.upTo, l.settled.begun
		}
		events, err := l.DB.Unplaced(ctx, from, batch)
		if err != nil {
			return all, err
		}
		start := time.Now()
		if len(events) > 0 || l.tree.Size > l.signed {
			if err := l.take(ctx, keys, events); err != nil {
				return all, err
			}
		}
		if all += len(events); len(events) < batch {
			l.last.Store(end)
			l.settled.passed(began, end)
			return all, nil
		}
		from = events[len(events)-1].Seq
		if time.Since(began) > longest { // what came late below is not to wait for all of it
			l.settled.passed(began, from)
			return all, nil
		}
		select { // others write for twice as long as this has
		case <-ctx.Done():
			return all, ctx.Err()
		case <-time.After(2 * time.Since(start)):
		}
	}
}

// take gives places to events, in one transaction, and signs when it is time. Conflict:
// another replica has added to the tree.
func (l *Ledger) take(ctx context.Context, keys []signing, events []tenure.AuditEvent) error {
	grown, signed, settled := l.tree.Clone(), l.signed, l.settled
	leaves := make([]tlog.Hash, len(events))
	for i, e := range events {
		leaves[i] = audit.Leaf(e)
	}
	hashes := grown.Grow(leaves)
	noted, text := store.Tree{Size: grown.Size, Root: grown.Root().String(), Epoch: l.noted.Epoch}, ""
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.TakeTree(ctx, l.noted, noted); err != nil {
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
		if settled.due() {
			if err := tx.NoteSettled(ctx, noted.Epoch, settled.upTo); err != nil {
				return err
			}
		}
		if len(events) == batch && grown.Size-l.signed < sign {
			return nil // the next batch signs
		}
		signed = grown.Size
		var err error
		text, err = checkpoint(ctx, tx, grown, noted.Epoch, keys)
		return err
	})
	if err != nil {
		return err
	}
	if settled.due() {
		l.settled.noted = settled.upTo
	}
	l.tree, l.noted, l.signed = grown, noted, signed
	l.remember(text)
	return nil
}

// successor begins the line of a checkpoint by which the key before hands over to the
// newest, whose public half it has.
const successor = "successor "

// checkpoint signs a tree: with the newest key, and when that is new, with the one
// before too, which hands over in what both sign, and is retired with it. It gives the
// signed note.
func checkpoint(ctx context.Context, tx *store.Tx, tree *audit.Range, epoch string, keys []signing) (string, error) {
	signers := make([]note.Signer, len(keys))
	for i, k := range keys {
		signers[i] = k
	}
	origin := signers[0].Name()
	if epoch != "" {
		origin += "/" + epoch
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, tree.Size, tree.Root())
	if len(keys) > 1 {
		text += successor + keys[0].public + "\n"
	}
	msg, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return "", err
	}
	if err := tx.PutCheckpoint(ctx, store.Checkpoint{Size: tree.Size, At: tx.Now(), Note: string(msg)}); err != nil {
		return "", err
	}
	for _, k := range keys {
		if err := tx.CountCheckpoint(ctx, k.id); err != nil {
			return "", err
		}
	}
	for _, k := range keys[1:] { // and no other: what was made meanwhile has its turn
		if err := tx.RetireAuditKey(ctx, k.id); err != nil {
			return "", err
		}
	}
	return string(msg), nil
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
