package audit

import (
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// What a belief says is in none of these: they tell that somebody kept, read or removed it.

func aboutBelief(e tenure.AuditEvent, b tenure.Belief) tenure.AuditEvent {
	e.Tenant, e.Workspace, e.ObjectID = b.Tenant, b.Workspace, string(b.ID)
	e.Detail = map[string]string{"scope": string(b.Scope), "type": string(b.Type), "status": string(b.Status)}
	return e
}

// BeliefRecorded tells of a belief that its person stated, and how it was kept.
func BeliefRecorded(p tenure.Principal, b tenure.Belief, how string) tenure.AuditEvent {
	e := aboutBelief(by(p, "belief.recorded"), b)
	e.Detail["how"] = how
	return e
}

// BeliefChanged tells of a belief that its person changed, and how.
func BeliefChanged(p tenure.Principal, b tenure.Belief, how string) tenure.AuditEvent {
	e := aboutBelief(by(p, "belief.changed"), b)
	e.Detail["how"] = how
	return e
}

// shownDeleted is how many beliefs that went with another are named.
const shownDeleted = 200

// BeliefDeleted tells of a belief that its person deleted, alone or with others of its line,
// and of which these were: lines are joined, so that its name alone would not tell.
func BeliefDeleted(p tenure.Principal, b tenure.Belief, with []tenure.BeliefID) tenure.AuditEvent {
	e := aboutBelief(by(p, "belief.deleted"), b)
	e.Detail["count"] = strconv.Itoa(1 + len(with))
	if len(with) > 0 {
		names := make([]string, min(len(with), shownDeleted))
		for i := range names {
			names[i] = string(with[i])
		}
		e.Detail["line"], e.Detail["with"] = string(b.Line), strings.Join(names, " ")
	}
	return e
}

// BeliefsErased tells that a person's key was destroyed, with how many beliefs.
func BeliefsErased(p tenure.Principal, n int) tenure.AuditEvent {
	e := by(p, "beliefs.erased")
	e.ObjectID, e.Detail = string(p.User()), map[string]string{"count": strconv.Itoa(n)}
	return e
}

// BeliefsRead tells that beliefs were "listed", "exported" or are "watched".
func BeliefsRead(p tenure.Principal, how string, scope tenure.BeliefScope, n int) tenure.AuditEvent {
	e := by(p, "beliefs."+how)
	e.Workspace, e.ObjectID, e.Detail = p.Workspace(), string(p.User()), map[string]string{"count": strconv.Itoa(n)}
	if scope != "" {
		e.Detail["scope"] = string(scope)
	}
	return e
}

// BeliefsDisclosed tells that somebody read another person's beliefs, and by which exception.
func BeliefsDisclosed(p tenure.Principal, person tenure.User, x tenure.ExceptionID, scope tenure.BeliefScope, n int) tenure.AuditEvent {
	e := BeliefsRead(p, "disclosed", scope, n)
	e.ObjectID, e.Object, e.Detail["exception"] = string(person.ID), person.UserName, string(x)
	return e
}

// BeliefsExtracted tells that beliefs were drawn out of a turn: how many there are of it,
// how many were dropped, and by which model.
func BeliefsExtracted(p tenure.Principal, request string, scope tenure.BeliefScope, kept, dropped int, model string) tenure.AuditEvent {
	e := by(p, "extraction.finished")
	e.Workspace, e.ObjectID = p.Workspace(), request
	e.Detail = map[string]string{"scope": string(scope), "kept": strconv.Itoa(kept), "dropped": strconv.Itoa(dropped), "model": model, "token": string(p.Token())}
	return e
}

// ExtractionFailed tells that none were, and why.
func ExtractionFailed(tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID, request, code string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenant, Workspace: ws, Action: "extraction.failed", Outcome: Refused, ActorKind: "system", Actor: "extraction", ActorID: string(user), ObjectID: request, Reason: code,
	}
}

// ExtractionSet tells when beliefs are drawn out of the turns of a workspace, a person or a
// token from now on, and by which model.
func ExtractionSet(p tenure.Principal, kind, id string, when tenure.Extraction, model string) tenure.AuditEvent {
	e := by(p, "extraction.set")
	e.ObjectID, e.Detail = id, map[string]string{"of": kind, "extraction": string(when)}
	if model != "" {
		e.Detail["model"] = model
	}
	return e
}
