package audit

import (
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
)

// WentBack tells that the database was found at an earlier state than a replica has
// seen: how many ends of access the replica remembered, and how many of them the
// database had forgotten and were written again.
func WentBack(replica string, remembered, again int) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenure.DefaultTenant, Action: "database.went_back", Outcome: Success, ActorKind: "system", Actor: replica, Object: "database",
		Detail: map[string]string{"remembered": strconv.Itoa(remembered), "ended_again": strconv.Itoa(again)},
	}
}

// BackupBegun tells that everything is being copied. What follows tells that it was,
// or why it was not; nothing does when the process ended before.
func BackupBegun(p tenure.Principal, lock string) tenure.AuditEvent {
	e := ofDatabase(p, "backup.begun")
	e.Detail = map[string]string{"lock": lock}
	return e
}

// BackupFailed tells that a copy was begun, and is none.
func BackupFailed(p tenure.Principal, why error) tenure.AuditEvent {
	e := ofDatabase(p, "backup.failed")
	e.Outcome, e.Reason = Refused, tenure.AsError(why).Msg
	return e
}

// RestoreFailed tells that somebody tried to replace the database by a backup, and why
// nothing came of it.
func RestoreFailed(p tenure.Principal, why error) tenure.AuditEvent {
	e := ofDatabase(p, "backup.restore_failed")
	e.Outcome, e.Reason = Refused, tenure.AsError(why).Msg
	return e
}

// RestoreTried tells of a restore that was undone at its end, on purpose.
func RestoreTried(p tenure.Principal, r Restore) tenure.AuditEvent {
	e := BackupRestored(p, r)
	e.Action = "backup.restore_tried"
	return e
}

func ofDatabase(p tenure.Principal, action string) tenure.AuditEvent {
	e := by(p, action)
	e.Tenant, e.Object = tenure.DefaultTenant, "database"
	return e
}

// BackupCreated tells that everything was copied into a backup: how many rows, with
// which digest, and what it is locked by.
func BackupCreated(p tenure.Principal, rows int64, digest, lock string) tenure.AuditEvent {
	e := ofDatabase(p, "backup.created")
	e.Detail = map[string]string{"rows": strconv.FormatInt(rows, 10), "sha256": digest, "lock": lock}
	return e
}

// Restore is what is told of one.
type Restore struct {
	At, KnownUntil                time.Time
	Install, Version, Digest      string
	Epoch                         string // of the log's checkpoints from then on
	Rows, Ended, Sessions, Listed int64
}

// BackupRestored tells that the database was replaced by a backup.
func BackupRestored(p tenure.Principal, r Restore) tenure.AuditEvent {
	e := ofDatabase(p, Restored)
	e.Detail = map[string]string{
		"snapshot_at": r.At.UTC().Format(time.RFC3339), "known_until": r.KnownUntil.UTC().Format(time.RFC3339), "install": r.Install, "version": r.Version, "sha256": r.Digest,
		"rows": strconv.FormatInt(r.Rows, 10), "ended": strconv.FormatInt(r.Ended, 10), "sessions": strconv.FormatInt(r.Sessions, 10), "ended_by_lists": strconv.FormatInt(r.Listed, 10),
		"epoch": r.Epoch,
	}
	return e
}
