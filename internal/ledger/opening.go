package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
)

// OpenCheckpoint gives how many places a checkpoint is over and the root of them, if one
// of the given public keys has signed it. Invalid: a key is none.
func OpenCheckpoint(text string, keys ...string) (size int64, root tlog.Hash, err error) {
	v, err := newVerifier(nil, Question{Keys: keys})
	if err != nil {
		return 0, root, err
	}
	c, _, err := v.open(text)
	return c.size, c.root, err
}

// Opener gives what opens a checkpoint that stands in the database: over how many places it
// is, and whether a key has signed it whose secret this server has. Where only a key has that
// the database tells of, it is one of before, or somebody has written both. An error: it is
// none. Unavailable: the vault is sealed.
func (l *Ledger) Opener(ctx context.Context) (func(text string) (size int64, ours bool, err error), error) {
	ctx = tenure.Everywhere(tenure.WithoutAsker(ctx))
	done, err := l.turn.take(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := l.keys(ctx)
	done()
	if err != nil {
		return nil, fmt.Errorf("audit signing key: %w", err)
	}
	q := Question{}
	for _, k := range keys {
		q.Keys = append(q.Keys, k.public)
	}
	v, err := l.verifier(ctx, q)
	if err != nil {
		return nil, err
	}
	return func(text string) (int64, bool, error) {
		c, _, err := v.open(text)
		if errors.Is(err, errDoubted) && c.size > 0 {
			return c.size, false, nil
		}
		return c.size, err == nil, err
	}, nil
}
