package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

// PlacedOf lists the events of a tenant, or with "" of all, that have places from one
// on and before another, in their order. What was removed is not among them.
func (r reads) PlacedOf(ctx context.Context, tenant tenure.TenantID, from, before int64, limit int) ([]Placed, error) {
	var w where
	w.and(`place >= ?`, from)
	w.and(`place < ?`, before)
	if tenant != "" {
		w.and(`tenant_id = ?`, tenant)
	}
	last := w.arg(limit)
	return many(ctx, r.run, func(row scanner) (Placed, error) {
		var p Placed
		e, err := scanAudit(after{row, []any{&p.Place, &p.Hash}})
		p.Seq, p.Event = e.Seq, &e
		return p, err
	}, `SELECT place, hash, e.* FROM (SELECT `+auditColumns+`) e JOIN audit_leaves l ON l.seq = e.seq`+w.String()+` ORDER BY place LIMIT `+last, w.args...)
}

// CountPlacedOf counts the events of a tenant that have places from one on and before
// another, most of them at most.
func (r reads) CountPlacedOf(ctx context.Context, tenant tenure.TenantID, from, before int64, most int) (int64, error) {
	return one(ctx, r.run, scalar[int64], `SELECT count(*) FROM (SELECT 1 FROM audit_leaves l JOIN audit_events e ON e.seq = l.seq
		WHERE l.place >= $1 AND l.place < $2 AND e.tenant_id = $3 LIMIT $4) counted`, from, before, tenant, most)
}

// Placeless reports whether an event is in the log and has no place in its tree.
func (r reads) Placeless(ctx context.Context, id string) (bool, error) {
	return one(ctx, r.run, scalar[bool], `SELECT EXISTS (SELECT 1 FROM audit_events e WHERE e.id = $1
		AND NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.seq = e.seq))`, id)
}

// after reads some columns before those that another reader knows.
type after struct {
	row   scanner
	first []any
}

func (a after) Scan(dest ...any) error { return a.row.Scan(append(a.first, dest...)...) }
