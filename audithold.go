package tenure

import "time"

// HoldID names a legal hold.
type HoldID string

// AuditHold is a legal hold of a tenant: while it is in force, nothing of the tenant's audit
// log is removed or erased.
type AuditHold struct {
	ID            HoldID
	Tenant        TenantID
	Matter        string // what it is for
	PlacedAt      time.Time
	PlacedBy      string
	ReleasedAt    time.Time // zero: it is in force
	ReleasedBy    string
	ReleaseReason string
}

// InForce reports whether the hold is not released.
func (h AuditHold) InForce() bool { return h.ReleasedAt.IsZero() }
