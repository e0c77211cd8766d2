package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// keepSessions is how long an expired session is remembered.
const keepSessions = 30 * 24 * time.Hour

// roleChanged is why the sessions of somebody end whose role has changed: what a
// browser may do does not grow, or shrink, behind an old cookie (ASVS 7.2.4).
const roleChanged = "the role in the tenant changed"

// Reasons of a session's end that pages tell apart.
const (
	ReasonSignedOut = "signed out"
	ReasonAnew      = "signed in anew"
)

// OpenSession opens a browser session for a principal that was established by
// an asserted identity or by the root token, just now unless how says when. The
// secret goes into the cookie and is not kept.
func (d *Directory) OpenSession(ctx context.Context, by tenure.Principal, how tenure.SignIn) (tenure.Session, tenure.Secret, error) {
	if err := access.Check(by, tenure.ViewPages); err != nil {
		return tenure.Session{}, tenure.Secret{}, err
	}
	origin := tenure.OriginOf(ctx)
	secret := tenure.NewSessionSecret()
	s := tenure.Session{
		Tenant: by.Tenant(), User: by.User(), UserName: by.Standing().UserName, SignIn: how,
		Address: origin.Address, UserAgent: tenure.Redact(origin.UserAgent[:min(len(origin.UserAgent), 255)]),
	}
	if by.Kind() == tenure.RootToken {
		s.Via, s.Token, s.OpenedBy = "root", by.Token(), by.Standing().Digest.String()
	}
	// The session that the request came with may have ended for this one.
	err := d.DB.Tx(tenure.WithoutAsker(ctx), func(ctx context.Context, tx *store.Tx) error {
		if how.AuthAt.IsZero() {
			s.AuthAt = tx.Now()
		}
		if err := stillStands(ctx, tx, s); err != nil {
			return err
		}
		policy, err := tx.Policy(ctx, s.Tenant)
		if err != nil {
			return err
		}
		s.ID, s.CreatedAt, s.SeenAt = tenure.SessionID(tenure.NewID(tx.Now())), tx.Now(), tx.Now()
		s.ExpiresAt = tx.Now().Add(min(d.SessionLife, policy.SessionLife))
		if s.User != "" {
			if s.Exception, err = letOff(ctx, tx, policy, s); err != nil {
				return err
			}
		}
		if err := tx.InsertSession(ctx, s, tenure.DigestOf(secret.Reveal())); err != nil {
			return err
		}
		if err := tx.TrimSessions(ctx, s.Tenant, s.User, policy.SessionLimit, tx.Now().Add(-keepSessions)); err != nil {
			return err
		}
		return tx.Append(ctx, audit.SignedIn(s))
	})
	if err != nil {
		return tenure.Session{}, tenure.Secret{}, fmt.Errorf("open session: %w", err)
	}
	d.Uses.NoteSession(s.ID, s.User, s.SeenAt)
	return s, secret, nil
}

// stillStands looks at what may have ended since it was looked up: the person and,
// while a provider took its time to answer, the connection and whose subject it is.
func stillStands(ctx context.Context, tx *store.Tx, s tenure.Session) error {
	if s.User == "" {
		return nil
	}
	if u, err := tx.User(ctx, s.Tenant, s.User); err != nil || !u.Active {
		return cmp.Or(unlessNotFound(err), error(tenure.ErrDeactivated))
	}
	if s.Connection == "" {
		return nil
	}
	if has, err := tx.SubjectOf(ctx, s.Tenant, s.User); err != nil || has.Issuer != s.Issuer || has.Subject != s.Subject {
		return cmp.Or(unlessNotFound(err), error(errOvertaken))
	}
	if s.Connection == tenure.BuiltinConnection {
		return nil
	}
	if _, err := tx.OIDCConnection(ctx, s.Tenant, s.Connection); err != nil {
		return cmp.Or(unlessNotFound(err), error(errOvertaken))
	}
	return nil
}

// unlessNotFound passes on any other error.
func unlessNotFound(err error) error {
	if tenure.IsKind(err, tenure.NotFound) {
		return nil
	}
	return err
}

// ResolveSession finds who presents a session cookie. Sessions are read from
// the database each time: there are few, and their end is immediate. asserted
// is who the trusted proxy asserts beside it, or nobody: where it is the session's
// own person, they have shown who they are just now, or when it says. What a page asks by
// itself is no use of the session: one that is left open does not keep it alive.
func (d *Directory) ResolveSession(ctx context.Context, presented string, asserted Asserted) (tenure.Principal, error) {
	if err := d.Live.Fresh(); err != nil {
		return tenure.Principal{}, err
	}
	generation := d.Live.Generation()
	s, err := d.DB.SessionStanding(ctx, tenure.DigestOf(presented))
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.Principal{}, tenure.ErrInvalidToken
	}
	if err != nil {
		return tenure.Principal{}, err
	}
	now := d.DB.Now()
	if now.Sub(s.SeenAt) <= d.idle(s) {
		asserted.refresh(s, now)
	}
	p, err := d.admitSession(ctx, s, now, generation)
	if err == nil {
		if err = d.Live.Stands(ctx, s); err != nil {
			return tenure.Principal{}, err
		}
	}
	if err != nil || tenure.OriginOf(ctx).Background {
		return p, err
	}
	if err := d.lapse(ctx, s, now); err != nil {
		return tenure.Principal{}, err
	}
	d.Uses.NoteSession(s.Session, s.User, now)
	return p, nil
}

