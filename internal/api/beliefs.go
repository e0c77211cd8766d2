package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/web"
)

// KeptBelief is a belief, and how it was kept.
type KeptBelief struct {
	belief.Belief
	How    string `json:"how" enum:"created,merged,superseding,contradicted" doc:"merged: it says what was there; superseding: it took the place of what was there; contradicted: it stands beside what says otherwise"`
	Before string `json:"before,omitempty" doc:"Id of the belief that it took the place of, or contradicts"`
}

func showKept(k belief.Kept, err error) (*body[KeptBelief], error) {
	return &body[KeptBelief]{KeptBelief{belief.Show(k.Belief), k.How, string(k.Before)}}, err
}

// BeliefWish is what a belief is to be.
type BeliefWish struct {
	Workspace  string   `json:"workspace" maxLength:"200" doc:"Id or name of one of one's own"`
	Scope      string   `json:"scope" doc:"Where it holds: user:universal, domain:NAME or project:NAME" example:"project:billing"`
	Type       string   `json:"type" enum:"preference,decision,entity,relation,open_question"`
	Status     string   `json:"status,omitempty" enum:"active,inferred,exploratory" doc:"active when left out"`
	Name       string   `json:"name" doc:"By which it is found again: the same name in the same workspace, scope and type is about the same; at most 200 bytes" example:"database"`
	Aliases    []string `json:"aliases,omitempty" doc:"At most 8"`
	Content    string   `json:"content" doc:"At most 2,000 bytes" example:"We use PostgreSQL 17."`
	Why        string   `json:"why,omitempty" doc:"Why it matters; at most 1,000 bytes"`
	Confidence *float64 `json:"confidence,omitempty" minimum:"0" maximum:"1" doc:"1 when left out"`
}

func (w BeliefWish) draft() belief.Draft {
	return belief.Draft{
		Workspace: tenure.WorkspaceID(w.Workspace), Scope: tenure.BeliefScope(w.Scope), Type: tenure.BeliefType(w.Type), Status: tenure.BeliefStatus(w.Status),
		Confidence: w.Confidence, BeliefText: tenure.BeliefText{Name: w.Name, Aliases: w.Aliases, Content: w.Content, Why: w.Why},
	}
}

type beliefPatch struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Version    int64     `json:"version,omitempty" minimum:"1" doc:"That it was read at; it is not changed if it is of another by now. Left out: whichever"`
		Type       *string   `json:"type,omitempty" enum:"preference,decision,entity,relation,open_question"`
		Status     *string   `json:"status,omitempty" enum:"active,inferred,exploratory,superseded" doc:"superseded: it holds no more, and nothing takes its place"`
		Name       *string   `json:"name,omitempty"`
		Aliases    *[]string `json:"aliases,omitempty" doc:"As a whole"`
		Content    *string   `json:"content,omitempty"`
		Why        *string   `json:"why,omitempty"`
		Confidence *float64  `json:"confidence,omitempty" minimum:"0" maximum:"1"`
	}
}

func (in *beliefPatch) change() belief.Change {
	return belief.Change{
		Version: in.Body.Version, Name: in.Body.Name, Type: (*tenure.BeliefType)(in.Body.Type), Content: in.Body.Content, Why: in.Body.Why,
		Aliases: in.Body.Aliases, Status: (*tenure.BeliefStatus)(in.Body.Status), Confidence: in.Body.Confidence,
	}
}

// BeliefLook chooses beliefs.
type BeliefLook struct {
	Cursor    string `query:"cursor" pattern:"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" patternDescription:"next_cursor of the page before" doc:"next_cursor of the page before"`
	Limit     int    `query:"limit" minimum:"1" maximum:"200" default:"100"`
	Workspace string `query:"workspace" maxLength:"200" doc:"Id"`
	Scope     string `query:"scope" maxLength:"200"`
	Type      string `query:"type" enum:"preference,decision,entity,relation,open_question"`
	Status    string `query:"status" enum:"active,inferred,exploratory,superseded"`
	Text      string `query:"q" maxLength:"200" doc:"That the name, an alias, the content or the reason has in it, in any case"`
	History   bool   `query:"history" doc:"Also those that others took the place of"`
	Disputed  bool   `query:"disputed" doc:"Only those that another one contradicts"`
}

