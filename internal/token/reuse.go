package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Bounds of the watch on reuse.
const (
	reuseWaiting = 256         // different tokens that wait to be looked at
	reuseEvery   = time.Second // how often is looked at most
	reuseQuiet   = time.Hour   // how long one token's reuse is told only once
)

// Reuse gathers the tokens that were presented though a newer secret had taken
// their place: whoever holds one may have stolen it. They are looked at off the
// path of the request, which is answered as any dead token is.
type Reuse struct {
	mu      sync.Mutex
	waiting map[tenure.TokenID]presented
	ring    chan struct{}
	seen    atomic.Uint64
}

type presented struct {
	tenant tenure.TenantID
	origin tenure.Origin // of the first time
	times  uint64
}

// NewReuse makes an empty watch.
func NewReuse() *Reuse {
	return &Reuse{waiting: make(map[tenure.TokenID]presented), ring: make(chan struct{}, 1)}
}

// Seen is how often a rotated secret was presented after its overlap.
func (r *Reuse) Seen() uint64 { return r.seen.Load() }

// note keeps a presentation, if there is room. It never waits.
func (r *Reuse) note(ctx context.Context, s *tenure.Standing) {
	r.mu.Lock()
	p, known := r.waiting[s.Token]
	if !known && len(r.waiting) >= reuseWaiting {
		r.mu.Unlock()
		return
	}
	if !known {
		p = presented{tenant: s.Tenant, origin: tenure.OriginOf(ctx)}
	}
	p.times++
	r.waiting[s.Token] = p
	r.mu.Unlock()
	select {
	case r.ring <- struct{}{}:
	default:
	}
}

func (r *Reuse) take() map[tenure.TokenID]presented {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.waiting
	r.waiting = make(map[tenure.TokenID]presented)
	return out
}

// again keeps one that could not be told, if there is room.
func (r *Reuse) again(id tenure.TokenID, p presented) {
	r.mu.Lock()
	later, known := r.waiting[id]
	if known || len(r.waiting) < reuseWaiting {
		p.times += later.times
		r.waiting[id] = p
	}
	r.mu.Unlock()
	select {
	case r.ring <- struct{}{}:
	default:
	}
}

// WatchReuse tells of reuse until ctx ends.
func (t *Tokens) WatchReuse(ctx context.Context, report func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.Reuse.ring:
		}
		if err := t.tellReuse(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(reuseEvery):
		}
	}
}

// tellReuse tells of each that waits. What cannot be told now waits on.
func (t *Tokens) tellReuse(ctx context.Context) error {
	var all []error
	for id, p := range t.Reuse.take() {
		origin := p.origin
		if err := t.tellReuseOf(tenure.WithOrigin(ctx, &origin), p, id); err != nil && !tenure.IsKind(err, tenure.NotFound) {
			all = append(all, fmt.Errorf("reuse of token %s: %w", id, err))
			t.Reuse.again(id, p)
		}
	}
	return errors.Join(all...)
}

// tellReuseOf looks at one token that was presented: whether it died of its
// rotation, and of nothing else, while its owner is there. Then the audit log is
// told, once an hour, and the policy may end its whole line.
func (t *Tokens) tellReuseOf(ctx context.Context, p presented, id tenure.TokenID) error {
	row, err := t.DB.Token(ctx, p.tenant, id)
	if err != nil {
		return err
	}
	if reused, err := t.diedOfRotation(ctx, row); err != nil || !reused {
		return err
	}
	start := time.Now()
	var ended []tenure.Token
	err = t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended = nil
		policy, err := tx.Policy(ctx, row.Tenant)
		if err != nil {
			return err
		}
		if policy.EndReusedFamily {
			if ended, err = endFamily(ctx, tx, row); err != nil {
				return err
			}
		}
		told, err := tx.ToldSince(ctx, row.Tenant, audit.ReuseDetected, string(row.ID), tx.Now().Add(-reuseQuiet))
		if err != nil || told && len(ended) == 0 {
			return err
		}
		return tx.Append(ctx, audit.TokenReused(row, len(ended)))
	})
	if err != nil {
		return err
	}
	t.Reuse.seen.Add(p.times)
	done := tenure.Ended{Tokens: len(ended), Streams: t.cutMany(ended)}
	if done.Took = time.Since(start); done.Tokens > 0 {
		t.Live.Ended(row.Tenant, tenure.Revocation{What: tenure.RevokedTokens, ObjectID: string(row.Family), Object: "the line of " + ownerAnd(row), Actor: "policy", Ended: done})
	}
	return nil
}

func (t *Tokens) diedOfRotation(ctx context.Context, row tenure.Token) (bool, error) {
	now := t.DB.Now()
	if row.RotatedAt.IsZero() || !row.Over(now) || !row.RevokedAt.IsZero() && row.RevokedReason != store.RotatedReason {
		return false, nil
	}
	if row.Kind == tenure.KindService {
		a, err := t.DB.Account(ctx, row.Tenant, row.ServiceAccount, now)
		s := a.State(now)
		return s != "ended" && s != "expired", err
	}
	u, err := t.DB.User(ctx, row.Tenant, row.User)
	return u.Active, err
}

// endFamily revokes every token of a line that is not revoked, and gives them.
func endFamily(ctx context.Context, tx *store.Tx, row tenure.Token) ([]tenure.Token, error) {
	const reason = "a rotated secret of its line was used again"
	rows, err := tx.Family(ctx, row.Tenant, row.Family)
	if err != nil {
		return nil, err
	}
	ended := rows[:0]
	for _, r := range rows {
		if r.Over(tx.Now()) {
			continue
		}
		if _, err := tx.RevokeToken(ctx, r.Tenant, r.ID, "policy", reason); err != nil {
			return nil, err
		}
		if err := tx.Append(ctx, audit.TokenRevoked(tenure.Principal{}, r, reason)); err != nil {
			return nil, err
		}
		ended = append(ended, r)
	}
	return ended, nil
}

// cutMany forgets tokens that have ended, and ends what they carry.
func (t *Tokens) cutMany(rows []tenure.Token) int {
	if len(rows) == 0 {
		return 0
	}
	ids := make(map[tenure.TokenID]bool, len(rows))
	for _, r := range rows {
		ids[r.ID] = true
	}
	return t.Live.Cut(store.Change{}, live.Subject(func(s *tenure.Standing) bool { return ids[s.Token] }), tenure.ErrRevoked)
}
