package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

const sinkColumns = `id, tenant_id, name, everywhere, kind, address, format, ca, cert, header, cursor, signed, error, error_at, sent_at, attempts, next_try_at, paused,
	created_at, created_by FROM audit_sinks`

func scanSink(row scanner) (tenure.AuditSink, error) {
	var s tenure.AuditSink
	err := row.Scan(&s.ID, &s.Tenant, &s.Name, &s.Everywhere, &s.Kind, &s.Address, &s.Format, &s.CA, &s.Cert, &s.Header, &s.Cursor, &s.Signed, &s.Error, into(&s.ErrorAt),
		into(&s.SentAt), &s.Attempts, into(&s.NextTryAt), &s.Paused, into(&s.CreatedAt), &s.CreatedBy)
	return s, err
}

// AuditSinks lists the sinks of a tenant by name.
func (r reads) AuditSinks(ctx context.Context, tenant tenure.TenantID) ([]tenure.AuditSink, error) {
	return many(ctx, r.run, scanSink, `SELECT `+sinkColumns+` WHERE tenant_id = $1 ORDER BY name`, tenant)
}

// EveryAuditSink lists the sinks of all tenants.
func (r reads) EveryAuditSink(ctx context.Context) ([]tenure.AuditSink, error) {
	return many(ctx, r.run, scanSink, `SELECT `+sinkColumns+` ORDER BY tenant_id, name`)
}

// AuditSink reads a sink of a tenant. NotFound: there is none.
func (r reads) AuditSink(ctx context.Context, tenant tenure.TenantID, id tenure.SinkID) (tenure.AuditSink, error) {
	return one(ctx, r.run, scanSink, `SELECT `+sinkColumns+` WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// AuditSinkSecret reads the sealed secret of a sink; empty where it has none.
func (r reads) AuditSinkSecret(ctx context.Context, id tenure.SinkID) (SealedKey, error) {
	return one(ctx, r.run, func(row scanner) (SealedKey, error) {
		var k SealedKey
		err := row.Scan(&k.Sealed, &k.DataKey, &k.KEK, &k.Form)
		return k, err
	}, `SELECT sealed, data_key, kek, form FROM audit_sinks WHERE id = $1`, id)
}

// SlowestSink is the place before which every sink that gets a tenant's events, and is not
// paused, has everything, for whoever removes events: none from there on may go. Without a
// sink it is the size of the tree.
func (r reads) SlowestSink(ctx context.Context, tenant tenure.TenantID) (int64, error) {
	size, err := r.TreeSize(ctx)
	if err != nil {
		return 0, err
	}
	return one(ctx, r.run, scalar[int64], `SELECT COALESCE(MIN(cursor), $1) FROM audit_sinks WHERE paused = FALSE AND (tenant_id = $2 OR everywhere = TRUE)`, size, tenant)
}

// InsertAuditSink stores a new sink. Conflict: the name is taken.
func (tx *Tx) InsertAuditSink(ctx context.Context, s tenure.AuditSink, k SealedKey) error {
	_, err := tx.exec(ctx, `INSERT INTO audit_sinks (id, tenant_id, name, everywhere, kind, address, format, ca, cert, header, cursor, signed, created_at, created_by, sealed, data_key, kek, form)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		s.ID, s.Tenant, s.Name, s.Everywhere, s.Kind, s.Address, s.Format, s.CA, s.Cert, s.Header, s.Cursor, s.Signed, stamp(s.CreatedAt), s.CreatedBy,
		blob(k.Sealed), blob(k.DataKey), k.KEK, k.Form)
	return conflict(err, "name", "the name %q is taken", s.Name)
}

// blob is b, and never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// PauseAuditSink stops a sink, or lets it go on at once. NotFound: there is none.
func (tx *Tx) PauseAuditSink(ctx context.Context, tenant tenure.TenantID, id tenure.SinkID, paused bool) error {
	return tx.execOne(ctx, `UPDATE audit_sinks SET paused = $1, next_try_at = NULL WHERE tenant_id = $2 AND id = $3`, paused, tenant, id)
}

// RotateAuditSink gives a sink another sealed secret, and of syslog its certificate, has it
// tried at once, and reports whether it did: not where it has another one than was read.
func (tx *Tx) RotateAuditSink(ctx context.Context, s tenure.AuditSink, was, to SealedKey) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE audit_sinks SET sealed = $1, data_key = $2, kek = $3, form = $4, cert = $5, next_try_at = NULL
		WHERE tenant_id = $6 AND id = $7 AND sealed = $8`,
		blob(to.Sealed), blob(to.DataKey), to.KEK, to.Form, s.Cert, s.Tenant, s.ID, blob(was.Sealed))
	return n > 0, err
}

// DeleteAuditSink removes a sink. NotFound: there is none.
func (tx *Tx) DeleteAuditSink(ctx context.Context, tenant tenure.TenantID, id tenure.SinkID) error {
	return tx.execOne(ctx, `DELETE FROM audit_sinks WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// HoldAuditSink makes one process the one that sends for a sink until an instant, if it
// is due and still where it was read, and reports whether it is this one.
func (tx *Tx) HoldAuditSink(ctx context.Context, s tenure.AuditSink, holder string, until time.Time) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE audit_sinks SET holder = $1, lease_ends_at = $2 WHERE id = $3 AND cursor = $4 AND signed = $5 AND paused = FALSE
		AND (holder = $1 OR lease_ends_at IS NULL OR lease_ends_at <= $6) AND (next_try_at IS NULL OR next_try_at <= $6)`,
		holder, stamp(until), s.ID, s.Cursor, s.Signed, stamp(tx.now))
	return n > 0, err
}

// MoveAuditSink moves a sink from where it was read to where it has come, for whoever
// holds it, and reports whether it did: nobody sets it back. goesOn: it is not paused.
func (tx *Tx) MoveAuditSink(ctx context.Context, s tenure.AuditSink, holder string, cursor, signed int64, until time.Time) (moved, goesOn bool, err error) {
	n, err := tx.exec(ctx, `UPDATE audit_sinks SET cursor = $1, signed = $2, sent_at = $3, error = '', error_at = NULL, attempts = 0, next_try_at = NULL, lease_ends_at = $4
		WHERE id = $5 AND holder = $6 AND cursor = $7 AND signed = $8`,
		cursor, signed, stamp(s.SentAt), stamp(until), s.ID, holder, s.Cursor, s.Signed)
	if err != nil || n == 0 {
		return false, false, err
	}
	paused, err := one(ctx, tx.run, scalar[bool], `SELECT paused FROM audit_sinks WHERE id = $1`, s.ID)
	return true, !paused, err
}

// FailAuditSink notes why an attempt failed, and lets the sink rest until an instant.
func (tx *Tx) FailAuditSink(ctx context.Context, s tenure.AuditSink, holder, why string, until time.Time) error {
	_, err := tx.exec(ctx, `UPDATE audit_sinks SET error = $1, error_at = $2, attempts = attempts + 1, next_try_at = $3, holder = '', lease_ends_at = NULL
		WHERE id = $4 AND holder = $5 AND cursor = $6`, why, stamp(tx.now), stamp(until), s.ID, holder, s.Cursor)
	return err
}

// LeaveAuditSink lets another process send.
func (tx *Tx) LeaveAuditSink(ctx context.Context, id tenure.SinkID, holder string) error {
	_, err := tx.exec(ctx, `UPDATE audit_sinks SET holder = '', lease_ends_at = NULL WHERE id = $1 AND holder = $2`, id, holder)
	return err
}
