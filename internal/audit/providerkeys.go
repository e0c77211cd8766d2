package audit

import (
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
)

// ProviderKeyChanged tells what became of a version of a provider's key: "staged",
// "activated", "arranged", "retired". Nobody is behind one whose time is over.
func ProviderKeyChanged(p tenure.Principal, v tenure.Provider, k tenure.ProviderKey, what string) tenure.AuditEvent {
	e := by(p, "provider_key."+what)
	if !p.Valid() {
		e.ActorKind, e.Actor = "system", "overlap"
	}
	e.Tenant, e.Workspace, e.ObjectID, e.Object = v.Tenant, v.Workspace, string(k.ID), v.Name+"/"+k.Name
	e.Detail = map[string]string{
		"provider": string(v.ID), "version": strconv.FormatInt(k.Version, 10), "state": string(k.State), "last4": k.Last4, "fingerprint": k.Fingerprint,
	}
	if k.Reference != "" {
		e.Detail["key_reference"] = k.Reference
	}
	if what == "arranged" {
		e.Detail["position"], e.Detail["weight"], e.Detail["rotate_every_days"] = strconv.Itoa(k.Position), strconv.Itoa(k.Weight), strconv.Itoa(k.RotateEvery)
	}
	return e
}

// ProviderKeyActivated tells of a version that came into use: whether a check had
// passed before, and for how long the version before is still a last resort.
func ProviderKeyActivated(p tenure.Principal, v tenure.Provider, k tenure.ProviderKey, overlap time.Duration) tenure.AuditEvent {
	e := ProviderKeyChanged(p, v, k, "activated")
	e.Detail["checked"], e.Detail["overlap_seconds"] = strconv.FormatBool(k.Check == tenure.CheckPassed), strconv.Itoa(int(overlap.Seconds()))
	return e
}

// ProviderKeyChecked tells how a provider answered to a version of a key.
func ProviderKeyChecked(p tenure.Principal, v tenure.Provider, k tenure.ProviderKey) tenure.AuditEvent {
	e := ProviderKeyChanged(p, v, k, "checked")
	e.Detail["check"] = string(k.Check)
	if k.Check != tenure.CheckPassed {
		e.Outcome, e.Reason = Refused, k.CheckError
	}
	return e
}
