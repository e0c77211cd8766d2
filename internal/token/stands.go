package token

import (
	"context"

	"github.com/tenure-gateway/tenure"
)

// Stands reports whether a request with the token of this id would be admitted now: by
// what this process has in memory of it, or else by what the database has, and by the one
// check that every request passes. A token that is not there is not admitted. It notes no
// use of the token.
func (t *Tokens) Stands(ctx context.Context, tenant tenure.TenantID, id tenure.TokenID) (bool, error) {
	digest, err := t.DB.TokenDigest(ctx, tenant, id)
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, hit := t.Cache.get(digest)
	if !hit || !t.Live.Current() {
		if s, err = t.look(ctx, digest); tenure.IsKind(err, tenure.NotFound) {
			return false, nil
		}
	}
	if err != nil {
		return false, err
	}
	_, refused := s.Admit(t.DB.Now(), t.Live.Generation())
	return refused == nil, nil
}

// ByID gives the principal of a token as it stands now, past every cache, for work that
// somebody who presented it asked for. It notes no use of the token. Unauthenticated: it is
// good for nothing now.
func (t *Tokens) ByID(ctx context.Context, tenant tenure.TenantID, id tenure.TokenID) (tenure.Principal, error) {
	if err := t.Live.Fresh(); err != nil {
		return tenure.Principal{}, err
	}
	generation := t.Live.Generation()
	digest, err := t.DB.TokenDigest(ctx, tenant, id)
	if err != nil {
		return tenure.Principal{}, cannotKnow(err)
	}
	s, err := t.look(ctx, digest)
	if err != nil {
		return tenure.Principal{}, cannotKnow(err)
	}
	p, err := s.Admit(t.DB.Now(), generation)
	if err == nil {
		err = t.Live.Stands(ctx, s)
	}
	return p, err
}