func (in *BeliefLook) look() (belief.Look, error) {
	l := belief.Look{
		Workspace: tenure.WorkspaceID(in.Workspace), Type: tenure.BeliefType(in.Type), Status: tenure.BeliefStatus(in.Status), Text: in.Text,
		History: in.History, Disputed: in.Disputed, After: tenure.BeliefID(in.Cursor), Limit: in.Limit,
	}
	if in.Scope == "" {
		return l, nil
	}
	var err error
	l.Scope, err = tenure.ParseBeliefScope(in.Scope)
	return l, err
}

type disclosedIn struct {
	ID        string `path:"id" maxLength:"200"`
	Exception string `query:"exception" maxLength:"200" doc:"Needed: id of an exception of the rule beliefs_read for this person, in force, that one asked for oneself"`
	BeliefLook
}

type eraseBeliefsIn struct {
	Confirm string `query:"confirm" required:"true" enum:"erase" doc:"The word erase: nothing brings them back"`
}

// ErasedBeliefs tells how many are gone.
type ErasedBeliefs struct {
	Erased int `json:"erased" doc:"With those that others took the place of"`
}

// Extraction is when beliefs are drawn out of one's turns: what one says, and what holds.
type Extraction struct {
	Extraction string           `json:"extraction" enum:"off,asked,always" doc:"What one says oneself; asked where one has said nothing"`
	Workspaces []ExtractionHere `json:"workspaces" doc:"What therefore holds in one's workspaces; a token may narrow it further"`
}

// ExtractionHere is when beliefs are drawn out of turns in a workspace.
type ExtractionHere struct {
	Workspace  string `json:"workspace" doc:"Id"`
	Name       string `json:"name"`
	Extraction string `json:"extraction" enum:"off,asked,always" doc:"What the workspace says; always where nobody has said anything"`
	Model      string `json:"model,omitempty" doc:"Which is asked; absent: none, and nothing is drawn out"`
	Policy     string `json:"policy" enum:"off,asked,always" doc:"What the policy of the tenant says"`
	Effective  string `json:"effective" enum:"off,asked,always" doc:"What holds"`
	HeldBy     string `json:"held_by,omitempty" enum:"policy,workspace,model,person" doc:"Who says the least; absent: it is always. model: the workspace names none"`
}

func showHere(f belief.InForce) ExtractionHere {
	return ExtractionHere{string(f.Workspace), f.Name, string(f.When), f.Model, string(f.Policy), string(f.Holds), f.By}
}

type ownExtractionIn struct {
	Body struct {
		Extraction string `json:"extraction" enum:"off,asked,always"`
	}
}

type spaceExtractionIn struct {
	ID   string `path:"id" maxLength:"200" doc:"Id or name"`
	Body struct {
		Extraction string `json:"extraction" enum:"off,asked,always"`
		Model      string `json:"model,omitempty" doc:"Which is asked, as it is asked for in the workspace; left out: none, and nothing is drawn out" example:"gpt-4o-mini"`
	}
}

// BeliefCount is how many beliefs a person has.
type BeliefCount struct {
	User     string `json:"user" doc:"Id"`
	UserName string `json:"user_name"`
	Current  int    `json:"current" doc:"Those that hold"`
	All      int    `json:"all" doc:"With those that others took the place of"`
}

func showCount(c belief.Count) BeliefCount {
	return BeliefCount{string(c.User), c.UserName, c.Current, c.All}
}

const beliefsPath = "/api/v1/beliefs"

