package token

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Resolve finds who presents a token. It refuses what is malformed without
// asking the database, asks it once for a token that it has not seen, and not
// at all for one that it has. ErrInvalidToken tells nothing of why; ErrStale
// means that it cannot be known now.
func (t *Tokens) Resolve(ctx context.Context, presented string) (tenure.Principal, error) {
	now := t.DB.Now()
	digest := tenure.DigestOf(presented)
	if s, ok := t.Configured[digest]; ok {
		return s.Admit(now, t.Live.Generation())
	}
	if _, ok := tenure.ParseToken(presented); !ok {
		return tenure.Principal{}, tenure.ErrInvalidToken
	}
	if err := t.Live.Fresh(); err != nil {
		return tenure.Principal{}, err
	}
	generation := t.Live.Generation()
	s, hit := t.Cache.get(digest)
	if !hit {
		var err error
		if s, err = t.DB.TokenStanding(ctx, digest); err != nil {
			return tenure.Principal{}, cannotKnow(err)
		}
		t.asRoot(s)
	}
	p, err := s.Admit(now, generation)
	if err != nil {
		return p, err
	}
	if !hit {
		// Only while nothing has changed since before the row was read: a row
		// read before a revocation is never cached after it.
		t.Cache.put(digest, s, func() bool { return t.Live.Generation() == generation })
	}
	t.Uses.NoteToken(s.Token, now)
	return p, nil
}

// Recheck reads a token anew, past the cache, and gives the principal as it
// stands now, or an error when it does not any more.
func (t *Tokens) Recheck(ctx context.Context, p tenure.Principal) (tenure.Principal, error) {
	if p.Token() == "" {
		return p, nil // set by the operator: it stands as long as this process
	}
	generation := t.Live.Generation()
	was := p.Standing()
	s, err := t.DB.TokenStanding(ctx, was.Digest)
	if err != nil {
		return tenure.Principal{}, cannotKnow(err)
	}
	t.asRoot(s)
	// Whoever holds less than when the request began may not go on with it.
	if s.Token != was.Token || s.User != was.User || s.Workspace != was.Workspace || !s.Scopes.Has(was.Scopes) || s.WorkspaceRole != was.WorkspaceRole {
		return tenure.Principal{}, tenure.ErrRevoked
	}
	return s.Admit(t.DB.Now(), generation)
}

// asRoot gives the stored root token its scopes. While the operator sets a root
// token, the stored one is dead.
func (t *Tokens) asRoot(s *tenure.Standing) {
	if s.Kind != tenure.RootToken {
		return
	}
	s.Ended = s.Ended || t.rootIsConfigured()
	if t.RootScopes != 0 {
		s.Scopes, s.Workspace = t.RootScopes, tenure.DefaultWorkspace
	}
}

func (t *Tokens) rootIsConfigured() bool {
	for _, s := range t.Configured {
		if s.Kind == tenure.RootToken {
			return true
		}
	}
	return false
}

// cannotKnow tells an unknown token from a database that does not answer.
func cannotKnow(err error) error {
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.ErrInvalidToken
	}
	stale := *tenure.ErrStale
	stale.Err = err
	return &stale
}

// Forget drops what is cached of the thing that changed.
func (t *Tokens) Forget(c store.Change) {
	switch c.Kind {
	case "token", "user", "membership", "service_account":
		t.Cache.drop(c.ID)
	case "session", "provider":
	default:
		t.Cache.clear()
	}
}
