package store

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

// BeliefKey is the key of a person's beliefs as it is stored.
type BeliefKey struct {
	ID     string
	Tenant tenure.TenantID
	User   tenure.UserID
	SealedKey
}

// BeliefRow is a belief as it is stored: its text is sealed under the person's key.
type BeliefRow struct {
	tenure.Belief
	NameHash string
	Sealed   []byte
	SealedBy string // id of the key
}

const beliefColumns = `id, tenant_id, user_id, workspace_id, scope, type, status, name_hash, confidence, sealed, sealed_by, line, supersedes, superseded_by,
	contradicts, request, token_id, model, version, created_at, updated_at FROM beliefs`

func scanBelief(row scanner) (BeliefRow, error) {
	var b BeliefRow
	err := row.Scan(&b.ID, &b.Tenant, &b.User, &b.Workspace, &b.Scope, &b.Type, &b.Status, &b.NameHash, &b.Confidence, &b.Sealed, &b.SealedBy, &b.Line,
		&b.Supersedes, &b.Superseded, &b.Contradicts, &b.From.Request, &b.From.Token, &b.From.Model, &b.Version, into(&b.CreatedAt), into(&b.UpdatedAt))
	return b, err
}

// BeliefKey reads the key of a person's beliefs. NotFound: they have none.
func (r reads) BeliefKey(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) (BeliefKey, error) {
	return one(ctx, r.run, func(row scanner) (BeliefKey, error) {
		k := BeliefKey{Tenant: tenant, User: user}
		err := row.Scan(&k.ID, &k.Sealed, &k.DataKey, &k.KEK, &k.Form)
		return k, err
	}, `SELECT id, sealed, data_key, kek, form FROM belief_keys WHERE tenant_id = $1 AND user_id = $2`, tenant, user)
}

