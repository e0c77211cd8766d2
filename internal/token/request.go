package token

import (
	"context"
	"fmt"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

func insertRequest(ctx context.Context, tx *store.Tx, by tenure.Principal, a tenure.ServiceAccount, asked terms, reason string) (*tenure.TokenRequest, error) {
	q := tenure.TokenRequest{
		ID: tenure.RequestID(tenure.NewID(tx.Now())), Tenant: a.Tenant, Workspace: a.Workspace, Account: a.ID, AccountName: a.Name,
		Name: asked.name, Scopes: asked.scopes, Models: asked.models, Networks: asked.networks, Life: asked.life, Reason: reason,
		Requester: by.User(), RequestedBy: by.Label(), RequestedAt: tx.Now(), Stored: tenure.RequestPending,
	}
	if err := tx.InsertTokenRequest(ctx, q); err != nil {
		return nil, err
	}
	return &q, tx.Append(ctx, audit.TokenRequested(by, q))
}

// RequestPage is a part of a list of requests and where the next part begins.
type RequestPage struct {
	Requests []tenure.TokenRequest
	Next     tenure.RequestID // "" when there is no more
}

// Requests lists requests for tokens, newest first: the asker's own, or all for
// those who may list all tokens.
func (t *Tokens) Requests(ctx context.Context, by tenure.Principal, after tenure.RequestID, limit int) (RequestPage, error) {
	if err := access.Check(by, tenure.ListRequests); err != nil {
		return RequestPage{}, err
	}
	mine := access.Check(by, tenure.ListAllTokens) != nil
	rows, err := t.DB.TokenRequests(ctx, store.RequestFilter{Tenant: by.Tenant(), Mine: mine, Requester: by.User(), After: after, Limit: limit + 1})
	if err != nil || len(rows) <= limit {
		return RequestPage{Requests: rows}, err
	}
	return RequestPage{Requests: rows[:limit], Next: rows[limit-1].ID}, nil
}

// Two people agree on a token with scopes of administration. The root token and the
// operator are no second person: a super admin may have the root token. They approve
// what a person has asked for, and the root token asks, only while there are no two
// people who could.

// mayAsk answers Forbidden when the root token asks though two super admins could
// agree: one of them might hold it, and approve.
func mayAsk(ctx context.Context, tx *store.Tx, by tenure.Principal) error {
	if !by.IsRoot() {
		return nil
	}
	n, err := tx.CountSupers(ctx, by.Tenant())
	if err == nil && n > 1 {
		err = &tenure.Error{
			Kind: tenure.Forbidden, Code: "second_person_needed",
			Msg: "there are super admins who can agree on this: one asks in their own name, and another approves",
		}
	}
	return err
}

// mayApprove answers Forbidden when the root token or the operator would approve a
// person's request though another super admin could. alone: nobody else could.
func mayApprove(ctx context.Context, tx *store.Tx, by tenure.Principal, q tenure.TokenRequest) (alone bool, err error) {
	if by.User() != "" || q.Requester == "" {
		return false, nil
	}
	n, err := tx.CountSupers(ctx, q.Tenant)
	if err != nil {
		return false, err
	}
	switch u, err := tx.User(ctx, q.Tenant, q.Requester); {
	case err == nil && u.Active && u.Role == tenure.SuperAdmin:
		n--
	case err != nil && !tenure.IsKind(err, tenure.NotFound):
		return false, err
	}
	if n > 0 {
		return false, &tenure.Error{
			Kind: tenure.Forbidden, Code: "second_person_needed",
			Msg: "another super admin can decide on this request: the root token and the operator approve only while there is none; they may reject it",
		}
	}
	return true, nil
}

// Request reads a request for a token: the asker's own, or any for those who may
// list all tokens.
func (t *Tokens) Request(ctx context.Context, by tenure.Principal, id tenure.RequestID) (tenure.TokenRequest, error) {
	if err := access.Check(by, tenure.ListRequests); err != nil {
		return tenure.TokenRequest{}, err
	}
	q, err := t.DB.TokenRequest(ctx, by.Tenant(), id)
	if err == nil && !q.AskedBy(by) && access.Check(by, tenure.ListAllTokens) != nil {
		err = tenure.ErrNotFound
	}
	if err != nil {
		return tenure.TokenRequest{}, err
	}
	return q, nil
}

// Decide approves or rejects somebody else's request; a rejection says why.
// Forbidden: the request is the asker's own, or a second person could decide.
// Conflict: it does not wait any more.
func (t *Tokens) Decide(ctx context.Context, by tenure.Principal, id tenure.RequestID, approve bool, why string) (tenure.TokenRequest, error) {
	var q tenure.TokenRequest
	if err := access.Check(by, tenure.DecideRequest); err != nil {
		return q, err
	}
	if !approve && why == "" {
		return q, tenure.InvalidField("reason", "a rejection needs a reason: whoever asked reads it")
	}
	if err := tenure.CheckText("reason", why); err != nil {
		return q, err
	}
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if q, err = tx.TokenRequest(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if q.AskedBy(by) {
			return &tenure.Error{
				Kind: tenure.Forbidden, Code: "own_request",
				Msg: "nobody decides on their own request; a second super admin does (to the root token and at the command line, requests made by either are their own)",
			}
		}
		if s := q.State(tx.Now()); s != tenure.RequestPending {
			return notWaiting(s)
		}
		alone := false
		if approve {
			if alone, err = mayApprove(ctx, tx, by, q); err != nil {
				return err
			}
		}
		q.Stored, q.Decider, q.DecidedBy, q.DecidedAt, q.Decision = tenure.RequestRejected, by.User(), by.Label(), tx.Now(), why
		if approve {
			q.Stored = tenure.RequestApproved
		}
		if err := tx.DecideTokenRequest(ctx, q); err != nil {
			return err
		}
		e := audit.TokenRequestChanged(by, q, q.Stored, why)
		if alone {
			e = audit.WithoutSecond(e)
		}
		return tx.Append(ctx, e)
	})
	if err != nil {
		return tenure.TokenRequest{}, fmt.Errorf("decide on the request %s: %w", id, err)
	}
	return q, nil
}

