package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
)

// Proof is an event with all that shows that it is in the log: its place, the hashes
// from its leaf to the root (RFC 6962 §2.1.1), and the signed root. It is verified by
// itself, with the public key that one trusts.
type Proof struct {
	Event      Event    `json:"event"`
	Place      int64    `json:"place" doc:"In the tree, from 0"`
	Hashes     []string `json:"hashes" doc:"From the leaf to the root, in base64"`
	Checkpoint string   `json:"checkpoint" doc:"A C2SP signed note"`
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
	if last.Size <= placed.Place {
		return Proof{}, tenure.ErrNotFound // the next checkpoint has it
	}
	hashes, err := tlog.ProveRecord(last.Size, placed.Place, reading(ctx, l.DB))
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Event: showEvent(*placed.Event), Place: placed.Place, Checkpoint: last.Note}
	for _, h := range hashes {
		p.Hashes = append(p.Hashes, h.String())
	}
	return p, nil
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
	if len(p.Event.Erased) > 0 {
		return 0, errors.New("the event was changed: what may be about a person stands as erased in it, and nothing erases that")
	}
	hashes := make(tlog.RecordProof, len(p.Hashes))
	for i, text := range p.Hashes {
		if hashes[i], err = tlog.ParseHash(text); err != nil {
			return 0, tenure.InvalidField("hashes", "hash %d of the proof is none", i)
		}
	}
	if p.Place < 0 || p.Place >= c.size {
		return 0, tenure.InvalidField("place", "the checkpoint has %d places, and the proof is about place %d", c.size, p.Place)
	}
	if err := tlog.CheckRecord(hashes, c.size, c.root, p.Place, audit.Leaf(eventOf(p.Event))); err != nil {
		return 0, fmt.Errorf("the event is not the one at place %d of the log: it was changed, or never there", p.Place)
	}
	return c.size, nil
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