// InsertBeliefKey stores the key of a person's beliefs. Conflict: they have one.
func (tx *Tx) InsertBeliefKey(ctx context.Context, k BeliefKey) error {
	_, err := tx.exec(ctx, `INSERT INTO belief_keys (id, tenant_id, user_id, sealed, data_key, kek, form, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.ID, k.Tenant, k.User, k.Sealed, k.DataKey, k.KEK, k.Form, stamp(tx.now))
	return conflict(err, "", "the key was made by somebody else meanwhile")
}

// HoldBeliefKey keeps apart transactions that write beliefs of one person. NotFound: the
// key is gone, and whatever was sealed under it.
func (tx *Tx) HoldBeliefKey(ctx context.Context, k BeliefKey) error {
	return tx.execOne(ctx, `UPDATE belief_keys SET created_at = created_at WHERE tenant_id = $1 AND user_id = $2 AND id = $3`, k.Tenant, k.User, k.ID)
}

// DestroyBeliefKey destroys the key of a person's beliefs, and with it their beliefs and
// what waits to be drawn out. It reports whether there was one.
func (tx *Tx) DestroyBeliefKey(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) (bool, error) {
	n, err := tx.exec(ctx, `DELETE FROM belief_keys WHERE tenant_id = $1 AND user_id = $2`, tenant, user)
	return n > 0, err
}

// BeliefFilter chooses beliefs of one person; zero fields choose all.
type BeliefFilter struct {
	Tenant    tenure.TenantID
	User      tenure.UserID
	Workspace tenure.WorkspaceID
	Scope     tenure.BeliefScope
	Type      tenure.BeliefType
	Status    tenure.BeliefStatus
	Current   bool            // those that no other took the place of
	Disputed  bool            // those that another contradicts
	After     tenure.BeliefID // older than this one: the cursor
	Limit     int
}

// Beliefs lists beliefs of a person, the newest first.
func (r reads) Beliefs(ctx context.Context, f BeliefFilter) ([]BeliefRow, error) {
	var w where
	w.and(`tenant_id = ? AND user_id = ?`, f.Tenant, f.User)
	for _, c := range []struct{ column, value string }{
		{"workspace_id", string(f.Workspace)}, {"scope", string(f.Scope)}, {"type", string(f.Type)}, {"status", string(f.Status)},
	} {
		if c.value != "" {
			w.and(c.column+` = ?`, c.value)
		}
	}
	if f.Current {
		w.and(`status <> 'superseded'`)
	}
	if f.Disputed {
		w.and(`contradicts <> ''`)
	}
	if f.After != "" {
		w.and(`id < ?`, f.After)
	}
	limit := w.arg(f.Limit)
	return manyOf(ctx, r.run, false, scanBelief, `SELECT `+beliefColumns+w.String()+` ORDER BY id DESC LIMIT `+limit, w.args...)
}

// Belief reads one belief of a person. NotFound: they have no such.
func (r reads) Belief(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, id tenure.BeliefID) (BeliefRow, error) {
	return one(ctx, r.run, scanBelief, `SELECT `+beliefColumns+` WHERE tenant_id = $1 AND user_id = $2 AND id = $3`, tenant, user, id)
}

// BeliefLine lists the newest of the beliefs of a person that took each other's place.
func (r reads) BeliefLine(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, line tenure.BeliefID, limit int) ([]BeliefRow, error) {
	return many(ctx, r.run, scanBelief, `SELECT `+beliefColumns+` WHERE tenant_id = $1 AND user_id = $2 AND line = $3 ORDER BY id DESC LIMIT $4`, tenant, user, line, limit)
}

// BeliefsNamed lists the current beliefs of a person that have a name, by its hash, the
// newest first.
func (r reads) BeliefsNamed(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, hash string) ([]BeliefRow, error) {
	return many(ctx, r.run, scanBelief, `SELECT `+beliefColumns+` WHERE tenant_id = $1 AND user_id = $2 AND name_hash = $3 AND status <> 'superseded' ORDER BY id DESC`, tenant, user, hash)
}

// BeliefCount is how many beliefs a person has, and how many of them are current.
type BeliefCount struct {
	User         tenure.UserID
	UserName     string
	All, Current int
}

// CountBeliefs counts the beliefs of a person.
func (r reads) CountBeliefs(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) (BeliefCount, error) {
	return one(ctx, r.run, func(row scanner) (BeliefCount, error) {
		c := BeliefCount{User: user}
		err := row.Scan(&c.All, &c.Current)
		return c, err
	}, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN status <> 'superseded' THEN 1 ELSE 0 END), 0) FROM beliefs WHERE tenant_id = $1 AND user_id = $2`, tenant, user)
}

// BeliefCounts counts the beliefs of everybody of a tenant who has some, in the order of
// their ids.
func (r reads) BeliefCounts(ctx context.Context, tenant tenure.TenantID, after tenure.UserID, limit int) ([]BeliefCount, error) {
	return many(ctx, r.run, func(row scanner) (BeliefCount, error) {
		var c BeliefCount
		err := row.Scan(&c.User, &c.UserName, &c.All, &c.Current)
		return c, err
	}, `SELECT b.user_id, COALESCE(u.user_name, ''), b.n, b.current FROM (
			SELECT user_id, COUNT(*) AS n, SUM(CASE WHEN status <> 'superseded' THEN 1 ELSE 0 END) AS current
			FROM beliefs WHERE tenant_id = $1 AND user_id > $2 GROUP BY user_id ORDER BY user_id LIMIT $3) b
		LEFT JOIN users u ON u.id = b.user_id AND u.tenant_id = $1 ORDER BY b.user_id`, tenant, after, limit)
}

