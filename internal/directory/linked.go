package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// errOtherSubject keeps whoever came by somebody's userName, at the provider or
// by another one, from coming by their account.
var errOtherSubject = &tenure.Error{
	Kind: tenure.Forbidden, Code: "subject_mismatch",
	Msg: "this userName belongs to an account that another identity signs in to; if you are the same person, an administrator can unlink the account",
}

// errGuarded keeps a provider from coming by an administrator's account by nothing
// but its name.
var errGuarded = &tenure.Error{
	Kind: tenure.Forbidden, Code: "link_refused",
	Msg: "this account administers, and no identity was linked to it yet; an administrator can let the next sign-in by its userName be taken for it: tenure user unlink",
}

// errOvertaken is the answer to a sign-in during which an administrator deleted the
// connection, or unlinked the person.
var errOvertaken = &tenure.Error{
	Kind: tenure.Forbidden, Code: "signin_refused",
	Msg: "while you signed in, an administrator ended the way by which you came; start again",
}

// ToldSingly reports whether a refusal of JoinSubject has an audit event of its own.
func ToldSingly(err error) bool { return errors.Is(err, errOtherSubject) || errors.Is(err, errGuarded) }

// errUsed is the answer to what may be used once only.
var errUsed = &tenure.Error{
	Kind: tenure.Invalid, Code: "already_used",
	Msg: "this was used before",
}

// JoinSubject finds the person who is a provider's subject, and makes them known
// at first sight: by name, whoever has it and was never linked, else somebody new.
// From then on the subject is the person, whatever the provider says their name is.
// The caller has verified what the provider says. Forbidden: deactivated, deleted,
// unknown while RequireSCIM holds, the name is that of another subject, or the sign-in is
// without the second factor that the policy asks of all.
func (d *Directory) JoinSubject(ctx context.Context, tenant tenure.TenantID, name string, how tenure.SignIn) (tenure.Principal, error) {
	s := store.Subject{Issuer: how.Issuer, Subject: how.Subject}
	u, err := d.linked(ctx, tenant, s)
	if tenure.IsKind(err, tenure.NotFound) {
		u, err = d.link(ctx, tenant, name, how)
	}
	if ToldSingly(err) {
		err = cmp.Or(d.tellRefused(ctx, u, s, err), err)
	}
	if err != nil {
		return tenure.Principal{}, err
	}
	return d.enter(ctx, u, how)
}

// linked gives the living person who is a subject.
func (d *Directory) linked(ctx context.Context, tenant tenure.TenantID, s store.Subject) (tenure.User, error) {
	id, err := d.DB.UserBySubject(ctx, tenant, s.Issuer, s.Subject)
	if err != nil {
		return tenure.User{}, err
	}
	return d.DB.User(ctx, tenant, id)
}

// link takes a subject for the person of that name from now on.
func (d *Directory) link(ctx context.Context, tenant tenure.TenantID, name string, how tenure.SignIn) (tenure.User, error) {
	if err := checkUserName(name); err != nil {
		return tenure.User{}, err
	}
	var u tenure.User
	s := store.Subject{Issuer: how.Issuer, Subject: how.Subject}
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		u, err = tx.UserByName(ctx, tenant, name)
		switch {
		case tenure.IsKind(err, tenure.NotFound):
			if u, err = d.unknown(ctx, tx, tenant, name, how); err != nil {
				return err
			}
		case err != nil:
			return err
		case !u.Active:
			return tenure.ErrDeactivated // what nobody could sign in to is nobody's to claim
		default:
			if done, err := d.claim(ctx, tx, u, s); err != nil || done {
				return err
			}
			if err := mustShow(ctx, tx, tenant, u.ID, how); err != nil {
				return err
			}
		}
		s.User = u.ID
		if err := tx.Link(ctx, tenant, s); err != nil {
			return err
		}
		return tx.Append(ctx, audit.UserLinked(u, s.Issuer, s.Subject))
	})
	return u, err
}

// claim judges whether a subject is taken for a living person of its name. done
// tells that it is already.
func (d *Directory) claim(ctx context.Context, tx *store.Tx, u tenure.User, s store.Subject) (done bool, err error) {
	if err := d.mustBeProvisioned(u.Source, u.UserName); err != nil {
		return false, err
	}
	has, err := tx.SubjectOf(ctx, u.Tenant, u.ID)
	open := err == nil && has.Issuer == "" // an administrator said that the next one is it
	switch {
	case err != nil && !tenure.IsKind(err, tenure.NotFound):
		return false, err
	case err == nil && has.Issuer == s.Issuer && has.Subject == s.Subject:
		return true, nil // a sign-in at the same time was quicker
	case err == nil && !open:
		return false, errOtherSubject
	case !open && u.Source != tenure.SourceSCIM && (u.Role != tenure.Member || d.isAdmin(u.Tenant, u.UserName)):
		return false, errGuarded
	}
	before, err := tx.UserBySubject(ctx, u.Tenant, s.Issuer, s.Subject)
	if err == nil { // it was somebody who was deleted: only the same name brings them back
		var was string
		if was, err = tx.DeletedName(ctx, u.Tenant, before); err == nil && was != tenure.FoldUserName(u.UserName) {
			return false, tenure.ErrDeleted
		}
	}
	if tenure.IsKind(err, tenure.NotFound) {
		err = nil
	}
	return false, err
}

