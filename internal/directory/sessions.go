package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Bounds of the sessions of one person.
const (
	maxSessions  = 20                  // open at once; opening one more ends the oldest
	keepSessions = 30 * 24 * time.Hour // how long an expired one is remembered
)

// OpenSession opens a browser session for a principal that was established by
// an asserted identity or by the root token. The secret goes into the cookie
// and is not kept.
func (d *Directory) OpenSession(ctx context.Context, by tenure.Principal) (tenure.Session, tenure.Secret, error) {
	if err := access.Check(by, tenure.ViewPages); err != nil {
		return tenure.Session{}, tenure.Secret{}, err
	}
	origin := tenure.OriginOf(ctx)
	secret := tenure.NewSessionSecret()
	s := tenure.Session{
		Tenant: by.Tenant(), User: by.User(), UserName: by.Standing().UserName, Via: "proxy",
		Address: origin.Address, UserAgent: tenure.Redact(origin.UserAgent[:min(len(origin.UserAgent), 255)]),
	}
	if by.Kind() == tenure.RootToken {
		s.Via, s.Token, s.OpenedBy = "root", by.Token(), by.Standing().Digest.String()
	}
	// The session that the request came with may have ended for this one.
	err := d.DB.Tx(tenure.WithoutAsker(ctx), func(ctx context.Context, tx *store.Tx) error {
		if s.User != "" { // the person may have gone since they were looked up
			if u, err := tx.User(ctx, s.Tenant, s.User); err != nil || !u.Active {
				return tenure.ErrDeactivated
			}
		}
		s.ID, s.CreatedAt, s.SeenAt = tenure.SessionID(tenure.NewID(tx.Now())), tx.Now(), tx.Now()
		s.ExpiresAt = tx.Now().Add(d.SessionLife)
		if err := tx.InsertSession(ctx, s, tenure.DigestOf(secret.Reveal())); err != nil {
			return err
		}
		if err := tx.TrimSessions(ctx, s.Tenant, s.User, maxSessions, tx.Now().Add(-keepSessions)); err != nil {
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

// ResolveSession finds who presents a session cookie. Sessions are read from
// the database each time: there are few, and their end is immediate. asserted
// is who the trusted proxy asserts beside it, or nobody: where it is the session's
// own person, they have just shown who they are.
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
	if now.Sub(s.SeenAt) > d.SessionIdle {
		return tenure.Principal{}, tenure.ErrInvalidToken
	}
	if asserted.Is(s) {
		s.AuthAt, s.SeenAt, s.Lapsed = now, now, false
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
	if err := d.lapse(ctx, s, now); err != nil {
		return tenure.Principal{}, err
	}
	d.Uses.NoteSession(s.Session, s.User, now)
	return p, nil
}

// lapse notes the first use of a session after it was idle for too long to
// administer with: to use it again does not make it fresh.
func (d *Directory) lapse(ctx context.Context, s *tenure.Standing, now time.Time) error {
	if s.Lapsed || now.Sub(s.SeenAt) <= access.AdminIdle {
		return nil
	}
	return d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.LapseSession(ctx, s.Tenant, s.Session) })
}

// Sessions lists the open sessions of the person who asks.
func (d *Directory) Sessions(ctx context.Context, by tenure.Principal) ([]tenure.Session, error) {
	if err := access.Check(by, tenure.ListSession); err != nil {
		return nil, err
	}
	if by.User() == "" {
		return []tenure.Session{}, nil
	}
	now := d.DB.Now()
	return d.DB.OpenSessions(ctx, by.Tenant(), by.User(), now, now.Add(-d.SessionIdle))
}

// EndSession ends a session, the asker's own or, for an administrator, anybody's.
func (d *Directory) EndSession(ctx context.Context, by tenure.Principal, id tenure.SessionID, reason string) error {
	start := time.Now()
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		s, err := tx.Session(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		if by.Session() != id {
			if err := access.Owner(by, s.User, tenure.RevokeAll); err != nil {
				return err
			}
		}
		was, err := tx.EndSession(ctx, s.Tenant, id, by.Label(), reason)
		if err != nil || !was {
			return err
		}
		return tx.Append(ctx, audit.SessionEnded(by, s, reason))
	})
	if err != nil {
		return fmt.Errorf("end session %s: %w", id, err)
	}
	d.Live.Cut(store.Change{Kind: "session", ID: string(id)}, live.Session(id), tenure.ErrRevoked)
	d.Live.Took(time.Since(start))
	return nil
}
