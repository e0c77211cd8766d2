package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Erasure says what is to be erased.
type Erasure struct {
	Person tenure.UserID
	Reason string
	Recent bool // what is younger than tenure.KeptAtLeast, too; for the operator alone
}

// Erased tells what was erased.
type Erased struct {
	Person tenure.UserID `json:"person"`
	Events int           `json:"events" doc:"That were erased"`
	Kept   int           `json:"kept" doc:"Events about the person that are younger than 90 days, and stay"`
	Until  *time.Time    `json:"until" doc:"When all of these are old enough to be erased; null: there are none"`
}

const (
	// erasedAtOnce is how many events are erased in a transaction, and named by one event.
	erasedAtOnce = 50
	// part is how many events of the tenant are looked through at once.
	part = 10_000
)

// Erase empties what may be about a person in the tenant's events about them. Proofs of
// these events hold as before; an event tells of it. NotFound: there is no such person.
// Conflict: they are active, or a legal hold is in force. Invalid: no reason. Forbidden: only the operator may erase
// what is recent, as the owner of the tables. What was erased before an error stays so.
func (l *Ledger) Erase(ctx context.Context, by tenure.Principal, what Erasure) (Erased, error) {
	out := Erased{Person: what.Person}
	if err := access.Check(by, tenure.EraseAudit); err != nil {
		return out, err
	}
	if what.Recent && by.Kind() != tenure.Operator {
		return out, tenure.ErrForbidden
	}
	if what.Reason = strings.TrimSpace(what.Reason); what.Reason == "" {
		return out, tenure.InvalidField("reason", "a reason is needed: the audit log tells it for ever")
	}
	if err := gone(ctx, l.DB, by.Tenant(), what.Person); err != nil {
		return out, err
	}
	if err := unheld(ctx, l.DB, by.Tenant()); err != nil {
		return out, err
	}
	names, err := l.DB.NamesOf(ctx, by.Tenant(), what.Person)
	if err != nil {
		return out, err
	}
	choice := store.Erasable{Tenant: by.Tenant(), Person: what.Person, Names: names, Except: audit.Lasting()}
	if !what.Recent {
		choice.Before = l.DB.Now().Add(-tenure.KeptAtLeast)
	}
	err = l.parts(ctx, choice, func(choice store.Erasable) error {
		seqs, err := l.DB.ErasableEvents(ctx, choice) // outside of a transaction: it may take a while
		if err != nil {
			return err
		}
		for some := range slices.Chunk(seqs, erasedAtOnce) {
			n, err := l.erase(ctx, by, what, some)
			if err != nil {
				return fmt.Errorf("erase events about %s: %w", what.Person, err)
			}
			out.Events += n
		}
		return nil
	})
	return l.kept(ctx, out, choice, err)
}

// parts gives a choice for each part of the tenant's log, the oldest first.
func (l *Ledger) parts(ctx context.Context, choice store.Erasable, do func(store.Erasable) error) error {
	for {
		var err error
		if choice.UpTo, err = l.DB.UpToEvents(ctx, choice.Tenant, choice.After, part); err != nil || choice.UpTo == 0 {
			return err
		}
		if err := do(choice); err != nil {
			return err
		}
		choice.After = choice.UpTo
	}
}

// gone is why nothing about a person is erased; nil: they are not active.
func gone(ctx context.Context, read interface {
	User(context.Context, tenure.TenantID, tenure.UserID) (tenure.User, error)
	DeletedName(context.Context, tenure.TenantID, tenure.UserID) (string, error)
}, tenant tenure.TenantID, id tenure.UserID,
) error {
	u, err := read.User(ctx, tenant, id)
	if tenure.IsKind(err, tenure.NotFound) {
		if _, err = read.DeletedName(ctx, tenant, id); tenure.IsKind(err, tenure.NotFound) {
			err = &tenure.Error{Kind: tenure.NotFound, Code: "user_not_found", Msg: "there is no such person, and there was none"}
		}
		return err
	}
	if err == nil && u.Active {
		err = &tenure.Error{Kind: tenure.Conflict, Code: "person_active", Msg: "the person is active: what the audit log has about them is erased only when they are deactivated or deleted"}
	}
	return err
}

// erase erases, in one transaction, events of some numbers, but what is erased meanwhile.
func (l *Ledger) erase(ctx context.Context, by tenure.Principal, what Erasure, seqs []int64) (n int, err error) {
	err = l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n = 0
		if err := gone(ctx, tx, by.Tenant(), what.Person); err != nil {
			return err
		}
		if err := unheld(ctx, tx, by.Tenant()); err != nil {
			return err
		}
		rows, err := tx.Unerased(ctx, by.Tenant(), seqs)
		if err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]string, len(rows))
		for i, e := range rows {
			ids[i] = e.ID
		}
		teller := tenure.NewID(l.DB.Now())
		if err := tx.Append(ctx, audit.EventsErased(by, teller, what.Person, what.Reason, ids)); err != nil {
			return err
		}
		for _, e := range rows {
			if err := tx.EraseEvent(ctx, e.ID, teller, audit.Commitment(e)); err != nil {
				return err
			}
		}
		n = len(ids)
		return nil
	})
	return n, err
}

// kept tells what was not erased, and gives the events that tell of the rest their
// places: else whoever verifies an export would wait for them.
func (l *Ledger) kept(ctx context.Context, out Erased, choice store.Erasable, err error) (Erased, error) {
	if err != nil {
		return out, err
	}
	choice.Before = time.Time{}
	var last time.Time
	err = l.parts(ctx, choice, func(choice store.Erasable) error {
		n, newest, err := l.DB.CountErasable(ctx, choice)
		if out.Kept += n; newest.After(last) {
			last = newest
		}
		return err
	})
	if err != nil {
		return out, err
	}
	if out.Kept > 0 {
		until := last.Add(tenure.KeptAtLeast).UTC()
		out.Until = &until
	}
	if out.Events > 0 {
		if _, err := l.Place(ctx); err != nil {
			l.warn("what tells of an erasure has no place yet", "error", err) // the next turn gives it one
		}
	}
	return out, nil
}
