package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A Moment is one state of a database, held still while others write, and read as the
// database is. Of PostgreSQL no row is read that the context's reach does not have, but by
// EachOfAll. It is used by one goroutine, for one query at a time, and must be closed.
type Moment struct {
	reads
	At   time.Time
	held stilled
}

// Moment holds the present state of the database.
func (db *DB) Moment(ctx context.Context) (*Moment, error) {
	h, err := db.engine.still(ctx)
	if err != nil {
		return nil, err
	}
	return &Moment{reads: reads{run: h.run}, At: db.Now().UTC(), held: h}, nil
}

// stilled is a state that is held still.
type stilled struct {
	run   runner
	reach func(ctx context.Context, to string) error // says whose rows are read from now on
	end   func() error
}

// Close lets the state go.
func (m *Moment) Close() error { return m.held.end() }

// PersonHeld is a person with what they hold.
type PersonHeld struct {
	Person
	Tokens   int       // that live
	Sessions int       // that are open
	Accounts int       // service accounts that they answer for
	EndedAt  time.Time // when the last of their tokens and sessions was ended; zero: none was
}

// EachPerson gives everybody whom a tenant knows or knew, in the order of their ids, with
// what they hold at the instant of the moment.
func (m *Moment) EachPerson(ctx context.Context, tenant tenure.TenantID, row func(PersonHeld) error) error {
	return m.run.each(ctx, false, func(r scanner) error {
		var p PersonHeld
		var tokens, sessions time.Time
		err := r.Scan(&p.ID, &p.UserName, &p.DisplayName, &p.Active, &p.Role, &p.Source, into(&p.CreatedAt), into(&p.DeactivatedAt),
			into(&p.LastSeenAt), into(&p.DeletedAt), &p.Tokens, &p.Sessions, &p.Accounts, into(&tokens), into(&sessions))
		if err != nil {
			return err
		}
		if p.Tenant, p.EndedAt = tenant, tokens; sessions.After(tokens) {
			p.EndedAt = sessions
		}
		return row(p)
	}, `SELECT u.id, u.user_name, u.display_name, u.active, u.role, u.source, u.created_at, u.deactivated_at, u.last_seen_at, u.deleted_at,
		COALESCE(t.live, 0), COALESCE(s.open, 0), COALESCE(a.held, 0), t.ended_at, s.ended_at
		FROM users u
		LEFT JOIN (SELECT t.user_id, SUM(CASE WHEN `+tokenLives("$2", "$3")+` THEN 1 ELSE 0 END) AS live, MAX(t.revoked_at) AS ended_at
			FROM api_tokens t WHERE t.tenant_id = $1 AND t.user_id <> '' GROUP BY t.user_id) t ON t.user_id = u.id
		LEFT JOIN (SELECT user_id, SUM(CASE WHEN ended_at IS NULL AND expires_at > $2 THEN 1 ELSE 0 END) AS open, MAX(ended_at) AS ended_at
			FROM sessions WHERE tenant_id = $1 GROUP BY user_id) s ON s.user_id = u.id
		LEFT JOIN (SELECT owner_user_id, COUNT(*) AS held
			FROM service_accounts WHERE tenant_id = $1 AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > $2) GROUP BY owner_user_id) a ON a.owner_user_id = u.id
		WHERE u.tenant_id = $1 ORDER BY u.id`, tenant, stamp(m.At), longestBefore(m.At))
}

// EachToken gives every token that a tenant has or had, in the order of their ids.
func (m *Moment) EachToken(ctx context.Context, tenant tenure.TenantID, row func(tenure.Token) error) error {
	return m.run.each(ctx, false, func(r scanner) error {
		t, err := scanToken(r)
		if err != nil {
			return err
		}
		return row(t)
	}, `SELECT `+tokenColumns+` WHERE t.tenant_id = $1 ORDER BY t.id`, tenant)
}

// EventsOf chooses audit events of a tenant, from an instant on and before another. Where
// actions, kinds or refusals are named, an event is one of those.
type EventsOf struct {
	Tenant   tenure.TenantID
	From, To time.Time
	Actions  []string // whole, or, ending with a dot, what they begin with
	Kinds    []string // of actors
	Refused  bool     // what was refused
}

// EachEvent gives audit events, the oldest first.
func (m *Moment) EachEvent(ctx context.Context, f EventsOf, row func(tenure.AuditEvent) error) error {
	var w where
	w.and(`tenant_id = ?`, f.Tenant)
	w.and(`at >= ?`, stamp(f.From))
	w.and(`at < ?`, stamp(f.To))
	var ways []string
	for _, a := range f.Actions {
		if begin, ok := strings.CutSuffix(a, "."); ok {
			ways = append(ways, `action > `+w.arg(a)+` AND action < `+w.arg(begin+"/")) // "/" follows "."
			continue
		}
		ways = append(ways, `action = `+w.arg(a))
	}
	for _, k := range f.Kinds {
		ways = append(ways, `actor_kind = `+w.arg(k))
	}
	if f.Refused {
		ways = append(ways, `outcome = 'refused'`)
	}
	query := w.String()
	if len(ways) > 0 {
		query += ` AND (` + strings.Join(ways, ` OR `) + `)`
	}
	return m.run.each(ctx, false, func(r scanner) error {
		e, err := scanAudit(r)
		if err != nil {
			return err
		}
		return row(e)
	}, `SELECT `+auditColumns+query+` ORDER BY seq`, w.args...)
}

