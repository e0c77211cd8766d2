package token

import (
	"context"
	"reflect"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Resolve finds who presents a token. It refuses what is malformed without
// asking the database, asks it once for a token that it has not seen, and not
// at all for one that it has. ErrInvalidToken tells nothing of why; ErrStale
// means that it cannot be known now. The use is not noted: see Used.
func (t *Tokens) Resolve(ctx context.Context, presented string) (tenure.Principal, error) {
	return t.resolve(ctx, presented, false)
}

// ResolveForModels is Resolve for the model routes: a token whose standing is in
// memory goes on during an outage of the database for as long as its workspace chose.
// Principal.BestEffort tells that it did.
func (t *Tokens) ResolveForModels(ctx context.Context, presented string) (tenure.Principal, error) {
	return t.resolve(ctx, presented, true)
}

func (t *Tokens) resolve(ctx context.Context, presented string, bestEffort bool) (tenure.Principal, error) {
	digest := tenure.DigestOf(presented)
	if _, ok := t.Configured[digest]; !ok {
		if _, ok := tenure.ParseToken(presented); !ok {
			return tenure.Principal{}, tenure.ErrInvalidToken
		}
	}
	return t.byDigest(ctx, digest, bestEffort)
}

// byDigest gives the principal of a digest that may be a token's. bestEffort lets it
// go on without news for as long as its workspace chose.
func (t *Tokens) byDigest(ctx context.Context, digest tenure.Digest, bestEffort bool) (tenure.Principal, error) {
	stale := t.Live.Fresh()
	if stale != nil && !bestEffort {
		return tenure.Principal{}, stale
	}
	generation := t.Live.Generation()
	seen := t.Cache.seen(digest)
	known, hit := t.Cache.get(digest)
	if hit && t.Live.Remembers(known) { // it was told, and is not forgotten yet
		known, hit = nil, false
	}
	grace := time.Duration(0)
	if bestEffort && hit {
		grace = known.Outage.GraceAt(t.DB.Now())
	}
	if stale != nil && (!hit || t.Live.FreshFor(grace) != nil) {
		return tenure.Principal{}, stale
	}
	s := known
	if !hit || !t.Live.Current() {
		var err error
		if s, err = t.lookSoon(ctx, digest, known, grace); err != nil {
			if tenure.IsKind(err, tenure.NotFound) {
				t.Cache.forget(digest)
			}
			return tenure.Principal{}, cannotKnow(err)
		}
		if s == known {
			stale = t.Live.Fresh() // which the waiting may have ended
			if t.Live.Remembers(s) {
				return tenure.Principal{}, tenure.ErrStale
			}
		}
	}
	p, err := s.Admit(t.DB.Now(), generation)
	if err != nil && !s.RotatedAt.IsZero() && !t.Single {
		t.Reuse.note(ctx, s)
	}
	if err == nil && s != known {
		if err := t.Live.Stands(ctx, s); err != nil {
			return tenure.Principal{}, err
		}
	}
	switch {
	case s == known:
	case err != nil || hit && !reflect.DeepEqual(s, known):
		t.Cache.forget(digest) // what was seen to change does not come back while there is no news
	case !hit:
		// Only while nothing has changed since before the row was read: a row
		// read before a revocation is never cached after it.
		t.Cache.put(digest, s, seen, func() bool { return t.Live.Generation() == generation })
	}
	if stale != nil && err == nil {
		p = p.ByMemory()
	}
	return p, err
}

// lookSoon reads a standing. Where the database is silent, known goes on for as long
// as Live.FreshFor lets it, if it is that of an access token; nil is nothing known. It
// does not wait longer for news than what is known is worth.
func (t *Tokens) lookSoon(ctx context.Context, digest tenure.Digest, known *tenure.Standing, grace time.Duration) (*tenure.Standing, error) {
	if known == nil || known.Kind != tenure.PAT && known.Kind != tenure.ServiceToken {
		return t.look(ctx, digest)
	}
	now := time.Now()
	if now.UnixNano() < t.silent.Load() {
		return known, nil
	}
	soon, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	s, err := t.look(soon, digest)
	switch {
	case err == nil || tenure.IsKind(err, tenure.NotFound):
		return s, err
	case ctx.Err() != nil:
		return nil, err
	}
	t.silent.Store(time.Now().Add(silence).UnixNano())
	return known, t.Live.FreshFor(grace)
}

// silence is how long one request waits for a silent database, and how long the
// others then do not.
const silence = 250 * time.Millisecond

// look reads a standing, past the cache.
func (t *Tokens) look(ctx context.Context, digest tenure.Digest) (*tenure.Standing, error) {
	if set, ok := t.Configured[digest]; ok {
		s := *set
		s.Digest = digest
		var err error
		if s.TenantActive, err = t.DB.TenantActive(ctx, s.Tenant); err != nil || s.Kind != tenure.RootToken {
			return &s, err
		}
		policy, err := t.DB.Policy(ctx, s.Tenant)
		s.Ended = policy.RootOff
		if t.Single {
			s.Scopes |= policy.ExtraScopes
		}
		return &s, err
	}
	s, err := t.DB.TokenStanding(ctx, digest)
	if err != nil {
		return nil, err
	}
	switch s.Kind {
	case tenure.RootToken:
		// While the operator sets a root token, the stored one is dead.
		s.Ended = s.Ended || t.RootIsConfigured()
		if t.Single {
			policy, err := t.DB.Policy(ctx, s.Tenant)
			if err != nil {
				return nil, err
			}
			s.Scopes, s.Workspace = tenure.DataPlane|policy.ExtraScopes, tenure.DefaultWorkspace
		}
	case tenure.PAT, tenure.ServiceToken:
		s.Ended = s.Ended || t.Single // there are none in single mode
	}
	return s, nil
}

// Used notes that a token authenticated a request.
func (t *Tokens) Used(ctx context.Context, p tenure.Principal) {
	if p.Token() == "" {
		return
	}
	t.Uses.NoteToken(p.Token(), t.DB.Now())
	if p.BestEffort() {
		t.Outage.Note(p, tenure.OriginOf(ctx).RequestID)
	}
}

// RootStands answers an error when the digest is not that of a root token that
// stands: the sessions that it opened end with it.
func (t *Tokens) RootStands(ctx context.Context, digest tenure.Digest) error {
	p, err := t.byDigest(ctx, digest, false)
	if err == nil && p.Kind() != tenure.RootToken {
		err = tenure.ErrInvalidToken
	}
	return err
}

// RootIsConfigured reports whether the operator sets the root token.
func (t *Tokens) RootIsConfigured() bool {
	for _, s := range t.Configured {
		if s.Kind == tenure.RootToken {
			return true
		}
	}
	return false
}

// Recheck reads a token anew, past the cache, and gives the principal as it
// stands now, or an error when it does not any more.
func (t *Tokens) Recheck(ctx context.Context, p tenure.Principal) (tenure.Principal, error) {
	generation := t.Live.Generation()
	was := p.Standing()
	s, err := t.look(ctx, was.Digest)
	if err != nil {
		return tenure.Principal{}, cannotKnow(err)
	}
	if s.Token != was.Token || s.User != was.User || s.Workspace != was.Workspace {
		return tenure.Principal{}, tenure.ErrRevoked
	}
	return s.Admit(t.DB.Now(), generation)
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
	case "session", "provider", "belief", "extraction":
	default:
		t.Cache.clear()
	}
}
