package store

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
)

// LastUse keeps when tokens and sessions were used last: noted on the request's
// path without waiting for anything, written behind in batches. Times are right
// to the second, and each token is written at most once for each second in
// which it was used.
type LastUse struct {
	DB *DB
	// FirstUse makes the audit event of a token that was never used before.
	FirstUse func(t tenure.Token) tenure.AuditEvent

	mu       sync.Mutex
	tokens   map[tenure.TokenID]int64 // second of the last use
	sessions map[tenure.SessionID]int64
	people   map[tenure.UserID]int64
	written  map[tenure.TokenID]int64 // the second that is in the database, of the tokens used lately
	waiting  atomic.Int64
}

// Times of the write-behind.
const (
	// FlushEvery is how often noted uses are written; a crash loses no more.
	FlushEvery = 500 * time.Millisecond
	// flushRows is how many rows one transaction writes.
	flushRows = 1000
	// forgetWritten is how many written seconds are remembered before a new start.
	forgetWritten = 100_000
)

// NoteToken records a use of a token. It never waits for the database.
func (l *LastUse) NoteToken(id tenure.TokenID, at time.Time) {
	sec := at.Unix()
	l.mu.Lock()
	if l.written[id] < sec && l.tokens[id] < sec {
		if l.tokens == nil {
			l.tokens = make(map[tenure.TokenID]int64)
		}
		l.tokens[id] = sec
		l.waiting.Store(int64(len(l.tokens)))
	}
	l.mu.Unlock()
}

// NoteSession records a use of a session and of the person behind it.
func (l *LastUse) NoteSession(id tenure.SessionID, user tenure.UserID, at time.Time) {
	l.mu.Lock()
	if l.sessions == nil {
		l.sessions = make(map[tenure.SessionID]int64)
	}
	l.sessions[id] = at.Unix()
	l.mu.Unlock()
	l.NotePerson(user, at)
}

// NotePerson records that a person was here.
func (l *LastUse) NotePerson(id tenure.UserID, at time.Time) {
	if id == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.people == nil {
		l.people = make(map[tenure.UserID]int64)
	}
	l.people[id] = at.Unix()
}

// Waiting is how many tokens have a use that is not written yet.
func (l *LastUse) Waiting() int { return int(l.waiting.Load()) }

// Run flushes until ctx ends, and then once more: a clean stop loses nothing.
// Failures are given to report; what could not be written is tried again.
func (l *LastUse) Run(ctx context.Context, report func(error)) {
	WriteBehind(ctx, FlushEvery, l.Flush, report)
}

// Flush writes what has been noted, of all tenants, whoever asks for it.
func (l *LastUse) Flush(ctx context.Context) error {
	ctx = tenure.Everywhere(ctx)
	l.mu.Lock()
	tokens, sessions, people := l.tokens, l.sessions, l.people
	l.tokens, l.sessions, l.people = nil, nil, nil
	if l.written == nil || len(l.written) > forgetWritten {
		l.written = make(map[tenure.TokenID]int64)
	}
	maps.Copy(l.written, tokens)
	l.waiting.Store(0)
	l.mu.Unlock()

	var failed error
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(tokens)), flushRows) {
		err := l.DB.Tx(ctx, func(ctx context.Context, tx *Tx) error { return l.writeTokens(ctx, tx, ids, tokens) })
		if err != nil {
			failed = err
			l.putBack(ids, tokens)
		}
	}
	if len(sessions)+len(people) > 0 {
		err := l.DB.Tx(ctx, func(ctx context.Context, tx *Tx) error { return writeSeen(ctx, tx, sessions, people) })
		if err != nil {
			failed = err // the next visit notes it again
		}
	}
	return failed
}

func (l *LastUse) putBack(ids []tenure.TokenID, seconds map[tenure.TokenID]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tokens == nil {
		l.tokens = make(map[tenure.TokenID]int64)
	}
	for _, id := range ids {
		l.tokens[id] = max(l.tokens[id], seconds[id])
		delete(l.written, id)
	}
	l.waiting.Store(int64(len(l.tokens)))
}

func (l *LastUse) writeTokens(ctx context.Context, tx *Tx, ids []tenure.TokenID, seconds map[tenure.TokenID]int64) error {
	first, err := touch(ctx, tx, `api_tokens`, `last_used_at`, `IS NULL`, ids, seconds)
	if err != nil {
		return err
	}
	if _, err := touch(ctx, tx, `api_tokens`, `last_used_at`, `< `, ids, seconds); err != nil {
		return err
	}
	for _, id := range first {
		t, err := one(ctx, tx.run, scanToken, `SELECT `+tokenColumns+` WHERE t.id = $1`, id)
		if err != nil {
			return err
		}
		if err := tx.Append(ctx, l.FirstUse(t)); err != nil {
			return err
		}
	}
	return nil
}

func writeSeen(ctx context.Context, tx *Tx, sessions map[tenure.SessionID]int64, people map[tenure.UserID]int64) error {
	if _, err := touch(ctx, tx, `sessions`, `last_seen_at`, `< `, slices.Sorted(maps.Keys(sessions)), sessions); err != nil {
		return err
	}
	ids := slices.Sorted(maps.Keys(people))
	if _, err := touch(ctx, tx, `users`, `last_seen_at`, `IS NULL`, ids, people); err != nil {
		return err
	}
	_, err := touch(ctx, tx, `users`, `last_seen_at`, `< `, ids, people)
	return err
}

// A stamper writes many times at once, where a statement is a round trip: it sets
// column of the rows with these ids to the times of the same place, where the
// column is as it says, and gives the ids of those rows.
type stamper interface {
	stampRows(ctx context.Context, table, column, is string, ids []string, at []time.Time) ([]string, error)
}

// touch sets column of the rows with these ids to their second, where it is NULL
// (is "IS NULL") or earlier ("< "): no time is turned back, whichever process comes
// last. It gives the ids of the rows that it wrote.
func touch[ID ~string](ctx context.Context, tx *Tx, table, column, is string, ids []ID, seconds map[ID]int64) ([]ID, error) {
	var done []ID
	if s, ok := tx.run.(stamper); ok {
		texts, times := make([]string, len(ids)), make([]time.Time, len(ids))
		for i, id := range ids {
			texts[i], times[i] = string(id), time.Unix(seconds[id], 0)
		}
		rows, err := s.stampRows(ctx, table, column, is, texts, times)
		for _, id := range rows {
			done = append(done, ID(id))
		}
		return done, err
	}
	value := ""
	if is != `IS NULL` {
		value = `$1`
	}
	for _, id := range ids {
		n, err := tx.exec(ctx, `UPDATE `+table+` SET `+column+` = $1 WHERE id = $2 AND `+column+` `+is+value, stamp(time.Unix(seconds[id], 0)), id)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			done = append(done, id)
		}
	}
	return done, nil
}
