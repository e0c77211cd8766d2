package audit

import (
	"strconv"

	"github.com/tenure-gateway/tenure"
)

// SinkChanged tells of a receiver of audit events that was "created", "paused", "resumed",
// "rotated" or "deleted"; of its address the host.
func SinkChanged(p tenure.Principal, s tenure.AuditSink, host, what string) tenure.AuditEvent {
	e := by(p, "audit_sink."+what)
	e.Tenant, e.ObjectID, e.Object = s.Tenant, string(s.ID), s.Name
	e.Detail = map[string]string{"kind": s.Kind, "host": host, "format": s.Format, "everywhere": strconv.FormatBool(s.Everywhere)}
	return e
}
