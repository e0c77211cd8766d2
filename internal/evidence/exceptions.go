package evidence

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// pageRows is how many exceptions or reviews are read at a time.
const pageRows = 500

// eachException gives every exception that a tenant has or had, the newest first.
func (x *export) eachException(ctx context.Context, row func(tenure.Exception) error) error {
	for after := tenure.ExceptionID(""); ; {
		rows, err := x.Exceptions(ctx, store.ExceptionFilter{Tenant: x.tenant.ID, After: after, Limit: pageRows})
		if err != nil {
			return err
		}
		for _, one := range rows {
			if err := row(one); err != nil {
				return err
			}
			after = one.ID
		}
		if len(rows) < pageRows {
			return nil
		}
	}
}

// exceptions writes the register and judges what of it was in force in the period.
func (x *export) exceptions(ctx context.Context) error {
	known, erased, err := x.approvals(ctx)
	if err != nil {
		return err
	}
	hanging, err := x.hanging(ctx)
	if err != nil {
		return err
	}
	var ends tally
	err = x.eachException(ctx, func(e tenure.Exception) error {
		if x.inForce(e) {
			ends.item(e.Title+" ("+string(e.ID)+")", x.wrongWith(e, known[e.ID], erased, hanging[e.ID]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.judge("exceptions.end", ends, "", "exceptions.csv")
	return x.populate(ctx, population{
		name: "exceptions", title: "Exceptions from policy",
		columns: []string{
			"exception_id", "title", "rule", "subject_kind", "subject_id", "subject", "state", "in_force_in_period", "reason", "risk_before", "risk_after", "controls", "requested_by", "requested_at",
			"decision", "decided_by", "decided_at", "decided_why", "begins_at", "expires_at", "ends_at", "revoked_at", "revoked_by", "revoked_why", "control_failed_at", "control_failed_why",
			"owner", "plan", "remedy_by", "remediated_at", "renews", "renewed_by", "living_tokens",
		},
		shows: []string{"title", "rule", "subject", "state", "in_force_in_period", "requested_by", "decided_by", "begins_at", "ends_at", "living_tokens"},
		each: func(ctx context.Context, give func(...any) error) error {
			return x.eachException(ctx, func(e tenure.Exception) error {
				return give(string(e.ID), e.Title, string(e.Rule), e.Kind, e.Subject, e.SubjectName, e.State(x.At), x.inForce(e), e.Reason, e.Before.Rating(), e.After.Rating(), e.Controls,
					e.RequestedBy, e.RequestedAt, e.Decision, e.DecidedBy, e.DecidedAt, e.Why, e.From, e.ExpiresAt, e.End(), e.RevokedAt, e.RevokedBy, e.RevokedWhy, e.FailedAt, e.FailedWhy,
					e.OwnerName, e.Plan, e.RemedyBy, e.RemediatedAt, string(e.Renews), string(e.Successor), hanging[e.ID])
			})
		},
	})
}

// approvals are who has approved each exception in the period, as the audit log tells.
// erased: of some it is not there any more which that was.
func (x *export) approvals(ctx context.Context) (out map[tenure.ExceptionID]tenure.AuditEvent, erased bool, err error) {
	out = map[tenure.ExceptionID]tenure.AuditEvent{}
	err = x.EachEvent(ctx, store.EventsOf{Tenant: x.tenant.ID, From: x.query.From.Add(-slack), To: x.query.To.Add(slack), Actions: []string{"exception.approved"}}, func(e tenure.AuditEvent) error {
		erased = erased || len(e.Erased) > 0
		out[tenure.ExceptionID(e.ObjectID)] = e
		return nil
	})
	return out, erased, err
}

// hanging is how many tokens live by each exception.
func (x *export) hanging(ctx context.Context) (map[tenure.ExceptionID]int64, error) {
	out := map[tenure.ExceptionID]int64{}
	err := x.EachToken(ctx, x.tenant.ID, func(t tenure.Token) error {
		if t.Exception != "" && t.Live(x.At) {
			out[t.Exception]++
		}
		return nil
	})
	return out, err
}

// inForce reports whether an exception was in force at some time of the period, or nobody
// can say until when it was.
func (x *export) inForce(e tenure.Exception) bool {
	if e.Decision != tenure.ExceptionApproved {
		return false
	}
	from, until := e.From, e.End()
	if e.DecidedAt.After(from) {
		from = e.DecidedAt
	}
	for _, end := range []time.Time{e.RevokedAt, e.RemediatedAt} {
		if !end.IsZero() && (end.Before(until) || until.IsZero()) {
			until = end
		}
	}
	return from.Before(x.query.To) && (until.IsZero() || until.After(x.query.From))
}

// wrongWith says what is wrong with an exception that was in force; "": nothing. approved is
// its event, where the period has one that can be told.
func (x *export) wrongWith(e tenure.Exception, approved tenure.AuditEvent, erased bool, living int64) string {
	longest := e.From.Add(tenure.MaxException)
	switch {
	case e.Decider != "" && e.Decider == e.Requester, e.Decider == "" && (e.DecidedBy == "" || e.DecidedBy == e.RequestedBy):
		return "nobody else than who asked for it has approved it"
	case e.For != "" && e.Decider == e.For:
		return "who approved it is whom it is for"
	case e.ExpiresAt.IsZero():
		return "it has no end"
	case e.ExpiresAt.After(longest):
		return fmt.Sprintf("it stands for more than %d days; nothing hangs on it longer", int(tenure.MaxException/day))
	case living > 0 && e.State(x.At) != tenure.ExceptionActive:
		return fmt.Sprintf("it is %s, and %d tokens still live by it", e.State(x.At), living)
	case x.within(e.DecidedAt) && approved.ID == "" && !erased:
		return "no event tells that it was approved: it was typed into the database"
	case approved.ID != "" && e.Decider != "" && approved.ActorID != string(e.Decider) && approved.Actor != e.DecidedBy:
		return "its event names another approver than its row"
	}
	return ""
}
