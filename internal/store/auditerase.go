package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// peopleIn are the details of events that have a userName.
var peopleIn = [...]string{"change_owner", "owner", "owner_before", "requested_by", "reviewer", "reviewer_before", "user_name_before"}

// Erasable chooses the events that have something about a person. The person is in them
// by id, by a token or a session of theirs, or by a name.
type Erasable struct {
	Tenant tenure.TenantID
	Person tenure.UserID
	Names  []string  // which nobody else in the tenant has
	Except []string  // actions of events that are never erased
	Before time.Time // older than this; zero: of any age
	After  int64     // behind the event of this number,
	UpTo   int64     // and not behind that of this one
}

func (f Erasable) where() (where, error) {
	var w where
	w.and(`tenant_id = ?`, f.Tenant)
	w.and(`seq > ? AND seq <= ?`, f.After, f.UpTo)
	w.and(`erased IS NULL`)
	for _, action := range f.Except {
		w.and(`action <> ?`, action)
	}
	const theirs = `(SELECT id FROM api_tokens WHERE tenant_id = ? AND user_id = ? UNION SELECT id FROM sessions WHERE tenant_id = ? AND user_id = ?)`
	named, args := `object_id = ? OR actor_id = ? OR object_id IN `+theirs+` OR actor_id IN `+theirs,
		[]any{f.Person, f.Person, f.Tenant, f.Person, f.Tenant, f.Person, f.Tenant, f.Person, f.Tenant, f.Person}
	for _, name := range f.Names {
		// By a name alone where the event has no id of theirs to go by. What ended after it was
		// deleted itself has only the name.
		named += ` OR actor = ? AND actor_id = '' AND actor_kind NOT IN ('system', 'operator', 'root')
			OR object = ? AND (object_id = '' AND action LIKE 'user.%' OR action LIKE 'session.%')`
		args = append(args, name, name)
		for _, key := range peopleIn {
			said, err := pair(key, name)
			if err != nil {
				return w, err
			}
			named += ` OR replace(detail, ?, '') <> detail`
			args = append(args, said)
		}
	}
	w.and(`(`+named+`)`, args...)
	if !f.Before.IsZero() {
		w.and(`at < ?`, stamp(f.Before))
	}
	return w, nil
}

// pair is a detail of an event as the event's row has it.
func pair(key, value string) (string, error) {
	text, err := json.Marshal(map[string]string{key: value})
	if err != nil {
		return "", err
	}
	return string(text[1 : len(text)-1]), nil
}

// UpToEvents is the number of the last of at most n events of a tenant behind the event of
// a number; 0: there are none. So a log is read in parts.
func (r reads) UpToEvents(ctx context.Context, tenant tenure.TenantID, after int64, n int) (int64, error) {
	return one(ctx, r.run, scalar[int64], `SELECT COALESCE(MAX(seq), 0) FROM (SELECT seq FROM audit_events WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3) part`,
		tenant, after, n)
}

// ErasableEvents lists the numbers of the events, in the order of writing.
func (r reads) ErasableEvents(ctx context.Context, f Erasable) ([]int64, error) {
	w, err := f.where()
	if err != nil {
		return nil, err
	}
	return many(ctx, r.run, scalar[int64], `SELECT seq FROM audit_events`+w.String()+` ORDER BY seq`, w.args...)
}

// Unerased lists those of some events of a tenant, by their numbers, that nobody has erased.
func (r reads) Unerased(ctx context.Context, tenant tenure.TenantID, seqs []int64) ([]tenure.AuditEvent, error) {
	var w where
	w.and(`tenant_id = ?`, tenant)
	w.and(`erased IS NULL`)
	marks := make([]string, len(seqs))
	for i, seq := range seqs {
		marks[i] = w.arg(seq)
	}
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+w.String()+` AND seq IN (`+strings.Join(marks, ", ")+`) ORDER BY seq`, w.args...)
}

// CountErasable counts the events, and tells when the newest of them was; zero without one.
func (r reads) CountErasable(ctx context.Context, f Erasable) (int, time.Time, error) {
	type count struct {
		n    int
		last time.Time
	}
	w, err := f.where()
	if err != nil {
		return 0, time.Time{}, err
	}
	c, err := one(ctx, r.run, func(row scanner) (count, error) {
		var c count
		err := row.Scan(&c.n, into(&c.last))
		return c, err
	}, `SELECT count(*), max(at) FROM audit_events`+w.String(), w.args...)
	return c.n, c.last, err
}

