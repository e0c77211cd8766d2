package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Proof is an event with all that shows that it is in the log: its place, the hashes
// from its leaf to the root (RFC 6962 §2.1.1), and the signed root. It is verified by
// itself, with the public key that one trusts.
type Proof struct {
	Event      Event    `json:"event"`
	Place      int64    `json:"place" doc:"In the tree, from 0"`
	Hashes     []string `json:"hashes" doc:"From the leaf to the root, in base64"`
	Checkpoint string   `json:"checkpoint" doc:"A C2SP signed note"`

	ErasedBy *Included `json:"erased_by,omitempty" doc:"What tells that what may be about a person was erased from the event"`
}

// Included is an event that is in the log under the same checkpoint.
type Included struct {
	Event  Event    `json:"event"`
	Place  int64    `json:"place" doc:"In the tree, from 0"`
	Hashes []string `json:"hashes" doc:"From the leaf to the root, in base64"`
}

// Event is an event with every field that its leaf is made of.
type Event struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
	Tenant    tenure.TenantID   `json:"tenant"`
	Workspace string            `json:"workspace,omitempty"`
	Action    string            `json:"action"`
	ActorKind string            `json:"actor_kind"`
	ActorID   string            `json:"actor_id,omitempty"`
	Actor     string            `json:"actor,omitempty"`
	ObjectID  string            `json:"object_id,omitempty"`
	Object    string            `json:"object,omitempty"`
	Outcome   string            `json:"outcome"`
	Reason    string            `json:"reason,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Address   string            `json:"address,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
	Salt      []byte            `json:"salt,omitempty" doc:"Under which what may be about a person is bound to the event"`
	Erased    []byte            `json:"erased,omitempty" doc:"What binds it, where that was erased"`
}

func showEvent(e tenure.AuditEvent) Event {
	return Event{
		ID: e.ID, At: e.At.UTC(), Tenant: e.Tenant, Workspace: string(e.Workspace), Action: e.Action, ActorKind: e.ActorKind, ActorID: e.ActorID,
		Actor: e.Actor, ObjectID: e.ObjectID, Object: e.Object, Outcome: e.Outcome, Reason: e.Reason, RequestID: e.RequestID,
		Address: e.Address, Detail: e.Detail, Salt: e.Salt, Erased: e.Erased,
	}
}

func eventOf(e Event) tenure.AuditEvent {
	return tenure.AuditEvent{
		ID: e.ID, At: e.At, Tenant: e.Tenant, Workspace: tenure.WorkspaceID(e.Workspace), Action: e.Action, ActorKind: e.ActorKind, ActorID: e.ActorID,
		Actor: e.Actor, ObjectID: e.ObjectID, Object: e.Object, Outcome: e.Outcome, Reason: e.Reason, RequestID: e.RequestID,
		Address: e.Address, Detail: e.Detail, Salt: e.Salt, Erased: e.Erased,
	}
}

// Prove shows that an event is in the log, by its id. NotFound: there is no such event,
// or it has no place yet.
func (l *Ledger) Prove(ctx context.Context, by tenure.Principal, id string) (Proof, error) {
	if err := access.Check(by, tenure.VerifyAudit); err != nil {
		return Proof{}, err
	}
	ctx = tenure.Everywhere(ctx)
	placed, err := l.DB.PlaceOf(ctx, id)
	if tenure.IsKind(err, tenure.NotFound) {
		err = cmp.Or(l.removedAround(ctx, by, id), err)
	}
	if err != nil {
		return Proof{}, err
	}
	if placed.Event == nil || placed.Event.Tenant != by.Tenant() && by.Kind() != tenure.Operator {
		return Proof{}, tenure.ErrNotFound // of another tenant, or removed meanwhile
	}
	last, err := l.DB.LastCheckpoint(ctx)
	if err != nil {
		return Proof{}, err
	}
	hashes, err := l.hashes(ctx, placed.Place, last)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Event: showEvent(*placed.Event), Place: placed.Place, Hashes: hashes, Checkpoint: last.Note}
	if len(placed.Event.Erased) > 0 {
		p.ErasedBy, err = l.erasedBy(ctx, *placed.Event, last)
	}
	return p, err
}

// removedAround is the error for an event that is not in the log, where one of its time was
// removed from what the asker sees; nil: none was. Ids begin with their time.
func (l *Ledger) removedAround(ctx context.Context, by tenure.Principal, id string) error {
	tenants := []tenure.Tenant{{ID: by.Tenant()}}
	if by.Kind() == tenure.Operator {
		var err error
		if tenants, err = l.DB.Tenants(ctx); err != nil {
			return err
		}
	}
	for _, t := range tenants {
		e, err := l.removal(ctx, t.ID, id)
		if err == nil {
			err = &tenure.Error{
				Kind: tenure.NotFound, Code: "audit_event_removed",
				Msg: fmt.Sprintf("the log has no such event: there never was one, or it is one of the %s of its time that retention removed at %s, of which the event %s tells",
					e.Detail["count"], e.At.UTC().Format(time.RFC3339), e.ID),
			}
		}
		if !errors.Is(err, errNoRemoval) {
			return err
		}
	}
	return nil
}

