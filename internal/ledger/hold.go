package ledger

import (
	"context"
	"fmt"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Retention tells how long the events of the asker's tenant are kept, what was removed, and
// under which legal holds it is, or was.
func (l *Ledger) Retention(ctx context.Context, by tenure.Principal) (Retention, error) {
	if err := access.Check(by, tenure.ListHolds); err != nil {
		return Retention{}, err
	}
	p, err := l.DB.Policy(ctx, by.Tenant())
	if err != nil {
		return Retention{}, err
	}
	r := Retention{Keep: p.AuditRetention}
	if r.Since, err = l.DB.FirstEvent(ctx, by.Tenant()); err != nil {
		return r, err
	}
	if r.Removals, err = l.DB.AuditTail(ctx, by.Tenant(), audit.Removed, removalsShown); err != nil {
		return r, err
	}
	r.Holds, err = l.DB.AuditHolds(ctx, by.Tenant())
	return r, err
}

// Holds lists the legal holds of the asker's tenant, the newest first.
func (l *Ledger) Holds(ctx context.Context, by tenure.Principal) ([]tenure.AuditHold, error) {
	if err := access.Check(by, tenure.ListHolds); err != nil {
		return nil, err
	}
	return l.DB.AuditHolds(ctx, by.Tenant())
}

// Hold is a legal hold of the asker's tenant. NotFound: there is none of this id.
func (l *Ledger) Hold(ctx context.Context, by tenure.Principal, id tenure.HoldID) (tenure.AuditHold, error) {
	if err := access.Check(by, tenure.ListHolds); err != nil {
		return tenure.AuditHold{}, err
	}
	return l.DB.AuditHold(ctx, by.Tenant(), id)
}

// PlaceHold keeps everything that the audit log of the asker's tenant has, until the hold
// is released. Invalid: no matter.
func (l *Ledger) PlaceHold(ctx context.Context, by tenure.Principal, matter string) (tenure.AuditHold, error) {
	if err := access.Check(by, tenure.PlaceHold); err != nil {
		return tenure.AuditHold{}, err
	}
	if matter = strings.TrimSpace(matter); matter == "" {
		return tenure.AuditHold{}, tenure.InvalidField("matter", "say what the hold is for: the audit log tells it for ever")
	}
	if err := tenure.CheckText("matter", matter); err != nil {
		return tenure.AuditHold{}, err
	}
	h := tenure.AuditHold{ID: tenure.HoldID(tenure.NewID(l.DB.Now())), Tenant: by.Tenant(), Matter: matter, PlacedBy: by.Label()}
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		h.PlacedAt = tx.Now()
		if err := tx.PlaceAuditHold(ctx, h); err != nil {
			return err
		}
		return tx.Append(ctx, audit.HoldBegun(by, h))
	})
	return h, err
}

// ReleaseHold ends a legal hold. NotFound: there is none of this id. Conflict: it is
// released already. Invalid: no reason.
func (l *Ledger) ReleaseHold(ctx context.Context, by tenure.Principal, id tenure.HoldID, reason string) (tenure.AuditHold, error) {
	if err := access.Check(by, tenure.ReleaseHold); err != nil {
		return tenure.AuditHold{}, err
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		return tenure.AuditHold{}, tenure.InvalidField("reason", "a reason is needed: the audit log tells it for ever")
	}
	if err := tenure.CheckText("reason", reason); err != nil {
		return tenure.AuditHold{}, err
	}
	var h tenure.AuditHold
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if h, err = tx.AuditHold(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if !h.InForce() {
			return &tenure.Error{Kind: tenure.Conflict, Code: "audit_hold_released", Msg: "the legal hold is released already"}
		}
		h.ReleasedAt, h.ReleasedBy, h.ReleaseReason = tx.Now(), by.Label(), reason
		if err := tx.Append(ctx, audit.HoldEnded(by, h)); err != nil { // before it, as the database asks
			return err
		}
		return tx.ReleaseAuditHold(ctx, h)
	})
	return h, err
}

// unheld answers Conflict while a legal hold of a tenant is in force.
func unheld(ctx context.Context, read interface {
	HoldInForce(context.Context, tenure.TenantID) (tenure.AuditHold, error)
}, tenant tenure.TenantID,
) error {
	h, err := read.HoldInForce(ctx, tenant)
	if err != nil {
		return ignoreMissing(err)
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "audit_held",
		Msg: fmt.Sprintf("the legal hold %s (%s) is in force: nothing of the audit log is erased or removed until it is released", h.ID, h.Matter),
	}
}
