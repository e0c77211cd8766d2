package live

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// endsRemembered is how many ends of access a process remembers, at least: about 15 MB,
// and as much in the file. Of more, the oldest fall out, a quarter at a time.
const endsRemembered = 100_000

// memory holds which things have ended, as the feed has told, for a database that
// forgets it: a standby that takes over without the last commits, or a backup that
// is put back. The follower writes it.
type memory struct {
	mu    sync.RWMutex
	ended map[thing]told // in the order of telling
	count uint64

	kept store.Mark // what is in the file
	// What the last polls told and is not settled yet. Of the follower alone.
	unheard  bool           // there are ends that were not told singly
	since    time.Time      // since when they are to be looked for in the rows, too
	back     bool           // the database went back
	moved    bool           // it may have
	owes     bool           // what is owed was counted
	owed     []store.Change // what it must be told again
	total    int            // how many ends were owed
	again    int            // and how many of them it had forgotten
	reported bool           // the audit log was told of it
}

type thing struct{ kind, id string }

// told is when the end of a thing was told: by the database's clock, and as the how
// manyth.
type told struct {
	at time.Time
	n  uint64
}

// note remembers the end of a thing, or forgets it when the thing lives again. Where
// late, it was not told in its turn: what is remembered of a later time counts.
func (m *memory) note(late bool, changes ...store.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		t := thing{c.Kind, c.ID}
		if was, ok := m.ended[t]; late && ok && was.at.After(c.At) {
			continue
		}
		if !c.Ended {
			delete(m.ended, t)
			continue
		}
		if m.ended == nil {
			m.ended = make(map[thing]told)
		}
		m.count++
		m.ended[t] = told{c.At, m.count}
	}
	if len(m.ended) <= endsRemembered+endsRemembered/4 {
		return
	}
	for _, c := range m.list()[:len(m.ended)-endsRemembered] {
		delete(m.ended, thing{c.Kind, c.ID})
	}
}

// list gives what is remembered, in the order of telling. It needs the lock.
func (m *memory) list() []store.Change {
	out := make([]store.Change, 0, len(m.ended))
	for t, end := range m.ended {
		out = append(out, store.Change{Kind: t.kind, ID: t.id, Ended: true, At: end.at, Seq: int64(end.n)})
	}
	slices.SortFunc(out, func(a, b store.Change) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

func (m *memory) all() []store.Change {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.list()
}

// forget drops ends of things that live.
func (m *memory) forget(living []store.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range living {
		delete(m.ended, thing{c.Kind, c.ID})
	}
}

// has reports whether an end of something that a credential rests on is remembered.
func (m *memory) has(s *tenure.Standing) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.ended) == 0 {
		return false
	}
	for _, t := range [...]thing{
		{"token", string(s.Token)},
		{"session", string(s.Session)},
		{"user", string(s.User)},
		{"service_account", string(s.ServiceAccount)},
		{"connector", string(s.Connector)},
		{"workspace", string(s.Workspace)},
	} {
		if _, ok := m.ended[t]; ok && t.id != "" {
			return true
		}
	}
	return false
}

// owe takes everything that is remembered as what must be told again.
func (m *memory) owe() {
	m.owed = m.all()
	m.total, m.again, m.owes = len(m.owed), 0, true
	// In one order, so that replicas that do so at once do not lock each other out.
	slices.SortFunc(m.owed, func(a, b store.Change) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID))
	})
}

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

// endAgain writes again what a database has forgotten. While it cannot be written
// the process stays behind; a fault that is none of the way to the database is
// logged, and does not keep everybody out for good. Where it had forgotten something
// of which the numbers of changes did not tell, that is when the alarm is raised.
func (l *Live) endAgain(ctx context.Context) error {
	m := &l.memory
	for len(m.owed) > 0 {
		batch := m.owed[:min(endAgainBatch, len(m.owed))]
		again, err := l.EndAgain(ctx, batch)
		if tenure.IsKind(err, tenure.Unavailable) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err != nil {
			l.Log.Error("what ended before the database went back could not be ended again", "error", err)
		}
		m.again += again
		m.owed = m.owed[len(batch):]
	}
	if m.again > 0 && !m.back {
		m.back = true
		l.alarm()
	}
	if m.back && !m.reported {
		err := l.TellBack(ctx, m.total, m.again)
		if tenure.IsKind(err, tenure.Unavailable) {
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
	m.back, m.moved, m.owes, m.reported, m.owed = false, false, false, false, nil
	l.clock.behind.Store(false)
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
	if !l.memory.has(s) {
		return nil
	}
	l.clock.doubt.Store(true)
	return tenure.ErrStale
}

// standsTick is how often it is asked whether a poll was answered.
const standsTick = 5 * time.Millisecond

// endAgainBatch is how many ends are written at once: what is done is not done again.
const endAgainBatch = 1000

// keptFile is what a process leaves for its next start. It holds ids, and no secret.
type keptFile struct {
	Mark  store.Mark     `json:"seen"`
	Ended []store.Change `json:"ended"`
}

// restore reads what an earlier run of this process has seen. A file that is not
// there, or cannot be read, is nothing.
func (m *memory) restore(file string) store.Mark {
	var k keptFile
	text, err := os.ReadFile(file)
	if file == "" || err != nil || json.Unmarshal(text, &k) != nil {
		return store.Mark{}
	}
	m.note(false, k.Ended...)
	m.kept = k.Mark
	return k.Mark
}

// keep writes what was seen, whole or not at all.
func (m *memory) keep(file string, mark store.Mark) error {
	if file == "" || mark == m.kept {
		return nil
	}
	k := keptFile{Mark: mark, Ended: m.all()}
	text, err := json.Marshal(k)
	if err == nil {
		err = os.WriteFile(file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err == nil {
		m.kept = mark
	}
	return err
}
