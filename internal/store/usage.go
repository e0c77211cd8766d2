package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Usage counts requests by tenant and minute, and keeps how each end of access
// went: noted on the request's path without waiting for anything, written behind.
// A crash loses usageFlush of the counts.
type Usage struct {
	DB *DB

	mu    sync.Mutex
	noted map[usageKey]*tenure.Usage
	ends  []endOf
	bell  chan struct{} // an end waits; made by ring, under the lock
}

// endOf is an end of access that is not written yet.
type endOf struct {
	tenant tenure.TenantID
	what   tenure.Revocation
}

type usageKey struct {
	tenant tenure.TenantID
	minute int64
}

// Times of the figures.
const (
	usageFlush = 5 * time.Second
	// usageKept is how long they are remembered.
	usageKept = 31 * 24 * time.Hour
	// endsKept is how long ends of access are remembered.
	endsKept = 400 * 24 * time.Hour
	// endsWaiting is how many ends of access wait while the database is silent.
	endsWaiting = 10_000
)

// Note counts one request: asked tells that it was one to a model. It never waits
// for the database.
func (u *Usage) Note(tenant tenure.TenantID, at time.Time, asked, refused, failed bool) {
	if !asked && !refused {
		return
	}
	key := usageKey{tenant, at.Unix() / 60}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.noted == nil {
		u.noted = make(map[usageKey]*tenure.Usage)
	}
	n, ok := u.noted[key]
	if !ok {
		n = &tenure.Usage{}
		u.noted[key] = n
	}
	n.Requests += number(asked)
	n.Refused += number(refused)
	n.Failed += number(asked && failed)
}

// NoteEnd keeps how an end of access went. It never waits for the database.
func (u *Usage) NoteEnd(tenant tenure.TenantID, v tenure.Revocation) {
	u.mu.Lock()
	if len(u.ends) < endsWaiting {
		u.ends = append(u.ends, endOf{tenant, v})
	}
	u.mu.Unlock()
	select {
	case u.ring() <- struct{}{}:
	default:
	}
}

// ring is the bell by which NoteEnd wakes Run.
func (u *Usage) ring() chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bell == nil {
		u.bell = make(chan struct{}, 1)
	}
	return u.bell
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Run writes behind until ctx ends, and then once more.
func (u *Usage) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(usageFlush)
	defer tick.Stop()
	bell := u.ring()
	for {
		flush := u.Flush
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			if err := u.Flush(last); err != nil {
				report(err)
			}
			return
		case <-tick.C:
		case <-bell:
			flush = u.FlushEnds
		}
		if err := flush(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
	}
}

// FlushEnds writes the ends of access that wait, of all tenants, whoever asks for
// it; what cannot be written waits on.
func (u *Usage) FlushEnds(ctx context.Context) error {
	u.mu.Lock()
	ends := u.ends
	u.ends = nil
	u.mu.Unlock()
	if len(ends) == 0 {
		return nil
	}
	err := u.DB.Tx(tenure.Everywhere(tenure.WithoutAsker(ctx)), func(ctx context.Context, tx *Tx) error {
		for _, e := range ends {
			if err := tx.InsertRevocation(ctx, e.tenant, e.what); err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `DELETE FROM revocations WHERE tenant_id = $1 AND at < $2`, e.tenant, stamp(tx.now.Add(-endsKept))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.ends = append(ends, u.ends...)[:min(endsWaiting, len(ends)+len(u.ends))]
	}
	return err
}

// Flush writes what has been noted. Counts that cannot be written are lost: they
// are figures for a picture, and not the audit.
func (u *Usage) Flush(ctx context.Context) error {
	if err := u.FlushEnds(ctx); err != nil {
		return err
	}
	u.mu.Lock()
	noted := u.noted
	u.noted = nil
	u.mu.Unlock()
	if len(noted) == 0 {
		return nil
	}
	return u.DB.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		for key, n := range noted {
			if _, err := tx.exec(ctx, `INSERT INTO usage_minutes (tenant_id, minute, requests, refused, failed) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (tenant_id, minute) DO UPDATE SET requests = usage_minutes.requests + excluded.requests,
				refused = usage_minutes.refused + excluded.refused, failed = usage_minutes.failed + excluded.failed`,
				key.tenant, key.minute, n.Requests, n.Refused, n.Failed); err != nil {
				return err
			}
			if _, err := tx.exec(ctx, `DELETE FROM usage_minutes WHERE tenant_id = $1 AND minute < $2`, key.tenant, tx.now.Add(-usageKept).Unix()/60); err != nil {
				return err
			}
		}
		return nil
	})
}

