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

// AuditVerification is what is known of the verification of the audit log.
type AuditVerification struct {
	Places   int64         `json:"places" doc:"Events that are verified, from the first one on"`
	At       *time.Time    `json:"verified_at" doc:"When that was; null: never"`
	WholeAt  *time.Time    `json:"whole_at" doc:"When all of the log was verified last"`
	Fault    *ledger.Fault `json:"fault" doc:"The first thing that is wrong; null: nothing"`
	FaultAt  *time.Time    `json:"fault_found_at"`
	Signed   int64         `json:"signed" doc:"Events under the newest checkpoint"`
	SignedAt *time.Time    `json:"signed_at"`
	Running  *AuditRunning `json:"running" doc:"The verification that is going on; null: none"`
	Stale    *time.Time    `json:"not_verified_since" doc:"Since when nothing was verified; null: within ten minutes something was"`
}

// AuditRunning is a verification that is going on.
type AuditRunning struct {
	Whole bool       `json:"whole" doc:"Of all of the log; else of what is new"`
	Since *time.Time `json:"since" doc:"null: it is about to begin"`
	Done  int64      `json:"done"`
	All   int64      `json:"all"`
}

func showVerification(v ledger.Verification) AuditVerification {
	out := AuditVerification{
		Places: v.Places, At: when(v.At), WholeAt: when(v.WholeAt), Fault: v.Fault, FaultAt: when(v.FaultAt), Signed: v.Signed, SignedAt: when(v.SignedAt), Stale: when(v.Stale),
	}
	if r := v.Running; r != nil {
		out.Running = &AuditRunning{r.Whole, when(r.Since), r.Done, r.All}
	}
	return out
}

type eraseIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why; it is in the log for ever, so it should name nobody"`
	}
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
	operation(m, tenure.EraseAudit, huma.Operation{
		OperationID: "erase-audit", Method: http.MethodPost, Path: "/api/v1/admin/users/{id}/erase-audit", Summary: "Erase what the audit log has about somebody who is deactivated or deleted", Tags: []string{"Administration"},
		Description: "Of events older than 90 days. They stay in their places and proofs of them hold; an event tells who erased them, and why. Nothing brings it back.",
	},
		func(ctx context.Context, in *eraseIn) (*body[ledger.Erased], error) {
			out, err := a.Ledger.Erase(ctx, web.Principal(ctx), ledger.Erasure{Person: tenure.UserID(in.ID), Reason: in.Body.Reason})
			return &body[ledger.Erased]{out}, err
		})
	const verification = "/api/v1/admin/audit/verification"
	operation(m, tenure.VerifyAudit, huma.Operation{OperationID: "audit-verification", Method: http.MethodGet, Path: verification, Summary: "How far the audit log is verified, and what was found", Tags: []string{"Administration"}},
		func(ctx context.Context, _ *struct{}) (*body[AuditVerification], error) {
			v, err := a.Ledger.Verification(ctx, web.Principal(ctx))
			return &body[AuditVerification]{showVerification(v)}, err
		})
	operation(m, tenure.VerifyAudit, huma.Operation{OperationID: "verify-audit", Method: http.MethodPost, Path: verification, Summary: "Have all of the audit log verified, in the background", Tags: []string{"Administration"}},
		func(ctx context.Context, _ *struct{}) (*body[AuditVerification], error) {
			v, err := a.Ledger.VerifyNow(ctx, web.Principal(ctx))
			return &body[AuditVerification]{showVerification(v)}, err
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
