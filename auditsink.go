package tenure

import "time"

// SinkID names an audit sink.
type SinkID string

// The kinds of audit sinks, and the formats of what they get.
const (
	SinkSyslog  = "syslog"  // RFC 5424 over TLS (RFC 5425)
	SinkOTLP    = "otlp"    // OpenTelemetry logs by HTTP, as JSON
	SinkWebhook = "webhook" // CloudEvents 1.0, signed as by Standard Webhooks

	FormatNative = "native"
	FormatOCSF   = "ocsf"
)

// AuditSink is a receiver of audit events. Its secret is sealed in the store and is no
// part of this value.
type AuditSink struct {
	ID         SinkID
	Tenant     TenantID
	Name       string // unique in the tenant
	Everywhere bool   // it gets the events of all tenants
	Kind       string
	Address    string // a URL; of syslog host:port
	Format     string
	CA         string // PEM: whose certificates are believed instead of the usual; syslog only
	Cert       string // PEM: the client's certificate; syslog only. Its key is the secret
	Header     string // name of a header whose value is the secret; OTLP only
	Cursor     int64  // the first place that it does not have
	Signed     int64  // places that the checkpoint it had last is over
	Error      string // why the last attempt failed; "": it did not
	ErrorAt    time.Time
	SentAt     time.Time // when something was last accepted
	Attempts   int       // that failed since
	NextTryAt  time.Time
	Paused     bool
	CreatedAt  time.Time
	CreatedBy  string
}

// All is the tenant whose events a sink gets; "" for all.
func (s AuditSink) All() TenantID {
	if s.Everywhere {
		return ""
	}
	return s.Tenant
}

// ToldOfAll reports whether a sink may know how much all tenants do: it gets places and
// checkpoints.
func (s AuditSink) ToldOfAll() bool { return s.Everywhere || s.Tenant == DefaultTenant }
