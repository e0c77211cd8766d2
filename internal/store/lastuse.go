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
	tick := time.NewTicker(FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if err := l.Flush(last); err != nil {
				report(err)
			}
			return
		case <-tick.C:
			if err := l.Flush(ctx); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}

// Flush writes what has been noted.
func (l *LastUse) Flush(ctx context.Context) error {
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
	for ids := range slices.Chunk(slices.Collect(maps.Keys(tokens)), flushRows) {
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
	for _, id := range ids {
		at := time.Unix(seconds[id], 0)
		first, err := tx.exec(ctx, `UPDATE api_tokens SET last_used_at = $1 WHERE id = $2 AND last_used_at IS NULL`, stamp(at), id)
		if err != nil {
			return err
		}
		if first == 0 {
			_, err = tx.exec(ctx, `UPDATE api_tokens SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1`, stamp(at), id)
			if err != nil {
				return err
			}
			continue
		}
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
	for id, sec := range sessions {
		if _, err := tx.exec(ctx, `UPDATE sessions SET last_seen_at = $1 WHERE id = $2`, stamp(time.Unix(sec, 0)), id); err != nil {
			return err
		}
	}
	for id, sec := range people {
		if _, err := tx.exec(ctx, `UPDATE users SET last_seen_at = $1 WHERE id = $2`, stamp(time.Unix(sec, 0)), id); err != nil {
			return err
		}
	}
	return nil
}
