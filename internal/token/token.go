// Package token mints, resolves and revokes access tokens. It owns the cache of
// their standings and the rules on their names, scopes and lives.
//
// It never keeps a token: the secret is in the answer to the one who minted it,
// and nowhere afterwards. It does not decide who may mint (internal/access does)
// and does not know what a token was used for.
package token

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	// Configured are the tokens that the operator sets, by digest: they are not
	// in the database and end when the setting does.
	Configured map[tenure.Digest]*tenure.Standing
	// Single tells that this installation serves one person: the root token
	// carries the scopes of the data plane, and personal tokens are dead.
	Single bool
}

// Spec says what token to mint.
type Spec struct {
	Name      string
	Workspace string        // id or name; "" is the default workspace
	Scopes    []string      // nil: all that a personal token may have; empty: refused
	Life      time.Duration // 0: DefaultTokenLife
	For       string        // userName of the owner; only an operator may name another person
}

// Mint makes a personal access token for the person who asks. The secret is
// returned once and is not kept. Invalid: the spec is wrong, and how.
func (t *Tokens) Mint(ctx context.Context, by tenure.Principal, spec Spec) (tenure.Token, tenure.Secret, error) {
	var row tenure.Token
	if err := access.Check(by, tenure.MintToken); err != nil {
		return row, tenure.Secret{}, err
	}
	scopes, err := spec.validate()
	if err != nil {
		return row, tenure.Secret{}, err
	}
	secret := tenure.NewToken(tenure.KindPAT)
	err = t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		owner, err := ownerOf(ctx, tx, by, spec.For)
		if err != nil {
			return err
		}
		ws, err := workspaceFor(ctx, tx, owner, spec.Workspace)
		if err != nil {
			return err
		}
		row = newRow(tx.Now(), tenure.KindPAT, spec.Name, secret)
		row.Tenant, row.Workspace, row.User, row.UserName = owner.Tenant, ws.ID, owner.ID, owner.UserName
		row.Scopes, row.ExpiresAt = scopes, tx.Now().Add(spec.Life)
		if err := tx.InsertToken(ctx, row, tenure.DigestOf(secret.Reveal())); err != nil {
			return err
		}
		return tx.Append(ctx, audit.TokenMinted(by, row))
	})
	if err != nil {
		return tenure.Token{}, tenure.Secret{}, fmt.Errorf("mint token: %w", err)
	}
	return row, secret, nil
}

// validate fills in the defaults and reads the scopes.
func (s *Spec) validate() (tenure.Scopes, error) {
	if err := checkName(s.Name); err != nil {
		return 0, err
	}
	if s.Life == 0 {
		s.Life = tenure.DefaultTokenLife
	}
	if s.Life < time.Minute || s.Life > tenure.MaxTokenLife {
		return 0, tenure.InvalidField("expires_in", "the lifetime must be between one minute and %d days", int(tenure.MaxTokenLife.Hours()/24))
	}
	if s.Scopes == nil {
		return tenure.DataPlane, nil
	}
	if len(s.Scopes) == 0 {
		return 0, tenure.InvalidField("scopes", "an empty list permits nothing; leave scopes out for all that a personal token may have")
	}
	var set tenure.Scopes
	for _, name := range s.Scopes {
		one, err := tenure.ParseScopes(name)
		if err != nil {
			return 0, err
		}
		if one == 0 {
			return 0, tenure.InvalidField("scopes", "an empty scope; leave the list out for all scopes of a personal token")
		}
		set |= one
	}
	return set, nil
}

func checkName(name string) error {
	if strings.TrimSpace(name) == "" || len(name) > tenure.MaxTokenName || !utf8.ValidString(name) {
		return tenure.InvalidField("name", "a name of 1 to %d bytes is needed, for example \"VS Code on my laptop\"", tenure.MaxTokenName)
	}
	if tenure.MentionsToken(name) {
		return tenure.InvalidField("name", "the name has a token in it; a name is shown and logged")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return tenure.InvalidField("name", "the name has a character that does not print (%U)", r)
		}
	}
	return nil
}

// ownerOf gives the person whom the token is for: the one who asks, or the one
// whom an operator names.
func ownerOf(ctx context.Context, tx *store.Tx, by tenure.Principal, name string) (tenure.User, error) {
	var u tenure.User
	var err error
	switch {
	case by.Kind() == tenure.Operator && name != "":
		u, err = tx.UserByName(ctx, by.Tenant(), name)
		if tenure.IsKind(err, tenure.NotFound) {
			return u, &tenure.Error{
				Kind: tenure.NotFound, Code: "user_not_found", Field: "user",
				Msg: fmt.Sprintf("no user named %q; people appear when they first sign in or when SCIM provisions them", name),
			}
		}
	case by.User() != "" && name == "":
		u, err = tx.User(ctx, by.Tenant(), by.User())
	default:
		return u, tenure.InvalidField("user", "a personal token needs a person")
	}
	if err == nil && !u.Active {
		err = tenure.ErrDeactivated
	}
	return u, err
}

// workspaceFor gives a workspace that the owner belongs to.
func workspaceFor(ctx context.Context, tx *store.Tx, owner tenure.User, idOrName string) (tenure.Workspace, error) {
	if idOrName == "" {
		idOrName = string(tenure.DefaultWorkspace)
	}
	ws, err := tx.Workspace(ctx, owner.Tenant, idOrName)
	if err == nil {
		var role tenure.Role
		if role, err = tx.RoleIn(ctx, owner.Tenant, ws.ID, owner.ID); err == nil && role == "" {
			err = tenure.ErrNotFound
		}
	}
	if tenure.IsKind(err, tenure.NotFound) {
		err = tenure.InvalidField("workspace", "%s is a member of no workspace named %q", owner.UserName, idOrName)
	}
	return ws, err
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

// Get reads one token of the asker, or anybody's for those who may list all.
func (t *Tokens) Get(ctx context.Context, by tenure.Principal, id tenure.TokenID) (tenure.Token, error) {
	row, err := t.DB.Token(ctx, by.Tenant(), id)
	if err != nil {
		return tenure.Token{}, err
	}
	return row, access.Owner(by, row.User, tenure.ListAllTokens)
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

func (t *Tokens) page(ctx context.Context, f store.TokenFilter) (Page, error) {
	limit := f.Limit
	f.Limit++ // one more tells whether there is a next page
	rows, err := t.DB.Tokens(ctx, f)
	if err != nil || len(rows) <= limit {
		return Page{Tokens: rows}, err
	}
	return Page{Tokens: rows[:limit], Next: rows[limit-1].ID}, nil
}

// Revoke ends a token, records who asked, and cuts what it still carries. A
// token that has ended already stays ended, and that is no error. NotFound: no
// such token, or not the asker's.
func (t *Tokens) Revoke(ctx context.Context, by tenure.Principal, id tenure.TokenID, reason string) (tenure.Ended, error) {
	start := time.Now()
	var ended tenure.Ended
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended = tenure.Ended{}
		row, err := tx.Token(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		if err := access.Owner(by, row.User, tenure.RevokeAnyToken); err != nil {
			return err
		}
		was, err := tx.RevokeToken(ctx, row.Tenant, id, by.Label(), reason)
		if err != nil || !was {
			return err
		}
		ended.Tokens = 1
		return tx.Append(ctx, audit.TokenRevoked(by, row, reason))
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("revoke token %s: %w", id, err)
	}
	ended.Streams = t.Live.Cut(store.Change{Kind: "token", ID: string(id)}, live.Token(id), tenure.ErrRevoked)
	ended.Took = time.Since(start)
	t.Live.Took(ended.Took)
	return ended, nil
}
