package notice

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// An exception is told of 30, 14, 7 and 1 days before its end, each once, and its remedy
// once when it is overdue; one that has ended, is not approved or lasts no longer than a
// stage is not.
func TestExceptions(t *testing.T) {
	b := open(t)
	begun := b.now
	ask := func(title string, life, remedy time.Duration, approve bool) tenure.Exception {
		low := tenure.Risk{Likelihood: "low", Impact: "low"}
		x := tenure.Exception{
			ID: tenure.ExceptionID(tenure.NewID(b.now)), Tenant: tenure.DefaultTenant, Title: title, Rule: tenure.RuleTokenLifetime, Kind: tenure.SubjectTenant,
			Subject: string(tenure.DefaultTenant), Before: low, After: low, Requester: "a", RequestedAt: b.now, From: b.now, ExpiresAt: b.now.Add(life),
			Owner: b.user.ID, RemedyBy: b.now.Add(remedy), Decider: "b", DecidedAt: b.now,
		}
		b.tx(func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertException(ctx, x); err != nil || !approve {
				return err
			}
			return tx.ApproveException(ctx, x)
		})
		return x
	}
	ask("long", 100*day, 95*day, true)
	ask("asked", 100*day, 95*day, false)
	ask("short", 10*day, 10*day, true)
	revoked := ask("revoked", 100*day, 50*day, true)
	b.tx(func(ctx context.Context, tx *store.Tx) error {
		revoked.RevokedAt = tx.Now()
		return tx.RevokeException(ctx, revoked)
	})
	for _, step := range []struct {
		day  int
		want string
	}{
		{0, ""},
		{2, ""},
		{4, "exception_ending short:7d"},
		{9, "exception_ending short:1d"},
		{11, ""},
		{69, ""},
		{71, "exception_ending long:30d"},
		{80, ""},
		{87, "exception_ending long:14d"},
		{94, "exception_ending long:7d"},
		{96, "remedy_overdue long:0"},
		{97, ""},
		{99, "exception_ending long:1d"},
		{101, ""},
	} {
		at := begun.Add(time.Duration(step.day) * day)
		b.is(at.String(), b.sweep(at.Sub(b.now)), step.want)
	}
}
