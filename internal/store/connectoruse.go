package store

import (
	"context"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// ConnectorUse keeps the figures of SCIM connectors: noted on the request's path
// without waiting for anything, written behind in one transaction for all.
type ConnectorUse struct {
	DB *DB

	mu    sync.Mutex
	noted map[tenure.ConnectorID]*connectorUse
}

// connectorUse is what has come through one connector since the last writing.
type connectorUse struct {
	first, last time.Time // signs of life; zero: none
	counts      map[string]*tenure.OperationCount
	err         *tenure.ConnectorError
}

// Times of the figures.
const (
	// connectorFlush is how often figures are written; a crash loses no more.
	connectorFlush = 2 * time.Second
	// burst is how long a pause must be to count as one: requests that are
	// nearer to each other belong to one run of the identity provider.
	burst = time.Minute
	// settling is the share of the newest pause in the usual one.
	settling = 0.25
)

// Note counts a request. It never waits for the database.
func (u *ConnectorUse) Note(id tenure.ConnectorID, r tenure.ConnectorRequest) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := u.of(id)
	c := n.of(r.Operation)
	if r.Error != nil {
		c.Failed++
		n.err = r.Error
	} else {
		c.OK++
	}
	if !r.Unseen {
		n.seen(r.At, r.At)
	}
}

// of needs the lock.
func (u *ConnectorUse) of(id tenure.ConnectorID) *connectorUse {
	if u.noted == nil {
		u.noted = make(map[tenure.ConnectorID]*connectorUse)
	}
	n, ok := u.noted[id]
	if !ok {
		n = &connectorUse{counts: make(map[string]*tenure.OperationCount)}
		u.noted[id] = n
	}
	return n
}

func (n *connectorUse) of(operation string) *tenure.OperationCount {
	c, ok := n.counts[operation]
	if !ok {
		c = &tenure.OperationCount{Operation: operation}
		n.counts[operation] = c
	}
	return c
}

func (n *connectorUse) seen(first, last time.Time) {
	if first.IsZero() {
		return
	}
	if n.first.IsZero() || first.Before(n.first) {
		n.first = first
	}
	if last.After(n.last) {
		n.last = last
	}
}

// Run writes until ctx ends, and then once more: a clean stop loses nothing.
// Failures are given to report; what could not be written is tried again.
func (u *ConnectorUse) Run(ctx context.Context, report func(error)) {
	WriteBehind(ctx, connectorFlush, u.Flush, report)
}

// Flush writes what has been noted; what could not be written is kept.
func (u *ConnectorUse) Flush(ctx context.Context) error {
	u.mu.Lock()
	noted := u.noted
	u.noted = nil
	u.mu.Unlock()
	if len(noted) == 0 {
		return nil
	}
	err := u.DB.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		for id, n := range noted {
			if err := tx.addConnectorUse(ctx, id, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		u.putBack(noted)
	}
	return err
}

func (u *ConnectorUse) putBack(noted map[tenure.ConnectorID]*connectorUse) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, old := range noted {
		n := u.of(id)
		n.seen(old.first, old.last)
		for operation, c := range old.counts {
			sum := n.of(operation)
			sum.OK += c.OK
			sum.Failed += c.Failed
		}
		if n.err == nil {
			n.err = old.err
		}
	}
}

func (tx *Tx) addConnectorUse(ctx context.Context, id tenure.ConnectorID, n *connectorUse) error {
	_, err := tx.exec(ctx, `INSERT INTO scim_connector_figures (connector_id) VALUES ($1) ON CONFLICT (connector_id) DO NOTHING`, id)
	if err == nil && !n.first.IsZero() {
		err = tx.connectorSeen(ctx, id, n)
	}
	if err == nil && n.err != nil {
		e := n.err
		_, err = tx.exec(ctx, `UPDATE scim_connector_figures SET error_at = $1, error_operation = $2, error_status = $3, error_scim_type = $4,
			error_shape = $5, error_request_id = $6 WHERE connector_id = $7`, stamp(e.At), e.Operation, e.Status, e.ScimType, e.Shape, e.RequestID, id)
	}
	for _, c := range n.counts {
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO scim_connector_counts (connector_id, operation, ok, failed) VALUES ($1, $2, $3, $4)
			ON CONFLICT (connector_id, operation) DO UPDATE SET ok = scim_connector_counts.ok + excluded.ok,
			failed = scim_connector_counts.failed + excluded.failed`,
			id, c.Operation, c.OK, c.Failed)
	}
	return err
}

// connectorSeen moves the sign of life, and learns from the pause before it.
func (tx *Tx) connectorSeen(ctx context.Context, id tenure.ConnectorID, n *connectorUse) error {
	before, err := tx.ConnectorFigures(ctx, id)
	if err != nil {
		return err
	}
	usual := before.Usual
	if pause := n.first.Sub(before.LastSeenAt); !before.LastSeenAt.IsZero() && pause >= burst {
		if usual == 0 {
			usual = pause
		} else {
			usual += time.Duration(settling * float64(pause-usual))
		}
	}
	last := n.last
	if before.LastSeenAt.After(last) {
		last = before.LastSeenAt // another process was later
	}
	_, err = tx.exec(ctx, `UPDATE scim_connector_figures SET last_seen_at = $1, usual_seconds = $2 WHERE connector_id = $3`,
		stamp(last), usual.Seconds(), id)
	return err
}
