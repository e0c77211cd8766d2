package notice

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
)

// exceptions tells of exceptions near their end, with what hangs on them, and once of each
// whose remedy is overdue. One that was made to last no longer than a stage is not told of
// at that stage.
func (n *Notices) exceptions(ctx context.Context) error {
	now := n.DB.Now()
	rows, err := n.DB.ExceptionsDue(ctx, "", now, now.Add(endStages[0]))
	if err != nil {
		return err
	}
	var all []tenure.Notice
	for _, x := range rows {
		one := tenure.Notice{
			Tenant: x.Tenant, Severity: tenure.Warning, User: x.Owner, ObjectKind: "exception", ObjectID: string(x.ID), Object: x.Title,
		}
		tell := func(kind string, stage time.Duration, due time.Time, message string) {
			one.Kind, one.Message, one.Dedupe = kind, message, fmt.Sprintf("%s:%s:%s:%d", kind, x.ID, tenure.FormatSpan(stage), due.Unix())
			all = append(all, one)
		}
		end := x.End()
		if stage := nearest(end.Sub(now), endStages); stage > 0 && end.After(now) && end.Sub(x.From) > stage {
			tell(tenure.NoticeExceptionEnding, stage, end,
				fmt.Sprintf("The exception %q ends %s, at %s, and what hangs on it with it: remedy it, or ask for its renewal.", x.Title, in(end.Sub(now)), at(end)))
		}
		if !x.RemedyBy.After(now) {
			tell(tenure.NoticeRemedyOverdue, 0, x.RemedyBy, fmt.Sprintf("The remedy of the exception %q is overdue since %s; %s answers for it.", x.Title, at(x.RemedyBy), x.OwnerName))
		}
	}
	if err := n.raise(ctx, all); err != nil {
		return fmt.Errorf("notices of exceptions: %w", err)
	}
	return nil
}
