package token

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Inspect gives the principal of somebody else's token, for a gateway that was
// shown it: action is Introspect or CheckAccess. from is the address of that
// gateway's client; the zero one is not known. ErrInvalidToken: it is no live
// personal or service token of the asker's tenant, and it is not told which.
// Forbidden (address_not_allowed): it is bound to networks, and from is in none.
// The use is not noted: see Used.
func (t *Tokens) Inspect(ctx context.Context, by tenure.Principal, action tenure.Action, presented string, from netip.Addr) (tenure.Principal, error) {
	if err := access.Check(by, action); err != nil {
		return tenure.Principal{}, err
	}
	p, err := t.Resolve(ctx, presented)
	switch {
	case err != nil:
		return tenure.Principal{}, err
	case p.Kind() != tenure.PAT && p.Kind() != tenure.ServiceToken, p.Tenant() != by.Tenant():
		return tenure.Principal{}, tenure.ErrInvalidToken
	case !p.Standing().AllowsFrom(from):
		return tenure.Principal{}, &tenure.Error{
			Kind: tenure.Forbidden, Code: "address_not_allowed",
			Msg: "this token is bound to networks, and the client's address is in none of them, or is not known",
		}
	}
	return p, nil
}

// Introspect is Inspect with the token's row. ErrInvalidToken also for a token
// that is not good from that address.
func (t *Tokens) Introspect(ctx context.Context, by tenure.Principal, presented string, from netip.Addr) (tenure.Principal, tenure.Token, error) {
	p, err := t.Inspect(ctx, by, tenure.Introspect, presented, from)
	if tenure.AsError(err).Code == "address_not_allowed" {
		err = tenure.ErrInvalidToken
	}
	if err != nil {
		return tenure.Principal{}, tenure.Token{}, err
	}
	row, err := t.DB.Token(ctx, p.Tenant(), p.Token())
	if err != nil {
		return tenure.Principal{}, tenure.Token{}, cannotKnow(err)
	}
	if !row.RevokedAt.IsZero() { // meanwhile
		return tenure.Principal{}, tenure.Token{}, tenure.ErrInvalidToken
	}
	return p, row, nil
}

// RevokeHeld ends a personal or service token for whoever holds it, with the rest of
// its line, and needs no other credential (RFC 7009). It does so while the tenant is
// suspended too. What is no token of ours, or has ended, is no error. Invalid (unsupported_token_type): a root token or a connector's.
func (t *Tokens) RevokeHeld(ctx context.Context, presented string) (tenure.Ended, error) {
	kind, ok := tenure.ParseToken(presented)
	_, set := t.Configured[tenure.DigestOf(presented)]
	if set || kind == tenure.KindRoot || kind == tenure.KindSCIM {
		return tenure.Ended{}, &tenure.Error{
			Kind: tenure.Invalid, Code: "unsupported_token_type", Field: "token",
			Msg: "root tokens and tokens of SCIM connectors are not revoked here; rotate them",
		}
	}
	if !ok {
		return tenure.Ended{}, nil
	}
	// By its digest, and not as somebody who asks: a token that is not good now,
	// because its tenant is suspended, must not be good again later.
	s, err := t.DB.TokenStanding(ctx, tenure.DigestOf(presented))
	switch {
	case tenure.IsKind(err, tenure.NotFound):
		return tenure.Ended{}, nil
	case err != nil:
		return tenure.Ended{}, cannotKnow(err)
	}
	const reason = "revoked by its holder (RFC 7009)"
	return t.end(ctx, s.Tenant, s.Token, s.Label(), reason, unlessOver, func(row tenure.Token) tenure.AuditEvent {
		return audit.TokenRevokedByHolder(s, row, reason)
	})
}

// A judge answers an error when a token may not be ended.
type judge func(context.Context, *store.Tx, tenure.Token) error

// errEnded tells end that there is nothing to do.
var errEnded = &tenure.Error{Kind: tenure.Conflict, Code: "token_ended", Msg: "this token has ended"}

// unlessOver lets a token be ended that is not over: it may be good again.
func unlessOver(_ context.Context, tx *store.Tx, row tenure.Token) error {
	if row.Over(tx.Now()) {
		return errEnded
	}
	return nil
}

// end ends one token, if may agrees, and cuts what it carries: with a live one the
// rest of its line that lives, for it is one credential with two secrets. A token
// that is revoked already stays as it is, and nothing is told.
func (t *Tokens) end(ctx context.Context, tenant tenure.TenantID, id tenure.TokenID, by, reason string, may judge, event func(tenure.Token) tenure.AuditEvent) (tenure.Ended, error) {
	start := time.Now()
	var row tenure.Token
	var rows []tenure.Token
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows = nil
		var err error
		if row, err = tx.Token(ctx, tenant, id); err == nil {
			err = may(ctx, tx, row)
		}
		if err != nil {
			return err
		}
		rows, err = endLine(ctx, tx, row, by, reason, event)
		return err
	})
	if errors.Is(err, errEnded) {
		return tenure.Ended{}, nil
	}
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("revoke token %s: %w", id, err)
	}
	return t.cut(row, by, tenure.Ended{Tokens: len(rows), Streams: t.cutMany(rows)}, start), nil
}

// endLine revokes a token that is not revoked and, if it is not over, what else is not
// of its line. It gives those that it has ended.
func endLine(ctx context.Context, tx *store.Tx, row tenure.Token, by, reason string, event func(tenure.Token) tenure.AuditEvent) ([]tenure.Token, error) {
	line := []tenure.Token{row}
	if !row.Over(tx.Now()) {
		family, err := tx.Family(ctx, row.Tenant, row.Family)
		if err != nil {
			return nil, err
		}
		for _, other := range family {
			if other.ID != row.ID && !other.Over(tx.Now()) {
				line = append(line, other)
			}
		}
	}
	ended := line[:0]
	for _, one := range line {
		was, err := tx.RevokeToken(ctx, one.Tenant, one.ID, by, reason)
		if err != nil {
			return nil, err
		}
		if !was {
			continue
		}
		if err := tx.Append(ctx, event(one)); err != nil {
			return nil, err
		}
		ended = append(ended, one)
	}
	return ended, nil
}
