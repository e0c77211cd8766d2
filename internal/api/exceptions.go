package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/exception"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Exception lets one rule not hold for one thing, from one instant to another.
type Exception struct {
	ID           string     `json:"id"`
	State        string     `json:"state" enum:"submitted,approved,active,expired,revoked,rejected,withdrawn,failed_control,remediated,renewed" doc:"It is in force while it is active"`
	Title        string     `json:"title"`
	Rule         string     `json:"rule" doc:"What does not hold"`
	Kind         string     `json:"subject_kind" enum:"tenant,workspace,user,service_account,provider" doc:"What it is for"`
	Subject      string     `json:"subject" doc:"Id of what it is for"`
	SubjectName  string     `json:"subject_name,omitempty" doc:"Its name today; absent: it is not there any more"`
	BaseURL      string     `json:"base_url,omitempty" doc:"Where the provider that it is for says that it is"`
	Workspace    string     `json:"workspace,omitempty"`
	Reason       string     `json:"reason"`
	Before       Risk       `json:"risk_before"`
	After        Risk       `json:"risk_after" doc:"With what compensates"`
	Controls     string     `json:"controls" doc:"What compensates for the rule meanwhile"`
	Check        string     `json:"check,omitempty" doc:"The live check that must not fail"`
	CheckedAt    *time.Time `json:"checked_at"`
	RequestedBy  string     `json:"requested_by"`
	RequestedAt  time.Time  `json:"requested_at"`
	From         time.Time  `json:"effective_from"`
	ExpiresAt    time.Time  `json:"expires_at"`
	Owner        string     `json:"owner" doc:"userName of who answers for the remedy"`
	OwnerID      string     `json:"owner_id"`
	Plan         string     `json:"plan"`
	RemedyBy     time.Time  `json:"remedy_by"`
	DecidedBy    string     `json:"decided_by,omitempty"`
	DecidedAt    *time.Time `json:"decided_at"`
	Decision     string     `json:"decision,omitempty" doc:"Why it was decided so"`
	RevokedAt    *time.Time `json:"revoked_at"`
	RevokedBy    string     `json:"revoked_by,omitempty"`
	RevokedWhy   string     `json:"revoked_reason,omitempty"`
	FailedAt     *time.Time `json:"failed_at" doc:"When its live check was found failing"`
	FailedWhy    string     `json:"failed_reason,omitempty"`
	RemediatedAt *time.Time `json:"remediated_at"`
	RemediatedBy string     `json:"remediated_by,omitempty"`
	Renews       string     `json:"renews,omitempty" doc:"Id of the exception before it"`
	RenewedTo    string     `json:"renewed_to,omitempty" doc:"Id of the one that took its place, with what hung on it"`
	Renewals     int        `json:"renewals" doc:"How many exceptions lie before it in its chain"`
	Tokens       int        `json:"tokens" doc:"How many tokens that nobody has revoked hang on it"`
	Spaces       int        `json:"workspaces" doc:"How many workspaces go on without the database by it"`
	Sessions     int        `json:"sessions" doc:"How many sessions that nobody has ended hang on it"`
	Providers    int        `json:"providers" doc:"How many providers hang on it"`
}

// Risk is how likely harm is, how bad it would be, and what follows from both.
type Risk struct {
	Likelihood string `json:"likelihood" enum:"low,medium,high"`
	Impact     string `json:"impact" enum:"low,medium,high"`
	Rating     string `json:"rating" enum:"low,medium,high,critical"`
}

func showRisk(r tenure.Risk) Risk { return Risk{r.Likelihood, r.Impact, r.Rating()} }

