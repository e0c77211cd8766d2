package ledger

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Begun tells of a tree that was begun anew.
type Begun struct {
	Epoch  string `json:"epoch" doc:"That checkpoints name from now on"`
	Places int64  `json:"places" doc:"Of the new tree"`
	Fault  string `json:"fault" doc:"What was wrong with the one before"`
}

// BeginAnew begins the tree anew over all events that are there, where it is broken and
// so is not signed any more. An event tells why, what was wrong, and how far the tree
// before went; its checkpoints are kept apart, and those from now on name another epoch.
// Conflict: nothing is wrong. Invalid: no reason. Forbidden: the database's role may only
// add to the log. Unavailable: the vault is sealed.
func (l *Ledger) BeginAnew(ctx context.Context, by tenure.Principal, reason string) (Begun, error) {
	if err := access.Check(by, tenure.BeginAuditAnew); err != nil {
		return Begun{}, err
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		return Begun{}, tenure.InvalidField("reason", "a reason is needed: the audit log tells it for ever")
	}
	done, err := l.turn.take(ctx)
	if err != nil {
		return Begun{}, err
	}
	defer done()
	ctx = tenure.Everywhere(ctx)
	if _, err := l.keys(ctx); err != nil { // else nothing would be over the new tree
		return Begun{}, fmt.Errorf("audit signing key: %w", err)
	}
	out := Begun{}
	if out.Fault, err = l.wrong(ctx); err != nil {
		return Begun{}, err
	}
	if out.Fault == "" {
		return Begun{}, &tenure.Error{Kind: tenure.Conflict, Code: "audit_tree_good", Msg: "the tree of the audit log is the one that was signed: it is not begun anew"}
	}
	err = l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		detail, err := l.before(ctx, tx)
		if err != nil {
			return err
		}
		if out.Epoch, err = tx.BeginTree(ctx, audit.Tellers()...); err != nil {
			return err
		}
		if err := vouch(ctx, tx, detail); err != nil {
			return err
		}
		detail["epoch"], detail["fault"] = out.Epoch, out.Fault
		return tx.Append(ctx, audit.TreeBegun(by, reason, detail))
	})
	if err != nil {
		return Begun{}, fmt.Errorf("begin the tree of the audit log anew: %w", err)
	}
	l.tree, l.settled.begun = nil, 0
	l.forget()
	if err := l.placeRest(ctx); err != nil {
		return Begun{}, err
	}
	out.Places = l.Standing().Places
	return out, nil
}

// namedErased is how many events an event names that stood as erased.
const namedErased = 100

// vouch takes events that stand as erased, and of which no event tells, or that have
// something in them nevertheless, as they stand: else each would be a fault of the new tree,
// and hide those behind it. It notes how many, and the first of them.
func vouch(ctx context.Context, tx *store.Tx, detail map[string]string) error {
	tellers, err := tx.Tellers(ctx, 0)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for _, t := range tellers {
		for id := range strings.FieldsSeq(t.Detail["events"]) {
			told[erasedKey(t.Tenant, id)] = true
		}
	}
	events, err := tx.ErasedEvents(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, e := range events {
		if told[erasedKey(e.Tenant, e.ID)] && audit.Bare(e) {
			continue
		}
		if err := tx.TakeAsItStands(ctx, e.Seq); err != nil {
			return err
		}
		ids = append(ids, e.ID)
	}
	if len(ids) > 0 {
		detail["erased_untold"], detail["erased_events"] = strconv.Itoa(len(ids)), strings.Join(ids[:min(len(ids), namedErased)], " ")
	}
	return nil
}

// placeRest gives places until all events have theirs that were there when it began. A replica
// that serves may be at it too: then it waits for what that does.
func (l *Ledger) placeRest(ctx context.Context) error {
	for {
		n, taken, err := l.placeOnce(ctx)
		if err != nil || !taken && n < batch {
			return err
		}
		if taken {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(look / 4):
			}
		}
	}
}

// wrong is what is wrong with the tree; "": nothing is.
func (l *Ledger) wrong(ctx context.Context) (string, error) {
	l.tree = nil
	err := l.resume(ctx)
	if err != nil && !isBroken(err) {
		return "", err
	}
	found, failed := l.verify(ctx, Question{})
	switch {
	case failed != nil:
		return "", failed
	case found.Fault != nil:
		return fmt.Sprintf("place %d: %s", found.Fault.Place, found.Fault.What), nil
	case err != nil:
		return tenure.AsError(err).Msg, nil
	}
	return "", nil
}

// before tells how far the tree goes that is to be given up, and what this server had
// signed of it.
func (l *Ledger) before(ctx context.Context, tx *store.Tx) (map[string]string, error) {
	tree, err := tx.Tree(ctx)
	if err != nil {
		return nil, err
	}
	last, err := tx.LastCheckpoint(ctx)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return nil, err
	}
	said, err := parse(last.Note)
	if err != nil {
		said = signedRoot{} // whatever stands there
	}
	detail := map[string]string{
		"size": strconv.FormatInt(tree.Size, 10), "signed": strconv.FormatInt(said.size, 10), "root": cmp.Or(tree.Root, "unknown"), "epoch_before": tree.Epoch,
	}
	if said.size > 0 {
		detail["signed_root"] = said.root.String()
	}
	if m := l.remembered(); m.size > 0 {
		detail["remembered"], detail["remembered_root"] = strconv.FormatInt(m.size, 10), m.root.String()
	}
	return detail, nil
}
