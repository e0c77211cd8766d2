package web

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of requests.
type Metrics struct {
	requests *prometheus.CounterVec
	added    prometheus.Histogram
	shed     *prometheus.CounterVec
}

// NewMetrics registers the figures of requests.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenure_requests_total",
			Help: "Requests answered, by route, status and provider.",
		}, []string{"route", "status", "provider"}),
		added: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tenure_added_seconds",
			Help:    "Time that Tenure itself added before the first byte of a proxied answer.",
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .1},
		}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenure_shed_total",
			Help: "Requests refused for want of room, by lane and reason.",
		}, []string{"lane", "reason"}),
	}
	reg.MustRegister(m.requests, m.added, m.shed)
	return m
}

func (m *Metrics) observe(ev *Event) {
	m.requests.WithLabelValues(ev.Route, strconv.Itoa(ev.Status), ev.Provider).Inc()
	if ev.Added > 0 {
		m.added.Observe(ev.Added.Seconds())
	}
}
