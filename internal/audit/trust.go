package audit

import (
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// TrustRequested tells that somebody asks for evidence on the trust page: who is signed
// in, or a stranger, of whom is known what they typed.
func TrustRequested(p tenure.Principal, q tenure.TrustRequest) tenure.AuditEvent {
	e := by(p, "trust.requested")
	if !p.Valid() {
		e.ActorKind = "stranger" // what they typed is in the details: anybody can type anybody's name
	}
	e.Tenant, e.ObjectID, e.Object, e.Reason = q.Tenant, string(q.ID), q.Name, q.Message
	e.Detail = map[string]string{"email": q.Email, "organisation": q.Organisation, "wants": strings.Join(q.Wants, " ")}
	return e
}

// TrustClosed tells that a request for evidence was answered or declined, and how.
func TrustClosed(p tenure.Principal, q tenure.TrustRequest) tenure.AuditEvent {
	e := by(p, "trust."+q.State)
	e.ObjectID, e.Object, e.Reason = string(q.ID), q.Name, q.Answer
	e.Detail = map[string]string{"email": q.Email, "wants": strings.Join(q.Wants, " ")}
	return e
}

// TrustReviewed tells that somebody read the trust page, with this digest of what it says,
// and found it true.
func TrustReviewed(p tenure.Principal, before tenure.TrustReview, read string) tenure.AuditEvent {
	e := by(p, "trust.reviewed")
	e.Detail = map[string]string{"reviewed_by_before": before.By, "read_sha256": read, "read_sha256_before": before.Read}
	if !before.At.IsZero() {
		e.Detail["reviewed_at_before"] = before.At.UTC().Format(time.RFC3339)
	}
	return e
}
