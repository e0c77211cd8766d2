package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// EnsureRoot makes the root token of an installation that has none that lives.
// It returns the secret to be shown once, or a zero Secret when there was one.
func (t *Tokens) EnsureRoot(ctx context.Context, by tenure.Principal) (tenure.Secret, error) {
	var made tenure.Secret
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		made = tenure.Secret{}
		rows, err := tx.Tokens(ctx, store.TokenFilter{Tenant: tenure.DefaultTenant, Kind: tenure.KindRoot, Limit: 100})
		if err != nil || slices.ContainsFunc(rows, func(r tenure.Token) bool { return r.Live(tx.Now()) }) {
			return err
		}
		made = tenure.NewToken(tenure.KindRoot)
		row, err := insertRoot(ctx, tx, made)
		if err != nil {
			return err
		}
		return tx.Append(ctx, audit.TokenMinted(by, row))
	})
	return made, err
}

// RotateRoot makes a new root token and ends the old one, the sessions that it
// opened, and what it carries. Conflict: the root token is set by the operator.
func (t *Tokens) RotateRoot(ctx context.Context, by tenure.Principal) (tenure.Secret, tenure.Ended, error) {
	start := time.Now()
	var ended tenure.Ended
	if err := access.Check(by, tenure.RotateRoot); err != nil {
		return tenure.Secret{}, ended, err
	}
	if t.RootIsConfigured() {
		return tenure.Secret{}, ended, &tenure.Error{
			Kind: tenure.Conflict, Code: "set_by_operator",
			Msg: "the root token is set by TENURE_API_TOKEN; change it there and restart",
		}
	}
	secret := tenure.NewToken(tenure.KindRoot)
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if ended.Sessions, err = tx.EndRootSessions(ctx, tenure.DefaultTenant, by.Label(), "root token rotated"); err != nil {
			return err
		}
		if ended.Tokens, err = tx.RevokeRoot(ctx, tenure.DefaultTenant, by.Label(), "rotated"); err != nil {
			return err
		}
		row, err := insertRoot(ctx, tx, secret)
		if err != nil {
			return err
		}
		return tx.Append(ctx, audit.RootRotated(by, row))
	})
	if err != nil {
		return tenure.Secret{}, tenure.Ended{}, fmt.Errorf("rotate root token: %w", err)
	}
	isRoot := live.Subject(func(s *tenure.Standing) bool { return s.Kind == tenure.RootToken })
	ended.Streams = t.Live.Cut(store.Change{}, isRoot, tenure.ErrRevoked)
	ended.Took = time.Since(start)
	t.Live.Ended(tenure.DefaultTenant, tenure.Revocation{What: tenure.RevokedRoot, Object: "root token", Actor: by.Label(), Ended: ended})
	return secret, ended, nil
}

func insertRoot(ctx context.Context, tx *store.Tx, secret tenure.Secret) (tenure.Token, error) {
	if err := tx.AloneByRoot(ctx); err != nil {
		return tenure.Token{}, err
	}
	row := newRow(tx.Now(), tenure.KindRoot, "root", secret)
	return row, tx.InsertToken(ctx, row, tenure.DigestOf(secret.Reveal()))
}

// RootUse is how often the root token was used lately, and when last.
type RootUse struct {
	Count int
	Last  time.Time
}

// RecentRoot is the time that RootUses looks back.
const RecentRoot = 24 * time.Hour

// RootUses tells those who administer of the uses of the root token within
// RecentRoot, refused ones not counted.
func (t *Tokens) RootUses(ctx context.Context, by tenure.Principal) (RootUse, error) {
	if err := access.Check(by, tenure.ReadAudit); err != nil {
		return RootUse{}, err
	}
	n, last, err := t.DB.CountEvents(ctx, by.Tenant(), audit.RootUsed(by, "").Action, t.DB.Now().Add(-RecentRoot))
	return RootUse{n, last}, err
}
