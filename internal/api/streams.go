package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Stream is one request in flight to a model.
type Stream struct {
	ID             string    `json:"id" doc:"The request's id, as X-Request-Id has it"`
	Who            string    `json:"who" doc:"The person, or the service account"`
	User           string    `json:"user,omitempty" doc:"The person's id"`
	ServiceAccount string    `json:"service_account,omitempty" doc:"The service account's id"`
	Token          string    `json:"token,omitempty" doc:"The token's id"`
	TokenName      string    `json:"token_name,omitempty"`
	Workspace      string    `json:"workspace" doc:"The workspace's name"`
	Provider       string    `json:"provider,omitempty" doc:"Absent as long as it is not known"`
	Model          string    `json:"model,omitempty" doc:"By the name that the provider gets; absent as long as it is not known"`
	Action         string    `json:"action" example:"chat.completions"`
	StartedAt      time.Time `json:"started_at"`
}

func showStream(s tenure.Stream) Stream {
	return Stream{
		s.ID, s.Who, string(s.User), string(s.ServiceAccount), string(s.Token), s.TokenName, s.WorkspaceName,
		s.Provider, s.Model, string(s.Action), s.Started.UTC(),
	}
}

// StreamEnded is a stream that was cut.
type StreamEnded struct {
	Stream Stream `json:"stream"`
	Ended  Ended  `json:"ended"`
}

type streamsIn struct {
	Paging
	Text string `query:"q" maxLength:"100" doc:"Only where this text is in the name of who asks, of the token or of the model, in any case"`
}

func (a *API) mountStreams(m *mounting) {
	tags := []string{"Administration: streams"}
	operation(m, tenure.ListStreams, huma.Operation{OperationID: "list-streams", Method: http.MethodGet, Path: "/api/v1/admin/streams", Summary: "Requests in flight to models, the newest first", Tags: tags},
		func(ctx context.Context, in *streamsIn) (*list[Stream], error) {
			page, err := a.Directory.Streams(ctx, web.Principal(ctx), directory.StreamFilter{Text: in.Text, After: in.Cursor, Limit: in.Limit})
			out := &list[Stream]{}
			out.Body.Items, out.Body.Next = make([]Stream, 0, len(page.Streams)), page.Next
			for _, s := range page.Streams {
				out.Body.Items = append(out.Body.Items, showStream(s))
			}
			return out, err
		})
	operation(m, tenure.CutStream, huma.Operation{OperationID: "cut-stream", Method: http.MethodPost, Path: "/api/v1/admin/streams/{id}/cut", Summary: "End one request in flight; its token stays good", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[StreamEnded], error) {
			s, e, err := a.Directory.CutStream(ctx, web.Principal(ctx), in.ID)
			return &body[StreamEnded]{StreamEnded{showStream(s), ended(e)}}, err
		})
}
