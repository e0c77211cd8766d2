package audit

import "github.com/tenure-gateway/tenure"

// KeyMade tells of the first key that signs the log's checkpoints, by its name in them.
func KeyMade(id, name string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenure.DefaultTenant, Action: "audit_key.made", Outcome: Success, ActorKind: "system", Actor: "tenure", ObjectID: id, Object: name,
	}
}

// KeyRotated tells of a new key that signs the log's checkpoints.
func KeyRotated(p tenure.Principal, id, name string) tenure.AuditEvent {
	e := by(p, "audit_key.rotated")
	e.Tenant, e.ObjectID, e.Object = tenure.DefaultTenant, id, name
	return e
}