// idle is how long a session may go unused: as the installation and the policy say.
func (d *Directory) idle(s *tenure.Standing) time.Duration { return min(d.SessionIdle, s.Limits.Idle) }

// admitSession is what every look at a session asks: that it was used lately, that
// it stands, and that what opened it does.
func (d *Directory) admitSession(ctx context.Context, s *tenure.Standing, now time.Time, generation uint64) (tenure.Principal, error) {
	if now.Sub(s.SeenAt) > d.idle(s) {
		return tenure.Principal{}, tenure.ErrInvalidToken
	}
	p, err := s.Admit(now, generation)
	if err == nil && s.User != "" {
		err = d.mustBeProvisioned(s.Source, s.UserName)
	}
	if err == nil && s.User == "" {
		err = d.RootStands(ctx, s.Digest)
	}
	if err != nil {
		return tenure.Principal{}, err
	}
	return p, nil
}

// refresh counts what a proxy asserts with a request of its person's session. A bare
// name is shown with that request; a signed one at the time that it tells.
func (a Asserted) refresh(s *tenure.Standing, now time.Time) {
	if !a.Is(s) {
		return
	}
	if s.Factor.Of == tenure.MFAAdmin { // of all: such a session is dead, and a new one opens
		s.Factor.Has = s.Factor.Has || a.How.Shows(s.Factor.Values)
	}
	switch at := a.How.AuthAt; {
	case at.IsZero():
		s.AuthAt, s.SeenAt, s.Lapsed = now, now, false
	case at.After(s.AuthAt):
		s.AuthAt = at
	}
}

// lapse notes the first use of a session after it was idle for too long to
// administer with: to use it again does not make it fresh.
func (d *Directory) lapse(ctx context.Context, s *tenure.Standing, now time.Time) error {
	if s.Lapsed || now.Sub(s.SeenAt) <= s.Limits.AdminIdle {
		return nil
	}
	return d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.LapseSession(ctx, s.Tenant, s.Session) })
}

// SessionLimits are what holds for sessions of the asker's tenant: the shorter of
// its policy and of what the installation sets, and how many one person may have.
func (d *Directory) SessionLimits(ctx context.Context, by tenure.Principal) (tenure.SessionLimits, int, error) {
	if err := access.Check(by, tenure.ListSession); err != nil {
		return tenure.SessionLimits{}, 0, err
	}
	p, err := d.DB.Policy(ctx, by.Tenant())
	return tenure.SessionLimits{
		Idle: min(p.SessionIdle, d.SessionIdle), Life: min(p.SessionLife, d.SessionLife), AdminIdle: p.AdminIdle, Reauth: p.Reauth,
	}, p.SessionLimit, err
}

// Sessions lists the open sessions of the person who asks; of the root token, those
// that it opened.
func (d *Directory) Sessions(ctx context.Context, by tenure.Principal) ([]tenure.Session, error) {
	if err := access.Check(by, tenure.ListSession); err != nil {
		return nil, err
	}
	if by.User() == "" && !by.IsRoot() {
		return []tenure.Session{}, nil
	}
	return d.openSessions(ctx, by.Tenant(), by.User())
}

// SessionsOf lists the open sessions of a person. NotFound: no such person in the
// tenant.
func (d *Directory) SessionsOf(ctx context.Context, by tenure.Principal, id tenure.UserID) ([]tenure.Session, error) {
	if err := access.Check(by, tenure.ListSessionsOf); err != nil {
		return nil, err
	}
	if _, err := d.DB.User(ctx, by.Tenant(), id); err != nil {
		return nil, err
	}
	return d.openSessions(ctx, by.Tenant(), id)
}

func (d *Directory) openSessions(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) ([]tenure.Session, error) {
	p, err := d.DB.Policy(ctx, tenant)
	if err != nil {
		return nil, err
	}
	now, life := d.DB.Now(), min(p.SessionLife, d.SessionLife)
	rows, err := d.DB.OpenSessions(ctx, tenant, user, now, now.Add(-min(p.SessionIdle, d.SessionIdle)), now.Add(-life))
	for i := range rows { // the policy may have become shorter since they were opened
		if end := rows[i].CreatedAt.Add(life); end.Before(rows[i].ExpiresAt) {
			rows[i].ExpiresAt = end
		}
	}
	// An exception may have ended since, or be out of force.
	return slices.DeleteFunc(rows, func(s tenure.Session) bool { return !s.ExpiresAt.After(now) }), err
}

