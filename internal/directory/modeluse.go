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
// included: by a day, workspace, user (service accounts too), token, provider, key of a
// provider, or model. The zero days are the last 30.
func (d *Directory) ModelUses(ctx context.Context, by tenure.Principal, from, to time.Time, sumBy string) ([]tenure.ModelUses, error) {
	if err := access.Check(by, tenure.ReadUsage); err != nil {
		return nil, err
	}
	return d.modelUses(ctx, store.ModelUseFilter{Tenant: by.Tenant(), From: from, To: to, By: sumBy})
}

// OwnModelUses is ModelUses of the asker's own personal access tokens. With which keys
// providers are asked is not theirs to know.
func (d *Directory) OwnModelUses(ctx context.Context, by tenure.Principal, from, to time.Time, sumBy string) ([]tenure.ModelUses, error) {
	if err := access.Check(by, tenure.ReadOwnUsage); err != nil {
		return nil, err
	}
	if by.User() == "" {
		return []tenure.ModelUses{}, nil // who is no person has none
	}
	if sumBy == tenure.UseByKey {
		return nil, tenure.InvalidField("by", "expected day, workspace, user, token, provider or model")
	}
	return d.modelUses(ctx, store.ModelUseFilter{Tenant: by.Tenant(), From: from, To: to, User: by.User(), By: sumBy})
}

// KeyUses tells of each version of a provider's keys who used it last, and what was used
// with it in the last 30 days. It needs what ModelUses needs: it names people.
func (d *Directory) KeyUses(ctx context.Context, by tenure.Principal, provider tenure.ProviderID) ([]tenure.KeyUse, error) {
	if err := access.Check(by, tenure.ReadUsage); err != nil {
		return nil, err
	}
	if err := d.ModelUse.Freshen(ctx); err != nil { // what has just been used is in it
		return nil, fmt.Errorf("key use: %w", err)
	}
	now := d.DB.Now()
	return d.DB.KeyUses(ctx, by.Tenant(), provider, now.Add(-ModelUseSpan), now)
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
