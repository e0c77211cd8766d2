package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tenure-gateway/tenure"
)

const (
	// sharedLanes is how many shared transactions run at once: while one waits for
	// the disk, the next is made.
	sharedLanes = 2
	// maxShared is how many acts share one at the most.
	maxShared = 32
)

// errAlone tells that an act is to be done in a transaction of its own.
var errAlone = errors.New("store: not together with others")

// A sharer gathers acts that only add rows of their own, so that those which wait
// at the same moment share one transaction: its beginning, its round trips and its
// sync to disk. All of them are committed, or none: then each is done alone.
type sharer struct {
	mu      sync.Mutex
	waiting []*sharedJob
	running int // lanes
}

// A sharedJob is one act.
type sharedJob struct {
	ctx   context.Context
	reach string // whose rows it sees: only acts of one tenant meet
	fn    func(*Tx) error
	err   chan error
}

// share runs fn in a transaction that others may share.
func (p *postgres) share(ctx context.Context, fn func(*Tx) error) error {
	j := &sharedJob{ctx: ctx, reach: tenure.ReachOf(ctx), fn: fn, err: make(chan error, 1)}
	s := &p.shared
	s.mu.Lock()
	s.waiting = append(s.waiting, j)
	if s.running < sharedLanes {
		s.running++
		go p.lane()
	}
	s.mu.Unlock()
	var err error
	select {
	case err = <-j.err:
	case <-ctx.Done():
		if s.leave(j) {
			return ctx.Err()
		}
		err = <-j.err // it has begun, and the answer must be true
	}
	if errors.Is(err, errAlone) {
		return p.write(ctx, fn)
	}
	return err
}

// leave takes an act away that has not begun.
func (s *sharer) leave(j *sharedJob) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, j)
	if i < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return true
}

// take gives those who wait and see the same rows as the first of them. Without
// any the lane ends.
func (s *sharer) take() []*sharedJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	var batch, rest []*sharedJob
	for _, j := range s.waiting {
		if len(batch) < maxShared && (len(batch) == 0 || j.reach == batch[0].reach) {
			batch = append(batch, j)
		} else {
			rest = append(rest, j)
		}
	}
	if s.waiting = rest; len(batch) == 0 {
		s.running--
	}
	return batch
}

// lane carries out what waits until nothing does.
func (p *postgres) lane() {
	for batch := p.shared.take(); len(batch) > 0; batch = p.shared.take() {
		if len(batch) > 1 {
			p.together(batch)
			continue
		}
		j := batch[0]
		err := p.attempt(j.ctx, context.WithoutCancel(j.ctx), j.fn)
		if unordered(err) || errors.Is(err, errUnique) {
			err = errAlone
		}
		j.err <- classifyPostgres(err)
	}
}

// together runs several acts in one transaction. They go in step: what they ask for
// at the same time is asked in one round trip.
func (p *postgres) together(batch []*sharedJob) {
	first := batch[0].ctx
	answer := func(err error) {
		for _, j := range batch {
			j.err <- err
		}
	}
	conn, release, err := p.acquire(context.WithoutCancel(first))
	if err != nil {
		answer(classifyPostgres(err))
		return
	}
	defer release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(first), 2*statementTimeout)
	defer cancel()
	t := &postgresTx{conn: conn.Conn(), queue: p.begin(first)}
	t.opening = len(t.queue)
	l := &lockstep{ctx: ctx, t: t, active: len(batch)}
	members := make([]*member, len(batch))
	now := p.now().Truncate(time.Microsecond)
	var all sync.WaitGroup
	for i, j := range batch {
		m := &member{l: l, wake: make(chan struct{}, 1)}
		members[i] = m
		all.Go(func() { m.end(guard(&Tx{reads: reads{run: m}, now: now}, j.fn)) })
	}
	all.Wait()
	if l.failed != nil {
		t.rollback(ctx)
		answer(errAlone)
		return
	}
	for _, m := range members {
		t.queue = append(t.queue, m.queue...)
	}
	err = t.commit(ctx)
	if err != nil && !outcomeUnknown(err) {
		answer(errAlone)
		return
	}
	for i, m := range members {
		if m.err == nil {
			m.err = err
		}
		batch[i].err <- m.err
	}
}

// lockstep is one transaction of several members.
type lockstep struct {
	ctx context.Context
	t   *postgresTx

	mu     sync.Mutex
	active int       // members that have not ended
	parked []*member // those that wait for a round trip
	failed error     // nothing can be committed any more
}

// member runs the statements of one act.
type member struct {
	l     *lockstep
	queue []queued
	wrote bool  // something was sent that changes rows
	err   error // of the act
	wake  chan struct{}
}

func (m *member) each(_ context.Context, _ bool, row func(scanner) error, query string, args ...any) error {
	var enough error // of these rows; those of the others are read on
	m.queue = append(m.queue, queued{query: query, args: args, row: func(r scanner) error {
		if enough == nil {
			enough = row(r)
		}
		return nil
	}})
	if err := m.trip(); err != nil {
		return err
	}
	return enough
}

func (m *member) exec(_ context.Context, query string, args ...any) (int, error) {
	var tag pgconn.CommandTag
	m.queue = append(m.queue, queued{query: query, args: args, tag: &tag})
	err := m.trip()
	return int(tag.RowsAffected()), err
}

// later implements pipeline.
func (m *member) later(_ context.Context, q queued) error {
	if len(m.queue) >= maxQueued {
		if err := m.trip(); err != nil {
			return err
		}
	}
	m.queue = append(m.queue, q)
	return nil
}

// trip waits until all members wait, and then for the answer to what they ask.
func (m *member) trip() error {
	l := m.l
	l.mu.Lock()
	if l.failed == nil {
		l.parked = append(l.parked, m)
		l.step()
		l.mu.Unlock()
		<-m.wake
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	return m.err
}

// end takes the member out of the step. What it has still to ask is asked before;
// what it has to write is written with the commit, unless it has failed.
func (m *member) end(err error) {
	if slices.ContainsFunc(m.queue, func(q queued) bool { return q.row != nil }) {
		if refused := m.trip(); refused != nil {
			err = refused
		}
	}
	l := m.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.err = err; err != nil {
		m.queue = nil
		if m.wrote && l.failed == nil {
			l.failed = errAlone
		}
	}
	l.active--
	l.step()
}

// step sends what all have asked for if nobody is left to wait for.
func (l *lockstep) step() {
	if len(l.parked) == 0 || len(l.parked) < l.active {
		return
	}
	if l.failed == nil {
		for _, m := range l.parked {
			l.t.queue = append(l.t.queue, m.sent()...)
		}
		l.failed = l.t.send(l.ctx)
	}
	for _, m := range l.parked {
		m.wake <- struct{}{}
	}
	l.parked = nil
}

// sent gives what a member has queued. A verdict on what was found is its own; an
// error of the database is everybody's.
func (m *member) sent() []queued {
	queue := m.queue
	m.queue = nil
	for i := range queue {
		q := &queue[i]
		m.wrote = m.wrote || !strings.HasPrefix(q.query, "SELECT ")
		if told := q.told; told != nil {
			q.told = func(err error) error {
				if err != nil {
					return err
				}
				if m.err == nil {
					m.err = told(nil)
				}
				return nil
			}
		}
	}
	return queue
}
