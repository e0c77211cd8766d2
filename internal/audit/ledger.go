package audit

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// The events by which the history of the log becomes another than what was signed
// before. The detail "epoch" of each is what checkpoints tell from then on.
const (
	Restored  = "backup.restored"
	BegunAnew = "audit.began_anew"
)

// Tellers are the actions of those events.
func Tellers() []string { return []string{Restored, BegunAnew} }

// The events that tell what is not in the log any more as it was written.
const (
	Erased  = "audit.erased"
	Removed = "audit.events_removed"
)

// What becomes of a legal hold.
const (
	HoldPlaced   = "audit.hold_placed"
	HoldReleased = "audit.hold_released"
)

// Lasting are the actions of events that verification stands on: nothing of them is erased
// or removed. The database lets nobody erase them either.
func Lasting() []string {
	return []string{Erased, Removed, HoldPlaced, HoldReleased, BegunAnew, HistoryReplaced, FaultFound, keyMade, keyRotated, Restored}
}

// Lasts reports whether verification stands on events of an action.
func Lasts(action string) bool { return slices.Contains(Lasting(), action) }

// Bare reports whether an event can have been erased: nothing but its commitment is left of
// what may be about a person.
func Bare(e tenure.AuditEvent) bool {
	return !Lasts(e.Action) && e.ActorID == "" && e.Actor == "" && e.ObjectID == "" && e.Object == "" && e.Reason == "" && e.Address == "" &&
		len(e.Detail) == 0 && len(e.Salt) == 0
}

// EventsErased tells that what may be about a person was erased from events. The person is
// told by id alone, and so are the events.
func EventsErased(p tenure.Principal, id string, person tenure.UserID, reason string, events []string) tenure.AuditEvent {
	e := by(p, Erased)
	e.ID, e.ObjectID, e.Reason = id, string(person), reason
	e.Detail = map[string]string{"events": strings.Join(events, " "), "count": strconv.Itoa(len(events))}
	return e
}

// What is found of the log, and what becomes of the key that signs it.
const (
	keyMade         = "audit_key.made"
	keyRotated      = "audit_key.rotated"
	HistoryReplaced = "audit.history_replaced"
	FaultFound      = "audit.fault_found"
)

// TreeBegun tells that the tree of the log was begun anew: what was found wrong with the
// one before, and what that was.
func TreeBegun(p tenure.Principal, reason string, detail map[string]string) tenure.AuditEvent {
	e := by(p, BegunAnew)
	e.Tenant, e.Object, e.Reason, e.Detail = tenure.DefaultTenant, "audit log", reason, detail
	return e
}

// HistoryIsAnother tells that a replica found another history of the log than the one that
// it had signed, and what it had signed.
func HistoryIsAnother(replica string, detail map[string]string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenure.DefaultTenant, Action: HistoryReplaced, Outcome: Success, ActorKind: "system", Actor: replica, Object: "audit log", Detail: detail,
	}
}

// KeyMade tells of the first key that signs the log's checkpoints, by its name in them.
func KeyMade(id, name string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenure.DefaultTenant, Action: keyMade, Outcome: Success, ActorKind: "system", Actor: "tenure", ObjectID: id, Object: name,
	}
}

// KeyRotated tells of a new key that signs the log's checkpoints.
func KeyRotated(p tenure.Principal, id, name string) tenure.AuditEvent {
	e := by(p, keyRotated)
	e.Tenant, e.ObjectID, e.Object = tenure.DefaultTenant, id, name
	return e
}

// Fault tells that a replica verified the log, and what is wrong with it.
func Fault(replica, event, what string, detail map[string]string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenure.DefaultTenant, Action: FaultFound, Outcome: Success, ActorKind: "system", Actor: replica, ObjectID: event, Object: "audit log", Reason: what, Detail: detail,
	}
}
