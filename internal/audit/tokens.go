package audit

import (
	"cmp"
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
)

// ReuseDetected is the action of TokenReused.
const ReuseDetected = "token.reuse_detected"

// TokenRotated tells that a newer secret took a token's place, and for how long
// the old one is still good.
func TokenRotated(p tenure.Principal, old, fresh tenure.Token, overlap time.Duration) tenure.AuditEvent {
	e := aboutToken(by(p, "token.rotated"), old)
	e.Detail["to"], e.Detail["to_prefix"], e.Detail["family"] = string(fresh.ID), fresh.Prefix, string(fresh.Family)
	e.Detail["overlap_seconds"] = strconv.Itoa(int(overlap.Seconds()))
	return e
}

// TokenReused tells that a rotated secret was presented after its overlap, and
// how many tokens of its line ended for it.
func TokenReused(t tenure.Token, ended int) tenure.AuditEvent {
	e := aboutToken(tenure.AuditEvent{
		Action: ReuseDetected, Outcome: Refused, ActorKind: "unknown",
		Reason: "a rotated secret was used after its overlap: it may have been stolen",
	}, t)
	e.Detail["rotated_at"], e.Detail["rotated_to"] = t.RotatedAt.UTC().Format(time.RFC3339), string(t.RotatedTo)
	e.Detail["family"], e.Detail["ended"] = string(t.Family), strconv.Itoa(ended)
	return e
}

// StreamCut tells that somebody ended one request in flight, and nothing else.
func StreamCut(p tenure.Principal, of *tenure.Standing, id, model string, ran time.Duration) tenure.AuditEvent {
	e := by(p, "stream.cut")
	e.Workspace, e.ObjectID, e.Object = of.Workspace, id, cmp.Or(of.UserName, of.Name)
	e.Detail = map[string]string{"token": string(of.Token), "token_name": of.Name, "ran_seconds": strconv.Itoa(int(ran.Seconds()))}
	if model != "" {
		e.Detail["model"] = model
	}
	return e
}

// TokensRevoked tells that many tokens were revoked at once, by which selection;
// each of them has an event of its own.
func TokensRevoked(p tenure.Principal, n int, selection map[string]string, reason string) tenure.AuditEvent {
	e := by(p, "token.revoked_many")
	e.Reason, e.Detail = reason, selection
	e.Detail["tokens"] = strconv.Itoa(n)
	return e
}