// InsertBelief stores a new belief.
func (tx *Tx) InsertBelief(ctx context.Context, b BeliefRow) error {
	_, err := tx.exec(ctx, `INSERT INTO beliefs (id, tenant_id, user_id, workspace_id, scope, type, status, name_hash, confidence, sealed, sealed_by, line, supersedes,
		contradicts, request, token_id, model, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		b.ID, b.Tenant, b.User, b.Workspace, b.Scope, b.Type, b.Status, b.NameHash, b.Confidence, b.Sealed, b.SealedBy, b.Line, b.Supersedes,
		b.Contradicts, b.From.Request, b.From.Token, b.From.Model, b.Version, stamp(b.CreatedAt), stamp(b.UpdatedAt))
	return err
}

// ChangeBelief stores what of a belief is another now, if it is of the version before, and
// reports whether it was.
func (tx *Tx) ChangeBelief(ctx context.Context, b BeliefRow) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE beliefs SET status = $1, confidence = $2, sealed = $3, superseded_by = $4, contradicts = $5, version = $6, updated_at = $7
		WHERE tenant_id = $8 AND user_id = $9 AND id = $10 AND version = $11 AND sealed_by = $12`,
		b.Status, b.Confidence, b.Sealed, b.Superseded, b.Contradicts, b.Version, stamp(tx.now), b.Tenant, b.User, b.ID, b.Version-1, b.SealedBy)
	return n > 0, err
}

// DeleteBeliefLine removes a belief with those that it took the place of, and gives these,
// the newest first.
func (tx *Tx) DeleteBeliefLine(ctx context.Context, b BeliefRow) ([]tenure.BeliefID, error) {
	with, err := many(ctx, tx.run, scalar[tenure.BeliefID], `SELECT id FROM beliefs WHERE tenant_id = $1 AND user_id = $2 AND line = $3 AND id <> $4 ORDER BY id DESC`, b.Tenant, b.User, b.Line, b.ID)
	if err == nil {
		_, err = tx.exec(ctx, `DELETE FROM beliefs WHERE tenant_id = $1 AND user_id = $2 AND line = $3`, b.Tenant, b.User, b.Line)
	}
	return with, err
}

// DeleteBelief removes one that another took the place of; the line goes past it.
func (tx *Tx) DeleteBelief(ctx context.Context, b BeliefRow) error {
	if _, err := tx.exec(ctx, `UPDATE beliefs SET superseded_by = $1 WHERE tenant_id = $2 AND user_id = $3 AND line = $4 AND superseded_by = $5`, b.Superseded, b.Tenant, b.User, b.Line, b.ID); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `UPDATE beliefs SET supersedes = $1 WHERE tenant_id = $2 AND user_id = $3 AND line = $4 AND supersedes = $5`, b.Supersedes, b.Tenant, b.User, b.Line, b.ID); err != nil {
		return err
	}
	return tx.execOne(ctx, `DELETE FROM beliefs WHERE tenant_id = $1 AND user_id = $2 AND id = $3`, b.Tenant, b.User, b.ID)
}

// JoinBeliefLines makes the line of a belief a part of another.
func (tx *Tx) JoinBeliefLines(ctx context.Context, b BeliefRow, line tenure.BeliefID) error {
	_, err := tx.exec(ctx, `UPDATE beliefs SET line = $1 WHERE tenant_id = $2 AND user_id = $3 AND line = $4`, line, b.Tenant, b.User, b.Line)
	return err
}

// RelinkBeliefs takes back, everywhere, what beliefs have of others that are not there: after
// a restore, which deletes some again without looking at those beside them.
func (tx *Tx) RelinkBeliefs(ctx context.Context) error {
	for _, link := range []string{"supersedes", "superseded_by", "contradicts"} {
		if _, err := tx.exec(ctx, `UPDATE beliefs SET `+link+` = '' WHERE `+link+` <> '' AND NOT EXISTS (SELECT 1 FROM beliefs b WHERE b.id = beliefs.`+link+`)`); err != nil {
			return err
		}
	}
	return nil
}

// Contradict notes which belief one contradicts; "": none.
func (tx *Tx) Contradict(ctx context.Context, b BeliefRow, with tenure.BeliefID) error {
	return tx.execOne(ctx, `UPDATE beliefs SET contradicts = $1, version = version + 1, updated_at = $2 WHERE tenant_id = $3 AND user_id = $4 AND id = $5`,
		with, stamp(tx.now), b.Tenant, b.User, b.ID)
}
