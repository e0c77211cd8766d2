package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Report is everything that a person has or had, and whether they are gone.
type Report struct {
	At            time.Time    `json:"at"`
	User          ReportUser   `json:"user"`
	Complete      bool         `json:"complete" doc:"Nothing lets the person in, or acts for them, any more"`
	Remaining     []ReportItem `json:"remaining" doc:"What still lives, each with the reason"`
	Rotate        []ReportItem `json:"rotate" doc:"Secrets that live on by right and that the person has seen"`
	DeactivatedAt *time.Time   `json:"deactivated_at"`
	LastEndedAt   *time.Time   `json:"last_ended_at" doc:"Null while something remains"`
	Seconds       *float64     `json:"seconds" doc:"From the deactivation until the last of it had ended; null while something remains"`
	StreamsCut    *int         `json:"streams_cut" doc:"By the deactivation; null: it did not tell"`
	CutMS         *float64     `json:"cut_ms" doc:"Milliseconds until the last of them was told to end; null: it did not tell"`
	StreamsKnown  bool         `json:"streams_known" doc:"Whether the process that answers knows what is open"`
	Beliefs       int          `json:"beliefs" doc:"How many the person has, with those that others took the place of; nobody else reads them"`
	Items         []ReportItem `json:"items"`
}

// ReportUser is the person of a report.
type ReportUser struct {
	ID          string     `json:"id"`
	UserName    string     `json:"user_name"`
	DisplayName string     `json:"display_name,omitempty"`
	State       string     `json:"state" enum:"active,deactivated,deleted"`
	CreatedAt   time.Time  `json:"created_at"`
	DeletedAt   *time.Time `json:"deleted_at"`
}

// ReportItem is one thing that a person has or had.
type ReportItem struct {
	Kind          string     `json:"kind" enum:"person,stream,session,token,service_account,membership,group,token_request,provider,connector,exception"`
	ID            string     `json:"id" doc:"Of a stream, that of its token"`
	Name          string     `json:"name"`
	Workspace     string     `json:"workspace,omitempty"`
	WorkspaceName string     `json:"workspace_name,omitempty"`
	State         string     `json:"state"`
	About         string     `json:"about,omitempty" doc:"The kind of a token, a role, an address, how many streams"`
	Of            string     `json:"of,omitempty" doc:"Of a token, its service account; of a membership, the group that gives it"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at"`
	EndedAt       *time.Time `json:"ended_at"`
	EndedBy       string     `json:"ended_by,omitempty"`
	Reason        string     `json:"reason,omitempty"`
	Remaining     string     `json:"remaining,omitempty" doc:"Why the person is not gone while this lives"`
	Rotate        string     `json:"rotate,omitempty" doc:"Why this secret should be changed"`
}

func showItems(items []governance.Item) []ReportItem {
	out := make([]ReportItem, 0, len(items))
	for _, i := range items {
		out = append(out, ReportItem{
			i.Kind, i.ID, i.Name, string(i.Workspace), i.WorkspaceName, i.State, i.About, i.Of, i.CreatedAt.UTC(), when(i.ExpiresAt), when(i.EndedAt),
			i.EndedBy, i.Reason, i.Remaining, i.Rotate,
		})
	}
	return out
}

// ShowReport gives a report in the form in which the API and the command line tell it.
func ShowReport(r governance.Report) Report {
	out := Report{
		At: r.At.UTC(), User: ReportUser{string(r.ID), r.UserName, r.DisplayName, r.State(), r.CreatedAt.UTC(), when(r.DeletedAt)}, Complete: r.Complete,
		Remaining: showItems(r.Left()), Rotate: showItems(r.ToRotate()), DeactivatedAt: when(r.DeactivatedAt), LastEndedAt: when(r.LastEndedAt),
		StreamsKnown: r.StreamsKnown, Beliefs: r.Beliefs, Items: showItems(r.Items),
	}
	if r.Complete {
		s := float64(r.Took.Microseconds()) / 1e6
		out.Seconds = &s
	}
	if r.StreamsCut >= 0 {
		ms := float64(r.CutTook.Microseconds()) / 1000
		out.StreamsCut, out.CutMS = &r.StreamsCut, &ms
	}
	return out
}

type reportIn struct {
	ID     string `path:"id" maxLength:"255" doc:"The id or the userName; of somebody deleted too"`
	Format string `query:"format" enum:"json,csv" default:"json"`
}

// reportOut is JSON, or the bytes of a CSV.
type reportOut struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        any
}

func (a *API) mountReport(m *mounting) {
	schema := m.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Report](), true, "Report")
	operation(m, tenure.ReportUser, huma.Operation{
		OperationID: "report-user", Method: http.MethodGet, Path: "/api/v1/admin/users/{id}/report", Tags: []string{"Administration: users"},
		Summary: "Everything that a person has or had, and whether they are gone",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: schema}, "text/csv": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, func(ctx context.Context, in *reportIn) (*reportOut, error) {
		r, err := a.Governance.Report(ctx, web.Principal(ctx), in.ID)
		if err != nil {
			return nil, err
		}
		if in.Format == "csv" {
			return &reportOut{"text/csv; charset=utf-8; header=present", `attachment; filename="report.csv"`, r.CSV()}, nil
		}
		return &reportOut{ContentType: "application/json", Body: ShowReport(r)}, nil
	})
}
