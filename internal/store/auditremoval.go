package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Removable chooses the events of a tenant that are old enough to be removed.
type Removable struct {
	Tenant tenure.TenantID
	Before time.Time // older than this
	Except []string  // actions of events that are never removed
	After  int64     // behind the event of this number,
	UpTo   int64     // and not behind that of this one
}

// RemovableEvents gives those of the first events, at most limit, that have a place in the
// tree, in the order of their places. So few are chosen first, by their numbers, and then
// their leaves: the tree is long, and has many whose events are gone.
func (r reads) RemovableEvents(ctx context.Context, f Removable, limit int) ([]Placed, error) {
	var of, old where
	of.and(`tenant_id = ?`, f.Tenant)
	of.and(`seq > ? AND seq <= ?`, f.After, f.UpTo)
	old.args = of.args
	old.and(`at < ?`, stamp(f.Before))
	for _, action := range f.Except {
		old.and(`action <> ?`, action)
	}
	last := old.arg(limit)
	// MATERIALIZED: else PostgreSQL may go along all tenants' events for the first ones of this
	// one. CROSS: on SQLite that is the order in which they are read.
	all, err := many(ctx, r.run, scanPlaced, `WITH part AS MATERIALIZED (SELECT seq, at, action FROM audit_events`+of.String()+`) `+placedColumns+`
		FROM (SELECT seq FROM part`+old.String()+` ORDER BY seq LIMIT `+last+`) chosen
		CROSS JOIN audit_events e CROSS JOIN audit_leaves l WHERE e.seq = chosen.seq AND l.seq = chosen.seq AND l.place >= 0`, old.args...)
	slices.SortFunc(all, func(a, b Placed) int { return cmp.Compare(a.Place, b.Place) })
	return all, err
}

// OldEvents reports whether of the events of a tenant, behind the one of a number and not
// behind that of another, any is older than an instant.
func (r reads) OldEvents(ctx context.Context, f Removable) (bool, error) {
	return one(ctx, r.run, scalar[bool], `SELECT EXISTS (SELECT 1 FROM audit_events WHERE tenant_id = $1 AND seq > $2 AND seq <= $3 AND at < $4)`,
		f.Tenant, f.After, f.UpTo, stamp(f.Before))
}

// RemoveEvents removes the events of some numbers, of which the event of the id toldBy
// tells. Their leaves stay.
func (tx *Tx) RemoveEvents(ctx context.Context, toldBy string, seqs []int64) error {
	text, err := json.Marshal(seqs)
	if err != nil {
		return err
	}
	return tx.later(ctx, nil, `INSERT INTO audit_removing (told_by, seqs) VALUES ($1, $2)`, toldBy, string(text))
}

// ToldLeaves counts the leaves of which an event is said to tell that their events were
// removed, and gives what DigestOf gives of them.
func (r reads) ToldLeaves(ctx context.Context, toldBy string) (int, string, error) {
	rows, err := many(ctx, r.run, scalar[[]byte], `SELECT hash FROM audit_leaves WHERE told_by = $1 ORDER BY place`, toldBy)
	sum := sha256.New()
	for _, hash := range rows {
		sum.Write(hash)
	}
	return len(rows), hex.EncodeToString(sum.Sum(nil)), err
}

// AuditHolds lists the legal holds of a tenant, the newest first.
func (r reads) AuditHolds(ctx context.Context, tenant tenure.TenantID) ([]tenure.AuditHold, error) {
	return many(ctx, r.run, scanHold, `SELECT `+holdColumns+` WHERE tenant_id = $1 ORDER BY placed_at DESC, id DESC`, tenant)
}

// HoldInForce is the oldest legal hold of a tenant that is in force. NotFound: none is.
func (r reads) HoldInForce(ctx context.Context, tenant tenure.TenantID) (tenure.AuditHold, error) {
	return one(ctx, r.run, scanHold, `SELECT `+holdColumns+` WHERE tenant_id = $1 AND released_at IS NULL ORDER BY placed_at, id LIMIT 1`, tenant)
}

// AuditHold reads a legal hold of a tenant. NotFound: there is none.
func (r reads) AuditHold(ctx context.Context, tenant tenure.TenantID, id tenure.HoldID) (tenure.AuditHold, error) {
	return one(ctx, r.run, scanHold, `SELECT `+holdColumns+` WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

const holdColumns = `id, tenant_id, matter, placed_at, placed_by, released_at, released_by, release_reason FROM audit_holds`

func scanHold(row scanner) (tenure.AuditHold, error) {
	var h tenure.AuditHold
	err := row.Scan(&h.ID, &h.Tenant, &h.Matter, into(&h.PlacedAt), &h.PlacedBy, into(&h.ReleasedAt), &h.ReleasedBy, &h.ReleaseReason)
	return h, err
}

// PlaceAuditHold stores a legal hold.
func (tx *Tx) PlaceAuditHold(ctx context.Context, h tenure.AuditHold) error {
	_, err := tx.exec(ctx, `INSERT INTO audit_holds (id, tenant_id, matter, placed_at, placed_by) VALUES ($1, $2, $3, $4, $5)`,
		h.ID, h.Tenant, h.Matter, stamp(h.PlacedAt), h.PlacedBy)
	return err
}

// ReleaseAuditHold ends a legal hold, of which an event tells that it is released. NotFound:
// there is none that is in force.
func (tx *Tx) ReleaseAuditHold(ctx context.Context, h tenure.AuditHold) error {
	return tx.execOne(ctx, `UPDATE audit_holds SET released_at = $1, released_by = $2, release_reason = $3 WHERE tenant_id = $4 AND id = $5 AND released_at IS NULL`,
		stamp(h.ReleasedAt), h.ReleasedBy, h.ReleaseReason, h.Tenant, h.ID)
}
