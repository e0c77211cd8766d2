package sink

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/webhook"
)

// payload is what is sent of an item, in the sink's format; checkpoints are always our
// own form.
func payload(row tenure.AuditSink, i item) any {
	if i.checkpoint != nil {
		return i.mark()
	}
	place := &i.placed.Place
	if !row.ToldOfAll() {
		place = nil
	}
	record := audit.Show(*i.placed.Event, place)
	if row.Format == tenure.FormatOCSF {
		return audit.OCSF(record)
	}
	return record
}

// A head is what every protocol says of an item itself.
type head struct {
	id, action string
	tenant     tenure.TenantID
	at         time.Time
	refused    bool
}

func headOf(i item) head {
	if c := i.checkpoint; c != nil {
		return head{id: "checkpoint-" + strconv.FormatInt(c.Size, 10), action: audit.MarkCheckpoint, tenant: tenure.DefaultTenant, at: c.At.UTC()}
	}
	e := i.placed.Event
	return head{e.ID, e.Action, e.Tenant, e.At.UTC(), e.Outcome != audit.Success}
}

// cloudEvent is the envelope of CloudEvents 1.0 in structured mode.
type cloudEvent struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        any       `json:"data"`
}

// postWebhook posts a batch of CloudEvents, signed.
func (s *Sinks) postWebhook(ctx context.Context, row tenure.AuditSink, secret tenure.Secret, items []item) error {
	batch := make([]cloudEvent, len(items))
	for n, i := range items {
		h := headOf(i)
		batch[n] = cloudEvent{"1.0", h.id, "/tenants/" + string(h.tenant), "dev.tenure.audit." + strings.TrimPrefix(h.action, "audit.") + ".v1", h.at, "application/json", i.text}
	}
	body, err := json.Marshal(batch)
	if err != nil {
		return err
	}
	now := s.DB.Now()
	newest, before := signers(secret, now)
	_, _, err = webhook.Post(ctx, s.client(row), webhook.Message{
		URL: row.Address, ID: batch[0].ID + "." + strconv.Itoa(len(batch)), ContentType: "application/cloudevents-batch+json; charset=utf-8", Body: body, Secret: newest, Before: before,
	}, now)
	return err
}

// client is what may connect to where the sink's tenant may send.
func (s *Sinks) client(row tenure.AuditSink) *http.Client {
	if row.Tenant == tenure.DefaultTenant {
		return s.Client
	}
	return s.Public
}

// The shape of OTLP logs as JSON (opentelemetry-proto, logs/v1).
type (
	otlpText struct {
		Text string `json:"stringValue"`
	}
	otlpPair struct {
		Key   string   `json:"key"`
		Value otlpText `json:"value"`
	}
	otlpRecord struct {
		Time       string     `json:"timeUnixNano"`
		Observed   string     `json:"observedTimeUnixNano"`
		Severity   int        `json:"severityNumber"`
		Word       string     `json:"severityText"`
		Body       otlpText   `json:"body"`
		Attributes []otlpPair `json:"attributes"`
		Name       string     `json:"eventName"`
	}
)

// postOTLP posts log records to an OTLP/HTTP receiver, as JSON. What the receiver says
// that it has rejected is not sent again, as the specification wants it, and told of.
func (s *Sinks) postOTLP(ctx context.Context, row tenure.AuditSink, secret tenure.Secret, items []item) error {
	records := make([]otlpRecord, len(items))
	observed := strconv.FormatInt(s.DB.Now().UnixNano(), 10)
	for n, i := range items {
		h := headOf(i)
		records[n] = otlpRecord{
			Time: strconv.FormatInt(h.at.UnixNano(), 10), Observed: observed, Severity: 9, Word: "INFO", Body: otlpText{string(i.text)}, Name: h.action,
			Attributes: []otlpPair{{"event.id", otlpText{h.id}}, {"event.name", otlpText{h.action}}, {"tenure.tenant", otlpText{string(h.tenant)}}},
		}
		if h.refused {
			records[n].Severity, records[n].Word = 13, "WARN"
		}
	}
	type m = map[string]any
	body, err := json.Marshal(m{"resourceLogs": []m{{
		"resource":  m{"attributes": []otlpPair{{"service.name", otlpText{"tenure"}}}},
		"scopeLogs": []m{{"scope": m{"name": "tenure.audit", "version": strconv.Itoa(audit.RecordSchema)}, "logRecords": records}},
	}}})
	if err != nil {
		return err
	}
	header := http.Header{}
	if row.Header != "" {
		header.Set(row.Header, secret.Reveal())
	}
	_, answer, err := webhook.Post(ctx, s.client(row), webhook.Message{URL: row.Address, ContentType: "application/json", Body: body, Header: header}, s.DB.Now())
	var got struct {
		Partial struct {
			Rejected json.Number `json:"rejectedLogRecords"`
			Why      string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if err == nil && json.Unmarshal(answer, &got) == nil && got.Partial.Rejected != "" && got.Partial.Rejected != "0" {
		s.Log.Error("audit sink rejected records", "tenant", row.Tenant, "sink", row.ID, "rejected", got.Partial.Rejected.String(), "error", tenure.Shown(got.Partial.Why))
	}
	return err
}
