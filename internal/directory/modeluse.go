package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

// ModelUseSpan is what a sum of model use covers when nothing else is said.
const ModelUseSpan = 30 * 24 * time.Hour

// ModelUses sums up what models used in the asker's tenant between two days, both
// included: by a day, workspace, user (service accounts too), token, provider or
// model. The zero days are the last 30.
func (d *Directory) ModelUses(ctx context.Context, by tenure.Principal, from, to time.Time, sumBy string) ([]tenure.ModelUses, error) {
	if err := access.Check(by, tenure.ReadUsage); err != nil {
		return nil, err
	}
	return d.modelUses(ctx, store.ModelUseFilter{Tenant: by.Tenant(), From: from, To: to, By: sumBy})
}

// OwnModelUses is ModelUses of the asker's own personal access tokens.
func (d *Directory) OwnModelUses(ctx context.Context, by tenure.Principal, from, to time.Time, sumBy string) ([]tenure.ModelUses, error) {
	if err := access.Check(by, tenure.ReadOwnUsage); err != nil {
		return nil, err
	}
	if by.User() == "" {
		return []tenure.ModelUses{}, nil // who is no person has none
	}
	return d.modelUses(ctx, store.ModelUseFilter{Tenant: by.Tenant(), From: from, To: to, User: by.User(), By: sumBy})
}

func (d *Directory) modelUses(ctx context.Context, f store.ModelUseFilter) ([]tenure.ModelUses, error) {
	if f.To.IsZero() {
		f.To = d.DB.Now()
	}
	if f.From.IsZero() {
		f.From = f.To.Add(-ModelUseSpan)
	}
	if f.From.After(f.To) {
		return nil, tenure.InvalidField("from", "this is after the last day")
	}
	if err := d.ModelUse.Freshen(ctx); err != nil { // what has just been used is in it
		return nil, fmt.Errorf("model use: %w", err)
	}
	return d.DB.ModelUses(ctx, f)
}
