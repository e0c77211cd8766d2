// Package exception is the register of exceptions: who asked that one rule does not hold
// for one thing, why, at what risk, who approved, and who mends it by when. It owns the
// asking, the decision by a second person, and every end but that by the clock.
//
// It enforces nothing. What deviates carries the id of its exception, and whoever judges
// it (internal/token, internal/vault, internal/store's standing) reads the exception beside it.
package exception

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Exceptions is the act on exceptions. Its fields are set before first use.
type Exceptions struct {
	DB   *store.DB
	Live *live.Live
}

// View is an exception with what is read along with it.
type View struct {
	tenure.Exception
	Status   string // the state now
	Renewals int    // how many exceptions lie before it in its chain
	Tokens   int    // how many tokens that nobody has revoked hang on it
	Spaces   int    // how many workspaces go on without the database by it
	Sessions int    // how many sessions that nobody has ended hang on it
	// Providers is how many providers hang on it.
	Providers int
}

// Page is a part of a list and where the next part begins.
type Page struct {
	Exceptions []View
	Next       tenure.ExceptionID // "" when there is no more
}

// List gives exceptions, newest first: all for those who may read all; for others those
// that they asked for or own, that are for them, or of a workspace that they head.
func (s *Exceptions) List(ctx context.Context, by tenure.Principal, after tenure.ExceptionID, limit int) (Page, error) {
	if err := access.Check(by, tenure.ListExceptions); err != nil {
		return Page{}, err
	}
	mine := access.Check(by, tenure.ListAllExceptions) != nil
	rows, err := s.DB.Exceptions(ctx, store.ExceptionFilter{Tenant: by.Tenant(), Mine: mine, Of: by.User(), After: after, Limit: limit + 1})
	page := Page{}
	if len(rows) > limit {
		rows, page.Next = rows[:limit], rows[limit-1].ID
	}
	for _, x := range rows {
		v, err := s.view(ctx, x)
		if err != nil {
			return Page{}, err
		}
		page.Exceptions = append(page.Exceptions, v)
	}
	return page, err
}

// Read gives one exception. NotFound: there is none, or none that the asker may see.
func (s *Exceptions) Read(ctx context.Context, by tenure.Principal, id tenure.ExceptionID) (View, error) {
	if err := access.Check(by, tenure.ListExceptions); err != nil {
		return View{}, err
	}
	x, err := s.DB.Exception(ctx, by.Tenant(), id)
	if err == nil {
		err = maySee(ctx, s.DB, by, x)
	}
	if err != nil {
		return View{}, err
	}
	return s.view(ctx, x)
}

func (s *Exceptions) view(ctx context.Context, x tenure.Exception) (View, error) {
	v := View{Exception: x, Status: x.State(s.DB.Now())}
	var err error
	if x.Renews != "" {
		if v.Renewals, err = s.DB.Renewals(ctx, x.Tenant, x.ID); err != nil {
			return v, err
		}
	}
	switch x.Rule {
	case tenure.RuleBestEffort:
		v.Spaces, err = s.DB.WorkspacesOn(ctx, x.Tenant, x.ID)
	case tenure.RuleProviderNetwork:
		v.Providers, err = s.DB.ProvidersOn(ctx, x.Tenant, x.ID)
	}
	if err == nil {
		v.Tokens, err = s.DB.TokensOn(ctx, x.Tenant, x.ID)
	}
	if err == nil && x.Rule == tenure.RuleMFAMissing {
		v.Sessions, err = s.DB.SessionsOn(ctx, x.Tenant, x.ID, s.DB.Now())
	}
	return v, err
}

