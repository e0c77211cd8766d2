package audit

import (
	"strconv"

	"github.com/tenure-gateway/tenure"
)

func aboutGroup(e tenure.AuditEvent, g tenure.Group, added, removed int) tenure.AuditEvent {
	e.Tenant, e.ObjectID, e.Object = g.Tenant, string(g.ID), g.DisplayName
	e.Detail = map[string]string{"members_added": strconv.Itoa(added), "members_removed": strconv.Itoa(removed)}
	return e
}

// GroupCreated tells of a new group and how many are in it.
func GroupCreated(p tenure.Principal, g tenure.Group, added int) tenure.AuditEvent {
	return aboutGroup(by(p, "group.created"), g, added, 0)
}

// GroupUpdated tells of a rename, or of how many came and went.
func GroupUpdated(p tenure.Principal, before, after tenure.Group, added, removed int) tenure.AuditEvent {
	e := aboutGroup(by(p, "group.updated"), after, added, removed)
	if before.DisplayName != after.DisplayName {
		e.Detail["display_name_before"] = before.DisplayName
	}
	return e
}

// GroupDeleted tells of a group's end and how many were in it.
func GroupDeleted(p tenure.Principal, g tenure.Group, removed int) tenure.AuditEvent {
	return aboutGroup(by(p, "group.deleted"), g, 0, removed)
}
