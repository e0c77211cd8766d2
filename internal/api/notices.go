package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/notice"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Notice is one thing that people should know before it hurts.
type Notice struct {
	ID         string     `json:"id"`
	At         time.Time  `json:"at"`
	Kind       string     `json:"kind"`
	Severity   string     `json:"severity" enum:"info,warning,alert"`
	UserID     string     `json:"user_id,omitempty" doc:"Whom it concerns beside the administrators"`
	ObjectKind string     `json:"object_kind,omitempty"`
	ObjectID   string     `json:"object_id,omitempty"`
	Object     string     `json:"object,omitempty"`
	Message    string     `json:"message"`
	ReadAt     *time.Time `json:"read_at"`
	ReadBy     string     `json:"read_by,omitempty"`
}

// ShowNotice gives a notice in the form in which the API and the command line tell it.
func ShowNotice(n tenure.Notice) Notice {
	return Notice{
		string(n.ID), n.At.UTC(), n.Kind, string(n.Severity), string(n.User), n.ObjectKind, n.ObjectID, n.Object, n.Message, when(n.ReadAt), n.ReadBy,
	}
}

type noticesIn struct {
	Paging
	Unread bool `query:"unread" doc:"Only those that nobody has read"`
}

// NewHookSecret is the secret that the webhook signs with, the one time that it is shown.
type NewHookSecret struct {
	Secret string `json:"secret" doc:"Shown only this once; Standard Webhooks' form"`
}

// HookTest tells how the sink took a test.
type HookTest struct {
	Status int     `json:"status" doc:"The sink's answer"`
	TookMS float64 `json:"took_ms"`
}

func (a *API) mountNotices(m *mounting) {
	mine, admin := []string{"Self-service"}, []string{"Administration: notices"}
	type lister func(context.Context, tenure.Principal, bool, tenure.NoticeID, int) (notice.Page, error)
	listed := func(from lister) func(context.Context, *noticesIn) (*list[Notice], error) {
		return func(ctx context.Context, in *noticesIn) (*list[Notice], error) {
			page, err := from(ctx, web.Principal(ctx), in.Unread, tenure.NoticeID(in.Cursor), in.Limit)
			out := &list[Notice]{}
			out.Body.Next = string(page.Next)
			out.Body.Items = make([]Notice, 0, len(page.Notices))
			for _, n := range page.Notices {
				out.Body.Items = append(out.Body.Items, ShowNotice(n))
			}
			return out, err
		}
	}
	read := func(ctx context.Context, in *idIn) (*body[Notice], error) {
		n, err := a.Notices.Read(ctx, web.Principal(ctx), tenure.NoticeID(in.ID))
		return &body[Notice]{ShowNotice(n)}, err
	}
	operation(m, tenure.ListNotices, huma.Operation{OperationID: "list-notices", Method: http.MethodGet, Path: "/api/v1/notices", Summary: "Notices that concern oneself, newest first", Tags: mine}, listed(a.Notices.Mine))
	operation(m, tenure.ReadNotice, huma.Operation{OperationID: "read-notice", Method: http.MethodPost, Path: "/api/v1/notices/{id}/read", Summary: "Mark a notice to oneself as read", Tags: mine}, read)
	operation(m, tenure.ListAllNotices, huma.Operation{OperationID: "list-all-notices", Method: http.MethodGet, Path: "/api/v1/admin/notices", Summary: "The tenant's notices, newest first", Tags: admin}, listed(a.Notices.All))
	operation(m, tenure.ReadAnyNotice, huma.Operation{OperationID: "read-any-notice", Method: http.MethodPost, Path: "/api/v1/admin/notices/{id}/read", Summary: "Mark any notice of the tenant as read", Tags: admin}, read)
	operation(m, tenure.MakeHookSecret, huma.Operation{OperationID: "make-webhook-secret", Method: http.MethodPost, Path: "/api/v1/admin/webhook/secret", Summary: "Make the secret that the webhook signs with; the one before is good no more", Tags: admin, DefaultStatus: http.StatusCreated, Metadata: reveals("secret")},
		func(ctx context.Context, _ *struct{}) (*body[NewHookSecret], error) {
			secret, err := a.Notices.NewSecret(ctx, web.Principal(ctx))
			if err != nil {
				return nil, err
			}
			return &body[NewHookSecret]{NewHookSecret{secret.Reveal()}}, nil
		})
	operation(m, tenure.TestHook, huma.Operation{OperationID: "test-webhook", Method: http.MethodPost, Path: "/api/v1/admin/webhook/test", Summary: "Send a test through the webhook, and wait for the answer", Tags: admin},
		func(ctx context.Context, _ *struct{}) (*body[HookTest], error) {
			status, took, err := a.Notices.Test(ctx, web.Principal(ctx))
			return &body[HookTest]{HookTest{status, float64(took.Microseconds()) / 1000}}, err
		})
}