func notWaiting(state string) error {
	return &tenure.Error{Kind: tenure.Conflict, Code: "request_" + state, Msg: "this request is " + state}
}

// Withdraw ends the asker's own request before it is collected.
func (t *Tokens) Withdraw(ctx context.Context, by tenure.Principal, id tenure.RequestID) (tenure.TokenRequest, error) {
	var q tenure.TokenRequest
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if q, err = own(ctx, tx, by, tenure.WithdrawRequest, id); err != nil {
			return err
		}
		if s := q.State(tx.Now()); s != tenure.RequestPending && s != tenure.RequestApproved {
			return notWaiting(s)
		}
		if err := tx.WithdrawTokenRequest(ctx, q); err != nil {
			return err
		}
		q.Stored = tenure.RequestWithdrawn
		return tx.Append(ctx, audit.TokenRequestChanged(by, q, q.Stored, ""))
	})
	if err != nil {
		return tenure.TokenRequest{}, fmt.Errorf("withdraw the request %s: %w", id, err)
	}
	return q, nil
}

// own reads a request that the asker made. To everybody else there is none.
func own(ctx context.Context, tx *store.Tx, by tenure.Principal, action tenure.Action, id tenure.RequestID) (tenure.TokenRequest, error) {
	if err := access.Check(by, action); err != nil {
		return tenure.TokenRequest{}, err
	}
	q, err := tx.TokenRequest(ctx, by.Tenant(), id)
	if err == nil && !q.AskedBy(by) {
		err = tenure.ErrNotFound
	}
	return q, err
}

// Collect makes the token of the asker's own request once it is approved, and
// returns its secret, this once. Whether the asker still looks after the account,
// and what the policy allows, is judged anew. Conflict: the request is not
// approved, was collected already, or its approval lapsed; or the account has
// come to its end.
func (t *Tokens) Collect(ctx context.Context, by tenure.Principal, id tenure.RequestID) (Minted, error) {
	var out Minted
	secret := tenure.NewToken(tenure.KindService)
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q, err := own(ctx, tx, by, tenure.CollectRequest, id)
		if err != nil {
			return err
		}
		if s := q.State(tx.Now()); s != tenure.RequestApproved {
			return notWaiting(s)
		}
		a, policy, err := accountFor(ctx, tx, by, q.Account)
		if err != nil {
			return err
		}
		asked := terms{name: q.Name, scopes: q.Scopes, models: q.Models, networks: q.Networks, life: min(q.Life, policy.ServiceMaxLife)}
		if err := asked.allowed(policy, policy.ServiceLife, policy.ServiceMaxLife, "service_token_max_lifetime"); err != nil {
			return err
		}
		out = Minted{Token: asked.row(by, tx.Now(), tenure.KindService, secret), Secret: secret}
		if err := tx.CollectTokenRequest(ctx, q, out.Token.ID); err != nil {
			return err
		}
		if err := insertService(ctx, tx, by, a, &out); err != nil {
			return err
		}
		return tx.Append(ctx, audit.TokenRequestChanged(by, q, tenure.RequestCollected, ""))
	})
	if err != nil {
		return Minted{}, fmt.Errorf("collect the token of the request %s: %w", id, err)
	}
	return out, nil
}
