package audit

import (
	"net/url"

	"github.com/tenure-gateway/tenure"
)

// PolicyChanged tells of one key of a tenant's policy, before and after. Of the
// webhook only the host is told: its path may be a secret.
func PolicyChanged(p tenure.Principal, key, before, after string, unset bool) tenure.AuditEvent {
	e := by(p, "policy.changed")
	e.Object = key
	if key == "webhook_url" {
		before, after = hostOf(before), hostOf(after)
	}
	e.Detail = map[string]string{"before": before, "after": after}
	if unset {
		e.Reason = "back to the default"
	}
	return e
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
