package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// How often the log is verified while it is served from.
const (
	between  = 2 * time.Minute // what is new since the last time
	whole    = 24 * time.Hour  // all of it
	faulty   = time.Hour       // all of it, while something is wrong
	lease    = time.Minute     // after which a run that says nothing is over
	progress = 2 * time.Second // after which a run says how far it is
	glance   = 5 * time.Second // after which a replica looks whether it is time
)

// watching is what a process knows of the verification of the log, and has removed from it.
type watching struct {
	asked   atomic.Bool // somebody wants all of it verified now
	seen    atomic.Pointer[verified]
	own     atomic.Pointer[own]
	removed atomic.Int64 // events
}

// verified is what the replicas tell each other of the last verification, and of the one
// that runs. It is no proof: that is "tenure audit verify" on a machine that one trusts.
type verified struct {
	Places  int64     `json:"places"` // from the first one on
	Signed  int64     `json:"signed"`
	Root    string    `json:"root"`
	Epoch   string    `json:"epoch"`
	At      time.Time `json:"at"`
	WholeAt time.Time `json:"whole_at"`
	Fault   *Fault    `json:"fault"`
	FaultAt time.Time `json:"fault_at"`
	Run     *run      `json:"run"`

	text string // as it is stored
}

// run is a verification that is going on.
type run struct {
	ID    string    `json:"id"`
	Whole bool      `json:"whole"`
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"` // when it last said how far it is
	Done  int64     `json:"done"`
	All   int64     `json:"all"`
}

// Verification is what is known of the verification of the log.
type Verification struct {
	Places   int64     // that are verified, from the first one on
	At       time.Time // when that was; zero: never
	WholeAt  time.Time // when all of it was verified last
	Fault    *Fault    // what is wrong; nil: nothing
	FaultAt  time.Time // when that was found
	Signed   int64     // places under the newest checkpoint
	SignedAt time.Time // when that was signed; zero: never
	Running  *Running  // nil: none is
	// Stale is since when none of it was verified, where that is more than ten minutes;
	// zero: some was.
	Stale time.Time
}

// Running is a verification that is going on.
type Running struct {
	Whole     bool
	Since     time.Time // zero: it is about to begin
	Done, All int64     // places
}

// Verification tells what is known of the verification of the log.
func (l *Ledger) Verification(ctx context.Context, by tenure.Principal) (Verification, error) {
	if err := access.Check(by, tenure.VerifyAudit); err != nil {
		return Verification{}, err
	}
	ctx = tenure.Everywhere(ctx)
	v, err := l.verified(ctx)
	if err != nil {
		return Verification{}, err
	}
	last, err := l.DB.LastCheckpoint(ctx)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return Verification{}, err
	}
	out := Verification{Places: v.Places, At: v.At, WholeAt: v.WholeAt, Fault: v.Fault, FaultAt: v.FaultAt, Signed: last.Size, SignedAt: last.At}
	mine := l.mine(l.DB.Now())
	if out.Fault == nil && mine.fault != nil {
		out.Fault, out.FaultAt = mine.fault, mine.at
	}
	if out.Stale = v.At; v.At.IsZero() {
		out.Stale = mine.began
	}
	out.Stale = tooOld(out.Stale, l.DB.Now())
	switch r := v.running(l.DB.Now()); {
	case r != nil:
		out.Running = &Running{r.Whole, r.Since, r.Done, r.All}
	case l.watch.asked.Load():
		out.Running = &Running{Whole: true, All: last.Size}
	}
	return out, nil
}

// VerifyNow has all of the log verified in the background, and tells what is known until
// then.
func (l *Ledger) VerifyNow(ctx context.Context, by tenure.Principal) (Verification, error) {
	if err := access.Check(by, tenure.VerifyAudit); err != nil {
		return Verification{}, err
	}
	l.watch.asked.Store(true)
	return l.Verification(ctx, by)
}

// Watch verifies the log until ctx ends: what is new every two minutes, all of it once a
// day and when somebody asks. Of the replicas one does it; all of it each looks at once a
// day. report is told when it cannot be done, and not again while it cannot for the same
// reason.
func (l *Ledger) Watch(ctx context.Context, report func(error)) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	var looked time.Time
	before := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !l.watch.asked.Load() && time.Since(looked) < glance {
			continue
		}
		looked = time.Now()
		why := ""
		if err := l.Look(ctx); err != nil && ctx.Err() == nil {
			if why = err.Error(); why != before {
				report(fmt.Errorf("verify the audit log: %w", err))
			}
		}
		before = why
	}
}

// Look verifies the log if it is time, and no other replica does.
func (l *Ledger) Look(ctx context.Context) error {
	ctx = tenure.Everywhere(ctx)
	v, err := l.verified(ctx)
	if err != nil {
		return err
	}
	now, asked := l.DB.Now(), l.watch.asked.Load()
	mine := l.mine(now)
	if now.Sub(mine.due) >= faulty { // nothing that another replica says is waited for any longer
		return l.lookAlone(ctx)
	}
	if v.running(now) != nil {
		return nil
	}
	all := asked || !now.Before(mine.due) || now.Sub(v.WholeAt) >= whole || v.Fault != nil && now.Sub(v.At) >= faulty
	if !all && (v.Fault != nil || now.Sub(v.At) < between) {
		return nil
	}
	if err := l.look(ctx, v, all, asked); err != nil {
		return err
	}
	if asked {
		l.watch.asked.Store(false)
	}
	return nil
}

// metaVerified has what is known of the last verification.
const metaVerified = "audit.verified"

