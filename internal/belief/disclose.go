package belief

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Disclose gives beliefs of another person to whoever asked for an exception of the rule
// tenure.RuleBeliefsRead for that person, while it is in force: it is judged for every page,
// in the transaction that tells of the page, before anything is given. Invalid: the exception
// does not let them, and why. NotFound: there is no such person. Conflict: it is no person
// who asks.
func (s *Beliefs) Disclose(ctx context.Context, by tenure.Principal, person tenure.UserID, x tenure.ExceptionID, l Look) (Page, error) {
	if err := access.Check(by, tenure.ReadAnyBeliefs); err != nil {
		return Page{}, err
	}
	if by.User() == "" {
		return Page{}, errNobody
	}
	u, err := s.DB.User(ctx, by.Tenant(), person)
	if err != nil {
		return Page{}, wrap("read the person", err)
	}
	page, err := s.look(ctx, store.BeliefFilter{Tenant: u.Tenant, User: u.ID}, l)
	if err != nil {
		return Page{}, err
	}
	err = s.DB.TxShared(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := lets(ctx, tx, by, u, x); err != nil {
			return err
		}
		return tx.Append(ctx, audit.BeliefsDisclosed(by, u, x, l.Scope, len(page.Beliefs)))
	})
	if err != nil {
		return Page{}, err
	}
	return page, nil
}

// lets answers Invalid where an exception does not let by read the beliefs of somebody.
func lets(ctx context.Context, tx *store.Tx, by tenure.Principal, u tenure.User, id tenure.ExceptionID) error {
	if id == "" {
		return tenure.InvalidField("exception", "another person's beliefs are read by an exception of the rule %s, which another administrator approved: name its id", tenure.RuleBeliefsRead)
	}
	x, err := tx.Exception(ctx, u.Tenant, id)
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.InvalidField("exception", "there is no exception %s", tenure.Shown(string(id)))
	}
	if err != nil {
		return wrap("read the exception", err)
	}
	if err := x.Opens(tenure.RuleBeliefsRead, tenure.Deviation{Tenant: u.Tenant, User: u.ID}, tx.Now()); err != nil {
		return err
	}
	if x.Requester != by.User() {
		return tenure.InvalidField("exception", "the exception %s lets read who asked for it, %s", x.ID, x.RequestedBy)
	}
	return nil
}
