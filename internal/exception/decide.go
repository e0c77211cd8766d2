package exception

import (
	"cmp"
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Approve lets an exception be in force from its beginning on, and says why. One whose
// control failed comes into force again by it. It takes a person who neither asked nor is
// whom it is for; the root token and the operator do while there is no such person. One
// that renews another which is in force takes its place now, with what hangs on it.
// Invalid: no reason. Forbidden: the asker is no second person. Conflict: it does not
// wait; of two who approve at once one does.
func (s *Exceptions) Approve(ctx context.Context, by tenure.Principal, id tenure.ExceptionID, why string) (View, error) {
	if err := reason(why, "an approval needs a reason: auditors ask for it"); err != nil {
		return View{}, err
	}
	return s.act(ctx, by, tenure.DecideException, id, "approve", func(ctx context.Context, tx *store.Tx, x *tenure.Exception) ([]tenure.AuditEvent, error) {
		state := x.State(tx.Now())
		if state != tenure.ExceptionSubmitted && state != tenure.ExceptionFailed {
			return nil, stands(state)
		}
		if x.Kind == tenure.SubjectProvider && x.BaseURL == "" {
			return nil, &tenure.Error{Kind: tenure.Conflict, Code: "provider_gone", Msg: "the provider that it is for is not there any more: reject it"}
		}
		if x.Kind == tenure.SubjectAccount { // it may have another owner since it was asked for
			a, err := tx.Account(ctx, x.Tenant, tenure.ServiceAccountID(x.Subject), tx.Now())
			if err == nil && a.Owner == by.User() && by.User() != "" {
				err = errForThemselves
			}
			if err != nil && !tenure.IsKind(err, tenure.NotFound) {
				return nil, err
			}
		}
		alone, err := second(ctx, tx, by, *x)
		if err != nil {
			return nil, err
		}
		if fault, err := failing(ctx, tx, *x); err != nil || fault != "" {
			return nil, cmp.Or(err, controlFails(fault))
		}
		x.Decision, x.Decider, x.DecidedBy, x.DecidedAt, x.Why = tenure.ExceptionApproved, by.User(), by.Label(), tx.Now(), why
		if err := tx.ApproveException(ctx, *x); err != nil {
			return nil, err
		}
		x.FailedAt, x.FailedWhy = time.Time{}, ""
		e := audit.ExceptionChanged(by, *x, "approved", why)
		if alone {
			e = audit.WithoutSecond(e)
		}
		events := []tenure.AuditEvent{e}
		if x.Renews != "" && state == tenure.ExceptionSubmitted {
			took, err := tx.SucceedException(ctx, *x)
			if err != nil {
				return nil, err
			}
			if took {
				events = append(events, audit.ExceptionRenewed(by, *x))
			}
		}
		return events, nil
	})
}

// controlFails answers who approves what would be out of force at once.
func controlFails(fault string) error {
	return &tenure.Error{Kind: tenure.Conflict, Code: "control_fails", Msg: "what is to compensate for it does not hold: " + fault}
}

// errForThemselves answers whom an exception is for.
var errForThemselves = &tenure.Error{Kind: tenure.Forbidden, Code: "own_request", Msg: "nobody approves an exception that is for themselves; another administrator does"}

// mayAsk answers Forbidden when the root token asks though two administrators could agree:
// one of them might hold it, and approve. The operator may ask: whoever is at the machine
// can write the row.
func mayAsk(ctx context.Context, tx *store.Tx, by tenure.Principal, x tenure.Exception) error {
	if !by.IsRoot() {
		return nil
	}
	n, err := tx.CountApprovers(ctx, x)
	if err == nil && n > 1 {
		err = &tenure.Error{
			Kind: tenure.Forbidden, Code: "second_person_needed",
			Msg: "there are administrators who can agree on this: one asks in their own name, and another approves",
		}
	}
	return err
}

// second answers Forbidden to whoever is no second person for an exception. alone: the
// root token or the operator is one of the two.
func second(ctx context.Context, tx *store.Tx, by tenure.Principal, x tenure.Exception) (alone bool, err error) {
	switch {
	case x.AskedBy(by):
		return false, &tenure.Error{
			Kind: tenure.Forbidden, Code: "own_request",
			Msg: "nobody approves the exception that they asked for; another administrator does (to the root token and at the command line, those asked for by either are their own)",
		}
	case x.For != "" && x.For == by.User():
		return false, errForThemselves
	case x.Rule == tenure.RuleBeliefsRead && (by.User() == "" || x.Requester == ""):
		return false, errInOwnName
	case by.User() != "":
		return x.Requester == "", nil // who asked may be the same person
	}
	n, err := tx.CountApprovers(ctx, x)
	if err == nil && n > 0 {
		err = &tenure.Error{
			Kind: tenure.Forbidden, Code: "second_person_needed",
			Msg: "another administrator can decide on this exception: the root token and the operator approve only while there is none; they may reject it",
		}
	}
	return err == nil, err
}

// Reject declines what waits for approval, and says why.
func (s *Exceptions) Reject(ctx context.Context, by tenure.Principal, id tenure.ExceptionID, why string) (View, error) {
	if err := reason(why, "a rejection needs a reason: whoever asked reads it"); err != nil {
		return View{}, err
	}
	return s.act(ctx, by, tenure.DecideException, id, "reject", decline(by, tenure.ExceptionRejected, why))
}

// Withdraw takes back the asker's own request before it is decided on.
func (s *Exceptions) Withdraw(ctx context.Context, by tenure.Principal, id tenure.ExceptionID) (View, error) {
	return s.act(ctx, by, tenure.WithdrawException, id, "withdraw", func(ctx context.Context, tx *store.Tx, x *tenure.Exception) ([]tenure.AuditEvent, error) {
		if !x.AskedBy(by) {
			return nil, &tenure.Error{Kind: tenure.Forbidden, Code: "not_the_requester", Msg: "an exception is withdrawn by whoever asked for it; an administrator rejects it"}
		}
		return decline(by, tenure.ExceptionWithdrawn, "")(ctx, tx, x)
	})
}

func decline(by tenure.Principal, as, why string) func(context.Context, *store.Tx, *tenure.Exception) ([]tenure.AuditEvent, error) {
	return func(ctx context.Context, tx *store.Tx, x *tenure.Exception) ([]tenure.AuditEvent, error) {
		if x.Decision != "" {
			return nil, stands(x.State(tx.Now()))
		}
		x.Decision, x.Decider, x.DecidedBy, x.DecidedAt, x.Why = as, by.User(), by.Label(), tx.Now(), why
		return []tenure.AuditEvent{audit.ExceptionChanged(by, *x, as, why)}, tx.DeclineException(ctx, *x)
	}
}

// Revoke ends an approved exception, and with it what hangs on it: at once, and for good.
func (s *Exceptions) Revoke(ctx context.Context, by tenure.Principal, id tenure.ExceptionID, why string) (View, error) {
	if err := reason(why, "say why it is revoked: its owner reads it"); err != nil {
		return View{}, err
	}
	return s.act(ctx, by, tenure.RevokeException, id, "revoke", func(ctx context.Context, tx *store.Tx, x *tenure.Exception) ([]tenure.AuditEvent, error) {
		if state := x.State(tx.Now()); !goesOn(state) {
			return nil, stands(state)
		}
		x.RevokedAt, x.RevokedBy, x.RevokedWhy = tx.Now(), by.Label(), why
		return []tenure.AuditEvent{audit.ExceptionChanged(by, *x, "revoked", why)}, tx.RevokeException(ctx, *x)
	})
}

// Remedied notes that the remedy is made: the rule holds for the thing again, and the
// exception ends. Its owner says so, or an administrator.
func (s *Exceptions) Remedied(ctx context.Context, by tenure.Principal, id tenure.ExceptionID) (View, error) {
	return s.act(ctx, by, tenure.RemedyException, id, "remedy", func(ctx context.Context, tx *store.Tx, x *tenure.Exception) ([]tenure.AuditEvent, error) {
		if by.User() == "" || x.Owner != by.User() {
			if err := access.Check(by, tenure.RevokeException); err != nil {
				return nil, err
			}
		}
		if state := x.State(tx.Now()); !goesOn(state) && state != tenure.ExceptionExpired {
			return nil, stands(state)
		}
		x.RemediatedAt, x.RemediatedBy = tx.Now(), by.Label()
		return []tenure.AuditEvent{audit.ExceptionChanged(by, *x, "remediated", "")}, tx.RemedyException(ctx, *x)
	})
}

// goesOn reports whether an exception in a state is in force, or may come into force.
func goesOn(state string) bool {
	return state == tenure.ExceptionActive || state == tenure.ExceptionApproved || state == tenure.ExceptionFailed
}

func reason(text, missing string) error {
	if text == "" {
		return tenure.InvalidField("reason", "%s", missing)
	}
	return tenure.CheckText("reason", text)
}
