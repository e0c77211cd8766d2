// Package limits bounds what is asked of models: requests in a minute, tokens in a day
// and spend in a month, of a tenant, a workspace, a person, a service account or a token. It owns the
// limits themselves (list, set, remove) and the judgement of each request, which asks
// memory alone: the sums that all replicas have written, read with each flush of the use
// of models, and what this one has counted since.
//
// It does not know what an answer used (internal/gateway reads it, internal/store keeps
// it), nor how a refusal is told.
package limits

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Limits is the act on limits. Make it with New.
type Limits struct {
	DB      *store.DB
	Live    *live.Live
	Use     *store.ModelUse
	Metrics *Metrics

	table   atomic.Pointer[table] // nil: nothing was read yet
	stale   atomic.Bool           // the limits are to be read anew
	bell    chan struct{}
	replica string
	read    progress // sync's own
	waiting outbox
}

// outbox are the refusals that are to be written.
type outbox struct {
	mu     sync.Mutex
	events []tenure.AuditEvent
}

// New makes the act, and has use tell it what is noted and when it is written.
func New(db *store.DB, l *live.Live, use *store.ModelUse, m *Metrics) *Limits {
	limits := &Limits{DB: db, Live: l, Use: use, Metrics: m, bell: make(chan struct{}, 1), replica: tenure.NewID(db.Now())}
	use.Counted, use.After = limits.count, limits.sync
	return limits
}

// Metrics counts what was refused.
type Metrics struct{ refusals *prometheus.CounterVec }

// NewMetrics registers the figures of limits.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tenure_limit_refusals_total",
		Help: "Model requests refused by a limit, by its bound and what it is on.",
	}, []string{"bound", "subject"})}
	reg.MustRegister(m.refusals)
	return m
}

func (m *Metrics) refused(bound, subject string) { m.refusals.WithLabelValues(bound, subject).Inc() }

// View is a limit with what was used of it, as this process knows it.
type View struct {
	tenure.UsageLimit
	Requests int64 // in the last minute; of limits on requests
	Tokens   int64 // today; of limits on tokens
	Spend    int64 // in this month, in millionths of the currency; of limits on spend
	Unpriced int64 // requests in this month of which nobody knows what they cost; of limits on spend
}

// Filter chooses limits: those of one workspace, or (empty) of the whole tenant.
type Filter struct {
	Workspace string // id or name: of what is asked in it alone
	After     tenure.LimitID
	Limit     int
}

// List gives limits in the order of their making.
func (l *Limits) List(ctx context.Context, by tenure.Principal, f Filter) ([]View, error) {
	ws, err := may(ctx, l.DB, by, tenure.ListLimits, f.Workspace)
	if err != nil {
		return nil, err
	}
	rows, err := l.DB.Limits(ctx, store.LimitFilter{Tenant: by.Tenant(), Workspace: ws, After: f.After, Limit: f.Limit})
	if err != nil {
		return nil, err
	}
	return l.views(ctx, rows)
}

// MaySet answers nil when the asker may set limits that count what is asked in a
// workspace, by its id or name, or (empty) everywhere.
func (l *Limits) MaySet(ctx context.Context, by tenure.Principal, space string) error {
	_, err := may(ctx, l.DB, by, tenure.SetLimit, space)
	return err
}

// Own gives the limits on the asker and on their own tokens: not those that they share
// with others.
func (l *Limits) Own(ctx context.Context, by tenure.Principal) ([]View, error) {
	if err := access.Check(by, tenure.ReadOwnUsage); err != nil || by.User() == "" {
		return nil, err
	}
	rows, err := l.DB.Limits(ctx, store.LimitFilter{Tenant: by.Tenant(), Person: by.User()})
	if err != nil {
		return nil, err
	}
	return l.views(ctx, rows)
}

// Get reads one limit. NotFound: there is none, or none that the asker may see.
func (l *Limits) Get(ctx context.Context, by tenure.Principal, id tenure.LimitID) (View, error) {
	return l.Find(ctx, by, tenure.ListLimits, id)
}

// Find is Get for whoever may do an action on the limit.
func (l *Limits) Find(ctx context.Context, by tenure.Principal, a tenure.Action, id tenure.LimitID) (View, error) {
	row, err := l.DB.UsageLimit(ctx, by.Tenant(), id)
	if err != nil {
		return View{}, err
	}
	if err := mayOn(ctx, l.DB, by, a, row); err != nil {
		return View{}, err
	}
	return l.view(ctx, row)
}

func (l *Limits) view(ctx context.Context, row tenure.UsageLimit) (View, error) {
	views, err := l.views(ctx, []tenure.UsageLimit{row})
	if err != nil {
		return View{}, err
	}
	return views[0], nil
}

