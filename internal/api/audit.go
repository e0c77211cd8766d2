package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/web"
)

// AuditEvent is one thing that happened.
type AuditEvent struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at"`
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

type auditIn struct {
	Paging
	Actor     string    `query:"actor" maxLength:"255" doc:"The id or the name of who did it"`
	Object    string    `query:"object" maxLength:"255" doc:"The id or the name of what it was done to"`
	Action    string    `query:"action" maxLength:"100" doc:"A whole action, or its first words: \"token.minted\", \"token\""`
	Workspace string    `query:"workspace" maxLength:"200" doc:"The id of a workspace"`
	RequestID string    `query:"request_id" maxLength:"200" doc:"As in X-Request-Id"`
	Since     time.Time `query:"since" doc:"At this time or later, RFC 3339"`
	Until     time.Time `query:"until" doc:"Before this time, RFC 3339"`
}

func (a *API) mountAudit(m *mounting) {
	operation(m, tenure.ReadAudit, huma.Operation{OperationID: "list-audit", Method: http.MethodGet, Path: "/api/v1/admin/audit", Summary: "The audit log, newest first", Tags: []string{"Administration"}},
		func(ctx context.Context, in *auditIn) (*list[AuditEvent], error) {
			rows, err := a.Governance.Audit(ctx, web.Principal(ctx), governance.AuditFilter{
				Actor: in.Actor, Object: in.Object, Action: in.Action, Workspace: tenure.WorkspaceID(in.Workspace), RequestID: in.RequestID,
				Since: in.Since, Until: in.Until, After: in.Cursor, Limit: in.Limit + 1,
			})
			out := &list[AuditEvent]{}
			if len(rows) > in.Limit {
				rows = rows[:in.Limit]
				out.Body.Next = rows[in.Limit-1].ID
			}
			out.Body.Items = make([]AuditEvent, 0, len(rows))
			for _, e := range rows {
				out.Body.Items = append(out.Body.Items, ShowAudit(e))
			}
			return out, err
		})
	operation(m, tenure.ReadAudit, huma.Operation{
		OperationID: "pull-audit", Method: http.MethodGet, Path: "/api/v1/admin/audit/events", Summary: "The audit log for collecting it, oldest first, without gaps", Tags: []string{"Administration"},
		Description: "In the order of the events' places in the log's tree, which never changes. Ask again with next_cursor, which is always there once there was an event: nothing is missed. An event has its place within seconds.",
	},
		func(ctx context.Context, in *pullIn) (*list[PulledEvent], error) {
			got, err := a.Sinks.Pull(ctx, web.Principal(ctx), in.Cursor, in.Limit)
			out := &list[PulledEvent]{}
			out.Body.Items, out.Body.Next = make([]PulledEvent, 0, len(got.Events)), got.Next
			for _, p := range got.Events {
				place := &p.Place
				if p.Event.Tenant != tenure.DefaultTenant {
					place = nil
				}
				record := audit.Show(*p.Event, place)
				if in.Format == tenure.FormatOCSF {
					out.Body.Items = append(out.Body.Items, PulledEvent{audit.OCSF(record)})
					continue
				}
				out.Body.Items = append(out.Body.Items, PulledEvent{record})
			}
			return out, err
		})
}

// PulledEvent is an event in the form that was asked for: audit.Record, or OCSF.
type PulledEvent struct{ form any }

// MarshalJSON implements json.Marshaler.
func (e PulledEvent) MarshalJSON() ([]byte, error) { return json.Marshal(e.form) }

// Schema implements huma.SchemaProvider.
func (PulledEvent) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "An event in our own form, or with format=ocsf in the class of OCSF 1.3 that fits its action",
		OneOf: []*huma.Schema{
			r.Schema(reflect.TypeFor[audit.Record](), true, "AuditRecord"),
			{
				Type: huma.TypeObject, Required: []string{"class_uid", "metadata"}, AdditionalProperties: true,
				Properties: map[string]*huma.Schema{"class_uid": {Type: huma.TypeInteger}, "metadata": {Type: huma.TypeObject, AdditionalProperties: true}},
			},
		},
	}
}

type pullIn struct {
	Paging
	Format string `query:"format" enum:"native,ocsf" default:"native" doc:"ocsf: in the classes of OCSF 1.3"`
}

// ShowAudit gives an event in the form in which the API and the command line tell it.
func ShowAudit(e tenure.AuditEvent) AuditEvent {
	return AuditEvent{
		e.ID, e.At.UTC(), string(e.Workspace), e.Action, e.ActorKind, e.ActorID, e.Actor, e.ObjectID, e.Object, e.Outcome, e.Reason,
		e.RequestID, e.Address, e.Detail, len(e.Erased) > 0,
	}
}
