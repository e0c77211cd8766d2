package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Review is an access review: of all of it, or of what the asker is to decide.
type Review struct {
	ID          string       `json:"id"`
	Title       string       `json:"title"`
	Kinds       []string     `json:"kinds" doc:"Of items; empty: all"`
	Workspaces  []string     `json:"workspaces" doc:"Ids; empty: all, and what lies in none"`
	From        time.Time    `json:"period_from"`
	OpenedAt    time.Time    `json:"opened_at" doc:"The items are of this instant"`
	OpenedBy    string       `json:"opened_by"`
	Automatic   bool         `json:"automatic" doc:"Opened because the policy review_every says so"`
	DueAt       time.Time    `json:"due_at"`
	SecondDue   time.Time    `json:"second_due_at" doc:"Of what went to the administrators at the due date"`
	Unanswered  string       `json:"unanswered" enum:"escalate,revoke" doc:"What becomes of what nobody decides by the due date"`
	Snapshot    string       `json:"snapshot_sha256,omitempty" doc:"Over the items as they were taken"`
	ClosedAt    *time.Time   `json:"closed_at" doc:"null: it is open"`
	ClosedBy    string       `json:"closed_by,omitempty"`
	CloseReason string       `json:"close_reason,omitempty"`
	Signed      bool         `json:"signed" doc:"Whether its report is"`
	Counts      ReviewCounts `json:"counts" doc:"Of what the asker may see"`
	Mine        ReviewCounts `json:"mine" doc:"Of what the asker is to decide"`
}

// ReviewCounts say how far a review is.
type ReviewCounts struct {
	Items      int64 `json:"items"`
	Undecided  int64 `json:"undecided"`
	Unresolved int64 `json:"unresolved" doc:"Undecided, or revoked and not dead yet"`
	Failed     int64 `json:"failed" doc:"Revoked, and it could not be ended; it is tried again"`
	Flagged    int64 `json:"flagged"`
}