var errNoRemoval = errors.New("no event tells of a removal around it")

// removal is the newest event that tells of others of a tenant that were removed, from an id
// before a given one to one behind it. errNoRemoval: none does.
func (l *Ledger) removal(ctx context.Context, tenant tenure.TenantID, id string) (tenure.AuditEvent, error) {
	f := store.AuditFilter{Tenant: tenant, Action: audit.Removed, Limit: page}
	for {
		tellers, err := l.DB.AuditEvents(ctx, f)
		if err != nil {
			return tenure.AuditEvent{}, err
		}
		for _, e := range tellers {
			if e.Detail["first"] <= id && id <= e.Detail["last"] {
				return e, nil
			}
		}
		if len(tellers) < page {
			return tenure.AuditEvent{}, errNoRemoval
		}
		f.After = tellers[page-1].ID
	}
}

// hashes lead from a place to the root of a checkpoint. NotFound: the next one has it.
func (l *Ledger) hashes(ctx context.Context, place int64, last store.Checkpoint) ([]string, error) {
	if last.Size <= place {
		return nil, tenure.ErrNotFound
	}
	hashes, err := tlog.ProveRecord(last.Size, place, reading(ctx, l.DB))
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = h.String()
	}
	return out, err
}

// erasedBy shows what tells of an erasure; nil: nothing does. NotFound: the next checkpoint
// has it.
func (l *Ledger) erasedBy(ctx context.Context, e tenure.AuditEvent, last store.Checkpoint) (*Included, error) {
	teller, err := l.DB.ErasureOf(ctx, e)
	if tenure.IsKind(err, tenure.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	placed, err := l.DB.PlaceOf(ctx, teller.ID)
	if err != nil {
		return nil, err
	}
	hashes, err := l.hashes(ctx, placed.Place, last)
	return &Included{Event: showEvent(teller), Place: placed.Place, Hashes: hashes}, err
}

// Check verifies a proof by itself: that its event is in the log whose root the key has
// signed. It gives how many places that log had. Invalid: it is no proof.
func (p Proof) Check(keys ...string) (int64, error) {
	v, err := newVerifier(nil, Question{Keys: keys})
	if err != nil {
		return 0, err
	}
	c, _, err := v.open(p.Checkpoint)
	if err != nil {
		return 0, fmt.Errorf("the checkpoint of the proof is not to be trusted: %w", err)
	}
	if err := (Included{p.Event, p.Place, p.Hashes}).check(c); err != nil {
		return 0, err
	}
	if len(p.Event.Erased) == 0 {
		return c.size, nil
	}
	e, why := eventOf(p.Event), errors.New("the event was changed: what may be about a person stands as erased in it, and nothing in the proof tells who did it")
	if p.ErasedBy == nil || !audit.Bare(e) {
		return 0, why
	}
	if err := p.ErasedBy.check(c); err != nil {
		return 0, err
	}
	teller, seen := eventOf(p.ErasedBy.Event), &verifier{}
	seen.missing.met(p.Place, &e)
	if seen.told(&teller); seen.waits() {
		return 0, why
	}
	return c.size, nil
}

// check verifies that the event is under a checkpoint.
func (p Included) check(c signedRoot) (err error) {
	hashes := make(tlog.RecordProof, len(p.Hashes))
	for i, text := range p.Hashes {
		if hashes[i], err = tlog.ParseHash(text); err != nil {
			return tenure.InvalidField("hashes", "hash %d of the proof is none", i)
		}
	}
	if p.Place < 0 || p.Place >= c.size {
		return tenure.InvalidField("place", "the checkpoint has %d places, and the proof is about place %d", c.size, p.Place)
	}
	if err := tlog.CheckRecord(hashes, c.size, c.root, p.Place, audit.Leaf(eventOf(p.Event))); err != nil {
		return fmt.Errorf("the event is not the one at place %d of the log: it was changed, or never there", p.Place)
	}
	return nil
}

// Checkpoint gives what waits its places, and is the signed root over all of it, for
// keeping it elsewhere. Unavailable: the vault is sealed. NotFound: nothing has happened
// yet.
func (l *Ledger) Checkpoint(ctx context.Context, by tenure.Principal) (string, error) {
	if err := access.Check(by, tenure.VerifyAudit); err != nil {
		return "", err
	}
	if _, err := l.Place(ctx); err != nil {
		return "", err
	}
	c, err := l.DB.LastCheckpoint(ctx)
	if err != nil {
		return "", fmt.Errorf("the newest checkpoint: %w", err)
	}
	return c.Note, nil
}
