package audit

import (
	"strconv"

	"github.com/tenure-gateway/tenure"
)

func vault(replica, action, outcome string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenure.DefaultTenant, Action: action, Outcome: outcome, ActorKind: "system", Actor: replica, Object: "vault",
	}
}

// VaultSealed tells that a replica cannot open stored secrets any more, and why.
func VaultSealed(replica, why string) tenure.AuditEvent {
	e := vault(replica, "vault.sealed", Success)
	e.Reason = why
	return e
}

// VaultUnsealed tells that a replica can open stored secrets again.
func VaultUnsealed(replica string) tenure.AuditEvent {
	return vault(replica, "vault.unsealed", Success)
}

// SecretTampered tells that a stored secret does not open with the right key: its row
// was changed, or moved.
func SecretTampered(tenant tenure.TenantID, ws tenure.WorkspaceID, purpose, id string) tenure.AuditEvent {
	e := vault("vault", "vault.tampered", Refused)
	e.Tenant, e.Workspace, e.ObjectID, e.Object = tenant, ws, id, purpose
	e.Reason = "it was changed or moved in the database"
	return e
}

// VaultRewrapped tells that what is sealed was wrapped by the key-encryption key of the
// day: how many secrets were, and how many did not open.
func VaultRewrapped(p tenure.Principal, written, failed int) tenure.AuditEvent {
	e := by(p, "vault.rewrapped")
	e.Tenant, e.Object = tenure.DefaultTenant, "vault"
	e.Detail = map[string]string{"written": strconv.Itoa(written), "failed": strconv.Itoa(failed)}
	return e
}

// VaultReset tells that what no key opened any more was destroyed, and whether a new
// root key was made.
func VaultReset(p tenure.Principal, destroyed int, root bool) tenure.AuditEvent {
	e := by(p, "vault.reset")
	e.Tenant, e.Object = tenure.DefaultTenant, "vault"
	e.Detail = map[string]string{"destroyed": strconv.Itoa(destroyed), "new_root_key": strconv.FormatBool(root)}
	return e
}

// SecretDestroyed tells that a stored secret went with the key that had sealed it.
func SecretDestroyed(p tenure.Principal, tenant tenure.TenantID, ws tenure.WorkspaceID, purpose, id string) tenure.AuditEvent {
	e := by(p, "vault.secret_destroyed")
	e.Tenant, e.Workspace, e.ObjectID, e.Object = tenant, ws, id, purpose
	e.Reason = "the key-encryption key that had sealed it is lost"
	return e
}