func (l *Ledger) verified(ctx context.Context) (*verified, error) {
	v := &verified{}
	var err error
	if v.text, err = l.DB.Meta(ctx, metaVerified); err != nil {
		return nil, err
	}
	if v.text != "" && json.Unmarshal([]byte(v.text), v) != nil {
		*v = verified{text: v.text} // whoever wrote that: it is verified anew
	}
	if later := l.DB.Now().Add(lease); v.At.After(later) || v.WholeAt.After(later) {
		v.At, v.WholeAt = time.Time{}, time.Time{} // else it would not be verified until then
	}
	l.remind(v)
	return v, nil
}

// remind has what is known told by Standing, as it is now: v goes on changing.
func (l *Ledger) remind(v *verified) {
	copied := *v
	copied.Run = nil // Standing tells nothing of it
	l.watch.seen.Store(&copied)
}

// running is the verification that is going on; nil: none is.
func (v *verified) running(now time.Time) *run {
	if v.Run == nil || now.Sub(v.Run.Seen).Abs() > lease {
		return nil
	}
	return v.Run
}

// errTaken is why a run ends that is not the one that goes on.
var errTaken = errors.New("another replica verifies the audit log")

// put stores what is known, if nobody else has meanwhile. then is done with it.
func (l *Ledger) put(ctx context.Context, v *verified, then func(context.Context, *store.Tx) error) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	err = l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.FirstMeta(ctx, metaVerified, ""); err != nil {
			return err
		}
		if ours, err := tx.SwapMeta(ctx, metaVerified, v.text, string(text)); err != nil || !ours {
			return errors.Join(err, errTaken)
		}
		return then(ctx, tx)
	})
	if err != nil {
		return err
	}
	v.text = string(text)
	l.remind(v)
	return nil
}

func nothing(context.Context, *store.Tx) error { return nil }

// look verifies the log from where it was verified, or all of it, and stores what it found.
func (l *Ledger) look(ctx context.Context, v *verified, all, hurry bool) error {
	own, err := l.pin(ctx) // before the tree is looked at, which may grow meanwhile
	if err != nil {
		return err
	}
	tree, err := l.DB.Tree(ctx)
	if err != nil {
		return err
	}
	from := &audit.Range{}
	if !all {
		if from = l.resumed(ctx, v, tree); from == nil || !l.holds(ctx, own, from.Size) {
			from, all = &audit.Range{}, true
		}
	}
	vf, err := l.verifier(ctx, Question{})
	if err != nil {
		return err
	}
	vf.from(from, v.Signed)
	vf.pin(slices.DeleteFunc(own, func(c signedRoot) bool { return c.size <= from.Size })...)
	began := l.DB.Now()
	v.Run = &run{ID: tenure.NewID(began), Whole: all, Since: began, Seen: began, Done: from.Size, All: tree.Size}
	if err := l.put(ctx, v, nothing); err != nil {
		return ignoreTaken(err)
	}
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	err = vf.database(ctx, l.DB, l.telling(ctx, v, hurry, lost))
	if cause := context.Cause(ctx); cause != nil {
		return ignoreTaken(cause)
	}
	if err != nil {
		return err
	}
	return ignoreTaken(l.found(ctx, v, vf, tree.Epoch, all))
}

func ignoreTaken(err error) error {
	if errors.Is(err, errTaken) {
		return nil
	}
	return err
}

// holds reports whether the tree is the one of the checkpoints that end at or before a
// size. What is looked at from there on does not come by them.
func (l *Ledger) holds(ctx context.Context, all []signedRoot, size int64) bool {
	for _, c := range all {
		if c.size > size {
			continue
		}
		if r, err := audit.Resume(c.size, reading(ctx, l.DB)); err != nil || r.Root() != c.root {
			return false
		}
	}
	return true
}

// resumed is the tree as it was verified; nil: it is not there any more.
func (l *Ledger) resumed(ctx context.Context, v *verified, tree store.Tree) *audit.Range {
	if v.Epoch != tree.Epoch || v.Places > tree.Size || v.Places < 0 {
		return nil
	}
	r, err := audit.Resume(v.Places, reading(ctx, l.DB))
	if err != nil || r.Root().String() != v.Root {
		return nil
	}
	return r
}

// telling stores how far a run is, every now and then, and gives way to who serves where
// nobody waits for it.
func (l *Ledger) telling(ctx context.Context, v *verified, hurry bool, lost func(error)) func(done, all int64) {
	paged, told := time.Now(), time.Now()
	return func(done, all int64) {
		v.Run.Done, v.Run.All = done, all
		if time.Since(told) >= progress {
			told = time.Now()
			v.Run.Seen = l.DB.Now()
			if err := l.put(ctx, v, nothing); err != nil {
				lost(err)
				return
			}
		}
		if !hurry {
			select {
			case <-ctx.Done():
			case <-time.After(min(time.Since(paged), time.Second)):
			}
		}
		paged = time.Now()
	}
}

// found stores what a run has found. A fault that is new is an event.
func (l *Ledger) found(ctx context.Context, v *verified, vf *verifier, epoch string, all bool) error {
	now, before := l.DB.Now(), v.Fault
	v.Run, v.At, v.Fault, v.Places, v.Epoch = nil, now, vf.Fault, vf.Places, epoch
	if all {
		v.WholeAt = now
	}
	if all || v.Fault != nil {
		l.foundMyself(now, v.Fault)
	}
	if v.Fault == nil {
		v.Signed, v.Root, v.FaultAt = vf.signed, vf.tree.Root().String(), time.Time{}
		return l.put(ctx, v, nothing)
	}
	if before != nil && *before == *v.Fault {
		return l.put(ctx, v, nothing)
	}
	v.FaultAt = now
	l.warn("it was changed", "place", v.Fault.Place, "event", v.Fault.Event, "fault", v.Fault.What)
	return l.put(ctx, v, func(ctx context.Context, tx *store.Tx) error { return l.tellFault(ctx, tx, v.Fault, v.Places) })
}
