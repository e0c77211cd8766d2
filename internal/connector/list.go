package connector

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

// View is a connector with the judgement of its feed.
type View struct {
	tenure.Connector
	SilentFor time.Duration // since the last request; 0: there was none
	Warning   string        // a sentence, or "" when all is well
}

// When a feed is silent for too long.
const (
	// patience is how many usual pauses may pass.
	patience = 3
	// leastSilence is no warning, whatever is usual.
	leastSilence = 15 * time.Minute
	// assumedPause is taken for usual while nothing is known: the longest of
	// the usual cycles, that of Entra.
	assumedPause = 40 * time.Minute
)

// List gives the connectors of the asker's tenant, the built-in one first.
func (c *Connectors) List(ctx context.Context, by tenure.Principal) ([]View, error) {
	if err := access.Check(by, tenure.ListConnectors); err != nil {
		return nil, err
	}
	rows, err := c.DB.Connectors(ctx, by.Tenant())
	if err != nil {
		return nil, err
	}
	views := make([]View, 0, len(rows)+1)
	switch v, err := c.builtin(ctx, by); {
	case err == nil:
		views = append(views, v)
	case !tenure.IsKind(err, tenure.NotFound):
		return nil, err
	}
	for _, row := range rows {
		v, err := c.view(ctx, row)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// Get reads one connector of the asker's tenant. NotFound: there is none.
func (c *Connectors) Get(ctx context.Context, by tenure.Principal, id tenure.ConnectorID) (View, error) {
	if err := access.Check(by, tenure.ReadConnector); err != nil {
		return View{}, err
	}
	if id == tenure.BuiltinConnector {
		return c.builtin(ctx, by)
	}
	return c.read(ctx, by.Tenant(), id)
}

// builtin gives the operator's connector, when it is set or was: a process that
// does not know the settings knows it by its figures.
func (c *Connectors) builtin(ctx context.Context, by tenure.Principal) (View, error) {
	if by.Tenant() != tenure.DefaultTenant {
		return View{}, tenure.ErrNotFound
	}
	v, err := c.view(ctx, tenure.Connector{ID: tenure.BuiltinConnector, Tenant: tenure.DefaultTenant, Name: builtinName})
	if err == nil && !c.Builtin && len(v.Figures.Counts) == 0 {
		err = tenure.ErrNotFound
	}
	return v, err
}

func (c *Connectors) read(ctx context.Context, tenant tenure.TenantID, id tenure.ConnectorID) (View, error) {
	row, err := c.DB.Connector(ctx, tenant, id)
	if err != nil {
		return View{}, err
	}
	return c.view(ctx, row)
}

// view reads what belongs to a connector.
func (c *Connectors) view(ctx context.Context, row tenure.Connector) (View, error) {
	now := c.DB.Now()
	var err error
	if row.Figures, err = c.DB.ConnectorFigures(ctx, row.ID); err != nil {
		return View{}, err
	}
	tokens, err := c.DB.ConnectorTokens(ctx, row.Tenant, row.ID)
	if err != nil {
		return View{}, err
	}
	for _, t := range tokens {
		if t.Live(now) {
			row.Tokens = append(row.Tokens, t)
		}
	}
	return viewOf(row, now), nil
}

// viewOf judges the feed of a connector.
func viewOf(row tenure.Connector, now time.Time) View {
	v := View{Connector: row}
	last, usual := row.Figures.LastSeenAt, row.Figures.Usual
	known := "usually every " + span(usual)
	if usual == 0 {
		usual, known = assumedPause, "what is usual is not known yet"
	}
	limit := max(patience*usual, leastSilence)
	if !last.IsZero() {
		v.SilentFor = max(0, now.Sub(last))
	}
	switch {
	case len(row.Tokens) == 0 && !row.Builtin():
		v.Warning = "It has no token that is good: rotate it and give the new token to the identity provider."
	case v.SilentFor > limit:
		v.Warning = fmt.Sprintf("Silent for %s (%s): while nothing comes, nobody who leaves is deactivated here. Look at the identity provider's provisioning log.",
			span(v.SilentFor), known)
	case last.IsZero() && !row.CreatedAt.IsZero() && now.Sub(row.CreatedAt) > limit:
		v.Warning = fmt.Sprintf("Nothing has come through it in the %s since it was made.", span(now.Sub(row.CreatedAt)))
	}
	return v
}

// span says a length of time in one unit, rounded down.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
