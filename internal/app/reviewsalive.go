package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

// lineStands reports whether a token of the line stands.
func (r reviewing) lineStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	line, err := r.line(ctx, i)
	if err != nil {
		return false, err
	}
	for _, t := range line {
		if stands, err := r.Tokens.Stands(ctx, i.Tenant, t.ID); stands || err != nil {
			return stands, err
		}
	}
	return false, nil
}

// lasts reports whether a token of a line has not ended for good: one that is off because
// the control of its exception failed may be good again.
func lasts(line []tenure.Token, now time.Time) bool {
	return slices.ContainsFunc(line, func(t tenure.Token) bool { return !t.Over(now) })
}

// alive judges as a request would be: a token by its standing, a person by theirs.
func (r reviewing) alive(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	switch i.Kind {
	case tenure.ReviewPAT, tenure.ReviewService:
		line, err := r.line(ctx, i)
		if lasts(line, r.Store.Now()) || err != nil {
			return err == nil, err
		}
		return r.lineStands(ctx, i)
	case tenure.ReviewPerson, tenure.ReviewRole, tenure.ReviewMembership:
		return r.personStands(ctx, i)
	case tenure.ReviewConnector:
		return r.connectorStands(ctx, i)
	case tenure.ReviewKey:
		k, err := r.key(ctx, i)
		if tenure.IsKind(err, tenure.NotFound) {
			return false, nil
		}
		return k.State != tenure.KeyRetired, err
	case tenure.ReviewAccount:
		a, err := r.Store.Account(ctx, i.Tenant, tenure.ServiceAccountID(i.Subject), r.Store.Now())
		if tenure.IsKind(err, tenure.NotFound) {
			return false, nil
		}
		s := a.State(r.Store.Now())
		return s != "ended" && s != "expired", err
	case tenure.ReviewRoot:
		return r.rootStands(ctx, i)
	case tenure.ReviewOIDC:
		return r.connectionStands(ctx, i)
	case tenure.ReviewException:
		switch state, err := r.exceptionState(ctx, i); state {
		case tenure.ExceptionActive, tenure.ExceptionApproved, tenure.ExceptionFailed: // the last may be approved anew
			return true, err
		default:
			return false, err
		}
	case tenure.ReviewProxy:
	}
	return true, nil
}

// personStands judges somebody whom the proxy would assert now.
func (r reviewing) personStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	u, err := r.Store.User(ctx, i.Tenant, tenure.UserID(i.Subject))
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p, refused := r.principal(u)
	if refused != nil || i.Kind == tenure.ReviewPerson {
		return refused == nil, nil
	}
	if i.Kind == tenure.ReviewRole { // each role that is reviewed may list people; a member may not
		return access.Check(p, tenure.ListUsers) == nil, nil
	}
	now, err := r.roleNow(ctx, i)
	return now != "", err
}

// rootStands reports whether a root token is accepted: one that was rotated is the same
// access.
func (r reviewing) rootStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	policy, err := r.Store.Policy(ctx, i.Tenant)
	if policy.RootOff || i.Subject == configuredRoot || err != nil {
		return err == nil && !policy.RootOff, err
	}
	rows, err := r.Store.Tokens(ctx, store.TokenFilter{Tenant: i.Tenant, Kind: tenure.KindRoot, Unrevoked: true, Limit: -1})
	return lasts(rows, r.Store.Now()), err
}

func (r reviewing) connectorStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	if i.Subject == string(tenure.BuiltinConnector) {
		return len(r.Config.SCIMTokens) > 0, nil
	}
	_, err := r.Store.Connector(ctx, i.Tenant, tenure.ConnectorID(i.Subject))
	if err == nil {
		return true, nil
	}
	if !tenure.IsKind(err, tenure.NotFound) {
		return false, err
	}
	tokens, err := r.Store.ConnectorTokens(ctx, i.Tenant, tenure.ConnectorID(i.Subject))
	for _, t := range tokens {
		if stands, err := r.Tokens.Stands(ctx, i.Tenant, t.ID); stands || err != nil {
			return stands, err
		}
	}
	return false, err
}

func (r reviewing) connectionStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	if b := r.Connections.Builtin; b != nil && i.Subject == string(tenure.BuiltinConnection) && b.Connection.Tenant == i.Tenant {
		return true, nil
	}
	_, err := r.Store.OIDCConnection(ctx, i.Tenant, tenure.ConnectionID(i.Subject))
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// exceptionState gives the state of an exception, "" where there is none.
func (r reviewing) exceptionState(ctx context.Context, i tenure.ReviewItem) (string, error) {
	x, err := r.Store.Exception(ctx, i.Tenant, tenure.ExceptionID(i.Subject))
	if tenure.IsKind(err, tenure.NotFound) {
		return "", nil
	}
	return x.State(r.Store.Now()), err
}

// gone says what has become of a thing since the snapshot.
func (r reviewing) gone(ctx context.Context, i tenure.ReviewItem) (string, error) {
	if i.Kind == tenure.ReviewPAT || i.Kind == tenure.ReviewService {
		return r.lineGone(ctx, i)
	}
	alive, err := r.alive(ctx, i)
	if err != nil {
		return "", err
	}
	switch i.Kind {
	case tenure.ReviewRole, tenure.ReviewMembership:
		if err := r.another(ctx, i); err != nil {
			if e := tenure.AsError(err); e.Kind == tenure.Conflict {
				return e.Msg, nil
			}
			return "", err
		}
	case tenure.ReviewException:
		if state, err := r.exceptionState(ctx, i); err != nil || !alive && state != "" {
			return "it is " + strings.ReplaceAll(state, "_", " "), err
		}
	}
	if !alive {
		return noAccess, nil
	}
	return "", nil
}

// lineGone says what has become of a token's line. Whoever renews a token has the same
// access as before, and is reviewed for it.
func (r reviewing) lineGone(ctx context.Context, i tenure.ReviewItem) (string, error) {
	line, err := r.line(ctx, i)
	switch {
	case err != nil || lasts(line, r.Store.Now()):
		return "", err
	case len(line) == 0:
		return noAccess, nil
	case !line[0].RevokedAt.IsZero():
		return "it was revoked on " + day(line[0].RevokedAt), nil
	}
	return "it expired on " + day(line[0].ExpiresAt), nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