// views adds what was used. A process that does not serve reads it first.
func (l *Limits) views(ctx context.Context, rows []tenure.UsageLimit) ([]View, error) {
	if l.table.Load() == nil {
		if err := l.Use.Flush(ctx); err != nil {
			return nil, fmt.Errorf("what limits have left: %w", err)
		}
	}
	gauges := map[tenure.LimitID]*gauge{}
	for _, g := range l.table.Load().gauges {
		gauges[g.of.ID] = g
	}
	now := l.DB.Now()
	views := make([]View, 0, len(rows))
	for _, row := range rows {
		v := View{UsageLimit: row}
		if g := gauges[row.ID]; g != nil {
			v.used(g, now)
		}
		views = append(views, v)
	}
	return views, nil
}

// used fills in what was used of each bound. Of what the limit does not bound nothing is
// told: it is not counted from the first of the day or the month on.
func (v *View) used(g *gauge, now time.Time) {
	today := store.Day(now)
	if v.Bounds.RequestsPerMinute > 0 {
		v.Requests = g.asked.lately(spanOf(now))
	}
	if v.Bounds.TokensPerDay > 0 {
		v.Tokens = g.tokens.in(today)
	}
	if v.Bounds.SpendPerMonth > 0 {
		v.Spend, v.Unpriced = g.spend.in(monthOf(today)), g.unpriced.in(monthOf(today))
	}
}

// Spec says what a limit is on, and its bounds.
type Spec struct {
	Kind      string // tenure.LimitUser, …
	Subject   string // id; of people the userName and of workspaces the name will do; of the tenant nothing
	Workspace string // id or name: what is asked in it alone is counted; empty: everywhere
	Bounds    tenure.UsageBounds
}

// Create makes a limit. Invalid: the spec is wrong, and how. Conflict: there is one on
// the subject already.
func (l *Limits) Create(ctx context.Context, by tenure.Principal, spec Spec) (View, error) {
	return l.put(ctx, by, spec, false)
}

// Set makes a limit, or gives the one that there is on the subject other bounds.
func (l *Limits) Set(ctx context.Context, by tenure.Principal, spec Spec) (View, error) {
	return l.put(ctx, by, spec, true)
}

func (l *Limits) put(ctx context.Context, by tenure.Principal, spec Spec, replace bool) (View, error) {
	var row tenure.UsageLimit
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if row, err = target(ctx, tx, by, spec); err != nil {
			return err
		}
		if err := mayOn(ctx, tx, by, tenure.SetLimit, row); err != nil {
			return err
		}
		if err := check(spec.Bounds); err != nil {
			return err
		}
		before, err := tx.LimitOn(ctx, row)
		switch {
		case err == nil && replace:
			row, err = bound(ctx, tx, by, before, spec.Bounds)
			return err
		case err != nil && !tenure.IsKind(err, tenure.NotFound):
			return err
		}
		row.ID, row.Bounds = tenure.LimitID(tenure.NewID(tx.Now())), spec.Bounds
		row.CreatedBy, row.CreatedAt, row.UpdatedAt = by.Label(), tx.Now(), tx.Now()
		if err := tx.InsertLimit(ctx, row); err != nil {
			return err
		}
		return tx.Append(ctx, audit.LimitSet(by, row, tenure.UsageBounds{}))
	})
	return l.changed(ctx, by, row, err)
}

// Patch says which bounds a limit gets; what is nil stays.
type Patch struct{ Requests, Tokens, Spend *int64 }

// Change gives a limit other bounds.
func (l *Limits) Change(ctx context.Context, by tenure.Principal, id tenure.LimitID, patch Patch) (View, error) {
	var row tenure.UsageLimit
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if row, err = tx.UsageLimit(ctx, by.Tenant(), id); err != nil {
			return err
		}
		if err := mayOn(ctx, tx, by, tenure.SetLimit, row); err != nil {
			return err
		}
		to := row.Bounds
		for field, value := range map[*int64]*int64{&to.RequestsPerMinute: patch.Requests, &to.TokensPerDay: patch.Tokens, &to.SpendPerMonth: patch.Spend} {
			if value != nil {
				*field = *value
			}
		}
		if err := check(to); err != nil {
			return err
		}
		row, err = bound(ctx, tx, by, row, to)
		return err
	})
	return l.changed(ctx, by, row, err)
}

