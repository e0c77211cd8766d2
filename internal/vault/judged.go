package vault

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Judged notes what a provider says of a key that is in use: that it does not accept it
// any more, or that it does again. Whichever replica tells first is heard.
func (v *Vault) Judged(ctx context.Context, p tenure.Provider, key tenure.KeyID, accepted bool) error {
	err := v.DB.Tx(context.WithValue(ctx, tenure.ReachKey{}, string(p.Tenant)), func(ctx context.Context, tx *store.Tx) error {
		k, err := tx.MarkKey(ctx, p.ID, key, accepted)
		if err != nil {
			return err
		}
		return tx.Append(ctx, audit.ProviderKeyJudged(p, k, accepted))
	})
	if tenure.IsKind(err, tenure.NotFound) {
		return nil // it is known, or the key is not in use any more
	}
	return err
}
