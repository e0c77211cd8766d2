package vault

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/tenure-gateway/tenure/internal/keys"
)

// How often the keys are looked at.
const (
	firstTry  = time.Second // after they were lost; each further try waits twice as long
	lastTry   = 15 * time.Second
	probeEach = 30 * time.Second // while they are there
)

// Keep gets the keys back whenever they are lost, until ctx ends, and tells of each
// change, beginning with how it finds them.
func (k *MasterKey) Keep(ctx context.Context, tell func(ctx context.Context, why error)) {
	told := k.ring().why
	tell(ctx, told)
	wait := firstTry
	for {
		pause := probeEach
		if k.ring().why != nil {
			pause = wait
		}
		select {
		case <-ctx.Done():
			return
		case <-k.lost:
			wait = firstTry
		case <-time.After(pause):
			k.lookAgain(ctx)
			wait = min(2*wait, lastTry)
		}
		why := k.ring().why
		if (why == nil) != (told == nil) {
			wait = firstTry
			tell(ctx, why)
		}
		told = why
	}
}

// lookAgain looks whether the keys are still there or, where they are not, are again.
func (k *MasterKey) lookAgain(ctx context.Context) {
	before := k.ring()
	if before.why == nil {
		err := k.probe(ctx, before)
		if err != nil && ctx.Err() == nil && err != errChanged { //nolint:errorlint // it is given as it is
			k.lose(before, err)
			return
		}
		if before = k.ring(); err == nil && !before.absent() {
			return
		}
	}
	next, err := k.load(ctx)
	switch {
	case before.why == nil && (err != nil || next.why != nil && next.text == before.text):
		return // the database's fault, which is told elsewhere; or a key that was absent is
	case next.why != nil && before.root != nil && next.text == before.text: // what is open stays so
		kept := *before
		kept.why = next.why
		next = &kept
	}
	if next.why != nil && before.why != nil {
		next.since = before.since
	}
	k.exchange(before, next)
}

// errChanged says that the database has a root key that is not the one at hand.
var errChanged = errors.New("the root key of this database was made anew, or wrapped by a key that is not at hand")

// probe asks the KEK that wraps for the root key, as the database has it now: whoever
// has wrapped it anew has told nobody. Where another KEK has wrapped it, the one that
// wraps is asked to wrap something.
func (k *MasterKey) probe(ctx context.Context, r *ring) error {
	text, err := k.db.Meta(ctx, metaRoot)
	if err != nil {
		return nil //nolint:nilerr // the database's fault, and told elsewhere
	}
	next := *r
	if text != r.text {
		next.stored = storedRoot{}
		if err := next.parse(text); err != nil {
			return err
		}
	}
	all := next.candidates(next.stored.KEK)
	if text == r.text && (len(all) == 0 || all[0] != r.present()) { // a new one, which was not wrapped by yet
		_, _, err := r.present().Wrap(ctx, make([]byte, keys.Size), r.boundDataKey())
		if keys.Is(err, keys.Busy) {
			err = nil
		}
		return err
	}
	if len(all) == 0 {
		return errChanged
	}
	root, _, err := k.unwrap(ctx, &next, all, next.stored.Key, next.boundRoot())
	switch {
	case keys.Is(err, keys.Busy):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(root, r.root):
		return errChanged
	}
	if text != r.text {
		k.exchange(r, &next)
	}
	return nil
}

// exchange replaces a ring, unless somebody else has. It reports whether it did.
func (k *MasterKey) exchange(from, to *ring) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held != from {
		return false
	}
	k.held = to
	return true
}

// lose seals: nobody asks the KEK any more until Keep has it again.
func (k *MasterKey) lose(from *ring, why error) {
	next := *from
	next.why, next.since = why, k.db.Now()
	if !k.exchange(from, &next) {
		return
	}
	select {
	case k.lost <- struct{}{}:
	default:
	}
}