// ShowException is an exception in the form of the API.
func ShowException(v exception.View) Exception {
	return Exception{
		ID: string(v.ID), State: v.Status, Title: v.Title, Rule: string(v.Rule), Kind: v.Kind, Subject: v.Subject, SubjectName: v.SubjectName, BaseURL: v.BaseURL,
		Workspace: string(v.Workspace), Reason: v.Reason, Before: showRisk(v.Before), After: showRisk(v.After), Controls: v.Controls,
		Check: v.Check, CheckedAt: when(v.CheckedAt), RequestedBy: v.RequestedBy, RequestedAt: v.RequestedAt, From: v.From, ExpiresAt: v.End(),
		Owner: v.OwnerName, OwnerID: string(v.Owner), Plan: v.Plan, RemedyBy: v.RemedyBy, DecidedBy: v.DecidedBy, DecidedAt: when(v.DecidedAt), Decision: v.Why,
		RevokedAt: when(v.RevokedAt), RevokedBy: v.RevokedBy, RevokedWhy: v.RevokedWhy, FailedAt: when(v.FailedAt), FailedWhy: v.FailedWhy,
		RemediatedAt: when(v.RemediatedAt), RemediatedBy: v.RemediatedBy, Renews: string(v.Renews), RenewedTo: string(v.Successor),
		Renewals: v.Renewals, Tokens: v.Tokens, Spaces: v.Spaces, Sessions: v.Sessions, Providers: v.Providers,
	}
}

// RiskWish is a risk as it is told.
type RiskWish struct {
	Likelihood string `json:"likelihood" enum:"low,medium,high"`
	Impact     string `json:"impact" enum:"low,medium,high"`
}

// ExceptionWish is what an exception is asked to be.
type ExceptionWish struct {
	Title    string     `json:"title,omitempty" example:"Build robots until the new CI"`
	Reason   string     `json:"reason,omitempty" doc:"Why it is needed"`
	Before   *RiskWish  `json:"risk_before,omitempty"`
	After    *RiskWish  `json:"risk_after,omitempty" doc:"With what compensates"`
	Controls string     `json:"controls,omitempty" doc:"What compensates for the rule meanwhile"`
	Check    string     `json:"check,omitempty" doc:"The live check that must not fail: networks_set, models_set or rate_limit_set" example:"networks_set"`
	End      *time.Time `json:"expires_at" doc:"At most 180 days after the beginning"`
	Owner    string     `json:"owner,omitempty" doc:"Who answers for the remedy, by userName or id: an active person; left out: who asks"`
	Plan     string     `json:"plan,omitempty" doc:"How it is to become needless"`
	RemedyBy *time.Time `json:"remedy_by,omitempty" doc:"Left out: the end"`
}

func (w ExceptionWish) spec() exception.Spec {
	risk := func(r *RiskWish) tenure.Risk {
		if r == nil {
			return tenure.Risk{}
		}
		return tenure.Risk{Likelihood: r.Likelihood, Impact: r.Impact}
	}
	return exception.Spec{
		Title: w.Title, Reason: w.Reason, Risks: exception.Risks{Before: risk(w.Before), After: risk(w.After)}, Controls: w.Controls, Check: w.Check,
		Time: exception.Time{End: instant(w.End)}, Remedy: exception.Remedy{Owner: w.Owner, Plan: w.Plan, By: instant(w.RemedyBy)},
	}
}

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

type exceptionIn struct {
	Body struct {
		ExceptionWish
		Rule    string     `json:"rule" example:"token_lifetime"`
		Kind    string     `json:"subject_kind,omitempty" enum:"tenant,workspace,user,service_account,provider" doc:"What it is for; left out with subject: who asks"`
		Subject string     `json:"subject,omitempty" doc:"Id; of a person the userName and of a workspace the name will do; of the tenant nothing"`
		From    *time.Time `json:"effective_from,omitempty" doc:"Left out, or past: now"`
	}
}

type renewIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body ExceptionWish
}

type whyIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Reason string `json:"reason" doc:"Why; who asked, the owner and auditors read it"`
	}
}

func oneException(v exception.View, err error) (*body[Exception], error) {
	if err != nil {
		return nil, err
	}
	return &body[Exception]{ShowException(v)}, nil
}

