package audit

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Bounds of what is kept of an outage.
const (
	outageEvery    = time.Second // how often it is looked whether the uses can be written
	outageTokens   = 10_000      // further ones are counted together, by their workspace
	outageRequests = 20          // of one token, by their ids; further ones are counted
	outageBatch    = 500         // events in one transaction
)

// Outage keeps the uses of tokens during an outage of the database, in workspaces that
// chose to go on, until they can be written as events. It is in memory: a process that
// ends before has told of them by its log and its metrics only.
type Outage struct {
	DB *store.DB
	// Fresh answers an error while the database is away.
	Fresh func() error
	Log   *slog.Logger

	mu   sync.Mutex
	kept map[outageKey]*outageUse
	uses atomic.Uint64
}

// outageKey is the token; of those that are counted together, its tenant and workspace.
type outageKey struct {
	tenant tenure.TenantID
	space  tenure.WorkspaceID
	token  tenure.TokenID
}

// outageUse is what is told of one token.
type outageUse struct {
	of          *tenure.Standing
	first, last time.Time
	count       int
	requests    []string
}

// Note keeps one use: a request that was admitted, or a stream that went on. It never
// waits for the database.
func (o *Outage) Note(p tenure.Principal, request string) {
	o.uses.Add(1)
	o.Log.Warn("token used without the database", "best_effort", true, "request_id", request,
		"token_id", string(p.Token()), "who", p.Label(), "workspace_id", string(p.Workspace()))
	now := o.DB.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	key := outageKey{p.Tenant(), p.Workspace(), p.Token()}
	if o.kept[key] == nil && len(o.kept) >= outageTokens {
		key.token = ""
	}
	if o.kept == nil {
		o.kept = make(map[outageKey]*outageUse)
	}
	u := o.kept[key]
	if u == nil {
		u = &outageUse{first: now}
		if key.token != "" {
			u.of = p.Standing()
		}
		o.kept[key] = u
	}
	u.last = now
	u.count++
	if key.token != "" && len(u.requests) < outageRequests {
		u.requests = append(u.requests, request)
	}
}

// Uses is how many uses there were since the start.
func (o *Outage) Uses() uint64 { return o.uses.Load() }

// Run writes what is kept once the database is back, until ctx ends, and then once more.
func (o *Outage) Run(ctx context.Context, report func(error)) {
	store.WriteBehind(ctx, outageEvery, o.Flush, report)
	if n := o.waiting(); n > 0 {
		report(fmt.Errorf("audit: the uses of %d tokens without the database are in the log only", n))
	}
}

// Flush writes what is kept, unless the database is away; what could not be written
// is kept.
func (o *Outage) Flush(ctx context.Context) error {
	for o.Fresh() == nil {
		batch := o.take()
		if len(batch) == 0 {
			return nil
		}
		err := o.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for key, u := range batch {
				if err := tx.Append(ctx, usedInOutage(key, u)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			o.giveBack(batch)
			return err
		}
	}
	return nil
}

// waiting is of how many tokens uses are kept.
func (o *Outage) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.kept)
}

// take takes some of what is kept.
func (o *Outage) take() map[outageKey]*outageUse {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch := make(map[outageKey]*outageUse, min(len(o.kept), outageBatch))
	for key, u := range o.kept {
		if len(batch) >= outageBatch {
			break
		}
		batch[key] = u
		delete(o.kept, key)
	}
	return batch
}

// giveBack keeps what was taken, with what came meanwhile.
func (o *Outage) giveBack(batch map[outageKey]*outageUse) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, u := range batch {
		if more := o.kept[key]; more != nil {
			u.last, u.count = more.last, u.count+more.count
			u.requests = append(u.requests, more.requests[:min(len(more.requests), outageRequests-len(u.requests))]...)
		}
		o.kept[key] = u
	}
}

// usedInOutage tells that a token was used during an outage of the database, by a
// workspace's own choice.
func usedInOutage(key outageKey, u *outageUse) tenure.AuditEvent {
	e := tenure.AuditEvent{
		Tenant: key.tenant, Workspace: key.space, Action: "token.used_in_outage", Outcome: Success,
		ActorKind: "unknown", Reason: "best_effort",
		Detail: map[string]string{
			"count": strconv.Itoa(u.count), "first": u.first.UTC().Format(time.RFC3339Nano), "last": u.last.UTC().Format(time.RFC3339Nano),
			"requests": strings.Join(u.requests, " "),
		},
	}
	if s := u.of; s != nil {
		e.ActorKind, e.ActorID, e.Actor = s.Kind.String(), string(s.User), s.Label()
		if s.User == "" {
			e.ActorID = string(s.Token)
		}
		e.ObjectID, e.Object = string(s.Token), s.Name
		e.Detail["grace_seconds"], e.Detail["exception"] = wholeSeconds(s.Outage.Grace), string(s.Outage.By)
		if u.count == 1 {
			e.RequestID = u.requests[0]
		}
	}
	return e
}
