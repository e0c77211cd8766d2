package signin

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// RootWatch makes each use of the root token loud, where it is not the everyday
// credential: an audit event, a line of the log, a figure.
type RootWatch struct {
	// Lines is the log.
	Lines *slog.Logger

	uses atomic.Uint64
}

// Uses is how often the root token was used since the start.
func (w *RootWatch) Uses() uint64 { return w.uses.Load() }

// RootUsed tells of a use of the root token, or of a session that it opened,
// before the action: what cannot be told is not done. GETs of pages and health
// are uses too.
func (s *Signin) RootUsed(ctx context.Context, p tenure.Principal, a tenure.Action) error {
	if s.Root == nil || !p.IsRoot() {
		return nil
	}
	if err := s.Log.Record(ctx, audit.RootUsed(p, a)); err != nil {
		return err
	}
	s.Root.uses.Add(1)
	origin := tenure.OriginOf(ctx)
	s.Root.Lines.Warn("root token used", "action", string(a), "who", p.Label(), "credential", p.Kind().String(),
		"address", origin.Address, "request_id", origin.RequestID)
	return nil
}

// WithRoot opens a session for a browser whose user typed the root token, and
// ends the one that it came with: a sign-in makes a new session.
func (s *Signin) WithRoot(w http.ResponseWriter, r *http.Request, presented string) error {
	if s.Origins.Check(r) != nil {
		return errCrossSite
	}
	if err := s.Fresh(); err != nil {
		return err
	}
	presented = strings.TrimSpace(presented)
	p, err := s.Tokens.Resolve(r.Context(), presented)
	if err == nil && p.Kind() != tenure.RootToken {
		err = tenure.ErrInvalidToken
	}
	if err != nil {
		return s.Refuse(r, presented, err)
	}
	if err := s.RootUsed(r.Context(), p, tenure.ViewPages); err != nil {
		return err
	}
	s.Tokens.Used(r.Context(), p)
	if err := s.endPresented(r); err != nil {
		return err
	}
	return s.open(w, r, p, tenure.SignIn{Via: "root"})
}

// endPresented ends the session whose cookie a request carries, if there is one.
func (s *Signin) endPresented(r *http.Request) error {
	c, err := s.Carriers.Extract(r)
	if err != nil || c.Cookie == "" {
		return err
	}
	was, err := s.Directory.ResolveSession(r.Context(), c.Cookie, directory.Asserted{})
	if err != nil {
		return nil //nolint:nilerr // a session that does not stand needs no end
	}
	return s.Directory.EndSession(r.Context(), was, was.Session(), directory.ReasonAnew)
}

// Again is for whoever must show anew who they are: it ends the session that the
// request came with and, when the proxy asserts the same person with this very
// request, opens a new one. Otherwise the browser signs in as it did before: also where the
// policy asks for a second factor, which by what the proxy asserts the new one would lack.
// It reports whether there is a new one.
func (s *Signin) Again(w http.ResponseWriter, r *http.Request) (bool, error) {
	p := web.Principal(r.Context())
	f := p.Standing().Factor
	f.Has = byProxy(p).Shows(f.Values)
	if !asserted(p) || f.Missing() {
		return false, s.SignOut(w, r)
	}
	if p.Session() != "" {
		if err := s.Directory.EndSession(r.Context(), p, p.Session(), directory.ReasonAnew); err != nil {
			return false, err
		}
	}
	return true, s.open(w, r, p, byProxy(p))
}

// asserted tells that the proxy named the person with the very request that made
// the principal, and lately enough to sign in anew by it.
func asserted(p tenure.Principal) bool {
	if p.Kind() == tenure.AssertedIdentity {
		at := p.Standing().AuthAt
		return at.IsZero() || p.At().Sub(at) <= p.Standing().Limits.Reauth
	}
	return p.Kind() == tenure.BrowserSession && p.User() != "" && p.Standing().AuthAt.Equal(p.At())
}
