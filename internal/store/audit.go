package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Append writes an audit event in the transaction of what it tells of. The
// event's time, and its id, the request id and address of ctx's origin where it has none,
// are filled in.
func (tx *Tx) Append(ctx context.Context, e tenure.AuditEvent) error {
	origin := tenure.OriginOf(ctx)
	if e.RequestID == "" {
		e.RequestID = origin.RequestID
	}
	if e.Address == "" {
		e.Address = origin.Address
	}
	detail := []byte("{}")
	if len(e.Detail) > 0 {
		var err error
		if detail, err = json.Marshal(e.Detail); err != nil {
			return err
		}
	}
	return tx.later(ctx, nil, `INSERT INTO audit_events (id, at, tenant_id, workspace_id, action, actor_kind, actor_id, actor,
		object_id, object, outcome, reason, request_id, address, detail, salt)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		cmp.Or(e.ID, tenure.NewID(tx.now)), stamp(tx.now), e.Tenant, e.Workspace, e.Action, e.ActorKind, e.ActorID, e.Actor,
		e.ObjectID, e.Object, e.Outcome, e.Reason, e.RequestID, e.Address, string(detail), salt())
}

const auditColumns = `seq, id, at, tenant_id, workspace_id, action, actor_kind, actor_id, actor, object_id, object, outcome, reason,
	request_id, address, detail, salt, erased FROM audit_events`

func scanAudit(row scanner) (tenure.AuditEvent, error) {
	var e tenure.AuditEvent
	var detail []byte
	err := row.Scan(&e.Seq, &e.ID, into(&e.At), &e.Tenant, &e.Workspace, &e.Action, &e.ActorKind, &e.ActorID, &e.Actor,
		&e.ObjectID, &e.Object, &e.Outcome, &e.Reason, &e.RequestID, &e.Address, &detail, &e.Salt, &e.Erased)
	if err == nil {
		e.Detail, err = detailOf(detail)
	}
	return e, err
}

func detailOf(text []byte) (map[string]string, error) {
	var detail map[string]string
	err := json.Unmarshal(text, &detail)
	return detail, err
}

// AuditFilter chooses audit events of one tenant; zero fields choose all.
type AuditFilter struct {
	Tenant    tenure.TenantID
	Actor     string // the id or the name of who did it
	Object    string // the id or the name of what it was done to
	Action    string // a whole action ("token.minted"), or its first words ("token")
	Workspace tenure.WorkspaceID
	RequestID string
	Person    tenure.UserID // who did it, or to whom or to whose token it was done
	Since     time.Time     // at or after
	Until     time.Time     // before
	After     string        // older than the event of this id: the cursor
	Limit     int
}

// AuditEvents lists audit events, newest first.
func (r reads) AuditEvents(ctx context.Context, f AuditFilter) ([]tenure.AuditEvent, error) {
	var w where
	w.and(`tenant_id = ?`, f.Tenant)
	if a := strings.TrimSuffix(f.Action, "."); a != "" {
		w.and(`(action = ? OR action > ? AND action < ?)`, a, a+".", a+"/") // "/" follows "."
	}
	if f.Workspace != "" {
		w.and(`workspace_id = ?`, f.Workspace)
	}
	if f.RequestID != "" {
		w.and(`request_id = ? AND request_id <> ''`, f.RequestID) // said for the index
	}
	if f.Person != "" { // each by its index, and the places in the log are few
		w.and(`seq IN (SELECT seq FROM audit_events WHERE tenant_id = ? AND object_id = ?
			UNION SELECT seq FROM audit_events WHERE tenant_id = ? AND actor_id = ?
			UNION SELECT e.seq FROM api_tokens t JOIN audit_events e ON e.tenant_id = t.tenant_id AND e.object_id = t.id WHERE t.tenant_id = ? AND t.user_id = ?)`,
			f.Tenant, f.Person, f.Tenant, f.Person, f.Tenant, f.Person)
	}
	if !f.Since.IsZero() {
		w.and(`at >= ?`, stamp(f.Since))
	}
	if !f.Until.IsZero() {
		w.and(`at < ?`, stamp(f.Until))
	}
	if f.After != "" {
		w.and(`seq < (SELECT seq FROM audit_events WHERE tenant_id = ? AND id = ?)`, f.Tenant, f.After)
	}
	limit := w.arg(f.Limit)
	// By id or by name: each reads a page by its own index.
	ways := []string{w.String()}
	either := func(id, name, value string) {
		if value == "" {
			return
		}
		arg := w.arg(value)
		var next []string
		for _, way := range ways {
			next = append(next, way+` AND `+id+` = `+arg, way+` AND `+name+` = `+arg)
		}
		ways = next
	}
	either("actor_id", "actor", f.Actor)
	either("object_id", "object", f.Object)
	if len(ways) == 1 {
		return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+ways[0]+` ORDER BY seq DESC LIMIT `+limit, w.args...)
	}
	for i, way := range ways {
		ways[i] = `SELECT seq FROM (SELECT seq FROM audit_events` + way + ` ORDER BY seq DESC LIMIT ` + limit + `) way` + strconv.Itoa(i)
	}
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE seq IN (`+strings.Join(ways, ` UNION `)+`) ORDER BY seq DESC LIMIT `+limit, w.args...)
}

