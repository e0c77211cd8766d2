package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// wrappings tells by a metric how far a rewrap is, whichever process runs it: how many
// secrets the key of the day has wrapped, and how many another. They are counted in
// the database when somebody asks, and seldom: anybody may.
type wrappings struct {
	key *vault.MasterKey

	mu               sync.Mutex
	at               time.Time
	known            bool // whether they could be counted then
	present, another int
}

// How often secrets are counted at most, and how long that may take.
const (
	countEach  = 5 * time.Second
	countLimit = 2 * time.Second
)

func wrappedDesc() *prometheus.Desc {
	return prometheus.NewDesc("tenure_vault_secrets", "Sealed secrets, by whether the present key-encryption key has wrapped them.", []string{"wrapped_by"}, nil)
}

// Describe implements prometheus.Collector.
func (w *wrappings) Describe(to chan<- *prometheus.Desc) { to <- wrappedDesc() }

// Collect implements prometheus.Collector. While the database is away, or the vault
// sealed, there is no figure.
func (w *wrappings) Collect(to chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.at) > countEach {
		ctx, cancel := context.WithTimeout(tenure.Everywhere(context.Background()), countLimit)
		defer cancel()
		var err error
		w.present, w.another, err = w.key.CountWrapped(ctx)
		w.at, w.known = time.Now(), err == nil // a count that failed is not tried again for everybody who asks
	}
	if !w.known {
		return
	}
	desc := wrappedDesc()
	to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(w.present), "present")
	to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(w.another), "another")
}
