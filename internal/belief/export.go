package belief

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Belief is a belief in the form of JSON.
type Belief struct {
	ID          string    `json:"id"`
	Workspace   string    `json:"workspace" doc:"Id"`
	Scope       string    `json:"scope" doc:"Where it holds: user:universal, domain:NAME or project:NAME"`
	Type        string    `json:"type" enum:"preference,decision,entity,relation,open_question"`
	Status      string    `json:"status" enum:"active,inferred,exploratory,superseded"`
	Name        string    `json:"name,omitempty"`
	Aliases     []string  `json:"aliases,omitempty"`
	Content     string    `json:"content,omitempty"`
	Why         string    `json:"why,omitempty" doc:"Why it matters"`
	Excerpt     string    `json:"excerpt,omitempty" doc:"Of the turn that it was drawn out of, where the policy keeps it"`
	Confidence  float64   `json:"confidence" doc:"From 0 to 1"`
	Line        string    `json:"line" doc:"The first of those that took each other's place"`
	Supersedes  string    `json:"supersedes,omitempty" doc:"The one that it took the place of"`
	Superseded  string    `json:"superseded_by,omitempty" doc:"The one that took its place"`
	Contradicts string    `json:"contradicts,omitempty" doc:"One that says otherwise under the same name"`
	Request     string    `json:"request,omitempty" doc:"X-Request-Id of the turn, or of the call by which it was recorded"`
	Token       string    `json:"token,omitempty" doc:"Id of the token that it came by; absent: by a session"`
	Model       string    `json:"model,omitempty" doc:"That drew it out; absent: somebody recorded it"`
	Version     int64     `json:"version" doc:"Grows with every change"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// Show gives a belief in the form of JSON.
func Show(b tenure.Belief) Belief {
	return Belief{
		ID: string(b.ID), Workspace: string(b.Workspace), Scope: string(b.Scope), Type: string(b.Type), Status: string(b.Status),
		Name: b.Name, Aliases: b.Aliases, Content: b.Content, Why: b.Why, Excerpt: b.Excerpt, Confidence: b.Confidence,
		Line: string(b.Line), Supersedes: string(b.Supersedes), Superseded: string(b.Superseded), Contradicts: string(b.Contradicts),
		Request: b.From.Request, Token: string(b.From.Token), Model: b.From.Model, Version: b.Version, CreatedAt: b.CreatedAt.UTC(), UpdatedAt: b.UpdatedAt.UTC(),
	}
}

// ExportTo writes what Export gives as one JSON document, without holding it in memory. It
// writes nothing before the first belief could be read; what was broken off is no JSON.
func (s *Beliefs) ExportTo(ctx context.Context, by tenure.Principal, w io.Writer) error {
	head, err := json.Marshal(map[string]any{"person": by.Label(), "exported_at": s.DB.Now().UTC()})
	if err != nil {
		return err
	}
	before := string(head[:len(head)-1]) + `,"beliefs":[` + "\n"
	err = s.Export(ctx, by, func(b tenure.Belief) error {
		row, err := json.Marshal(Show(b))
		if err == nil {
			_, err = io.WriteString(w, before+string(row))
		}
		before = ",\n"
		return err
	})
	if err != nil {
		return err
	}
	if before == ",\n" {
		before = "\n"
	}
	_, err = io.WriteString(w, before+"]}\n")
	return err
}

// ExportName is the name of the file of an export that is made now.
func (s *Beliefs) ExportName() string {
	return "beliefs-" + s.DB.Now().UTC().Format(time.DateOnly) + ".json"
}