// InForce lists the exceptions that let a thing off one of rules now, as far as the asker
// may see them.
func (s *Exceptions) InForce(ctx context.Context, by tenure.Principal, d tenure.Deviation, rules ...tenure.Rule) ([]tenure.Exception, error) {
	if err := access.Check(by, tenure.ListExceptions); err != nil {
		return nil, err
	}
	things := map[string]string{
		tenure.SubjectTenant: string(by.Tenant()), tenure.SubjectWorkspace: string(d.Workspace), tenure.SubjectUser: string(d.User), tenure.SubjectAccount: string(d.Account),
		tenure.SubjectProvider: string(d.Provider),
	}
	now := s.DB.Now()
	rows, err := s.DB.ExceptionsFor(ctx, by.Tenant(), things, now)
	if err != nil {
		return nil, err
	}
	var out []tenure.Exception
	for _, x := range rows {
		if !slices.Contains(rules, x.Rule) || x.Opens(x.Rule, d, now) != nil {
			continue
		}
		switch err := maySee(ctx, s.DB, by, x); {
		case err == nil:
			out = append(out, x)
		case !tenure.IsKind(err, tenure.NotFound):
			return nil, err
		}
	}
	return out, nil
}

// Due is how many exceptions of the tenant end within a time, and of how many the remedy
// is overdue.
func (s *Exceptions) Due(ctx context.Context, by tenure.Principal, within time.Duration) (ending, overdue int, err error) {
	if err := access.Check(by, tenure.ListAllExceptions); err != nil {
		return 0, 0, err
	}
	now := s.DB.Now()
	rows, err := s.DB.ExceptionsDue(ctx, by.Tenant(), now, now.Add(within))
	for _, x := range rows {
		if !x.End().After(now.Add(within)) {
			ending++
		}
		if !x.RemedyBy.After(now) {
			overdue++
		}
	}
	return ending, overdue, err
}

// roles is what is asked of the store about somebody's role in a workspace: of the
// database, or in a transaction.
type roles interface {
	RoleIn(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID) (tenure.Role, error)
}

func roleIn(ctx context.Context, r roles, by tenure.Principal, ws tenure.WorkspaceID) (tenure.Role, error) {
	if by.User() == "" || ws == "" {
		return "", nil
	}
	return r.RoleIn(ctx, by.Tenant(), ws, by.User())
}

// maySee answers NotFound to whom an exception does not concern.
func maySee(ctx context.Context, r roles, by tenure.Principal, x tenure.Exception) error {
	if access.Check(by, tenure.ListAllExceptions) == nil {
		return nil
	}
	if u := by.User(); u != "" && (x.Requester == u || x.Owner == u || x.For == u) {
		return nil
	}
	role, err := roleIn(ctx, r, by, x.Workspace)
	if err == nil && role != tenure.WorkspaceAdmin {
		err = tenure.ErrNotFound
	}
	return err
}

// act reads an exception that the asker may see, has change judge and change it, and
// writes what change tells of it. What hung on it is looked up anew before the answer.
func (s *Exceptions) act(ctx context.Context, by tenure.Principal, action tenure.Action, id tenure.ExceptionID, verb string,
	change func(ctx context.Context, tx *store.Tx, x *tenure.Exception) ([]tenure.AuditEvent, error),
) (View, error) {
	if err := access.Check(by, action); err != nil {
		return View{}, err
	}
	var x tenure.Exception
	approved := false // before or after: only then something may hang on it
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if x, err = tx.Exception(ctx, by.Tenant(), id); err != nil {
			return err
		}
		approved = x.Decision == tenure.ExceptionApproved
		if err := maySee(ctx, tx, by, x); err != nil {
			return err
		}
		events, err := change(ctx, tx, &x)
		if tenure.IsKind(err, tenure.NotFound) { // somebody else was faster
			return stands(x.State(tx.Now()))
		}
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := tx.Append(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return View{}, fmt.Errorf("%s the exception %s: %w", verb, id, err)
	}
	if approved || x.Decision == tenure.ExceptionApproved {
		s.Live.Changed(ctx, store.Change{Kind: "exception", ID: string(by.Tenant())})
	}
	return s.view(ctx, x)
}

// stands answers Conflict for what cannot be done in a state.
func stands(state string) error {
	return &tenure.Error{Kind: tenure.Conflict, Code: "exception_state", Msg: "this exception " + words(state)}
}

func words(state string) string {
	switch state {
	case tenure.ExceptionSubmitted:
		return "is not approved"
	case tenure.ExceptionFailed:
		return "is out of force: its control failed"
	}
	return "is " + tenure.ExceptionWords(state)
}
