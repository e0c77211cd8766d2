package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/trust"
	"github.com/tenure-gateway/tenure/internal/web"
)

// TrustPage is what a trust page says.
type TrustPage struct {
	Shown      string           `json:"shown" enum:"off,people,public" doc:"Who may read it: the policy trust_page"`
	Owner      string           `json:"owner,omitempty"`
	ReviewedAt *time.Time       `json:"reviewed_at" doc:"When it was last found true"`
	ReviewedBy string           `json:"reviewed_by,omitempty"`
	DueAt      *time.Time       `json:"due_at" doc:"When it should be read again"`
	Overdue    bool             `json:"overdue"`
	Changed    bool             `json:"changed" doc:"It says something else than when it was last found true"`
	Digest     string           `json:"digest" doc:"SHA-256 of what it says, without figures"`
	Says       []TrustStatement `json:"says"`
}

// TrustStatement is one thing that a trust page says.
type TrustStatement struct {
	Topic   string `json:"topic"`
	Says    string `json:"says"`
	Figures string `json:"figures,omitempty" doc:"What changes from day to day"`
	State   string `json:"state" enum:"enforced,not enforced,not assessable here"`
}

// TrustRequest is a request for evidence.
type TrustRequest struct {
	ID           string     `json:"id"`
	At           time.Time  `json:"at"`
	User         string     `json:"user,omitempty" doc:"Id of who asked; empty: a stranger, of whom nobody has verified who they are"`
	Name         string     `json:"name"`
	Email        string     `json:"email"`
	Organisation string     `json:"organisation,omitempty"`
	Wants        []string   `json:"wants"`
	Message      string     `json:"message,omitempty"`
	State        string     `json:"state" enum:"open,answered,declined"`
	ClosedAt     *time.Time `json:"closed_at"`
	ClosedBy     string     `json:"closed_by,omitempty"`
	Answer       string     `json:"answer,omitempty" doc:"What was sent, or why nothing is"`
}

func showTrust(p trust.Page) TrustPage {
	out := TrustPage{
		Shown: p.Shown, Owner: p.Owner, ReviewedAt: when(p.Reviewed.At), ReviewedBy: p.Reviewed.By, DueAt: when(p.Due), Overdue: p.Overdue, Changed: p.Changed, Digest: p.Digest,
		Says: make([]TrustStatement, 0, len(p.Says)),
	}
	for _, s := range p.Says {
		out.Says = append(out.Says, TrustStatement(s))
	}
	return out
}

func showTrustRequest(q tenure.TrustRequest) TrustRequest {
	return TrustRequest{
		ID: string(q.ID), At: q.At, User: string(q.User), Name: q.Name, Email: q.Email, Organisation: q.Organisation, Wants: q.Wants, Message: q.Message,
		State: q.State, ClosedAt: when(q.ClosedAt), ClosedBy: q.ClosedBy, Answer: q.Answer,
	}
}

type reviewTrustIn struct {
	Digest string `query:"digest" maxLength:"64" doc:"Of the page that was read; 409 where it says something else now. Left out: whatever it says now"`
}

type closeTrustIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Answer string `json:"answer" doc:"What was sent, or why nothing is"`
	}
}

func (a *API) mountTrust(m *mounting) {
	if a.Single {
		return
	}
	const path = "/api/v1/admin/trust"
	tags := []string{"Administration: trust page"}
	operation(m, tenure.ListTrustAsks, huma.Operation{OperationID: "read-trust", Method: http.MethodGet, Path: path, Summary: "What the trust page says, which is what is enforced now", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*body[TrustPage], error) {
			p, err := a.Trust.Read(ctx, web.Principal(ctx))
			return &body[TrustPage]{showTrust(p)}, err
		})
	operation(m, tenure.ReviewTrust, huma.Operation{OperationID: "review-trust", Method: http.MethodPost, Path: path + "/review", Summary: "Say that the trust page was read and found true", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *reviewTrustIn) (*struct{}, error) {
			return nil, a.Trust.Review(ctx, web.Principal(ctx), in.Digest)
		})
	operation(m, tenure.ListTrustAsks, huma.Operation{OperationID: "list-trust-requests", Method: http.MethodGet, Path: "/api/v1/admin/trust-requests", Summary: "Who asked for evidence, newest first", Tags: tags},
		func(ctx context.Context, in *Paging) (*list[TrustRequest], error) {
			rows, err := a.Trust.Requests(ctx, web.Principal(ctx), tenure.TrustRequestID(in.Cursor), in.Limit+1)
			if err != nil {
				return nil, err
			}
			return listOf(rows, in.Limit, showTrustRequest, func(q tenure.TrustRequest) string { return string(q.ID) }), nil
		})
	closing := func(verb, summary string, answered bool) {
		operation(m, tenure.CloseTrustAsk, huma.Operation{OperationID: verb + "-trust-request", Method: http.MethodPost, Path: "/api/v1/admin/trust-requests/{id}/" + verb, Summary: summary, Tags: tags},
			func(ctx context.Context, in *closeTrustIn) (*body[TrustRequest], error) {
				q, err := a.Trust.Close(ctx, web.Principal(ctx), tenure.TrustRequestID(in.ID), answered, in.Body.Answer)
				return &body[TrustRequest]{showTrustRequest(q)}, err
			})
	}
	closing("answer", "Note what was sent to who asked for evidence", true)
	closing("decline", "Decline a request for evidence", false)
}
