package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

type rotateIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body *struct {
		Overlap string `json:"overlap,omitempty" doc:"How long the old secret stays good: 0 to 7d; left out: as the policy rotation_overlap says" example:"24h"`
	}
}

// Selection is what revoking many tokens takes.
type Selection struct {
	User          string     `json:"user,omitempty" minLength:"1" doc:"Id or userName: the personal tokens of one person"`
	Workspace     string     `json:"workspace,omitempty" minLength:"1" doc:"Id or name"`
	Account       string     `json:"service_account,omitempty" minLength:"1" doc:"Id of a service account"`
	Kind          string     `json:"kind,omitempty" enum:"pat,svc"`
	CreatedBefore *time.Time `json:"created_before,omitempty"`
	UnusedSince   *time.Time `json:"unused_since,omitempty" doc:"Neither made nor used since"`
	Name          string     `json:"name,omitempty" minLength:"1" maxLength:"200" doc:"A pattern; * stands for any text" example:"ci-*"`
	Reason        string     `json:"reason,omitempty" doc:"For the audit log; needed unless it is a preview"`
	Preview       bool       `json:"preview,omitempty" doc:"Only list what would end"`
	Confirm       string     `json:"confirm,omitempty" doc:"That of the preview; without it nothing ends"`
}

// SelectionAnswer is a preview, or what has ended.
type SelectionAnswer struct {
	Total   int     `json:"total" doc:"How many tokens are selected, or have ended"`
	Skipped int     `json:"skipped,omitempty" doc:"How many more are a super admin's, which only a super admin ends"`
	Confirm string  `json:"confirm,omitempty" doc:"In a preview: to be given to end exactly these"`
	Items   []Token `json:"items,omitempty" doc:"In a preview: the newest, at most 1000"`
	Ended   *Ended  `json:"ended,omitempty"`
}

// UnmarshalJSON refuses null: it must not pass for a filter that was left out, which
// chooses everything. The schema refuses what is empty.
func (s *Selection) UnmarshalJSON(b []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if string(members[name]) == "null" {
			return fmt.Errorf("%s is null, and nothing never means all: leave it out, or give it a value", name)
		}
	}
	type plain Selection
	return json.Unmarshal(b, (*plain)(s))
}

func (s Selection) read() (token.Selection, error) {
	for field, at := range map[string]*time.Time{"created_before": s.CreatedBefore, "unused_since": s.UnusedSince} {
		if at != nil && at.IsZero() {
			return token.Selection{}, tenure.InvalidField(field, "%s is no time that anything was made or used before; leave it out, or give it a value", field)
		}
	}
	out := token.Selection{
		User: s.User, Workspace: s.Workspace, Account: tenure.ServiceAccountID(s.Account), Kind: tenure.TokenKind(s.Kind), Name: s.Name,
	}
	if s.CreatedBefore != nil {
		out.CreatedBefore = *s.CreatedBefore
	}
	if s.UnusedSince != nil {
		out.UnusedSince = *s.UnusedSince
	}
	return out, nil
}

func (a *API) mountRotation(m *mounting) {
	if a.Single {
		return
	}
	operation(m, tenure.RotateToken, huma.Operation{OperationID: "rotate-token", Method: http.MethodPost, Path: "/api/v1/tokens/{id}/rotate", Summary: "Give a token a new secret; the old one stays good for the overlap", Tags: []string{"Self"}, DefaultStatus: http.StatusCreated, Metadata: reveals("token")}, a.rotate)
	operation(m, tenure.RevokeTokens, huma.Operation{OperationID: "revoke-tokens", Method: http.MethodPost, Path: "/api/v1/admin/tokens/revoke", Summary: "Revoke many tokens at once, after a preview", Tags: []string{"Administration: tokens"}}, a.revokeMany)
}

func (a *API) rotate(ctx context.Context, in *rotateIn) (*body[NewToken], error) {
	var overlap *time.Duration
	if in.Body != nil && in.Body.Overlap != "" {
		var err error
		if overlap, err = token.ParseOverlap(in.Body.Overlap); err != nil {
			return nil, err
		}
	}
	t, secret, err := a.Tokens.Rotate(ctx, web.Principal(ctx), tenure.TokenID(in.ID), overlap)
	if err != nil {
		return nil, err
	}
	return &body[NewToken]{*showNew(t, secret)}, nil
}

func (a *API) revokeMany(ctx context.Context, in *body[Selection]) (*body[SelectionAnswer], error) {
	by := web.Principal(ctx)
	sel, err := in.Body.read()
	if err != nil {
		return nil, err
	}
	if in.Body.Preview {
		p, err := a.Tokens.Preview(ctx, by, sel)
		out := SelectionAnswer{Total: p.Total, Skipped: p.Skipped, Confirm: p.Confirm}
		for _, t := range p.Tokens {
			out.Items = append(out.Items, showToken(t))
		}
		return &body[SelectionAnswer]{out}, err
	}
	e, err := a.Tokens.RevokeMany(ctx, by, sel, in.Body.Confirm, in.Body.Reason)
	shown := ended(e)
	return &body[SelectionAnswer]{SelectionAnswer{Total: e.Tokens, Skipped: e.Skipped, Ended: &shown}}, err
}