// PlacesAround tells between which places of a tree of a size the audit events of a tenant
// are, or were, that are from an instant to another: from the first on, and before the end.
// What is beside them is older or younger than any of them by slack, so that one that was
// deleted, or moved out of the period, was between.
func (m *Moment) PlacesAround(ctx context.Context, tenant tenure.TenantID, from, to time.Time, slack time.Duration, size int64) (first, end int64, err error) {
	err = m.ofAll(ctx, func() error {
		const at = ` FROM audit_leaves l JOIN audit_events e ON e.seq = l.seq WHERE l.place >= 0 AND l.place < $1 AND `
		return m.run.each(ctx, false, func(r scanner) error { return r.Scan(&first, &end) }, `SELECT
			(SELECT COALESCE(MIN(place), 0) FROM (SELECT MIN(l.place) AS place`+at+`e.tenant_id = $2 AND e.at >= $3 AND e.at < $4
				UNION ALL SELECT COALESCE((SELECT l.place`+at+`e.at < $5 ORDER BY l.place DESC LIMIT 1), 0)) a),
			(SELECT COALESCE(MAX(place), 0) FROM (SELECT MAX(l.place) + 1 AS place`+at+`e.tenant_id = $2 AND e.at >= $3 AND e.at < $4
				UNION ALL SELECT COALESCE((SELECT l.place + 1`+at+`e.at >= $6 ORDER BY l.place LIMIT 1), $1)) b)`,
			size, tenant, stamp(from), stamp(to), stamp(from.Add(-slack)), stamp(to.Add(slack)))
	})
	return first, end, err
}

// EachPlace gives the places of the tree from first on and before end, in their order,
// each with its event where that is a tenant's, from an instant to another.
func (m *Moment) EachPlace(ctx context.Context, tenant tenure.TenantID, from, to time.Time, first, end int64, row func(Placed) error) error {
	return m.places(ctx, row, ` AND e.tenant_id = $3 AND e.at >= $4 AND e.at < $5`, first, end, tenant, stamp(from), stamp(to))
}

// EachOfAll gives the places of the tree from first on and before end, in their order,
// each with its event, whichever tenant's that is.
func (m *Moment) EachOfAll(ctx context.Context, first, end int64, row func(Placed) error) error {
	return m.ofAll(ctx, func() error { return m.places(ctx, row, ``, first, end) })
}

// AllTellers lists the events that tell of what was erased or removed, of every tenant.
func (m *Moment) AllTellers(ctx context.Context) (out []tenure.AuditEvent, err error) {
	err = m.ofAll(ctx, func() error {
		out, err = m.Tellers(ctx, 0)
		return err
	})
	return out, err
}

// ofAll lets what is read be of every tenant until act is done.
func (m *Moment) ofAll(ctx context.Context, act func() error) error {
	err := m.held.reach(ctx, tenure.Everyone)
	if err == nil {
		err = act()
	}
	return errors.Join(err, m.held.reach(ctx, tenure.ReachOf(ctx)))
}

func (m *Moment) places(ctx context.Context, row func(Placed) error, of string, args ...any) error {
	return m.run.each(ctx, false, func(r scanner) error {
		p, err := scanPlaced(r)
		if err != nil {
			return err
		}
		return row(p)
	}, placedColumns+` FROM audit_leaves l LEFT JOIN audit_events e ON e.seq = l.seq`+of+` WHERE l.place >= $1 AND l.place < $2 ORDER BY l.place`, args...)
}

// EachUnplaced gives the audit events of a tenant from an instant to another that have no
// place in the tree before size, the oldest first.
func (m *Moment) EachUnplaced(ctx context.Context, tenant tenure.TenantID, from, to time.Time, size int64, row func(tenure.AuditEvent) error) error {
	return m.run.each(ctx, false, func(r scanner) error {
		e, err := scanAudit(r)
		if err != nil {
			return err
		}
		return row(e)
	}, `SELECT `+auditColumns+` WHERE tenant_id = $1 AND at >= $2 AND at < $3
		AND NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.seq = audit_events.seq AND l.place < $4) ORDER BY seq`, tenant, stamp(from), stamp(to), size)
}

// AccountOwners tells who answers for each service account of a tenant that has not ended.
func (m *Moment) AccountOwners(ctx context.Context, tenant tenure.TenantID) (map[tenure.ServiceAccountID]tenure.UserID, error) {
	out := map[tenure.ServiceAccountID]tenure.UserID{}
	err := m.run.each(ctx, false, func(r scanner) error {
		var id tenure.ServiceAccountID
		var owner tenure.UserID
		err := r.Scan(&id, &owner)
		out[id] = owner
		return err
	}, `SELECT id, owner_user_id FROM service_accounts WHERE tenant_id = $1 AND ended_at IS NULL AND orphaned_at IS NULL`, tenant)
	return out, err
}

// EachProviderKey gives every version of every provider's key of a tenant, with the name
// of the provider; of what is sealed, nothing.
func (m *Moment) EachProviderKey(ctx context.Context, tenant tenure.TenantID, row func(provider string, k tenure.ProviderKey) error) error {
	return m.run.each(ctx, false, func(r scanner) error {
		var k tenure.ProviderKey
		var provider string
		if err := r.Scan(&k.ID, &provider, &k.Name, &k.Version, &k.State, &k.Reference, &k.CreatedBy, into(&k.CreatedAt), into(&k.RetiredAt)); err != nil {
			return err
		}
		return row(provider, k)
	}, `SELECT k.id, p.name, k.name, k.version, k.state, k.reference, k.created_by, k.created_at, k.retired_at
		FROM provider_keys k JOIN provider_credentials p ON p.id = k.provider_id WHERE p.tenant_id = $1 ORDER BY p.name, k.name, k.version, k.id`, tenant)
}