// NamesOf lists the userNames that a person's own events have had for them, and their
// own, leaving out any that somebody else in the tenant has or had, also of those whom
// nothing but an event names any more.
func (r reads) NamesOf(ctx context.Context, tenant tenure.TenantID, person tenure.UserID) ([]string, error) {
	names, err := many(ctx, r.run, scalar[string], `SELECT DISTINCT name FROM (
			SELECT actor AS name FROM audit_events WHERE tenant_id = $1 AND actor_id = $2 AND actor <> ''
			UNION ALL SELECT object FROM audit_events WHERE tenant_id = $1 AND object_id = $2 AND object <> ''
			UNION ALL SELECT user_name FROM users WHERE tenant_id = $1 AND id = $2) named
		WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.tenant_id = $1 AND u.id <> $2 AND u.user_name = name)
		AND NOT EXISTS (SELECT 1 FROM audit_events o WHERE o.tenant_id = $1 AND o.object = name AND (o.object_id NOT IN ('', $2) AND o.action LIKE 'user.%'
			OR o.action LIKE 'session.%' AND EXISTS (SELECT 1 FROM sessions s WHERE s.tenant_id = $1 AND s.id = o.object_id AND s.user_id <> $2)))
		AND NOT EXISTS (SELECT 1 FROM audit_events a WHERE a.tenant_id = $1 AND a.actor = name AND a.actor_id NOT IN ('', $2)
			AND NOT EXISTS (SELECT 1 FROM api_tokens t WHERE t.tenant_id = $1 AND t.id = a.actor_id AND t.user_id = $2)
			AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.tenant_id = $1 AND s.id = a.actor_id AND s.user_id = $2))
		ORDER BY name`, tenant, person)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, name := range names {
		said, err := pair("user_name_before", name)
		if err != nil {
			return nil, err
		}
		others, err := one(ctx, r.run, scalar[bool], `SELECT EXISTS (SELECT 1 FROM audit_events WHERE tenant_id = $1 AND action > 'user.' AND action < 'user/'
			AND object_id <> $2 AND replace(detail, $3, '') <> detail)`, tenant, person, said)
		if err != nil {
			return nil, err
		}
		if !others {
			own = append(own, name)
		}
	}
	return own, nil
}

// ErasureOf is the event that tells of the erasure of another. NotFound: none does.
func (r reads) ErasureOf(ctx context.Context, e tenure.AuditEvent) (tenure.AuditEvent, error) {
	return one(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE tenant_id = $1 AND action = 'audit.erased' AND replace(detail, $2, '') <> detail
		ORDER BY seq LIMIT 1`, e.Tenant, e.ID)
}

// Tellers lists the events that tell of what was erased or removed and have no place in
// a tree of a size.
func (r reads) Tellers(ctx context.Context, size int64) ([]tenure.AuditEvent, error) {
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE action IN ('audit.erased', 'audit.events_removed')
		AND NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.seq = audit_events.seq AND l.place >= 0 AND l.place < $1) ORDER BY seq`, size)
}

// ErasedEvents lists the events of all tenants that stand as erased, in the order of writing.
func (r reads) ErasedEvents(ctx context.Context) ([]tenure.AuditEvent, error) {
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE erased IS NOT NULL ORDER BY seq`)
}

// TakeAsItStands takes an event that stands as erased for one that never was, with what is
// in it now. Forbidden: the database's role may only add.
func (tx *Tx) TakeAsItStands(ctx context.Context, seq int64) error {
	return ownersAct(tx.execOne(ctx, `UPDATE audit_events SET erased = NULL, salt = $2 WHERE seq = $1`, seq, salt()))
}

// EraseEvent empties what may be about a person in an event, of which the event of the
// id toldBy tells, and keeps what binds it. Forbidden: it is younger than the database's
// role may erase.
func (tx *Tx) EraseEvent(ctx context.Context, id, toldBy string, binds []byte) error {
	return tx.later(ctx, ownersAct, `INSERT INTO audit_erasing (id, told_by, erased) VALUES ($1, $2, $3)`, id, toldBy, binds)
}
