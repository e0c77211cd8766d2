package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// AuditHold is a legal hold.
type AuditHold struct {
	ID            string     `json:"id"`
	Matter        string     `json:"matter" doc:"What it is for"`
	PlacedAt      time.Time  `json:"placed_at"`
	PlacedBy      string     `json:"placed_by"`
	ReleasedAt    *time.Time `json:"released_at" doc:"null: it is in force"`
	ReleasedBy    string     `json:"released_by,omitempty"`
	ReleaseReason string     `json:"release_reason,omitempty"`
}

// ShowAuditHold is a legal hold as the API and the command line show it.
func ShowAuditHold(h tenure.AuditHold) AuditHold {
	return AuditHold{
		ID: string(h.ID), Matter: h.Matter, PlacedAt: h.PlacedAt, PlacedBy: h.PlacedBy, ReleasedAt: when(h.ReleasedAt), ReleasedBy: h.ReleasedBy, ReleaseReason: h.ReleaseReason,
	}
}

type auditHoldIn struct {
	Body struct {
		Matter string `json:"matter" minLength:"1" maxLength:"1000" example:"Case 4711" doc:"What it is for; it is in the log for ever, so it should name nobody"`
	}
}

type releaseHoldIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why; it is in the log for ever, so it should name nobody"`
	}
}

func (a *API) mountAuditHolds(m *mounting) {
	const path = "/api/v1/admin/audit/holds"
	tags := []string{"Administration"}
	operation(m, tenure.ListHolds, huma.Operation{OperationID: "list-audit-holds", Method: http.MethodGet, Path: path, Summary: "Legal holds, the newest first", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*list[AuditHold], error) {
			rows, err := a.Ledger.Holds(ctx, web.Principal(ctx))
			out := &list[AuditHold]{}
			out.Body.Items = make([]AuditHold, 0, len(rows))
			for _, h := range rows {
				out.Body.Items = append(out.Body.Items, ShowAuditHold(h))
			}
			return out, err
		})
	operation(m, tenure.PlaceHold, huma.Operation{
		OperationID: "place-audit-hold", Method: http.MethodPost, Path: path, Summary: "Place a legal hold", Tags: tags, DefaultStatus: http.StatusCreated,
		Description: "While it is in force, nothing of the tenant's audit log is removed by retention, and nothing is erased.",
		Metadata:    reveals(),
	},
		func(ctx context.Context, in *auditHoldIn) (*body[AuditHold], error) {
			h, err := a.Ledger.PlaceHold(ctx, web.Principal(ctx), in.Body.Matter)
			return &body[AuditHold]{ShowAuditHold(h)}, err
		})
	operation(m, tenure.ReleaseHold, huma.Operation{OperationID: "release-audit-hold", Method: http.MethodPost, Path: path + "/{id}/release", Summary: "Release a legal hold", Tags: tags},
		func(ctx context.Context, in *releaseHoldIn) (*body[AuditHold], error) {
			h, err := a.Ledger.ReleaseHold(ctx, web.Principal(ctx), tenure.HoldID(in.ID), in.Body.Reason)
			return &body[AuditHold]{ShowAuditHold(h)}, err
		})
}
