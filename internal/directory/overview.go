package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

// Spans of an Overview.
const (
	// Unused is how long a token must have gone unused to be counted so.
	Unused = 90 * 24 * time.Hour
	// EndsSoon is how long before its end a token is counted as near it.
	EndsSoon = 7 * 24 * time.Hour
	// UsageSpan and UsageStep are what an Overview tells of use.
	UsageSpan = 24 * time.Hour
	UsageStep = 30 * time.Minute
	// EndsSpan is how far back an Overview looks at ends of access.
	EndsSpan = 30 * 24 * time.Hour
	// lastEnds is how many of them it lists.
	lastEnds = 5
)

// Overview is who has access now, how much is asked, and how fast access ended.
type Overview struct {
	tenure.Overview
	Usage []tenure.Usage // of UsageSpan, by UsageStep; steps without any are left out
	Times tenure.RevocationTimes
	Last  []tenure.Revocation // the newest first
	Lag   time.Duration       // since the database last answered
}

// Overview tells of the asker's tenant.
func (d *Directory) Overview(ctx context.Context, by tenure.Principal) (Overview, error) {
	if err := access.Check(by, tenure.ReadOverview); err != nil {
		return Overview{}, err
	}
	var o Overview
	var err error
	o.Lag = d.Live.Lag()
	now, tenant := d.DB.Now(), by.Tenant()
	if err := d.Usage.FlushEnds(ctx); err != nil { // what has just ended is on it
		return o, err
	}
	if o.Overview, err = d.DB.Overview(ctx, tenant, now, now.Add(-Unused), now.Add(EndsSoon)); err == nil {
		o.Usage, err = d.DB.UsageSince(ctx, tenant, now.Add(-UsageSpan), int(UsageStep/time.Minute))
	}
	if err == nil {
		o.Times, err = d.DB.RevocationTimes(ctx, tenant, now.Add(-EndsSpan))
	}
	if err == nil {
		o.Last, err = d.DB.Revocations(ctx, tenant, now.Add(-EndsSpan), lastEnds)
	}
	if err != nil {
		return Overview{}, fmt.Errorf("overview: %w", err)
	}
	return o, nil
}