func (a *API) mountExceptions(m *mounting) {
	const path = "/api/v1/admin/exceptions"
	tags := []string{"Administration: exceptions"}
	operation(m, tenure.ListExceptions, huma.Operation{OperationID: "list-exceptions", Method: http.MethodGet, Path: path, Summary: "Exceptions, newest first: my own and those of workspaces that I head, or all for those who may read all", Tags: tags},
		func(ctx context.Context, in *Paging) (*list[Exception], error) {
			page, err := a.Exceptions.List(ctx, web.Principal(ctx), tenure.ExceptionID(in.Cursor), in.Limit)
			out := &list[Exception]{}
			out.Body.Items = make([]Exception, 0, len(page.Exceptions))
			for _, v := range page.Exceptions {
				out.Body.Items = append(out.Body.Items, ShowException(v))
			}
			out.Body.Next = string(page.Next)
			return out, err
		})
	operation(m, tenure.AskException, huma.Operation{OperationID: "ask-exception", Method: http.MethodPost, Path: path, Summary: "Ask for an exception; nothing changes by it until another person approves", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *exceptionIn) (*body[Exception], error) {
			spec := in.Body.spec()
			spec.Rule, spec.Subject, spec.Time.From = tenure.Rule(in.Body.Rule), exception.Subject{Kind: in.Body.Kind, ID: in.Body.Subject}, instant(in.Body.From)
			return oneException(a.Exceptions.Ask(ctx, web.Principal(ctx), spec))
		})
	operation(m, tenure.ListExceptions, huma.Operation{OperationID: "get-exception", Method: http.MethodGet, Path: path + "/{id}", Summary: "An exception", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[Exception], error) {
			return oneException(a.Exceptions.Read(ctx, web.Principal(ctx), tenure.ExceptionID(in.ID)))
		})
	operation(m, tenure.AskException, huma.Operation{OperationID: "renew-exception", Method: http.MethodPost, Path: path + "/{id}/renew", Summary: "Ask for a new exception in the place of one; what is left out is as it was there", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *renewIn) (*body[Exception], error) {
			return oneException(a.Exceptions.Renew(ctx, web.Principal(ctx), tenure.ExceptionID(in.ID), in.Body.spec()))
		})
	reasoned := func(action tenure.Action, verb, summary string, act func(context.Context, tenure.Principal, tenure.ExceptionID, string) (exception.View, error)) {
		operation(m, action, huma.Operation{OperationID: verb + "-exception", Method: http.MethodPost, Path: path + "/{id}/" + verb, Summary: summary, Tags: tags},
			func(ctx context.Context, in *whyIn) (*body[Exception], error) {
				return oneException(act(ctx, web.Principal(ctx), tenure.ExceptionID(in.ID), in.Body.Reason))
			})
	}
	reasoned(tenure.DecideException, "approve", "Approve an exception that somebody else asked for, for somebody else", a.Exceptions.Approve)
	reasoned(tenure.DecideException, "reject", "Reject an exception", a.Exceptions.Reject)
	reasoned(tenure.RevokeException, "revoke", "Revoke an exception: what hangs on it ends at once", a.Exceptions.Revoke)
	plain := func(action tenure.Action, verb, name, summary string, act func(context.Context, tenure.Principal, tenure.ExceptionID) (exception.View, error)) {
		operation(m, action, huma.Operation{OperationID: verb + "-exception", Method: http.MethodPost, Path: path + "/{id}/" + name, Summary: summary, Tags: tags},
			func(ctx context.Context, in *idIn) (*body[Exception], error) {
				return oneException(act(ctx, web.Principal(ctx), tenure.ExceptionID(in.ID)))
			})
	}
	plain(tenure.WithdrawException, "withdraw", "withdraw", "Withdraw an exception that I asked for", a.Exceptions.Withdraw)
	plain(tenure.RemedyException, "remedy", "remedied", "Say that the remedy is made: the exception ends", a.Exceptions.Remedied)
}
