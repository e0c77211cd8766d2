package notice

import (
	"context"
	"fmt"

	"github.com/tenure-gateway/tenure"
)

// sinkAttempts are how many failures one after the other are told of: some minutes of them.
const sinkAttempts = 8

// sinks tells of audit sinks that accept nothing any more, once a day for each.
func (n *Notices) sinks(ctx context.Context) error {
	rows, err := n.DB.EveryAuditSink(ctx)
	if err != nil {
		return err
	}
	var all []tenure.Notice
	for _, s := range rows {
		if s.Paused || s.Attempts < sinkAttempts {
			continue
		}
		since := "since it was made"
		if !s.SentAt.IsZero() {
			since = "since " + at(s.SentAt)
		}
		all = append(all, tenure.Notice{
			Tenant: s.Tenant, Kind: tenure.NoticeSinkBehind, Severity: tenure.Alert, ObjectKind: "audit_sink", ObjectID: string(s.ID), Object: s.Name,
			Message: fmt.Sprintf("The audit sink %q has accepted nothing %s: %s. Nothing is lost; it is tried again.", s.Name, since, s.Error),
			Dedupe:  fmt.Sprintf("sink_behind:%s:%d", s.ID, n.DB.Now().Unix()/86400),
		})
	}
	if err := n.raise(ctx, all); err != nil {
		return fmt.Errorf("notices of audit sinks: %w", err)
	}
	return nil
}
