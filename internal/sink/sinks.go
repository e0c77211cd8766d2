package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Sinks is the act on where audit events go. Its fields are set before first use.
type Sinks struct {
	DB  *store.DB
	Log *slog.Logger
	Net
	// Sealer and Open keep the secrets of sinks.
	Sealer func(context.Context) (store.Sealer, error)
	Open   func(context.Context, store.SealedKey, store.Bound) (tenure.Secret, error)
	// File is the settings' own; nil: there is none.
	File *File
	// Checkpoints are kept in a second place by the settings; nil: they are not.
	Checkpoints *Checkpoints

	turns turns
}

// Net is how sinks are reached, and by whom.
type Net struct {
	// Client carries what the default tenant's sinks get, which may be on networks of
	// its own; Public that of all others, which may not.
	Client, Public *http.Client
	// Guard judges the addresses of syslog receivers in the same way.
	Guard *egress.Guard
	// Replica names this process among the replicas; Host is its machine's name.
	Replica, Host string
}

// Run sends until ctx ends. report is told when something goes wrong, and not again
// while the same does.
func (s *Sinks) Run(ctx context.Context, report func(error)) {
	var wg sync.WaitGroup
	if s.File != nil {
		wg.Go(func() { s.File.Run(ctx, report) })
	}
	if s.Checkpoints != nil {
		wg.Go(func() { store.WriteBehind(ctx, every, s.Checkpoints.Flush, once("audit checkpoints", report)) })
	}
	wg.Go(func() { s.deliverAll(ctx, once("audit sinks", report)) })
	wg.Wait()
}

// deliverAll has every sink that is idle begin its turn, every second, and waits for
// those that have one when it ends. The last that comes before a stop is End's to send.
func (s *Sinks) deliverAll(ctx context.Context, report func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		if err := s.start(ctx, &wg); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// once has report told of an error, and not again while it is the same.
func once(what string, report func(error)) func(error) {
	last := ""
	return func(err error) {
		if text := err.Error(); text != last {
			last = text
			report(fmt.Errorf("%s: %w", what, err))
		}
	}
}

// End sends what has come last, and ends the writing of files.
func (s *Sinks) End(ctx context.Context) error {
	var err error
	if s.File != nil {
		err = errors.Join(s.File.Flush(ctx), s.File.Close())
	}
	if s.Checkpoints != nil {
		err = errors.Join(err, s.Checkpoints.Flush(ctx))
	}
	last, cancel := context.WithTimeout(ctx, lastTurn)
	defer cancel()
	if failed := s.Deliver(last); last.Err() == nil { // else whoever runs next sends it
		err = errors.Join(err, failed)
	}
	return err
}

// lastTurn is how long a stop waits for receivers: what they do not get, they get later.
const lastTurn = 2 * time.Second

// Pulled is a part of the log in the order of places, and where the next part begins.
type Pulled struct {
	Events []store.Placed
	Next   string // id of the last event; "": there is none yet
}

// Pull gives the events of the asker's tenant that have a place behind that of an event,
// by its id; "" is from the first one on. Whoever asks again with what Next says misses
// none. Invalid: there is no such event, as after the restore of an older backup.
func (s *Sinks) Pull(ctx context.Context, by tenure.Principal, after string, limit int) (Pulled, error) {
	if err := access.Check(by, tenure.ReadAudit); err != nil {
		return Pulled{}, err
	}
	ctx = tenure.Everywhere(ctx)
	from := int64(0)
	if after != "" {
		at, err := s.DB.PlaceOf(ctx, after)
		if err == nil && (at.Event == nil || at.Event.Tenant != by.Tenant()) {
			err = tenure.ErrNotFound
		}
		if tenure.IsKind(err, tenure.NotFound) {
			err = &tenure.Error{
				Kind: tenure.Invalid, Code: "unknown_cursor", Field: "cursor",
				Msg: "there is no such event in the log any more: begin without a cursor, and drop by id what you have",
			}
		}
		if err != nil {
			return Pulled{}, err
		}
		from = at.Place + 1
	}
	size, err := s.DB.TreeSize(ctx)
	if err != nil {
		return Pulled{}, err
	}
	rows, err := s.DB.PlacedOf(ctx, by.Tenant(), from, size, limit)
	out := Pulled{rows, after}
	if len(rows) > 0 {
		out.Next = rows[len(rows)-1].Event.ID
	}
	return out, err
}

// Metrics are the figures of all sinks.
type Metrics struct {
	sinks        *Sinks
	events, lags *prometheus.Desc
}

// NewMetrics makes them.
func NewMetrics(s *Sinks) *Metrics {
	return &Metrics{
		s,
		prometheus.NewDesc("tenure_audit_sink_lag_events", "Places in the audit log that a sink has not got yet.", []string{"sink"}, nil),
		prometheus.NewDesc("tenure_audit_sink_lag_seconds", "Age of the oldest event that a sink has not got yet; 0 without one.", []string{"sink"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.events
	out <- m.lags
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	tell := func(name string, s Standing) {
		out <- prometheus.MustNewConstMetric(m.events, prometheus.GaugeValue, float64(s.Events), name)
		out <- prometheus.MustNewConstMetric(m.lags, prometheus.GaugeValue, s.Lag(m.sinks.DB.Now()).Seconds(), name)
	}
	if m.sinks.File != nil {
		tell("file", m.sinks.File.Standing())
	}
	for _, one := range m.sinks.turns.all() {
		tell(one.name, one.Standing)
	}
}
