package ledger

import (
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
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
	Erased      int64    // events of which what may be about a person was erased
	Removed     int64    // events that retention removed; their leaves are in their places
	Told        []Told   // by which events, of these and of what was removed; the first one first
	Anew        []Anew   // each time that the tree was begun anew, the first one first
	Fault       *Fault   // nil: none
}

// Anew tells that the tree was begun anew: what is before is vouched for from then on
// only.
type Anew struct {
	Event  string    `json:"event" doc:"Id of the event that tells of it"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Fault is the first thing that is wrong.
type Fault struct {
	Place int64  `json:"place" doc:"In the tree, from 0"`
	Event string `json:"event,omitempty" doc:"Its id, where it is known"`
	What  string `json:"what"`
}

// page is how many places are read at once.
const page = 1000

// Verify reads the whole log and holds it against its tree, and the tree against its
// checkpoints. Invalid: a key or a checkpoint of the question is none.
func (l *Ledger) Verify(ctx context.Context, by tenure.Principal, q Question) (Answer, error) {
	if err := access.Check(by, tenure.VerifyAudit); err != nil {
		return Answer{}, err
	}
	return l.verify(tenure.Everywhere(ctx), q)
}

func (l *Ledger) verify(ctx context.Context, q Question) (Answer, error) {
	own, err := l.pin(ctx) // before the tree is looked at, which may grow meanwhile
	if err != nil {
		return Answer{}, err
	}
	v, err := l.verifier(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	v.pin(own...)
	if err := v.database(ctx, l.DB, q.Tell); err != nil {
		return Answer{}, err
	}
	return v.Answer, nil
}

func (l *Ledger) verifier(ctx context.Context, q Question) (*verifier, error) {
	rows, err := l.DB.AuditKeys(ctx)
	if err != nil {
		return nil, err
	}
	known := make([]string, len(rows))
	for i, row := range rows {
		known[i] = row.Public
	}
	return newVerifier(known, q)
}

// pin gives what this server remembers to have signed of this log, if that is to hold.
func (l *Ledger) pin(ctx context.Context) ([]signedRoot, error) {
	m, err := l.onFile()
	if err != nil || m.size == 0 {
		return nil, err
	}
	tree, err := l.DB.Tree(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := l.DB.AuditKeys(ctx)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, row := range rows {
		name, _, _ := strings.Cut(row.Public, "+")
		keys = append(keys, name)
	}
	epoch, ours, err := l.ours(ctx, m.signedRoot, keys)
	if err != nil {
		return nil, err
	}
	told, err := l.explained(ctx, epoch, tree.Epoch)
	if err != nil || !ours || told {
		return nil, err
	}
	m.whose = "that this server remembers"
	return []signedRoot{m.signedRoot}, nil
}