// tellRefused notes whose account a subject was kept from.
func (d *Directory) tellRefused(ctx context.Context, u tenure.User, s store.Subject, why error) error {
	return d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.LinkRefused(u, s.Issuer, s.Subject, tenure.AsError(why).Code))
	})
}

// unknown makes a person of a subject whose name nobody has.
func (d *Directory) unknown(ctx context.Context, tx *store.Tx, tenant tenure.TenantID, name string, how tenure.SignIn) (tenure.User, error) {
	if err := d.mustBeProvisioned("", name); err != nil {
		return tenure.User{}, err
	}
	switch _, err := tx.UserBySubject(ctx, tenant, how.Issuer, how.Subject); {
	case err == nil: // of somebody who was deleted: another name does not bring them back
		return tenure.User{}, tenure.ErrDeleted
	case !tenure.IsKind(err, tenure.NotFound):
		return tenure.User{}, err
	}
	return newcomer(ctx, tx, tenant, name, tenure.SourceOIDC, how)
}

// Unlink forgets who a person is to the OpenID provider, if that is known: whoever
// next signs in there by their userName is taken for them, an administrator too. Their
// sessions by it end. NotFound: no such person.
func (d *Directory) Unlink(ctx context.Context, by tenure.Principal, id tenure.UserID) (tenure.Ended, error) {
	if err := access.Check(by, tenure.UnlinkUser); err != nil {
		return tenure.Ended{}, err
	}
	start := time.Now()
	var sessions []tenure.Session
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		u, err := tx.User(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		if err := access.Above(by, u.Role); err != nil {
			return err
		}
		s, err := tx.SubjectOf(ctx, u.Tenant, id)
		if err != nil && !tenure.IsKind(err, tenure.NotFound) {
			return err
		}
		if s.Issuer != "" {
			if sessions, err = tx.ProviderSessions(ctx, u.Tenant, s.Issuer, s.Subject, ""); err != nil {
				return err
			}
		}
		for _, s := range sessions {
			if _, err := tx.EndSession(ctx, s.Tenant, s.ID, by.Label(), "unlinked from the identity provider"); err != nil {
				return err
			}
		}
		// After them: the trigger that follows it knows no name.
		if err := tx.Unlink(ctx, u.Tenant, id); err != nil {
			return err
		}
		return tx.Append(ctx, audit.UserUnlinked(by, u, s.Issuer, s.Subject))
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("unlink user %s: %w", id, err)
	}
	return d.cut(sessions, by.Label(), start), nil
}

// Logout is what an identity provider says has ended: one of its sessions or,
// without SID, everything of a subject.
type Logout struct {
	Subject string
	SID     string
	ID      string    // of the token that says so: it counts once
	Until   time.Time // when that token would be too old anyway
}

// SignedOut ends the sessions that a provider says have ended. The caller has
// verified that it says so. Invalid: it was said before, in the same token.
func (d *Directory) SignedOut(ctx context.Context, c tenure.OIDCConnection, l Logout) (tenure.Ended, error) {
	start := time.Now()
	var sessions []tenure.Session
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := redeem(ctx, tx, "logout\x00"+string(c.Tenant)+"\x00"+c.Issuer+"\x00"+l.ID, l.Until); err != nil {
			return err
		}
		var err error
		if sessions, err = tx.ProviderSessions(ctx, c.Tenant, c.Issuer, l.Subject, l.SID); err != nil {
			return err
		}
		const reason = "signed out at the identity provider"
		for _, s := range sessions {
			if _, err := tx.EndSession(ctx, s.Tenant, s.ID, "oidc:"+c.Name, reason); err != nil {
				return err
			}
			if err := tx.Append(ctx, audit.ProviderEnded(c, s, reason)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("end sessions by logout token: %w", err)
	}
	return d.cut(sessions, "oidc:"+c.Name, start), nil
}

// cut tells this process of sessions of one person whose end was committed.
func (d *Directory) cut(sessions []tenure.Session, who string, start time.Time) tenure.Ended {
	ended := tenure.Ended{Sessions: len(sessions), Streams: d.cutSessions(sessions)}
	ended.Took = time.Since(start)
	if len(sessions) > 0 {
		s := sessions[0]
		d.Live.Ended(s.Tenant, tenure.Revocation{What: tenure.RevokedSession, ObjectID: string(s.User), Object: s.UserName, Actor: who, Ended: ended})
	}
	return ended
}

// Redeem notes the use of what may be used once only, such as the state of a
// sign-in. Invalid: it was used before.
func (d *Directory) Redeem(ctx context.Context, what string, until time.Time) error {
	return d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return redeem(ctx, tx, what, until) })
}

func redeem(ctx context.Context, tx *store.Tx, what string, until time.Time) error {
	err := tx.Redeem(ctx, tenure.DigestOf(what), until)
	var e *tenure.Error
	if errors.As(err, &e) && e.Kind == tenure.Conflict {
		return errUsed
	}
	return err
}
