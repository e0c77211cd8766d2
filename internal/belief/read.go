package belief

import (
	"context"
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Look chooses beliefs of a person; zero fields choose all.
type Look struct {
	Workspace tenure.WorkspaceID
	Scope     tenure.BeliefScope
	Type      tenure.BeliefType
	Status    tenure.BeliefStatus
	Text      string // that the name, an alias, the content or the reason has in it, in any case
	History   bool   // also what others took the place of
	Disputed  bool   // what another contradicts
	After     tenure.BeliefID
	Limit     int // from 1 to MaxPage
}

// MaxPage is how many beliefs a page has at most, and how many of a line its history shows.
const MaxPage = 200

// mostLooked is how many beliefs are looked through for a page: one of fewer than were asked
// for may have more behind it.
const mostLooked = 1000

// Page is a part of a list, the newest first, and where the next part begins.
type Page struct {
	Beliefs []tenure.Belief
	Next    tenure.BeliefID // "" when there is no more
}

// List gives a person's own beliefs. Reading is audited.
func (s *Beliefs) List(ctx context.Context, by tenure.Principal, l Look) (Page, error) {
	of, err := whose(by, tenure.ReadBeliefs)
	if err != nil {
		return Page{}, err
	}
	page, err := s.look(ctx, of, l)
	if err != nil {
		return Page{}, err
	}
	return page, s.tell(ctx, audit.BeliefsRead(by, "listed", l.Scope, len(page.Beliefs)))
}

// look reads a page of the beliefs of whom of names.
func (s *Beliefs) look(ctx context.Context, of store.BeliefFilter, l Look) (Page, error) {
	if of.Workspace == "" {
		of.Workspace = l.Workspace
	}
	of.Scope, of.Type, of.Status, of.Current, of.Disputed, of.After = l.Scope, l.Type, l.Status, !l.History && l.Status != tenure.BeliefSuperseded, l.Disputed, l.After
	k, err := s.Ring.of(ctx, of.Tenant, of.User)
	if tenure.IsKind(err, tenure.NotFound) {
		return Page{}, nil
	}
	if err != nil {
		return Page{}, err
	}
	limit := min(max(l.Limit, 1), MaxPage)
	of.Limit = limit + 1
	if l.Text != "" {
		of.Limit = MaxPage
	}
	var page Page
	for looked := 0; ; {
		rows, err := s.DB.Beliefs(ctx, of)
		if err != nil {
			return Page{}, err
		}
		for i := range rows {
			if err := k.open(&rows[i]); err != nil {
				return Page{}, err
			}
			if !says(rows[i].BeliefText, l.Text) {
				continue
			}
			if len(page.Beliefs) == limit {
				page.Next = page.Beliefs[limit-1].ID
				return page, nil
			}
			page.Beliefs = append(page.Beliefs, rows[i].Belief)
		}
		if len(rows) < of.Limit {
			return page, nil
		}
		of.After = rows[len(rows)-1].ID
		if looked += len(rows); looked >= mostLooked {
			page.Next = of.After
			return page, nil
		}
	}
}

// says reports whether a text has a part in it, in any case.
func says(t tenure.BeliefText, part string) bool {
	part = fold(part)
	return part == "" || slices.ContainsFunc(append([]string{t.Name, t.Content, t.Why}, t.Aliases...), func(s string) bool { return strings.Contains(fold(s), part) })
}

// Watch tells that a person's beliefs of a scope are pushed to them from now on. Invalid:
// it is no scope.
func (s *Beliefs) Watch(ctx context.Context, by tenure.Principal, scope tenure.BeliefScope) error {
	if _, err := whose(by, tenure.ReadBeliefs); err != nil {
		return err
	}
	if _, err := tenure.ParseBeliefScope(string(scope)); err != nil {
		return err
	}
	return s.tell(ctx, audit.BeliefsRead(by, "watched", scope, 0))
}

func (s *Beliefs) tell(ctx context.Context, e tenure.AuditEvent) error {
	return s.DB.TxShared(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Append(ctx, e) })
}