// ReviewItem is one thing that gives access, as it was when the review was opened, and what
// was decided about it.
type ReviewItem struct {
	N          int64      `json:"item" doc:"Its number in the review"`
	Kind       string     `json:"kind" enum:"person,role,membership,personal_token,service_token,service_account,scim_connector,oidc_connection,provider_key,exception,trusted_proxy,root_token"`
	SubjectID  string     `json:"subject_id"`
	Subject    string     `json:"subject"`
	PersonID   string     `json:"person_id,omitempty" doc:"Whose access it is, who does not decide about it"`
	Workspace  string     `json:"workspace_id,omitempty"`
	Space      string     `json:"workspace,omitempty"`
	Grant      string     `json:"grant"`
	Source     string     `json:"source"`
	GrantedAt  *time.Time `json:"granted_at"`
	GrantedBy  string     `json:"granted_by,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	Flags      []string   `json:"flags"`
	ReviewerID string     `json:"reviewer_id,omitempty" doc:"Who is to decide; absent: any administrator"`
	Reviewer   string     `json:"reviewer,omitempty"`
	State      string     `json:"state" enum:"undecided,kept,revoking,revoked,failed,changed,finding,abstained,gone"`
	Decision   string     `json:"decision,omitempty"`
	Reason     string     `json:"reason,omitempty"`
	Change     string     `json:"change,omitempty"`
	ChangeBy   string     `json:"change_owner,omitempty" doc:"Who is to make the change; absent: it was made"`
	ChangeDue  *time.Time `json:"change_due_at,omitempty"`
	DecidedAt  *time.Time `json:"decided_at"`
	DecidedBy  string     `json:"decided_by,omitempty"`
	Together   int64      `json:"decided_together,omitempty" doc:"How many items the same act has decided"`
	Version    int64      `json:"version" doc:"How often it was decided; give it to decide otherwise"`
	EndedAt    *time.Time `json:"ended_at" doc:"What was revoked was tried then, and is dead"`
	TookMS     float64    `json:"took_ms,omitempty" doc:"From the decision until then"`
	Failure    string     `json:"failure,omitempty" doc:"Why it is not dead yet"`
	Gone       string     `json:"gone,omitempty" doc:"What had become of it before anybody decided"`
}

// ReviewKept tells what became of items that were to be kept at once.
type ReviewKept struct {
	Kept int          `json:"kept" doc:"How many are kept"`
	Gone []ReviewItem `json:"gone" doc:"Those that are not kept, for what they are about is gone, or another thing"`
}

func showCounts(c review.Counts) ReviewCounts {
	return ReviewCounts{c.Items, c.Undecided, c.Unresolved, c.Failed, c.Flagged}
}

// ShowReview is a review in the form of the API.
func ShowReview(v review.View) Review {
	out := Review{
		ID: string(v.ID), Title: v.Title, Kinds: []string{}, Workspaces: []string{}, From: v.From, OpenedAt: v.OpenedAt, OpenedBy: v.OpenedBy, Automatic: v.Automatic,
		DueAt: v.DueAt, SecondDue: v.SecondDue, Unanswered: v.Unanswered, Snapshot: v.Snapshot, ClosedAt: when(v.ClosedAt), ClosedBy: v.ClosedBy, CloseReason: v.CloseWhy,
		Signed: v.Report != "", Counts: showCounts(v.Counts), Mine: showCounts(v.Mine),
	}
	for _, k := range v.Kinds {
		out.Kinds = append(out.Kinds, string(k))
	}
	for _, w := range v.Workspaces {
		out.Workspaces = append(out.Workspaces, string(w))
	}
	return out
}

// ShowItem is an item in the form of the API.
func ShowItem(i tenure.ReviewItem) ReviewItem {
	return ReviewItem{
		N: i.N, Kind: string(i.Kind), SubjectID: i.Subject, Subject: i.Name, PersonID: string(i.Person), Workspace: string(i.Workspace), Space: i.WorkspaceName,
		Grant: i.Grant, Source: i.Source, GrantedAt: when(i.GrantedAt), GrantedBy: i.GrantedBy, LastUsedAt: when(i.LastUsedAt), ExpiresAt: when(i.ExpiresAt),
		Flags: append([]string{}, strings.Fields(i.Flags)...), ReviewerID: string(i.Reviewer), Reviewer: i.ReviewerName, State: i.State(), Decision: string(i.Decision),
		Reason: i.Reason, Change: i.Change, ChangeBy: i.ChangeOwner, ChangeDue: when(i.ChangeDue), DecidedAt: when(i.DecidedAt), DecidedBy: i.DecidedBy, Together: i.Together,
		Version: i.Version, EndedAt: when(i.EndedAt), TookMS: float64(i.Took.Microseconds()) / 1000, Failure: i.Failure, Gone: i.GoneWhy,
	}
}

type reviewsIn struct {
	Paging
	Open bool `query:"open" doc:"Only those that are open"`
}

type reviewIn struct {
	Body struct {
		Title      string   `json:"title" maxLength:"200" doc:"For people"`
		Kinds      []string `json:"kinds,omitempty" doc:"Of items; left out: all" maxItems:"20"`
		Workspaces []string `json:"workspaces,omitempty" doc:"Ids or names, of which only what lies in them is reviewed; left out: everything" maxItems:"1000"`
		DueIn      string   `json:"due_in,omitempty" doc:"How long the reviewers have, such as 14d; left out: as the policy review_due has it"`
		Unanswered string   `json:"unanswered,omitempty" enum:"escalate,revoke" doc:"Left out: as the policy review_unanswered has it"`
	}
}

type itemsIn struct {
	ID        string `path:"id" maxLength:"200"`
	Cursor    string `query:"cursor" maxLength:"20" doc:"next_cursor of the page before"`
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Kind      string `query:"kind" maxLength:"50" doc:"Only items of this kind"`
	Mine      bool   `query:"mine" doc:"Only those that the asker is to decide"`
	Flagged   bool   `query:"flagged" doc:"Only those that have a flag"`
	Undecided bool   `query:"undecided" doc:"Only those that wait for a decision"`
	Decision  string `query:"decision" enum:"keep,revoke,change,abstain" doc:"Only those that were decided so"`
	Part      string `query:"q" maxLength:"100" doc:"Part of the subject, the workspace or the grant"`
}

type itemIn struct {
	ID string `path:"id" maxLength:"200"`
	N  int64  `path:"item" minimum:"1"`
}

type reviewDecideIn struct {
	ID   string `path:"id" maxLength:"200"`
	N    int64  `path:"item" minimum:"1"`
	Body struct {
		Decision string     `json:"decision" enum:"keep,revoke,change,abstain" doc:"What is revoked ends at once, and is tried; abstain gives the item to the administrators"`
		Reason   string     `json:"reason" maxLength:"1000" doc:"Why"`
		To       string     `json:"to,omitempty" maxLength:"500" doc:"Of change: the new role, or owner of a service account; or what is to be done, by owner until due_at"`
		Owner    string     `json:"owner,omitempty" maxLength:"255" doc:"Of change: who is to make it; left out: it is made now"`
		DueAt    *time.Time `json:"due_at,omitempty" doc:"Of change: by when"`
		Version  int64      `json:"version,omitempty" doc:"Of the item as the reviewer saw it: to decide otherwise what was decided"`
	}
}

type keepIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Items  []int64 `json:"items" maxItems:"50" doc:"Numbers; none that is flagged or decided"`
		Reason string  `json:"reason" maxLength:"1000" doc:"Why"`
	}
}

type reassignIn struct {
	ID   string `path:"id" maxLength:"200"`
	N    int64  `path:"item" minimum:"1"`
	Body struct {
		Reviewer string `json:"reviewer,omitempty" maxLength:"255" doc:"Id or userName; left out: any administrator"`
		Reason   string `json:"reason" maxLength:"1000" doc:"Why"`
	}
}

type closeIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Reason string `json:"reason" maxLength:"1000" doc:"Why, for whoever looks at it later"`
	}
}

type reviewReportIn struct {
	ID     string `path:"id" maxLength:"200"`
	Format string `query:"format" enum:"signed,csv" default:"signed" doc:"signed: the report, as a C2SP signed note; csv: the items"`
}

func (a *API) mountReviews(m *mounting) {
	const path = "/api/v1/admin/reviews"
	tags := []string{"Administration: access reviews"}
	operation(m, tenure.ListReviews, huma.Operation{OperationID: "list-reviews", Method: http.MethodGet, Path: path, Summary: "Access reviews, newest first: all, or those in which the asker has something to decide", Tags: tags},
		func(ctx context.Context, in *reviewsIn) (*list[Review], error) {
			rows, err := a.Reviews.List(ctx, web.Principal(ctx), in.Open, tenure.ReviewID(in.Cursor), in.Limit+1)
			return listOf(rows, in.Limit, ShowReview, func(v review.View) string { return string(v.ID) }), err
		})
	operation(m, tenure.OpenReview, huma.Operation{OperationID: "open-review", Method: http.MethodPost, Path: path, Summary: "Open an access review: a snapshot of everything that gives access", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *reviewIn) (*body[Review], error) {
			spec := review.Spec{Title: in.Body.Title, Kinds: in.Body.Kinds, Workspaces: in.Body.Workspaces, Unanswered: in.Body.Unanswered}
			if in.Body.DueIn != "" {
				var err error
				if spec.Due, err = tenure.ParseLifetime(in.Body.DueIn); err != nil {
					return nil, tenure.InvalidField("due_in", "due_in: %v", err)
				}
			}
			v, err := a.Reviews.Open(ctx, web.Principal(ctx), spec)
			return &body[Review]{ShowReview(v)}, err
		})
	operation(m, tenure.ReadReview, huma.Operation{OperationID: "get-review", Method: http.MethodGet, Path: path + "/{id}", Summary: "An access review, and how far it is", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[Review], error) {
			v, err := a.Reviews.Get(ctx, web.Principal(ctx), tenure.ReviewID(in.ID))
			return &body[Review]{ShowReview(v)}, err
		})
	operation(m, tenure.CloseReview, huma.Operation{OperationID: "close-review", Method: http.MethodPost, Path: path + "/{id}/close", Summary: "Close an access review; what was not decided stays so, and the report says it", Tags: tags},
		func(ctx context.Context, in *closeIn) (*body[Review], error) {
			v, err := a.Reviews.Close(ctx, web.Principal(ctx), tenure.ReviewID(in.ID), in.Body.Reason)
			return &body[Review]{ShowReview(v)}, err
		})
	operation(m, tenure.ReadAllReviews, huma.Operation{
		OperationID: "get-review-report", Method: http.MethodGet, Path: path + "/{id}/report", Summary: "The signed report of a closed access review, or the items of any as CSV", Tags: tags,
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}, "text/csv": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, a.reviewReport)
	a.mountReviewItems(m, path+"/{id}", tags)
}

func (a *API) mountReviewItems(m *mounting, path string, tags []string) {
	operation(m, tenure.ReadReview, huma.Operation{OperationID: "list-review-items", Method: http.MethodGet, Path: path + "/items", Summary: "The items of an access review that the asker may see", Tags: tags},
		func(ctx context.Context, in *itemsIn) (*list[ReviewItem], error) {
			f := review.ItemFilter{Mine: in.Mine}
			f.Kind, f.Flagged, f.Undecided, f.Decision, f.Part, f.Limit = tenure.ReviewKind(in.Kind), in.Flagged, in.Undecided, tenure.Decision(in.Decision), in.Part, in.Limit+1
			if in.Cursor != "" {
				var err error
				if f.After, err = strconv.ParseInt(in.Cursor, 10, 64); err != nil {
					return nil, tenure.InvalidField("cursor", "cursor: expected next_cursor of the page before")
				}
			}
			rows, err := a.Reviews.Items(ctx, web.Principal(ctx), tenure.ReviewID(in.ID), f)
			return listOf(rows, in.Limit, ShowItem, func(i tenure.ReviewItem) string { return strconv.FormatInt(i.N, 10) }), err
		})
	operation(m, tenure.ReadReview, huma.Operation{OperationID: "get-review-item", Method: http.MethodGet, Path: path + "/items/{item}", Summary: "An item of an access review", Tags: tags},
		func(ctx context.Context, in *itemIn) (*body[ReviewItem], error) {
			i, err := a.Reviews.Item(ctx, web.Principal(ctx), tenure.ReviewID(in.ID), in.N)
			return &body[ReviewItem]{ShowItem(i)}, err
		})
	operation(m, tenure.DecideReview, huma.Operation{OperationID: "decide-review-item", Method: http.MethodPost, Path: path + "/items/{item}/decide", Summary: "Keep, revoke or change what an item is about", Tags: tags},
		func(ctx context.Context, in *reviewDecideIn) (*body[ReviewItem], error) {
			c := review.Choice{Decision: tenure.Decision(in.Body.Decision), Reason: in.Body.Reason, To: in.Body.To, Owner: in.Body.Owner, Version: in.Body.Version}
			if in.Body.DueAt != nil {
				c.Due = *in.Body.DueAt
			}
			i, err := a.Reviews.Decide(ctx, web.Principal(ctx), tenure.ReviewID(in.ID), in.N, c)
			return &body[ReviewItem]{ShowItem(i)}, err
		})
	operation(m, tenure.ReassignReview, huma.Operation{OperationID: "reassign-review-item", Method: http.MethodPost, Path: path + "/items/{item}/reassign", Summary: "Give an item to another reviewer", Tags: tags},
		func(ctx context.Context, in *reassignIn) (*body[ReviewItem], error) {
			i, err := a.Reviews.Reassign(ctx, web.Principal(ctx), tenure.ReviewID(in.ID), in.N, in.Body.Reviewer, in.Body.Reason)
			return &body[ReviewItem]{ShowItem(i)}, err
		})
	operation(m, tenure.DecideReview, huma.Operation{OperationID: "keep-review-items", Method: http.MethodPost, Path: path + "/keep", Summary: "Keep several items at once: 50 at most, none flagged; all that are not gone, or none", Tags: tags},
		func(ctx context.Context, in *keepIn) (*body[ReviewKept], error) {
			kept, err := a.Reviews.Keep(ctx, web.Principal(ctx), tenure.ReviewID(in.ID), in.Body.Items, in.Body.Reason)
			out := ReviewKept{Kept: kept.Items, Gone: []ReviewItem{}}
			for _, i := range kept.Gone {
				out.Gone = append(out.Gone, ShowItem(i))
			}
			return &body[ReviewKept]{out}, err
		})
}

// reviewReport answers the signed report, or the items in CSV as they are read.
func (a *API) reviewReport(ctx context.Context, in *reviewReportIn) (*huma.StreamResponse, error) {
	by, id := web.Principal(ctx), tenure.ReviewID(in.ID)
	if in.Format == "csv" {
		if _, err := a.Reviews.Get(ctx, by, id); err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			hc.SetHeader("Content-Type", "text/csv; charset=utf-8; header=present")
			hc.SetHeader("Content-Disposition", `attachment; filename="access-review.csv"`)
			if err := a.Reviews.WriteCSV(ctx, by, id, hc.BodyWriter()); err != nil {
				web.EventOf(ctx).Err = err // the answer has begun: it is cut short
			}
		}}, nil
	}
	text, err := a.Reviews.Signed(ctx, by, id)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "text/plain; charset=utf-8")
		hc.SetHeader("Content-Disposition", `attachment; filename="access-review.note"`)
		_, _ = hc.BodyWriter().Write([]byte(text))
	}}, nil
}