func (a *API) mountBeliefs(m *mounting) {
	tags := []string{"Beliefs"}
	operation(m, tenure.ReadBeliefs, huma.Operation{OperationID: "list-beliefs", Method: http.MethodGet, Path: beliefsPath, Summary: "My beliefs, newest first", Tags: tags}, a.beliefs)
	operation(m, tenure.ChangeBeliefs, huma.Operation{
		OperationID: "record-belief", Method: http.MethodPost, Path: beliefsPath, Tags: tags, DefaultStatus: http.StatusCreated, Summary: "Record a belief: it merges with what says the same under its name, and takes the place of what says otherwise",
		Metadata: reveals("name", "aliases", "content", "why", "excerpt"), // sealed at rest
	}, func(ctx context.Context, in *body[BeliefWish]) (*body[KeptBelief], error) {
		return showKept(a.Beliefs.Record(ctx, web.Principal(ctx), in.Body.draft()))
	})
	operation(m, tenure.EraseBeliefs, huma.Operation{OperationID: "erase-beliefs", Method: http.MethodDelete, Path: beliefsPath, Summary: "Erase all of my beliefs, and destroy the key that they are sealed under", Tags: tags},
		func(ctx context.Context, _ *eraseBeliefsIn) (*body[ErasedBeliefs], error) {
			n, err := a.Beliefs.Erase(ctx, web.Principal(ctx))
			return &body[ErasedBeliefs]{ErasedBeliefs{n}}, err
		})
	operation(m, tenure.ReadBeliefs, huma.Operation{
		OperationID: "export-beliefs", Method: http.MethodGet, Path: beliefsPath + "/export", Tags: tags, Summary: "All of my beliefs as one file, with those that others took the place of",
		Description: "The answer is a stream. One that was broken off is no JSON.",
		Responses: map[string]*huma.Response{"200": {Description: "person, exported_at and beliefs", Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}},
		}}},
	}, a.exportBeliefs)
	operation(m, tenure.ReadBeliefs, huma.Operation{OperationID: "belief-history", Method: http.MethodGet, Path: beliefsPath + "/{id}/history", Summary: "A belief with those that took each other's place, newest first", Tags: tags},
		func(ctx context.Context, in *idIn) (*list[belief.Belief], error) {
			rows, err := a.Beliefs.History(ctx, web.Principal(ctx), tenure.BeliefID(in.ID))
			return showBeliefs(rows, ""), err
		})
	operation(m, tenure.ChangeBeliefs, huma.Operation{OperationID: "change-belief", Method: http.MethodPatch, Path: beliefsPath + "/{id}", Summary: "Change a belief: another takes its place where its name, type or content changes", Tags: tags},
		func(ctx context.Context, in *beliefPatch) (*body[KeptBelief], error) {
			return showKept(a.Beliefs.Patch(ctx, web.Principal(ctx), tenure.BeliefID(in.ID), in.change()))
		})
	operation(m, tenure.ChangeBeliefs, huma.Operation{OperationID: "delete-belief", Method: http.MethodDelete, Path: beliefsPath + "/{id}", Summary: "Delete a belief, with those that it took the place of; one that another took the place of, alone", Tags: tags, DefaultStatus: http.StatusNoContent},
		func(ctx context.Context, in *idIn) (*struct{}, error) {
			return nil, a.Beliefs.Delete(ctx, web.Principal(ctx), tenure.BeliefID(in.ID))
		})
	a.mountExtraction(m, tags)
}

