package belief

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Times and numbers of the work.
const (
	offeredMost = 32               // turns that wait to be stored
	atOnce      = 4                // jobs of one process
	ofTenant    = 2                // of them, and of all processes, of one tenant: it holds up nobody else
	lease       = 3 * time.Minute  // after which a job of a process that is gone is another's
	askTimeout  = 2 * time.Minute  // less than lease
	mostTries   = 8                // of one job
	longestRest = 10 * time.Minute // of a job between two attempts
	workEvery   = 2 * time.Second  // where no bell rings
	trimEvery   = time.Minute      // of jobs that have ended
	trimAfter   = 10 * time.Minute // for whoever asks how far it is
	storeWithin = 10 * time.Second
)

// Offered is a turn of a request that was copied.
type Offered struct {
	By      tenure.Principal
	Request string // X-Request-Id
	Address string // the client's
	Scope   tenure.BeliefScope
	Said    func() (user, answer string) // what was said; it is asked later
}

// Offer takes a turn to draw beliefs out of it. It does not wait: where too many wait to be
// stored, the turn is dropped.
func (s *Beliefs) Offer(o Offered) {
	select {
	case s.turns <- o:
	default:
		s.dropped.Add(1)
	}
}

// Changed is told of a change of the feed, as store.Change has it.
func (s *Beliefs) Changed(kind, id string) {
	switch user, of, _ := strings.Cut(id, "/"); {
	case kind == "extraction":
		s.ring()
	case kind == "belief" && of == "":
		s.Ring.drop(tenure.UserID(user))
	}
}

// ring lets the work look for jobs at once.
func (s *Beliefs) ring() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// Run stores the turns that are offered, and draws beliefs out of those that wait, until
// ctx ends. Replicas share the work.
func (s *Beliefs) Run(ctx context.Context, report func(error)) {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { s.take(ctx, report) })
	room := make(chan struct{}, atOnce)
	holder, trimmed := tenure.NewID(s.DB.Now()), time.Time{}
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.bell:
		}
		if s.Live.Fresh() != nil {
			continue // nobody's standing could be asked
		}
		jobs, err := s.DB.BeliefJobsDue(ctx, s.DB.Now(), ofTenant, 4*atOnce)
		if err != nil {
			tell(ctx, report, err)
			continue
		}
		for _, j := range jobs {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			beside.Go(func() {
				err := s.work(ctx, j, holder)
				<-room
				if tell(ctx, report, err); err == nil {
					s.ring() // there may be more
				}
			})
		}
		if now := s.DB.Now(); now.Sub(trimmed) > trimEvery {
			trimmed = now
			if n := s.dropped.Swap(0); n > 0 {
				s.Log.Warn("turns were dropped: too many waited to have beliefs drawn out of them", "turns", n)
			}
			tell(ctx, report, s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.TrimBeliefJobs(ctx, now.Add(-trimAfter)) }))
		}
	}
}

func tell(ctx context.Context, report func(error), err error) {
	if err != nil && ctx.Err() == nil {
		report(wrap("beliefs", err))
	}
}

// take stores what is offered; at the end what is still there.
func (s *Beliefs) take(ctx context.Context, report func(error)) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
			defer cancel()
			for {
				select {
				case o := <-s.turns:
					tell(last, report, s.store(last, o))
				default:
					return
				}
			}
		case o := <-s.turns:
			tell(ctx, report, s.store(ctx, o))
		}
	}
}

// store makes a job of a turn. One too many is dropped, and so is one whose person is gone.
func (s *Beliefs) store(ctx context.Context, o Offered) error {
	of, err := whose(o.By, tenure.ChangeBeliefs)
	if err != nil {
		return nil //nolint:nilerr // the token has no scope for beliefs, and so none are kept for it
	}
	user, answer := o.Said()
	if strings.TrimSpace(user) == "" || len(user)+len(answer) > tenure.MaxExtractTurn {
		return nil
	}
	ctx, cancel := context.WithTimeout(tenure.WithAsker(tenure.Within(ctx, o.By.Tenant()), o.By), storeWithin)
	defer cancel()
	err = s.enqueue(ctx, o.By, of, Turn{o.Request, o.Scope, []Message{{"user", user}, {"assistant", answer}}, o.Address})
	switch tenure.AsError(err).Kind {
	case tenure.TooMany, tenure.Conflict, tenure.Unauthenticated, tenure.Forbidden:
		return nil
	}
	return err
}

