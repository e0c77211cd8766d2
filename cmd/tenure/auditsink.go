package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/api"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/sink"
)

type auditSink struct {
	Create auditSinkCreate `cmd:"" help:"Have audit events sent somewhere."`
	List   auditSinkList   `cmd:"" help:"List where they are sent, and how far each has come."`
	Pause  auditSinkPause  `cmd:"" help:"Send nothing more to a sink; it goes on where it was."`
	Resume auditSinkResume `cmd:"" help:"Let a sink go on, at once."`
	Rotate auditSinkRotate `cmd:"" help:"Give a sink another secret."`
	Delete auditSinkDelete `cmd:"" help:"Remove a sink."`
}

type auditSinkCreate struct {
	local
	Name       string `arg:"" help:"Name of it."`
	Kind       string `arg:"" help:"syslog, otlp or webhook."`
	Address    string `arg:"" help:"URL; of syslog HOST:PORT."`
	Format     string `default:"native" placeholder:"native|ocsf" help:"Form of the events (default: ${default})."`
	CA         string `name:"ca" placeholder:"FILE" type:"path" help:"Syslog: certificates, PEM, that are believed instead of the usual."`
	Cert       string `placeholder:"FILE" type:"path" help:"Syslog: the client's certificate, PEM."`
	Key        string `placeholder:"FILE" type:"path" help:"Syslog: its private key, PEM."`
	Header     string `placeholder:"NAME" help:"OTLP: a header, whose value is asked for."`
	SecretFile string `name:"secret-file" default:"-" placeholder:"FILE" help:"File with that value; - is standard input, where a terminal is asked for it."`
	FromStart  bool   `name:"from-start" help:"Send the whole log, not only what comes from now on."`
	Everywhere bool   `help:"Send the events of all tenants."`
}

// Help implements kong.HelpProvider.
func (auditSinkCreate) Help() string {
	return "The secret that a webhook's requests are signed with is printed, this once.\n\n" +
		"Example:\n\n  tenure audit sink create SIEM syslog siem.example.com:6514 --ca ca.pem --format ocsf --everywhere"
}

// Run implements the verb.
func (c *auditSinkCreate) Run(e *env) error {
	row := tenure.AuditSink{Name: c.Name, Kind: c.Kind, Address: c.Address, Format: c.Format, Header: c.Header, Everywhere: c.Everywhere}
	var err error
	row.CA, err = contents(c.CA)
	cert, failed := contents(c.Cert)
	key, worse := contents(c.Key)
	if err := errors.Join(err, failed, worse); err != nil {
		return err
	}
	row.Cert = cert
	secret := tenure.NewSecret(key)
	if c.Header != "" {
		if secret, err = readSecret(e, "value of the header", c.SecretFile); err != nil {
			return err
		}
	}
	return c.with(e, true, func(a *app.App, by tenure.Principal) error {
		made, shown, err := a.Sinks.Create(e.ctx, by, row, secret, c.FromStart)
		if err != nil {
			return err
		}
		return c.printSink(e, "created", made, shown)
	})
}

// printSink tells what became of a sink, and shows its new secret, this once.
func (l local) printSink(e *env, told string, row tenure.AuditSink, shown tenure.Secret) error {
	view := map[string]string{"id": string(row.ID), "name": row.Name}
	if !shown.IsZero() {
		view["secret"] = shown.Reveal()
	}
	return l.print(e, view, func(w io.Writer) {
		fmt.Fprintln(w, told, row.Name)
		if !shown.IsZero() {
			fmt.Fprintln(w, shown.Reveal())
		}
	})
}

// contents is what is in a file; "" without a name.
func contents(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

type auditSinkList struct{ local }

// Help implements kong.HelpProvider.
func (auditSinkList) Help() string {
	return "Example:\n\n  tenure audit sink list --json\n\nThe file of TENURE_AUDIT_FILE is not listed here: only the serving process knows it."
}

// Run implements the verb.
func (c *auditSinkList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Sinks.List(e.ctx, by)
		if err != nil {
			return err
		}
		views := make([]api.AuditSink, 0, len(rows))
		for _, r := range rows {
			views = append(views, api.ShowAuditSink(r.AuditSink, r.Standing, a.Store.Now()))
		}
		return c.print(e, views, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tNAME\tKIND\tADDRESS\tFORMAT\tBEHIND\tLAST SENT\tSTATE")
			for i, r := range rows {
				state := "good"
				switch {
				case r.Paused:
					state = "paused"
				case r.Error != "":
					state = r.Error
				}
				lag := time.Duration(views[i].LagSeconds * float64(time.Second)).Round(time.Second)
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d (%s)\t%s\t%s\n", r.ID, r.Name, r.Kind, r.Address, r.Format, r.Events, lag, short(r.SentAt), state)
			}
		})
	})
}

