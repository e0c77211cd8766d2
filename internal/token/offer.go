package token

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

// Offer is what a personal access token may be by the policy of the asker's tenant.
type Offer struct {
	Usual, Longest time.Duration // its life when none is asked for, and at most
	Scopes         tenure.Scopes // when none are asked for
	Open           tenure.Scopes // all that may be asked for
	Minters        []tenure.Role // the roles in a workspace that may make one there
	Overlap        time.Duration // how long the secret before lives on after a rotation, when nothing else is said
}

// Offer tells what the asker may ask Mint for.
func (t *Tokens) Offer(ctx context.Context, by tenure.Principal) (Offer, error) {
	if err := access.Check(by, tenure.ListTokens); err != nil {
		return Offer{}, err
	}
	p, err := t.DB.Policy(ctx, by.Tenant())
	open := tenure.DataPlane | p.ExtraScopes
	return Offer{
		Usual: min(p.PATLife, p.PATMaxLife), Longest: p.PATMaxLife, Scopes: p.PATScopes & open, Open: open,
		Minters: p.PATMinters, Overlap: p.RotationOverlap,
	}, err
}
