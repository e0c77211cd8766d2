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
	tokens   *prometheus.CounterVec
	passed   *prometheus.CounterVec
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
	m.tokens = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tenure_model_tokens_total",
		Help: "Tokens of models, by provider and what they were: input, cache_read and cache_write (both of the input), output.",
	}, []string{"provider", "what"})
	m.passed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tenure_provider_keys_passed_total",
		Help: "Keys that a provider refused, or that failed, before another one was tried.",
	}, []string{"provider"})
	reg.MustRegister(m.requests, m.added, m.shed, m.tokens, m.passed)
	return m
}

func (m *Metrics) observe(ev *Event) {
	m.requests.WithLabelValues(ev.Route, strconv.Itoa(ev.Status), ev.Provider).Inc()
	if ev.Added > 0 {
		m.added.Observe(ev.Added.Seconds())
	}
	if ev.KeysPassed > 0 {
		m.passed.WithLabelValues(ev.Provider).Add(float64(ev.KeysPassed))
	}
	m.count(ev.Provider, "input", ev.Use.Input)
	m.count(ev.Provider, "cache_read", ev.Use.CacheReads)
	m.count(ev.Provider, "cache_write", ev.Use.CacheWrites)
	m.count(ev.Provider, "output", ev.Use.Output)
}

func (m *Metrics) count(provider, what string, n int64) {
	if n > 0 {
		m.tokens.WithLabelValues(provider, what).Add(float64(n))
	}
}