// EndOtherSessions ends every session of the asker but the one that asks.
func (d *Directory) EndOtherSessions(ctx context.Context, by tenure.Principal, reason string) (tenure.Ended, error) {
	if err := access.Check(by, tenure.EndSession); err != nil {
		return tenure.Ended{}, err
	}
	if by.User() == "" && !by.IsRoot() {
		return tenure.Ended{}, nil
	}
	return d.endAll(ctx, by, by.User(), reason)
}

// EndSessionsOf ends every session of a person, whose tokens go on; where it is the
// asker, not the one that asks. NotFound: no such person in the tenant. Forbidden:
// they are of a higher role.
func (d *Directory) EndSessionsOf(ctx context.Context, by tenure.Principal, id tenure.UserID, reason string) (tenure.Ended, error) {
	if err := access.Check(by, tenure.EndSessionsOf); err != nil {
		return tenure.Ended{}, err
	}
	u, err := d.DB.User(ctx, by.Tenant(), id)
	if err == nil {
		err = access.Above(by, u.Role)
	}
	if err != nil {
		return tenure.Ended{}, err
	}
	return d.endAll(ctx, by, id, reason)
}

func (d *Directory) endAll(ctx context.Context, by tenure.Principal, user tenure.UserID, reason string) (tenure.Ended, error) {
	start := time.Now()
	var rows []tenure.Session
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		rows, err = endSessions(ctx, tx, by, by.Tenant(), user, by.Session(), reason)
		return err
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("end the sessions of %q: %w", user, err)
	}
	ended := tenure.Ended{Sessions: len(rows), Streams: d.cutSessions(rows)}
	ended.Took = time.Since(start)
	of := ""
	if len(rows) > 0 {
		of = rows[0].UserName
	}
	d.Live.Ended(by.Tenant(), tenure.Revocation{What: tenure.RevokedSession, ObjectID: string(user), Object: of, Actor: by.Label(), Ended: ended})
	return ended, nil
}

// endSessions ends in the transaction every session of a person but the one to
// keep, and tells the audit log of each. Those that are idle end too: a policy that
// is loosened later does not bring them back.
func endSessions(ctx context.Context, tx *store.Tx, by tenure.Principal, tenant tenure.TenantID, user tenure.UserID,
	keep tenure.SessionID, reason string,
) ([]tenure.Session, error) {
	rows, err := tx.OpenSessions(ctx, tenant, user, tx.Now(), time.Unix(0, 0), time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	var ended []tenure.Session
	for _, s := range rows {
		if s.ID == keep {
			continue
		}
		if _, err := tx.EndSession(ctx, tenant, s.ID, by.Label(), reason); err != nil {
			return nil, err
		}
		if err := tx.Append(ctx, audit.SessionEnded(by, s, reason)); err != nil {
			return nil, err
		}
		ended = append(ended, s)
	}
	return ended, nil
}

// cutSessions ends here what sessions carry that ended just now, and gives the
// number of streams.
func (d *Directory) cutSessions(rows []tenure.Session) int {
	n := 0
	for _, s := range rows {
		n += d.Live.Cut(store.Change{Kind: "session", ID: string(s.ID)}, live.Session(s.ID), tenure.ErrRevoked)
	}
	return n
}

// EndSession ends a session, the asker's own or, for an administrator, anybody's.
func (d *Directory) EndSession(ctx context.Context, by tenure.Principal, id tenure.SessionID, reason string) error {
	start := time.Now()
	var s tenure.Session
	var ended tenure.Ended
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		ended = tenure.Ended{}
		if s, err = tx.Session(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if by.Session() != id {
			if err := mayEnd(ctx, tx, by, s); err != nil {
				return err
			}
		}
		was, err := tx.EndSession(ctx, s.Tenant, id, by.Label(), reason)
		if err != nil || !was {
			return err
		}
		ended.Sessions = 1
		return tx.Append(ctx, audit.SessionEnded(by, s, reason))
	})
	if err != nil {
		return fmt.Errorf("end session %s: %w", id, err)
	}
	ended.Streams = d.Live.Cut(store.Change{Kind: "session", ID: string(id)}, live.Session(id), tenure.ErrRevoked)
	ended.Took = time.Since(start)
	d.Live.Ended(s.Tenant, tenure.Revocation{What: tenure.RevokedSession, ObjectID: string(id), Object: s.UserName, Actor: by.Label(), Ended: ended})
	return nil
}

// mayEnd judges the end of a session that is not the one that asks. One that the
// root token opened counts as a super admin's.
func mayEnd(ctx context.Context, tx *store.Tx, by tenure.Principal, s tenure.Session) error {
	if err := access.Owner(by, s.User, tenure.RevokeAll); err != nil || s.User != "" && s.User == by.User() {
		return err
	}
	role := tenure.SuperAdmin
	if s.User != "" {
		u, err := tx.User(ctx, s.Tenant, s.User)
		if err != nil && !tenure.IsKind(err, tenure.NotFound) {
			return err
		}
		role = u.Role
	}
	return access.Above(by, role)
}
