package directory

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/live"
)

// maxListeners is how many pages of one session listen at once.
const maxListeners = 5

// Listen registers a page that waits for the end of the session, or of the person,
// that it was asked with. The context that it returns ends with them; leave must
// be called. TooMany: so many pages listen already.
func (d *Directory) Listen(ctx context.Context, by tenure.Principal) (context.Context, func(), error) {
	if err := access.Check(by, tenure.ViewPages); err != nil {
		return nil, nil, err
	}
	mine := live.User(by.User())
	switch {
	case by.Session() != "":
		mine = live.Session(by.Session())
	case by.User() == "": // the root token itself
		mine = func(s *tenure.Standing) bool { return s.Kind == by.Kind() }
	}
	n := 0
	for _, f := range d.Live.Flights(mine) {
		if f.Listens {
			n++
		}
	}
	if n >= maxListeners {
		return nil, nil, &tenure.Error{
			Kind: tenure.TooMany, Code: "too_many_listeners", RetryAfter: time.Minute,
			Msg: "so many pages of this session listen already; it goes on without",
		}
	}
	ctx, f, err := d.Live.Enter(ctx, by, tenure.ViewPages, nil)
	if err != nil {
		return nil, nil, err
	}
	return ctx, func() { d.Live.Leave(f) }, nil
}

// RecheckPage reads anew whom a page was asked by, and gives the principal as it
// stands now, or an error when it does not any more. It is no use of the session.
func (d *Directory) RecheckPage(ctx context.Context, p tenure.Principal) (tenure.Principal, error) {
	generation, was := d.Live.Generation(), p.Standing()
	var s *tenure.Standing
	var err error
	if was.Session != "" {
		s, err = d.DB.SessionStandingOf(ctx, was.Tenant, was.Session)
	} else {
		s, err = d.shown(ctx, was.Tenant, was.User, tenure.SignIn{Via: was.Via, ACR: was.ACR, AMR: was.AMR, AuthAt: was.AuthAt})
	}
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.Principal{}, tenure.ErrRevoked
	}
	if err != nil {
		stale := *tenure.ErrStale
		stale.Err = err
		return tenure.Principal{}, &stale
	}
	if was.Session != "" {
		return d.admitSession(ctx, s, d.DB.Now(), generation)
	}
	p, err = s.Admit(d.DB.Now(), generation)
	if err == nil {
		err = d.mustBeProvisioned(s.Source, s.UserName)
	}
	return p, err
}

// Why a session is over, as a page tells it.
const (
	OverDeactivated = "deactivated" // the person's access has ended
	OverSignedOut   = "signed_out"
	OverExpired     = "expired" // it reached its end, or was idle for too long
	OverAnew        = "anew"    // there is a newer one, by a fresh sign-in
	OverEnded       = "ended"   // somebody, or a rule, ended it
)

// WhyOver says why what a page was asked by is over, or "" while it is not, or
// cannot be known.
func (d *Directory) WhyOver(ctx context.Context, p tenure.Principal) string {
	if p.Session() == "" && p.User() == "" {
		return "" // the root token itself, which no page is asked with
	}
	_, err := d.RecheckPage(ctx, p)
	switch {
	case err == nil, tenure.IsKind(err, tenure.Unavailable), tenure.AsError(err).Kind == tenure.Internal:
		return ""
	case p.User() != "":
		if u, err := d.DB.User(ctx, p.Tenant(), p.User()); tenure.IsKind(err, tenure.NotFound) || err == nil && !u.Active {
			return OverDeactivated
		}
	}
	if p.Session() == "" {
		return OverEnded
	}
	s, err := d.DB.Session(ctx, p.Tenant(), p.Session())
	if err != nil {
		return OverEnded
	}
	standing, err := d.DB.SessionStandingOf(ctx, p.Tenant(), p.Session())
	now := d.DB.Now()
	switch {
	case err != nil:
		return OverEnded
	case s.EndReason == ReasonSignedOut:
		return OverSignedOut
	case s.EndReason == ReasonAnew:
		return OverAnew
	case s.EndedAt.IsZero() && (standing.ExpiredAt(now) || now.Sub(standing.SeenAt) > d.idle(standing)):
		return OverExpired
	}
	return OverEnded
}
