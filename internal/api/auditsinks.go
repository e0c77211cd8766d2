package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/web"
)

// AuditSink is a receiver of audit events: never its secret.
type AuditSink struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Everywhere bool       `json:"everywhere" doc:"It gets the events of all tenants"`
	Kind       string     `json:"kind" enum:"webhook,syslog,otlp"`
	Address    string     `json:"address"`
	Format     string     `json:"format" enum:"native,ocsf"`
	Header     string     `json:"header,omitempty" doc:"Name of the header whose value is sealed"`
	Paused     bool       `json:"paused"`
	LagEvents  int64      `json:"lag_events" doc:"Events that it does not have yet: of one tenant up to 1000, of one of all tenants places in the log"`
	LagSeconds float64    `json:"lag_seconds" doc:"Age of the oldest event that it does not have yet"`
	SentAt     *time.Time `json:"sent_at" doc:"When something was last accepted"`
	Error      string     `json:"error,omitempty" doc:"Why the last attempt failed"`
	ErrorAt    *time.Time `json:"error_at,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  string     `json:"created_by,omitempty"`
}

// ShowAuditSink is a sink as the API and the command line show it.
func ShowAuditSink(s tenure.AuditSink, stands sink.Standing, now time.Time) AuditSink {
	return AuditSink{
		string(s.ID), s.Name, s.Everywhere, s.Kind, s.Address, s.Format, s.Header, s.Paused, stands.Events, stands.Lag(now).Seconds(), when(s.SentAt),
		s.Error, when(s.ErrorAt), s.CreatedAt, s.CreatedBy,
	}
}

// NewAuditSink is a sink that was just made.
type NewAuditSink struct {
	AuditSink
	Secret string `json:"secret,omitempty" doc:"What a webhook's requests are signed with; shown this once"`
}

type auditSinkIn struct {
	Body struct {
		Name      string `json:"name" example:"SIEM"`
		Kind      string `json:"kind" enum:"webhook,syslog,otlp"`
		Address   string `json:"address" example:"https://siem.example.com/tenure" doc:"A URL; of syslog host:port"`
		Format    string `json:"format,omitempty" enum:"native,ocsf" doc:"native when left out"`
		CA        string `json:"ca,omitempty" doc:"Syslog: PEM of whose certificates are believed instead of the usual"`
		Cert      string `json:"cert,omitempty" doc:"Syslog: PEM of the client's certificate; its key is the secret"`
		Header    string `json:"header,omitempty" example:"Authorization" doc:"OTLP: a header whose value is the secret"`
		Secret    string `json:"secret,omitempty" doc:"Sealed at once and never given back. Of a webhook it is made" writeOnly:"true"`
		FromStart bool   `json:"from_start,omitempty" doc:"Send the whole log, not only what comes from now on"`
	}
}

type rotateSinkIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Secret  string `json:"secret,omitempty" doc:"OTLP: the new value of the header; syslog: the key of the new certificate. Of a webhook it is made" writeOnly:"true"`
		Cert    string `json:"cert,omitempty" doc:"Syslog: PEM of the client's new certificate"`
		Overlap string `json:"overlap,omitempty" example:"24h" doc:"Webhook: for how long both secrets sign; 24h when left out, at most 7d"`
	}
}

// made is a sink with the secret that is shown this once.
func (a *API) made(row tenure.AuditSink, secret tenure.Secret) *body[NewAuditSink] {
	out := NewAuditSink{AuditSink: ShowAuditSink(row, sink.Standing{}, a.Sinks.DB.Now())}
	if !secret.IsZero() {
		out.Secret = secret.Reveal()
	}
	return &body[NewAuditSink]{out}
}

const sinksPath = "/api/v1/admin/audit-sinks"

func (a *API) mountAuditSinks(m *mounting) {
	const path = sinksPath
	tags := []string{"Administration: audit sinks"}
	operation(m, tenure.ListSinks, huma.Operation{OperationID: "list-audit-sinks", Method: http.MethodGet, Path: path, Summary: "Where the tenant's audit events are sent", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*list[AuditSink], error) {
			rows, err := a.Sinks.List(ctx, web.Principal(ctx))
			out := &list[AuditSink]{}
			out.Body.Items = make([]AuditSink, 0, len(rows))
			for _, s := range rows {
				out.Body.Items = append(out.Body.Items, ShowAuditSink(s.AuditSink, s.Standing, a.Sinks.DB.Now()))
			}
			return out, err
		})
	operation(m, tenure.CreateSink, huma.Operation{OperationID: "create-audit-sink", Method: http.MethodPost, Path: path, Summary: "Have the tenant's audit events sent somewhere", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals("secret")},
		func(ctx context.Context, in *auditSinkIn) (*body[NewAuditSink], error) {
			row, secret, err := a.Sinks.Create(ctx, web.Principal(ctx), tenure.AuditSink{
				Name: in.Body.Name, Kind: in.Body.Kind, Address: in.Body.Address, Format: in.Body.Format, CA: in.Body.CA, Cert: in.Body.Cert, Header: in.Body.Header,
			}, tenure.NewSecret(in.Body.Secret), in.Body.FromStart)
			if err != nil {
				return nil, err
			}
			return a.made(row, secret), nil
		})
	a.mountAuditSink(m, tags)
}

// mountAuditSink mounts what is of one sink.
func (a *API) mountAuditSink(m *mounting, tags []string) {
	const path = sinksPath
	operation(m, tenure.ListSinks, huma.Operation{OperationID: "get-audit-sink", Method: http.MethodGet, Path: path + "/{id}", Summary: "A sink, and how far it has come", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[AuditSink], error) {
			row, err := a.Sinks.Get(ctx, web.Principal(ctx), tenure.SinkID(in.ID))
			return &body[AuditSink]{ShowAuditSink(row.AuditSink, row.Standing, a.Sinks.DB.Now())}, err
		})
	operation(m, tenure.ChangeSink, huma.Operation{OperationID: "rotate-audit-sink", Method: http.MethodPost, Path: path + "/{id}/rotate", Summary: "Give a sink another secret; of a webhook both sign for a while", Tags: tags, Metadata: reveals("secret")},
		func(ctx context.Context, in *rotateSinkIn) (*body[NewAuditSink], error) {
			overlap, err := sink.ParseOverlap(in.Body.Overlap)
			if err != nil {
				return nil, err
			}
			row, secret, err := a.Sinks.Rotate(ctx, web.Principal(ctx), tenure.SinkID(in.ID), sink.NewSecret{Secret: tenure.NewSecret(in.Body.Secret), Cert: in.Body.Cert, Overlap: overlap})
			if err != nil {
				return nil, err
			}
			return a.made(row, secret), nil
		})
	for verb, paused := range map[string]bool{"pause": true, "resume": false} {
		summary := map[bool]string{true: "Send nothing more to a sink", false: "Let a sink go on where it was, at once"}[paused]
		operation(m, tenure.ChangeSink, huma.Operation{OperationID: verb + "-audit-sink", Method: http.MethodPost, Path: path + "/{id}/" + verb, Summary: summary, Tags: tags},
			func(ctx context.Context, in *idIn) (*body[AuditSink], error) {
				row, err := a.Sinks.Pause(ctx, web.Principal(ctx), tenure.SinkID(in.ID), paused)
				return &body[AuditSink]{ShowAuditSink(row, sink.Standing{}, a.Sinks.DB.Now())}, err
			})
	}
	operation(m, tenure.ChangeSink, huma.Operation{OperationID: "delete-audit-sink", Method: http.MethodDelete, Path: path + "/{id}", Summary: "Remove a sink", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			return nil, a.Sinks.Delete(ctx, web.Principal(ctx), tenure.SinkID(in.ID))
		})
}
