package app

import (
	"os"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/notice"
	"github.com/tenure-gateway/tenure/internal/sink"
)

// sinks are where audit events are sent.
func (a *App) sinks() *sink.Sinks {
	host, err := os.Hostname()
	if err != nil {
		host = "" // then syslog has a dash for it
	}
	s := &sink.Sinks{DB: a.Store, Log: a.Log, Sealer: a.Vault.Key.Sealer, Open: a.Vault.Key.Open, Net: sink.Net{
		Client: notice.NewClient(a.guard, tenure.EgressAll), Public: notice.NewClient(a.guard, 0), Guard: a.guard, Replica: tenure.NewID(time.Now()), Host: host,
	}}
	if set := a.Config.Audit; set.Path != "" {
		s.File = &sink.File{DB: a.Store, Path: set.Path, Size: set.Size, Keep: set.Keep}
	}
	if dir := a.Config.Audit.Checkpoints; dir != "" {
		s.Checkpoints = &sink.Checkpoints{DB: a.Store, Dir: dir, Opener: a.Ledger.Opener}
	}
	a.Metrics.MustRegister(sink.NewMetrics(s))
	return s
}

// beginSinks looks whether the settings' own can be written.
func (a *App) beginSinks() error {
	if c := a.Sinks.Checkpoints; c != nil {
		if err := c.Begin(); err != nil {
			return config.Wrong("TENURE_AUDIT_CHECKPOINTS", err.Error(), "/mnt/elsewhere/checkpoints")
		}
	}
	if a.Sinks.File == nil {
		return nil
	}
	err := a.Sinks.File.Begin()
	if tenure.IsKind(err, tenure.Conflict) { // one that is about to end: it is tried again
		a.Log.Warn("audit events wait for their file", "error", err)
		return nil
	}
	if err != nil {
		return config.Wrong("TENURE_AUDIT_FILE", err.Error(), "/var/log/tenure/audit.jsonl")
	}
	return nil
}
