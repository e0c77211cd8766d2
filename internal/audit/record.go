package audit

import (
	"time"

	"github.com/tenure-gateway/tenure"
)

// RecordSchema is the version of Record and Mark: fields may be added to it, and none
// is removed or changes its meaning without a new number.
const RecordSchema = 1

// Record is an event as it leaves Tenure: in files, to sinks and to who pulls.
type Record struct {
	Schema    int               `json:"schema" doc:"Version of this form: 1"`
	Place     *int64            `json:"place,omitempty" doc:"In the tree of the installation, from 0; not told to other tenants than the default one"`
	ID        string            `json:"id" doc:"Of the event; what comes twice has the same"`
	At        time.Time         `json:"at"`
	Tenant    tenure.TenantID   `json:"tenant"`
	Workspace string            `json:"workspace,omitempty"`
	Action    string            `json:"action"`
	ActorKind string            `json:"actor_kind"`
	ActorID   string            `json:"actor_id,omitempty"`
	Actor     string            `json:"actor,omitempty"`
	ObjectID  string            `json:"object_id,omitempty"`
	Object    string            `json:"object,omitempty"`
	Outcome   string            `json:"outcome" enum:"success,refused"`
	Reason    string            `json:"reason,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Address   string            `json:"address,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
	Erased    bool              `json:"erased,omitempty" doc:"What may be about a person was erased"`
}

// Show gives an event in the form in which it leaves. Its place is told to those who may
// know how much all tenants do.
func Show(e tenure.AuditEvent, place *int64) Record {
	return Record{
		RecordSchema, place, e.ID, e.At.UTC(), e.Tenant, string(e.Workspace), e.Action, e.ActorKind, e.ActorID, e.Actor,
		e.ObjectID, e.Object, e.Outcome, e.Reason, e.RequestID, e.Address, e.Detail, len(e.Erased) > 0,
	}
}

// The actions of marks. They are no events: they have no place.
const (
	MarkCheckpoint = "audit.checkpoint"
	MarkWentBack   = "audit.went_back"
)

// Mark is what leaves beside events: a checkpoint of all places before it, or that the
// database is at an earlier state than it was, and goes on from there.
type Mark struct {
	Schema     int       `json:"schema"`
	Action     string    `json:"action"`
	At         time.Time `json:"at"`
	Places     int64     `json:"places"`          // that the checkpoint is over, or that are still true
	After      string    `json:"after,omitempty"` // id of the event in the last of them
	Checkpoint string    `json:"checkpoint,omitempty"`
}
