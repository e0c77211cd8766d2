package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/policy"
	"github.com/tenure-gateway/tenure/internal/web"
)

// PolicyEntry is one key of the tenant's policy.
type PolicyEntry struct {
	Key       string     `json:"key"`
	Value     string     `json:"value"`
	Default   string     `json:"default"`
	Meaning   string     `json:"meaning"`
	Set       bool       `json:"set" doc:"By this tenant; otherwise the value is the default"`
	UpdatedAt *time.Time `json:"updated_at"`
	UpdatedBy string     `json:"updated_by,omitempty"`
}

type policyIn struct {
	Body map[string]*string `doc:"Values by key; null sets the default" example:"{\"pat_max_lifetime\":\"30d\",\"webhook_url\":null}"`
}

func showPolicy(rows []policy.Entry) *list[PolicyEntry] {
	out := &list[PolicyEntry]{}
	out.Body.Items = make([]PolicyEntry, 0, len(rows))
	for _, e := range rows {
		out.Body.Items = append(out.Body.Items, PolicyEntry{e.Key, e.Value, e.Default, e.Meaning, e.Set, when(e.UpdatedAt), e.UpdatedBy})
	}
	return out
}

func (a *API) mountPolicy(m *mounting) {
	const path = "/api/v1/admin/policy"
	tags := []string{"Administration: policy"}
	operation(m, tenure.ReadPolicy, huma.Operation{OperationID: "get-policy", Method: http.MethodGet, Path: path, Summary: "The tenant's policy: every key, in the order of the alphabet", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*list[PolicyEntry], error) {
			rows, err := a.Policies.Read(ctx, web.Principal(ctx))
			return showPolicy(rows), err
		})
	operation(m, tenure.SetPolicy, huma.Operation{OperationID: "set-policy", Method: http.MethodPatch, Path: path, Summary: "Change keys of the tenant's policy: all of those that are named, or none", Tags: tags},
		func(ctx context.Context, in *policyIn) (*list[PolicyEntry], error) {
			rows, err := a.Policies.Set(ctx, web.Principal(ctx), in.Body)
			return showPolicy(rows), err
		})
}
