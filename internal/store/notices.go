package store

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
)

const noticeColumns = `id, tenant_id, at, kind, severity, user_id, object_kind, object_id, object, message, dedupe, read_at, read_by, attempts FROM notices`

func scanNotice(row scanner) (tenure.Notice, error) {
	var n tenure.Notice
	err := row.Scan(&n.ID, &n.Tenant, into(&n.At), &n.Kind, &n.Severity, &n.User, &n.ObjectKind, &n.ObjectID, &n.Object, &n.Message,
		&n.Dedupe, into(&n.ReadAt), &n.ReadBy, &n.Attempts)
	return n, err
}

// NoticeFilter chooses notices of one tenant; zero fields choose all.
type NoticeFilter struct {
	Tenant tenure.TenantID
	User   tenure.UserID // those that concern this person
	Unread bool
	After  tenure.NoticeID // older than this one: the cursor
	Limit  int
}

// Notices lists notices, newest first.
func (r reads) Notices(ctx context.Context, f NoticeFilter) ([]tenure.Notice, error) {
	var w where
	w.and(`tenant_id = ?`, f.Tenant)
	if f.User != "" {
		w.and(`user_id = ? AND user_id <> ''`, f.User) // said for the index
	}
	if f.Unread {
		w.and(`read_at IS NULL`)
	}
	if f.After != "" {
		w.and(`id < ?`, f.After)
	}
	limit := w.arg(f.Limit)
	return many(ctx, r.run, scanNotice, `SELECT `+noticeColumns+w.String()+` ORDER BY id DESC LIMIT `+limit, w.args...)
}

// Notice reads one notice. NotFound: the tenant has no such notice.
func (r reads) Notice(ctx context.Context, tenant tenure.TenantID, id tenure.NoticeID) (tenure.Notice, error) {
	return one(ctx, r.run, scanNotice, `SELECT `+noticeColumns+` WHERE tenant_id = $1 AND id = $2`, tenant, id)
}

// Noticed reports whether a matter was told.
func (r reads) Noticed(ctx context.Context, tenant tenure.TenantID, dedupe string) (bool, error) {
	n, err := one(ctx, r.run, scalar[int], `SELECT count(*) FROM notices WHERE tenant_id = $1 AND dedupe = $2`, tenant, dedupe)
	return n > 0, err
}

// InsertNotice stores a notice, and reports whether its matter was new. The
// webhook owes it only if the tenant has one by then.
func (tx *Tx) InsertNotice(ctx context.Context, n tenure.Notice) (bool, error) {
	sent := n.At
	owed, err := one(ctx, tx.run, scalar[bool], `SELECT EXISTS (SELECT 1 FROM policies WHERE tenant_id = $1 AND key = 'webhook_url' AND value <> '')`, n.Tenant)
	if err != nil {
		return false, err
	}
	if owed {
		sent = time.Time{}
	}
	rows, err := tx.exec(ctx, `INSERT INTO notices (id, tenant_id, at, kind, severity, user_id, object_kind, object_id, object, message, dedupe, sent_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (tenant_id, dedupe) DO NOTHING`,
		n.ID, n.Tenant, stamp(n.At), n.Kind, n.Severity, n.User, n.ObjectKind, n.ObjectID, n.Object, n.Message, n.Dedupe, stamp(sent))
	return rows > 0, err
}

// ReadNotice marks a notice as read; the first reader stays. NotFound: the tenant
// has no such notice.
func (tx *Tx) ReadNotice(ctx context.Context, tenant tenure.TenantID, id tenure.NoticeID, by string) error {
	return tx.execOne(ctx, `UPDATE notices SET read_by = CASE WHEN read_at IS NULL THEN $1 ELSE read_by END, read_at = COALESCE(read_at, $2)
		WHERE tenant_id = $3 AND id = $4`, by, stamp(tx.now), tenant, id)
}

