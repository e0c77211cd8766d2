package dash

import (
	"fmt"
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/web"
)

// sinkKinds are what a sink can be, for people.
func sinkKinds() []option {
	return []option{
		{Value: tenure.SinkWebhook, Label: "Webhook", Hint: "CloudEvents, posted and signed with a secret that is shown once."},
		{Value: tenure.SinkSyslog, Label: "Syslog", Hint: "RFC 5424 over TLS, for most SIEMs."},
		{Value: tenure.SinkOTLP, Label: "OTLP", Hint: "OpenTelemetry logs over HTTP, for a collector."},
	}
}

// sinkForm asks for what a kind of sink needs. Without a kind it asks for that.
func (d *Dash) sinkForm(r *http.Request, kind string) *formPage {
	page := &formPage{
		frame: d.frame(r, "New audit sink"), Heading: "New audit sink", Action: sinksPath, Button: "Make the sink", Back: sinksPath,
		Lead: []string{"It gets every event of this tenant, in order and at least once; what it does not accept is tried again until it does. The first is the event of its making, within seconds."},
	}
	page.Address = sinksPath + "/new?kind=" + kind
	name := field{Kind: textField, Name: "name", Label: "Name", Most: tenure.MaxName, Needed: true, Example: "SIEM"}
	address := field{Kind: textField, Name: "address", Label: "Address", Most: 2000, Needed: true, Code: true, Example: "https://siem.example.com/tenure"}
	sealed := "Sealed at once and never shown again. If the form comes back, type it again."
	page.Folded = []field{
		{Kind: oneField, Name: "format", Label: "Form of the events", Options: []option{{Value: tenure.FormatNative, Label: "Tenure’s own", On: true}, {Value: tenure.FormatOCSF, Label: "OCSF 1.3"}}},
		{Kind: manyField, Name: "from_start", Label: "Beginning", Options: []option{{Value: "true", Label: "Send the whole log, not only what comes from now on"}}},
	}
	page.Fold = "Form and beginning"
	switch kind {
	case tenure.SinkWebhook:
		page.Heading = "New webhook for audit events"
		page.Fields = []field{name, address}
	case tenure.SinkSyslog:
		page.Heading = "New syslog receiver for audit events"
		address.Example, address.Hint = "siem.example.com:6514", "Host and port. Only TLS is spoken."
		page.Fields = []field{
			name, address,
			{Kind: areaField, Name: "ca", Label: "Certificates that are believed", Most: 8 << 10, Code: true, Hint: "PEM. Empty: those that the machine believes."},
			{Kind: areaField, Name: "cert", Label: "Client’s certificate", Most: 8 << 10, Code: true, Hint: "PEM, where the receiver asks for one."},
			{Kind: areaField, Name: "secret", Label: "Its private key", Most: 8 << 10, Code: true, Unshown: true, Hint: "PEM. " + sealed},
		}
	case tenure.SinkOTLP:
		page.Heading = "New OpenTelemetry receiver for audit events"
		address.Example = "https://otel.example.com/v1/logs"
		page.Fields = []field{
			name, address,
			{Kind: textField, Name: "header", Label: "Header", Most: 100, Code: true, Example: "Authorization", Hint: "Whose value lets Tenure in, where the receiver asks for one."},
			{Kind: secretField, Name: "secret", Label: "Its value", Most: 4096, Hint: sealed},
		}
	default:
		kinds := sinkKinds()
		kinds[0].On = true
		page.Address, page.Action, page.Button, page.Asks = sinksPath+"/new", sinksPath+"/new", "Go on", true
		page.Folded, page.Fields = nil, []field{{Kind: oneField, Name: "kind", Label: "Kind of receiver", Options: kinds}}
		return page
	}
	page.Fields = append(page.Fields, field{Kind: hiddenField, Name: "kind", Value: kind})
	return page
}

func (d *Dash) newSink(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.sinkForm(r, r.URL.Query().Get("kind")))
}

func (d *Dash) createSink(w http.ResponseWriter, r *http.Request) error {
	row, secret, err := d.Sinks.Create(r.Context(), web.Principal(r.Context()), tenure.AuditSink{
		Name: sent(r, "name"), Kind: sent(r, "kind"), Address: sent(r, "address"), Format: sent(r, "format"), CA: sent(r, "ca"), Cert: sent(r, "cert"), Header: sent(r, "header"),
	}, tenure.NewSecret(sent(r, "secret")), sent(r, "from_start") != "")
	if err != nil {
		return d.askAgain(w, r, d.sinkForm(r, sent(r, "kind")), err)
	}
	r.SetPathValue("id", string(row.ID))
	return d.showSink(w, r, fmt.Sprintf("“%s” is there: its first event is that of its making.", row.Name), secret, 0)
}

// rotateSinkForm asks for another secret, or for how long both of a webhook sign.
func (d *Dash) rotateSinkForm(r *http.Request) (*formPage, error) {
	s, err := d.sinkOf(r)
	if err != nil {
		return nil, err
	}
	path := sinksPath + "/" + string(s.ID)
	page := &formPage{
		frame: d.frame(r, "Rotate a sink’s secret"), Heading: fmt.Sprintf("Rotate the secret of “%s”", s.Name), Action: path + "/rotate", Button: "Rotate", Back: path,
		Lead: []string{"The receiver is tried with the new one at once. What it refuses until it knows it is sent again."},
	}
	page.Address = page.Action
	switch s.Kind {
	case tenure.SinkWebhook:
		choices := overlaps()
		choices[0].Label, choices[2].On = "Not at all: only the new one signs, at once", true
		page.Lead = []string{"It gets a new secret, shown once on the next page. For a while requests carry two signatures, one of each: put the new one in its place before that ends."}
		page.Fields = []field{{Kind: oneField, Name: "overlap", Label: "How long the secret before signs, too", Options: choices}}
	case tenure.SinkSyslog:
		page.Fields = []field{
			{Kind: areaField, Name: "cert", Label: "Client’s new certificate", Most: 8 << 10, Needed: true, Code: true, Hint: "PEM."},
			{Kind: areaField, Name: "secret", Label: "Its private key", Most: 8 << 10, Needed: true, Code: true, Unshown: true, Hint: "PEM. Sealed at once and never shown again."},
		}
	default:
		page.Fields = []field{{Kind: secretField, Name: "secret", Label: "New value of " + s.Header, Most: 4096, Needed: true, Hint: "Sealed at once and never shown again."}}
	}
	return page, nil
}

func (d *Dash) askRotateSink(w http.ResponseWriter, r *http.Request) error {
	page, err := d.rotateSinkForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) rotateSink(w http.ResponseWriter, r *http.Request) error {
	var row tenure.AuditSink
	var secret tenure.Secret
	overlap, err := sink.ParseOverlap(sent(r, "overlap"))
	if err == nil {
		row, secret, err = d.Sinks.Rotate(r.Context(), web.Principal(r.Context()), tenure.SinkID(r.PathValue("id")),
			sink.NewSecret{Secret: tenure.NewSecret(sent(r, "secret")), Cert: sent(r, "cert"), Overlap: overlap})
	}
	if err != nil {
		page, failed := d.rotateSinkForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showSink(w, r, fmt.Sprintf("“%s” has a new secret.", row.Name), secret, overlap)
}