// UsageSince lists what a tenant asked since a time, in steps of so many minutes,
// the oldest first; steps in which nothing was asked are left out.
func (r reads) UsageSince(ctx context.Context, tenant tenure.TenantID, since time.Time, step int) ([]tenure.Usage, error) {
	return many(ctx, r.run, func(row scanner) (tenure.Usage, error) {
		var u tenure.Usage
		var start int64
		err := row.Scan(&start, &u.Requests, &u.Refused, &u.Failed)
		u.Start = time.Unix(start*60, 0).UTC()
		return u, err
	}, `SELECT minute / $1 * $1 AS start, SUM(requests), SUM(refused), SUM(failed) FROM usage_minutes
		WHERE tenant_id = $2 AND minute >= $3 GROUP BY minute / $1 ORDER BY start`, step, tenant, since.Unix()/60)
}

// InsertRevocation keeps how one end of access went.
func (tx *Tx) InsertRevocation(ctx context.Context, tenant tenure.TenantID, v tenure.Revocation) error {
	_, err := tx.exec(ctx, `INSERT INTO revocations (id, tenant_id, at, what, object_id, object, actor, tokens, sessions, streams, took_us)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, tenure.NewID(tx.now), tenant, stamp(v.At), v.What, v.ObjectID, v.Object, v.Actor,
		v.Ended.Tokens, v.Ended.Sessions, v.Ended.Streams, v.Ended.Took.Microseconds())
	return err
}

// Revocations lists the ends of access of a tenant since a time, newest first, at
// most limit of them.
func (r reads) Revocations(ctx context.Context, tenant tenure.TenantID, since time.Time, limit int) ([]tenure.Revocation, error) {
	return many(ctx, r.run, func(row scanner) (tenure.Revocation, error) {
		var v tenure.Revocation
		var us int64
		err := row.Scan(into(&v.At), &v.What, &v.ObjectID, &v.Object, &v.Actor, &v.Ended.Tokens, &v.Ended.Sessions, &v.Ended.Streams, &us)
		v.Ended.Took = time.Duration(us) * time.Microsecond
		return v, err
	}, `SELECT at, what, object_id, object, actor, tokens, sessions, streams, took_us FROM revocations
		WHERE tenant_id = $1 AND at >= $2 ORDER BY at DESC, id DESC LIMIT $3`, tenant, stamp(since), limit)
}

// RevocationTimes tells how long the ends of access of a tenant took since a time.
func (r reads) RevocationTimes(ctx context.Context, tenant tenure.TenantID, since time.Time) (tenure.RevocationTimes, error) {
	var t tenure.RevocationTimes
	_, err := one(ctx, r.run, func(row scanner) (struct{}, error) {
		var slowest int64
		into := []any{&t.Count, &slowest}
		for i := range t.Within {
			into = append(into, &t.Within[i])
		}
		err := row.Scan(into...)
		t.Slowest = time.Duration(slowest) * time.Microsecond
		return struct{}{}, err
	}, `SELECT COUNT(*), COALESCE(MAX(took_us), 0), `+withinSQL()+` FROM revocations WHERE tenant_id = $1 AND at >= $2`, tenant, stamp(since))
	if err != nil || t.Count == 0 {
		return t, err
	}
	rest := t.Count
	for _, n := range t.Within {
		rest -= n
	}
	t.Slower = rest
	t.Median, err = one(ctx, r.run, func(row scanner) (time.Duration, error) {
		var us int64
		err := row.Scan(&us)
		return time.Duration(us) * time.Microsecond, err
	}, `SELECT took_us FROM revocations WHERE tenant_id = $1 AND at >= $2 ORDER BY took_us LIMIT 1 OFFSET $3`, tenant, stamp(since), (t.Count-1)/2)
	return t, err
}

// withinSQL counts by the bounds of tenure.RevocationSteps.
func withinSQL() string {
	var cols []string
	low := int64(0)
	for _, step := range tenure.RevocationSteps {
		cols = append(cols, fmt.Sprintf("COALESCE(SUM(CASE WHEN took_us >= %d AND took_us < %d THEN 1 ELSE 0 END), 0)", low, step.Microseconds()))
		low = step.Microseconds()
	}
	return strings.Join(cols, ", ")
}
