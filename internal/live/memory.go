package live

import (
	"cmp"
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
	// unwritten are those of ended that the database has forgotten, and did not take
	// again: what rests on them is refused here, whatever it says.
	unwritten map[thing]bool
	kept      store.Mark // what is in the file

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
	fault    error          // why it did not take the last that it did not take
	tried    time.Time      // when those were tried last
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
		if !late || !c.Ended {
			delete(m.unwritten, t) // the database has it
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
	for _, c := range inOrder(m.list())[:len(m.ended)-endsRemembered] {
		delete(m.ended, thing{c.Kind, c.ID})
		delete(m.unwritten, thing{c.Kind, c.ID})
	}
}

// list gives what is remembered. It needs the lock.
func (m *memory) list() []store.Change {
	out := make([]store.Change, 0, len(m.ended))
	for t, end := range m.ended {
		out = append(out, t.end(end))
	}
	return out
}

func (t thing) end(as told) store.Change {
	return store.Change{Kind: t.kind, ID: t.id, Ended: true, At: as.at, Seq: int64(as.n)}
}

// inOrder sorts ends by the order of telling.
func inOrder(ends []store.Change) []store.Change {
	slices.SortFunc(ends, func(a, b store.Change) int { return cmp.Compare(a.Seq, b.Seq) })
	return ends
}

// all gives what is remembered, in the order of telling.
func (m *memory) all() []store.Change {
	m.mu.RLock()
	ends := m.list()
	m.mu.RUnlock()
	return inOrder(ends)
}

// forget drops ends of things that live, but for those that live because their end
// could not be written.
func (m *memory) forget(living []store.Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range living {
		if t := (thing{c.Kind, c.ID}); !m.unwritten[t] {
			delete(m.ended, t)
		}
	}
}

// wrote notes of ends that the database has them, or that it does not take them.
func (m *memory) wrote(ends []store.Change, fault error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range ends {
		t := thing{c.Kind, c.ID}
		_, remembered := m.ended[t]
		if unwritten := remembered && fault != nil; unwritten == m.unwritten[t] {
			continue
		} else if !unwritten {
			delete(m.unwritten, t)
		} else {
			if m.unwritten == nil {
				m.unwritten = make(map[thing]bool)
			}
			m.unwritten[t], m.fault = true, fault
		}
		m.kept = store.Mark{} // the file is to tell of it
	}
}

// missing gives up to limit ends that the database did not take, of more any.
func (m *memory) missing(limit int) []store.Change {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]store.Change, 0, min(limit, len(m.unwritten)))
	for t := range m.unwritten {
		if len(out) == limit {
			break
		}
		out = append(out, t.end(m.ended[t]))
	}
	return out
}

// has reports whether an end of something that a credential rests on is remembered.
func (m *memory) has(s *tenure.Standing) bool {
	ended, _ := m.look(s)
	return ended
}

// look is has, and tells whether the database did not take such an end.
func (m *memory) look(s *tenure.Standing) (ended, unwritten bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.ended) == 0 {
		return false, false
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
			ended, unwritten = true, unwritten || m.unwritten[t]
		}
	}
	return ended, unwritten
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

// keptFile is what a process leaves for its next start. It holds ids, and no secret.
type keptFile struct {
	Mark  store.Mark     `json:"seen"`
	Ended []store.Change `json:"ended"`
	// Unwritten are those of Ended that the database did not take again.
	Unwritten []store.Change `json:"unwritten,omitempty"`
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
	m.wrote(k.Unwritten, errOfBefore)
	m.kept = k.Mark
	return k.Mark
}

// errOfBefore is why the database did not take what an earlier run has left.
var errOfBefore = errors.New("refused to an earlier run of this process")

// keep writes what was seen, whole or not at all.
func (m *memory) keep(file string, mark store.Mark) error {
	m.mu.RLock()
	k, kept := keptFile{Mark: mark, Ended: m.list()}, m.kept
	m.mu.RUnlock()
	if file == "" || mark == kept {
		return nil
	}
	inOrder(k.Ended)
	k.Unwritten = m.missing(endsRemembered)
	text, err := json.Marshal(k)
	if err == nil {
		err = os.WriteFile(file+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.kept == kept {
			m.kept = mark
		}
	}
	return err
}
