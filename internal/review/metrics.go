package review

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are figures of the open reviews of all tenants, as they were when this process
// looked last.
type Metrics struct {
	open, overdue, notDead prometheus.Gauge
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &Metrics{
		open:    gauge("tenure_access_reviews_open", "Access reviews that are open."),
		overdue: gauge("tenure_access_review_items_overdue", "Items of open access reviews that nobody has decided though the review was due."),
		notDead: gauge("tenure_access_review_items_not_dead", "Items of open access reviews that were revoked, and are not dead."),
	}
	reg.MustRegister(m.open, m.overdue, m.notDead)
	return m
}

// figure counts anew.
func (r *Reviews) figure(ctx context.Context) error {
	f, err := r.DB.ReviewFigures(ctx, r.DB.Now())
	if err == nil {
		r.Metrics.open.Set(float64(f.Open))
		r.Metrics.overdue.Set(float64(f.Overdue))
		r.Metrics.notDead.Set(float64(f.NotDead))
	}
	return err
}
