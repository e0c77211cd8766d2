package live

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// hear takes in what a poll told.
func (l *Live) hear(news store.News) {
	m := &l.memory
	m.note(false, news.Changes...)
	if news.Unheard {
		if !m.unheard || news.Since.Before(m.since) {
			m.since = news.Since
		}
		m.unheard = true
	}
	if news.Moved || l.clock.doubt.Swap(false) {
		m.moved = true
	}
	if news.Back && !m.back {
		m.back = true
		l.alarm()
	}
	if m.back || m.moved {
		// Nobody is admitted here until what has ended has ended again.
		l.clock.behind.Store(true)
		m.owes = m.owes && !news.Back && !news.Moved
	}
}

// alarm says that the database is at an earlier state than this process has seen.
func (l *Live) alarm() {
	l.Metrics.back.Inc()
	l.Log.Error("the database went back to an earlier state: a standby took over without the last commits, or a backup was put back; " +
		"what this process has seen to end is ended again, everything else that was written since then is lost")
}

// settle learns what was not told singly, and writes again what a database has
// forgotten. While that cannot be done the process knows nothing.
func (l *Live) settle(ctx context.Context) error {
	m := &l.memory
	if !m.unheard && !l.clock.behind.Load() {
		l.endUnwritten(ctx)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, endAgainTimeout)
	defer cancel()
	if m.unheard {
		if err := l.learn(ctx); err != nil {
			return err
		}
		m.unheard, m.since = false, time.Time{}
	}
	if !l.clock.behind.Load() {
		return nil
	}
	if !m.owes {
		m.owe()
	}
	return l.endAgain(ctx)
}

// learn looks up the ends that were not told singly.
func (l *Live) learn(ctx context.Context) error {
	m := &l.memory
	if !m.since.IsZero() {
		// It takes as long as there are tokens: not for the price of knowing nothing.
		looking, cancel := context.WithTimeout(ctx, learnTimeout)
		ends, err := l.DB.EndedSince(looking, m.since.Add(-feedMemory), endsRemembered)
		cancel()
		if err != nil {
			l.Log.Warn("look up what ended while nothing was heard", "since", m.since, "error", err)
		}
		m.note(true, ends...)
	}
	told, err := l.DB.ToldChanges(ctx, 2*endsRemembered)
	if err != nil {
		return err
	}
	m.note(true, told...)
	if m.back || m.moved {
		return nil
	}
	// What lives, lives again: it was not heard.
	living, err := l.DB.Living(ctx, m.all())
	m.forget(living)
	return err
}

// learnTimeout bounds the look for ends in the rows themselves.
const learnTimeout = 3 * time.Second

// endAgain writes again what a database has forgotten. While nothing can be written
// the process stays behind; a fault that is one of single ends keeps out only what
// rests on those, until the database takes them. Where it had forgotten something
// of which the numbers of changes did not tell, that is when the alarm is raised.
func (l *Live) endAgain(ctx context.Context) error {
	m := &l.memory
	for len(m.owed) > 0 {
		batch := m.owed[:min(endAgainBatch, len(m.owed))]
		again, err := l.endBatch(ctx, batch)
		m.again += again
		if err != nil {
			return err
		}
		m.owed = m.owed[len(batch):]
	}
	if m.again > 0 && !m.back {
		m.back = true
		l.alarm()
	}
	if m.back && !m.reported {
		err := l.TellBack(ctx, m.total, m.again)
		if cannotWrite(err) {
			return err
		}
		l.Log.Warn("what ended before the database went back has ended again", "remembered", m.total, "ended_again", m.again, "error", err)
		m.reported = true
	}
	// What lives all the same was changed since then: it lives again on purpose.
	living, err := l.DB.Living(ctx, m.all())
	if err != nil {
		return err
	}
	m.forget(living)
	l.sayUnwritten()
	m.back, m.moved, m.owes, m.reported, m.owed = false, false, false, false, nil
	l.clock.behind.Store(false)
	return nil
}

