package dash

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/web"
)

const sinksPath = "/admin/audit/sinks"

// A sinksPage lists where audit events are sent.
type sinksPage struct {
	frame
	Notice string
	Rows   []sinkRow
	File   *sinkRow // that this process writes; nil: none, or not theirs to know
	May    bool     // make one
}

// A sinkRow is a sink with how it stands, in words.
type sinkRow struct {
	tenure.AuditSink
	State, Tone, Shape string
	Behind             string // how far, "" where it has everything
	Plain              string // what its last error means, "" without one
	Path               string
}

func (f frame) sinkRow(s sink.Listed) sinkRow {
	row := sinkRow{AuditSink: s.AuditSink, State: "well", Tone: "ok", Shape: "●", Plain: plainly(s.Trouble), Path: sinksPath + "/" + string(s.ID)}
	if s.Events > 0 {
		row.Behind = plural(int(s.Events), "event")
		if s.ToldOfAll() && s.Everywhere {
			row.Behind = plural(int(s.Events), "place")
		}
		row.Behind += ", " + short(s.Lag(f.Now).Truncate(time.Second))
	}
	switch {
	case s.Paused:
		row.State, row.Tone, row.Shape = "paused", "", "○"
	case s.Trouble != "":
		row.State, row.Tone, row.Shape = "fails", "bad", "■"
	case s.SentAt.IsZero():
		row.State, row.Tone, row.Shape = "nothing sent yet", "", "○"
	}
	return row
}

// plainly says what an error of a receiver means for who looks after it.
func plainly(reason string) string {
	if reason == "" {
		return ""
	}
	for _, known := range []struct{ sign, means string }{
		{"connection refused", "Nothing listens at this address. Is the receiver running, and is the port right?"},
		{"no such host", "This name leads to no address. Is it spelled right, and known where Tenure runs?"},
		{"not allowed", "Tenure may not connect to this address: the operator’s settings or the tenant’s place forbid it."},
		{"first record does not look like a TLS handshake", "The receiver does not speak TLS at this port."},
		{"x509", "The receiver’s certificate is not believed. Is it of this name, in date, and signed by an authority that is known here?"},
		{"tls: ", "The receiver refused the TLS connection. Does it want a client’s certificate, or another one?"},
		{"deadline exceeded", "The receiver did not answer in time. Is a firewall between, or is it too busy?"},
		{"timeout", "The receiver did not answer in time. Is a firewall between, or is it too busy?"},
		{"answered 401", "The receiver does not believe who asks. Was its secret changed there?"},
		{"answered 403", "The receiver knows who asks, and refuses. What may this credential do there?"},
		{"answered 404", "The receiver has nothing at this path. Is the address whole?"},
		{"answered 413", "The receiver takes no request of this size, not even one event alone."},
		{"answered 429", "The receiver asks for fewer requests; Tenure waits as long as it says."},
		{"answered 5", "The receiver has an error of its own; Tenure tries again."},
		{"answered 3", "The receiver sends elsewhere, and Tenure follows nobody: use the address that it names."},
		{"secret was lost", "The sink’s secret was lost with the key that sealed it. Rotate it."},
	} {
		if strings.Contains(reason, known.sign) {
			return known.means
		}
	}
	return "What was sent was not accepted; Tenure tries again."
}

func (d *Dash) sinks(w http.ResponseWriter, r *http.Request) error {
	return d.showSinks(w, r, "")
}

func (d *Dash) showSinks(w http.ResponseWriter, r *http.Request, notice string) error {
	by := web.Principal(r.Context())
	page := sinksPage{frame: d.frame(r, "Audit sinks"), Notice: notice, May: may(by, tenure.CreateSink)}
	page.Address = sinksPath
	rows, err := d.Sinks.List(r.Context(), by)
	if err != nil {
		return err
	}
	for _, s := range rows {
		page.Rows = append(page.Rows, page.sinkRow(s))
	}
	path, stands, err := d.Sinks.OwnFile(by)
	if err == nil {
		row := page.sinkRow(sink.Listed{AuditSink: tenure.AuditSink{Address: path, Everywhere: true, SentAt: page.Now}, Standing: stands})
		page.File = &row
	} else if !tenure.IsKind(err, tenure.NotFound) {
		return err
	}
	return d.show(w, http.StatusOK, "sinks", page)
}

// A sinkPage shows one sink.
type sinkPage struct {
	frame
	Notice string
	Secret tenure.Secret // of a webhook, that has just been made; zero: none
	Until  moment        // until when the secret before signs, too
	Sink   sinkRow
	May    bool // change it
	Sealed bool // it has a secret that can be rotated
}

func (d *Dash) sink(w http.ResponseWriter, r *http.Request) error {
	return d.showSink(w, r, "", tenure.Secret{}, 0)
}

func (d *Dash) sinkOf(r *http.Request) (sink.Listed, error) {
	return d.Sinks.Get(r.Context(), web.Principal(r.Context()), tenure.SinkID(r.PathValue("id")))
}

func (d *Dash) showSink(w http.ResponseWriter, r *http.Request, notice string, secret tenure.Secret, overlap time.Duration) error {
	s, err := d.sinkOf(r)
	if err != nil {
		return err
	}
	page := sinkPage{frame: d.frame(r, s.Name), Notice: notice, Secret: secret}
	page.Sink = page.sinkRow(s)
	page.Address = page.Sink.Path
	page.May = !s.Everywhere && may(web.Principal(r.Context()), tenure.ChangeSink)
	page.Sealed = s.Kind == tenure.SinkWebhook || s.Header != "" || s.Cert != ""
	if overlap > 0 {
		page.Until = page.At(page.Now.Add(overlap))
	}
	return d.show(w, http.StatusOK, "sink", page)
}

// pauseSink stops a sink, or lets it go on.
func (d *Dash) pauseSink(paused bool, told string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		row, err := d.Sinks.Pause(r.Context(), web.Principal(r.Context()), tenure.SinkID(r.PathValue("id")), paused)
		if err != nil {
			return err
		}
		return d.showSink(w, r, fmt.Sprintf(told, row.Name), tenure.Secret{}, 0)
	}
}

func (d *Dash) askDeleteSink(w http.ResponseWriter, r *http.Request) error {
	s, err := d.sinkOf(r)
	if err != nil {
		return err
	}
	page := confirmPage{frame: d.frame(r, "Delete a sink"), Heading: fmt.Sprintf("Delete the sink “%s”?", s.Name), Button: "Delete the sink"}
	row := page.sinkRow(s)
	page.Back, page.Action = row.Path, row.Path+"/delete"
	page.Ends = []string{"Nothing more is sent to it. What it has, it keeps.", "Its secret here is forgotten."}
	if row.Behind != "" {
		page.Ends = append(page.Ends, "What it does not have yet ("+row.Behind+") it will not get. In the log it stays.")
	}
	page.Facts = []fact{{Name: "Where", Text: s.Address, Code: true}, {Name: "Last sent", At: page.At(s.SentAt)}, {Name: "Created", At: page.At(s.CreatedAt)}}
	if s.Everywhere {
		page.Over = "It gets the events of all tenants: the operator ends it, with tenure audit sink delete."
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) deleteSink(w http.ResponseWriter, r *http.Request) error {
	s, err := d.sinkOf(r)
	if err != nil {
		return err
	}
	if err := d.Sinks.Delete(r.Context(), web.Principal(r.Context()), s.ID); err != nil {
		return err
	}
	return d.showSinks(w, r, fmt.Sprintf("“%s” is deleted: nothing more is sent to it.", s.Name))
}
