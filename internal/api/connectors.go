package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Connector is a SCIM connector as an administrator sees it.
type Connector struct {
	ID        string           `json:"id" doc:"\"builtin\": that of TENURE_SCIM_TOKEN"`
	Name      string           `json:"name"`
	Builtin   bool             `json:"builtin" doc:"Set by TENURE_SCIM_TOKEN: it is neither rotated nor deleted here"`
	CIDRs     []string         `json:"cidrs" doc:"From where its tokens are good; empty: from anywhere"`
	CreatedAt *time.Time       `json:"created_at"`
	CreatedBy string           `json:"created_by,omitempty"`
	Tokens    []ConnectorToken `json:"tokens" doc:"Those that are good now, newest first"`

	LastSeenAt *time.Time              `json:"last_seen_at" doc:"A few seconds old at most; null: nothing has come yet"`
	UsualEvery *int64                  `json:"usual_interval" doc:"Seconds that usually pass between two runs of the identity provider; null: not known yet"`
	SilentFor  *int64                  `json:"silent_for" doc:"Seconds since the last request; null: nothing has come yet"`
	Warning    string                  `json:"warning,omitempty" doc:"What is wrong with the feed, in a sentence; absent: nothing"`
	Operations map[string]RequestCount `json:"operations" doc:"By operation: users.create, users.update, …"`
	LastError  *ConnectorError         `json:"last_error"`
}

// ConnectorToken is a token of a connector, without anything to authenticate by.
type ConnectorToken struct {
	ID         string     `json:"id"`
	Prefix     string     `json:"prefix"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at" doc:"Set when a newer one has taken its place"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// RequestCount is how often an operation was asked for.
type RequestCount struct {
	OK     int64 `json:"ok"`
	Failed int64 `json:"failed"`
}

// ConnectorError is the last request that was answered with an error.
type ConnectorError struct {
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	Status    int       `json:"status"`
	ScimType  string    `json:"scim_type,omitempty"`
	Shape     string    `json:"shape,omitempty" doc:"Keys and types of the body that was sent; never its values"`
	RequestID string    `json:"request_id"`
}

// NewConnectorToken is a connector with a new token, the one time that it is shown.
type NewConnectorToken struct {
	Token     string    `json:"token" doc:"Shown only this once"`
	Connector Connector `json:"connector"`
}

func showConnector(v connector.View) Connector {
	out := Connector{
		ID: string(v.ID), Name: v.Name, Builtin: v.Builtin(), CIDRs: []string{}, CreatedAt: when(v.CreatedAt), CreatedBy: v.CreatedBy,
		Tokens: []ConnectorToken{}, LastSeenAt: when(v.Figures.LastSeenAt), UsualEvery: seconds(v.Figures.Usual), Warning: v.Warning,
		Operations: map[string]RequestCount{},
	}
	if !v.Figures.LastSeenAt.IsZero() {
		silent := int64(v.SilentFor.Seconds())
		out.SilentFor = &silent
	}
	for _, n := range v.Networks {
		out.CIDRs = append(out.CIDRs, n.String())
	}
	for _, t := range v.Tokens {
		out.Tokens = append(out.Tokens, ConnectorToken{string(t.ID), t.Prefix, t.CreatedAt, when(t.ExpiresAt), when(t.LastUsedAt)})
	}
	for _, c := range v.Figures.Counts {
		out.Operations[c.Operation] = RequestCount{c.OK, c.Failed}
	}
	if e := v.Figures.LastError; e != nil {
		out.LastError = &ConnectorError{e.At, e.Operation, e.Status, e.ScimType, e.Shape, e.RequestID}
	}
	return out
}

// seconds gives a length of time for JSON; none is null.
func seconds(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	n := int64(d.Seconds())
	return &n
}

type connectorIn struct {
	Body struct {
		Name  string   `json:"name" example:"Okta"`
		CIDRs []string `json:"cidrs,omitempty" doc:"Networks from where its token is good, for example 203.0.113.0/24; left out: from anywhere"`
	}
}

type rotateConnectorIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body *struct {
		Overlap string `json:"overlap,omitempty" doc:"How long the tokens before stay good: 0 to 7d, 24h when left out" example:"24h"`
	}
}

func (a *API) mountConnectors(m *mounting) {
	const path = "/api/v1/admin/scim-connectors"
	tags := []string{"Administration: SCIM connectors"}
	operation(m, tenure.ListConnectors, huma.Operation{OperationID: "list-scim-connectors", Method: http.MethodGet, Path: path, Summary: "SCIM connectors with their figures, the built-in one first", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*list[Connector], error) {
			rows, err := a.Connectors.List(ctx, web.Principal(ctx))
			out := &list[Connector]{}
			out.Body.Items = make([]Connector, 0, len(rows))
			for _, v := range rows {
				out.Body.Items = append(out.Body.Items, showConnector(v))
			}
			return out, err
		})
	operation(m, tenure.CreateConnector, huma.Operation{OperationID: "create-scim-connector", Method: http.MethodPost, Path: path, Summary: "Make a SCIM connector; its token is shown once", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals("token")},
		func(ctx context.Context, in *connectorIn) (*body[NewConnectorToken], error) {
			v, secret, err := a.Connectors.Create(ctx, web.Principal(ctx), connector.Spec{Name: in.Body.Name, Networks: in.Body.CIDRs})
			return &body[NewConnectorToken]{NewConnectorToken{secret.Reveal(), showConnector(v)}}, err
		})
	operation(m, tenure.ReadConnector, huma.Operation{OperationID: "get-scim-connector", Method: http.MethodGet, Path: path + "/{id}", Summary: "A SCIM connector with its figures", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[Connector], error) {
			v, err := a.Connectors.Get(ctx, web.Principal(ctx), tenure.ConnectorID(in.ID))
			return &body[Connector]{showConnector(v)}, err
		})
	operation(m, tenure.RotateConnector, huma.Operation{OperationID: "rotate-scim-connector", Method: http.MethodPost, Path: path + "/{id}/rotate", Summary: "Give a SCIM connector a new token; those before stay good for the overlap", Tags: tags},
		func(ctx context.Context, in *rotateConnectorIn) (*body[NewConnectorToken], error) {
			text := ""
			if in.Body != nil {
				text = in.Body.Overlap
			}
			overlap, err := connector.ParseOverlap(text)
			if err != nil {
				return nil, err
			}
			v, secret, err := a.Connectors.Rotate(ctx, web.Principal(ctx), tenure.ConnectorID(in.ID), overlap)
			return &body[NewConnectorToken]{NewConnectorToken{secret.Reveal(), showConnector(v)}}, err
		})
	operation(m, tenure.DeleteConnector, huma.Operation{OperationID: "delete-scim-connector", Method: http.MethodDelete, Path: path + "/{id}", Summary: "End a SCIM connector and its tokens; the people it provisioned stay", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[Ended], error) {
			e, err := a.Connectors.Delete(ctx, web.Principal(ctx), tenure.ConnectorID(in.ID))
			return &body[Ended]{ended(e)}, err
		})
}
