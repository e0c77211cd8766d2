package store

import (
	"context"
	"encoding/json"

	"github.com/tenure-gateway/tenure"
)

// Append writes an audit event in the transaction of what it tells of. The
// event's id and time, and the request id and address of ctx's origin, are
// filled in.
func (tx *Tx) Append(ctx context.Context, e tenure.AuditEvent) error {
	origin := tenure.OriginOf(ctx)
	if e.RequestID == "" {
		e.RequestID = origin.RequestID
	}
	if e.Address == "" {
		e.Address = origin.Address
	}
	detail := []byte("{}")
	if len(e.Detail) > 0 {
		var err error
		if detail, err = json.Marshal(e.Detail); err != nil {
			return err
		}
	}
	_, err := tx.exec(ctx, `INSERT INTO audit_events (id, at, tenant_id, workspace_id, action, actor_kind, actor_id, actor,
		object_id, object, outcome, reason, request_id, address, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		tenure.NewID(tx.now), stamp(tx.now), e.Tenant, e.Workspace, e.Action, e.ActorKind, e.ActorID, e.Actor,
		e.ObjectID, e.Object, e.Outcome, e.Reason, e.RequestID, e.Address, string(detail))
	return err
}

// AuditTail lists the newest audit events of a tenant, newest first. action
// chooses one kind of event; "" chooses all.
func (r reads) AuditTail(ctx context.Context, tenant tenure.TenantID, action string, limit int) ([]tenure.AuditEvent, error) {
	var w where
	w.and(`tenant_id = ?`, tenant)
	if action != "" {
		w.and(`action = ?`, action)
	}
	n := w.arg(limit)
	return many(ctx, r.run, func(row scanner) (tenure.AuditEvent, error) {
		var e tenure.AuditEvent
		var detail []byte
		err := row.Scan(&e.ID, into(&e.At), &e.Tenant, &e.Workspace, &e.Action, &e.ActorKind, &e.ActorID, &e.Actor,
			&e.ObjectID, &e.Object, &e.Outcome, &e.Reason, &e.RequestID, &e.Address, &detail)
		if err == nil {
			err = json.Unmarshal(detail, &e.Detail)
		}
		return e, err
	}, `SELECT id, at, tenant_id, workspace_id, action, actor_kind, actor_id, actor, object_id, object, outcome, reason,
		request_id, address, detail FROM audit_events`+w.String()+` ORDER BY seq DESC LIMIT `+n, w.args...)
}
