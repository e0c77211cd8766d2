package belief

import (
	"context"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Setting is when beliefs are drawn out of turns, as a thing says.
type Setting struct {
	When  tenure.Extraction
	Model string // of a workspace: which is asked; "": none, and so nothing is drawn out
}

// What holds where nobody has said anything: a person has beliefs drawn out of those turns
// alone of which they ask it.
const (
	unsaidOfSpace  = tenure.ExtractAlways
	unsaidOfPerson = tenure.ExtractAsked
	unsaidOfToken  = tenure.ExtractAlways
)

// Own is what the asker says: of a token's turns where a token asks, else of all of the
// person's.
func (s *Beliefs) Own(ctx context.Context, by tenure.Principal) (Setting, error) {
	of, err := whose(by, tenure.ReadBeliefs)
	if err != nil {
		return Setting{}, err
	}
	kind, id, unsaid := own(by, of)
	return s.said(ctx, of.Tenant, kind, id, unsaid)
}

func own(by tenure.Principal, of store.BeliefFilter) (kind, id string, unsaid tenure.Extraction) {
	if by.Kind() == tenure.PAT {
		return "token", string(by.Token()), unsaidOfToken
	}
	return "user", string(of.User), unsaidOfPerson
}

func (s *Beliefs) said(ctx context.Context, tenant tenure.TenantID, kind, id string, unsaid tenure.Extraction) (Setting, error) {
	row, err := s.DB.ExtractionSetting(ctx, tenant, kind, id)
	if tenure.IsKind(err, tenure.NotFound) {
		return Setting{When: unsaid}, nil
	}
	return Setting{row.Extraction, row.Model}, err
}

// Toggle says when beliefs are drawn out of the turns of the asker, as in Own. What the
// tenant, the workspace and, of a token, its person say narrows it.
func (s *Beliefs) Toggle(ctx context.Context, by tenure.Principal, when tenure.Extraction) error {
	of, err := whose(by, tenure.ChangeBeliefs)
	if err != nil {
		return err
	}
	kind, id, unsaid := own(by, of)
	if said, err := s.said(ctx, of.Tenant, kind, id, unsaid); err != nil || said.When == when {
		return err
	}
	return s.set(ctx, by, store.ExtractionSetting{Kind: kind, ID: id, Tenant: of.Tenant, Extraction: when})
}

// OfWorkspace is what a workspace says. NotFound: there is none such.
func (s *Beliefs) OfWorkspace(ctx context.Context, by tenure.Principal, workspace string) (Setting, error) {
	if err := access.Check(by, tenure.ListProviders); err != nil {
		return Setting{}, err
	}
	ws, err := s.DB.Workspace(ctx, by.Tenant(), workspace)
	if err != nil {
		return Setting{}, err
	}
	return s.said(ctx, by.Tenant(), "workspace", string(ws.ID), unsaidOfSpace)
}

// SetWorkspace says when beliefs are drawn out of a workspace's turns, and by which model,
// as it is asked for there. Invalid: the model's name is none.
func (s *Beliefs) SetWorkspace(ctx context.Context, by tenure.Principal, workspace string, to Setting) error {
	if err := access.Check(by, tenure.SetExtraction); err != nil {
		return err
	}
	ws, err := s.DB.Workspace(ctx, by.Tenant(), workspace)
	if err != nil {
		return err
	}
	to.Model = strings.TrimSpace(to.Model)
	if err := (part{"model", to.Model, tenure.MaxBeliefName}).check(); err != nil {
		return err
	}
	return s.set(ctx, by, store.ExtractionSetting{Kind: "workspace", ID: string(ws.ID), Tenant: by.Tenant(), Extraction: to.When, Model: to.Model})
}

func (s *Beliefs) set(ctx context.Context, by tenure.Principal, to store.ExtractionSetting) error {
	if _, err := tenure.ParseExtraction(string(to.Extraction)); err != nil {
		return err
	}
	to.UpdatedBy = by.Label()
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SetExtraction(ctx, to); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ExtractionSet(by, to.Kind, to.ID, to.Extraction, to.Model))
	})
	if err != nil {
		return wrap("say when beliefs are drawn out", err)
	}
	s.Live.Changed(ctx, store.Change{Kind: to.Kind, ID: to.ID})
	return nil
}
