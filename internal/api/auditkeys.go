package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/web"
)

// AuditKey is a key that signs, or has signed, the checkpoints of the audit log.
type AuditKey struct {
	ID          string     `json:"id"`
	Public      string     `json:"public" doc:"As C2SP signed notes are verified with"`
	Name        string     `json:"name" doc:"Of it in checkpoints, with its number"`
	Algorithm   string     `json:"algorithm" enum:"Ed25519"`
	CreatedAt   time.Time  `json:"created_at"`
	CreatedBy   string     `json:"created_by,omitempty" doc:"Absent: Tenure itself"`
	RetiredAt   *time.Time `json:"retired_at" doc:"When another took its place; its secret is destroyed since"`
	Checkpoints int64      `json:"checkpoints" doc:"That it has signed"`
}

// AuditKeys are the keys of the audit log.
type AuditKeys struct {
	Items []AuditKey `json:"items"`
}

// ShowAuditKeys are keys as the API and the command line show them.
func ShowAuditKeys(keys []ledger.Key) AuditKeys {
	all := AuditKeys{Items: make([]AuditKey, 0, len(keys))}
	for _, k := range keys {
		all.Items = append(all.Items, ShowAuditKey(k))
	}
	return all
}

// ShowAuditKey is a key as the API and the command line show it.
func ShowAuditKey(k ledger.Key) AuditKey {
	return AuditKey{
		ID: k.ID, Public: k.Public, Name: k.Name, Algorithm: "Ed25519", CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy,
		RetiredAt: when(k.RetiredAt), Checkpoints: k.Checkpoints,
	}
}

type checkpointOut struct {
	Checkpoint string `json:"checkpoint" doc:"A C2SP signed note over every event so far"`
}

func (a *API) mountAuditKeys(m *mounting) {
	operation(m, tenure.VerifyAudit, huma.Operation{OperationID: "audit-checkpoint", Method: http.MethodGet, Path: "/api/v1/admin/audit-checkpoint", Summary: "The signed root of the audit log, for keeping it elsewhere", Tags: []string{"Administration"}},
		func(ctx context.Context, _ *struct{}) (*body[checkpointOut], error) {
			text, err := a.Ledger.Checkpoint(ctx, web.Principal(ctx))
			return &body[checkpointOut]{checkpointOut{text}}, err
		})
	operation(m, tenure.VerifyAudit, huma.Operation{OperationID: "prove-audit-event", Method: http.MethodGet, Path: "/api/v1/admin/audit/{id}/proof", Summary: "What proves that an event is in the audit log", Tags: []string{"Administration"}},
		func(ctx context.Context, in *idIn) (*body[ledger.Proof], error) {
			p, err := a.Ledger.Prove(ctx, web.Principal(ctx), in.ID)
			return &body[ledger.Proof]{p}, err
		})
	const path = "/api/v1/admin/keys/audit"
	tags := []string{"Administration"}
	operation(m, tenure.ReadHealth, huma.Operation{OperationID: "audit-keys", Method: http.MethodGet, Path: path, Summary: "Keys that sign the audit log, the newest first", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*body[AuditKeys], error) {
			keys, err := a.Ledger.Keys(ctx, web.Principal(ctx))
			return &body[AuditKeys]{ShowAuditKeys(keys)}, err
		})
	operation(m, tenure.RotateAuditKey, huma.Operation{OperationID: "rotate-audit-key", Method: http.MethodPost, Path: path + "/rotate", Summary: "Replace the key that signs the audit log; the next checkpoint is signed by both", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*body[AuditKey], error) {
			k, err := a.Ledger.RotateKey(ctx, web.Principal(ctx))
			return &body[AuditKey]{ShowAuditKey(k)}, err
		})
}
