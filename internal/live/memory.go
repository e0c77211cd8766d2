package live

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// endsRemembered is how many ends of access a process remembers: about 15 MB.
const endsRemembered = 100_000

// memory holds which things the feed has told to have ended, for a database that
// forgets it: a standby that takes over without the last commits, or a backup that
// is put back. It is the follower's own.
type memory struct {
	ended map[thing]told // in the order of telling
	count uint64
	owed  []store.Change // what a database that went back must be told again
	kept  store.Mark     // what is in the file
}

type thing struct{ kind, id string }

// told is when the end of a thing was told: by the database's clock, and as the how
// manyth.
type told struct {
	at time.Time
	n  uint64
}

// note remembers the end of a thing, or forgets it when the thing lives again.
func (m *memory) note(c store.Change) {
	t := thing{c.Kind, c.ID}
	if !c.Ended {
		delete(m.ended, t)
		return
	}
	if m.ended == nil {
		m.ended = make(map[thing]told)
	}
	m.count++
	m.ended[t] = told{c.At, m.count}
	if len(m.ended) > endsRemembered {
		oldest := m.count - endsRemembered/2
		for t, end := range m.ended {
			if end.n < oldest {
				delete(m.ended, t)
			}
		}
	}
}

// owe takes everything that is remembered as what must be told again.
func (m *memory) owe() {
	m.owed = m.owed[:0]
	for t, end := range m.ended {
		m.owed = append(m.owed, store.Change{Kind: t.kind, ID: t.id, Ended: true, At: end.at})
	}
	// In one order, so that replicas that do so at once do not lock each other out.
	slices.SortFunc(m.owed, func(a, b store.Change) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID))
	})
}

// wentBack raises the alarm that the database is at an earlier state than this
// process has seen. Nobody is admitted here until what has ended has ended again.
func (l *Live) wentBack() {
	l.memory.owe()
	l.clock.behind.Store(true)
	l.Metrics.back.Inc()
	l.Log.Error("the database went back to an earlier state: a standby took over without the last commits, or a backup was put back; "+
		"what this process has seen to end is ended again, everything else that was written since then is lost", "ends", len(l.memory.owed))
}

// endAgain writes again what a database has forgotten. While it cannot be written
// the process stays behind; a fault that is none of the way to the database is
// logged, and does not keep everybody out for good.
func (l *Live) endAgain(ctx context.Context) error {
	if !l.clock.behind.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, endAgainTimeout)
	defer cancel()
	for len(l.memory.owed) > 0 {
		batch := l.memory.owed[:min(endAgainBatch, len(l.memory.owed))]
		err := l.EndAgain(ctx, batch)
		if tenure.IsKind(err, tenure.Unavailable) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err != nil {
			l.Log.Error("what ended before the database went back could not be ended again", "error", err)
		}
		l.memory.owed = l.memory.owed[len(batch):]
	}
	l.clock.behind.Store(false)
	return nil
}

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
	for _, c := range k.Ended {
		m.note(c)
	}
	m.kept = k.Mark
	return k.Mark
}

// keep writes what was seen, whole or not at all.
func (m *memory) keep(file string, mark store.Mark) error {
	if file == "" || mark == m.kept {
		return nil
	}
	k := keptFile{Mark: mark, Ended: make([]store.Change, 0, len(m.ended))}
	for t, end := range m.ended {
		k.Ended = append(k.Ended, store.Change{Kind: t.kind, ID: t.id, Ended: true, At: end.at})
	}
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
