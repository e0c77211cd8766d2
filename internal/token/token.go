// Package token mints, resolves and revokes access tokens. It owns the cache of
// their standings and the rules on their names, scopes and lives.
//
// It never keeps a token: the secret is in the answer to the one who minted it,
// and nowhere afterwards. It does not decide who may mint (internal/access does)
// and does not know what a token was used for.
package token

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Tokens is the act on tokens. Its fields are set before first use.
type Tokens struct {
	DB    *store.DB
	Live  *live.Live
	Uses  *store.LastUse
	Cache *Cache
	Reuse *Reuse
	// Outage is told of each use of a token during an outage of the database.
	Outage *audit.Outage
	// Configured are the tokens that the operator sets, by digest: they are not
	// in the database and end when the setting does.
	Configured map[tenure.Digest]*tenure.Standing
	// Single tells that this installation serves one person: the root token
	// carries the scopes of the data plane, and personal tokens are dead.
	Single bool

	silent atomic.Int64 // Unix nanoseconds until which the database is not waited for
}

func newRow(now time.Time, kind tenure.TokenKind, name string, secret tenure.Secret) tenure.Token {
	return tenure.Token{
		ID: tenure.TokenID(tenure.NewID(now)), Tenant: tenure.DefaultTenant, Name: name, Kind: kind,
		Prefix: secret.Reveal()[:tenure.TokenPrefixLength], CreatedAt: now,
	}
}

// Page is a part of a list and where the next part begins.
type Page struct {
	Tokens []tenure.Token
	Next   tenure.TokenID // "" when there is no more
}

// Get reads one token of the asker, or anybody's for those who may list all. Those
// of a service account are read by whoever may read about the account.
func (t *Tokens) Get(ctx context.Context, by tenure.Principal, id tenure.TokenID) (tenure.Token, error) {
	row, err := t.DB.Token(ctx, by.Tenant(), id)
	if err != nil {
		return tenure.Token{}, err
	}
	if row.Kind == tenure.KindService && access.Check(by, tenure.ListAllTokens) != nil {
		err = lookAfter(ctx, t.DB, by, tenure.ReadAccount, row.Workspace)
	} else {
		err = access.Owner(by, row.User, tenure.ListAllTokens)
	}
	if err != nil {
		return tenure.Token{}, err
	}
	return row, nil
}

// Mine lists the asker's own personal tokens, newest first.
func (t *Tokens) Mine(ctx context.Context, by tenure.Principal, after tenure.TokenID, limit int) (Page, error) {
	if err := access.Check(by, tenure.ListTokens); err != nil {
		return Page{}, err
	}
	if by.User() == "" {
		return Page{Tokens: []tenure.Token{}}, nil
	}
	return t.page(ctx, store.TokenFilter{Tenant: by.Tenant(), User: by.User(), Kind: tenure.KindPAT, After: after, Limit: limit})
}

// All lists the tokens of the tenant, or of one person, newest first.
func (t *Tokens) All(ctx context.Context, by tenure.Principal, user tenure.UserID, after tenure.TokenID, limit int) (Page, error) {
	if err := access.Check(by, tenure.ListAllTokens); err != nil {
		return Page{}, err
	}
	return t.page(ctx, store.TokenFilter{Tenant: by.Tenant(), User: user, After: after, Limit: limit})
}

// Narrow says which tokens to look through.
type Narrow = store.TokenLook

// Look lists the personal and service tokens of the tenant that sel and
// look choose, newest first. Invalid: no such workspace.
func (t *Tokens) Look(ctx context.Context, by tenure.Principal, sel Selection, look Narrow, after tenure.TokenID, limit int) (Page, error) {
	if err := access.Check(by, tenure.ListAllTokens); err != nil {
		return Page{}, err
	}
	look.Now, look.Name, look.CreatedBefore, look.UnusedSince = t.DB.Now(), sel.Name, sel.CreatedBefore, sel.UnusedSince
	f := store.TokenFilter{Tenant: by.Tenant(), Kind: sel.Kind, Account: sel.Account, After: after, Limit: limit, Look: &look}
	if err := sel.owners(ctx, t.DB, &f); err != nil {
		return Page{}, err
	}
	return t.page(ctx, f)
}

func (t *Tokens) page(ctx context.Context, f store.TokenFilter) (Page, error) {
	limit := f.Limit
	f.Limit++ // one more tells whether there is a next page
	rows, err := t.DB.Tokens(ctx, f)
	if err != nil || len(rows) <= limit {
		return Page{Tokens: rows}, err
	}
	return Page{Tokens: rows[:limit], Next: rows[limit-1].ID}, nil
}

// Revoke ends a token, records who asked, and cuts what it still carries. A live
// token ends with the rest of its line: what a rotation left good for its overlap is
// the same credential. A token that has ended already stays ended, and that is no
// error. NotFound: no such token, or not the asker's. Forbidden: it is a super
// admin's, and the asker is none.
func (t *Tokens) Revoke(ctx context.Context, by tenure.Principal, id tenure.TokenID, reason string) (tenure.Ended, error) {
	return t.end(ctx, by.Tenant(), id, by.Label(), reason, func(ctx context.Context, tx *store.Tx, row tenure.Token) error {
		return mayRevoke(ctx, tx, by, row)
	}, func(row tenure.Token) tenure.AuditEvent { return audit.TokenRevoked(by, row, reason) })
}

// cut ends, after the commit, what a token carries that has ended.
func (t *Tokens) cut(row tenure.Token, who string, ended tenure.Ended, start time.Time) tenure.Ended {
	ended.Streams += t.Live.Cut(store.Change{Kind: "token", ID: string(row.ID)}, live.Token(row.ID), tenure.ErrRevoked)
	ended.Took = time.Since(start)
	t.Live.Ended(row.Tenant, tenure.Revocation{What: tenure.RevokedToken, ObjectID: string(row.ID), Object: ownerAnd(row), Actor: who, Ended: ended})
	return ended
}

// ownerAnd names a token for people: whose, and which.
func ownerAnd(row tenure.Token) string {
	owner := cmp.Or(row.UserName, row.AccountName)
	if owner == "" {
		return row.Name
	}
	return owner + ", " + row.Name
}

// mayRevoke lets the owner revoke a token, those who look after its service
// account, and those who may revoke any: of a super admin, only super admins.
func mayRevoke(ctx context.Context, tx *store.Tx, by tenure.Principal, row tenure.Token) error {
	err := access.Owner(by, row.User, tenure.RevokeAnyToken)
	if err != nil && row.Kind == tenure.KindService {
		return lookAfter(ctx, tx, by, tenure.UpdateAccount, row.Workspace)
	}
	if err == nil && (row.User == "" || row.User != by.User()) {
		err = above(ctx, tx, by, row)
	}
	return err
}

// people is what above asks: of the database, or in a transaction.
type people interface {
	User(context.Context, tenure.TenantID, tenure.UserID) (tenure.User, error)
}

// above answers Forbidden when a token is a super admin's, or the root token, and
// the asker is no super admin. Whoever was deleted stands above nobody.
func above(ctx context.Context, r people, by tenure.Principal, row tenure.Token) error {
	switch {
	case row.Kind == tenure.KindRoot:
		return access.Above(by, tenure.SuperAdmin)
	case row.User == "" || access.Above(by, tenure.SuperAdmin) == nil:
		return nil
	}
	u, err := r.User(ctx, row.Tenant, row.User)
	if tenure.IsKind(err, tenure.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return access.Above(by, u.Role)
}