// endAgainBatch is how many ends are written at once: what is done is not done again.
const endAgainBatch = 1000

// endBatch writes ends again, and gives how many the database had forgotten. Where it
// does not take one of them, the others are written without it. An error is one of the
// database, or of its disk, and not of an end.
func (l *Live) endBatch(ctx context.Context, batch []store.Change) (again int, err error) {
	again, err = l.EndAgain(ctx, batch)
	if ctx.Err() != nil || cannotWrite(err) {
		return again, errors.Join(err, ctx.Err())
	}
	if err == nil || len(batch) == 1 {
		l.memory.wrote(batch, err)
		return again, nil
	}
	half := len(batch) / 2
	for _, part := range [...][]store.Change{batch[:half], batch[half:]} {
		n, err := l.endBatch(ctx, part)
		if again += n; err != nil {
			return again, err
		}
	}
	return again, nil
}

// cannotWrite tells a database in which nothing can be written now.
func cannotWrite(err error) bool {
	return tenure.IsKind(err, tenure.Unavailable) || tenure.IsKind(err, tenure.InsufficientSpace)
}

// endUnwritten tries again what the database did not take, some of it at a time. What
// of it lives after it was taken was changed on purpose.
func (l *Live) endUnwritten(ctx context.Context) {
	m, now := &l.memory, l.Options.Now()
	if now.Sub(m.tried) < unwrittenEvery {
		return
	}
	m.tried = now
	some := m.missing(unwrittenAtOnce)
	if len(some) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	_, err := l.endBatch(ctx, some)
	if err == nil {
		some, err = l.DB.Living(ctx, some)
	}
	if err != nil {
		l.Log.Warn("end again what the database did not take", "error", err)
		return
	}
	m.forget(some)
	l.sayUnwritten()
}

// sayUnwritten logs that there are ends which the database does not take.
func (l *Live) sayUnwritten() {
	m := &l.memory
	m.tried = l.Options.Now()
	if n := len(m.missing(endsRemembered)); n > 0 {
		l.Log.Error("what ended before the database went back could not be ended again", "ends", n, "error", m.fault)
	}
}

// How often, and how many at a time, ends are tried again that were not taken.
const (
	unwrittenEvery  = time.Minute
	unwrittenAtOnce = 100
)

// Remembers reports whether this process has heard the end of something that a
// credential rests on, and not that it lives again. It asks nobody.
func (l *Live) Remembers(s *tenure.Standing) bool { return l.memory.has(s) }

// stands answers an error when a credential, as the database gave it just now, rests
// on something that has ended: ErrRevoked where the database did not take the end, and
// else ErrStale, as the next poll tells whether it lives again, or was forgotten.
func (m *memory) stands(s *tenure.Standing) error {
	switch ended, unwritten := m.look(s); {
	case unwritten:
		return tenure.ErrRevoked
	case ended:
		return tenure.ErrStale
	}
	return nil
}

// Stands answers an error when a credential, as the database gives it, rests on
// something that this process has heard to end. Either it lives again, and a poll that
// begins now tells so; or the database has forgotten, and it is ended there again.
func (l *Live) Stands(ctx context.Context, s *tenure.Standing) error {
	if !l.memory.has(s) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	tick := time.NewTicker(standsTick)
	defer tick.Stop()
	for next := l.clock.begun.Load() + 1; l.clock.applied.Load() < next; {
		select {
		case <-ctx.Done():
			return tenure.ErrStale
		case <-tick.C:
		}
	}
	err := l.memory.stands(s)
	if tenure.IsKind(err, tenure.Unauthenticated) {
		return tenure.ErrInvalidToken
	}
	if err != nil {
		l.clock.doubt.Store(true)
	}
	return err
}

// standsTick is how often it is asked whether a poll was answered.
const standsTick = 5 * time.Millisecond