func (a *API) mountExtraction(m *mounting, tags []string) {
	const own, space = beliefsPath + "/extraction", workspacesPath + "/{id}/extraction"
	operation(m, tenure.ReadBeliefs, huma.Operation{OperationID: "get-extraction", Method: http.MethodGet, Path: own, Summary: "When beliefs are drawn out of my turns", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*body[Extraction], error) { return a.ownExtraction(ctx) })
	operation(m, tenure.ChangeBeliefs, huma.Operation{OperationID: "set-extraction", Method: http.MethodPut, Path: own, Summary: "Say when beliefs are drawn out of my turns; the policy and the workspace narrow it", Tags: tags},
		func(ctx context.Context, in *ownExtractionIn) (*body[Extraction], error) {
			if err := a.Beliefs.Toggle(ctx, web.Principal(ctx), tenure.Extraction(in.Body.Extraction)); err != nil {
				return nil, err
			}
			return a.ownExtraction(ctx)
		})
	tags = []string{"Administration: workspaces"}
	here := func(ctx context.Context, id string) (*body[ExtractionHere], error) {
		f, err := a.Beliefs.InWorkspace(ctx, web.Principal(ctx), id)
		return &body[ExtractionHere]{showHere(f)}, err
	}
	operation(m, tenure.ListProviders, huma.Operation{OperationID: "get-workspace-extraction", Method: http.MethodGet, Path: space, Summary: "When beliefs are drawn out of a workspace's turns, and by which model", Tags: tags},
		func(ctx context.Context, in *spaceIn) (*body[ExtractionHere], error) { return here(ctx, in.ID) })
	operation(m, tenure.SetExtraction, huma.Operation{OperationID: "set-workspace-extraction", Method: http.MethodPut, Path: space, Summary: "Say when beliefs are drawn out of a workspace's turns, and by which model", Tags: tags},
		func(ctx context.Context, in *spaceExtractionIn) (*body[ExtractionHere], error) {
			err := a.Beliefs.SetWorkspace(ctx, web.Principal(ctx), in.ID, belief.Setting{When: tenure.Extraction(in.Body.Extraction), Model: in.Body.Model})
			if err != nil {
				return nil, err
			}
			return here(ctx, in.ID)
		})
	operation(m, tenure.CountBeliefs, huma.Operation{OperationID: "count-beliefs", Method: http.MethodGet, Path: "/api/v1/admin/beliefs", Summary: "How many beliefs each person has who has some, and nothing of what they say", Tags: []string{"Administration: users"}},
		func(ctx context.Context, in *Paging) (*list[BeliefCount], error) {
			rows, err := a.Beliefs.Counts(ctx, web.Principal(ctx), tenure.UserID(in.Cursor), in.Limit+1)
			return listOf(rows, in.Limit, showCount, func(c belief.Count) string { return string(c.User) }), err
		})
	operation(m, tenure.ReadAnyBeliefs, huma.Operation{OperationID: "disclose-beliefs", Method: http.MethodGet, Path: "/api/v1/admin/users/{id}/beliefs", Summary: "What another person's beliefs say, newest first, by an exception that one asked for oneself", Tags: []string{"Administration: users"}},
		func(ctx context.Context, in *disclosedIn) (*list[belief.Belief], error) {
			l, err := in.look()
			if err != nil {
				return nil, err
			}
			page, err := a.Beliefs.Disclose(ctx, web.Principal(ctx), tenure.UserID(in.ID), tenure.ExceptionID(in.Exception), l)
			return showBeliefs(page.Beliefs, page.Next), err
		})
}

func showBeliefs(rows []tenure.Belief, next tenure.BeliefID) *list[belief.Belief] {
	out := &list[belief.Belief]{}
	out.Body.Items = make([]belief.Belief, 0, len(rows))
	for _, b := range rows {
		out.Body.Items = append(out.Body.Items, belief.Show(b))
	}
	out.Body.Next = string(next)
	return out
}

func (a *API) beliefs(ctx context.Context, in *BeliefLook) (*list[belief.Belief], error) {
	l, err := in.look()
	if err != nil {
		return nil, err
	}
	page, err := a.Beliefs.List(ctx, web.Principal(ctx), l)
	return showBeliefs(page.Beliefs, page.Next), err
}

func (a *API) ownExtraction(ctx context.Context) (*body[Extraction], error) {
	own, err := a.Beliefs.Own(ctx, web.Principal(ctx))
	if err != nil {
		return nil, err
	}
	rows, err := a.Beliefs.Mine(ctx, web.Principal(ctx))
	out := Extraction{Extraction: string(own.When), Workspaces: make([]ExtractionHere, 0, len(rows))}
	for _, f := range rows {
		out.Workspaces = append(out.Workspaces, showHere(f))
	}
	return &body[Extraction]{out}, err
}

// exportBeliefs streams all of one's beliefs. What goes wrong before the first byte is
// answered as everywhere.
func (a *API) exportBeliefs(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		out := &web.Download{W: w, Type: "application/json", Name: a.Beliefs.ExportName()}
		if err := a.Beliefs.ExportTo(ctx, web.Principal(ctx), out); err != nil {
			web.EventOf(ctx).Err = err
			if !out.Begun {
				Fail(w, r, err)
			}
		}
	}}, nil
}