// Activity lists what a person did, and what was done to them, to their tokens and
// to their sessions, newest first; older than the event with the id after. Each
// part is read by its own index and no further than it is shown.
func (r reads) Activity(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, after string, limit int) ([]tenure.AuditEvent, error) {
	before := int64(math.MaxInt64)
	if after != "" {
		at, err := one(ctx, r.run, scalar[int64], `SELECT seq FROM audit_events WHERE tenant_id = $1 AND id = $2`, tenant, after)
		switch {
		case errors.Is(err, tenure.ErrNotFound):
			return []tenure.AuditEvent{}, nil
		case err != nil:
			return nil, err
		}
		before = at
	}
	const newest = ` AND e.seq < $3 ORDER BY e.seq DESC LIMIT $4`
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE seq IN (
		SELECT seq FROM (SELECT e.seq FROM audit_events e WHERE e.tenant_id = $1 AND e.actor_id = $2`+newest+`) a
		UNION SELECT seq FROM (SELECT e.seq FROM audit_events e WHERE e.tenant_id = $1 AND e.object_id = $2`+newest+`) b
		UNION SELECT seq FROM (SELECT e.seq FROM api_tokens t JOIN audit_events e ON e.tenant_id = $1 AND e.object_id = t.id
			WHERE t.tenant_id = $1 AND t.user_id = $2`+newest+`) c
		UNION SELECT seq FROM (SELECT e.seq FROM sessions s JOIN audit_events e ON e.tenant_id = $1 AND e.object_id = s.id
			WHERE s.tenant_id = $1 AND s.user_id = $2`+newest+`) d
		) ORDER BY seq DESC LIMIT $4`, tenant, user, before, limit)
}

// FirstEvent is when the oldest audit event of a tenant was that is kept; zero
// when there is none.
func (r reads) FirstEvent(ctx context.Context, tenant tenure.TenantID) (time.Time, error) {
	at, err := one(ctx, r.run, func(row scanner) (time.Time, error) {
		var at time.Time
		err := row.Scan(into(&at))
		return at, err
	}, `SELECT at FROM audit_events WHERE tenant_id = $1 ORDER BY seq LIMIT 1`, tenant)
	if tenure.IsKind(err, tenure.NotFound) {
		err = nil
	}
	return at, err
}

// AuditTail lists the newest audit events of a tenant, newest first. action
// chooses one kind of event; "" chooses all.
func (r reads) AuditTail(ctx context.Context, tenant tenure.TenantID, action string, limit int) ([]tenure.AuditEvent, error) {
	return r.AuditEvents(ctx, AuditFilter{Tenant: tenant, Action: action, Limit: limit})
}

// CountEvents is how many audit events of one kind a tenant has since an instant,
// and when the last of them was; zero when there is none.
func (r reads) CountEvents(ctx context.Context, tenant tenure.TenantID, action string, since time.Time) (int, time.Time, error) {
	type count struct {
		n    int
		last time.Time
	}
	c, err := one(ctx, r.run, func(row scanner) (count, error) {
		var c count
		err := row.Scan(&c.n, into(&c.last))
		return c, err
	}, `SELECT count(*), max(at) FROM audit_events WHERE tenant_id = $1 AND action = $2 AND at > $3`, tenant, action, stamp(since))
	return c.n, c.last, err
}

// salt is what binds the personal part of an event to it.
func salt() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand never fails (Go 1.24 and later)
	return b
}
