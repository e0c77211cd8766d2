package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/web"
)

// EvidenceQuery is what a bundle of evidence is of.
type EvidenceQuery struct {
	From     time.Time `json:"from" doc:"Begin of the period" example:"2026-01-01T00:00:00Z"`
	To       time.Time `json:"to,omitempty" doc:"Its end, which is not in it; absent: now"`
	Controls []string  `json:"controls,omitempty" maxItems:"50" doc:"References, such as CC6.2, A.5.18 or AC-2; none: all"`
	Sample   *int      `json:"sample,omitempty" minimum:"0" maximum:"200" doc:"How many leavers and how many joiners have a timeline; absent: 25"`
	Seed     string    `json:"seed,omitempty" maxLength:"100" doc:"Of the sample; absent: one is made"`
}

// EvidenceExport is an export of evidence, as the audit log tells of it.
type EvidenceExport struct {
	At        time.Time  `json:"at" doc:"When it was done; of one that is not, when it began"`
	By        string     `json:"by"`
	State     string     `json:"state" enum:"exported,begun" doc:"begun: it is under way, or was broken off"`
	From      *time.Time `json:"from"`
	To        *time.Time `json:"to"`
	Controls  []string   `json:"controls" doc:"None: all"`
	Sample    int        `json:"sample"`
	Seed      string     `json:"seed"`
	Manifest  string     `json:"manifest_sha256,omitempty"`
	Failed    int        `json:"failed" doc:"How many checks"`
	RequestID string     `json:"request_id,omitempty"`
}

// EvidenceHistory is who took which evidence, and what is under way.
type EvidenceHistory struct {
	Items    []EvidenceExport  `json:"items" doc:"The newest first"`
	UnderWay *EvidenceUnderWay `json:"under_way,omitempty" doc:"In the process that answers"`
}

// EvidenceUnderWay is how far an export is.
type EvidenceUnderWay struct {
	Since time.Time `json:"since"`
	By    string    `json:"by"`
	What  string    `json:"what" doc:"That is being written"`
	Rows  int64     `json:"rows" doc:"That are written"`
}

// The trailers of a bundle.
const (
	evidenceManifest = "Tenure-Evidence-Manifest"
	evidenceError    = "Tenure-Evidence-Error"
)

// usualSample is how many items have a timeline where nobody says.
const usualSample = 25

func (a *API) mountEvidence(m *mounting) {
	const path = "/api/v1/admin/evidence"
	tags := []string{"Administration"}
	operation(m, tenure.ExportEvidence, huma.Operation{
		OperationID: "export-evidence", Method: http.MethodPost, Path: path, Tags: tags, Summary: "What an auditor asks for of one period, as one signed file",
		Description: "The answer is a stream, and is not kept. Its trailers tell that it is whole, " + evidenceManifest + " (the SHA-256 of its manifest), or why it is not, " + evidenceError + ". One at a time.",
		Responses: map[string]*huma.Response{"200": {Description: "A zip file, which \"tenure evidence verify\" verifies", Content: map[string]*huma.MediaType{
			"application/zip": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
		}}},
	}, a.exportEvidence)
	operation(m, tenure.ExportEvidence, huma.Operation{OperationID: "list-evidence", Method: http.MethodGet, Path: path, Tags: tags, Summary: "Who exported which evidence, and what is under way"},
		func(ctx context.Context, _ *struct{}) (*body[EvidenceHistory], error) {
			h, err := a.Evidence.History(ctx, web.Principal(ctx))
			return &body[EvidenceHistory]{showEvidence(h)}, err
		})
}

// exportEvidence streams a bundle. What goes wrong before its first byte is answered as
// everywhere.
func (a *API) exportEvidence(ctx context.Context, in *body[EvidenceQuery]) (*huma.StreamResponse, error) {
	q := evidence.Query{From: in.Body.From, To: in.Body.To, Controls: in.Body.Controls, Sample: usualSample, Seed: in.Body.Seed}
	if in.Body.Sample != nil {
		q.Sample = *in.Body.Sample
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		out := &web.Download{W: w, Type: "application/zip", Name: evidence.FileName(time.Now()), Trailer: evidenceManifest + ", " + evidenceError}
		rc := http.NewResponseController(w)
		q.Unblock = func() { _ = rc.SetWriteDeadline(time.Now()) }
		m, err := a.Evidence.Export(ctx, web.Principal(ctx), q, out)
		switch {
		case err == nil:
			w.Header().Set(evidenceManifest, m.Digest)
		case !out.Begun:
			web.EventOf(ctx).Err = err
			Fail(w, r, err)
		default:
			web.EventOf(ctx).Err = err
			w.Header().Set(evidenceError, tenure.AsError(err).Msg)
		}
	}}, nil
}

func showEvidence(h evidence.History) EvidenceHistory {
	out := EvidenceHistory{Items: make([]EvidenceExport, 0, len(h.Exports))}
	for _, e := range h.Exports {
		state := "begun"
		if e.Manifest != "" {
			state = "exported"
		}
		out.Items = append(out.Items, EvidenceExport{
			At: e.At.UTC(), By: e.By, State: state, From: when(e.From), To: when(e.To), Controls: append([]string{}, e.Controls...), Sample: e.Sample, Seed: e.Seed,
			Manifest: e.Manifest, Failed: e.Failed, RequestID: e.RequestID,
		})
	}
	if u := h.UnderWay; u != nil {
		out.UnderWay = &EvidenceUnderWay{Since: u.Since.UTC(), By: u.By, What: u.What, Rows: u.Rows}
	}
	return out
}