// NoticeTenants lists the tenants whose webhooks owe a notice by now.
func (r reads) NoticeTenants(ctx context.Context, now time.Time) ([]tenure.TenantID, error) {
	return many(ctx, r.run, scalar[tenure.TenantID], `SELECT DISTINCT tenant_id FROM notices WHERE sent_at IS NULL
		AND (next_try_at IS NULL OR next_try_at <= $1) ORDER BY tenant_id`, stamp(now))
}

// NoticesDue lists what a tenant's webhook owes by now, oldest first.
func (r reads) NoticesDue(ctx context.Context, tenant tenure.TenantID, now time.Time, limit int) ([]tenure.Notice, error) {
	return many(ctx, r.run, scanNotice, `SELECT `+noticeColumns+` WHERE tenant_id = $1 AND sent_at IS NULL
		AND (next_try_at IS NULL OR next_try_at <= $2) ORDER BY id LIMIT $3`, tenant, stamp(now), limit)
}

// ClaimNotice makes one process the one that sends a notice until an instant,
// and reports whether it is this one.
func (tx *Tx) ClaimNotice(ctx context.Context, n tenure.Notice, until time.Time) (bool, error) {
	rows, err := tx.exec(ctx, `UPDATE notices SET attempts = attempts + 1, next_try_at = $1
		WHERE tenant_id = $2 AND id = $3 AND sent_at IS NULL AND (next_try_at IS NULL OR next_try_at <= $4)`, stamp(until), n.Tenant, n.ID, stamp(tx.now))
	return rows > 0, err
}

// SettleNotice says that the webhook owes a notice no more.
func (tx *Tx) SettleNotice(ctx context.Context, n tenure.Notice) error {
	_, err := tx.exec(ctx, `UPDATE notices SET sent_at = $1, next_try_at = NULL WHERE tenant_id = $2 AND id = $3`, stamp(tx.now), n.Tenant, n.ID)
	return err
}

// PostponeNotices lets a webhook that failed rest: the notice that failed, and
// whatever else is due, waits until an instant.
func (tx *Tx) PostponeNotices(ctx context.Context, n tenure.Notice, until time.Time) error {
	_, err := tx.exec(ctx, `UPDATE notices SET next_try_at = $1 WHERE tenant_id = $2 AND sent_at IS NULL
		AND (id = $3 OR next_try_at IS NULL OR next_try_at <= $4)`, stamp(until), n.Tenant, n.ID, stamp(tx.now))
	return err
}

// DropNotices says that a tenant has no webhook any more to owe notices.
func (tx *Tx) DropNotices(ctx context.Context, tenant tenure.TenantID) error {
	_, err := tx.exec(ctx, `UPDATE notices SET sent_at = $1, next_try_at = NULL WHERE tenant_id = $2 AND sent_at IS NULL`, stamp(tx.now), tenant)
	return err
}

// WebhookSecret reads what a tenant's webhook signs with, as stored. NotFound:
// none was made.
func (r reads) WebhookSecret(ctx context.Context, tenant tenure.TenantID) (SealedKey, error) {
	return one(ctx, r.run, func(row scanner) (SealedKey, error) {
		var k SealedKey
		err := row.Scan(&k.Sealed, &k.DataKey, &k.KEK, &k.Form)
		return k, err
	}, `SELECT sealed, data_key, kek, form FROM webhook_secrets WHERE tenant_id = $1`, tenant)
}

// SetWebhookSecret stores what a tenant's webhook signs with; the one before is gone.
func (tx *Tx) SetWebhookSecret(ctx context.Context, tenant tenure.TenantID, k SealedKey, by string) error {
	_, err := tx.exec(ctx, `INSERT INTO webhook_secrets (tenant_id, sealed, data_key, kek, form, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant_id) DO UPDATE SET sealed = excluded.sealed, data_key = excluded.data_key, kek = excluded.kek, form = excluded.form, created_at = excluded.created_at, created_by = excluded.created_by`,
		tenant, k.Sealed, k.DataKey, k.KEK, k.Form, stamp(tx.now), by)
	return err
}