// work draws beliefs out of one turn, if nobody else does.
func (s *Beliefs) work(ctx context.Context, j store.BeliefJob, holder string) error {
	mine := false
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		mine, err = tx.TakeBeliefJob(ctx, j, holder, ofTenant, tx.Now().Add(lease))
		return err
	})
	if err != nil || !mine {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	failed := s.draw(ctx, j, holder)
	if failed == nil {
		return nil
	}
	// Whatever ended the attempt does not end that it is noted.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
	defer done()
	return s.DB.Tx(last, func(ctx context.Context, tx *store.Tx) error {
		code := tenure.AsError(failed).Code
		if rest := again(failed, j.Attempts+1); rest > 0 {
			return tx.RestBeliefJob(ctx, j.ID, holder, code, tx.Now().Add(rest))
		}
		ok, err := tx.EndBeliefJob(ctx, j.ID, holder, 0, code)
		if err != nil || !ok {
			return err
		}
		return tx.Append(ctx, audit.ExtractionFailed(j.Tenant, j.Workspace, j.User, j.ID, code))
	})
}

// again is how long a job rests after so many attempts; 0: it has failed for good, as trying
// again would not help, or not within the life of a turn.
func again(err error, attempts int) time.Duration {
	e := tenure.AsError(err)
	switch e.Kind {
	case tenure.TooMany, tenure.Unavailable, tenure.BadGateway, tenure.GatewayTimeout, tenure.Internal, tenure.ClientClosed, tenure.Conflict:
	default:
		return 0
	}
	most := mostTries
	switch e.Code {
	case errFull.Code, "answer_refused", "answer_filtered", "answer_truncated", "answer_too_large":
		return 0
	case errAnswer.Code, "answer_unreadable":
		most = 3
	}
	if attempts >= most || e.RetryAfter > longestRest {
		return 0
	}
	return max(e.RetryAfter, min(time.Second<<(2*attempts), longestRest))
}

// draw asks the model, and keeps what it answers. It reaches no other tenant's rows.
func (s *Beliefs) draw(ctx context.Context, j store.BeliefJob, holder string) error {
	ctx = tenure.Within(ctx, j.Tenant)
	by, t, err := s.standing(ctx, j)
	if err != nil {
		return err
	}
	q, err := question(t, by.Standing().Extract.Model)
	q.ID = tenure.NewID(s.DB.Now())
	if err != nil {
		return err
	}
	if n, err := s.DB.CountBeliefs(ctx, j.Tenant, j.User); err != nil || n.All >= MaxBeliefs {
		return cmp.Or(err, error(errFull))
	}
	answer, err := s.Ask(ctx, by, q)
	if err != nil {
		return err
	}
	all, dropped, err := drafts(answer.Document, t, j.Workspace, by.Standing().Extract.Quote)
	if err != nil {
		return err
	}
	// Who was let go while the model thought keeps nothing.
	if by, _, err = s.standing(ctx, j); err != nil {
		return err
	}
	of := store.BeliefFilter{Tenant: j.Tenant, User: j.User, Workspace: j.Workspace}
	_, err = s.keep(tenure.WithAsker(ctx, by), of, tenure.BeliefSource{Request: j.ID, Token: j.Token, Model: answer.Model}, all, func(ctx context.Context, tx *store.Tx, kept []Kept) error {
		ok, err := tx.EndBeliefJob(ctx, j.ID, holder, len(kept), "")
		if err != nil {
			return err
		}
		if !ok {
			return errDropped
		}
		return tx.Append(ctx, audit.BeliefsExtracted(by, j.ID, j.Scope, len(kept), dropped, answer.Model))
	})
	if errors.Is(err, errDropped) {
		return nil
	}
	return err
}

// errDropped undoes what was drawn out of a turn that is not there any more.
var errDropped = errors.New("the turn was dropped")

// standing gives the token of a job as it stands now, and the turn. An error: nothing may be
// drawn out of it.
func (s *Beliefs) standing(ctx context.Context, j store.BeliefJob) (tenure.Principal, Turn, error) {
	by, err := s.Stands(ctx, j.Tenant, j.Token)
	if err != nil {
		return by, Turn{}, err
	}
	if _, err := whose(by, tenure.ChangeBeliefs); err != nil {
		return by, Turn{}, err
	}
	if by.User() != j.User || by.Workspace() != j.Workspace {
		return by, Turn{}, tenure.ErrInvalidToken
	}
	if by.Standing().Extract.When == tenure.ExtractNever {
		return by, Turn{}, errOff
	}
	k, err := s.Ring.of(ctx, j.Tenant, j.User)
	if err != nil {
		return by, Turn{}, gone(err)
	}
	plain, err := k.text.Open(nil, nil, j.Sealed, k.job(&j))
	if err != nil {
		return by, Turn{}, &tenure.Error{Kind: tenure.Invalid, Code: "belief_tampered", Msg: "a stored turn does not open: it was changed or moved in the database", Err: err}
	}
	var t sealedTurn
	err = json.Unmarshal(plain, &t)
	return by, Turn{j.ID, j.Scope, t.Messages, t.Address}, err
}
