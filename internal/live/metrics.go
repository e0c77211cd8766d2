package live

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
)

// Metrics counts what was cut and how long revocations took.
type Metrics struct {
	cuts  *prometheus.CounterVec
	takes prometheus.Histogram
	back  prometheus.Counter
}

// NewMetrics registers the metrics of l, its gauges among them.
func NewMetrics(reg prometheus.Registerer, l *Live) *Metrics {
	m := &Metrics{
		cuts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenure_cuts_total",
			Help: "Requests in flight that were ended, by reason.",
		}, []string{"reason"}),
		takes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tenure_revocation_seconds",
			Help:    "From the start of an act that ends access until the last stream was told to end.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
	}
	m.back = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tenure_database_went_back_total",
		Help: "Times that the database was found at an earlier state than this process has seen.",
	})
	reg.MustRegister(m.cuts, m.takes, m.back,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenure_streams_open",
			Help: "Requests in flight on the model routes.",
		}, func() float64 { return float64(l.Open()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tenure_feed_lag_seconds",
			Help: "Since the change feed last answered.",
		}, func() float64 { return l.Lag().Seconds() }))
	return m
}

func (m *Metrics) cut(n int, cause error) {
	if n == 0 {
		return
	}
	reason := "unknown"
	var e *tenure.Error
	switch {
	case errors.Is(cause, tenure.ErrExpired):
		reason = "expired"
	case errors.As(cause, &e):
		reason = e.Code
	}
	m.cuts.WithLabelValues(reason).Add(float64(n))
}

// Ended records how an act that ends access went, in a tenant: how long it took
// and, where it ended anything, what. It is called after the cut, and sets At.
func (l *Live) Ended(tenant tenure.TenantID, v tenure.Revocation) {
	l.Metrics.takes.Observe(v.Ended.Took.Seconds())
	if l.Note == nil || v.Ended.Nothing() && !v.Gone {
		return
	}
	v.At = l.Options.Now()
	l.Note(tenant, v)
}