// named does something with the sink of a name or an id.
func (l local) named(e *env, name string, do func(*app.App, tenure.Principal, tenure.AuditSink) error) error {
	return l.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Sinks.List(e.ctx, by)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.Name == name || string(r.ID) == name {
				return do(a, by, r.AuditSink)
			}
		}
		return tenure.ErrNotFound
	})
}

func (l local) pauseSink(e *env, name string, paused bool, told string) error {
	return l.named(e, name, func(a *app.App, by tenure.Principal, row tenure.AuditSink) error {
		row, err := a.Sinks.Pause(e.ctx, by, row.ID, paused)
		if err != nil {
			return err
		}
		return l.print(e, map[string]any{"id": row.ID, "paused": row.Paused}, func(w io.Writer) { fmt.Fprintln(w, told, row.Name) })
	})
}

type auditSinkPause struct {
	local
	Name string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (auditSinkPause) Help() string { return "Example:\n\n  tenure audit sink pause SIEM" }

// Run implements the verb.
func (c *auditSinkPause) Run(e *env) error { return c.pauseSink(e, c.Name, true, "paused") }

type auditSinkResume struct {
	local
	Name string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (auditSinkResume) Help() string { return "Example:\n\n  tenure audit sink resume SIEM" }

// Run implements the verb.
func (c *auditSinkResume) Run(e *env) error { return c.pauseSink(e, c.Name, false, "resumed") }

type auditSinkRotate struct {
	local
	Name       string `arg:"" help:"Name or id."`
	Overlap    string `default:"24h" help:"Webhook: for how long both secrets sign, at most 7d (default: ${default})."`
	Cert       string `placeholder:"FILE" type:"path" help:"Syslog: the client's new certificate, PEM."`
	Key        string `placeholder:"FILE" type:"path" help:"Syslog: its private key, PEM."`
	SecretFile string `name:"secret-file" default:"-" placeholder:"FILE" help:"OTLP: file with the new value of the header; - is standard input, where a terminal is asked for it."`
}

// Help implements kong.HelpProvider.
func (auditSinkRotate) Help() string {
	return "A webhook's new secret is printed, this once. Until the overlap ends its requests carry both signatures.\n\n" +
		"Example:\n\n  tenure audit sink rotate SIEM --overlap 24h"
}

// Run implements the verb.
func (c *auditSinkRotate) Run(e *env) error {
	to := sink.NewSecret{}
	var err, failed error
	to.Overlap, err = sink.ParseOverlap(c.Overlap)
	to.Cert, failed = contents(c.Cert)
	key, worse := contents(c.Key)
	if err := errors.Join(err, failed, worse); err != nil {
		return err
	}
	to.Secret = tenure.NewSecret(key)
	return c.named(e, c.Name, func(a *app.App, by tenure.Principal, row tenure.AuditSink) error {
		if row.Header != "" {
			if to.Secret, err = readSecret(e, "new value of the header", c.SecretFile); err != nil {
				return err
			}
		}
		row, shown, err := a.Sinks.Rotate(e.ctx, by, row.ID, to)
		if err != nil {
			return err
		}
		return c.printSink(e, "rotated the secret of", row, shown)
	})
}

type auditSinkDelete struct {
	local
	Name string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (auditSinkDelete) Help() string { return "Example:\n\n  tenure audit sink delete SIEM" }

// Run implements the verb.
func (c *auditSinkDelete) Run(e *env) error {
	return c.named(e, c.Name, func(a *app.App, by tenure.Principal, row tenure.AuditSink) error {
		if err := a.Sinks.Delete(e.ctx, by, row.ID); err != nil {
			return err
		}
		return c.print(e, map[string]any{"id": row.ID}, func(w io.Writer) { fmt.Fprintln(w, "deleted", row.Name) })
	})
}
