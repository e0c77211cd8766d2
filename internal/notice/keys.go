package notice

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
)

// keys tells of providers' keys that are to be rotated: before, and when it is due. A
// reminder that comes as often as a stage is long is not told of at that stage.
func (n *Notices) keys(ctx context.Context) error {
	now := n.DB.Now()
	rows, err := n.DB.KeysToRotate(ctx)
	if err != nil {
		return err
	}
	var all []tenure.Notice
	for _, k := range rows {
		every := time.Duration(k.RotateEvery) * day
		due := k.ActivatedAt.Add(every)
		stage := nearest(due.Sub(now), endStages)
		if due.After(now) && (stage >= every || stage == 0) {
			continue
		}
		p, err := n.DB.Provider(ctx, k.Tenant, k.Provider)
		if err != nil {
			return err
		}
		one := tenure.Notice{
			Tenant: k.Tenant, Kind: tenure.NoticeKeyDue, Severity: tenure.Warning, User: k.MadeBy, ObjectKind: "provider_key", ObjectID: string(k.ID), Object: p.Name + "/" + k.Name,
			Message: fmt.Sprintf("The key %q (…%s) of the provider %q is due for rotation %s, at %s.", k.Name, k.Last4, p.Name, in(due.Sub(now)), at(due)),
		}
		if !due.After(now) {
			stage, one.Kind = 0, tenure.NoticeKeyOverdue
			one.Message = fmt.Sprintf("The key %q (…%s) of the provider %q is overdue for rotation since %s.", k.Name, k.Last4, p.Name, at(due))
		}
		one.Dedupe = fmt.Sprintf("%s:%s:%s:%d", one.Kind, k.ID, tenure.FormatSpan(stage), due.Unix())
		all = append(all, one)
	}
	if err := n.raise(ctx, all); err != nil {
		return fmt.Errorf("notices of providers' keys: %w", err)
	}
	return nil
}
