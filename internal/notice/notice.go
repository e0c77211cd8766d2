// Package notice tells people what they should know before it hurts: tokens and
// service accounts near their end, secrets that should be rotated, and what the
// audit log has that cannot wait. It owns when a notice is raised, that each
// matter is told once, who may read it, and the webhook that carries it outside.
//
// It ends nothing and changes nothing but notices. It seals no secret itself:
// that is a function that it is given.
package notice

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Notices is the act on notices. Its fields are set before first use.
type Notices struct {
	DB      *store.DB
	Log     *slog.Logger
	Metrics *Metrics
	// Client carries the requests of the default tenant's webhook, which may be on
	// networks of its own; Public those of all others, which may not. They share no
	// connection.
	Client, Public *http.Client
	// Sealer and Open keep the secret that a tenant's webhook signs with.
	Sealer func(context.Context) (store.Sealer, error)
	Open   func(context.Context, store.SealedKey, store.Bound) (tenure.Secret, error)
}

// Page is a part of a list and where the next part begins.
type Page struct {
	Notices []tenure.Notice // newest first
	Next    tenure.NoticeID // "" at the end
}

// Mine lists the notices that concern the asker; without a person behind it there
// are none.
func (n *Notices) Mine(ctx context.Context, by tenure.Principal, unread bool, after tenure.NoticeID, limit int) (Page, error) {
	if err := access.Check(by, tenure.ListNotices); err != nil {
		return Page{}, err
	}
	if by.User() == "" {
		return Page{Notices: []tenure.Notice{}}, nil
	}
	return n.page(ctx, store.NoticeFilter{Tenant: by.Tenant(), User: by.User(), Unread: unread, After: after, Limit: limit})
}

// All lists the notices of the tenant.
func (n *Notices) All(ctx context.Context, by tenure.Principal, unread bool, after tenure.NoticeID, limit int) (Page, error) {
	if err := access.Check(by, tenure.ListAllNotices); err != nil {
		return Page{}, err
	}
	return n.page(ctx, store.NoticeFilter{Tenant: by.Tenant(), Unread: unread, After: after, Limit: limit})
}

func (n *Notices) page(ctx context.Context, f store.NoticeFilter) (Page, error) {
	limit := f.Limit
	f.Limit++
	rows, err := n.DB.Notices(ctx, f)
	p := Page{Notices: rows}
	if len(rows) > limit {
		p.Notices, p.Next = rows[:limit], rows[limit-1].ID
	}
	return p, err
}

// Read marks a notice as read: one's own, or any for administrators. To everybody
// else it does not exist. Who read it first stays.
func (n *Notices) Read(ctx context.Context, by tenure.Principal, id tenure.NoticeID) (tenure.Notice, error) {
	if err := access.Check(by, tenure.ReadNotice); err != nil {
		return tenure.Notice{}, err
	}
	var row tenure.Notice
	err := n.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if row, err = tx.Notice(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if err := access.Owner(by, row.User, tenure.ReadAnyNotice); err != nil {
			return err
		}
		if err := tx.ReadNotice(ctx, by.Tenant(), id, by.Label()); err != nil {
			return err
		}
		row, err = tx.Notice(ctx, by.Tenant(), id)
		return err
	})
	return row, err
}

// raise stores notices whose matters were not told, some at a time, so that no
// transaction is long.
func (n *Notices) raise(ctx context.Context, all []tenure.Notice) error {
	const batch = 200
	var fresh []tenure.Notice
	for _, one := range all {
		told, err := n.DB.Noticed(ctx, one.Tenant, one.Dedupe)
		if err != nil {
			return err
		}
		if !told {
			fresh = append(fresh, one)
		}
	}
	for len(fresh) > 0 {
		some := fresh[:min(batch, len(fresh))]
		fresh = fresh[len(some):]
		var raised []tenure.Notice
		err := n.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			raised = nil
			for i, one := range some {
				moment := tx.Now().Add(time.Duration(i) * time.Microsecond) // so that ids keep the order
				one.ID, one.At = tenure.NoticeID(tenure.NewID(moment)), tx.Now()
				isNew, err := tx.InsertNotice(ctx, one)
				if err != nil {
					return err
				}
				if isNew {
					raised = append(raised, one)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, one := range raised {
			n.Metrics.raised.WithLabelValues(one.Kind).Inc()
		}
	}
	return nil
}

// Metrics counts what was raised and what became of it outside.
type Metrics struct {
	raised *prometheus.CounterVec
	sent   *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		raised: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenure_notices_raised_total",
			Help: "Notices that this process raised, by kind.",
		}, []string{"kind"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenure_webhook_attempts_total",
			Help: "Attempts to send a notice, by outcome: sent, failed, given_up.",
		}, []string{"outcome"}),
	}
	reg.MustRegister(m.raised, m.sent)
	return m
}

// How often the two workers look.
const (
	sweepEvery   = time.Minute
	deliverEvery = 5 * time.Second
)

// Run raises and sends notices until ctx ends. A sink that stalls delays neither
// the raising nor anything else.
func (n *Notices) Run(ctx context.Context, report func(error)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.every(ctx, deliverEvery, n.Deliver, report)
	}()
	n.every(ctx, sweepEvery, n.Sweep, report)
	<-done
}

func (n *Notices) every(ctx context.Context, d time.Duration, work func(context.Context) error, report func(error)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