// reader is the database, or a transaction.
type reader interface {
	Belief(context.Context, tenure.TenantID, tenure.UserID, tenure.BeliefID) (store.BeliefRow, error)
}

// read reads one belief of a person, and opens it.
func read(ctx context.Context, r reader, k *key, of store.BeliefFilter, id tenure.BeliefID) (store.BeliefRow, error) {
	b, err := r.Belief(ctx, of.Tenant, of.User, id)
	if err != nil || of.Workspace != "" && b.Workspace != of.Workspace {
		return b, notFound(err)
	}
	return b, k.open(&b)
}

// History gives a belief with those that it took the place of, the newest MaxPage of them. NotFound:
// the person has no such.
func (s *Beliefs) History(ctx context.Context, by tenure.Principal, id tenure.BeliefID) ([]tenure.Belief, error) {
	of, err := whose(by, tenure.ReadBeliefs)
	if err != nil {
		return nil, err
	}
	k, err := s.Ring.of(ctx, of.Tenant, of.User)
	if err != nil {
		return nil, err
	}
	b, err := read(ctx, s.DB, k, of, id)
	if err != nil {
		return nil, err
	}
	rows, err := s.DB.BeliefLine(ctx, of.Tenant, of.User, b.Line, MaxPage)
	if err != nil {
		return nil, err
	}
	out := make([]tenure.Belief, len(rows))
	for i := range rows {
		if err := k.open(&rows[i]); err != nil {
			return nil, err
		}
		out[i] = rows[i].Belief
	}
	return out, s.tell(ctx, audit.BeliefsRead(by, "listed", b.Scope, len(out)))
}

// Export gives every belief of a person with all that others took the place of, the newest
// first. That it was asked for is audited before anything is given: whoever breaks off has
// read, too.
func (s *Beliefs) Export(ctx context.Context, by tenure.Principal, each func(tenure.Belief) error) error {
	of, err := whose(by, tenure.ReadBeliefs)
	if err != nil {
		return err
	}
	n, err := s.DB.CountBeliefs(ctx, of.Tenant, of.User)
	if err != nil {
		return err
	}
	if err := s.tell(ctx, audit.BeliefsRead(by, "exported", "", n.All)); err != nil {
		return err
	}
	for l := (Look{History: true, Limit: MaxPage}); ; {
		page, err := s.look(ctx, of, l)
		if err != nil {
			return err
		}
		for _, b := range page.Beliefs {
			if err := each(b); err != nil {
				return err
			}
		}
		if l.After = page.Next; page.Next == "" {
			return nil
		}
	}
}

// One reads a belief. NotFound: the person has no such.
func (s *Beliefs) One(ctx context.Context, by tenure.Principal, id tenure.BeliefID) (tenure.Belief, error) {
	b, err := s.Pushed(ctx, by, id)
	if err != nil {
		return b, err
	}
	return b, s.tell(ctx, audit.BeliefsRead(by, "listed", b.Scope, 1))
}

// Pushed is One for whom it was audited that they watch, or list: a socket of the person, or
// what stands beside another in a list.
func (s *Beliefs) Pushed(ctx context.Context, by tenure.Principal, id tenure.BeliefID) (tenure.Belief, error) {
	of, err := whose(by, tenure.ReadBeliefs)
	if err != nil {
		return tenure.Belief{}, err
	}
	k, err := s.Ring.of(ctx, of.Tenant, of.User)
	if err != nil {
		return tenure.Belief{}, err
	}
	b, err := read(ctx, s.DB, k, of, id)
	return b.Belief, err
}

// Count is how many beliefs somebody has.
type Count = store.BeliefCount

// Counts tells how many beliefs each person of the tenant has, for who reads about people:
// never what they say.
func (s *Beliefs) Counts(ctx context.Context, by tenure.Principal, after tenure.UserID, limit int) ([]Count, error) {
	if err := access.Check(by, tenure.CountBeliefs); err != nil {
		return nil, err
	}
	return s.DB.BeliefCounts(ctx, by.Tenant(), after, limit)
}
