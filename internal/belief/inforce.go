package belief

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Who holds back the drawing out of beliefs.
const (
	HeldByPolicy    = "policy"
	HeldByWorkspace = "workspace"
	HeldByModel     = "model" // the workspace names none
	HeldByPerson    = "person"
)

// InForce is when beliefs are drawn out of turns in a workspace, and what makes it so.
// What a token says of itself narrows it further.
type InForce struct {
	Workspace tenure.WorkspaceID
	Name      string
	Policy    tenure.Extraction // what the tenant says
	Setting                     // what the workspace says
	Holds     tenure.Extraction // what therefore is so
	// By is who holds it back the most; "": nobody, it is always.
	By string
}

// narrow fills in what holds where person says what they say.
func (f *InForce) narrow(person tenure.Extraction) {
	model := tenure.ExtractAlways
	if f.Model == "" {
		model = tenure.ExtractNever
	}
	f.Holds, f.By = tenure.ExtractAlways, ""
	for _, says := range []struct {
		by   string
		when tenure.Extraction
	}{{HeldByPolicy, f.Policy}, {HeldByWorkspace, f.When}, {HeldByModel, model}, {HeldByPerson, person}} {
		if least := f.Holds.Narrow(says.when); least != f.Holds {
			f.Holds, f.By = least, says.by
		}
	}
}

// Mine is what holds for the asker in each of their workspaces.
func (s *Beliefs) Mine(ctx context.Context, by tenure.Principal) ([]InForce, error) {
	own, err := s.Own(ctx, by)
	if err != nil {
		return nil, err
	}
	policy, err := s.DB.Policy(ctx, by.Tenant())
	if err != nil {
		return nil, err
	}
	spaces, err := s.DB.Workspaces(ctx, store.WorkspaceFilter{Tenant: by.Tenant(), User: by.User(), Limit: mostSpaces})
	if err != nil {
		return nil, err
	}
	out := make([]InForce, len(spaces))
	for i, ws := range spaces {
		out[i] = InForce{Workspace: ws.ID, Name: ws.Name, Policy: policy.Extraction}
		if out[i].Setting, err = s.said(ctx, by.Tenant(), "workspace", string(ws.ID), unsaidOfSpace); err != nil {
			return nil, err
		}
		out[i].narrow(own.When)
	}
	return out, nil
}

// mostSpaces is of how many of their workspaces somebody is told what holds.
const mostSpaces = 1000

// InWorkspace is what holds in a workspace for who does not narrow it. NotFound: there is
// none such.
func (s *Beliefs) InWorkspace(ctx context.Context, by tenure.Principal, workspace string) (InForce, error) {
	said, err := s.OfWorkspace(ctx, by, workspace)
	if err != nil {
		return InForce{}, err
	}
	ws, err := s.DB.Workspace(ctx, by.Tenant(), workspace)
	if err != nil {
		return InForce{}, err
	}
	policy, err := s.DB.Policy(ctx, by.Tenant())
	if err != nil {
		return InForce{}, err
	}
	f := InForce{Workspace: ws.ID, Name: ws.Name, Policy: policy.Extraction, Setting: said}
	f.narrow(tenure.ExtractAlways)
	return f, nil
}
