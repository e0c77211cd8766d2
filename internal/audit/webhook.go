package audit

import (
	"strconv"

	"github.com/tenure-gateway/tenure"
)

// WebhookSecretMade tells of a new secret of the tenant's webhook; the one before
// is good no more.
func WebhookSecretMade(p tenure.Principal) tenure.AuditEvent { return by(p, "webhook.secret_made") }

// WebhookGivenUp tells of a notice that the webhook did not accept for a day.
func WebhookGivenUp(n tenure.Notice, reason string) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: n.Tenant, Action: "webhook.given_up", Outcome: Refused, ActorKind: "system", Actor: "webhook",
		ObjectID: string(n.ID), Object: n.Kind, Reason: reason, Detail: map[string]string{"attempts": strconv.Itoa(n.Attempts)},
	}
}
