package audit

import (
	"strconv"

	"github.com/tenure-gateway/tenure"
)

// WentBack tells that the database was found at an earlier state than a replica has
// seen: how many ends of access the replica remembered, and how many of them the
// database had forgotten and were written again.
func WentBack(replica string, remembered, again int) tenure.AuditEvent {
	return tenure.AuditEvent{
		Tenant: tenure.DefaultTenant, Action: "database.went_back", Outcome: Success, ActorKind: "system", Actor: replica, Object: "database",
		Detail: map[string]string{"remembered": strconv.Itoa(remembered), "ended_again": strconv.Itoa(again)},
	}
}