// bound gives a limit other bounds, and tells of it.
func bound(ctx context.Context, tx *store.Tx, by tenure.Principal, row tenure.UsageLimit, to tenure.UsageBounds) (tenure.UsageLimit, error) {
	before := row.Bounds
	row.Bounds, row.UpdatedAt = to, tx.Now()
	if before == to {
		return row, nil
	}
	if err := tx.UpdateLimit(ctx, row); err != nil {
		return row, err
	}
	return row, tx.Append(ctx, audit.LimitSet(by, row, before))
}

// changed has a change hold here when the act is answered, and shows the limit.
func (l *Limits) changed(ctx context.Context, by tenure.Principal, row tenure.UsageLimit, err error) (View, error) {
	if err != nil {
		return View{}, fmt.Errorf("set limit: %w", err)
	}
	l.Live.Changed(ctx, store.Change{Kind: "limit", ID: string(by.Tenant())})
	if err := l.Use.Flush(ctx); err != nil {
		return View{UsageLimit: row}, nil //nolint:nilerr // it is set, and Run tries again
	}
	return l.view(ctx, row)
}

// Remove ends a limit.
func (l *Limits) Remove(ctx context.Context, by tenure.Principal, id tenure.LimitID) error {
	err := l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := tx.UsageLimit(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		if err := mayOn(ctx, tx, by, tenure.RemoveLimit, row); err != nil {
			return err
		}
		if err := tx.DeleteLimit(ctx, by.Tenant(), id); err != nil {
			return err
		}
		return tx.Append(ctx, audit.LimitRemoved(by, row))
	})
	if err != nil {
		return fmt.Errorf("remove limit: %w", err)
	}
	_, err = l.changed(ctx, by, tenure.UsageLimit{}, nil)
	return err
}

// reader is what of the store a look at a subject needs: the database or a transaction
// on it.
type reader interface {
	Workspace(ctx context.Context, tenant tenure.TenantID, idOrName string) (tenure.Workspace, error)
	RoleIn(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID) (tenure.Role, error)
}

// may judges an action on limits that count what is asked in a workspace, by its id or
// name, or (empty) on all of the tenant.
func may(ctx context.Context, r reader, by tenure.Principal, a tenure.Action, space string) (tenure.WorkspaceID, error) {
	if space == "" {
		return "", access.Check(by, a)
	}
	if err := access.Admits(by, a); err != nil {
		return "", err
	}
	w, err := r.Workspace(ctx, by.Tenant(), space)
	if err != nil {
		return "", err
	}
	return w.ID, mayIn(ctx, r, by, a, w.ID)
}

// mayOn judges an action on one limit: whoever heads a workspace sets those that count
// what is asked in it, and nobody below the tenant's own head those that hold it.
func mayOn(ctx context.Context, r reader, by tenure.Principal, a tenure.Action, l tenure.UsageLimit) error {
	if l.Workspace != "" {
		return mayIn(ctx, r, by, a, l.Workspace)
	}
	err := access.Check(by, a)
	if err == nil || access.AfterSignIn(err) || access.Check(by, tenure.ListLimits) == nil {
		return err
	}
	if a == tenure.SetLimit && l.ID == "" {
		return err // a new one: there is nothing to hide
	}
	return tenure.ErrNotFound
}

func mayIn(ctx context.Context, r reader, by tenure.Principal, a tenure.Action, ws tenure.WorkspaceID) error {
	var role tenure.Role
	if by.User() != "" {
		var err error
		if role, err = r.RoleIn(ctx, by.Tenant(), ws, by.User()); err != nil {
			return err
		}
	}
	return access.Within(by, a, tenure.ReadWorkspace, access.RoleIn(by, ws, role))
}

// Highest bounds: what is beyond them is no bound.
const (
	mostRequests = 1_000_000_000
	mostTokens   = 1_000_000_000_000_000
)

// check refuses bounds that are none.
func check(b tenure.UsageBounds) error {
	switch {
	case b.RequestsPerMinute < 0 || b.RequestsPerMinute > mostRequests:
		return tenure.InvalidField("requests_per_minute", "expected 0 (no bound) to %s requests a minute", tenure.FormatCount(mostRequests))
	case b.TokensPerDay < 0 || b.TokensPerDay > mostTokens:
		return tenure.InvalidField("tokens_per_day", "expected 0 (no bound) to %s tokens a day", tenure.FormatCount(mostTokens))
	case b.SpendPerMonth < 0 || b.SpendPerMonth > tenure.MaxMoney:
		return tenure.InvalidField("spend_per_month", "expected 0 (no bound) to %s a month", tenure.FormatCount(tenure.MaxMoney/1_000_000))
	case !b.Some():
		return tenure.InvalidField("requests_per_minute", "a limit needs a bound: requests a minute, tokens a day, or spend a month")
	}
	return nil
}
